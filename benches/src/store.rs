//! The store in this process, single-threaded: encoded batches in, questions out, without any
//! transport.

use crate::dataset::{Dataset, SERVERS, START_S};
use crate::measure::Memory;
use crate::report;
use crate::workload::{Shape, Workload};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;
use zonepulse_dns::{MessageKind, ResponseCode};
use zonepulse_model::ServerId;
use zonepulse_store::{
    Intake, IntakeRow, Kinds, Level, Options, Points, Precision, Reading, Retention, Selection, Step, Store, Sum,
};
use zonepulse_wire::Batch;

/// Batches per write, as when a backlog arrives.
const GROUP: usize = 10;
/// Of the server and record that are asked for.
const SERVER: ServerId = ServerId::new(3);
const HOST: &str = "host-00100.zone-3.example.";

/// Commits, seals and queries a day of ten servers, with last accesses in seconds and in
/// milliseconds.
pub fn run() {
    let dataset = Dataset::standard();
    let batches = in_turn(dataset.batches());
    let points = dataset.points;
    println!("store: {points} points, {SERVERS} servers, {} minutes, one thread\n", dataset.minutes);
    println!("| last access | decode and commit | seal, roll up, total | flush | all together: M points per CPU second |");
    println!("| --- | --- | --- | --- | --- |");
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder can be made"));
    let [seconds, milliseconds] = [Precision::Seconds, Precision::Milliseconds];
    let _ = load(folders[1].path(), milliseconds, &batches, &dataset);
    let store = load(folders[0].path(), seconds, &batches, &dataset);
    println!("\nAn fsync for {GROUP} batches; CPU seconds.\n");
    let other = Store::open(folders[1].path(), &options(milliseconds)).expect("the store opens again");
    sizes(&store, &other, &dataset);
    drop(other);
    constants(&store, &batches, points);
    questions(&store, &dataset);
    assert_eq!(store.check().expect("the store can be read").faults, Vec::<String>::new());
}

fn options(precision: Precision) -> Options {
    Options { retention: Retention::FOREVER, raw_last_access: precision, ..Options::default() }
}

/// In the order of arrival: minute by minute, server by server.
fn in_turn(servers: Vec<Vec<Vec<u8>>>) -> Vec<Vec<u8>> {
    let mut servers: Vec<_> = servers.into_iter().map(Vec::into_iter).collect();
    let mut all = Vec::new();
    while let Some(first) = servers[0].next() {
        all.push(first);
        all.extend(servers[1..].iter_mut().filter_map(Iterator::next));
    }
    all
}

/// CPU seconds of this process until everything is decoded, committed, sealed, rolled up and on
/// disk.
pub fn handed_over(dataset: &Dataset) -> f64 {
    let batches = in_turn(dataset.batches());
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let store = Store::open(folder.path(), &options(Precision::default())).expect("a new store opens");
    seconds(|| {
        commit(&store, &batches);
        assert_eq!(seal(&store, dataset.until_s() + 3600), dataset.points, "all is sealed");
        store.close().expect("the disk takes it");
    })
}

fn load(folder: &Path, precision: Precision, batches: &[Vec<u8>], dataset: &Dataset) -> Store {
    let store = Store::open(folder, &options(precision)).expect("a new store opens");
    let mut sealed = 0;
    let committed_s = seconds(|| commit(&store, batches));
    if precision != Precision::default() {
        // Outside the measured time: flushing takes some.
        store.close().expect("the disk takes it");
        report::constants(&[("open_bytes_per_point", store.open_bytes() as f64 / dataset.points as f64)]);
        println!("open: {} bytes of {} points\n", store.open_bytes(), dataset.points);
    }
    let sealed_s = seconds(|| sealed = seal(&store, dataset.until_s() + 3600));
    assert_eq!(sealed, dataset.points, "all is sealed");
    let flushed_s = seconds(|| store.close().expect("the disk takes it"));
    let all_s = committed_s + sealed_s + flushed_s;
    let rate = dataset.points as f64 / all_s / 1e6;
    println!("| {precision:?} | {committed_s:.2} | {sealed_s:.2} | {flushed_s:.2} | {rate:.2} |");
    if precision == Precision::default() {
        report::constants(&[("cpu_s_per_million_points", 1.0 / rate)]);
    }
    store
}

