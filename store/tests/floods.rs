//! What one server can do to the others with names and series that it makes up, and how long a commit
//! waits meanwhile. Steps of upkeep are as large here as in the program.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use zonepulse_dns::{MessageKind, RecordType, ResponseCode};
use zonepulse_model::{Identity, RecordId, ServerId};
use zonepulse_store::{Intake, IntakeRow, OTHER, Options, Retention, SeriesIntake, Step, Store, SystemIntake, Write};

const T0_S: u64 = 490_000 * 3600;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;

fn options() -> Options {
    Options { min_free_bytes: 0, retention: Retention::FOREVER, ..Options::default() }
}

fn open(dir: &Path, options: Options, servers: u32) -> Store {
    let store = Store::open(dir, &options).unwrap();
    let known = store.registry().servers().unwrap().len() as u32;
    for number in known..servers {
        store.registry().add_server(&format!("s{number}"), false, None, 0).unwrap();
    }
    store
}

/// A batch of a server: each name was asked for once, and is said not to exist.
fn commit(store: &Store, server_id: u32, seq: u64, start_s: u64, names: impl Iterator<Item = String>) {
    commit_in(store.begin(), server_id, seq, start_s, names);
}

fn commit_in(mut write: Write<'_>, server_id: u32, seq: u64, start_s: u64, names: impl Iterator<Item = String>) {
    let names: Vec<String> = names.collect();
    let ids = write.record_ids(ServerId::new(server_id), names.iter().map(|name| (name.as_str(), RecordType::A)));
    let kinds = [MessageKind::REQUEST, MessageKind::response(ResponseCode::NXDOMAIN)];
    let at_ms = start_s * 1000;
    let row = |record_id| kinds.map(|kind| IntakeRow { record_id, kind, hits: 1, first_ms: at_ms, last_ms: at_ms + 5 });
    write
        .add(Intake {
            identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq },
            start_s,
            interval_s: 60,
            covered_from_ms: at_ms,
            covered_until_ms: at_ms + 60_000,
            counters: Vec::new(),
            loss: Default::default(),
            evicted: None,
            rows: ids.into_iter().flat_map(row).collect(),
        })
        .unwrap();
    write.commit().unwrap();
}

fn names(of: &str, count: u32) -> impl Iterator<Item = String> {
    (0..count).map(move |number| format!("{of}{number}.example."))
}

/// Requests of each server, and those of them that are under [`OTHER`].
fn requests(store: &Store) -> BTreeMap<u32, (u64, u64)> {
    let mut found = BTreeMap::new();
    store.totals(None, &mut |total| {
        if total.kind == MessageKind::REQUEST {
            let (all, other): &mut (u64, u64) = found.entry(total.server_id.get()).or_default();
            *all += total.hits;
            *other += if total.record_id == RecordId::OTHER { total.hits } else { 0 };
        }
    });
    found
}

#[test]
fn a_flood_of_names_folds_those_of_its_own_server_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options { max_records: 8000, ..options() };
    let store = open(dir.path(), small, 4);
    for seq in 0..8 {
        commit(&store, 1, seq, T0_S, names(&format!("x{seq}-"), 4000));
    }
    // Each of the others brings what every server is guaranteed, and the same again.
    for server_id in 2..=4 {
        commit(&store, server_id, 0, T0_S, names(&format!("real{server_id}-"), 1000));
        commit(&store, server_id, 1, T0_S + 60, names(&format!("real{server_id}-"), 1000));
    }
    let found = requests(&store);
    assert_eq!(found[&1].0, 32_000, "no hit is lost");
    for server_id in 2..=4 {
        assert_eq!(found[&server_id], (2000, 0), "server {server_id}");
        assert_eq!((store.names_of(ServerId::new(server_id)).owned, store.names_of(ServerId::new(server_id)).refused), (1000, 0));
    }
    let flood = store.names_of(ServerId::new(1));
    assert_eq!((flood.owned + flood.refused, flood.refused), (32_000, found[&1].1));
    assert!(flood.owned <= 3001, "its share: {flood:?}");
    assert!(store.dictionary().find("real4-999.example.", RecordType::A).is_some());
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
    drop(store);
    let store = open(dir.path(), small, 4);
    let again: Vec<u64> = (1..=4).map(|server_id| store.names_of(ServerId::new(server_id)).owned).collect();
    assert_eq!(again, [flood.owned, 1000, 1000, 1000], "who has how much is known after a restart");
    commit(&store, 1, 100, T0_S, names("more", 4000));
    assert!(store.names_of(ServerId::new(1)).owned <= 3001);
}

