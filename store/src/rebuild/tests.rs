//! Rebuilds as their callers see them, and the rule by itself.

use super::*;
use crate::database::testing::{End, end_at};
use crate::tests::minute;
use crate::{Actor, IntakeRow, Options, Outcome, Retention, Step, Store, SystemIntake};
use std::path::Path;
use zonepulse_dns::RecordType;
use zonepulse_model::{Identity, RecordId, ServerId};

/// A full hour in 2025.
const T0_S: u64 = 487_000 * 3600;
const YEAR_S: u64 = 365 * 86_400;
/// What is believed in these tests: a few years before `T0_S`, and a day after it.
const BELIEVED_MS: Range<u64> = (T0_S - 5 * YEAR_S) * 1000..(T0_S + 86_400) * 1000;
const DAY_S: u64 = 86_400;

fn options(retention: Retention) -> Options {
    let small = 1 << 20;
    Options { block_cache_bytes: small, write_buffer_bytes: small, retention, min_free_bytes: 0, ..Options::default() }
}

fn open(dir: &Path) -> Store {
    open_keeping(dir, Retention::FOREVER)
}

fn open_keeping(dir: &Path, retention: Retention) -> Store {
    let store = Store::open(dir, &options(retention)).unwrap();
    if store.registry().server(ServerId::new(1)).unwrap().is_none() {
        store.registry().add_server("ns1", false, None, 0).unwrap();
        store.registry().add_server("ns2", false, None, 0).unwrap();
    }
    store
}

/// A batch of a minute with one request for each name, 5.123 s after it began, and another 2 s later.
fn commit(store: &Store, server_id: u32, seq: u64, start_s: u64, names: &[&str]) -> Outcome {
    let first_ms = start_s * 1000 + 5123;
    let row = |record_id| IntakeRow { record_id, kind: MessageKind::REQUEST, hits: 2, first_ms, last_ms: first_ms + 2000 };
    minute::commit(store, server_id, seq, start_s, names, row).unwrap()
}

/// Metrics of a minute.
fn measure(store: &Store, seq: u64, start_s: u64) {
    let mut write = store.begin();
    let ids = write.series_ids(ServerId::new(1), [("cpu_percent", "total")].into_iter());
    let series = ids.into_iter().map(|series_id| crate::SeriesIntake { series_id, values: vec![Some(1.0)] }).collect();
    let identity = Identity { server_id: ServerId::new(1), epoch: 1, seq };
    write.add_system(&SystemIntake { identity, start_s, interval_s: 60, slots: 1, evicted: None, series }).unwrap();
    write.commit().unwrap();
}

fn settle(store: &Store, now_s: u64) {
    for round in 0..3 {
        while store.upkeep(now_s + 60 * round).unwrap() != Step::Idle {}
    }
}

/// Hits, first and last access of each server's records.
fn totals(store: &Store) -> BTreeMap<(u32, String), (u64, u64, u64)> {
    let mut found = Vec::new();
    store.totals(None, &mut |total| found.push(total));
    let dictionary = store.dictionary();
    let name = |total: &Total| dictionary.get(total.record_id).unwrap().0.to_owned();
    found.iter().map(|total| ((total.server_id.get(), name(total)), (total.hits, total.first_ms, total.last_ms))).collect()
}

fn total_of(store: &Store, name: &str) -> (u64, u64, u64) {
    totals(store)[&(1, name.to_owned())]
}

fn of_server(server_id: u32) -> Rebuild {
    let believed_ms = BELIEVED_MS;
    Rebuild {
        server_id: ServerId::new(server_id),
        records: None,
        drop_before_s: None,
        drop_from_s: None,
        believed_ms,
        dry_run: false,
    }
}

fn rebuild(store: &Store, request: &Rebuild) -> Rebuilt {
    store.registry().rebuild_totals(request).unwrap()
}

fn assert_sound(store: &Store) {
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}

/// Changes a total as no batch would.
fn spoil(store: &Store, name: &str, change: impl Fn(&mut Entry)) {
    let record_id = store.dictionary().find(name, RecordType::A).unwrap();
    let (key, low) = ((ServerId::new(1), MessageKind::REQUEST.number(), key::group_of(record_id)), key::low_of(record_id));
    let mut totals = store.inner.totals.write();
    let mut entries: BTreeMap<u8, Entry> = totals.groups[&key].iter().collect();
    change(entries.get_mut(&low).unwrap());
    totals.groups.insert(key, Group::of(entries.into_iter()));
}

