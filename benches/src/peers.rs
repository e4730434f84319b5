//! Our store next to others: the same points, one core each, with answers compared.
//!
//! Ours is the real central: batches arrive over HTTP with an fsync before every acknowledgement,
//! including totals and roll-ups; questions are asked over HTTP, in SQL and through the API. For
//! comparison with engines that are libraries, its store is also given the same batches within one
//! process. VictoriaMetrics, DuckDB and ClickHouse (as chdb) are driven by `benches/peers.py`.
//! Every engine must give the same answers as ours.

use crate::dataset::{self, Dataset, SERVERS, START_S};
use crate::measure::Memory;
use crate::{report, store};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use zonepulse_tests::api::Response;
use zonepulse_tests::api::{Row, number, text, time_ms};
use zonepulse_tests::{Api, Central};

/// The core on which everything measured runs.
const CORE: &str = "0";
const ROUNDS: u32 = 100;
const JSON: &str = "application/json";

/// Measurements of an engine.
struct Report {
    version: String,
    fsync: String,
    load_cpu_s: f64,
    size_bytes: u64,
    /// By question: the answer, and wall clock and CPU time in milliseconds.
    questions: BTreeMap<String, (Value, f64, f64)>,
}

struct Questions {
    from_s: u64,
    until_s: u64,
    server_id: u32,
    host: &'static str,
    record_type: &'static str,
    silent_since_ms: u64,
}

