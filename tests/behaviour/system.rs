//! Metrics of machines: counted once, whatever happens, and answered in every format.

use libtest_mimic::Trial;
use serde_json::Value;
use zonepulse_tests::api::{Row, number, text, time_ms};
use zonepulse_tests::needs::test;
use zonepulse_tests::{Central, unix_ms};
use zonepulse_wire::{Identity, Series, SystemBatch};

pub fn trials() -> Vec<Trial> {
    vec![
        test("metrics_are_counted_once_across_a_kill", once),
        test("metrics_are_answered_by_bucket_and_in_every_format", formats),
        test("a_server_may_send_metrics_only_of_itself", own),
    ]
}

/// A minute of two series, twelve slots of five seconds: 0, 1, 2 … percent, and a disk that stays as it is.
fn batch(server_id: u32, seq: u64, start_s: u64) -> SystemBatch {
    let series = |metric: &str, label: &str, value: &dyn Fn(u32) -> Option<f64>| Series {
        metric: metric.to_owned(),
        label: label.to_owned(),
        values: (0..12).map(value).collect(),
    };
    SystemBatch {
        identity: Identity { server_id, epoch: 1, seq },
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

fn own() {
    let central = Central::start(&["alpha", "beta"]);
    assert_eq!(send(&central, 0, &batch(central.servers[1].id, 0, begin_s())), 403);
    assert_eq!(central.api().rows("system/metrics", &[]), [], "nothing of it was taken");
}
