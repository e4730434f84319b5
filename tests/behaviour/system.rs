//! System metrics: counted once, whatever happens, and answered in every format.

use libtest_mimic::Trial;
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;
use zonepulse_model::{Evicted, Identity, ServerId};
use zonepulse_tests::api::{Row, number, text, time_ms};
use zonepulse_tests::needs::test;
use zonepulse_tests::probe::Settings;
use zonepulse_tests::process::succeed;
use zonepulse_tests::{Central, Probe, eventually, unix_ms};
use zonepulse_wire::{Series, SystemBatch};

pub fn trials() -> Vec<Trial> {
    vec![
        test("metrics_are_counted_once_across_a_kill", once),
        test("metrics_are_answered_by_bucket_and_in_every_format", formats),
        test("a_server_may_send_metrics_only_of_itself", own),
        test("what_a_spool_gave_up_is_told_whichever_batch_tells_it", given_up),
        test("figures_of_a_machine_are_those_of_its_own_tools_at_the_same_moment", same_moment),
    ]
}

/// A minute of two series with twelve slots of five seconds: 0, 1, 2 … percent, and a constant disk
/// size.
fn batch(server_id: u32, seq: u64, start_s: u64) -> SystemBatch {
    let series = |metric: &str, label: &str, value: &dyn Fn(u32) -> Option<f64>| Series {
        metric: metric.to_owned(),
        label: label.to_owned(),
        values: (0..12).map(value).collect(),
    };
    SystemBatch {
        identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq },
        start_s,
        interval_s: 5,
        slots: 12,
        evicted: None,
        series: vec![
            series("cpu_percent", "total", &|slot| (slot != 3).then_some(f64::from(slot) + 0.5)),
            series("disk_free_bytes", "/", &|_| Some(1e12)),
        ],
    }
}

fn send(central: &Central, server: usize, batch: &SystemBatch) -> u16 {
    central.api_of_server(server).post_batch(batch.encode().expect("a batch within bounds")).status
}

fn begin_s() -> u64 {
    (unix_ms() / 3_600_000 - 3) * 3600
}

fn value(row: &Row, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("{column} is {}", row[column]))
}

fn once() {
    let mut central = Central::start(&["alpha"]);
    let id = central.servers[0].id;
    let minutes: Vec<SystemBatch> = (0..5).map(|minute| batch(id, minute, begin_s() + 60 * minute)).collect();
    for minute in minutes.iter().rev().chain(&minutes) {
        assert_eq!(send(&central, 0, minute), 204);
    }
    central.kill();
    central.start_again();
    assert_eq!(send(&central, 0, &minutes[2]), 204, "a copy, of before the kill");
    let from = begin_s().to_string();
    let raw = central.api().all_rows("system/raw", &[("date_from", &from), ("metric", "cpu_percent")]);
    assert_eq!(raw.len(), 5 * 11);
    assert_eq!(raw.iter().map(|row| value(row, "value")).sum::<f64>(), 5.0 * (72.0 - 3.5));
    let buckets = central.api().rows("system/aggregate", &[("date_from", &from), ("interval", "5m"), ("sort", "metric")]);
    let told: Vec<_> = buckets.iter().map(|row| (text(row, "metric"), number(row, "count"), value(row, "last"))).collect();
    assert_eq!(told, [("cpu_percent", 55, 11.5), ("disk_free_bytes", 60, 1e12)]);
    central.stop();
    let checked = central.check();
    assert!(checked.contains("points of metrics 115") && checked.contains("sound"), "{checked}");
}

