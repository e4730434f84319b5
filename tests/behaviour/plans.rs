//! A simulated fleet over the real transports: the plan for it is accurate, and memory stays within
//! its limit.

use libtest_mimic::Trial;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;
use zonepulse_tests::api::number;
use zonepulse_tests::meter::Wire;
use zonepulse_tests::needs::{alone, test, test_with};
use zonepulse_tests::process::{program_command, run, succeed, write_private};
use zonepulse_tests::{Api, Central, RabbitMq, eventually, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("ten_servers_of_5000_records_fit_into_a_gibibyte_while_questions_are_asked", alone, fits),
        test_with("a_plan_says_what_a_fleet_then_takes", alone, as_planned),
        test("a_plan_can_be_made_of_a_running_fleet", of_running),
        test("a_plan_of_minutes_of_a_fleet_says_that_they_are_too_few", of_minutes),
        test("a_plan_without_active_records_estimates_them", estimated),
        test("a_plan_takes_bounds_and_retention_from_a_configuration", of_configuration),
        test("a_fleet_may_send_through_rabbitmq", through_rabbitmq),
    ]
}

const GIB_KIB: u64 = 1 << 20;

/// A fleet and its central.
struct Fleet {
    central: Central,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Fleet {
    fn of(mut central: Central, servers: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("fleet.toml");
        central.stop();
        let mut make = program_command("zonepulse");
        make.args(["simulate", "--servers", &servers.to_string(), "--fleet"]).arg(&file);
        make.arg("--make-in").arg(central.data());
        succeed(&mut make, Duration::from_secs(30));
        central.start_again();
        Fleet { central, file, _folder: folder }
    }

    fn command(&self, arguments: &[&str], minutes: u64) -> Command {
        let mut command = program_command("zonepulse");
        command.arg("simulate").arg("--fleet").arg(&self.file).args(["--speed", "0", "--format", "json"]).args(arguments);
        command.args(["--intervals", &minutes.to_string()]);
        command
    }

    /// Sends over HTTP, starting this many whole hours ago; returns what was sent.
    fn send_through(&self, url: &str, hours_ago: u64, arguments: &[&str], minutes: u64) -> Value {
        let from = ((unix_ms() / 3_600_000 - hours_ago) * 3600).to_string();
        let mut command = self.command(arguments, minutes);
        command.args(["--url", url, "--from", &from]);
        json(&succeed(&mut command, Duration::from_secs(300)))
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}"))
}

/// The output of `zonepulse plan`.
struct Planned(Value);

impl Planned {
    fn new(arguments: &[&str]) -> Self {
        let mut plan = program_command("zonepulse");
        // In a directory without a bench report, so that the built-in constants are used.
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        plan.arg("plan").args(arguments).args(["--format", "json"]).current_dir(folder.path());
        let plan = json(&succeed(&mut plan, Duration::from_secs(10)));
        assert_eq!(plan["constants_from"], "docs/BENCHMARKS.md");
        Planned(plan)
    }

    fn figure(&self, name: &str) -> f64 {
        let figures = self.0["figures"].as_array().expect("a list");
        let found = figures.iter().find(|figure| figure["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {}", self.0))["value"].as_f64().expect("a number")
    }

