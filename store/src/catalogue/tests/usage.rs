//! Frozen credits and late accesses.

use super::*;
use crate::IntakeRow;
use crate::tests::minute;
use zonepulse_dns::MessageKind;
use zonepulse_model::ServerId;

const CREDIT: Credit = Credit { first_ms: 60_000, last_ms: 90_000, roles: 1 };

fn ask(store: &Store, server: u32, seq: u64, name: &str, first_ms: u64, last_ms: u64) {
    let row = |record_id| IntakeRow { record_id, kind: MessageKind::REQUEST, hits: 2, first_ms, last_ms };
    minute::commit(store, server, seq, first_ms / 60_000 * 60, &[name], row).unwrap();
}

fn record(store: &Store, name: &str) -> RecordId {
    store.dictionary().find(name, RecordType::A).unwrap()
}

/// A zone with two resources; accesses of the first count from ten minutes on.
fn changed() -> (tempfile::TempDir, Store, ZoneId) {
    let (dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    import_at(&store, zone_id, &rows(["a.example.", "b.example."]), 1).unwrap();
    let (id, of) = (id_of(&store, zone_id, "a.example."), record(&store, "a.example."));
    let mut usage = || UsageChange { credits: vec![(id, CREDIT)], counts_from: vec![(of, 600_000)] };
    let import = Import { usage: Some(&mut usage), ..Import::new(zone_id, None, 600_000) };
    store.catalogue().import(import, &mut fill(&rows(["a.example.", "b.example.", "c.example."]))).unwrap();
    (dir, store, zone_id)
}

#[test]
fn credits_are_frozen_with_the_import_and_merged_with_later_ones() {
    let (dir, store, zone_id) = changed();
    let id = id_of(&store, zone_id, "a.example.");
    assert_eq!(store.catalogue().credit(id).unwrap(), Some(CREDIT));
    let later = Credit { first_ms: 70_000, last_ms: 99_000, roles: 2 };
    store.catalogue().settle(&[(id, later), (ResourceId::new(99), later)], &[]).unwrap();
    drop(store);
    let store = open(dir.path());
    let merged = Credit { first_ms: 60_000, last_ms: 99_000, roles: 3 };
    let mut all = Vec::new();
    store.catalogue().credits(&mut |id, credit| all.push((id, credit))).unwrap();
    assert_eq!(all, [(id, merged)]);
    assert_eq!(store.resources().counts_from_ms(record(&store, "a.example.")), 600_000);
    sound(&store);
}

#[test]
fn a_failed_import_freezes_nothing() {
    let (_dir, store, zone_id) = changed();
    let id = id_of(&store, zone_id, "b.example.");
    let mut usage = || UsageChange { credits: vec![(id, CREDIT)], counts_from: Vec::new() };
    let import = Import { usage: Some(&mut usage), ..Import::new(zone_id, None, 700_000) };
    let mut failing = |_: &mut Row| Err(Error::BadIntake("x"));
    assert!(store.catalogue().import(import, &mut failing).is_err());
    assert_eq!(store.catalogue().credit(id).unwrap(), None);
}

#[test]
fn an_access_before_the_change_is_late_and_one_after_it_is_not() {
    let (dir, store, zone_id) = changed();
    let of = record(&store, "a.example.");
    let version = store.resources().version();
    ask(&store, 1, 1, "a.example.", 599_999, 599_999);
    assert!(store.resources().version() > version);
    ask(&store, 1, 2, "a.example.", 600_000, 610_000);
    ask(&store, 1, 3, "b.example.", 60_000, 60_000);
    let late = Late { record_id: of, server_id: ServerId::new(1), first_ms: 599_999, kind: 0 };
    assert_eq!(store.catalogue().late(10).unwrap(), [LateAccess { late, last_ms: 599_999, hits: 2 }]);
    drop(store);
    let store = open(dir.path());
    let found = store.catalogue().late(10).unwrap();
    assert_eq!((found.len(), store.catalogue().late_counts()), (1, (1, 0)));
    sound(&store);
    store.catalogue().settle(&[(id_of(&store, zone_id, "a.example."), CREDIT)], &found).unwrap();
    assert_eq!((store.catalogue().late(10).unwrap(), store.catalogue().late_counts()), (Vec::new(), (0, 0)));
    sound(&store);
}

#[test]
fn a_late_access_that_grew_since_it_was_read_is_not_settled() {
    let (_dir, store, _) = changed();
    ask(&store, 1, 1, "a.example.", 120_000, 120_000);
    let found = store.catalogue().late(10).unwrap();
    ask(&store, 1, 2, "a.example.", 120_000, 130_000);
    store.catalogue().settle(&[], &found).unwrap();
    let found = store.catalogue().late(10).unwrap();
    assert_eq!((found.len(), found[0].last_ms, found[0].hits), (1, 130_000, 4));
    store.catalogue().settle(&[], &found).unwrap();
    assert_eq!(store.catalogue().late_counts(), (0, 0));
    sound(&store);
}

#[test]
fn late_accesses_are_bounded_and_what_is_dropped_is_counted() {
    let (_dir, store, _) = changed();
    (0..25).for_each(|at| ask(&store, 1, at, "a.example.", 60_000 + at * 1000, 119_000));
    assert_eq!(store.catalogue().late_counts(), (20, 5));
    sound(&store);
}

#[test]
fn a_purged_server_leaves_no_late_accesses() {
    let (_dir, store, _) = changed();
    let server = store.registry().add_server("one", false, None, 0).unwrap();
    ask(&store, server.id.get(), 1, "a.example.", 60_000, 60_000);
    ask(&store, 7, 1, "a.example.", 60_000, 60_000);
    store.registry().remove_server(server.id, 1, true).unwrap();
    let left: Vec<u32> = store.catalogue().late(10).unwrap().iter().map(|access| access.late.server_id.get()).collect();
    assert_eq!((left, store.catalogue().late_counts()), (vec![7], (1, 0)));
    sound(&store);
}

#[test]
fn a_swept_record_leaves_no_usage() {
    let (_dir, store, zone_id) = changed();
    store.catalogue().remove_zone(zone_id, &mut UsageChange::default).unwrap();
    let of = record(&store, "a.example.");
    while store.upkeep(1 << 31).unwrap() != crate::Step::Idle {}
    assert_eq!(store.dictionary().get(of), None);
    assert_eq!(store.resources().counts_from_ms(of), 0);
    sound(&store);
}
