//! Sealing and expiry as their callers see them.

use super::*;
use crate::tests::minute;
use crate::*;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_model::{Identity, RecordId, ServerId};

const T0_S: u64 = 490_000 * 3600;

fn options() -> Options {
    Options {
        block_cache_bytes: 1 << 20,
        write_buffer_bytes: 1 << 20,
        retention: Retention::FOREVER,
        min_free_bytes: 0,
        ..Options::default()
    }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, &options()).unwrap()
}

/// A batch of a minute: `count` records with one hit each.
fn commit(store: &Store, server_id: u32, seq: u64, start_s: u64, count: u32) -> Result<(), Error> {
    let names: Vec<String> = (0..count).map(|number| format!("n{number}.")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let last_ms = |id: RecordId| start_s * 1000 + u64::from(id.get()) * 7919 % 60_000;
    let row = |id| IntakeRow { record_id: id, kind: MessageKind::REQUEST, hits: 1, first_ms: last_ms(id), last_ms: last_ms(id) };
    minute::commit(store, server_id, seq, start_s, &names, row).map(|_| ())
}

/// Does steps until there is nothing to do.
fn settle(store: &Store, now_s: u64) -> usize {
    let mut steps = 0;
    for round in 0..3 {
        while store.upkeep(now_s + 60 * round).unwrap() != Step::Idle {
            steps += 1;
        }
    }
    steps
}

/// Hits of each server.
fn hits(store: &Store, level: Level, now_s: u64) -> BTreeMap<u32, u64> {
    let mut found = BTreeMap::new();
    let reading = Reading { level, now_s, last_access: false };
    let each = &mut |sum: Sum| {
        *found.entry(sum.server_id.unwrap().get()).or_default() += sum.hits;
        ControlFlow::Continue(())
    };
    store.sums(&reading, &Selection::all(), &mut |_| ControlFlow::Continue(()), each).unwrap();
    found
}

#[test]
fn a_passed_hour_leaves_no_open_block_and_the_running_hour_stays_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for minute in 0..90 {
        commit(&store, 1, minute, T0_S + minute * 60, 5).unwrap();
    }
    settle(&store, T0_S + 90 * 60);
    let check = store.check().unwrap();
    assert_eq!((check.blocks, check.points, check.faults), (30, 450, Vec::new()));
    assert_eq!(settle(&store, T0_S + 90 * 60), 0);
}

#[test]
fn a_retention_counts_from_the_next_question_on_and_a_longer_one_brings_back_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.registry().add_server("one", false, None, 0).unwrap();
    for hour in 0..10 {
        commit(&store, 1, hour, T0_S + hour * 3600, 1).unwrap();
        commit(&store, 2, hour, T0_S + hour * 3600, 1).unwrap();
    }
    let now_s = T0_S + 10 * 3600;
    let set = |raw_minutes| {
        let mut server = store.registry().server(ServerId::new(1)).unwrap().unwrap();
        server.overrides.raw_retention_minutes = Some(raw_minutes);
        store.registry().put_server(&server).unwrap();
    };
    set(180);
    assert_eq!(hits(&store, Level::Raw, now_s), BTreeMap::from([(1, 3), (2, 10)]));
    assert_eq!(hits(&store, Level::H1, now_s), BTreeMap::from([(1, 10), (2, 10)]));
    assert_eq!(hits(&store, Level::Raw, now_s + 1)[&1], 2, "to the second");
    set(600);
    assert_eq!(hits(&store, Level::Raw, now_s)[&1], 10, "still there");
    set(180);
    settle(&store, now_s);
    set(600);
    assert_eq!(hits(&store, Level::Raw, now_s), BTreeMap::from([(1, 3), (2, 10)]), "only of this server, and gone");
    assert_eq!(hits(&store, Level::M5, now_s)[&1], 10);
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}

#[test]
fn a_batch_that_comes_after_its_raw_points_are_gone_is_in_the_roll_ups_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &Options { retention: Retention::default(), ..options() }).unwrap();
    commit(&store, 1, 0, T0_S, 3).unwrap();
    let now_s = T0_S + 48 * 3600;
    settle(&store, now_s);
    assert_eq!(hits(&store, Level::Raw, now_s), BTreeMap::new());
    for _ in 0..2 {
        commit(&store, 1, 1, T0_S + 60, 3).unwrap();
        assert_eq!(hits(&store, Level::M5, now_s)[&1], 6);
        settle(&store, now_s);
        assert_eq!(hits(&store, Level::M5, now_s)[&1], 6);
        assert_eq!(hits(&store, Level::H1, now_s)[&1], 6);
    }
    let check = store.check().unwrap();
    assert_eq!((check.blocks, check.points, check.faults), (0, 0, Vec::new()));
}