    /// A figure per second, over this share of a day.
    fn of_time(&self, name: &str, days: f64) -> f64 {
        self.figure(name) * 86_400.0 * days
    }
}

const FOUR: [&str; 6] = ["--servers", "4", "--records", "2500", "--active", "1900"];

fn as_planned(_alone: MutexGuard<'static, ()>) {
    let mut fleet = Fleet::of(Central::start_as_shipped(&[]), 4);
    let wire = Wire::to(fleet.central.port());
    let sent = fleet.send_through(&format!("http://127.0.0.1:{}", wire.port()), 4, &FOUR, 180);
    eventually("the hours are sealed", Duration::from_secs(60), || {
        sleep(Duration::from_millis(500));
        let metrics = fleet.central.api().get("/metrics", &[], "text/plain").text();
        metrics.contains("\nzonepulse_store_open_hours 0\n").then_some(())
    });
    let used_s = fleet.central.cpu_seconds();
    let resident = resident_kib(fleet.central.pid(), "VmHWM:") as f64 * 1024.0;
    fleet.central.stop();
    let told = fleet.central.check();
    assert!(told.contains("open blocks 0,"), "{told}");
    assert!(told.contains(&format!("points {},", sent["points"])), "{told}, sent {sent}");

    let plan = Planned::new(&FOUR);
    let days = 180.0 / 1440.0;
    let found = |name: &str| sent[name].as_f64().expect("a number");
    assert_eq!(found("batches"), plan.figure("batches_per_day") * days);
    assert_eq!(
        (found("value_batches"), found("values")),
        (plan.figure("value_batches_per_day") * days, plan.figure("values_per_day") * days)
    );
    within_a_fifth("points", plan.figure("points_per_day") * days, found("points"));
    within_a_fifth("bytes of batches", plan.of_time("payload", days), found("bytes"));
    within_a_fifth("bytes on the network", plan.of_time("network", days), (wire.there_bytes() + wire.back_bytes()) as f64);
    added("HTTP", &wire, &sent);
    let each = |name| plan.figure(name) * days;
    let disk =
        each("disk_raw_per_day") + each("disk_rollups_per_day") + each("disk_reports_per_day") + plan.figure("disk_records");
    within_a_fifth("bytes on the disk", disk, size_bytes(&fleet.central.data().join("store")));
    // In a small fleet, buffers and caches do not fill up.
    println!("memory: planned {:.0}, at most resident {resident:.0}", plan.figure("memory"));
    assert!(resident < plan.figure("memory") * 1.2, "{resident} bytes were resident");
    println!("CPU seconds: planned {:.2}, found {used_s:.2}", plan.of_time("cores", days));
}

fn of_running() {
    let mut fleet = Fleet::of(Central::start_as_shipped(&[]), 4);
    fleet.send_through(&fleet.central.url(), 3, &FOUR, 60);
    let (url, data) = (fleet.central.url(), fleet.central.data().display().to_string());
    let credentials = fleet.central.data().join("admin-credentials").display().to_string();
    let asked = Planned::new(&["--from-running", &url, "--credentials", &credentials]);
    let used = run(program_command("zonepulse").args(["plan", "--from-running", &data]), Duration::from_secs(30));
    assert!(used.code != Some(0) && used.err.contains("--from-running its address"), "{}", used.err);
    fleet.central.stop();
    let read = Planned::new(&["--from-running", &data]);
    assert_eq!(asked.0["wanted"], read.0["wanted"]);
    let wanted = |name: &str| asked.0["wanted"][name].as_f64().expect("a number");
    assert_eq!((wanted("servers"), wanted("interval_s"), wanted("metrics")), (4.0, 60.0, 50.0));
    within_a_fifth("records", 2500.0, wanted("records"));
    within_a_fifth("active records", 1900.0, wanted("active"));
    let larger = Planned::new(&["--from-running", &data, "--servers", "400"]);
    assert_eq!(larger.figure("points_per_day"), 100.0 * read.figure("points_per_day"));
}

fn of_minutes() {
    let fleet = Fleet::of(Central::start_as_shipped(&[]), 2);
    fleet.send_through(&fleet.central.url(), 3, &["--servers", "2", "--records", "100", "--active", "50"], 4);
    let mut plan = program_command("zonepulse");
    plan.args(["plan", "--from-running", &fleet.central.url(), "--credentials"]);
    let said = run(plan.arg(fleet.central.data().join("admin-credentials")), Duration::from_secs(30));
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("warning: --from-running: 4 observed minutes"), "{}", said.err);
    let parts = ["* WARNING: --from-running: 4 observed minutes", "from 4 minutes of 2 servers, on average; 0 of the 2"];
    assert!(parts.iter().all(|part| said.out.contains(part)), "{}", said.out);
}

