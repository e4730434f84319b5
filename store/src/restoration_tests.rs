//! Checkpoints of a store that goes on, and what a restored one does differently.

use crate::*;
use std::path::Path;
use zonepulse_model::{Evicted, Identity, ServerId};

const T0_S: u64 = 487_000 * 3600;
const T0_MS: u64 = T0_S * 1000;
const MINUTE_MS: u64 = 60_000;
const SERVER: ServerId = ServerId::new(1);

fn open(dir: &Path) -> Store {
    let small = 1 << 20;
    let retention = Retention { raw_minutes: 60, aggregated_days: 30 };
    let options =
        Options { block_cache_bytes: small, write_buffer_bytes: small, retention, min_free_bytes: 0, ..Options::default() };
    Store::open(dir, &options).unwrap()
}

fn minute(number: u64) -> Intake {
    Intake {
        identity: Identity { server_id: SERVER, epoch: 1, seq: number },
        start_s: T0_S + number * 60,
        interval_s: 60,
        covered_from_ms: T0_MS + number * MINUTE_MS,
        covered_until_ms: T0_MS + (number + 1) * MINUTE_MS,
        counters: Vec::new(),
        loss: Loss::default(),
        evicted: None,
        rows: Vec::new(),
    }
}

fn add(store: &Store, numbers: std::ops::Range<u64>) -> Vec<Outcome> {
    let mut write = store.begin();
    let outcomes = numbers.map(|number| write.add(minute(number)).unwrap()).collect();
    write.commit().unwrap();
    outcomes
}

fn identity(id: &str) -> StoreIdentity {
    StoreIdentity { id: id.to_owned(), secret: [9; 32] }
}

fn told(store: &Store, minutes: std::ops::Range<u64>) -> Vec<(u64, u64, String)> {
    let range_ms = T0_MS + minutes.start * MINUTE_MS..T0_MS + minutes.end * MINUTE_MS;
    let minute = |ms: u64| (ms - T0_MS) / MINUTE_MS;
    let why = |why: Reasons| why.iter().map(Unobserved::as_str).collect::<Vec<_>>().join("+");
    let periods = store.ledger(SERVER, range_ms, None).unwrap();
    periods.into_iter().map(|period| (minute(period.from_ms), minute(period.until_ms), why(period.why))).collect()
}

fn periods(expected: &[(u64, u64, &str)]) -> Vec<(u64, u64, String)> {
    expected.iter().map(|(from, until, why)| (*from, *until, (*why).to_owned())).collect()
}

/// A store with ten minutes, its copy, and what happened after: ten more minutes, and new servers, zones and plans.
fn world() -> (tempfile::TempDir, Store, Store) {
    let dir = tempfile::tempdir().unwrap();
    let original = open(&dir.path().join("original"));
    original.registry().add_server("ns1", false, None, 0).unwrap();
    original.identity(|| identity("one")).unwrap();
    add(&original, 0..10);
    original.checkpoint(&dir.path().join("copy")).unwrap();
    add(&original, 10..20);
    let copy = open(&dir.path().join("copy"));
    (dir, original, copy)
}

fn restore(copy: &Store) -> Restoration {
    let restored_ms = T0_MS + 25 * MINUTE_MS;
    copy.registry().as_owner().note_restored("backup", T0_MS + 10 * MINUTE_MS, restored_ms).unwrap()
}

#[test]
fn a_checkpoint_holds_what_was_there_and_nothing_later() {
    let (_dir, _original, copy) = world();
    assert_eq!(told(&copy, 0..20), periods(&[(0, 10, ""), (10, 20, "gap")]));
    assert_eq!(copy.check().unwrap().faults, [] as [String; 0]);
    assert_eq!(copy.identity(|| identity("two")).unwrap(), identity("one"));
}