/// `a.` and `b.` were asked for at `T0_S` and a minute later; then comes a batch with a time ten years ahead.
fn with_a_batch_of_the_future(store: &Store) -> u64 {
    commit(store, 1, 0, T0_S, &["a.", "b."]);
    commit(store, 1, 1, T0_S + 60, &["a.", "b."]);
    commit(store, 2, 0, T0_S, &["a."]);
    let future_s = T0_S + 10 * YEAR_S;
    commit(store, 1, 2, future_s, &["a.", "only-then."]);
    future_s
}

const A_MS: (u64, u64) = (T0_S * 1000 + 5123, T0_S * 1000 + 67_123);

#[test]
fn a_batch_of_the_future_is_taken_out_and_the_last_access_is_the_true_one_again() {
    for sealed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let future_s = with_a_batch_of_the_future(&store);
        if sealed {
            settle(&store, future_s + 3 * 3600);
        }
        assert_eq!(total_of(&store, "a.").2, future_s * 1000 + 7123);
        let rebuilt = rebuild(&store, &Rebuild { drop_from_s: Some(T0_S + DAY_S), ..of_server(1) });
        assert_eq!((rebuilt.dropped_batches, rebuilt.dropped_hits), (1, 4), "sealed: {sealed}");
        assert_eq!((rebuilt.changed, rebuilt.removed, rebuilt.unbelieved), (1, 1, 0));
        // Of the true last access of `a.`, which the false one had replaced, sealed points keep the second.
        let last_ms = if sealed { A_MS.1 / 1000 * 1000 } else { A_MS.1 };
        let expected = BTreeMap::from([
            ((1, "a.".to_owned()), (4, A_MS.0, last_ms)),
            ((1, "b.".to_owned()), (4, A_MS.0, A_MS.1)),
            ((2, "a.".to_owned()), (2, A_MS.0, A_MS.0 + 2000)),
        ]);
        assert_eq!(totals(&store), expected);
        assert_sound(&store);
        drop(store);
        let store = open(dir.path());
        assert_eq!(totals(&store), expected, "after a restart");
        assert_sound(&store);
        // What went is not forgotten: a copy is one.
        assert_eq!(commit(&store, 1, 2, future_s, &["a.", "only-then."]), Outcome::Duplicate);
    }
}

#[test]
fn a_batch_of_1970_is_taken_out_and_the_first_access_is_the_true_one_again() {
    for sealed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        commit(&store, 1, 0, T0_S, &["a."]);
        commit(&store, 1, 1, 600, &["a.", "only-then."]);
        if sealed {
            settle(&store, T0_S + 3 * 3600);
        }
        let rebuilt = rebuild(&store, &Rebuild { drop_before_s: Some(BELIEVED_MS.start / 1000), ..of_server(1) });
        assert_eq!((rebuilt.dropped_batches, rebuilt.changed, rebuilt.removed), (1, 1, 1), "sealed: {sealed}");
        // The true one was overwritten by the false one: points say that it lies in this minute.
        assert_eq!(totals(&store), BTreeMap::from([((1, "a.".to_owned()), (2, T0_S * 1000, A_MS.0 + 2000))]));
        assert_sound(&store);
    }
}

#[test]
fn a_false_first_access_whose_points_have_expired_is_replaced_and_hits_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_keeping(dir.path(), Retention::default());
    commit(&store, 1, 0, 600, &["a."]);
    let now_s = T0_S + 3 * 3600;
    commit(&store, 1, 1, T0_S, &["a."]);
    settle(&store, now_s);
    assert_eq!(total_of(&store, "a."), (4, 605_123, A_MS.0 + 2000));
    let rebuilt = rebuild(&store, &of_server(1));
    assert_eq!((rebuilt.changed, rebuilt.dropped_batches), (1, 0));
    assert_eq!(total_of(&store, "a."), (4, T0_S * 1000, A_MS.0 + 2000));
    assert_sound(&store);
}

#[test]
fn a_first_access_whose_points_have_expired_stays_when_it_can_be_right() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_keeping(dir.path(), Retention::default());
    let long_ago_s = T0_S - 300 * DAY_S;
    commit(&store, 1, 0, long_ago_s, &["a.", "idle."]);
    commit(&store, 1, 1, T0_S, &["a."]);
    settle(&store, T0_S + 3 * 3600);
    let before = totals(&store);
    assert_eq!(before[&(1, "idle.".to_owned())], (2, long_ago_s * 1000 + 5123, long_ago_s * 1000 + 7123));
    assert!(rebuild(&store, &of_server(1)).is_nothing());
    assert_eq!(totals(&store), before);
    assert_sound(&store);
}