fn estimated() {
    let plan = Planned::new(&["--servers", "4", "--records", "2500"]);
    assert_eq!(plan.0["assumed"]["active_estimated"], true);
    let text =
        succeed(program_command("zonepulse").args(["plan", "--servers", "4", "--records", "2500"]), Duration::from_secs(10));
    let first: Vec<&str> = text.lines().take(3).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(first, ["machine", "disk", "network"], "{text}");
    assert!(text.contains("active records: estimated"), "{text}");
}

fn of_configuration() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("central.toml");
    write_private(&file, "[store]\nraw_retention_minutes = 60\nmax_records = 20000\n[sql]\nmax_concurrent = 1\n");
    let file = file.to_str().expect("a path of a test is text");
    let (usual, of_file) = (Planned::new(&FOUR), Planned::new(&[&FOUR[..], &["--config", file]].concat()));
    assert_eq!(
        (&usual.0["wanted"]["raw_retention_minutes"], &of_file.0["wanted"]["raw_retention_minutes"]),
        (&1440.into(), &60.into())
    );
    for figure in ["disk_steady", "sql_memory", "flood_memory"] {
        assert!(of_file.figure(figure) < usual.figure(figure), "{figure}");
    }
    let both = Planned::new(&[&FOUR[..], &["--config", file, "--raw-retention-minutes", "120"]].concat());
    assert_eq!(both.0["wanted"]["raw_retention_minutes"], 120, "what is given wins");
}

fn within_a_fifth(what: &str, planned: f64, found: f64) {
    println!("{what}: planned {planned:.0}, found {found:.0}");
    assert!((planned / found - 1.0).abs() < 0.2, "{what}: planned {planned:.0}, found {found:.0}");
}

/// Prints the overhead of a transport per batch: `http_bytes` and `amqp_bytes` of a plan.
fn added(transport: &str, wire: &Wire, sent: &Value) {
    let number = |name: &str| sent[name].as_u64().expect("a number");
    let (bytes, messages) = (number("bytes"), number("batches") + number("value_batches"));
    let added = |bytes_there: u64| (bytes_there as f64 - bytes as f64) / messages as f64;
    let (there, back) = (wire.there_bytes(), wire.back_bytes());
    println!("{transport} adds to a batch: {:.0} bytes, with answers {:.0}", added(there), added(there + back));
}

/// The size of the data files.
fn size_bytes(folder: &Path) -> f64 {
    let entries =
        fs::read_dir(folder).expect("it is there").flatten().filter(|entry| entry.path().extension().is_some_and(|e| e == "sst"));
    entries.map(|entry| entry.metadata().map_or(0, |about| about.len())).sum::<u64>() as f64
}

