use super::*;
use crate::times::Bounds;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_model::{Identity, ServerId};
use zonepulse_store::{Level, Options, SystemSelection};
use zonepulse_wire::{Batch, Counter, Counters, Coverage, Records, Row, Series, SystemBatch};

/// A full hour in 2025.
const T0_S: u64 = 487_000 * 3600;

fn batch(server_id: u32, seq: u64, names: &[&str]) -> Batch {
    let mut records = Records::new();
    let mut rows = Vec::new();
    for name in names {
        let record = records.push(name, RecordType::A);
        rows.push(Row { record, kind: MessageKind::REQUEST, hits: 1, first_ms: 5, last_ms: 7 });
    }
    Batch {
        identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq },
        start_s: T0_S + 600,
        interval_s: 60,
        coverage: Coverage { from_ms: (T0_S + 600) * 1000, until_ms: (T0_S + 660) * 1000 },
        counters: Counters::new(),
        evicted: None,
        records,
        rows,
    }
}

struct Central {
    ingest: Ingest,
    store: Store,
    _dir: tempfile::TempDir,
}

fn central() -> Central {
    central_with(Options::default(), Settings::default(), 1)
}

fn central_with(options: Options, settings: Settings, servers: u32) -> Central {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &options).unwrap();
    for number in 0..servers {
        store.registry().add_server(&format!("s{number}"), false, None, 0).unwrap();
    }
    Central { ingest: Ingest::start(store.clone(), settings).unwrap(), store, _dir: dir }
}

fn bytes(batch: &Batch) -> Bytes {
    batch.encode().unwrap().into()
}

fn hits(store: &Store) -> u64 {
    let mut hits = 0;
    store.totals(None, &mut |total| hits += total.hits);
    hits
}

fn metrics(seq: u64, interval_s: u32) -> SystemBatch {
    let series = |metric: &str, label: &str, values: [Option<f64>; 3]| Series {
        metric: metric.to_owned(),
        label: label.to_owned(),
        values: values.to_vec(),
    };
    SystemBatch {
        identity: Identity { server_id: ServerId::new(1), epoch: 1, seq },
        start_s: T0_S / u64::from(interval_s) * u64::from(interval_s),
        interval_s,
        slots: 3,
        evicted: None,
        series: vec![
            series("cpu_percent", "0", [Some(12.5), None, Some(13.0)]),
            series("disk_free_bytes", "/", [Some(1e12), Some(1e12), Some(1e12)]),
        ],
    }
}

