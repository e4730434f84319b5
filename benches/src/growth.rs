//! How the figures scale: with days of roll-ups, servers, and records.
//!
//! Each case has its own store in its own process. At several sizes it reports the cost of the
//! points added since the previous size, the cost of questions about the last 24 hours, and the
//! memory of the process. The plots are in `docs/img`.

use crate::dataset::START_S;
use crate::measure::Memory;
use crate::plot::{Line, Plot};
use crate::store::{commit, least_ms, seal, seconds};
use crate::workload::{Shape, Workload};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::process::Command;
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_model::ServerId;
use zonepulse_store::{Kinds, Level, Options, Reading, Selection, Store, Sum};

const DAY_S: u64 = 86_400;
/// What is reported for each size, and its unit.
const TOLD: [(&str, &str); 6] = [
    ("ingest", "CPU s per M points"),
    ("one record by minute", "CPU ms"),
    ("records of all servers by hits", "CPU ms"),
    ("records of one server by last access", "CPU ms"),
    ("memory", "MiB, no file's"),
    ("disk", "MB"),
];

/// The cases, and the unit of their sizes.
const CASES: [(&str, &str); 3] = [("days", "days of roll-ups"), ("servers", "servers"), ("records", "records of one server")];

/// Runs all cases, or only the named one in this process.
pub fn run(case: Option<&str>) {
    match case {
        Some("days") => days(),
        Some("servers") => servers(),
        Some("records") => records(),
        Some(other) => panic!("no case {other:?}"),
        None => CASES.iter().for_each(|(name, counted)| tell(name, counted)),
    }
}

fn tell(case: &str, counted: &str) {
    let program = std::env::current_exe().expect("a program has a path");
    let output = Command::new(program).args(["growth", case]).output().expect("this program runs");
    assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let sizes: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    let head: Vec<String> = TOLD.iter().map(|(name, unit)| format!("{name}: {unit}")).collect();
    println!("| {counted} | {} |\n|{}", head.join(" | "), " --- |".repeat(TOLD.len() + 1));
    let number = |size: &Value, name: &str| size[name].as_f64().expect("a number");
    for size in &sizes {
        let told: Vec<String> = TOLD.iter().map(|(name, _)| format!("{:.2}", number(size, name))).collect();
        println!("| {} | {} |", size["size"], told.join(" | "));
    }
    println!();
    let line = |name: &'static str| {
        let points = sizes.iter().map(|size| (number(size, "size"), number(size, name)));
        Line { name, points: points.collect() }
    };
    let [ingest, one, all, quiet, memory, disk] = TOLD.map(|(name, _)| name);
    let plots = [
        Plot { title: "CPU seconds per million points", lines: vec![line(ingest)] },
        Plot { title: "questions about the last 24 hours, CPU ms", lines: vec![line(one), line(all), line(quiet)] },
        Plot { title: "memory, MiB; disk, MB", lines: vec![line(memory), line(disk)] },
    ];
    let path = zonepulse_fixtures::project().join(format!("docs/img/growth-{case}.svg"));
    std::fs::write(&path, crate::plot::svg(counted, &plots)).expect("docs/img is writable");
}

/// Ten servers, with raw points kept for a day and roll-ups for thirty.
fn days() {
    let shape = Shape { servers: 10, records: 500, requests: 400, zipf: true };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let store = Store::open(folder.path(), &Options::default()).expect("a new store opens");
    let mut workload = Workload::new(1, shape);
    let (mut points, mut used_s) = (0, 0.0);
    for day in 1..=30 {
        for hour in (day - 1) * 24..day * 24 {
            let (more, batches) = hour_of(&mut workload, shape, hour);
            points += more;
            let now_s = START_S + (hour + 1) * 3600 + 200;
            used_s += seconds(|| {
                commit(&store, &batches);
                seal(&store, now_s);
            });
        }
        if [1, 2, 4, 7, 14, 22, 30].contains(&day) {
            said(day, used_s / points as f64, &store, START_S + day * DAY_S);
            (points, used_s) = (0, 0.0);
        }
    }
}