fn fits(_alone: MutexGuard<'static, ()>) {
    let fleet = Fleet::of(Central::start(&[]), 10);
    let (api, pid) = (fleet.central.api(), fleet.central.pid());
    let (ended, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let sent = std::thread::scope(|scope| {
        for first in 0..3 {
            let (api, ended, asked) = (&api, &ended, &asked);
            scope.spawn(move || {
                for question in (0..6).cycle().skip(2 * first) {
                    asked.fetch_add(u64::from(ask(api, question)), Ordering::Relaxed);
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        let sent = fleet.send_through(&fleet.central.url(), 2, &["--records", "5000", "--active", "2000"], 75);
        // Some of it is sealed while questions are asked.
        sleep(Duration::from_secs(5));
        ended.store(true, Ordering::Relaxed);
        sent
    });
    let peak_kib = resident_kib(pid, "VmHWM:");
    println!("{} MiB at most, {} points, {asked:?} questions answered", peak_kib / 1024, sent["points"]);
    assert!(peak_kib < GIB_KIB, "{peak_kib} KiB were resident");
    assert!(asked.load(Ordering::Relaxed) > 6, "questions were answered meanwhile");
    let there = api.sql("SELECT count(*) AS points, sum(hits) AS hits FROM dns_raw", "application/json").json();
    assert_eq!((&there[0]["points"], &there[0]["hits"]), (&sent["points"], &sent["hits"]));
}

/// A field of proc_pid_status(5).
fn resident_kib(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let found = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field of proc_pid_status(5)");
    found.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Questions of people and programs, including heavy ones. Returns whether it was answered: a
/// question that needs more memory than is available for all of them is refused explicitly.
fn ask(api: &Api, question: u32) -> bool {
    let get =
        |call: &str, parameters: &[(&str, &str)]| api.get(&format!("/api/v2/monitoring/{call}"), parameters, "application/json");
    let sql = |text: &str, accept: &str| api.post_sql(text, accept).expect("the central answers");
    let response = match question {
        0 => get("dns/aggregate", &[("limit", "1000")]),
        1 => get("dns/aggregate", &[("interval", "5m"), ("by", "record"), ("limit", "1000")]),
        2 => get("dns/rps", &[("by", "server"), ("limit", "100000")]),
        3 => get("dns/raw", &[("host", "*1.zone-3.example"), ("sort", "-hits"), ("limit", "1000")]),
        4 => sql(
            "SELECT host, type, sum(hits) AS hits, max(last_access) AS last FROM dns_raw GROUP BY host, type ORDER BY hits DESC LIMIT 100",
            "text/csv",
        ),
        _ => sql("SELECT * FROM dns_raw LIMIT 200000", "application/vnd.apache.arrow.stream"),
    };
    // Other questions may be using the memory: that refusal is temporary.
    let refused = match response.status {
        400 => response.text().contains("more memory than the engine may use"),
        503 => response.text().contains("too many questions"),
        _ => false,
    };
    assert!(response.status == 200 || refused, "question {question}: {} {}", response.status, response.text());
    !refused
}

fn through_rabbitmq() {
    const TWO: [&str; 6] = ["--servers", "2", "--records", "2500", "--active", "1900"];
    let broker = RabbitMq::shared();
    let wire = Wire::to(broker.port());
    let fleet = Fleet::of(Central::start_with_broker(&[], &broker.url(), "simulated"), 2);
    // The central creates its queue once it is connected.
    eventually("the central receives through the broker", Duration::from_secs(30), || {
        fleet.central.unready().is_none().then_some(())
    });
    let mut astray = fleet.command(&TWO, 1);
    astray.arg("--rabbitmq").env("ZONEPULSE_RABBITMQ__QUEUE", "another").env("ZONEPULSE_RABBITMQ__URL", broker.url());
    let output = run(&mut astray, Duration::from_secs(30));
    assert!(output.code == Some(1) && output.err.contains("has no such queue"), "{}", output.err);
    let mut command = fleet.command(&TWO, 30);
    command.arg("--rabbitmq").env("ZONEPULSE_RABBITMQ__QUEUE", "simulated");
    command.env("ZONEPULSE_RABBITMQ__URL", broker.url().replace(&broker.port().to_string(), &wire.port().to_string()));
    let sent = json(&succeed(&mut command, Duration::from_secs(60)));
    let reports = eventually("all batches are in", Duration::from_secs(30), || {
        let reports = fleet.central.api().rows("dns/coverage", &[("limit", "1000")]);
        (reports.len() == 60).then_some(reports)
    });
    assert_eq!(reports.iter().map(|row| number(row, "hits")).sum::<u64>(), sent["hits"].as_u64().expect("a number"));
    let values = fleet.central.api().sql("SELECT count(*) AS found FROM system_raw", "application/json").json();
    assert_eq!(values[0]["found"], sent["values"]);
    added("AMQP", &wire, &sent);
    within_a_fifth("bytes to the broker", Planned::new(&TWO).of_time("broker", 30.0 / 1440.0), wire.there_bytes() as f64);
}
