//! A million resources in one zone and in a hundred: importing them, and their verdicts.

use super::contents;
use super::mb;
use super::questions::{self, ROUNDS, Repeated, ask, repeat};
use super::reporter::Reporter;
use super::subject::{Loading, Subject};
use crate::measure::{self, Memory, forget_peak};
use crate::peers::settle;
use std::time::Instant;
use zonepulse_dns::RecordType;

/// Days that are observed: more than the window of verdicts, so that every verdict is given.
const DAYS: u64 = 100;
/// The goal for a million resources.
const GOAL_CPU_S: f64 = 10.0;
const GOAL_MB: f64 = 300.0;

/// Imports, asks for a fifth of the names, and reads verdicts.
pub fn run(resources: u64) {
    for zones in [1, 100] {
        println!("zones: {zones} with {} RRsets each\n", resources / zones);
        let mut subject = Subject::start(1);
        let loading = subject.load(zones, resources);
        print(&loading, resources);
        let asked: Vec<(String, RecordType)> = (1..=zones).flat_map(|zone| contents::asked(zone, resources / zones)).collect();
        let mut reporter = Reporter::begin(&subject.central, DAYS, &asked);
        settle(&subject.central);
        restart(&mut subject);
        reporter.keep_up();
        println!("| usage: names that were asked for, in {DAYS} days | {} |\n", asked.len());
        pages(&subject, zones, resources);
        reporter.keep_up();
        all(&subject, resources);
        again(&subject, resources / zones);
    }
}

fn print(loading: &Loading, resources: u64) {
    println!("| | |\n| --- | --- |");
    println!("| import: zone files, MB | {:.1} |", loading.file_bytes as f64 / 1e6);
    println!("| import: CPU s until the last answer | {:.2} |", loading.answered_cpu_s);
    println!("| import: CPU s until the central is idle | {:.2} |", loading.settled_cpu_s);
    println!("| import: wall clock until the last answer, s | {:.2} |", loading.wall_s);
    println!("| memory: idle central before, MB | {:.0} |", mb(loading.idle_kib));
    println!("| memory: at most during the import, MB | {:.0} |", mb(loading.peak_kib));
    println!("| memory: at most, over the idle central, MB | {:.0} |", mb(loading.grown_kib()));
    println!("| memory: afterwards, MB | {:.0} |", mb(loading.resident_kib));
    if resources == super::RESOURCES {
        let verdict = |is_met: bool| if is_met { "met" } else { "missed" };
        println!("| goal: at most {GOAL_CPU_S} CPU s | {} |", verdict(loading.settled_cpu_s <= GOAL_CPU_S));
        println!("| goal: at most {GOAL_MB} MB | {} |", verdict(mb(loading.grown_kib()) <= GOAL_MB));
    }
}

/// Nothing is in the memory of a central that has just started but what it reads at its start.
fn restart(subject: &mut Subject) {
    let began = Instant::now();
    subject.restart();
    println!(
        "| start of the central: wall clock s, CPU s | {:.2}, {:.2} |",
        began.elapsed().as_secs_f64(),
        subject.central.cpu_seconds()
    );
    settle(&subject.central);
    let memory = Memory::of(subject.central.pid());
    println!(
        "| memory of the start: at most, MB; afterwards not backed by files, MB | {:.0}, {:.0} |",
        mb(memory.resident_kib),
        mb(memory.anonymous_kib)
    );
}

fn pages(subject: &Subject, zones: u64, resources: u64) {
    println!("| page of verdicts, JSON | wall ms: median, worst of {ROUNDS} | CPU ms: median, worst | rows | kB |");
    println!("| --- | --- | --- | --- | --- |");
    let idle_kib = forget_peak(subject.central.pid());
    let cold = ask(subject, &[], "application/json");
    assert_eq!(cold.answer.header("x-total-count"), Some(resources.to_string().as_str()), "every RRset has a verdict");
    println!(
        "| the first since the start | {:.1} | {:.1} | {} | {:.0} |",
        cold.wall_ms,
        cold.cpu_ms,
        questions::rows(&cold.answer),
        cold.answer.body.len() as f64 / 1e3
    );
    let zone = contents::apex(zones.min(7));
    let cases: [(&str, &[(&str, &str)]); 5] = [
        ("`limit=1000`", &[("limit", "1000")]),
        ("without `limit`", &[]),
        ("one zone", &[("zone", zone.as_str())]),
        ("`verdict=never_used`", &[("verdict", "never_used")]),
        ("`verdict=unused`", &[("verdict", "unused")]),
    ];
    for (name, parameters) in cases {
        let Repeated { wall, cpu, rows, bytes } = repeat(subject, parameters);
        println!(
            "| {name} | {:.1}, {:.1} | {:.1}, {:.1} | {rows} | {:.0} |",
            wall.median,
            wall.worst,
            cpu.median,
            cpu.worst,
            bytes as f64 / 1e3
        );
    }
    let peak_kib = Memory::of(subject.central.pid()).resident_kib;
    println!("\nMemory: {:.0} MB before, at most {:.0} MB.\n", mb(idle_kib), mb(peak_kib));
}

/// All verdicts as CSV.
fn all(subject: &Subject, resources: u64) {
    let before_kib = forget_peak(subject.central.pid());
    let asked = ask(subject, &[], "text/csv");
    let peak_kib = Memory::of(subject.central.pid()).resident_kib;
    let counts = questions::verdicts(&asked.answer.body);
    assert_eq!(counts.values().sum::<u64>(), resources, "every RRset has a line");
    println!("| all verdicts, CSV | |\n| --- | --- |");
    println!("| wall clock, s | {:.2} |", asked.wall_ms / 1e3);
    println!("| CPU s | {:.2} |", asked.cpu_ms / 1e3);
    println!("| bytes | {} |", asked.answer.body.len());
    println!("| memory before, MB | {:.0} |", mb(before_kib));
    println!("| memory at most while it is read, MB | {:.0} |", mb(peak_kib));
    for (verdict, count) in counts {
        println!("| `{verdict}` | {count} |");
    }
    println!();
}

/// Uploads the first zone again, with usage that an import must not lose.
fn again(subject: &Subject, rrsets: u64) {
    let (pid, zone_id) = (subject.central.pid(), subject.first_zone());
    println!("| the first zone again | CPU s | wall clock, s | memory at most, over before, MB | the first page then: wall ms |");
    println!("| --- | --- | --- | --- | --- |");
    for (name, more) in [("the same file", 0), ("one RRset more", 1)] {
        let file = contents::file(1, rrsets + more);
        let before_kib = forget_peak(pid);
        let (used, began) = (measure::cpu_seconds(pid), Instant::now());
        subject.upload(zone_id, file, more);
        let (cpu_s, wall_s) = (measure::cpu_seconds(pid) - used, began.elapsed().as_secs_f64());
        let grown_kib = Memory::of(pid).resident_kib.saturating_sub(before_kib);
        let page = ask(subject, &[], "application/json");
        println!("| {name} | {cpu_s:.2} | {wall_s:.2} | {:.0} | {:.1} |", mb(grown_kib), page.wall_ms);
    }
    println!();
}
