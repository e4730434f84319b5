//! Zones and retirement plans.

use super::*;
use crate::Actor;
use serde_json::json;
use zonepulse_model::{RetirementId, ServerId};

fn actor() -> Actor {
    Actor { who: "ann".to_owned(), from: "::1".to_owned(), now_ms: 5 }
}

fn transfer(secret: &str) -> Source {
    let tsig = Tsig { name: "key.".to_owned(), algorithm: "hmac-sha256".to_owned(), secret: secret.to_owned() };
    Source::Transfer { primary: "[::1]:53".to_owned(), tsig: Some(tsig) }
}

#[test]
fn an_apex_is_in_a_view_once_and_ids_are_not_reused() {
    let (dir, store) = store();
    let first = add_zone(&store, "example.");
    let again = store.catalogue().add_zone("example.", 0, |_| Ok::<_, Error>(()));
    assert!(matches!(again, Err(Error::NameTaken(_))));
    let inside = |zone: &mut Zone| Ok::<_, Error>(zone.view = "inside".to_owned());
    let second = store.catalogue().add_zone("example.", 0, inside).unwrap().id;
    store.catalogue().remove_zone(second, &mut UsageChange::default).unwrap();
    drop(store);
    let store = open(dir.path());
    let third = store.catalogue().add_zone("example.", 0, inside).unwrap();
    assert_eq!([first, second, third.id].map(ZoneId::get), [1, 2, 3]);
    assert!(matches!(store.catalogue().change_zone(first, "zone.change", inside), Err(Error::NameTaken(_))));
    assert_eq!(store.catalogue().zones().unwrap().len(), 2);
    sound(&store);
}

#[test]
fn a_zone_with_bad_fields_is_refused_and_their_number_is_bounded() {
    let (_dir, store) = store();
    let add = |apex: &str, fill: &dyn Fn(&mut Zone)| store.catalogue().add_zone(apex, 0, |zone| Ok::<_, Error>(fill(zone)));
    for apex in ["example", "EXAMPLE.", "", "a..b."] {
        assert!(matches!(add(apex, &|_| ()), Err(Error::BadSetting { .. })), "{apex:?}");
    }
    assert!(add("example.", &|zone| zone.view = "a b".to_owned()).is_err());
    assert!(add("example.", &|zone| zone.source = Source::File { path: String::new() }).is_err());
    assert!(add("example.", &|zone| zone.source = transfer("")).is_err());
    for number in 0..20 {
        add(&format!("z{number}."), &|zone| zone.servers = vec![ServerId::new(2), ServerId::new(1), ServerId::new(2)]).unwrap();
    }
    assert!(matches!(add("more.", &|_| ()), Err(Error::TooMany("zones", 20))));
    assert_eq!(store.catalogue().zone(ZoneId::new(1)).unwrap().unwrap().servers, [ServerId::new(1), ServerId::new(2)]);
}

#[test]
fn changes_are_logged_without_the_secret() {
    let (_dir, store) = store();
    let set = |secret: &'static str| move |zone: &mut Zone| Ok::<_, Error>(zone.source = transfer(secret));
    let zone = store.catalogue().by(actor()).add_zone("example.", 0, set("c2VjcmV0MQ==")).unwrap();
    store.catalogue().by(actor()).change_zone(zone.id, "zone.change", set("c2VjcmV0Mg==")).unwrap();
    store.catalogue().by(actor()).import(Import::new(zone.id, None, 1), &mut fill(&numbered(2))).unwrap();
    store.catalogue().by(actor()).remove_zone(zone.id, &mut UsageChange::default).unwrap();
    let (entries, _) = store.registry().audit(0, 10).unwrap();
    let actions: Vec<_> = entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["zone.remove", "zone.import", "zone.change", "zone.create"]);
    let text = format!("{entries:?}{zone:?}");
    assert!(text.contains("hmac-sha256") && !text.contains("c2Vj"), "{text}");
    assert_eq!(entries[2].after, json!({"source": {"tsig": {"secret": "(another secret)"}}}));
}

#[test]
fn what_imports_set_cannot_be_changed_otherwise() {
    let (_dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    import_at(&store, zone_id, &numbered(30), 1).unwrap();
    let before = store.catalogue().zone(zone_id).unwrap().unwrap();
    let spoil = |zone: &mut Zone| {
        (zone.apex, zone.generation, zone.resources, zone.revision) = ("other.".to_owned(), 9, 9, 9);
        Ok::<_, Error>(zone.state = ZoneState::Failed)
    };
    let after = store.catalogue().change_zone(zone_id, "zone.change", spoil).unwrap();
    assert_eq!(after, Zone { state: ZoneState::Failed, ..before });
    sound(&store);
}

#[test]
fn a_removed_zone_takes_its_resources_notes_and_credits_along() {
    let (_dir, store) = store();
    let (first, second) = (add_zone(&store, "a."), add_zone(&store, "b."));
    import_at(&store, first, &rows(["x.a.", "y.a."]), 1).unwrap();
    import_at(&store, second, &rows(["x.b."]), 1).unwrap();
    let (gone, kept) = (id_of(&store, first, "x.a."), id_of(&store, second, "x.b."));
    let credit = Credit { first_ms: 1, last_ms: 2, roles: 1 };
    for id in [gone, kept] {
        store.catalogue().change_note(id, |note| Ok::<_, Error>(note.label = "l".to_owned())).unwrap();
    }
    store.catalogue().settle(&[(gone, credit), (kept, credit)], &[]).unwrap();
    store
        .catalogue()
        .remove_zone(first, &mut || UsageChange { credits: vec![(gone, credit)], ..UsageChange::default() })
        .unwrap();
    assert_eq!(store.catalogue().labelled("l").unwrap(), [kept]);
    assert_eq!((store.catalogue().credit(gone).unwrap(), store.catalogue().credit(kept).unwrap()), (None, Some(credit)));
    assert_eq!(store.resources().place(gone), None);
    assert!(matches!(store.catalogue().visit(first, &mut |_| ControlFlow::Continue(())), Err(Error::Missing(..))));
    let new = add_zone(&store, "a.");
    import_at(&store, new, &rows(["x.a."]), 2).unwrap();
    assert!(id_of(&store, new, "x.a.") > kept, "ids are not reused");
    sound(&store);
}

#[test]
fn plans_are_kept_under_ids_that_are_not_reused() {
    let (dir, store) = store();
    let none = json!(null);
    let plans = store.catalogue();
    let first = plans.add_plan(&json!({"state": "marked"}), &none).unwrap();
    let change = |plan: &mut serde_json::Value| {
        plan["state"] = json!("removed");
        Ok::<_, Error>(json!({}))
    };
    plans.change_plan(first.id, "retirement.change", change).unwrap();
    assert_eq!(plans.plan(first.id).unwrap().unwrap().plan, json!({"state": "removed"}));
    plans.remove_plan(first.id, &none).unwrap();
    assert!(matches!(plans.remove_plan(first.id, &none), Err(Error::Missing(..))));
    drop(store);
    let store = open(dir.path());
    for number in 2..7 {
        assert_eq!(store.catalogue().add_plan(&json!(number), &none).unwrap().id, RetirementId::new(number));
    }
    assert!(matches!(store.catalogue().add_plan(&none, &none), Err(Error::TooMany(_, 5))));
    assert_eq!(store.catalogue().plans().unwrap().len(), 5);
    sound(&store);
}
