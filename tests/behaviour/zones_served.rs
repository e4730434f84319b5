//! What responses served: counted beside the hits, of the catalogue's records only, and never as part of them.

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::MutexGuard;
use std::time::{Duration, SystemTime};
use zonepulse_dns::{MessageKind, Served};
use zonepulse_tests::api::{number, text};
use zonepulse_tests::batches::{self, Point, REQUEST, point, response};
use zonepulse_tests::knot::ZONE as KNOT_ZONE;
use zonepulse_tests::needs::{capture_rights, test, test_with};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::{Api, Central, Knot, Probe, eventually};

pub fn trials() -> Vec<Trial> {
    vec![
        test("what_was_served_is_counted_for_the_records_of_the_catalogue", counted),
        test("hits_are_the_same_with_what_was_served_and_without", beside),
        test("what_was_served_adds_up_in_every_roll_up_and_after_a_restart", added_up),
        test_with("a_probe_counts_what_a_server_served_unless_that_is_switched_off", capture_rights, live),
    ]
}

const ZONE: &str = "\
$ORIGIN shop.example.
$TTL 60
@ SOA ns1 hostmaster 7 7200 900 1209600 300
@ NS ns1
ns1 A 192.0.2.53
www CNAME web
web A 192.0.2.80
*.dyn A 192.0.2.84
sub NS ns.sub
ns.sub A 192.0.2.85
";

/// The start of a minute in the last complete hour.
fn minute_s(ago: u64) -> u64 {
    let now_s = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs();
    now_s / 3600 * 3600 - 60 * (ago + 1)
}

fn central() -> Central {
    let central = Central::start(&["ns1"]);
    load(&central.api(), "shop.example", ZONE);
    central
}

fn load(api: &Api, apex: &str, zone: &str) {
    let created = api.send_json(Method::POST, "/api/v2/zones", &json!({ "zone": apex }));
    let zone_id = created.json()["zone_id"].as_u64().expect("an id");
    let url = api.url(&format!("/api/v2/zones/{zone_id}/file"), &[]);
    let loaded = api.send(Method::PUT, url, &[("content-type", "text/dns")], zone.as_bytes().to_vec());
    assert_eq!(loaded.expect("the central answers").status, 200);
}

fn served(host: &str, record_type: &str, class: Served, count: u64) -> Point {
    point(host, record_type, MessageKind::served(class), count, 2000)
}

/// A question that a CNAME and its target answered, a wildcard, and a referral; and what is not in the catalogue.
fn points() -> Vec<Point> {
    vec![
        point("www.shop.example.", "A", REQUEST, 3, 1000),
        point("www.shop.example.", "A", response("NOERROR"), 3, 2000),
        served("www.shop.example.", "CNAME", Served::Answer, 3),
        served("web.shop.example.", "A", Served::Answer, 3),
        served("*.dyn.shop.example.", "A", Served::Answer, 4),
        served("sub.shop.example.", "NS", Served::Referral, 5),
        served("ns.sub.shop.example.", "A", Served::Glue, 5),
        served("shop.example.", "NS", Served::Carried, 3),
        served("elsewhere.example.", "A", Served::Answer, 6),
    ]
}

fn send(central: &Central, seq: u64, start_s: u64, points: &[Point]) {
    batches::send(&central.api_of_server(0), &batches::batch(central.servers[0].id, 1, seq, start_s, points));
}