#[test]
fn totals_that_differ_from_their_points_are_made_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    commit(&store, 1, 0, T0_S, &["a.", "b."]);
    commit(&store, 1, 1, T0_S + 3600, &["a.", "b."]);
    settle(&store, T0_S + 2 * 3600);
    store.close().unwrap();
    spoil(&store, "a.", |entry| *entry = Entry { hits: 99, first_ms: 5, last_ms: (T0_S + YEAR_S) * 1000 });
    assert!(!store.check().unwrap().faults.is_empty());
    assert_eq!(rebuild(&store, &of_server(1)).changed, 1);
    let (hits, first_ms, last_ms) = total_of(&store, "a.");
    // The first hour is sealed, and keeps seconds; the interval is what points say of a first access.
    assert_eq!((hits, first_ms, last_ms), (4, T0_S * 1000, (T0_S + 3600) * 1000 + 7123));
    assert_eq!(total_of(&store, "b."), (4, A_MS.0, (T0_S + 3600) * 1000 + 7123));
    assert_sound(&store);
}

#[test]
fn only_the_records_that_are_named_are_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    commit(&store, 1, 0, T0_S, &["a.", "b."]);
    store.close().unwrap();
    spoil(&store, "a.", |entry| entry.first_ms = 5);
    spoil(&store, "b.", |entry| entry.first_ms = 5);
    let record_id = store.dictionary().find("b.", RecordType::A).unwrap();
    let rebuilt = rebuild(&store, &Rebuild { records: Some([record_id].into()), ..of_server(1) });
    assert_eq!((rebuilt.totals, rebuilt.changed), (1, 1));
    assert_eq!((total_of(&store, "a.").1, total_of(&store, "b.").1), (5, T0_S * 1000));
}

#[test]
fn a_dry_run_says_the_same_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    with_a_batch_of_the_future(&store);
    let before = totals(&store);
    let request = Rebuild { drop_from_s: Some(T0_S + DAY_S), dry_run: true, ..of_server(1) };
    let told = rebuild(&store, &request);
    assert_eq!(totals(&store), before);
    assert_eq!(store.check().unwrap().reports, 4);
    assert_eq!(rebuild(&store, &Rebuild { dry_run: false, ..request.clone() }), told);
    assert_eq!(told.changes.len(), 2);
    assert!(rebuild(&store, &request).is_nothing(), "the second time there is nothing to do");
}

#[test]
fn points_with_impossible_times_that_stay_are_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let future_s = with_a_batch_of_the_future(&store);
    let rebuilt = rebuild(&store, &of_server(1));
    assert_eq!((rebuilt.unbelieved, rebuilt.is_nothing()), (2, true));
    assert_eq!(total_of(&store, "a.").2, future_s * 1000 + 7123);
    assert_sound(&store);
}

#[test]
fn metrics_of_impossible_times_go_too() {
    for sealed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let future_s = T0_S + 10 * YEAR_S;
        measure(&store, 0, T0_S);
        measure(&store, 1, future_s);
        if sealed {
            settle(&store, future_s + 3 * 3600);
        }
        let rebuilt = rebuild(&store, &Rebuild { drop_from_s: Some(T0_S + DAY_S), ..of_server(1) });
        assert_eq!(rebuilt.dropped_metric_hours, 1);
        let check = store.check().unwrap();
        assert_eq!((check.system_points, check.faults), (1, Vec::new()), "sealed: {sealed}");
    }
}

#[test]
fn the_audit_log_tells_of_a_rebuild_and_of_none_that_changed_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    with_a_batch_of_the_future(&store);
    let actor = Actor { who: "ann".to_owned(), from: "here".to_owned(), now_ms: 7 };
    let request = Rebuild { drop_from_s: Some(T0_S + DAY_S), ..of_server(1) };
    for _ in 0..2 {
        store.registry().by(actor.clone()).rebuild_totals(&request).unwrap();
    }
    let (entries, total) = store.registry().audit(0, 10).unwrap();
    assert_eq!((total, entries[0].action.as_str(), entries[0].who.as_str()), (1, "server.rebuild", "ann"));
    let told = |name: &str| entries[0].after[name].as_u64();
    assert_eq!((told("batches_removed"), told("totals_removed"), told("hits_removed")), (Some(1), Some(1), Some(4)));
}

