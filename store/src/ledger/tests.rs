//! The ledger as its readers see it.

use super::adding::{MAX_RUNS, MAX_ZONES};
use crate::*;
use std::path::Path;
use zonepulse_model::{Evicted, Identity, ServerId};

/// A full hour in 2025.
const T0_S: u64 = 487_000 * 3600;
const T0_MS: u64 = T0_S * 1000;
const MINUTE_MS: u64 = 60_000;
const SERVER: ServerId = ServerId::new(1);
const DAY_S: u64 = 86_400;

fn open(dir: &Path) -> Store {
    let small = 1 << 20;
    let retention = Retention { raw_minutes: 60, aggregated_days: 30 };
    let options =
        Options { block_cache_bytes: small, write_buffer_bytes: small, retention, min_free_bytes: 0, ..Options::default() };
    Store::open(dir, &options).unwrap()
}

struct Test {
    store: Store,
    dir: tempfile::TempDir,
    seq: u64,
}

fn test() -> Test {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for name in ["ns1", "ns2"] {
        store.registry().add_server(name, false, None, 0).unwrap();
    }
    Test { store, dir, seq: 0 }
}

/// A batch of the first server that covers a minute, with these reasons.
fn minute(epoch: u64, seq: u64, minute: u64, why: &[Unobserved]) -> Intake {
    Intake {
        identity: Identity { server_id: SERVER, epoch, seq },
        start_s: T0_S + minute * 60,
        interval_s: 60,
        covered_from_ms: T0_MS + minute * MINUTE_MS,
        covered_until_ms: T0_MS + (minute + 1) * MINUTE_MS,
        counters: Vec::new(),
        loss: Loss { why: why.iter().copied().collect(), folded: Vec::new() },
        evicted: None,
        rows: Vec::new(),
    }
}

impl Test {
    fn commit(&mut self, intakes: impl IntoIterator<Item = Intake>) {
        let mut write = self.store.begin();
        for intake in intakes {
            write.add(intake).unwrap();
        }
        write.commit().unwrap();
    }

    /// Commits minutes in one epoch, one write each.
    fn minutes(&mut self, minutes: impl IntoIterator<Item = u64>, why: &[Unobserved]) {
        for at in minutes {
            self.seq += 1;
            self.commit([minute(1, self.seq, at, why)]);
        }
    }

    fn folds(&mut self, at: u64, zones: &[&str]) {
        self.seq += 1;
        let mut intake = minute(1, self.seq, at, &[]);
        intake.loss.folded = zones.iter().map(|zone| (*zone).to_owned()).collect();
        self.commit([intake]);
    }

    /// The periods within these minutes, in minutes.
    fn told(&self, minutes: std::ops::Range<u64>) -> Vec<(f64, f64, String)> {
        self.told_of(minutes, None)
    }

    fn told_of(&self, minutes: std::ops::Range<u64>, zone: Option<&str>) -> Vec<(f64, f64, String)> {
        let range = T0_MS + minutes.start * MINUTE_MS..T0_MS + minutes.end * MINUTE_MS;
        let at = |ms: u64| (ms as f64 - T0_MS as f64) / MINUTE_MS as f64;
        let periods = self.store.ledger(SERVER, range.clone(), zone).unwrap();
        assert_eq!(periods.first().map(|period| period.from_ms), Some(range.start));
        assert_eq!(periods.last().map(|period| period.until_ms), Some(range.end));
        assert!(periods.windows(2).all(|pair| pair[0].until_ms == pair[1].from_ms && pair[0].why != pair[1].why));
        let why = |why: Reasons| why.iter().map(Unobserved::as_str).collect::<Vec<_>>().join(" ");
        periods.iter().map(|period| (at(period.from_ms), at(period.until_ms), why(period.why))).collect()
    }

    /// Number of runs on disk.
    fn runs(&self) -> usize {
        let mut count = 0;
        self.store
            .inner
            .database
            .visit(crate::database::key::LEDGER, &[], |_, _| {
                count += 1;
                Ok(true)
            })
            .unwrap();
        count
    }

