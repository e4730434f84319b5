//! The names of the catalogue in the dictionary.

use super::*;
use crate::tests::minute;
use crate::{IntakeRow, Step};
use zonepulse_dns::{MessageKind, ResponseCode};
use zonepulse_model::ServerId;

fn ask(store: &Store, seq: u64, names: &[&str], kind: MessageKind) {
    let row = |record_id| IntakeRow { record_id, kind, hits: 1, first_ms: 60_000 * seq, last_ms: 60_000 * seq };
    minute::commit(store, 1, seq, 60 * seq, names, row).unwrap();
}

fn find(store: &Store, name: &str) -> Option<RecordId> {
    store.dictionary().find(name, RecordType::A)
}

#[test]
fn a_full_dictionary_takes_the_names_of_a_zone_and_charges_no_server() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &Options { max_records: 40, ..options() }).unwrap();
    let zone_id = add_zone(&store, "example.");
    let flood: Vec<String> = (0..100).map(|number| format!("f{number}.")).collect();
    let flood: Vec<&str> = flood.iter().map(String::as_str).collect();
    ask(&store, 1, &flood, MessageKind::REQUEST);
    assert_eq!(find(&store, "f99."), None);
    let before = store.names_of(ServerId::new(1));
    import_at(&store, zone_id, &numbered(100), 1).unwrap();
    assert_eq!(store.names_of(ServerId::new(1)), before);
    ask(&store, 2, &["n99.example."], MessageKind::REQUEST);
    let record_id = find(&store, "n99.example.").unwrap();
    let map = store.resources();
    assert_eq!(map.get(record_id, ServerId::new(1)), id_of(&store, zone_id, "n99.example."));
    let mut asked = 0;
    store.totals(None, &mut |total| asked += u64::from(total.record_id == record_id) * total.hits);
    assert_eq!(asked, 1);
    drop(store);
    let store = Store::open(dir.path(), &Options { max_records: 40, ..options() }).unwrap();
    assert_eq!(store.names_of(ServerId::new(1)).owned, before.owned);
    sound(&store);
}

#[test]
fn a_name_that_a_server_introduced_is_charged_to_it_until_it_is_a_resource() {
    let (_dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    ask(&store, 1, &["a.example.", "b.example."], MessageKind::REQUEST);
    let record_id = find(&store, "a.example.");
    let owned = || store.names_of(ServerId::new(1)).owned;
    assert_eq!(owned(), 2);
    import_at(&store, zone_id, &rows(["a.example."]), 1).unwrap();
    assert_eq!((owned(), find(&store, "a.example.")), (1, record_id));
}

#[test]
fn names_of_a_zone_are_not_swept_until_it_is_removed() {
    let (_dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    import_at(&store, zone_id, &rows(["a.example.", "b.example."]), 1).unwrap();
    import_at(&store, zone_id, &rows(["a.example."]), 2).unwrap();
    let nxdomain = MessageKind::response(ResponseCode::NXDOMAIN);
    ask(&store, 1, &["a.example.", "x.example."], nxdomain);
    let mut server = store.registry().add_server("one", false, None, 0).unwrap();
    (server.overrides.raw_retention_minutes, server.overrides.aggregated_retention_days) = (Some(60), Some(1));
    store.registry().put_server(&server).unwrap();
    let settle = || (0..3).for_each(|round| while store.upkeep(40 * 86_400 + 4000 * round).unwrap() != Step::Idle {});
    settle();
    assert_eq!(find(&store, "x.example."), None, "it is swept");
    assert!(find(&store, "a.example.").is_some() && find(&store, "b.example.").is_some());
    store.catalogue().remove_zone(zone_id, &mut UsageChange::default).unwrap();
    settle();
    assert!(find(&store, "a.example.").is_none() && find(&store, "b.example.").is_none());
    sound(&store);
}

#[test]
fn the_catalogue_has_a_bound_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &Options { max_catalogue_names: 10, ..options() }).unwrap();
    let zone_id = add_zone(&store, "example.");
    import_at(&store, zone_id, &numbered(10), 1).unwrap();
    assert!(matches!(import_at(&store, zone_id, &numbered(30), 2), Err(Error::TooMany(_, 10))));
    assert_eq!(read(&store, zone_id).len(), 10);
    sound(&store);
    // A name that another zone has needs no room.
    let other = store.catalogue().add_zone("example.", 0, |zone| Ok::<_, Error>(zone.view = "inside".to_owned())).unwrap().id;
    import_at(&store, other, &numbered(10), 3).unwrap();
    assert!(matches!(import_at(&store, other, &numbered(11), 4), Err(Error::TooMany(_, 10))));
    sound(&store);
}

#[test]
fn views_and_cuts_share_records_and_a_server_has_those_of_its_zones() {
    let (dir, store) = store();
    let parent = add_zone(&store, "example.");
    let of = |server: u32| move |zone: &mut Zone| Ok::<_, Error>(zone.servers = vec![ServerId::new(server)]);
    let child = store.catalogue().add_zone("sub.example.", 0, of(2)).unwrap().id;
    import_at(&store, parent, &rows(["a.example.", "sub.example."]), 1).unwrap();
    import_at(&store, child, &rows(["sub.example."]), 2).unwrap();
    let (at_parent, at_child) = (id_of(&store, parent, "sub.example."), id_of(&store, child, "sub.example."));
    let get = |store: &Store| {
        let record_id = find(store, "sub.example.").unwrap();
        [1, 2].map(|server| store.resources().get(record_id, ServerId::new(server)))
    };
    assert_eq!(get(&store), [at_parent, at_child]);
    drop(store);
    let store = open(dir.path());
    assert_eq!(get(&store), [at_parent, at_child]);
    let version = store.resources().version();
    store.catalogue().change_zone(child, "zone.change", of(1)).unwrap();
    assert_eq!(get(&store), [at_child, at_parent]);
    assert!(store.resources().version() > version);
    store.catalogue().remove_zone(child, &mut UsageChange::default).unwrap();
    assert_eq!(get(&store), [at_parent, at_parent]);
    sound(&store);
}
