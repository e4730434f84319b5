use super::*;
use crate::{Kinds, Level, Options, Points, Reading, Selection, Store};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use zonepulse_dns::MessageKind;
use zonepulse_model::{RecordId, ServerId};

fn open(dir: &Path) -> Store {
    Store::open(dir, &Options { block_cache_bytes: 1 << 20, write_buffer_bytes: 1 << 20, ..Options::default() }).unwrap()
}

/// A batch of requests: names and their hits, last access at 1 s of the interval.
fn commit(store: &Store, server_id: u32, seq: u64, minute: u64, hits: &[(&str, u64)]) -> Outcome {
    let mut write = store.begin();
    let outcome = add(&mut write, server_id, seq, minute, hits);
    write.commit().unwrap();
    outcome
}

fn add(write: &mut Write<'_>, server_id: u32, seq: u64, minute: u64, hits: &[(&str, u64)]) -> Outcome {
    let ids = write.record_ids(ServerId::new(server_id), hits.iter().map(|(name, _)| (*name, RecordType::A)));
    let start_ms = minute * 60_000;
    let rows = ids.iter().zip(hits).map(|(record_id, (_, hits))| IntakeRow {
        record_id: *record_id,
        kind: MessageKind::REQUEST,
        hits: *hits,
        first_ms: start_ms,
        last_ms: start_ms + 1000,
    });
    let rows = rows.collect();
    let intake = Intake {
        identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq },
        start_s: minute * 60,
        interval_s: 60,
        covered_from_ms: start_ms,
        covered_until_ms: start_ms + 60_000,
        counters: vec![(2, 3)],
        loss: Default::default(),
        evicted: None,
        rows,
    };
    write.add(intake).unwrap()
}

fn totals(store: &Store) -> BTreeMap<(u32, String), (u64, u64, u64)> {
    let mut found = Vec::new();
    store.totals(None, &mut |total| found.push(total));
    let dictionary = store.dictionary();
    let name = |id| dictionary.get(id).unwrap().0.to_owned();
    found
        .iter()
        .map(|total| ((total.server_id.get(), name(total.record_id)), (total.hits, total.first_ms, total.last_ms)))
        .collect()
}

fn scan(store: &Store, selection: &Selection) -> Vec<Points> {
    let mut all = Vec::new();
    let each = &mut |points: &Points| {
        all.push(points.clone());
        ControlFlow::Continue(())
    };
    let reading = Reading { level: Level::Raw, now_s: 0, last_access: true };
    store.scan(&reading, selection, each).unwrap();
    all
}

#[test]
fn a_batch_that_comes_twice_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(commit(&store, 1, 0, 10, &[("a.", 1)]), Outcome::Committed);
    assert_eq!(commit(&store, 1, 0, 10, &[("a.", 1)]), Outcome::Duplicate);
    assert_eq!(totals(&store)[&(1, "a.".into())].0, 1);
    assert_eq!(scan(&store, &Selection::all()).len(), 1);
}

#[test]
fn a_batch_that_comes_twice_within_one_write_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut write = store.begin();
    assert_eq!(add(&mut write, 1, 0, 10, &[("a.", 1)]), Outcome::Committed);
    assert_eq!(add(&mut write, 1, 0, 10, &[("a.", 1)]), Outcome::Duplicate);
    write.commit().unwrap();
    assert_eq!(totals(&store)[&(1, "a.".into())].0, 1);
}

#[test]
fn a_write_that_is_dropped_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut write = store.begin();
    add(&mut write, 1, 0, 10, &[("a.", 1)]);
    drop(write);
    assert!(totals(&store).is_empty());
    assert_eq!(store.dictionary().find("a.", RecordType::A), None);
    assert_eq!(commit(&store, 1, 0, 10, &[("b.", 2)]), Outcome::Committed);
    assert_eq!(totals(&store).len(), 1);
}

#[test]
fn totals_are_the_same_after_opening_again_with_and_without_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for round in 0..4u64 {
        // A known name, a new name, and an earlier minute than before.
        let name = format!("new{round}.");
        commit(&store, 1, 2 * round, 100 + round, &[("a.", 1), (&name, 5)]);
        commit(&store, 1, 2 * round + 1, 50 - round, &[("a.", 10)]);
        let before = totals(&store);
        assert_eq!(before[&(1, "a.".into())], (11 * (round + 1), (50 - round) * 60_000, (100 + round) * 60_000 + 1000));
        if round % 2 == 0 {
            store.close().unwrap();
        }
        drop(store);
        store = open(dir.path());
        assert_eq!(totals(&store), before);
        assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
    }
}

#[test]
fn markers_are_remembered_by_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    commit(&open(dir.path()), 1, 7, 10, &[("a.", 1)]);
    let store = open(dir.path());
    assert_eq!(commit(&store, 1, 7, 10, &[("a.", 1)]), Outcome::Duplicate);
    assert_eq!(commit(&store, 1, 6, 9, &[("a.", 1)]), Outcome::Committed);
}

#[test]
fn batches_of_one_interval_are_merged_in_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    commit(&store, 1, 0, 10, &[("a.", 1), ("b.", 2)]);
    commit(&store, 1, 1, 10, &[("b.", 3), ("c.", 4)]);
    let found = scan(&store, &Selection::all());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].record_ids.as_slice(), found[0].hits.as_slice()), (&[1, 2, 3].map(RecordId::new)[..], &[1, 5, 4][..]));
}