/// Loads, asks, compares, and prints.
pub fn run() {
    let dataset = Dataset::standard();
    let folder = dataset::folder();
    let questions = Questions {
        from_s: START_S,
        until_s: dataset.until_s(),
        server_id: 3,
        host: "host-00100.zone-3.example.",
        record_type: "A",
        silent_since_ms: (dataset.until_s() - 60 * dataset.minutes / 4) * 1000,
    };
    // Before each engine and after the last, because a change of the machine's speed affects all of
    // them.
    let mut handed_over_cpu_s = vec![store::handed_over(&dataset)];
    let ours = ours(&dataset, &questions);
    let mut reports = vec![("zonepulse", ours)];
    for engine in ["victoria-metrics", "duckdb", "chdb"] {
        handed_over_cpu_s.push(store::handed_over(&dataset));
        match peer(engine, &dataset, &questions, &folder) {
            Ok(report) => reports.push((engine, report)),
            Err(reason) => println!("{engine}: left out: {reason}"),
        }
    }
    handed_over_cpu_s.push(store::handed_over(&dataset));
    println!("the store in one process, CPU seconds: {handed_over_cpu_s:.2?}, of which the median counts");
    handed_over_cpu_s.sort_by(f64::total_cmp);
    print(&dataset, &reports, handed_over_cpu_s[handed_over_cpu_s.len() / 2]);
    compare(&reports);
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn ours(dataset: &Dataset, questions: &Questions) -> Report {
    let names: Vec<String> = (1..=SERVERS).map(|number| format!("server {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut central = Central::start_as_shipped(&names);
    pin(central.pid());
    let used = central.cpu_seconds();
    let began = Instant::now();
    thread::scope(|scope| {
        for (number, batches) in dataset.batches().into_iter().enumerate() {
            let api = central.api_of_server(number);
            scope.spawn(move || {
                for batch in batches {
                    let response = api.post_batch(batch);
                    assert_eq!(response.status, 204, "{}", response.text());
                }
            });
        }
    });
    let wall_s = began.elapsed().as_secs_f64();
    let acknowledged_s = central.cpu_seconds() - used;
    settle(&central);
    let load_cpu_s = central.cpu_seconds() - used;
    println!(
        "zonepulse: {:.0} points per second of wall clock until the last acknowledgement, 10 servers at a time",
        dataset.points as f64 / wall_s
    );
    println!("zonepulse: {acknowledged_s:.1} CPU seconds until then, {:.1} for sealing after it", load_cpu_s - acknowledged_s);
    let loaded = Memory::of(central.pid());
    central.stop();
    let size_bytes = size_bytes(&central.data());
    central.start_again();
    pin(central.pid());
    let api = central.api();
    let mut asked = BTreeMap::new();
    for way in ways(questions) {
        asked.insert(way.name.to_owned(), timed(&central, &api, &way));
    }
    let asked_of = Memory::of(central.pid());
    println!(
        "zonepulse: at most {} MiB resident after the load, {} after the questions",
        loaded.resident_kib / 1024,
        asked_of.resident_kib / 1024
    );
    report::constants(&[
        ("cpu_s_per_million_points", load_cpu_s * 1e6 / dataset.points as f64),
        ("memory_base_bytes", loaded.resident_kib.max(asked_of.resident_kib) as f64 * 1024.0),
    ]);
    central.stop();
    assert!(central.check().contains("sound"), "the store is sound");
    let fsync = "before every acknowledgement, grouped over the batches that wait".to_owned();
    Report { version: "Zonepulse".to_owned(), fsync, load_cpu_s, size_bytes, questions: asked }
}

/// A way to ask our central a question.
struct Way {
    name: &'static str,
    ask: Box<dyn Fn(&Api) -> Response>,
    /// Converts an answer to the form in which all engines are compared.
    read: Box<dyn Fn(&Response) -> Value>,
}

/// Every question, in every way it can be asked.
fn ways(questions: &Questions) -> Vec<Way> {
    let Questions { from_s, until_s, server_id, host, record_type, silent_since_ms } = *questions;
    let times = format!("time >= to_timestamp({from_s}) AND time < to_timestamp({until_s})");
    let requests = format!("action = 'request' AND {times}");
    let requests_of_all = requests.clone();
    let hits_of = move |host: &str| {
        format!(
            "SELECT time, hits FROM dns_raw WHERE {requests} AND server_id = {server_id} AND host = '{host}' \
             AND type = '{record_type}' ORDER BY time"
        )
    };
    let one = hits_of(host);
    // No statement is repeated. Every third record has another type.
    let next = Cell::new(0);
    let other = move || hits_of(&format!("host-{:05}.zone-{server_id}.example.", 100 + 3 * next.replace(next.get() + 1)));
    let most = |table: &str| {
        format!(
            "WITH sums AS (SELECT record_id, sum(hits) AS hits FROM {table} WHERE {requests_of_all} GROUP BY record_id) \
             SELECT host, type, hits FROM sums JOIN names USING (record_id) ORDER BY hits DESC, host, type LIMIT 100"
        )
    };
    let (raw, by_hour) = (most("dns_raw"), most("dns_1h"));
    let silent = format!(
        "SELECT host, type, last_access FROM records WHERE action = 'request' AND server_id = {server_id} \
         AND last_access < to_timestamp({silent_since_ms} / 1000.0) ORDER BY host, type"
    );
    let minute = |row: &Row| json!([time_ms(row, "time") / 1000, number(row, "hits")]);
    let named = |row: &Row| json!([text(row, "host"), text(row, "type"), number(row, "hits")]);
    let last = |row: &Row| json!([text(row, "host"), text(row, "type"), time_ms(row, "last_access")]);
    let (from, until, silent_since, server) =
        (from_s.to_string(), until_s.to_string(), (silent_since_ms / 1000).to_string(), server_id.to_string());
    let page_from = (until_s - 3600.min(until_s - from_s)).to_string();
    let of_one = [("host", host), ("type", record_type), ("server_id", &server), ("action", "request"), ("limit", "100000")];
    vec![
        sql("Q1", one, minute),
        get("Q1 by the API", "dns/raw", &[&of_one[..], &[("date_from", &from), ("date_to", &until)]].concat(), minute),
        Way {
            name: "another record each time",
            ask: Box::new(move |api| api.sql(&other(), JSON)),
            read: Box::new(move |answer| rows(answer, &minute)),
        },
        sql("Q2", raw, named),
        sql("Q2 by dns_1h", by_hour, named),
        sql("Q3", silent, last),
        get(
            "Q3 by the API",
            "dns/aggregate",
            &[("server_id", &server), ("date_to", &silent_since), ("sort", "host,type"), ("limit", "100000")],
            last,
        ),
        get(
            "dns/raw, last hour, first page",
            "dns/raw",
            &[("server_id", &server), ("date_from", &page_from), ("date_to", &until)],
            minute,
        ),
        get("dns/raw, all, first page", "dns/raw", &[("date_from", &from)], minute),
    ]
}

fn sql(name: &'static str, text: String, of: impl Fn(&Row) -> Value + 'static) -> Way {
    Way { name, ask: Box::new(move |api| api.sql(&text, JSON)), read: Box::new(move |answer| rows(answer, &of)) }
}

fn get(name: &'static str, call: &str, parameters: &[(&str, &str)], of: impl Fn(&Row) -> Value + 'static) -> Way {
    let path = format!("/api/v2/monitoring/{call}");
    let parameters: Vec<(String, String)> = parameters.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let ask = move |api: &Api| {
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(key, value)| (&**key, &**value)).collect();
        api.get(&path, &parameters, JSON)
    };
    Way { name, ask: Box::new(ask), read: Box::new(move |answer| rows(answer, &of)) }
}

fn rows(answer: &Response, of: &impl Fn(&Row) -> Value) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let Value::Array(rows) = answer.json() else { panic!("an answer in JSON is a list") };
    rows.iter().map(|row| of(row.as_object().expect("a row is an object"))).collect()
}

/// The answer, the median wall clock time to its last byte, and the mean CPU time, when warm.
fn timed(central: &Central, api: &Api, way: &Way) -> (Value, f64, f64) {
    let answer = (way.read)(&(way.ask)(api));
    let used = central.cpu_seconds();
    let mut walls: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            (way.ask)(api);
            began.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    walls.sort_by(f64::total_cmp);
    (answer, walls[walls.len() / 2], (central.cpu_seconds() - used) * 1000.0 / f64::from(ROUNDS))
}

/// Waits until it is idle.
pub fn settle(central: &Central) {
    loop {
        let used = central.cpu_seconds();
        thread::sleep(Duration::from_secs(5));
        if central.cpu_seconds() - used < 0.05 {
            return;
        }
    }
}

/// Pins all threads of a process to one core; threads started later inherit it.
pub fn pin(pid: u32) {
    let output = Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", CORE, &pid.to_string()]).output();
    assert!(output.expect("taskset runs").status.success(), "a process can be pinned");
}

fn peer(engine: &str, dataset: &Dataset, questions: &Questions, folder: &Path) -> Result<Report, String> {
    let Questions { from_s, until_s, server_id, host, record_type, silent_since_ms } = questions;
    let asked = json!({
        "from_s": from_s, "until_s": until_s, "server_id": server_id, "host": host, "type": record_type,
        "silent_since_ms": silent_since_ms,
    });
    let path = folder.join("questions.json");
    fs::write(&path, asked.to_string()).expect("the build's folder is writable");
    let python = variable("ZONEPULSE_BENCH_PYTHON").unwrap_or_else(|| "python3".to_owned());
    let script = zonepulse_fixtures::project().join("benches/peers.py");
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", CORE, &python]).arg(script).arg(engine).arg(dataset.csv()).arg(folder.join(engine)).arg(&path);
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(said.lines().last().unwrap_or("it said nothing").to_owned());
    }
    let said: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let text = |field: &str| said[field].as_str().unwrap_or_default().to_owned();
    let questions = said["questions"].as_object().into_iter().flatten();
    let ms = |question: &Value, field: &str| question[field].as_f64().unwrap_or(f64::NAN);
    Ok(Report {
        version: text("version"),
        fsync: text("fsync"),
        load_cpu_s: ms(&said, "load_cpu_s"),
        size_bytes: said["size_bytes"].as_u64().unwrap_or_default(),
        questions: questions.map(|(name, q)| (name.clone(), (q["answer"].clone(), ms(q, "wall_ms"), ms(q, "cpu_ms")))).collect(),
    })
}