    fn is_sound(&self) {
        assert_eq!(self.store.check().unwrap().faults, Vec::<String>::new());
    }
}

fn periods(periods: &[(f64, f64, &str)]) -> Vec<(f64, f64, String)> {
    periods.iter().map(|(from, until, why)| (*from, *until, (*why).to_owned())).collect()
}

#[test]
fn consecutive_batches_without_loss_are_one_run() {
    let mut test = test();
    test.minutes(0..200, &[]);
    assert_eq!(test.runs(), 1);
    assert_eq!(test.told(0..200), periods(&[(0.0, 200.0, "")]));
    assert_eq!(test.told(190..210), periods(&[(190.0, 200.0, ""), (200.0, 210.0, "gap")]));
    test.is_sound();
}

#[test]
fn every_reason_is_told_for_the_time_that_its_batch_covers() {
    for reason in Unobserved::ALL.into_iter().filter(|reason| ![Unobserved::Gap, Unobserved::Evicted].contains(reason)) {
        let mut test = test();
        test.minutes(0..3, &[]);
        test.minutes(3..5, &[reason]);
        test.minutes(5..8, &[]);
        assert_eq!(test.told(0..8), periods(&[(0.0, 3.0, ""), (3.0, 5.0, reason.as_str()), (5.0, 8.0, "")]));
        assert_eq!(test.runs(), 3);
        test.is_sound();
    }
}

#[test]
fn time_without_a_batch_is_a_gap_until_a_late_one_fills_it() {
    let mut test = test();
    test.minutes((0..3).chain(5..8), &[]);
    assert_eq!(test.told(0..8), periods(&[(0.0, 3.0, ""), (3.0, 5.0, "gap"), (5.0, 8.0, "")]));
    test.minutes([4], &[]);
    assert_eq!(test.told(0..8), periods(&[(0.0, 3.0, ""), (3.0, 4.0, "gap"), (4.0, 8.0, "")]));
    test.minutes([3], &[]);
    assert_eq!((test.told(0..8), test.runs()), (periods(&[(0.0, 8.0, "")]), 1));
    test.is_sound();
}

#[test]
fn an_interval_that_is_covered_in_part_is_a_gap_otherwise() {
    let mut test = test();
    let mut intake = minute(1, 1, 0, &[]);
    intake.covered_from_ms += 15_000;
    intake.covered_until_ms -= 15_000;
    test.commit([intake]);
    assert_eq!(test.told(0..1), periods(&[(0.0, 0.25, "gap"), (0.25, 0.75, ""), (0.75, 1.0, "gap")]));
}

#[test]
fn a_batch_that_covers_nothing_leaves_no_run() {
    let mut test = test();
    let mut intake = minute(1, 1, 0, &[]);
    intake.covered_until_ms = intake.covered_from_ms;
    test.commit([intake]);
    assert_eq!((test.told(0..1), test.runs()), (periods(&[(0.0, 1.0, "gap")]), 0));
    test.is_sound();
}

#[test]
fn a_gap_in_an_evicted_range_is_evicted_until_the_batch_is_resent() {
    let mut test = test();
    test.minutes((0..3).chain([5]), &[]);
    let mut intake = minute(1, 90, 8, &[]);
    intake.evicted = Some(Evicted { batches: 4, from_s: T0_S + 2 * 60, until_s: T0_S + 8 * 60 });
    test.commit([intake]);
    let before =
        [(0.0, 3.0, ""), (3.0, 5.0, "evicted"), (5.0, 6.0, ""), (6.0, 8.0, "evicted"), (8.0, 9.0, ""), (9.0, 10.0, "gap")];
    assert_eq!(test.told(0..10), periods(&before));
    test.minutes([3, 4, 6], &[]);
    assert_eq!(test.told(0..10), periods(&[(0.0, 7.0, ""), (7.0, 8.0, "evicted"), (8.0, 9.0, ""), (9.0, 10.0, "gap")]));
    test.is_sound();
}

