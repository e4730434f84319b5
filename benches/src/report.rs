//! The report of a run: the output of each bench and the machine it ran on, as Markdown
//! (`bench-report.md`); the same with the constants for capacity planning as JSON
//! (`bench-report.json`). `ZONEPULSE_BENCH_REPORT` sets the directory (`.run/bench`).
//!
//! ```text
//! { "machine":   { "cpu", "cores", "memory_bytes", "kernel", "disk" },
//!   "constants": { name: number, … },
//!   "benches":   { name of the bench: what it printed, … } }
//! ```
//!
//! The constants, each of the standard workload (`Shape::STANDARD`) with the default settings:
//!
//! | name | meaning |
//! | --- | --- |
//! | `raw_bytes_per_point` | disk, sealed raw points, bytes per point |
//! | `rollup_bytes_per_point` | disk, all four roll-ups of a day, bytes per raw point of that day |
//! | `rollup_5m_bytes`, `rollup_15m_bytes`, `rollup_30m_bytes`, `rollup_1h_bytes` | disk, a point of that roll-up, bytes |
//! | `open_bytes_per_point` | disk, points of hours that are not sealed yet, bytes per point |
//! | `report_bytes` | disk, the report of a batch, bytes |
//! | `record_bytes` | disk, names and totals, bytes per record |
//! | `cpu_s_per_million_points` | CPU seconds of the central, from HTTP to sealed, per million points |
//! | `memory_base_bytes` | memory of a central under that load that is not backed by files, without its records, bytes |
//! | `memory_bytes_per_record` | memory of names and totals, bytes per record |
//! | `batch_bytes_per_point` | network, an encoded batch without its overhead, bytes per point |
//! | `batch_overhead_bytes` | network, a batch without points, bytes |
//! | `system_raw_bytes_per_point` | disk, sealed values of metrics, bytes per value (these four: ten machines of fifty series every 5 s) |
//! | `system_rollup_bytes_per_point` | disk, all four roll-ups of a day, bytes per value of that day |
//! | `system_batch_bytes_per_point` | network, an encoded batch of metrics, bytes per value |
//! | `system_cpu_s_per_million_points` | CPU seconds from an encoded batch of metrics to sealed, per million values |
//!
//! A bench that runs alone replaces its own part of an existing report.

use serde_json::{Map, Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Set for the process that measures; its parent writes the report.
const MEASURING: &str = "ZONEPULSE_BENCH_MEASURING";

/// Prints constants for capacity planning, by name.
pub fn constants(found: &[(&str, f64)]) {
    let Ok(path) = std::env::var(MEASURING) else { return };
    let mut all = read(Path::new(&path));
    for (name, value) in found {
        all.insert((*name).to_owned(), json!(value));
    }
    write(Path::new(&path), &Value::Object(all));
}

/// Runs each bench in its own process, shows its output, and writes the report. In that process it
/// does nothing and returns `None`, so that the caller measures.
pub fn run(benches: &[&str], arguments: &[String]) -> Option<Result<(), String>> {
    if std::env::var_os(MEASURING).is_some() {
        return None;
    }
    let folder = folder();
    fs::create_dir_all(&folder).expect("the report's folder is writable");
    let mut failed = Vec::new();
    for (at, bench) in benches.iter().enumerate() {
        println!("== {bench} ({} of {}) ==", at + 1, benches.len());
        if !measure(bench, arguments, &folder) {
            failed.push(*bench);
        }
    }
    println!("report: {}", folder.join("bench-report.md").display());
    Some(if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) })
}

fn measure(bench: &str, arguments: &[String], folder: &Path) -> bool {
    let path = folder.join("bench-report.json");
    let mut report = read(&path);
    let constants = folder.join("constants.json");
    write(&constants, report.get("constants").unwrap_or(&json!({})));
    let program = std::env::current_exe().expect("a program has a path");
    let mut command = Command::new(program);
    command.arg(bench).args(arguments).env(MEASURING, &constants).stdout(Stdio::piped());
    let mut child = command.spawn().expect("a bench starts");
    let mut text = String::new();
    for line in BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok) {
        println!("{line}");
        text.push_str(&line);
        text.push('\n');
    }
    let passed = child.wait().is_ok_and(|status| status.success());
    if !passed {
        text.push_str("\nIt failed.\n");
    }
    let benches = report.entry("benches").or_insert_with(|| json!({}));
    benches[bench] = json!(text);
    report.insert("constants".to_owned(), Value::Object(read(&constants)));
    report.insert("machine".to_owned(), machine());
    let report = Value::Object(report);
    write(&path, &report);
    fs::write(folder.join("bench-report.md"), markdown(&report)).expect("the report's folder is writable");
    let _ = fs::remove_file(constants);
    passed
}

fn markdown(report: &Value) -> String {
    let object = |name: &str| report[name].as_object().cloned().unwrap_or_default();
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut text = "# Bench report\n\n| | |\n| --- | --- |\n".to_owned();
    for (name, value) in object("machine").iter().chain(&object("constants")) {
        text.push_str(&format!("| {name} | {} |\n", plain(value)));
    }
    for (name, said) in object("benches") {
        text.push_str(&format!("\n## {name}\n\n{}", plain(&said)));
    }
    text
}

/// The machine it ran on.
fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let memory_kib: u64 = memory.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0);
    let folder = crate::dataset::folder();
    let disk = Command::new("df").args(["--output=source,fstype,size", "-h"]).arg(folder.parent().unwrap_or(&folder)).output();
    let disk = disk.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned());
    json!({
        "cpu": field(&read("/proc/cpuinfo"), "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_bytes": memory_kib * 1024,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "disk": disk.lines().nth(1).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
    })
}

fn folder() -> PathBuf {
    let named = std::env::var_os("ZONEPULSE_BENCH_REPORT").filter(|path| !path.is_empty());
    named.map_or_else(|| zonepulse_fixtures::project().join(".run/bench"), PathBuf::from)
}

fn read(path: &Path) -> Map<String, Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str::<Value>(&text).ok().and_then(|value| value.as_object().cloned()).unwrap_or_default()
}

fn write(path: &Path, value: &Value) {
    fs::write(path, format!("{value:#}\n")).expect("the report's folder is writable");
}