#[test]
fn what_a_restored_store_has_forgotten_is_named_until_it_comes_again() {
    let (_dir, _original, copy) = world();
    assert_eq!(copy.restoration().unwrap(), None);
    let restoration = restore(&copy);
    assert_eq!((restoration.number, copy.restoration().unwrap()), (1, Some(restoration)));
    assert_eq!(told(&copy, 0..30), periods(&[(0, 10, ""), (10, 25, "restored"), (25, 30, "gap")]));
    // The first ones are known.
    let outcomes = add(&copy, 8..14);
    let committed = |number: u64| if number < 10 { Outcome::Duplicate } else { Outcome::Committed };
    assert_eq!(outcomes, (8..14).map(committed).collect::<Vec<_>>());
    assert!(add(&copy, 8..14).iter().all(|outcome| *outcome == Outcome::Duplicate));
    assert_eq!(told(&copy, 0..30), periods(&[(0, 14, ""), (14, 25, "restored"), (25, 30, "gap")]));
    assert_eq!(copy.check().unwrap().faults, [] as [String; 0]);
}

#[test]
fn batches_under_way_when_the_backup_was_made_are_named_too() {
    let (_dir, _original, copy) = world();
    copy.registry().note_restored("backup", T0_MS + 12 * MINUTE_MS, T0_MS + 25 * MINUTE_MS).unwrap();
    assert_eq!(told(&copy, 0..25), periods(&[(0, 10, ""), (10, 25, "restored")]));
}

#[test]
fn a_server_that_was_silent_before_the_backup_has_a_gap_until_then() {
    let (_dir, _original, copy) = world();
    copy.registry().note_restored("backup", T0_MS + 200 * MINUTE_MS, T0_MS + 300 * MINUTE_MS).unwrap();
    assert_eq!(told(&copy, 0..310), periods(&[(0, 10, ""), (10, 140, "gap"), (140, 300, "restored"), (300, 310, "gap")]));
}

#[test]
fn evictions_in_a_restored_stretch_are_told_apart_from_the_rest() {
    let (_dir, _original, copy) = world();
    restore(&copy);
    let mut late = minute(26);
    late.evicted = Some(Evicted { batches: 2, from_s: T0_S + 12 * 60, until_s: T0_S + 14 * 60 });
    let mut write = copy.begin();
    write.add(late).unwrap();
    write.commit().unwrap();
    let expected = [(10, 12, "restored"), (12, 14, "evicted+restored"), (14, 25, "restored"), (25, 26, "gap"), (26, 27, "")];
    assert_eq!(told(&copy, 10..27), periods(&expected));
    assert_eq!(copy.check().unwrap().faults, [] as [String; 0]);
}

#[test]
fn numbers_given_after_the_backup_are_not_given_again() {
    let (_dir, original, copy) = world();
    let lost: Vec<ServerId> = ["ns2", "ns3"].map(|name| original.registry().add_server(name, false, None, 0).unwrap().id).into();
    let zone = |store: &Store| store.catalogue().add_zone("example.", 0, |_| Ok::<_, Error>(())).unwrap().id;
    let plan = |store: &Store| store.catalogue().add_plan(&serde_json::json!({}), &serde_json::json!({})).unwrap().id;
    let (lost_zone, lost_plan) = (zone(&original), plan(&original));
    original
        .registry()
        .change_global(|settings| {
            settings.dns_interval_s = Some(30);
            Ok::<_, Error>(())
        })
        .unwrap();
    let lost_version = original.registry().global().unwrap().version;
    restore(&copy);
    let new = copy.registry().add_server("ns2", false, None, 0).unwrap().id;
    assert!(lost.iter().all(|id| *id < new), "{new}");
    assert!(zone(&copy) > lost_zone && plan(&copy) > lost_plan);
    assert!(copy.registry().global().unwrap().version > lost_version);
    assert_eq!(copy.check().unwrap().faults, [] as [String; 0]);
}

#[test]
fn a_restoration_is_in_the_audit_log_and_survives_a_restart() {
    let (dir, original, copy) = world();
    drop(original);
    let actor = Actor { who: "me".to_owned(), from: "here".to_owned(), now_ms: 7 };
    copy.registry().by(actor).note_restored("backup", T0_MS, T0_MS + 1).unwrap();
    copy.registry().note_restored("later", T0_MS, T0_MS + 2).unwrap();
    drop(copy);
    let copy = open(&dir.path().join("copy"));
    let last = Restoration { number: 2, backup: "later".to_owned(), saved_ms: T0_MS, restored_ms: T0_MS + 2 };
    assert_eq!(copy.restoration().unwrap(), Some(last));
    let (entries, _) = copy.registry().audit(0, 9).unwrap();
    assert_eq!((entries[0].action.as_str(), entries[0].what.as_str()), ("store.restore", "the store, from backup backup"));
}