#[test]
fn a_batch_of_metrics_reports_evictions_and_covers_nothing() {
    let mut test = test();
    test.minutes([0, 3], &[]);
    let evicted = Some(Evicted { batches: 1, from_s: T0_S + 60, until_s: T0_S + 120 });
    let identity = Identity { server_id: SERVER, epoch: 1, seq: 90 };
    let mut write = test.store.begin();
    let intake = SystemIntake { identity, start_s: T0_S + 120, interval_s: 60, slots: 1, evicted, series: Vec::new() };
    write.add_system(&intake).unwrap();
    write.commit().unwrap();
    let expected = [(0.0, 1.0, ""), (1.0, 2.0, "evicted"), (2.0, 3.0, "gap"), (3.0, 4.0, "")];
    assert_eq!(test.told(0..4), periods(&expected));
    test.is_sound();
}

#[test]
fn a_copy_changes_nothing() {
    let mut test = test();
    test.commit([minute(1, 1, 0, &[])]);
    let version = test.store.ledger_version(SERVER);
    test.commit([minute(1, 1, 0, &[Unobserved::KernelDrop])]);
    test.commit([minute(1, 1, 5, &[])]);
    assert_eq!(test.told(0..6), periods(&[(0.0, 1.0, ""), (1.0, 6.0, "gap")]));
    assert_eq!(test.store.ledger_version(SERVER), version);
}

#[test]
fn reasons_of_two_probes_for_the_same_time_unite() {
    let mut test = test();
    test.commit([minute(1, 1, 0, &[]), minute(1, 2, 1, &[Unobserved::KernelDrop]), minute(1, 3, 2, &[])]);
    let mut other = minute(2, 1, 1, &[Unobserved::Blind]);
    other.covered_from_ms += 30_000;
    test.commit([other, minute(2, 2, 2, &[])]);
    let expected = [(0.0, 1.0, ""), (1.0, 1.5, "kernel_drop"), (1.5, 2.0, "kernel_drop blind"), (2.0, 3.0, "")];
    assert_eq!(test.told(0..3), periods(&expected));
    test.is_sound();
}

#[test]
fn the_last_run_can_be_split_and_continued() {
    let mut test = test();
    test.minutes(0..10, &[]);
    test.commit([minute(2, 1, 5, &[Unobserved::Blind])]);
    test.minutes(10..12, &[]);
    test.commit([minute(2, 2, 8, &[Unobserved::KernelDrop])]);
    let expected = [(0.0, 5.0, ""), (5.0, 6.0, "blind"), (6.0, 8.0, ""), (8.0, 9.0, "kernel_drop"), (9.0, 12.0, "")];
    assert_eq!(test.told(0..12), periods(&expected));
    test.is_sound();
}

#[test]
fn runs_that_become_alike_become_one() {
    let mut test = test();
    test.minutes([0], &[Unobserved::Blind]);
    test.minutes([1], &[]);
    test.minutes([2], &[Unobserved::Blind]);
    test.commit([minute(2, 1, 1, &[Unobserved::Blind])]);
    assert_eq!((test.told(0..3), test.runs()), (periods(&[(0.0, 3.0, "blind")]), 1));
    test.minutes([3], &[]);
    test.commit([minute(2, 2, 3, &[Unobserved::Blind])]);
    assert_eq!((test.told(0..4), test.runs()), (periods(&[(0.0, 4.0, "blind")]), 1));
    test.is_sound();
}

#[test]
fn batches_of_one_write_see_each_other() {
    let mut test = test();
    test.minutes([9], &[]);
    let mut other = minute(2, 1, 1, &[Unobserved::Blind]);
    other.covered_until_ms -= 30_000;
    test.commit([minute(1, 12, 2, &[]), minute(1, 10, 0, &[]), other, minute(1, 11, 1, &[]), minute(1, 13, 10, &[])]);
    let expected = [(0.0, 1.0, ""), (1.0, 1.5, "blind"), (1.5, 3.0, ""), (3.0, 9.0, "gap"), (9.0, 11.0, "")];
    assert_eq!(test.told(0..11), periods(&expected));
    test.is_sound();
}