#[test]
fn long_names_count_as_several() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Options { max_records: 8000, ..options() }, 2);
    let long = "label.".repeat(160);
    commit(&store, 1, 0, T0_S, (0..8000).map(|number| format!("x{number}.{long}")));
    let share = store.names_of(ServerId::new(1));
    assert!((3000..=4000).contains(&share.owned), "{share:?}");
    assert!(share.refused >= 7700, "{share:?}");
    drop(store);
    let store = open(dir.path(), Options { max_records: 8000, ..options() }, 2);
    assert_eq!(store.names_of(ServerId::new(1)).owned, share.owned);
}

#[test]
fn names_that_several_servers_have_are_not_all_charged_to_one_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), options(), 3);
    for server_id in [2, 1, 3] {
        commit(&store, server_id, 0, T0_S, names("shared", 3000));
    }
    assert_eq!(store.names_of(ServerId::new(2)).owned, 3000, "the first to tell of it");
    drop(store);
    let store = open(dir.path(), options(), 3);
    for server_id in 1..=3 {
        assert!(
            (700..=1300).contains(&store.names_of(ServerId::new(server_id)).owned),
            "{:?}",
            store.names_of(ServerId::new(server_id))
        );
    }
}

#[test]
fn a_first_start_with_a_million_names_gets_in_and_new_names_after_it_come_at_a_rate() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Options { new_names_per_minute: 1, ..options() }, 2);
    for seq in 0..10 {
        commit(&store, 1, seq, T0_S, names(&format!("zone{seq}-"), 100_000));
    }
    assert_eq!((store.names_of(ServerId::new(1)).owned, store.names_of(ServerId::new(1)).refused), (1_000_000, 0));
    drop(store);
    let store = open(dir.path(), Options { new_names_per_minute: 1, new_names_burst: 50, ..options() }, 2);
    commit(&store, 1, 100, T0_S, names("new", 60));
    commit(&store, 2, 100, T0_S, names("other", 50));
    assert_eq!([1, 2].map(|server_id| store.names_of(ServerId::new(server_id)).refused), [10, 0]);
}

#[test]
fn new_names_past_the_burst_come_at_the_rate_of_the_time_that_a_write_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Options { new_names_per_minute: 30, new_names_burst: 50, ..options() }, 2);
    let begun = Instant::now();
    let refused = |minutes: u64, seq: u64| {
        let before = store.names_of(ServerId::new(1)).refused;
        let write = store.begin_at(begun + Duration::from_secs(60 * minutes));
        commit_in(write, 1, seq, T0_S, names(&format!("new{seq}-"), 40));
        store.names_of(ServerId::new(1)).refused - before
    };
    assert_eq!([refused(0, 0), refused(0, 1)], [0, 30], "50 at once");
    assert_eq!([refused(1, 2), refused(1, 3)], [10, 40], "30 a minute later");
    assert_eq!([refused(60, 4), refused(60, 5)], [0, 30], "and no more than 50 after any time");
}

#[test]
fn a_server_that_is_purged_gives_its_share_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Options { max_records: 8000, ..options() }, 2);
    commit(&store, 1, 0, T0_S, names("x", 8000));
    let share = store.names_of(ServerId::new(1)).owned;
    store.registry().remove_server(ServerId::new(1), 0, true).unwrap();
    while store.upkeep(T0_S).unwrap() != Step::Idle {}
    assert_eq!((store.names_of(ServerId::new(1)).owned, store.statistics().records), (0, 1));
    commit(&store, 2, 0, T0_S, names("y", 8000));
    assert!(store.names_of(ServerId::new(2)).owned >= share);
}