pub fn commit(store: &Store, batches: &[Vec<u8>]) {
    for group in batches.chunks(GROUP) {
        let mut write = store.begin();
        for bytes in group {
            let batch = Batch::decode(bytes).expect("a sound batch");
            let ids = write.record_ids(batch.identity.server_id, batch.records.iter());
            let at = |offset_ms: u32| batch.start_s * 1000 + u64::from(offset_ms);
            let row = |row: &zonepulse_wire::Row| IntakeRow {
                record_id: ids[row.record as usize],
                kind: row.kind,
                hits: row.hits,
                first_ms: at(row.first_ms),
                last_ms: at(row.last_ms),
            };
            let intake = Intake {
                identity: batch.identity,
                start_s: batch.start_s,
                interval_s: batch.interval_s,
                covered_from_ms: batch.coverage.from_ms,
                covered_until_ms: batch.coverage.until_ms,
                counters: batch.counters.iter().collect(),
                loss: Default::default(),
                evicted: None,
                rows: batch.rows.iter().map(row).collect(),
            };
            write.add(intake).expect("a sound batch");
        }
        write.commit().expect("the disk takes it");
    }
}

/// Seals, and returns the number of points sealed.
pub fn seal(store: &Store, now_s: u64) -> u64 {
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
    sealed
}

fn sizes(store: &Store, other: &Store, dataset: &Dataset) {
    let days = dataset.minutes as f64 / 1440.0;
    println!("| level | last access in s: bytes per raw point | MB a day | in ms: bytes per raw point | MB a day |");
    println!("| --- | --- | --- | --- | --- |");
    let row = |name: &str, levels: &[Level]| {
        let bytes = |store: &Store| levels.iter().map(|level| store.sealed_bytes(*level)).sum::<u64>() as f64;
        let points = dataset.points as f64;
        let (seconds, milliseconds) = (bytes(store), bytes(other));
        println!(
            "| {name} | {:.3} | {:.1} | {:.3} | {:.1} |",
            seconds / points,
            seconds / days / 1e6,
            milliseconds / points,
            milliseconds / days / 1e6
        );
        seconds / points
    };
    let raw = row("Raw", &[Level::Raw]);
    for level in Level::ROLL_UPS {
        row(&format!("{level:?}"), &[level]);
    }
    let roll_ups = row("all roll-ups", &Level::ROLL_UPS);
    println!();
    report::constants(&[("raw_bytes_per_point", raw), ("rollup_bytes_per_point", roll_ups)]);
    println!("| roll-up | points | bytes per point of it |\n| --- | --- | --- |");
    for level in Level::ROLL_UPS {
        let reading = Reading { level, now_s: dataset.until_s(), last_access: false };
        let points = store.count(&reading, &Selection::all()).expect("the store can be read");
        let each = store.sealed_bytes(level) as f64 / points as f64;
        println!("| {level:?} | {points} | {each:.3} |");
        let name = match level {
            Level::M5 => "rollup_5m_bytes",
            Level::M15 => "rollup_15m_bytes",
            Level::M30 => "rollup_30m_bytes",
            _ => "rollup_1h_bytes",
        };
        report::constants(&[(name, each)]);
    }
    println!();
}

fn constants(store: &Store, batches: &[Vec<u8>], points: u64) {
    let records = store.statistics().records as f64;
    let empty = Batch {
        rows: Vec::new(),
        records: zonepulse_wire::Records::new(),
        ..Workload::new(1, Shape::STANDARD).batch(1, 0, START_S)
    };
    let overhead = empty.encode().expect("within the bounds of the format").len() as f64;
    let bytes: usize = batches.iter().map(Vec::len).sum();
    let record_bytes = store.record_bytes() as f64 / records;
    let report_bytes = store.report_bytes() as f64 / batches.len() as f64;
    let per_record = memory_per_record();
    let per_point = (bytes as f64 - overhead * batches.len() as f64) / points as f64;
    println!("| | |\n| --- | --- |");
    println!("| disk, names and totals, bytes per record | {record_bytes:.0} |");
    println!("| disk, the report of a batch, bytes | {report_bytes:.0} |");
    println!("| memory, names and totals, bytes per record | {per_record:.0} |");
    println!("| network, an encoded batch, bytes per point | {per_point:.2} |");
    println!("| network, a batch without points, bytes | {overhead:.0} |\n");
    report::constants(&[
        ("record_bytes", record_bytes),
        ("report_bytes", report_bytes),
        ("memory_bytes_per_record", per_record),
        ("batch_bytes_per_point", per_point),
        ("batch_overhead_bytes", overhead),
    ]);
}