#[test]
fn a_fold_concerns_its_zone_and_those_below_it() {
    let mut test = test();
    test.minutes([0], &[]);
    test.folds(1, &["example.org."]);
    test.minutes([2], &[]);
    let folded = periods(&[(0.0, 1.0, ""), (1.0, 2.0, "folded"), (2.0, 3.0, "")]);
    assert_eq!(test.told_of(0..3, Some("example.org.")), folded);
    assert_eq!(test.told_of(0..3, Some("sub.example.org.")), folded);
    for zone in [None, Some("org."), Some("ample.org."), Some("example.net.")] {
        assert_eq!(test.told_of(0..3, zone), periods(&[(0.0, 3.0, "")]), "{zone:?}");
    }
    assert_eq!(test.store.folded_zones(SERVER).unwrap(), ["example.org.".to_owned()].into());
    assert_eq!(test.store.folded_zones(ServerId::new(2)).unwrap(), [].into());
    test.is_sound();
}

#[test]
fn a_fold_without_a_zone_concerns_all_zones() {
    let mut test = test();
    let mut intake = minute(1, 1, 0, &[]);
    let (first_ms, kind) = (intake.covered_from_ms, zonepulse_dns::MessageKind::REQUEST);
    let record_id = zonepulse_model::RecordId::OTHER;
    intake.rows.push(IntakeRow { record_id, kind, hits: 1, first_ms, last_ms: first_ms });
    test.commit([intake]);
    assert_eq!(test.told(0..1), periods(&[(0.0, 1.0, "folded")]));
    test.is_sound();
}

#[test]
fn a_flood_that_comes_and_goes_is_one_run() {
    let mut test = test();
    for at in (0..30).step_by(2) {
        test.folds(at, &["example.org."]);
        test.minutes([at + 1], &[]);
    }
    test.folds(100, &["example.org."]);
    assert_eq!(test.runs(), 4);
    let expected = [(0.0, 29.0, "folded"), (29.0, 30.0, ""), (30.0, 100.0, "gap"), (100.0, 101.0, "folded")];
    assert_eq!(test.told_of(0..101, Some("example.org.")), periods(&expected));
    test.is_sound();
}

#[test]
fn folds_of_more_zones_than_there_are_lanes_concern_all_zones() {
    let mut test = test();
    let zones: Vec<String> = (0..MAX_ZONES + 1).map(|number| format!("z{number}.")).collect();
    for (at, zone) in (0..).zip(&zones) {
        test.folds(at, &[zone]);
    }
    let most = MAX_ZONES as u64;
    assert_eq!(test.told(most..most + 1)[0].2, "folded");
    // Known zones keep their lanes, also after a restart.
    let Test { store, dir, seq } = test;
    store.close().unwrap();
    drop(store);
    let mut test = Test { store: open(dir.path()), dir, seq };
    test.folds(most + 1, &["z0."]);
    test.folds(most + 2, &["new."]);
    assert_eq!(test.told(most + 1..most + 3), periods(&[(7.0, 8.0, ""), (8.0, 9.0, "folded")]));
    test.is_sound();
}

#[test]
fn a_batch_over_too_many_runs_makes_them_one_and_observes_nothing_that_was_not() {
    let mut test = test();
    let pieces = (0..MAX_RUNS as u64 + 4).map(|seq| {
        let mut intake = minute(1, 100 + seq, 0, if seq.is_multiple_of(2) { &[] } else { &[Unobserved::Blind] });
        intake.covered_from_ms += 1000 + seq;
        intake.covered_until_ms = intake.covered_from_ms + 1;
        intake
    });
    test.commit(pieces);
    assert!(test.runs() > MAX_RUNS);
    test.minutes([0], &[]);
    assert_eq!((test.told(0..1), test.runs()), (periods(&[(0.0, 1.0, "gap blind")]), 1));
    test.is_sound();
}