#[test]
fn a_flood_of_response_codes_for_known_names_is_folded_for_its_own_server() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options { max_totals: 20_000, ..options() };
    let store = open(dir.path(), small, 2);
    commit(&store, 2, 0, T0_S, names("known", 1000));
    let mut write = store.begin();
    let known: Vec<String> = names("known", 1000).collect();
    let ids = write.record_ids(ServerId::new(1), known.iter().map(|name| (name.as_str(), RecordType::A)));
    let kinds = (1..100).map(|number| MessageKind::from_number(number).unwrap());
    let at_ms = T0_S * 1000;
    let rows = kinds.flat_map(|kind| {
        ids.iter().map(move |record_id| IntakeRow { record_id: *record_id, kind, hits: 2, first_ms: at_ms, last_ms: at_ms })
    });
    write.count_folded_as(64);
    write
        .add(Intake {
            identity: Identity { server_id: ServerId::new(1), epoch: 1, seq: 0 },
            start_s: T0_S,
            interval_s: 60,
            covered_from_ms: at_ms,
            covered_until_ms: at_ms,
            counters: vec![(2, 5), (90, 1)],
            loss: Default::default(),
            evicted: None,
            rows: rows.collect(),
        })
        .unwrap();
    write.commit().unwrap();
    let share = store.totals_of(ServerId::new(1));
    // A half of the half that is common, its own part of the other, and <other> of each kind.
    assert!(share.owned <= 10_000 + 100 && share.owned >= 9000, "{share:?}");
    let mut others = 0;
    store.totals(Some(&[ServerId::new(1)].into()), &mut |total| others += u64::from(total.record_id == RecordId::OTHER));
    assert_eq!(share.refused, 99_000 - (share.owned - others), "{share:?}");
    let mut hits = [0; 3];
    store.totals(None, &mut |total| hits[total.server_id.get() as usize] += total.hits);
    assert_eq!(hits, [0, 198_000, 2000], "no hit is lost");
    let mut counters = Vec::new();
    store
        .coverage(Some(&[ServerId::new(1)].into()), 0, u64::MAX, 0, &mut |report| {
            counters.clone_from(&report.counters);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(counters, [(2, 5), (64, 2 * share.refused), (90, 1)]);
    // The other has its part.
    commit(&store, 2, 1, T0_S, names("more", 2000));
    assert_eq!((store.totals_of(ServerId::new(2)).owned, store.totals_of(ServerId::new(2)).refused), (6000, 0));
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
    drop(store);
    let store = open(dir.path(), small, 2);
    assert_eq!([1, 2].map(|server_id| store.totals_of(ServerId::new(server_id)).owned), [share.owned, 6000]);
}

fn measure(store: &Store, server_id: u32, seq: u64, labels: impl Iterator<Item = String>) -> usize {
    let labels: Vec<String> = labels.collect();
    let mut write = store.begin();
    let ids = write.series_ids(ServerId::new(server_id), labels.iter().map(|label| ("disk_free_bytes", label.as_str())));
    let taken = ids.iter().flatten().count();
    write
        .add_system(&SystemIntake {
            identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq },
            start_s: T0_S,
            interval_s: 60,
            slots: 1,
            evicted: None,
            series: ids.into_iter().map(|series_id| SeriesIntake { series_id, values: vec![Some(1.0)] }).collect(),
        })
        .unwrap();
    write.commit().unwrap();
    taken
}

#[test]
fn a_flood_of_series_is_refused_to_its_own_server_and_to_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options { max_series: 4000, ..options() };
    let store = open(dir.path(), small, 4);
    let taken: usize = (0..4).map(|seq| measure(&store, 1, seq, names(&format!("x{seq}-"), 4000))).sum();
    assert!(taken <= 1501, "{taken}");
    for server_id in 2..=4 {
        assert_eq!(measure(&store, server_id, 0, names(&format!("real{server_id}-"), 500)), 500);
        assert_eq!(store.series_of(ServerId::new(server_id)).refused, 0);
    }
    assert_eq!(store.series_of(ServerId::new(1)).refused, (16_000 - taken) as u64);
    assert_eq!(store.statistics().refused_points, (16_000 - taken) as u64);
    drop(store);
    let store = open(dir.path(), small, 4);
    assert_eq!((store.series_of(ServerId::new(1)).owned, store.series_of(ServerId::new(2)).owned), (taken as u64, 500));
    assert_eq!(measure(&store, 1, 100, names("more", 4000)), 0);
}

/// Commits small batches of known names while it is to go on after so many; gives how long the longest took.
fn longest_commit(store: &Store, first_seq: u64, start_s: u64, go_on: impl Fn(u32) -> bool) -> (Duration, u32) {
    let (mut longest, mut commits) = (Duration::ZERO, 0);
    for seq in first_seq.. {
        if !go_on(commits) {
            break;
        }
        let begun = Instant::now();
        commit(store, 2, seq, start_s, names("real", 1000));
        longest = longest.max(begun.elapsed());
        commits += 1;
        // As whoever brings batches does, it leaves the locks to others in between.
        std::thread::sleep(Duration::from_millis(2));
    }
    (longest, commits)
}