fn sql(api: &Api, text: &str) -> Value {
    let answer = api.sql(text, "application/json");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn counted() {
    let central = central();
    send(&central, 1, minute_s(0), &points());
    let api = central.api();
    let rows = sql(&api, "SELECT host, type, class, served FROM served_raw ORDER BY host, type");
    let row = |host: &str, record_type: &str, class: &str, served: u64| json!({"host": host, "type": record_type, "class": class, "served": served});
    let expected = json!([
        row("*.dyn.shop.example.", "A", "answer", 4),
        row("ns.sub.shop.example.", "A", "glue", 5),
        row("shop.example.", "NS", "carried", 3),
        row("sub.shop.example.", "NS", "referral", 5),
        row("web.shop.example.", "A", "answer", 3),
        row("www.shop.example.", "CNAME", "answer", 3),
    ]);
    assert_eq!(rows, expected);
    assert_eq!(sql(&api, "SELECT count(*) AS n FROM served_raw WHERE resource_id = 0"), json!([{"n": 0}]));
    let glue = sql(&api, "SELECT sum(served) AS n, max(last_served) AS last FROM served_raw WHERE class = 'glue'");
    assert_eq!(glue[0]["n"], 5);
    assert!(glue[0]["last"].as_str().is_some_and(|last| last.ends_with(":02Z") || last.contains(":02.")), "{glue}");
    assert_eq!(sql(&api, "SELECT count(*) AS n FROM names WHERE host = 'elsewhere.example.'"), json!([{"n": 0}]));
}

fn beside() {
    let (with, without) = (central(), central());
    let messages: Vec<Point> = points().into_iter().filter(|point| point.kind.is_message()).collect();
    let start_s = minute_s(0);
    send(&with, 1, start_s, &points());
    send(&without, 1, start_s, &messages);
    for call in ["dns/raw", "dns/aggregate", "dns/rps"] {
        let [with, without] = [&with, &without].map(|central| central.api().rows(call, &[("server_id", "1")]));
        assert_eq!(with, without, "{call}");
    }
    for statement in [
        "SELECT * FROM dns_raw ORDER BY 1, 2, 3, 4, 5, 6, 7, 8",
        "SELECT * FROM dns_1h ORDER BY 1, 2, 3, 4, 5, 6, 7, 8",
        "SELECT host, type, action, rcode, hits, first_seen, last_access FROM records ORDER BY 1, 2, 3",
        "SELECT hits, messages_seen FROM coverage",
        "SELECT count(*) AS n FROM dns_raw",
        "SELECT action, sum(hits) AS hits FROM dns_5m GROUP BY action ORDER BY action",
    ] {
        let [with, without] = [&with, &without].map(|central| sql(&central.api(), statement));
        assert_eq!(with, without, "{statement}");
    }
    let rows = with.api().rows("dns/aggregate", &[]);
    assert_eq!(rows.iter().map(|row| (text(row, "host"), number(row, "hits"))).collect::<Vec<_>>(), [("www.shop.example.", 3)]);
}

fn added_up() {
    let mut central = central();
    for (seq, ago) in [0, 1, 7, 33].into_iter().enumerate() {
        send(&central, seq as u64, minute_s(ago), &points());
    }
    let sums = |central: &Central, table: &str| {
        let statement = format!("SELECT host, type, class, sum(served) AS served FROM {table} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3");
        sql(&central.api(), &statement)
    };
    let raw = sums(&central, "served_raw");
    assert_eq!((raw.as_array().map(Vec::len), &raw[0]["served"]), (Some(6), &json!(16)));
    let tables = ["served_raw", "served_5m", "served_15m", "served_30m", "served_1h", "served_total"];
    for table in tables {
        assert_eq!(sums(&central, table), raw, "{table}");
    }
    central.stop();
    let checked = central.check();
    assert!(checked.contains("sound"), "{checked}");
    central.start_again();
    for table in tables {
        assert_eq!(sums(&central, table), raw, "{table} after a restart");
    }
}

/// Types of DNS.
const A: u16 = 1;
const MX: u16 = 15;

/// Asks a server in such a way that it uses an alias, an additional address, and the SOA of the zone.
fn ask(knot: &Knot) {
    for (name, record_type, times) in
        [("alias.example.", A, 3), ("www.example.", A, 4), ("example.", MX, 1), ("none.example.", A, 2)]
    {
        (0..times).for_each(|_| _ = knot.ask(name, record_type));
    }
}

/// The number of requests that the API knows of.
fn requests(api: &Api) -> u64 {
    api.rows("dns/aggregate", &[]).iter().map(|row| number(row, "hits")).sum()
}

fn live(_alone: MutexGuard<'static, ()>) {
    const ASKED: u64 = 10;
    let knot = Knot::start();
    let central = Central::start(&["live"]);
    let api = central.api();
    load(&api, "example", KNOT_ZONE);
    let short = api.send_json(Method::PATCH, "/api/v2/settings", &json!({"dns_interval_s": 5}));
    assert_eq!(short.status, 200, "{}", short.text());
    let mut probe = Probe::new(&Settings { port: knot.port, interval_s: 5, ..Settings::http(&central, 0) });
    probe.configure("central.settings = \"ignore\"", |key| format!("{key} = \"apply\""));
    probe.start();
    let is_told = |on: bool| {
        let log = probe.log();
        let told = log.lines().rfind(|line| line.contains("settings are in force"));
        told.is_some_and(|told| told.contains(&format!("dns_served={on}"))).then_some(())
    };
    eventually("the probe follows the central", Duration::from_secs(60), || is_told(true));
    // From the next look at its orders on.
    eventually("the probe listens", Duration::from_secs(60), || (api.rows("dns/coverage", &[]).len() > 1).then_some(()));
    let served =
        |api: &Api| sql(api, "SELECT host, type, class, sum(served) AS served FROM served_raw GROUP BY 1, 2, 3 ORDER BY 1, 2, 3");
    ask(&knot);
    let counted =
        eventually("what was asked is counted", Duration::from_secs(30), || (requests(&api) == ASKED).then(|| served(&api)));
    let row = |host: &str, record_type: &str, class: &str, served: u64| json!({"host": host, "type": record_type, "class": class, "served": served});
    let expected = json!([
        row("alias.example.", "CNAME", "answer", 3),
        row("example.", "MX", "answer", 1),
        row("example.", "SOA", "denial", 2),
        row("mail.example.", "A", "carried", 1),
        row("www.example.", "A", "answer", 7),
    ]);
    assert_eq!(counted, expected);
    let off = api.send_json(Method::PATCH, "/api/v2/settings", &json!({"dns_served": false}));
    assert_eq!(off.status, 200, "{}", off.text());
    eventually("the probe has the setting", Duration::from_secs(60), || is_told(false));
    // The interval in which it changes may still count both.
    std::thread::sleep(Duration::from_secs(1));
    ask(&knot);
    eventually("what was asked is counted again", Duration::from_secs(30), || (requests(&api) == 2 * ASKED).then_some(()));
    assert_eq!(served(&api), expected, "nothing more");
}