#[test]
fn ninety_days_are_proven_although_reports_expire_after_thirty() {
    let mut test = test();
    let days = 90;
    for hour in 0..days * 24 {
        let mut write = test.store.begin();
        for at in 0..12 {
            test.seq += 1;
            let mut intake = minute(1, test.seq, hour * 60 + at * 5, &[]);
            intake.interval_s = 300;
            intake.covered_until_ms += 4 * MINUTE_MS;
            write.add(intake).unwrap();
        }
        write.commit().unwrap();
    }
    let now_s = T0_S + days * DAY_S;
    while test.store.upkeep(now_s).unwrap() != Step::Idle {}
    let mut reports = 0;
    let each = &mut |_: &Report| {
        reports += 1;
        std::ops::ControlFlow::Continue(())
    };
    test.store.coverage(None, 0, now_s, now_s, each).unwrap();
    assert!(reports <= 30 * 288);
    let observed = test.store.observation(SERVER, T0_MS..now_s * 1000, None).unwrap();
    assert!(observed.is_complete() && observed.total_ms == days * DAY_S * 1000, "{observed:?}");
    test.is_sound();
}

#[test]
fn an_observation_adds_up_what_was_missed_for_each_reason() {
    let mut test = test();
    test.minutes(0..6, &[]);
    test.minutes([6], &[Unobserved::KernelDrop, Unobserved::Blind]);
    let observed = test.store.observation(SERVER, T0_MS..T0_MS + 8 * MINUTE_MS, None).unwrap();
    assert_eq!((observed.share(), observed.is_complete()), (0.75, false));
    let missed: Vec<_> = observed.missed_ms.into_iter().map(|(reason, ms)| (reason.as_str(), ms / MINUTE_MS)).collect();
    assert_eq!(missed, [("gap", 1), ("kernel_drop", 1), ("blind", 1)]);
    assert_eq!(Observation::default().share(), 1.0);
}

#[test]
fn a_visit_can_end_after_any_period() {
    let mut test = test();
    for at in 0..20 {
        test.minutes([at], if at % 2 == 0 { &[] } else { &[Unobserved::Blind] });
    }
    let mut visited = Vec::new();
    let each = &mut |period: Period| {
        visited.push(period);
        if visited.len() == 7 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    };
    let range = T0_MS..T0_MS + 20 * MINUTE_MS;
    test.store.visit_ledger(SERVER, range.clone(), None, each).unwrap();
    let all = test.store.ledger(SERVER, range, None).unwrap();
    assert_eq!((all.len(), &visited[..]), (20, &all[..7]));
}

#[test]
fn removing_a_server_removes_its_ledger_and_no_other() {
    let mut test = test();
    test.folds(0, &["example.org."]);
    let mut other = minute(1, 1, 0, &[]);
    other.identity.server_id = ServerId::new(2);
    test.commit([other]);
    let before = test.store.ledger_version(SERVER);
    test.store.registry().remove_server(SERVER, 0, true).unwrap();
    assert_eq!(test.told_of(0..1, Some("example.org.")), periods(&[(0.0, 1.0, "gap")]));
    assert_eq!(test.runs(), 1);
    assert!(test.store.ledger_version(SERVER) > before);
    test.is_sound();
}

#[test]
fn time_of_dropped_batches_becomes_a_gap() {
    let mut test = test();
    test.minutes(0..180, &[]);
    test.folds(180, &["example.org."]);
    let rebuild = |before: Option<u64>, from: Option<u64>, dry_run| Rebuild {
        server_id: SERVER,
        records: None,
        drop_before_s: before.map(|hour| T0_S + hour * 3600),
        drop_from_s: from.map(|hour| T0_S + hour * 3600),
        believed_ms: 0..u64::MAX,
        dry_run,
    };
    let planned = test.store.registry().rebuild_totals(&rebuild(Some(1), Some(2), true)).unwrap();
    assert_eq!((planned.dropped_batches, planned.uncovered_ms), (121, 121 * MINUTE_MS));
    assert_eq!(test.told(0..181), periods(&[(0.0, 181.0, "")]));
    test.store.registry().rebuild_totals(&rebuild(Some(1), Some(2), false)).unwrap();
    assert_eq!(test.told(0..181), periods(&[(0.0, 60.0, "gap"), (60.0, 120.0, ""), (120.0, 181.0, "gap")]));
    assert_eq!(test.runs(), 1);
    // A late batch continues what is left.
    test.minutes([120], &[]);
    assert_eq!(test.told(60..121), periods(&[(60.0, 121.0, "")]));
    test.is_sound();
}

