//! Stores that older versions wrote, and stores that are damaged.
//!
//! `fixtures/format-1` was written by the first release: two servers, 310
//! batches of three hours, the last hour not checkpointed, as after a kill.
//! `fixtures/format-2` is the same store when two of the hours had been sealed.
//! `fixtures/format-3` has two servers and 150 minutes with losses, gaps and
//! evictions; the process was killed after the last.

use crate::database::testing::{End, end_at};
use crate::*;
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use zonepulse_model::{Identity, ServerId};

const HITS: u64 = 308_404;
const END_S: u64 = 1_767_225_600 + 170 * 60;

fn options() -> Options {
    let (retention, raw_last_access) = (Retention::FOREVER, Precision::Milliseconds);
    let sizes = Options { block_cache_bytes: 1 << 20, write_buffer_bytes: 1 << 20, min_free_bytes: 0, ..Options::default() };
    Options { retention, raw_last_access, ..sizes }
}

fn old_store() -> tempfile::TempDir {
    store_of("format-1")
}

fn store_of(format: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(format)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    dir
}

type Answers = (BTreeMap<(u32, u64, u32, u16), (u64, u64)>, Vec<Total>, usize);

fn answers(store: &Store, level: Level) -> Answers {
    let mut points = BTreeMap::new();
    let each = &mut |found: &Points| {
        for at in 0..found.len() {
            let place = (found.server_id.get(), found.starts_s[at], found.record_ids[at].get(), found.kinds[at].number());
            points.insert(place, (found.hits[at], found.last_ms[at]));
        }
        ControlFlow::Continue(())
    };
    store.scan(&Reading { level, now_s: END_S, last_access: true }, &Selection::all(), each).unwrap();
    let (mut totals, mut reports) = (Vec::new(), 0);
    store.totals(None, &mut |total| totals.push(total));
    let each = &mut |_: &Report| {
        reports += 1;
        ControlFlow::Continue(())
    };
    store.coverage(None, 0, u64::MAX, END_S, each).unwrap();
    (points, totals, reports)
}

fn settle(store: &Store) {
    for round in 0..3 {
        while store.upkeep(END_S + 7200 + 60 * round).unwrap() != Step::Idle {}
    }
}

#[test]
fn a_store_of_format_1_opens_sound_and_answers_the_same_before_and_after_it_is_sealed() {
    let dir = old_store();
    let store = Store::open(dir.path(), &options()).unwrap();
    let check = store.check().unwrap();
    assert_eq!((check.blocks, check.sealed, check.points, check.hits), (310, 0, 1296, HITS));
    assert_eq!(check.faults, Vec::<String>::new());
    let before: Vec<Answers> = Level::ALL.iter().map(|level| answers(&store, *level)).collect();
    assert_eq!((before[0].0.len(), before[0].2), (1296, 310));
    settle(&store);
    let check = store.check().unwrap();
    assert_eq!((check.blocks, check.points, check.hits, check.faults), (0, 1296, HITS, Vec::new()));
    let after: Vec<Answers> = Level::ALL.iter().map(|level| answers(&store, *level)).collect();
    assert_eq!(before, after);
    drop(store);
    let store = Store::open(dir.path(), &options()).unwrap();
    let again: Vec<Answers> = Level::ALL.iter().map(|level| answers(&store, *level)).collect();
    assert_eq!(before, again);
}

#[test]
fn a_store_of_format_2_opens_sound_answers_as_before_and_takes_metrics() {
    let dir = store_of("format-2");
    let store = Store::open(dir.path(), &options()).unwrap();
    let check = store.check().unwrap();
    assert_eq!((check.blocks, check.sealed, check.points, check.hits), (100, 4, 1296, HITS));
    assert_eq!(check.faults, Vec::<String>::new());
    let first = Store::open(old_store().path(), &options()).unwrap();
    for level in Level::ALL {
        assert_eq!(answers(&store, level), answers(&first, level));
    }
    let mut write = store.begin();
    let series_id = write.series_ids(ServerId::new(1), [("load_1m", "")].into_iter()).remove(0);
    let series = vec![SeriesIntake { series_id, values: vec![Some(0.5)] }];
    let identity = Identity { server_id: ServerId::new(1), epoch: 9, seq: 1 };
    write.add_system(&SystemIntake { identity, start_s: END_S, interval_s: 5, slots: 1, evicted: None, series }).unwrap();
    write.commit().unwrap();
    settle(&store);
    assert_eq!(store.system_count(Level::H1, END_S, &SystemSelection::all()).unwrap(), 1);
    let check = store.check().unwrap();
    assert_eq!((check.points, check.system_points, check.faults), (1296, 1, Vec::new()));
    let answers = answers(&store, Level::Raw);
    assert_eq!((answers.0.len(), answers.2), (1296, 310), "a batch of metrics covers no interval of DNS");
}

/// When the store of format 3 begins.
const FORMAT_3_MS: u64 = 1_767_225_600_000;

/// What the ledger says of a server, in minutes.
fn observed(store: &Store, server_id: u32) -> Vec<(f64, f64, String)> {
    let range = FORMAT_3_MS..FORMAT_3_MS + 150 * 60_000;
    let at = |ms: u64| (ms - FORMAT_3_MS) as f64 / 60_000.0;
    let why = |why: Reasons| why.iter().map(Unobserved::as_str).collect();
    let periods = store.ledger(ServerId::new(server_id), range, None).unwrap().into_iter();
    periods.map(|period| (at(period.from_ms), at(period.until_ms), why(period.why))).collect()
}