#[tokio::test]
async fn metrics_and_dns_are_one_sequence_and_count_once_each() {
    let central = central();
    let system: Bytes = metrics(1, 5).encode().unwrap().into();
    let all = [bytes(&batch(1, 0, &["a."])), system.clone(), system, metrics(0, 5).encode().unwrap().into()];
    let outcomes =
        futures::future::join_all(all.map(|bytes| central.ingest.receive(bytes, Sender::Server(ServerId::new(1))))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    // What has the number of a batch of DNS that is in is a copy of it, whatever it says.
    let Statistics { committed, duplicates, refused, .. } = central.ingest.statistics();
    assert_eq!((committed, duplicates, refused), (2, 2, 0));
    let mut told = Vec::new();
    let each = &mut |points: &zonepulse_store::SystemPoints| {
        let series = central.store.series();
        let (metric, label) = series.get(points.series_id).unwrap();
        told.push((format!("{metric} {label}"), points.starts_s.clone(), points.values.clone()));
        ControlFlow::Continue(())
    };
    central.store.system(Level::Raw, T0_S, &SystemSelection::all(), each).unwrap();
    let cpu = ("cpu_percent 0".to_owned(), vec![T0_S, T0_S + 10], vec![12.5, 13.0]);
    assert_eq!(told, [cpu, ("disk_free_bytes /".to_owned(), vec![T0_S, T0_S + 5, T0_S + 10], vec![1e12; 3])]);
    assert_eq!(central.store.check().unwrap().faults, Vec::<String>::new());
}

#[tokio::test]
async fn slots_that_would_lie_across_two_roll_ups_are_refused() {
    let central = central();
    let error =
        central.ingest.receive(metrics(0, 7).encode().unwrap().into(), Sender::Server(ServerId::new(1))).await.unwrap_err();
    assert!(matches!(error, Error::Interval(7)) && error.is_final());
}

#[tokio::test]
async fn a_batch_is_in_the_store_when_the_answer_comes() {
    let central = central();
    let outcome = central.ingest.receive(bytes(&batch(1, 0, &["a.", "b."])), Sender::Server(ServerId::new(1))).await;
    assert!(matches!(outcome, Ok(Outcome::Committed)));
    assert_eq!(hits(&central.store), 2);
}

#[tokio::test]
async fn a_batch_that_comes_twice_counts_once() {
    let central = central();
    let bytes = bytes(&batch(1, 0, &["a."]));
    let outcomes = futures::future::join_all(
        [Sender::Server(ServerId::new(1)); 3].map(|sender| central.ingest.receive(bytes.clone(), sender)),
    );
    let committed = outcomes.await.into_iter().filter(|outcome| matches!(outcome, Ok(Outcome::Committed))).count();
    assert_eq!((committed, hits(&central.store)), (1, 1));
    let statistics = central.ingest.statistics();
    assert_eq!((statistics.committed, statistics.duplicates, statistics.refused), (1, 2, 0));
    assert_eq!((statistics.points, statistics.received_bytes), (1, 3 * bytes.len() as u64));
}

#[tokio::test]
async fn a_copy_leaves_no_name_behind() {
    let central = central();
    central.ingest.receive(bytes(&batch(1, 0, &["a."])), Sender::Server(ServerId::new(1))).await.unwrap();
    let before = central.store.dictionary().len();
    central.ingest.receive(bytes(&batch(1, 0, &["other."])), Sender::Server(ServerId::new(1))).await.unwrap();
    assert_eq!(central.store.dictionary().len(), before);
}

#[tokio::test]
async fn many_batches_at_once_are_all_counted() {
    let central = central();
    let all = (0..200).map(|seq| bytes(&batch(1, seq, &["a.", "b.", "c."])));
    let outcomes =
        futures::future::join_all(all.map(|bytes| central.ingest.receive(bytes, Sender::Server(ServerId::new(1))))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Outcome::Committed))));
    assert_eq!(hits(&central.store), 600);
}

