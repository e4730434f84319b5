//! Two probes with one server's token: this is reported, and with a setting, time counts only once.

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::MutexGuard;
use std::thread::sleep;
use std::time::Duration;
use zonepulse_tests::api::{Row, number, text, time_ms};
use zonepulse_tests::batches::{REQUEST, batch, encode, point, send};
use zonepulse_tests::needs::{capture_rights, test, test_with};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::{Api, Central, Probe, eventually, unix_ms};
use zonepulse_wire::Batch;

const INTERVAL_S: u32 = 2;

pub fn trials() -> Vec<Trial> {
    vec![
        test("what_two_runs_of_a_probe_both_cover_counts_twice_and_is_told", counted),
        test("by_setting_what_two_runs_of_a_probe_both_cover_counts_once", refused),
        test_with("two_live_probes_with_one_token_are_told_and_by_setting_one_counts", capture_rights, live),
    ]
}

/// A full minute some minutes ago, with 5 requests.
fn minute(server_id: u32, epoch: u64, ago: u64) -> Batch {
    let start_s = unix_ms() / 60_000 * 60 - 60 * ago;
    batch(server_id, epoch, ago, start_s, &[point("www.example.", "A", REQUEST, 5, 1_000)])
}

fn hits(api: &Api) -> u64 {
    api.rows("dns/aggregate", &[]).iter().map(|row| number(row, "hits")).sum()
}

fn overlaps(rows: &[Row]) -> Vec<u64> {
    rows.iter().map(|row| number(row, "overlap_ms")).collect()
}

fn metric(api: &Api, name: &str) -> u64 {
    let text = api.get("/metrics", &[], "text/plain").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().parse().expect("a number")
}

fn count_once(api: &Api) {
    let set = api.send_json(Method::PATCH, "/api/v2/settings", &json!({ "overlapping_probes": "refuse" }));
    assert_eq!(set.status, 200, "{}", set.text());
}

fn counted() {
    let central = Central::start(&["one"]);
    let (api, probe, id) = (central.api(), central.api_of_server(0), central.servers[0].id);
    for (epoch, ago) in [(1, 9), (2, 9), (1, 8), (2, 7)] {
        send(&probe, &minute(id, epoch, ago));
    }
    assert_eq!(hits(&api), 20);
    let rows = api.rows("dns/coverage", &[("sort", "time,seq,epoch")]);
    assert_eq!(overlaps(&rows), [0, 60_000, 0, 0]);
    let sql = api.sql("SELECT sum(overlap_ms) AS ms FROM coverage WHERE overlap_ms > 0", "text/csv").text();
    assert!(sql.contains("60000"), "{sql}");
    assert_eq!(metric(&api, "zonepulse_server_batches_overlapping_total{server=\"1\"} "), 1);
}

fn refused() {
    let mut central = Central::start(&["one"]);
    count_once(&central.api());
    let id = central.servers[0].id;
    let (first, second, after) = (minute(id, 1, 9), minute(id, 2, 9), minute(id, 2, 8));
    send(&central.api_of_server(0), &first);
    let answer = central.api_of_server(0).post_batch(encode(&second));
    let detail = answer.problem("detail");
    assert_eq!(answer.status, 400, "whoever brought it keeps it: {detail}");
    assert!(detail.contains("another probe uses the token of server 1") && detail.contains("overlapping_probes"), "{detail}");
    // It is still known after a restart.
    central.stop();
    central.start_again();
    assert_eq!(central.api_of_server(0).post_batch(encode(&second)).status, 400);
    send(&central.api_of_server(0), &first);
    send(&central.api_of_server(0), &after);
    let api = central.api();
    assert_eq!(hits(&api), 10);
    assert_eq!(overlaps(&api.rows("dns/coverage", &[])), [0, 0]);
    assert_eq!(metric(&api, "zonepulse_server_batches_overlapping_refused_total{server=\"1\"} "), 1);
    central.stop();
    central.check();
}

/// The epochs that cover each interval from a time on.
fn epochs_by_time(api: &Api, from_ms: u64) -> BTreeMap<u64, BTreeSet<String>> {
    let mut found: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for row in api.rows("dns/coverage", &[("limit", "1000")]) {
        let time_ms = time_ms(&row, "time");
        if time_ms >= from_ms {
            found.entry(time_ms).or_default().insert(text(&row, "epoch").to_owned());
        }
    }
    found
}

fn live(_alone: MutexGuard<'static, ()>) {
    let central = Central::start(&["one"]);
    let api = central.api();
    let settings = Settings { interval_s: INTERVAL_S, ..Settings::http(&central, 0) };
    let [mut first, mut second] = [(); 2].map(|()| Probe::new(&settings));
    first.start();
    let from_ms = eventually("the first probe covers an interval", Duration::from_secs(30), || {
        api.rows("dns/coverage", &[]).first().map(|row| time_ms(row, "time"))
    });
    second.start();
    let conflict = eventually("the conflict is told", Duration::from_secs(60), || {
        let row = api.rows("heartbeat", &[]).remove(0);
        (row["state"] == "conflict").then_some(row)
    });
    assert_eq!(conflict["good"], false, "{conflict:?}");
    assert!(text(&conflict, "conflict").starts_with("two probes use this server's token"), "{conflict:?}");
    assert!(central.log().contains("use this server's token"), "{}", central.log());
    let doubled = epochs_by_time(&api, from_ms).values().filter(|epochs| epochs.len() == 2).count();
    assert!(doubled >= 3, "both count: {doubled}");
    eventually("both machines are named", Duration::from_secs(60), || {
        let row = api.rows("heartbeat", &[]).remove(0);
        (text(&row, "conflict").matches("(127.0.0.1)").count() == 2).then_some(())
    });
    assert_eq!(metric(&api, "zonepulse_server_probes_conflicting{server=\"1\"} "), 2);

    count_once(&api);
    let interval_ms = u64::from(INTERVAL_S) * 1000;
    // A batch in flight when the setting changed still counts.
    let once_ms = unix_ms() + 2 * interval_ms;
    sleep(Duration::from_millis(8 * interval_ms));
    let by_time = epochs_by_time(&api, once_ms);
    assert!(by_time.len() >= 4, "{by_time:?}");
    assert!(by_time.values().all(|epochs| epochs.len() == 1), "each interval counts once: {by_time:?}");
    let counting: BTreeSet<&String> = by_time.values().flatten().collect();
    assert_eq!(counting.len(), 1, "the same one goes on: {by_time:?}");
    let kept = second.spool().join("refused");
    assert!(std::fs::read_dir(&kept).is_ok_and(|files| files.count() > 0), "what is refused is kept");

    first.kill();
    let killed_ms = unix_ms();
    let taken_over = eventually("the other one takes over", Duration::from_secs(30), || {
        let by_time = epochs_by_time(&api, killed_ms + interval_ms);
        (by_time.len() >= 3).then_some(by_time)
    });
    assert!(taken_over.values().flatten().all(|epoch| !counting.contains(epoch)), "{taken_over:?}");
    second.stop();
}