fn is_as_format_3_says(store: &Store) {
    let ns1 = [
        (0.0, 10.0, ""),
        (10.0, 12.0, "kernel_drop"),
        (12.0, 20.0, ""),
        (20.0, 21.0, "blind"),
        (21.0, 30.0, ""),
        (30.0, 35.0, "evicted"),
        (35.0, 50.0, ""),
        (50.0, 51.0, "gap"),
        (51.0, 59.75, ""),
        (59.75, 60.25, "gap"),
        (60.25, 70.0, ""),
        (70.0, 71.0, "folded"),
        (71.0, 100.0, ""),
        (100.0, 102.0, "evicted"),
        (102.0, 150.0, ""),
    ];
    let ns2 = [(0.0, 5.5, ""), (5.5, 6.0, "interface_drop"), (6.0, 30.0, ""), (30.0, 150.0, "gap")];
    let told = |periods: &[(f64, f64, &str)]| {
        periods.iter().map(|(from, until, why)| (*from, *until, (*why).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(observed(store, 1), told(&ns1));
    assert_eq!(observed(store, 2), told(&ns2));
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}

#[test]
fn the_ledger_of_a_store_of_format_3_is_built_from_its_reports() {
    let dir = store_of("format-3");
    let store = Store::open(dir.path(), &options()).unwrap();
    is_as_format_3_says(&store);
    drop(store);
    is_as_format_3_says(&Store::open(dir.path(), &options()).unwrap());
}

#[test]
fn a_process_that_ends_while_it_builds_the_ledger_leaves_a_store_that_opens() {
    let mut ended = 0;
    for at in 0..20 {
        for end in [End::Before(at), End::After(at)] {
            let dir = store_of("format-3");
            end_at(end);
            ended += u32::from(Store::open(dir.path(), &options()).is_err());
            end_at(End::Never);
            is_as_format_3_says(&Store::open(dir.path(), &options()).unwrap());
        }
    }
    assert!(ended > 10, "{ended}");
}

/// Opening may refuse, or the check tells; nothing panics, and nothing is passed over.
fn told(dir: &Path) -> Vec<String> {
    match Store::open(dir, &options()) {
        Err(error) => vec![error.to_string()],
        Ok(store) => match store.check() {
            Err(error) => vec![error.to_string()],
            Ok(check) => check.faults,
        },
    }
}

#[test]
fn a_damaged_file_is_told_of() {
    let names: Vec<_> = fs::read_dir(old_store().path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    let mut damaged = 0;
    for name in names.iter().filter(|name| name.to_string_lossy().ends_with(".sst")) {
        let dir = old_store();
        let path = dir.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        // In the first block, which holds the first keys and values.
        bytes[20] ^= 0x55;
        fs::write(&path, bytes).unwrap();
        assert_ne!(told(dir.path()), Vec::<String>::new(), "{name:?}");
        damaged += 1;
    }
    assert!(damaged > 10);
}

#[test]
fn a_file_that_is_missing_or_cut_is_told_of() {
    for (name, cut) in [("000083.sst", false), ("000083.sst", true), ("MANIFEST-000005", false), ("MANIFEST-000005", true)] {
        let dir = old_store();
        let path = dir.path().join(name);
        let bytes = fs::read(&path).unwrap();
        if cut {
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
        assert_ne!(told(dir.path()), Vec::<String>::new(), "{name}, cut: {cut}");
    }
}

/// Changes a sealed store's content below everything that keeps it consistent.
fn spoiled(change: impl FnOnce(&Inner, &mut rocksdb::WriteBatch)) -> Vec<String> {
    let dir = old_store();
    let store = Store::open(dir.path(), &options()).unwrap();
    settle(&store);
    let mut batch = rocksdb::WriteBatch::default();
    change(&store.inner, &mut batch);
    store.inner.database.write(batch, true).unwrap();
    drop(store);
    told(dir.path())
}

const HOUR: u32 = (END_S / 3600) as u32 - 1;

#[test]
fn a_roll_up_that_is_not_the_sum_of_its_points_is_told_of() {
    let faults = spoiled(|inner, batch| {
        let other = inner.database.get(key::SEALED, &key::sealed(Level::M15, HOUR - 1, ServerId::new(1), 0)).unwrap().unwrap();
        batch.put_cf(inner.database.family(key::SEALED), key::sealed(Level::M15, HOUR, ServerId::new(1), 0), other);
    });
    assert!(faults[0].contains("M15") && faults[0].contains("is not the sum of its Raw points"), "{faults:?}");
}

#[test]
fn a_roll_up_that_is_missing_is_told_of() {
    let faults = spoiled(|inner, batch| {
        batch.delete_cf(inner.database.family(key::SEALED), key::sealed(Level::H1, HOUR, ServerId::new(2), 0));
    });
    assert!(faults.iter().any(|fault| fault.contains("H1")), "{faults:?}");
}

#[test]
fn points_that_are_missing_are_told_of() {
    let faults = spoiled(|inner, batch| {
        batch.delete_cf(inner.database.family(key::SEALED), key::sealed(Level::Raw, HOUR, ServerId::new(2), 0));
    });
    assert!(faults.iter().any(|fault| fault.contains("has no Raw")), "{faults:?}");
}

#[test]
fn a_sealed_value_that_cannot_be_read_is_told_of() {
    let faults = spoiled(|inner, batch| {
        batch.put_cf(inner.database.family(key::SEALED), key::sealed(Level::Raw, HOUR, ServerId::new(2), 0), [9, 9]);
    });
    assert!(faults.iter().any(|fault| fault.contains("sealed version")), "{faults:?}");
}

#[test]
fn a_batch_without_its_marker_is_told_of() {
    let faults = spoiled(|inner, batch| batch.delete_cf(inner.database.family(key::MARKERS), key::marker(ServerId::new(1), 100)));
    assert!(faults.iter().any(|fault| fault.contains("its marker is not")), "{faults:?}");
}