fn formats() {
    let central = Central::start(&["alpha", "beta"]);
    for server in 0..2 {
        let id = central.servers[server].id;
        for minute in 0..10 {
            assert_eq!(send(&central, server, &batch(id, minute, begin_s() + 60 * minute)), 204);
        }
    }
    let api = central.api();
    let from = begin_s().to_string();
    let (beta, path) = (central.servers[1].id.to_string(), "/api/v2/monitoring/system/aggregate");
    let question = [("date_from", from.as_str()), ("server_id", beta.as_str()), ("metric", "cpu_percent"), ("interval", "15m")];
    let answer = api.get(path, &question, "application/json");
    assert_eq!(answer.header("x-total-count"), Some("1"));
    let Value::Array(rows) = answer.json() else { panic!("no list") };
    let row = rows[0].as_object().expect("a row");
    assert_eq!((time_ms(row, "time"), text(row, "server"), text(row, "label")), (begin_s() * 1000, "beta", "total"));
    let told = ["min", "max", "avg", "last"].map(|column| value(row, column));
    assert_eq!((told, number(row, "count")), ([0.5, 11.5, 68.5 / 11.0, 11.5], 110));
    let csv = api.get(path, &question, "text/csv").text();
    let (head, line) = csv.trim_end().split_once('\n').expect("a header and a row");
    assert_eq!(head, "time,server_id,server,metric,label,min,max,avg,last,count");
    let ends = format!(",{beta},beta,cpu_percent,total,0.5,11.5,{},11.5,110", 68.5 / 11.0);
    assert!(line.ends_with(&ends), "{line}");
    let sql = "SELECT count(*) AS count FROM system_raw WHERE server = 'beta' AND metric = 'cpu_percent'";
    assert_eq!(api.sql(sql, "application/json").text(), r#"[{"count":110}]"#);
    let metrics = api.rows("system/metrics", &[]);
    let names: Vec<_> = metrics.iter().map(|row| (text(row, "metric"), text(row, "label"))).collect();
    assert_eq!(names, [("cpu_percent", "total"), ("disk_free_bytes", "/")]);
    let page = api.get("/api/v2/monitoring/system/raw", &[("date_from", &from), ("limit", "7")], "application/json");
    assert_eq!(page.header("x-total-count"), Some("460"));
    assert!(page.header("link").is_some_and(|link| link.contains("offset=7")));
    for (parameter, wrong) in [("interval", "7m"), ("server_id", "99"), ("host", "a"), ("sort", "hits")] {
        let refused = api.get(path, &[(parameter, wrong)], "application/json");
        assert_eq!((refused.status, refused.problem("parameter").as_str()), (400, parameter));
    }
}

fn given_up() {
    let central = Central::start(&["alpha"]);
    let id = central.servers[0].id;
    let evicted = Some(Evicted { batches: 2, from_s: begin_s() - 120, until_s: begin_s() });
    assert_eq!(send(&central, 0, &SystemBatch { evicted, ..batch(id, 7, begin_s()) }), 204);
    let rows = central.api().rows("dns/coverage", &[]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((number(&rows[0], "batches_evicted"), number(&rows[0], "seq"), number(&rows[0], "hits")), (2, 7, 0));
    let ranges =
        ["evicted_from", "evicted_until", "covered_from", "covered_until"].map(|column| time_ms(&rows[0], column) / 1000);
    assert_eq!(ranges, [begin_s() - 120, begin_s(), begin_s(), begin_s()]);
}

/// The machine's own figures at the end of a second.
struct Moment {
    end_s: u64,
    /// `/proc/stat`: idle and iowait ticks of all processors, and the total.
    idle: f64,
    ticks: f64,
    /// `/proc/net/dev`: bytes received by the loopback device.
    received: f64,
    /// By metric and label: the value, and the tolerance for a probe that samples a moment later;
    /// only for some moments.
    gauges: Vec<(&'static str, String, f64, f64)>,
}

impl Moment {
    /// Waits for the end of this second.
    fn next(with_gauges: bool) -> Moment {
        let end_s = unix_ms() / 1000 + 1;
        thread::sleep(Duration::from_millis((end_s * 1000).saturating_sub(unix_ms())));
        let read = |file: &str| fs::read_to_string(file).expect("a file of proc(5)");
        let stat = numbers(read("/proc/stat").lines().next().expect("a line of all processors"));
        let networks = read("/proc/net/dev");
        let loopback = networks.lines().find_map(|line| line.trim().strip_prefix("lo:")).expect("there is a loopback device");
        // Guests, from the ninth on, are already included in the first two.
        let (idle, ticks) = (stat[3] + stat[4], stat[..8].iter().sum());
        let gauges = if with_gauges { Self::gauges() } else { Vec::new() };
        Moment { end_s, idle, ticks, received: numbers(loopback)[0], gauges }
    }

    fn gauges() -> Vec<(&'static str, String, f64, f64)> {
        let read = |file: &str| fs::read_to_string(file).expect("a file of proc(5)");
        let loads = numbers(&read("/proc/loadavg"));
        let free = succeed(Command::new("free").arg("-b").env("LC_ALL", "C"), Duration::from_secs(10));
        let row = |name| numbers(free.lines().find_map(|line| line.strip_prefix(name)).expect("a row of free"));
        let (memory, swap) = (row("Mem:"), row("Swap:"));
        let df = succeed(Command::new("df").args(["-B1", "--output=size,used,avail", "/"]), Duration::from_secs(10));
        let disk = numbers(df.lines().nth(1).expect("a row of df"));
        let ss = succeed(Command::new("ss").arg("-Hant"), Duration::from_secs(10));
        let sockets = |state: &str| ss.lines().filter(|line| line.starts_with(state)).count() as f64;
        let gauge = |metric, label: &str, value, off| (metric, label.to_owned(), value, off);
        // Other programs run on this machine meanwhile.
        vec![
            gauge("load_1m", "", loads[0], 0.75),
            gauge("load_15m", "", loads[2], 0.2),
            gauge("uptime_s", "", numbers(&read("/proc/uptime"))[0], 2.0),
            gauge("memory_total_bytes", "", memory[0], 0.0),
            gauge("memory_used_bytes", "", memory[1], 0.05 * memory[0]),
            gauge("memory_available_bytes", "", memory[5], 0.05 * memory[0]),
            gauge("swap_total_bytes", "", swap[0], 0.0),
            gauge("disk_total_bytes", "/", disk[0], 0.0),
            gauge("disk_used_bytes", "/", disk[1], 512e6),
            gauge("disk_free_bytes", "/", disk[2], 512e6),
            gauge("tcp_connections", "listen", sockets("LISTEN"), 10.0),
            gauge("tcp_connections", "established", sockets("ESTAB"), 20.0 + 0.25 * sockets("ESTAB")),
        ]
    }
}

/// The numbers in a text.
fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn same_moment() {
    const SECONDS: usize = 12;
    let central = Central::start(&["alpha"]);
    let mut probe = Probe::new(&Settings { system_interval_s: Some(1), ..Settings::http(&central, 0) });
    probe.start();
    let api = central.api();
    let from = begin_s().to_string();
    let told = |metric: &str, label: &str, start_s: u64| {
        let rows = api.rows("system/raw", &[("date_from", &from), ("metric", metric), ("label", label)]);
        rows.iter().find(|row| time_ms(row, "time") == start_s * 1000).map(|row| value(row, "value"))
    };
    eventually("the machine is measured", Duration::from_secs(30), || {
        (!api.rows("system/raw", &[("date_from", &from), ("metric", "cpu_percent")]).is_empty()).then_some(())
    });
    let moments: Vec<Moment> = (0..=SECONDS).map(|second| Moment::next(second % 4 == 0)).collect();
    let end_s = moments[SECONDS].end_s;
    eventually("the last second is told of", Duration::from_secs(30), || told("uptime_s", "", end_s + 1));
    // Gauges at the end of a slot. A slot that the probe sampled too late is absent.
    let mut compared = 0;
    for moment in &moments {
        for (metric, label, theirs, off) in &moment.gauges {
            let Some(ours) = told(metric, label, moment.end_s - 1) else { continue };
            assert!((ours - theirs).abs() <= *off, "{metric} {label:?}: {ours} is not {theirs} by more than {off}");
            compared += 1;
        }
    }
    assert!(compared >= moments[0].gauges.len(), "only {compared} figures were there to compare");
    // Rates over slots from one moment to the next: compare sums, since both read the clock
    // slightly late.
    let (mut slots, mut ours, mut theirs) = (0.0, [0.0; 2], [0.0; 2]);
    for pair in moments.windows(2).filter(|pair| pair[0].end_s + 1 == pair[1].end_s) {
        let start_s = pair[0].end_s;
        let told = [told("cpu_percent", "total", start_s), told("network_received_bytes_per_s", "lo", start_s)];
        let [Some(busy), Some(received)] = told else { continue };
        let (ticks, idle) = (pair[1].ticks - pair[0].ticks, pair[1].idle - pair[0].idle);
        slots += 1.0;
        ours = [ours[0] + busy, ours[1] + received];
        theirs = [theirs[0] + 100.0 * (1.0 - idle / ticks), theirs[1] + pair[1].received - pair[0].received];
    }
    assert!(slots >= 3.0, "only {slots} slots were there to compare");
    assert!((ours[0] - theirs[0]).abs() < 10.0 * slots, "percent of the processors: {ours:?}, by /proc/stat {theirs:?}");
    let off = 0.3 * theirs[1] + 20_000.0 * slots;
    assert!((ours[1] - theirs[1]).abs() < off, "bytes received: {ours:?}, by /proc/net/dev {theirs:?}");
    probe.stop();
}

fn own() {
    let central = Central::start(&["alpha", "beta"]);
    assert_eq!(send(&central, 0, &batch(central.servers[1].id, 0, begin_s())), 403);
    assert_eq!(central.api().rows("system/metrics", &[]), [], "nothing of it was taken");
}