#[test]
fn a_rebuild_is_all_or_nothing() {
    for (end, done) in [(End::Before(0), false), (End::After(0), true)] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        with_a_batch_of_the_future(&store);
        store.close().unwrap();
        let before = totals(&store);
        end_at(end);
        store.registry().rebuild_totals(&Rebuild { drop_from_s: Some(T0_S + DAY_S), ..of_server(1) }).unwrap_err();
        drop(store);
        end_at(End::Never);
        let store = open(dir.path());
        assert_sound(&store);
        assert_eq!(totals(&store) != before, done, "{end:?}");
    }
}

#[test]
fn a_server_that_is_purged_leaves_no_number_of_reports_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    with_a_batch_of_the_future(&store);
    rebuild(&store, &Rebuild { drop_from_s: Some(T0_S + DAY_S), ..of_server(1) });
    assert_eq!(dropped_reports(&store.inner).unwrap(), 1);
    store.registry().remove_server(ServerId::new(1), 1, true).unwrap();
    assert_eq!(dropped_reports(&store.inner).unwrap(), 0);
    assert_sound(&store);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let refused = |request: Rebuild| store.registry().rebuild_totals(&request).unwrap_err();
    let records = Rebuild { records: Some([RecordId::new(1)].into()), drop_from_s: Some(T0_S), ..of_server(1) };
    assert!(matches!(refused(records), Error::BadSetting { .. }));
    let order = Rebuild { drop_before_s: Some(T0_S), drop_from_s: Some(T0_S), ..of_server(1) };
    assert!(matches!(refused(order), Error::BadSetting { .. }));
    assert!(matches!(refused(of_server(9)), Error::Missing("server", _)));
}

/// Points of the second minute of an hour, of which the seconds are kept.
fn kept() -> Kept {
    Kept { hits: 5, first_ms: 7_260_000..7_320_000, last_ms: 7_300_000..=7_300_999 }
}

#[test]
fn the_more_exact_of_two_times_that_agree_is_kept() {
    let times = Times { believed_ms: 1000..9_000_000, gone_until_ms: 0 };
    let exact = Entry { hits: 5, first_ms: 7_261_234, last_ms: 7_300_567 };
    assert_eq!(rebuilt(Some(exact), Some(&kept()), 0, &times), Some(exact));
    let other = Entry { hits: 9, first_ms: 7_320_000, last_ms: 7_301_000 };
    assert_eq!(rebuilt(Some(other), Some(&kept()), 0, &times), Some(Entry { hits: 5, first_ms: 7_260_000, last_ms: 7_300_000 }));
    assert_eq!(rebuilt(None, Some(&kept()), 0, &times), Some(Entry { hits: 5, first_ms: 7_260_000, last_ms: 7_300_000 }));
}

#[test]
fn what_has_expired_is_believed_within_bounds_and_hits_are_never_fewer_than_those_of_points() {
    let times = Times { believed_ms: 1000..9_000_000, gone_until_ms: 7_200_000 };
    let of = |hits, first_ms| Entry { hits, first_ms, last_ms: 7_300_500 };
    let first = |before: Entry| rebuilt(Some(before), Some(&kept()), 0, &times).unwrap().first_ms;
    assert_eq!((first(of(9, 5000)), first(of(9, 999)), first(of(9, 7_200_000))), (5000, 7_260_000, 7_260_000));
    assert_eq!(rebuilt(Some(of(9, 5000)), Some(&kept()), 3, &times).unwrap().hits, 6);
    assert_eq!(rebuilt(Some(of(9, 5000)), Some(&kept()), 8, &times).unwrap().hits, 5);
}

#[test]
fn a_total_without_points_keeps_what_is_believed_and_ends_where_points_begin_otherwise() {
    let times = Times { believed_ms: 1000..9_000_000, gone_until_ms: 7_200_000 };
    let of = |first_ms, last_ms| rebuilt(Some(Entry { hits: 9, first_ms, last_ms }), None, 0, &times).unwrap();
    assert_eq!(of(5000, 6000), Entry { hits: 9, first_ms: 5000, last_ms: 6000 });
    assert_eq!(of(5, 6000), Entry { hits: 9, first_ms: 6000, last_ms: 6000 });
    assert_eq!(of(5000, 99_000_000), Entry { hits: 9, first_ms: 5000, last_ms: 7_199_999 });
    assert_eq!(of(99_000_000, 99_000_001), Entry { hits: 9, first_ms: 7_199_999, last_ms: 7_199_999 });
    assert_eq!(rebuilt(Some(Entry { hits: 9, first_ms: 5, last_ms: 6 }), None, 9, &times), None);
}