#[test]
fn a_flood_that_is_swept_holds_no_commit_up_and_leaves_every_hit_where_it_was() {
    const FLOOD: u32 = 600_000;
    let dir = tempfile::tempdir().unwrap();
    let short = Retention { raw_minutes: 60, aggregated_days: 1 };
    let store = open(dir.path(), Options { retention: short, seal_after_quiet_s: 0, ..options() }, 3);
    for seq in 0..6 {
        commit(&store, 1, seq, T0_S, names(&format!("x{seq}-"), FLOOD / 6));
    }
    commit(&store, 2, 0, T0_S, names("real", 1000));
    let now_s = T0_S + 3 * DAY_S;
    // All points of the flood are sealed and expire; then it is swept.
    let stop = AtomicBool::new(false);
    let mut steps = BTreeMap::<&str, (Duration, u32)>::new();
    let (quiet, sweeping) = std::thread::scope(|scope| {
        let quiet = longest_commit(&store, 1000, now_s - 60, |commits| commits < 100);
        for round in 0..3 {
            while !matches!(store.upkeep(now_s + 100 * round).unwrap(), Step::Swept { .. } | Step::Idle) {}
        }
        let committing = scope.spawn(|| longest_commit(&store, 1_000_000, now_s, |_| !stop.load(Ordering::SeqCst)));
        for round in 3..6 {
            loop {
                let begun = Instant::now();
                let step = store.upkeep(now_s + 100 * round).unwrap();
                let what = match step {
                    Step::Idle => break,
                    Step::Swept { .. } => "swept",
                    Step::Looked => "looked",
                    _ => "other",
                };
                let of = steps.entry(what).or_default();
                *of = (of.0.max(begun.elapsed()), of.1 + 1);
            }
        }
        stop.store(true, Ordering::SeqCst);
        (quiet, committing.join().unwrap())
    });
    println!("longest commit: {quiet:?} without, {sweeping:?} with; longest steps: {steps:?}");
    assert!(store.statistics().records < 2000, "{:?}", store.statistics());
    assert!(sweeping.1 > 20, "{sweeping:?}: it was swept before anybody could commit");
    assert!(sweeping.0 < Duration::from_millis(100).max(2 * quiet.0), "{sweeping:?}, {quiet:?} without");
    let found = requests(&store);
    assert_eq!(found[&1], (u64::from(FLOOD), u64::from(FLOOD)), "all of it is <other> now");
    assert_eq!(found[&2].1, 0);
    assert!(store.names_of(ServerId::new(1)).owned == 0 && store.names_of(ServerId::new(2)).owned == 1000);
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
    // What was swept may come again.
    commit(&store, 1, 500, now_s, names("x0-", 5));
    assert_eq!(store.names_of(ServerId::new(1)).owned, 5);
    let dictionary = store.dictionary();
    assert_eq!(dictionary.get(zonepulse_model::RecordId::new(0)).map(|(name, _)| name), Some(OTHER));
    assert!(dictionary.find("x0-3.example.", RecordType::A).is_some());
}

#[test]
fn totals_by_record_neither_lose_nor_repeat_a_hit_while_a_flood_is_swept() {
    let dir = tempfile::tempdir().unwrap();
    let short = Retention { raw_minutes: 60, aggregated_days: 1 };
    let store = open(dir.path(), Options { retention: short, seal_after_quiet_s: 0, ..options() }, 2);
    for seq in 0..4 {
        commit(&store, 1, seq, T0_S, names(&format!("x{seq}-"), 50_000));
    }
    let now_s = T0_S + 3 * DAY_S;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut asked = 0;
            while !stop.load(Ordering::SeqCst) {
                let mut hits = 0;
                store.totals_by_record(None, None, &mut |part| {
                    hits += part.iter().map(|total| total.hits).sum::<u64>();
                    ControlFlow::Continue(())
                });
                assert_eq!(hits, 400_000);
                asked += 1;
            }
            asked
        });
        for round in 0..4 {
            while store.upkeep(now_s + 100 * round).unwrap() != Step::Idle {}
        }
        stop.store(true, Ordering::SeqCst);
        assert!(asking.join().unwrap() > 3);
    });
    assert_eq!(store.statistics().records, 1);
}