/// Names as one server makes them up.
fn flood(server_id: u32, seq: u64, count: u32) -> Batch {
    let names: Vec<String> = (0..count).map(|number| format!("x{seq}-{number}.example.")).collect();
    batch(server_id, seq, &names.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test]
async fn names_past_a_servers_share_are_counted_in_its_coverage_and_not_in_anothers() {
    let central = central_with(Options { max_records: 100, ..Options::default() }, Settings::default(), 2);
    let send = async |batch: Batch| {
        let server_id = batch.identity.server_id;
        central.ingest.receive(bytes(&batch), Sender::Server(server_id)).await.unwrap()
    };
    send(flood(1, 0, 90)).await;
    let mut with_other = flood(2, 0, 20);
    let other = with_other.records.push(zonepulse_store::OTHER, RecordType::new(0));
    with_other.rows.push(Row { record: other, kind: MessageKind::REQUEST, hits: 7, first_ms: 5, last_ms: 7 });
    send(with_other).await;
    assert_eq!(hits(&central.store), 90 + 20 + 7);
    let mut told = Vec::new();
    let each = &mut |report: &zonepulse_store::Report| {
        told.push((report.server_id, report.hits, report.counters.clone()));
        ControlFlow::Continue(())
    };
    central.store.coverage(None, 0, u64::MAX, T0_S + 700, each).unwrap();
    let folded = central.store.names_of(ServerId::new(1)).refused;
    let number = |counter: Counter| counter.number();
    let counted = vec![(number(Counter::NamesFoldedByCentral), folded), (number(Counter::HitsFoldedByCentral), folded)];
    assert!(folded >= 40, "{folded}");
    // Whichever zones they are in, the server cannot prove that nobody asked for a name.
    let covered = (T0_S + 600) * 1000..(T0_S + 660) * 1000;
    for server_id in [1, 2].map(ServerId::new) {
        let observed = central.store.ledger(server_id, covered.clone(), None).unwrap();
        assert_eq!(observed[0].why, zonepulse_store::Unobserved::Folded.into());
    }
    // What the second's own probe folded is not told again.
    assert_eq!(told, [(ServerId::new(1), 90, counted), (ServerId::new(2), 27, Vec::new())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_that_sends_all_it_can_holds_up_no_other() {
    let settings = Settings { queue_batches: 64, patience: Duration::from_secs(60), ..Settings::default() };
    let central = central_with(Options::default(), settings, 3);
    let large: Vec<Bytes> = (0..40).map(|seq| bytes(&flood(1, seq, 20_000))).collect();
    let small: Vec<Bytes> = (0..2000).map(|seq| bytes(&batch(2, seq, &["a."]))).collect();
    let floods = large.into_iter().map(|bytes| (1, bytes)).chain(small.into_iter().take(200).map(|bytes| (2, bytes)));
    let running: Vec<_> = floods
        .map(|(server_id, bytes)| {
            let ingest = central.ingest.clone();
            tokio::spawn(async move { ingest.receive(bytes, Sender::Server(ServerId::new(server_id))).await })
        })
        .collect();
    while central.ingest.statistics().committed == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for seq in 0..5 {
        let goes_on = !running.iter().all(tokio::task::JoinHandle::is_finished);
        assert!(goes_on || seq > 1, "the floods were over before the third came");
        let before = central.ingest.statistics().committed;
        central.ingest.receive(bytes(&batch(3, seq, &["b.", "c."])), Sender::Server(ServerId::new(3))).await.unwrap();
        let meanwhile = central.ingest.statistics().committed - before;
        // The write that was under way, and the one that it was in.
        assert!(meanwhile <= 2 * settings.group_batches as u64 + 1, "{meanwhile} batches of the others came first");
        let held = central.ingest.on_the_way(ServerId::new(1));
        assert!(held.batches <= 32, "half of the places: {held:?}");
    }
    for outcome in running {
        outcome.await.unwrap().unwrap();
    }
    assert_eq!(central.ingest.statistics().waiting, 0);
    assert_eq!(hits(&central.store), 40 * 20_000 + 200 + 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_finds_no_place_is_asked_to_come_again_and_the_others_are_not() {
    let settings = Settings { queue_batches: 4, patience: Duration::ZERO, ..Settings::default() };
    let central = central_with(Options::default(), settings, 2);
    // Nothing is written meanwhile.
    let write = central.store.begin();
    let ingest = central.ingest.clone();
    let mut running = Vec::new();
    for seq in 0..2 {
        let (ingest, bytes) = (ingest.clone(), bytes(&batch(1, seq, &["a."])));
        running.push(tokio::spawn(async move { ingest.receive(bytes, Sender::Server(ServerId::new(1))).await }));
        while ingest_holds(&central, 1) <= seq {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let refused = central.ingest.receive(bytes(&batch(1, 9, &["a."])), Sender::Server(ServerId::new(1))).await;
    assert!(matches!(refused, Err(Error::Busy)), "{refused:?}");
    let second = {
        let bytes = bytes(&batch(2, 0, &["b."]));
        tokio::spawn(async move { ingest.receive(bytes, Sender::Server(ServerId::new(2))).await })
    };
    while ingest_holds(&central, 2) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(write);
    for outcome in running.into_iter().chain([second]) {
        outcome.await.unwrap().unwrap();
    }
    assert_eq!([1, 2].map(|server_id| central.ingest.on_the_way(ServerId::new(server_id)).postponed), [1, 0]);
}

fn ingest_holds(central: &Central, server_id: u32) -> u64 {
    central.ingest.on_the_way(ServerId::new(server_id)).batches
}

#[tokio::test]
async fn a_server_may_send_only_for_itself() {
    let central = central();
    let error = central.ingest.receive(bytes(&batch(2, 0, &["a."])), Sender::Server(ServerId::new(1))).await.unwrap_err();
    assert!(matches!(error, Error::WrongServer { own, found } if (own.get(), found.get()) == (1, 2)));
}

#[tokio::test]
async fn a_server_that_nobody_added_is_not_taken_and_not_refused_for_good() {
    let central = central();
    let error = central.ingest.receive(bytes(&batch(2, 0, &["a."])), Sender::Server(ServerId::new(2))).await.unwrap_err();
    assert!(matches!(error, Error::UnknownServer(id) if id.get() == 2) && !error.is_final());
}

#[tokio::test]
async fn an_interval_that_would_lie_across_two_roll_ups_is_refused() {
    let central = central();
    let mut odd = batch(1, 0, &["a."]);
    (odd.start_s, odd.interval_s) = (T0_S / 7 * 7, 7);
    (odd.coverage.from_ms, odd.coverage.until_ms) = (odd.start_s * 1000, odd.start_s * 1000 + 7000);
    let error = central.ingest.receive(bytes(&odd), Sender::Server(ServerId::new(1))).await.unwrap_err();
    assert!(matches!(error, Error::Interval(7)) && error.is_final());
}

#[tokio::test]
async fn an_unknown_version_is_told_apart_from_rubbish() {
    let central = central();
    let mut newer = batch(1, 0, &["a."]).encode().unwrap();
    newer[4] = 9;
    let error = central.ingest.receive(newer.into(), Sender::Server(ServerId::new(1))).await.unwrap_err();
    assert!(matches!(error, Error::UnknownVersion(_)), "{error}");
    let error = central.ingest.receive(Bytes::from_static(b"rubbish"), Sender::Server(ServerId::new(1))).await.unwrap_err();
    assert!(matches!(error, Error::Malformed(_)), "{error}");
    assert_eq!(central.ingest.statistics().refused, 2);
}

#[tokio::test]
async fn a_batch_of_the_future_is_taken_when_its_time_has_come() {
    let central = central();
    let now_s = (times::now_ms() / 1000) / 60 * 60;
    let of = |start_s: u64| {
        let coverage = Coverage { from_ms: start_s * 1000, until_ms: start_s * 1000 };
        Batch { start_s, coverage, ..batch(1, start_s, &["a."]) }
    };
    let receive = async |start_s| central.ingest.receive(bytes(&of(start_s)), Sender::Server(ServerId::new(1))).await;
    assert!(matches!(receive(now_s + 540).await, Ok(Outcome::Committed)), "within the tolerance");
    for ahead_s in [3600, 86_400 * 365 * 50] {
        let error = receive(now_s + ahead_s / 60 * 60).await.unwrap_err();
        assert!(matches!(error, Error::Ahead { max_ahead_s: 600, .. }) && !error.is_final(), "{error}");
    }
    // Its number is as free as before.
    assert_eq!((central.ingest.statistics().postponed, hits(&central.store)), (2, 1));
    let tolerant = Settings { max_ahead_s: 7200, ..Settings::default() };
    let ingest = Ingest::start(central.store.clone(), tolerant).unwrap();
    let outcome = ingest.receive(bytes(&of(now_s + 3600)), Sender::Server(ServerId::new(1))).await;
    assert!(matches!(outcome, Ok(Outcome::Committed)));
}

#[tokio::test]
async fn the_last_slot_of_metrics_must_have_come_too() {
    let central = central();
    let mut batch = metrics(0, 300);
    batch.start_s = (times::now_ms() / 1000) / 300 * 300 - 300;
    let slots = |count: usize| {
        let series = batch.series.iter().map(|series| Series { values: vec![Some(1.0); count], ..series.clone() });
        SystemBatch { slots: count as u32, series: series.collect(), ..batch.clone() }
    };
    let receive =
        async |batch: SystemBatch| central.ingest.receive(batch.encode().unwrap().into(), Sender::Server(ServerId::new(1))).await;
    assert!(matches!(receive(slots(100)).await, Err(Error::Ahead { .. })));
    assert!(matches!(receive(slots(2)).await, Ok(Outcome::Committed)));
}

#[test]
fn a_time_is_taken_up_to_its_bounds_in_both_directions() {
    let bounds = Bounds { max_ahead_s: 600, max_age_days: 30 };
    let message = Message::Dns(batch(1, 0, &[]));
    let start_s = message.start_s();
    let age_s = 30 * 86_400;
    assert!(bounds.check(&message, start_s - 600).is_ok() && bounds.check(&message, start_s + age_s).is_ok());
    let ahead = bounds.check(&message, start_s - 601).unwrap_err();
    assert!(matches!(ahead, Error::Ahead { ahead_s: 601, max_ahead_s: 600 }) && !ahead.is_final(), "{ahead}");
    let old = bounds.check(&message, start_s + age_s + 1).unwrap_err();
    assert!(matches!(old, Error::TooOld { age_days: 30, max_age_days: 30, .. }) && old.is_final(), "{old}");
    // A central whose own clock has lost its time postpones everything and refuses nothing for good.
    assert!(bounds.check(&message, 0).is_err_and(|error| !error.is_final()));
}

#[test]
fn a_clock_that_shows_a_time_before_there_was_a_central_or_its_first_server_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &Options::default()).unwrap();
    let bounds = Bounds { max_ahead_s: 600, max_age_days: 30 };
    let behind_s = |now_s: u64| match bounds.check_clock(&store.registry().servers().unwrap(), now_s) {
        Err(error @ Error::Behind { behind_s }) if !error.is_final() => Some(behind_s),
        Err(other) => panic!("{other}"),
        Ok(()) => None,
    };
    let year_2025 = 1_735_689_600;
    assert_eq!([0, 946_684_800].map(behind_s), [Some(year_2025), Some(year_2025 - 946_684_800)], "1970 and 2000");
    assert_eq!(behind_s(year_2025 - 600), None);
    let added_s = 1_795_000_000;
    for (name, added_s) in [("one", added_s), ("another", added_s + 86_400)] {
        store.registry().add_server(name, false, None, added_s * 1000).unwrap();
    }
    assert_eq!([added_s - 600, added_s - 601].map(behind_s), [None, Some(601)], "the first one counts");
    // One that is removed does not count.
    store.registry().remove_server(ServerId::new(1), 1, false).unwrap();
    assert_eq!([added_s, added_s + 86_400].map(behind_s), [Some(86_400), None]);
}

#[tokio::test]
async fn times_of_evicted_batches_are_cut_to_those_that_batches_may_have() {
    let central = central();
    let evicted = |seq, from_s, until_s| {
        let evicted = Some(zonepulse_model::Evicted { batches: 2, from_s, until_s });
        bytes(&Batch { evicted, ..batch(1, seq, &["a."]) })
    };
    let now_s = times::now_ms() / 1000;
    for sent in [evicted(0, 0, 200_000_000_000), evicted(1, T0_S, T0_S + 60), evicted(2, 0, 60)] {
        central.ingest.receive(sent, Sender::Server(ServerId::new(1))).await.unwrap();
    }
    let metrics = SystemBatch { evicted: Some(zonepulse_model::Evicted { batches: 1, from_s: 0, until_s: 1 }), ..metrics(3, 5) };
    central.ingest.receive(metrics.encode().unwrap().into(), Sender::Server(ServerId::new(1))).await.unwrap();
    let mut told = BTreeMap::new();
    let each = &mut |report: &zonepulse_store::Report| {
        told.extend(report.evicted.map(|evicted| (report.seq, (evicted.batches, evicted.from_s, evicted.until_s))));
        ControlFlow::Continue(())
    };
    central.store.coverage(None, 0, u64::MAX, T0_S + 700, each).unwrap();
    let earliest_s = now_s - 25 * 365 * 86_400;
    // A moment later, if the machine is slow.
    let near = |time_s: u64, expected_s: u64| (expected_s..expected_s + 60).contains(&time_s);
    let (batches, from_s, until_s) = told[&0];
    assert!(batches == 2 && near(from_s, earliest_s) && near(until_s, now_s + 600), "{told:?}");
    assert_eq!(told[&1], (2, T0_S, T0_S + 60), "what can be right stays");
    for seq in [2, 3] {
        let (_, from_s, until_s) = told[&seq];
        assert!(near(from_s, earliest_s) && from_s == until_s, "{told:?}");
    }
}

#[test]
fn the_default_takes_captures_of_years_ago_and_no_clock_that_lost_its_time() {
    let settings = Settings::default();
    let bounds = Bounds { max_ahead_s: settings.max_ahead_s, max_age_days: settings.max_age_days };
    let of = |start_s| Message::Dns(Batch { start_s, ..batch(1, 0, &[]) });
    // November 2026.
    let now_s = 1_795_000_000;
    let [year_1970, year_1980, year_2000, year_2005] = [0, 315_532_800, 946_684_800, 1_104_537_600];
    for lost in [year_1970, year_1980, year_2000] {
        assert!(matches!(bounds.check(&of(lost), now_s), Err(Error::TooOld { .. })), "{lost}");
    }
    assert!(bounds.check(&of(year_2005), now_s).is_ok());
}

#[test]
fn what_the_store_refuses_for_what_it_says_is_refused_for_good() {
    for error in [zonepulse_store::Error::TooLate { epoch: 1, seq: 2 }, zonepulse_store::Error::BadIntake("rows")] {
        assert!(Error::from(error).is_final());
    }
}

#[tokio::test]
async fn a_batch_of_1970_is_refused_for_good_and_its_number_stays_free() {
    let central = central();
    let names = central.store.dictionary().len();
    let at = |start_s: u64| Batch {
        start_s,
        coverage: Coverage { from_ms: start_s * 1000, until_ms: start_s * 1000 },
        ..batch(1, 0, &["a."])
    };
    let error = central.ingest.receive(bytes(&at(600)), Sender::Server(ServerId::new(1))).await.unwrap_err();
    assert!(matches!(error, Error::TooOld { start_s: 600, .. }) && error.to_string().contains("max_age_days"), "{error}");
    assert_eq!((central.ingest.statistics().refused, hits(&central.store)), (1, 0));
    assert_eq!(central.store.dictionary().len(), names);
    let outcome = central.ingest.receive(bytes(&at(T0_S)), Sender::Server(ServerId::new(1))).await;
    assert!(matches!(outcome, Ok(Outcome::Committed)), "{outcome:?}");
    assert_eq!(central.store.check().unwrap().faults, Vec::<String>::new());
}

#[tokio::test]
async fn metrics_of_1970_are_refused_too() {
    let central = central();
    let old = SystemBatch { start_s: 1500, ..metrics(0, 5) };
    let error = central.ingest.receive(old.encode().unwrap().into(), Sender::Server(ServerId::new(1))).await.unwrap_err();
    assert!(matches!(error, Error::TooOld { start_s: 1500, .. }), "{error}");
    assert_eq!(central.store.statistics().series, 0);
}

#[tokio::test]
async fn a_copy_of_a_batch_that_is_in_is_confirmed_however_old_it_is_by_now() {
    let central = central();
    let sent = bytes(&batch(1, 0, &["a."]));
    central.ingest.receive(sent.clone(), Sender::Server(ServerId::new(1))).await.unwrap();
    let strict = Ingest::start(central.store.clone(), Settings { max_age_days: 1, ..Settings::default() }).unwrap();
    assert!(matches!(strict.receive(sent, Sender::Server(ServerId::new(1))).await, Ok(Outcome::Duplicate)));
    let error = strict.receive(bytes(&batch(1, 1, &["a."])), Sender::Server(ServerId::new(1))).await.unwrap_err();
    assert!(matches!(error, Error::TooOld { max_age_days: 1, .. }), "{error}");
}

#[tokio::test]
async fn refused_times_are_counted_by_server_and_direction() {
    let central = central_with(Options::default(), Settings::default(), 2);
    let at = |server_id, start_s: u64| {
        let coverage = Coverage { from_ms: start_s * 1000, until_ms: start_s * 1000 };
        bytes(&Batch { start_s, coverage, ..batch(server_id, 0, &["a."]) })
    };
    let ahead_s = (times::now_ms() / 1000) / 60 * 60 + 86_400 * 365 * 10;
    for start_s in [600, ahead_s, ahead_s] {
        central.ingest.receive(at(1, start_s), Sender::Server(ServerId::new(1))).await.unwrap_err();
    }
    assert_eq!(
        [1, 2].map(|id| central.ingest.bad_times(ServerId::new(id))),
        [BadTimes { ahead: 2, too_old: 1 }, BadTimes::default()]
    );
}

#[tokio::test]
async fn the_next_report_tells_of_what_a_broker_s_messages_were_refused_and_of_nothing_that_a_probe_tells_itself() {
    let central = central();
    let old = |seq| {
        bytes(&Batch { start_s: 600, coverage: Coverage { from_ms: 600_000, until_ms: 600_000 }, ..batch(1, seq, &["a."]) })
    };
    for sender in [Sender::Signed(ServerId::new(1)), Sender::Signed(ServerId::new(1)), Sender::Server(ServerId::new(1))] {
        central.ingest.receive(old(0), sender).await.unwrap_err();
    }
    // Refusing alone tells nothing: the message may come again. Two are in the dead-letter queue.
    assert_eq!(central.ingest.untold.take(ServerId::new(1)), 0);
    central.ingest.untold.add(ServerId::new(1), 2);
    // Metrics have no counters; a copy is no report.
    central.ingest.receive(metrics(0, 5).encode().unwrap().into(), Sender::Signed(ServerId::new(1))).await.unwrap();
    for seq in [1, 1, 2] {
        central.ingest.receive(bytes(&batch(1, seq, &["a."])), Sender::Signed(ServerId::new(1))).await.unwrap();
    }
    let mut told = Vec::new();
    let each = &mut |report: &zonepulse_store::Report| {
        told.push((report.seq, report.counters.clone()));
        ControlFlow::Continue(())
    };
    central.store.coverage(None, 0, u64::MAX, T0_S + 700, each).unwrap();
    assert_eq!(told, [(1, vec![(Counter::BatchesRefused.number(), 2)]), (2, Vec::new())]);
}

#[tokio::test]
async fn numbers_past_their_bounds_are_refused_for_good_and_change_no_sum() {
    let central = central();
    central.ingest.receive(bytes(&batch(1, 0, &["a."])), Sender::Server(ServerId::new(1))).await.unwrap();
    let refused: [fn(&mut Batch); 3] =
        [|batch| batch.identity.seq = u64::MAX, |batch| batch.rows[0].hits = u64::MAX, |batch| batch.start_s = 1_099_511_627_760];
    for change in refused {
        let mut batch = batch(1, 1, &["a."]);
        change(&mut batch);
        let error = central.ingest.receive(bytes(&batch), Sender::Server(ServerId::new(1))).await.unwrap_err();
        assert!(matches!(error, Error::Malformed(_)) && error.is_final(), "{error}");
    }
    central.ingest.receive(bytes(&batch(1, 1, &["a."])), Sender::Server(ServerId::new(1))).await.unwrap();
    assert_eq!((hits(&central.store), central.ingest.statistics().refused), (2, 3));
    assert_eq!(central.store.check().unwrap().faults, Vec::<String>::new());
}

#[tokio::test]
async fn what_a_probe_gave_up_is_counted_once_for_its_server() {
    let central = central_with(Options::default(), Settings::default(), 2);
    let evicted = Some(zonepulse_model::Evicted { batches: 13, from_s: T0_S, until_s: T0_S + 600 });
    let told = bytes(&Batch { evicted, ..batch(1, 1, &["a.example."]) });
    for expected in [Outcome::Committed, Outcome::Duplicate] {
        assert_eq!(central.ingest.receive(told.clone(), Sender::Server(ServerId::new(1))).await.unwrap(), expected);
    }
    let lost = |server_id| central.ingest.lost(server_id);
    assert_eq!((lost(ServerId::new(1)), lost(ServerId::new(2))), (Lost { evicted: 13, refused: 0 }, Lost::default()));
}

#[tokio::test]
async fn refused_batches_are_counted_for_the_server_whose_token_was_shown() {
    let central = central_with(Options::default(), Settings::default(), 2);
    central.ingest.receive(bytes(&batch(1, 1, &["a.example."])), Sender::Server(ServerId::new(2))).await.unwrap_err();
    let lost = |server_id| central.ingest.lost(server_id);
    assert_eq!((lost(ServerId::new(1)), lost(ServerId::new(2))), (Lost::default(), Lost { evicted: 0, refused: 1 }));
}

#[test]
fn errors_tell_times_as_rfc_3339() {
    let too_old = Error::TooOld { start_s: 0, age_days: 20_000, max_age_days: 30 };
    assert!(too_old.to_string().contains("(1970-01-01T00:00:00Z)"), "{too_old}");
    let overlaps = Error::Overlaps { server_id: ServerId::new(1), start_s: 1_767_225_600, epoch: 2, first: 1 };
    assert!(overlaps.to_string().contains("the interval at 2026-01-01T00:00:00Z counts"), "{overlaps}");
}