/// Checks that all ways and all engines give the same answer.
fn compare(reports: &[(&str, Report)]) {
    let answers = |name: &'static str| {
        reports.iter().flat_map(move |(engine, report)| {
            let asked = report.questions.iter().filter(move |(way, _)| way.split(' ').next() == Some(name));
            asked.map(move |(way, (answer, ..))| (format!("{engine}, {way}"), answer))
        })
    };
    for name in ["Q1", "Q2", "Q3"] {
        let mut answers = answers(name);
        let (_, first) = answers.next().expect("ours is there");
        assert!(first.as_array().is_some_and(|rows| !rows.is_empty()), "{name} has an answer");
        for (way, answer) in answers {
            assert_eq!(answer, first, "{way} answers otherwise than zonepulse");
        }
        println!("{name}: every engine gives the same {} rows", first.as_array().map_or(0, Vec::len));
    }
}

fn print(dataset: &Dataset, reports: &[(&str, Report)], handed_over_cpu_s: f64) {
    println!("\n{} points, {} servers, {} minutes; one core each\n", dataset.points, SERVERS, dataset.minutes);
    let rate_of = |cpu_s: f64| dataset.points as f64 / cpu_s / 1e6;
    let handed_over = rate_of(handed_over_cpu_s);
    println!("| engine | M points per CPU second | Zonepulse over HTTP | Zonepulse's store | bytes per point | ratio | fsync |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    println!("| Zonepulse's store, in one process | {handed_over:.2} | | 1.0 | | | for every 10 batches |");
    let rate = |report: &Report| rate_of(report.load_cpu_s);
    let size = |report: &Report| report.size_bytes as f64 / dataset.points as f64;
    let ours = &reports[0].1;
    for (_, report) in reports {
        println!(
            "| {} | {:.2} | × {:.1} | × {:.1} | {:.2} | {:.2} | {} |",
            report.version,
            rate(report),
            rate(ours) / rate(report),
            handed_over / rate(report),
            size(report),
            size(report) / size(ours),
            report.fsync
        );
    }
    println!("\n| question | engine | wall ms | CPU ms |\n| --- | --- | --- | --- |");
    for (engine, report) in reports {
        for (name, (_, wall_ms, cpu_ms)) in &report.questions {
            println!("| {name} | {engine} | {wall_ms:.2} | {cpu_ms:.2} |");
        }
    }
}

fn size_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("the data are there");
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