#[test]
fn space_is_given_back_when_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &Options { retention: Retention::default(), ..options() }).unwrap();
    for minute in 0..240 {
        commit(&store, 1, minute, T0_S + minute * 60, 3000).unwrap();
    }
    settle(&store, T0_S + 5 * 3600);
    store.close().unwrap();
    let of_points = || store.inner.database.approximate_bytes(key::SEALED, &[0], &[255]);
    let before = of_points();
    assert!(before > 50_000, "{before} bytes");
    settle(&store, T0_S + 40 * 86_400);
    store.close().unwrap();
    assert!(of_points() < before / 20, "{} of {before} bytes are left", of_points());
    assert_eq!(hits(&store, Level::H1, 0), BTreeMap::new());
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
    let mut total = 0;
    store.totals(None, &mut |of| total += of.hits);
    assert_eq!(total, 240 * 3000, "totals are for ever");
}

#[test]
fn names_that_do_not_exist_leave_the_dictionary_and_sums_stay() {
    let dir = tempfile::tempdir().unwrap();
    let short = Retention { raw_minutes: 60, aggregated_days: 1 };
    let store = Store::open(dir.path(), &Options { retention: short, ..options() }).unwrap();
    let mut write = store.begin();
    // Names that exist only in questions vanish, those that look like a folded one, too.
    let names = [
        "www.example.",
        "asked.example.",
        "<other> example.",
        "x1.example.",
        "x2.example.",
        "<other>.example.",
        "<other>\\032example.",
    ];
    let ids = write.record_ids(ServerId::new(1), names.iter().map(|name| (*name, RecordType::A)));
    let kinds = |at: usize| match at {
        0 => vec![0, 1],
        1 => vec![0],
        _ => vec![0, 4],
    };
    let rows = ids.iter().enumerate().flat_map(|(at, id)| {
        kinds(at).into_iter().map(move |kind| IntakeRow {
            record_id: *id,
            kind: MessageKind::from_number(kind).unwrap(),
            hits: 2,
            first_ms: T0_S * 1000 + at as u64,
            last_ms: T0_S * 1000 + 100 + at as u64,
        })
    });
    let intake = Intake {
        identity: Identity { server_id: ServerId::new(1), epoch: 1, seq: 0 },
        start_s: T0_S,
        interval_s: 60,
        covered_from_ms: T0_S * 1000,
        covered_until_ms: (T0_S + 60) * 1000,
        counters: Vec::new(),
        loss: Default::default(),
        evicted: None,
        rows: rows.collect(),
    };
    write.add(intake).unwrap();
    write.commit().unwrap();
    settle(&store, T0_S + 20 * 3600);
    assert_eq!(store.statistics().records, 8, "roll-ups still name them");
    settle(&store, T0_S + 26 * 3600);
    let known = |store: &Store| {
        let dictionary = store.dictionary();
        dictionary.iter().map(|(_, name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(known(&store), [OTHER, "www.example.", "asked.example.", "<other> example."]);
    let mut other = Vec::new();
    store.totals(None, &mut |total| {
        other.extend((total.record_id == RecordId::OTHER).then_some((total.hits, total.first_ms, total.last_ms)))
    });
    let sum = (8, T0_S * 1000 + 3, T0_S * 1000 + 106);
    assert_eq!(other, [sum, sum], "requests, and responses");
    commit(&store, 1, 1, T0_S + 26 * 3600, 1).unwrap();
    drop(store);
    let store = Store::open(dir.path(), &Options { retention: short, ..options() }).unwrap();
    assert_eq!(known(&store), [OTHER, "www.example.", "asked.example.", "<other> example.", "n0."]);
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}

#[test]
fn a_name_that_uses_a_record_of_the_catalogue_stays_although_it_does_not_exist() {
    let dir = tempfile::tempdir().unwrap();
    let short = Retention { raw_minutes: 60, aggregated_days: 1 };
    let store = Store::open(dir.path(), &Options { retention: short, ..options() }).unwrap();
    store.keep_names_in_use(Box::new(|name, rtype| name == "alias.example." && rtype == RecordType::A));
    let mut write = store.begin();
    let ids = write.record_ids(ServerId::new(1), ["alias.example.", "typo.example."].iter().map(|name| (*name, RecordType::A)));
    let rows = ids.iter().flat_map(|id| {
        [0, 4].map(|kind| IntakeRow {
            record_id: *id,
            kind: MessageKind::from_number(kind).unwrap(),
            hits: 1,
            first_ms: T0_S * 1000,
            last_ms: T0_S * 1000,
        })
    });
    let intake = Intake {
        identity: Identity { server_id: ServerId::new(1), epoch: 1, seq: 0 },
        start_s: T0_S,
        interval_s: 60,
        covered_from_ms: T0_S * 1000,
        covered_until_ms: (T0_S + 60) * 1000,
        counters: Vec::new(),
        loss: Default::default(),
        evicted: None,
        rows: rows.collect(),
    };
    write.add(intake).unwrap();
    write.commit().unwrap();
    settle(&store, T0_S + 26 * 3600);
    let names: Vec<String> = store.dictionary().iter().map(|(_, name, _)| name.to_owned()).collect();
    assert_eq!(names, [OTHER, "alias.example."]);
}

#[test]
fn without_room_nothing_is_taken_and_with_room_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let full = Options { min_free_bytes: u64::MAX, ..options() };
    let store = Store::open(dir.path(), &full).unwrap();
    let error = commit(&store, 1, 0, T0_S, 3).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    assert!(error.to_string().contains("nearly full"));
    assert_eq!((hits(&store, Level::Raw, 0), store.dictionary().len()), (BTreeMap::new(), 1));
    store.inner.database.set_min_free(0);
    commit(&store, 1, 0, T0_S, 3).unwrap();
    assert_eq!(hits(&store, Level::Raw, 0)[&1], 3);
}

#[test]
fn an_hour_that_cannot_be_read_does_not_keep_the_others_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    commit(&store, 1, 0, T0_S, 3).unwrap();
    commit(&store, 1, 1, T0_S + 3600, 3).unwrap();
    let mut batch = rocksdb::WriteBatch::default();
    let broken = key::open(&Identity { server_id: ServerId::new(1), epoch: 1, seq: 0 }, T0_S);
    batch.put_cf(store.inner.database.family(key::OPEN), broken, [1, 60, 0, 9]);
    store.inner.database.write(batch, true).unwrap();
    let now_s = T0_S + 3 * 3600;
    let steps: Vec<_> = (0..6).map(|round| store.upkeep(now_s + 60 * round)).collect();
    assert!(steps.iter().any(|step| matches!(step, Err(Error::Damaged { .. }))), "{steps:?}");
    assert!(steps.iter().any(|step| matches!(step, Ok(Step::Sealed { blocks: 1, .. }))), "{steps:?}");
    assert!(store.check().unwrap().faults[0].contains("damaged"));
}

/// Every batch has one hit of each of so many records: any sum that is not whole batches is wrong.
#[test]
fn questions_see_whole_batches_while_they_arrive_are_sealed_and_are_asked_for() {
    const RECORDS: u32 = 700;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &Options { seal_after_quiet_s: 0, ..options() }).unwrap();
    let (begun, done, ended) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let now_s = T0_S + 9 * 3600;
    let (mut questions, mut sealed) = (0u64, 0u64);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for seq in 0..300 {
                begun.store(seq + 1, Ordering::SeqCst);
                commit(&store, 1 + (seq % 2) as u32, seq, T0_S + seq * 97 % 420 * 60, RECORDS).unwrap();
                done.store(seq + 1, Ordering::SeqCst);
            }
            ended.store(true, Ordering::SeqCst);
        });
        let keeping = scope.spawn(|| {
            let mut sealed = 0;
            while !ended.load(Ordering::SeqCst) {
                if let Step::Sealed { blocks, .. } = store.upkeep(now_s).unwrap() {
                    sealed += blocks;
                }
            }
            sealed
        });
        while !ended.load(Ordering::SeqCst) {
            for level in Level::ALL {
                let least = done.load(Ordering::SeqCst);
                let mut all = 0;
                let reading = Reading { level, now_s, last_access: false };
                let each = &mut |points: &Points| {
                    all += points.hits.iter().sum::<u64>();
                    ControlFlow::Continue(())
                };
                store.scan(&reading, &Selection::all(), each).unwrap();
                let most = begun.load(Ordering::SeqCst);
                assert!(all.is_multiple_of(u64::from(RECORDS)), "{level:?}: {all}");
                assert!((least..=most).contains(&(all / u64::from(RECORDS))), "{level:?}: {all}, {least} to {most}");
                questions += 1;
            }
        }
        sealed = keeping.join().unwrap();
    });
    assert!(questions > 5 && sealed > 50, "{questions} questions, {sealed} blocks sealed meanwhile");
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}