#[test]
fn a_scan_gives_exactly_what_is_selected() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut expected = Vec::new();
    for (seq, minute) in [5u64, 59, 60, 61, 130, 250].into_iter().enumerate() {
        for server in [1, 2, 5] {
            commit(&store, server, seq as u64, minute, &[("a.", minute), ("b.", 1)]);
            expected.push((server, minute));
        }
    }
    for servers in [None, Some(&[][..]), Some(&[2]), Some(&[1, 5]), Some(&[3, 9])] {
        for (from, until) in [(0, 1000), (59, 61), (60, 60), (61, 251), (251, 1000)] {
            let selection = Selection {
                servers: servers.map(|servers: &[u32]| servers.iter().copied().map(ServerId::new).collect()),
                from_s: from * 60,
                until_s: until * 60,
                kinds: Kinds::Only(vec![MessageKind::REQUEST]),
                records: Some([RecordId::new(1)].into()),
            };
            let points = scan(&store, &selection);
            let found: Vec<_> = points
                .iter()
                .flat_map(|p| p.starts_s.iter().zip(&p.hits).map(|(start_s, hits)| (p.server_id.get(), start_s / 60, *hits)))
                .collect();
            let mut wanted: Vec<_> = expected
                .iter()
                .filter(|(server, minute)| servers.as_ref().is_none_or(|s| s.contains(server)) && (from..until).contains(minute))
                .map(|(server, minute)| (*server, *minute, *minute))
                .collect();
            wanted.sort_by_key(|(server, minute, _)| (minute / 60, *server, *minute));
            assert_eq!(found, wanted, "{selection:?}");
        }
    }
    assert!(scan(&store, &Selection { kinds: Kinds::Responses, ..Selection::all() }).is_empty());
}

#[test]
fn reports_come_by_server_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (seq, minute) in [20u64, 10, 30].into_iter().enumerate() {
        for server in [3, 1, 7] {
            commit(&store, server, seq as u64, minute, &[("a.", 2)]);
        }
    }
    let reports = |servers: Option<&[u32]>, from: u64, until: u64| {
        let mut found = Vec::new();
        let each = &mut |report: &Report| {
            assert_eq!((report.hits, report.counters.as_slice()), (2, &[(2, 3)][..]));
            found.push((report.server_id.get(), report.start_s / 60));
            ControlFlow::Continue(())
        };
        let servers = servers.map(|ids| ids.iter().copied().map(ServerId::new).collect());
        store.coverage(servers.as_ref(), from * 60, until * 60, 0, each).unwrap();
        found
    };
    assert_eq!(reports(None, 0, 1000), [(1, 10), (1, 20), (1, 30), (3, 10), (3, 20), (3, 30), (7, 10), (7, 20), (7, 30)]);
    assert_eq!(reports(None, 15, 30), [(1, 20), (3, 20), (7, 20)]);
    assert_eq!(reports(Some(&[2, 3, 9]), 15, 31), [(3, 20), (3, 30)]);
    assert_eq!(reports(Some(&[]), 0, 1000), []);
    assert_eq!(reports(None, 31, 1000), []);
}

#[test]
fn names_past_the_bound_are_counted_as_other() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { max_records: 3, ..Options::default() };
    let store = Store::open(dir.path(), &options).unwrap();
    commit(&store, 1, 0, 10, &[("a.", 1), ("b.", 2), ("c.", 3), ("d.", 4)]);
    let totals = totals(&store);
    assert_eq!(totals[&(1, crate::OTHER.into())].0, 7);
    assert_eq!(totals[&(1, "b.".into())].0, 2);
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}

#[test]
fn a_store_in_use_is_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path());
    assert!(matches!(Store::open(dir.path(), &Options::default()), Err(Error::InUse(_))));
}

#[test]
fn a_store_of_another_format_is_refused_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut batch = WriteBatch::default();
    batch.put(b"format", 99u32.to_be_bytes());
    store.inner.database.write(batch, true).unwrap();
    drop(store);
    let error = Store::open(dir.path(), &Options::default()).err().unwrap();
    assert!(error.to_string().contains("format 99"), "{error}");
}

#[test]
fn an_intake_that_breaks_a_promise_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let good = Intake {
        identity: Identity { server_id: ServerId::new(1), epoch: 1, seq: 1 },
        start_s: 60,
        interval_s: 60,
        covered_from_ms: 60_000,
        covered_until_ms: 120_000,
        counters: Vec::new(),
        loss: Default::default(),
        evicted: None,
        rows: vec![IntakeRow {
            record_id: RecordId::OTHER,
            kind: MessageKind::REQUEST,
            hits: 1,
            first_ms: 60_000,
            last_ms: 60_000,
        }],
    };
    let spoil: [fn(&mut Intake); 5] = [
        |i| i.interval_s = 0,
        |i| i.covered_until_ms = 120_001,
        |i| i.rows[0].hits = 0,
        |i| i.rows[0].last_ms = 120_000,
        |i| i.rows[0].first_ms = 59_999,
    ];
    for change in spoil {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(matches!(store.begin().add(bad), Err(Error::BadIntake(_))));
    }
}
