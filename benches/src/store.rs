//! The store alone: batches already decoded in, questions out, without any transport or SQL.

use crate::workload::Workload;
use std::ops::ControlFlow;
use std::time::Duration;
use zonepulse_store::{
    Identity, Intake, IntakeRow, Kinds, Level, Options, Points, Reading, Retention, Selection, Step, Store, Sum,
};
use zonepulse_wire::Batch;

const SERVERS: u32 = 10;
const START_S: u64 = 1_767_225_600;
/// Batches in one write, as when a backlog comes in.
const GROUP: usize = 10;

/// `ZONEPULSE_BENCH_HOURS` (3) of ten servers are committed, sealed and asked for.
pub fn run() {
    let hours: u64 = std::env::var("ZONEPULSE_BENCH_HOURS").map_or(3, |text| text.parse().expect("a number of hours"));
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let options = Options { retention: Retention::FOREVER, ..Options::default() };
    let store = Store::open(folder.path(), &options).expect("a new store opens");
    let batches = batches(hours);
    let points: u64 = batches.iter().map(|batch| batch.rows.len() as u64).sum();
    println!("store: {points} points, {SERVERS} servers, {hours} hours of 60 s, one thread");
    rate("commit, fsync for 10 batches", points, || commit(&store, &batches));
    let now_s = START_S + (hours + 1) * 3600;
    let mut sealed = 0;
    rate("seal, with roll-ups and totals", points, || sealed = seal(&store, now_s));
    assert_eq!(sealed, points, "all is sealed");
    rate("both, and what was written flushed", points, || store.close().expect("the disk takes it"));
    for level in Level::ALL {
        let bytes = store.sealed_bytes(level);
        println!(
            "  {level:?}, bytes per raw point {:>20.3}   ({:.1} MB a day)",
            bytes as f64 / points as f64,
            bytes as f64 * 24.0 / hours as f64 / 1e6
        );
    }
    questions(&store, hours, now_s);
    assert_eq!(store.check().expect("the store can be read").faults, Vec::<String>::new());
}

fn batches(hours: u64) -> Vec<Batch> {
    let mut workload = Workload::new(1);
    let minutes = 0..hours * 60;
    minutes
        .flat_map(|minute| (1..=SERVERS).map(move |server| (server, minute)))
        .map(|(server, minute)| workload.batch(server, minute, START_S + 60 * minute))
        .collect()
}

fn commit(store: &Store, batches: &[Batch]) {
    for group in batches.chunks(GROUP) {
        let mut write = store.begin();
        for batch in group {
            let ids = write.record_ids(batch.records.iter());
            let at = |offset_ms: u32| batch.start_s * 1000 + u64::from(offset_ms);
            let row = |row: &zonepulse_wire::Row| IntakeRow {
                record_id: ids[row.record as usize],
                kind: row.kind,
                hits: row.hits,
                first_ms: at(row.first_ms),
                last_ms: at(row.last_ms),
            };
            let zonepulse_wire::Identity { server_id, epoch, seq } = batch.identity;
            let intake = Intake {
                identity: Identity { server_id, epoch, seq },
                start_s: batch.start_s,
                interval_s: batch.interval_s,
                covered_from_ms: batch.coverage.from_ms,
                covered_until_ms: batch.coverage.until_ms,
                counters: batch.counters.iter().collect(),
                evicted: None,
                rows: batch.rows.iter().map(row).collect(),
            };
            write.add(intake).expect("a sound batch");
        }
        write.commit().expect("the disk takes it");
    }
}

fn seal(store: &Store, now_s: u64) -> u64 {
    let mut sealed = 0;
    // The second look finds that the hours stayed quiet.
    for now_s in [now_s, now_s + 60] {
        loop {
            match store.upkeep(now_s).expect("the disk takes it") {
                Step::Sealed { points, .. } => sealed += points,
                Step::Expired { .. } | Step::Swept { .. } | Step::Purged { .. } => {}
                Step::Idle => break,
            }
        }
    }
    sealed
}

fn questions(store: &Store, hours: u64, now_s: u64) {
    let all = Selection::all();
    let one = Selection { servers: Some(vec![3]), records: Some(vec![6000]), kinds: Kinds::All, ..Selection::all() };
    let last_hour = Selection { servers: Some(vec![3]), from_s: START_S + (hours - 1) * 3600, ..Selection::all() };
    let scan = |selection: &Selection, level, last_access| {
        let mut points = 0;
        let each = &mut |found: &Points| {
            points += found.len();
            ControlFlow::Continue(())
        };
        store.scan(&Reading { level, now_s, last_access }, selection, each).expect("the store can be read");
        points
    };
    let sums = |level| {
        let mut sums: Vec<Sum> = Vec::new();
        let reading = Reading { level, now_s, last_access: false };
        store.sums(&reading, &all, &mut |sum| sums.push(sum)).expect("the store can be read");
        sums.len()
    };
    ask("all raw points, with last access", || scan(&all, Level::Raw, true));
    ask("all raw points, hits only", || scan(&all, Level::Raw, false));
    ask("one record, raw", || scan(&one, Level::Raw, true));
    ask("one server's last hour, raw", || scan(&last_hour, Level::Raw, true));
    ask("sums per record, from raw points", || sums(Level::Raw));
    ask("sums per record, from hours", || sums(Level::H1));
    ask("totals of one server", || {
        let mut quiet = 0;
        store.totals(Some(&[3]), &mut |total| quiet += usize::from(total.last_ms < (now_s - 6 * 3600) * 1000));
        quiet
    });
}

fn rate(what: &str, points: u64, work: impl FnOnce()) {
    let before = cpu_time();
    work();
    let seconds = (cpu_time() - before).as_secs_f64();
    println!("  {what:<40} {:>8.2} s   {:>6.2} M points per CPU second", seconds, points as f64 / seconds / 1e6);
}

/// The best of seven.
fn ask(what: &str, mut question: impl FnMut() -> usize) {
    let mut best = Duration::MAX;
    let mut found = 0;
    for _ in 0..7 {
        let before = cpu_time();
        found = question();
        best = best.min(cpu_time() - before);
    }
    println!("  {what:<40} {:>8.2} ms  {found} found", best.as_secs_f64() * 1e3);
}

/// What this process has used of the processors, the database's threads included.
pub fn cpu_time() -> Duration {
    // SAFETY: timespec is plain numbers, for which zero is a value.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live value of the right type.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