#[test]
fn time_whose_reports_have_expired_can_be_dropped() {
    let mut test = test();
    test.minutes(0..60, &[]);
    while test.store.upkeep(T0_S + 100 * DAY_S).unwrap() != Step::Idle {}
    let rebuild = Rebuild {
        server_id: SERVER,
        records: None,
        drop_before_s: Some(T0_S + 3600),
        drop_from_s: None,
        believed_ms: 0..u64::MAX,
        dry_run: false,
    };
    let rebuilt = test.store.registry().rebuild_totals(&rebuild).unwrap();
    assert_eq!((rebuilt.dropped_batches, rebuilt.uncovered_ms), (0, 60 * MINUTE_MS));
    assert_eq!(test.told(0..60), periods(&[(0.0, 60.0, "gap")]));
}

#[test]
fn faults_of_the_ledger_are_told_of() {
    use crate::database::key::{LEDGER, ledger_prefix};
    let spoil = |value: Option<Vec<u8>>| {
        let mut test = test();
        test.minutes(0..3, &[]);
        let key = [&ledger_prefix(SERVER, 0, "")[..], &T0_MS.to_be_bytes()].concat();
        let mut batch = rocksdb::WriteBatch::default();
        match value {
            Some(value) => batch.put_cf(test.store.inner.database.family(LEDGER), key, value),
            None => batch.delete_cf(test.store.inner.database.family(LEDGER), key),
        }
        test.store.inner.database.write(batch, true).unwrap();
        test.store.check().unwrap().faults
    };
    assert!(spoil(None)[0].contains("the ledger says nothing"));
    assert!(spoil(Some(vec![9]))[0].contains("run version"));
    let run = |length_ms, why| super::run::Run { from_ms: T0_MS, until_ms: T0_MS + length_ms, why }.encode();
    assert!(spoil(Some(run(4 * MINUTE_MS, Reasons::NONE)))[0].contains("the reports nothing"));
    assert!(spoil(Some(run(2 * MINUTE_MS, Reasons::NONE)))[0].contains("the ledger says nothing"));
    assert!(spoil(Some(run(3 * MINUTE_MS, Unobserved::Blind.into())))[0].contains("blind"));
}

/// Size on disk for each server and day, in bytes, of minutes whose reasons `why` tells.
fn bytes_per_day(why: impl Fn(u64) -> &'static [Unobserved]) -> f64 {
    let (servers, days) = (20, 5);
    let test = test();
    for day in 0..days {
        for server in 1..=servers {
            let mut write = test.store.begin();
            for at in 0..1440 {
                let at = day * 1440 + at;
                let mut intake = minute(1, at, at, why(at));
                intake.identity.server_id = ServerId::new(server);
                write.add(intake).unwrap();
            }
            write.commit().unwrap();
        }
    }
    let (database, family) = (&test.store.inner.database, crate::database::key::LEDGER);
    database.flush().unwrap();
    database.compact(family, &[], &[u8::MAX; 8]);
    database.family_bytes(family) as f64 / f64::from(servers) / days as f64
}

#[test]
fn a_day_costs_little_even_if_every_other_minute_has_a_loss() {
    let calm = bytes_per_day(|_| &[]);
    let alternating = bytes_per_day(|at| if at.is_multiple_of(2) { &[] } else { &[Unobserved::KernelDrop] });
    println!("{calm:.1} bytes a day without loss, {alternating:.0} if every other minute has one");
    assert!(calm < 20.0 && alternating < 16_384.0, "{calm}, {alternating}");
}
