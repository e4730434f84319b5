//! How the figures scale with the number of zones and of resources. The plot is in `docs/img`.

use super::contents;
use super::mb;
use super::questions::{self, ROUNDS, ask, repeat};
use super::reporter::Reporter;
use super::subject::Subject;
use crate::peers::settle;
use crate::plot::{Line, Plot, svg};
use zonepulse_dns::RecordType;

const ZONES: [(u64, &str); 4] = [(1, "1 zone"), (10, "10 zones"), (100, "100 zones"), (1000, "1000 zones")];
/// A zone has its SOA and its name server, and at least a host.
const LEAST_OF_ZONE: u64 = 10;
/// What is reported for each, with its unit.
const TOLD: [&str; 8] = [
    "import until the answer: CPU s",
    "import until idle: CPU s",
    "import: wall clock s",
    "memory of the import over idle, at most: MB",
    "memory after it: MB",
    "first page, the first time: wall ms",
    "first page, median: wall ms",
    "first page, median: CPU ms",
];
/// Where in these the plotted ones are.
const IMPORT: usize = 1;
const MEMORY: usize = 3;
const PAGE: usize = 6;

type Told = [f64; TOLD.len()];

/// The figures of a number of zones.
struct Row {
    name: &'static str,
    /// Resources, and what is reported.
    points: Vec<(f64, Told)>,
}

/// Measures every combination, each in its own central.
pub fn run(resources: u64) {
    println!("zones and resources, medians of {ROUNDS}; a fifth of the names was asked for\n");
    println!("| zones | resources | {} |\n|{}", TOLD.join(" | "), " --- |".repeat(TOLD.len() + 2));
    let mut rows: Vec<Row> = Vec::new();
    for (zones, name) in ZONES {
        let mut points = Vec::new();
        for resources in [resources / 100, resources / 10, resources] {
            if resources / zones < LEAST_OF_ZONE {
                continue;
            }
            let told = measure(zones, resources);
            let texts: Vec<String> = told.iter().map(|value| format!("{value:.2}")).collect();
            println!("| {zones} | {resources} | {} |", texts.join(" | "));
            points.push((resources as f64, told));
        }
        rows.push(Row { name, points });
    }
    println!();
    if resources != super::RESOURCES {
        println!("The plot is drawn with {} resources only.\n", super::RESOURCES);
        return;
    }
    let plot = |title, told: usize| {
        let line = |row: &Row| Line { name: row.name, points: row.points.iter().map(|(size, all)| (*size, all[told])).collect() };
        Plot { title, lines: rows.iter().map(line).collect() }
    };
    let plots = [
        plot("import until idle, CPU seconds", IMPORT),
        plot("first page of verdicts, median, ms", PAGE),
        plot("memory of the import, MB", MEMORY),
    ];
    let path = zonepulse_fixtures::project().join("docs/img/zones.svg");
    std::fs::write(&path, svg("resources in all zones", &plots)).expect("docs/img is writable");
}

fn measure(zones: u64, resources: u64) -> Told {
    let subject = Subject::start(1);
    let loading = subject.load(zones, resources);
    let asked: Vec<(String, RecordType)> = (1..=zones).flat_map(|zone| contents::asked(zone, resources / zones)).collect();
    let mut reporter = Reporter::begin(&subject.central, 1, &asked);
    settle(&subject.central);
    reporter.keep_up();
    let first = ask(&subject, &[], "application/json");
    assert!(questions::rows(&first.answer) > 0, "there are verdicts");
    let page = repeat(&subject, &[]);
    [
        loading.answered_cpu_s,
        loading.settled_cpu_s,
        loading.wall_s,
        mb(loading.grown_kib()),
        mb(loading.resident_kib),
        first.wall_ms,
        page.wall.median,
        page.cpu.median,
    ]
}