/// The growth of this process for each of half a million new records in a separate store.
fn memory_per_record() -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let small = Options { write_buffer_bytes: 1 << 20, block_cache_bytes: 1 << 20, ..options(Precision::default()) };
    let store = Store::open(folder.path(), &small).expect("a new store opens");
    let shape = Shape { servers: 1, records: 500_000, requests: 1, zipf: false };
    let mut workload = Workload::new(1, shape);
    let memory = || Memory::of(std::process::id()).anonymous_kib * 1024;
    // As for a real server: queried and answered.
    let kinds = [MessageKind::REQUEST, MessageKind::response(ResponseCode::NOERROR)];
    let batch = |workload: &mut Workload, minute: u64| workload.all(1, minute, START_S + 60 * minute, 50_000, &kinds);
    let first = batch(&mut workload, 0);
    commit(&store, &[first]);
    let (before, known) = (memory(), store.statistics().records);
    for minute in 1..10 {
        let encoded = batch(&mut workload, minute);
        commit(&store, &[encoded]);
    }
    store.close().expect("the disk takes it");
    let grown = memory().saturating_sub(before);
    grown as f64 / (store.statistics().records - known) as f64
}

fn questions(store: &Store, dataset: &Dataset) {
    let (until_s, hour_s) = (dataset.until_s(), 3600.min(60 * dataset.minutes));
    let now_s = until_s;
    let requests = Kinds::Only(vec![MessageKind::REQUEST]);
    let record = store.dictionary().find(HOST, zonepulse_dns::RecordType::A);
    let all = Selection { kinds: requests.clone(), ..Selection::all() };
    let one = Selection { servers: Some([SERVER].into()), records: Some(record.into_iter().collect()), ..all.clone() };
    let last_hour = Selection { servers: Some([SERVER].into()), from_s: until_s - hour_s, ..Selection::all() };
    let odd = Selection { from_s: START_S + 600, until_s: until_s - 600, ..all.clone() };
    let scan = |selection: &Selection, level, last_access| {
        let mut points = 0;
        let each = &mut |found: &Points| {
            points += found.len();
            ControlFlow::Continue(())
        };
        store.scan(&Reading { level, now_s, last_access }, selection, each).expect("the store can be read");
        points
    };
    let sums = |level, selection: &Selection| {
        let mut sums = 0;
        let each = &mut |_: Sum| {
            sums += 1;
            ControlFlow::Continue(())
        };
        let reading = Reading { level, now_s, last_access: false };
        store.sums(&reading, selection, &mut |_| ControlFlow::Continue(()), each).expect("the store can be read");
        sums
    };
    println!("| question to the store itself, CPU ms, best of seven | ms | found |\n| --- | --- | --- |");
    ask("all raw points, with last access", || scan(&Selection::all(), Level::Raw, true));
    ask("all requests, hits only", || scan(&all, Level::Raw, false));
    ask("one record of one server, raw", || scan(&one, Level::Raw, false));
    ask("one record of one server, raw, with last access", || scan(&one, Level::Raw, true));
    ask("one server's last hour, raw", || scan(&last_hour, Level::Raw, true));
    ask("requests per record, whole hours", || sums(Level::Raw, &all));
    ask("requests per record, from minute 10 to minute 50", || sums(Level::Raw, &odd));
    ask("requests per record, from 5 min", || scan(&all, Level::M5, false));
    ask("requests per record, with last access, from hours", || scan(&all, Level::H1, true));
    ask("how many points", || {
        store.count(&Reading { level: Level::Raw, now_s, last_access: false }, &Selection::all()).expect("counts") as usize
    });
    ask("totals of one server not accessed for 6 h", || {
        let mut quiet = 0;
        store.totals(Some(&[SERVER].into()), &mut |total| quiet += usize::from(total.last_ms < (now_s - 6 * hour_s) * 1000));
        quiet
    });
}

/// CPU seconds of this process, including the database's threads.
pub fn seconds(mut work: impl FnMut()) -> f64 {
    let before = cpu_time();
    work();
    (cpu_time() - before).as_secs_f64()
}

fn ask(what: &str, mut question: impl FnMut() -> usize) {
    let mut found = 0;
    let ms = least_ms(|| found = question());
    println!("| {what} | {ms:.2} | {found} |");
}

/// The least CPU time of seven runs, milliseconds.
pub fn least_ms(mut question: impl FnMut()) -> f64 {
    (0..7).map(|_| seconds(&mut question) * 1e3).fold(f64::MAX, f64::min)
}

/// CPU time of this process so far, including the database's threads.
pub fn cpu_time() -> Duration {
    // SAFETY: timespec consists of plain numbers, for which zero is valid.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a valid value of the right type.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
