//! System metrics: their size, the speed of ingest, and a typical dashboard question.
//! VictoriaMetrics gets the same points for comparison.
//!
//! The batches are encoded as by probes, then decoded, committed ten at a time with an fsync,
//! sealed and rolled up by this process. The question is asked in SQL over HTTP, to a central on
//! the same store.

mod machines;
mod victoria;

use machines::{INTERVAL_S, Machine};
use std::time::{Duration, Instant};
use zonepulse_model::{Identity, ServerId};
use zonepulse_store::{Level, Options, Retention, SeriesIntake, Step, Store, SystemIntake, Write};
use zonepulse_tests::Central;
use zonepulse_wire::{Message, Series, SystemBatch};

const SERVERS: u32 = 10;
const START_S: u64 = 1_767_225_600;
/// Slots per batch: a minute.
const SLOTS: u64 = 12;
/// Batches per write, as when all servers send at the same time.
const GROUP: usize = 10;
const ROUNDS: usize = 50;

/// Runs with `ZONEPULSE_BENCH_MINUTES` (1440) minutes of ten servers with fifty series each and a
/// value every five seconds.
pub fn run() {
    let minutes: u64 = std::env::var("ZONEPULSE_BENCH_MINUTES").map_or(1440, |text| text.parse().expect("a number of minutes"));
    let batches = batches(minutes);
    let points: u64 = batches.iter().map(SystemBatch::points).sum();
    println!("system: {points} points, {SERVERS} servers, {} series each, {minutes} minutes", machines::series().len());
    let encoded: Vec<Vec<u8>> = batches.iter().map(|batch| batch.encode().expect("a batch within bounds")).collect();
    let bytes: usize = encoded.iter().map(Vec::len).sum();
    let on_the_wire = bytes as f64 / points as f64;
    println!("  {:<44} {on_the_wire:>8.3}", "on the wire, bytes per point");

    let names: Vec<String> = (1..=SERVERS).map(|number| format!("server {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut central = Central::start(&names);
    let ids: Vec<ServerId> = central.servers.iter().map(|server| ServerId::new(server.id)).collect();
    central.stop();
    let options = Options { retention: Retention::FOREVER, ..Options::default() };
    let store = Store::open(&central.data().join("store"), &options).expect("the central's store opens");
    let used_s = rate("decode and commit, fsync for 10 batches", points, || commit(&store, &encoded, &ids))
        + rate("seal, with roll-ups", points, || seal(&store, START_S + minutes * 60 + 7200, points))
        + rate("flush", points, || store.close().expect("the disk takes it"));
    let each = |level| store.system_bytes(level) as f64 / points as f64;
    for level in Level::ALL {
        let what = format!("{level:?}, bytes per raw point");
        println!("  {what:<44} {:>8.3}", each(level));
    }
    crate::report::constants(&[
        ("system_raw_bytes_per_point", each(Level::Raw)),
        ("system_rollup_bytes_per_point", Level::ROLL_UPS.into_iter().map(each).sum()),
        ("system_batch_bytes_per_point", on_the_wire),
        ("system_cpu_s_per_million_points", used_s * 1e6 / points as f64),
    ]);
    assert_eq!(store.check().expect("the store can be read").faults, Vec::<String>::new());
    drop(store);
    central.start_again();
    ask(&central, minutes);
    central.stop();
    match victoria::measure(&batches, &names) {
        Ok(report) => println!("{report}"),
        Err(reason) => println!("  victoria-metrics is left out: {reason}"),
    }
}

fn batches(minutes: u64) -> Vec<SystemBatch> {
    let names = machines::series();
    let mut sorted: Vec<usize> = (0..names.len()).collect();
    sorted.sort_by_key(|at| &names[*at]);
    let mut all = Vec::new();
    let mut machines: Vec<Machine> = (1..=SERVERS).map(Machine::new).collect();
    for minute in 0..minutes {
        for (machine, server_id) in machines.iter_mut().zip(1..) {
            let start_s = START_S + 60 * minute;
            let slots: Vec<Vec<f64>> = (0..SLOTS).map(|slot| machine.measure(start_s + slot * INTERVAL_S)).collect();
            let series = |at: &usize| Series {
                metric: names[*at].0.clone(),
                label: names[*at].1.clone(),
                values: slots.iter().map(|values| Some(values[*at])).collect(),
            };
            all.push(SystemBatch {
                identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq: minute },
                start_s,
                interval_s: INTERVAL_S as u32,
                slots: SLOTS as u32,
                evicted: None,
                series: sorted.iter().map(series).collect(),
            });
        }
    }
    all
}

fn commit(store: &Store, encoded: &[Vec<u8>], ids: &[ServerId]) {
    for group in encoded.chunks(GROUP) {
        let mut write = store.begin();
        for bytes in group {
            let Ok(Message::System(batch)) = Message::decode(bytes) else { panic!("metrics were encoded") };
            add(&mut write, batch, ids);
        }
        write.commit().expect("the disk takes it");
    }
}

fn add(write: &mut Write<'_>, batch: SystemBatch, ids: &[ServerId]) {
    let series = write.series_ids(
        ids[batch.identity.server_id.get() as usize - 1],
        batch.series.iter().map(|series| (series.metric.as_str(), series.label.as_str())),
    );
    let intake = SystemIntake {
        identity: Identity { server_id: ids[batch.identity.server_id.get() as usize - 1], ..batch.identity },
        start_s: batch.start_s,
        interval_s: batch.interval_s,
        slots: batch.slots,
        evicted: None,
        series: series
            .into_iter()
            .zip(batch.series)
            .map(|(series_id, of)| SeriesIntake { series_id, values: of.values })
            .collect(),
    };
    write.add_system(&intake).expect("a sound batch");
}

fn seal(store: &Store, now_s: u64, points: u64) {
    let mut sealed = 0;
    // The second pass finds that the hours have stayed quiet.
    for now_s in [now_s, now_s + 60] {
        loop {
            match store.upkeep(now_s).expect("the disk takes it") {
                Step::Sealed { points, .. } => sealed += points,
                Step::Idle => break,
                _ => {}
            }
        }
    }
    assert_eq!(sealed, points, "all is sealed");
}

/// One metric of ten servers over the whole time, in steps of five minutes.
fn ask(central: &Central, minutes: u64) {
    let until_s = START_S + minutes * 60;
    let text = format!(
        "SELECT time, server, avg FROM system_5m WHERE metric = 'cpu_percent' AND label = 'total' \
         AND time >= to_timestamp_millis({START_S}000) AND time < to_timestamp_millis({until_s}000) ORDER BY server, time"
    );
    let api = central.api();
    let rows = api.sql(&text, "application/json").json().as_array().map_or(0, Vec::len);
    assert_eq!(rows as u64, u64::from(SERVERS) * minutes.div_ceil(5), "every bucket is told");
    let mut walls: Vec<Duration> = Vec::new();
    let used = central.cpu_seconds();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let answer = api.sql(&text, "application/vnd.apache.arrow.stream");
        walls.push(began.elapsed());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let cpu_ms = (central.cpu_seconds() - used) * 1e3 / ROUNDS as f64;
    walls.sort();
    let ms = |at: usize| walls[at].as_secs_f64() * 1e3;
    println!(
        "  one metric of {SERVERS} servers by 5 min, {rows} rows, SQL over HTTP: wall {:.2} ms at best, {:.2} in the middle; CPU {cpu_ms:.2} ms",
        ms(0),
        ms(ROUNDS / 2)
    );
}

/// Runs a piece of work and returns its CPU seconds.
fn rate(what: &str, points: u64, work: impl FnOnce()) -> f64 {
    let before = crate::store::cpu_time();
    work();
    let seconds = (crate::store::cpu_time() - before).as_secs_f64();
    println!("  {what:<44} {seconds:>8.2} s   {:>6.2} M points per CPU second", points as f64 / seconds / 1e6);
    seconds
}