/// Six hours with an increasing number of servers.
fn servers() {
    for servers in [10, 100, 1000] {
        let shape = Shape { servers, records: 100, requests: 60, zipf: true };
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let store = Store::open(folder.path(), &Options::default()).expect("a new store opens");
        let mut workload = Workload::new(1, shape);
        let (mut points, mut used_s) = (0, 0.0);
        for hour in 0..6 {
            let (more, batches) = hour_of(&mut workload, shape, hour);
            points += more;
            used_s += seconds(|| {
                commit(&store, &batches);
                seal(&store, START_S + (hour + 1) * 3600 + 200);
            });
        }
        said(u64::from(servers), used_s / points as f64, &store, START_S + 6 * 3600);
    }
}

/// A server that is queried for 50,000 other records every minute.
fn records() {
    const EACH: u32 = 50_000;
    let shape = Shape { servers: 1, records: 1, requests: 1, zipf: false };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let store = Store::open(folder.path(), &Options::default()).expect("a new store opens");
    let mut workload = Workload::new(1, shape);
    let mut used_s = 0.0;
    for minute in 0..20 {
        let batch = [workload.all(1, minute, START_S + 60 * minute, EACH, &[MessageKind::REQUEST])];
        used_s += seconds(|| commit(&store, &batch));
        let records = (minute + 1) * u64::from(EACH);
        if [50_000, 250_000, 500_000, 1_000_000].contains(&records) {
            said(records, used_s / records as f64, &store, START_S + 3600);
        }
    }
}

fn hour_of(workload: &mut Workload, shape: Shape, hour: u64) -> (u64, Vec<Vec<u8>>) {
    let mut points = 0;
    let minutes = hour * 60..(hour + 1) * 60;
    let batches = minutes.flat_map(|minute| (1..=shape.servers).map(move |server| (server, minute))).map(|(server, minute)| {
        let batch = workload.batch(server, minute, START_S + 60 * minute);
        points += batch.rows.len() as u64;
        batch.encode().expect("within the bounds of the format")
    });
    let batches = batches.collect();
    (points, batches)
}

/// Prints the figures for a size.
fn said(size: u64, seconds_per_point: f64, store: &Store, now_s: u64) {
    let selection = Selection {
        from_s: now_s - DAY_S.min(now_s - START_S),
        until_s: now_s,
        kinds: Kinds::Only(vec![MessageKind::REQUEST]),
        ..Selection::all()
    };
    let names = ["host-00003.zone-1.example.", "host-00001.zone-1.example.", "host-0000001.zone-1.example."];
    let record = names.iter().find_map(|name| store.dictionary().find(name, RecordType::A)).expect("a record that was asked for");
    let one = Selection { servers: Some([ServerId::new(1)].into()), records: Some([record].into()), ..selection.clone() };
    let reading = Reading { level: Level::Raw, now_s, last_access: false };
    let one_ms = least_ms(|| {
        let each = &mut |_: &_| ControlFlow::Continue(());
        store.scan(&reading, &one, each).expect("the store can be read");
    });
    let all_ms = least_ms(|| {
        let each = &mut |_: Sum| ControlFlow::Continue(());
        store.sums(&reading, &selection, &mut |_| ControlFlow::Continue(()), each).expect("the store can be read");
    });
    let mut quiet = 0u64;
    let quiet_ms = least_ms(|| {
        store
            .totals(Some(&[ServerId::new(1)].into()), &mut |total| quiet += u64::from(total.last_ms < (now_s - 6 * 3600) * 1000));
    });
    let memory = Memory::of(std::process::id()).anonymous_kib as f64 / 1024.0;
    store.close().expect("the disk takes it");
    let disk = store.statistics().size_bytes as f64 / 1e6;
    let told = [seconds_per_point * 1e6, one_ms, all_ms, quiet_ms, memory, disk];
    let mut object = json!({ "size": size });
    TOLD.iter().zip(told).for_each(|((name, _), value)| object[*name] = json!(value));
    println!("{object}");
}
