//! A central with something of everything that the page shows.

use super::now_s;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use zonepulse_dns::MessageKind;
use zonepulse_fixtures::{heartbeat, sample};
use zonepulse_model::{Identity, ServerId};
use zonepulse_tests::api::{Response, Row, number, text};
use zonepulse_tests::batches::{Point, REQUEST, batch, point, response, send};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::{Api, Central, Probe, unix_ms};
use zonepulse_wire::{Batch, Coverage, Series, SystemBatch};

/// Also in `web/tests/page/world.mjs`.
const PASSWORD: &str = "correct horse battery";
/// How long `ns1` has been observed without a gap: longer than the page's shortest window, with its
/// margin.
const DAYS: u64 = 11;
/// How many minutes of the servers are there at least.
const MINUTES: u64 = 120;
/// The longest interval that there is, seconds.
const STEP_S: u64 = 300;
/// Steps of a day.
const DAY: u64 = 86_400 / STEP_S;

/// Served by `ns1` only, which was observed for long enough.
const SHOP: &str = "\
$ORIGIN shop.example.
$TTL 3600
@ SOA ns1 hostmaster 7 7200 900 1209600 300
@ NS ns1
@ MX 10 mail
@ CAA 0 issue \"ca.example\"
ns1 A 192.0.2.53
mail A 192.0.2.25
www CNAME web
web A 192.0.2.80
old A 192.0.2.81
never A 192.0.2.82
dead CNAME gone
gone A 192.0.2.83
*.dyn A 192.0.2.84
";
/// Served by all servers, of which one was not always observed.
const OTHER: &str = "\
$ORIGIN other.example.
$TTL 300
@ SOA ns1 hostmaster 3 7200 900 1209600 300
@ NS ns1
ns1 A 192.0.2.53
www A 192.0.2.90
quiet A 192.0.2.91
";

/// Names as an attacker may ask for them, in the presentation format of RFC 1035 section 5.1.
const HOSTILE: [&str; 5] = [
    "<script>alert\\(1\\)</script>.shop.example.",
    "<img\\032src=x\\032onerror=alert\\(1\\)>.shop.example.",
    "bell\\007null\\000.shop.example.",
    // U+202E RIGHT-TO-LEFT OVERRIDE in UTF-8.
    "\\226\\128\\174elpmaxe.shop.example.",
    "javascript:alert\\(1\\).shop.example.",
];
/// What somebody may write about a record.
const HOSTILE_LABEL: &str = "<b onmouseover=alert(1)>label</b>\u{202e}lebal";

/// The central and its contents.
pub struct World {
    pub central: Central,
    /// When servers begin to report minutes, Unix seconds.
    begin_s: u64,
    /// How many, until now.
    minutes: u64,
}

impl World {
    pub fn start() -> World {
        let central = Central::start(&["ns1", "ns2", "sample"]);
        let begin_s = (now_s() - 60 * MINUTES) / STEP_S * STEP_S;
        let world = World { central, begin_s, minutes: (now_s() - begin_s) / 60 };
        world.days();
        world.minutes();
        world.captured();
        world.machine();
        world.heartbeats();
        world.zones();
        world.users();
        world
    }

    /// `ns1`, in long intervals, until its minutes begin.
    fn days(&self) {
        let sender = self.central.api_of_server(0);
        for ago in (1..=DAYS * DAY).rev() {
            let start_s = self.begin_s - ago * STEP_S;
            let mut points = Vec::new();
            if ago % DAY == 7 {
                points.push(point("www.shop.example.", "A", REQUEST, 40, 5_000));
                points.push(point("www.shop.example.", "A", response("NOERROR"), 40, 5_001));
            }
            if ago == DAYS * DAY - 7 {
                points.push(point("old.shop.example.", "A", REQUEST, 3, 9_000));
                points.push(point("old.shop.example.", "A", response("NOERROR"), 3, 9_001));
            }
            send(&sender, &long(self.id(0), start_s, &points));
        }
    }

    /// Minute by minute: `ns1` all of them, `ns2` with two gaps.
    fn minutes(&self) {
        for server in 0..2 {
            let sender = self.central.api_of_server(server);
            for minute in (0..self.minutes).filter(|minute| server == 0 || !matches!(minute, 30..45 | 100..103)) {
                send(&sender, &batch(self.id(server), 2, minute, self.begin_s + 60 * minute, &points(server, minute)));
            }
        }
    }

    /// What a probe finds in a capture of half an hour, as if it ended now.
    fn captured(&self) {
        let Some(capture) = sample() else { return };
        let probe = Probe::new(&Settings::http(&self.central, 2));
        let output = probe.try_replay(&["--end-now".as_ref(), capture.as_os_str()], Duration::from_secs(60));
        assert_eq!(output.code, Some(0), "{}", output.err);
    }

    /// System metrics of `ns1`, with a gap.
    fn machine(&self) {
        let sender = self.central.api_of_server(0);
        for minute in (0..self.minutes).filter(|minute| !(60..70).contains(minute)) {
            let series = |metric: &str, label: &str, value: f64| Series {
                metric: metric.to_owned(),
                label: label.to_owned(),
                values: vec![Some(value); 4],
            };
            let wave = (minute % 20) as f64;
            let mut metrics = SystemBatch {
                identity: Identity { server_id: ServerId::new(self.id(0)), epoch: 3, seq: minute },
                start_s: self.begin_s + 60 * minute,
                interval_s: 15,
                slots: 4,
                evicted: None,
                series: vec![
                    series("cpu_percent", "total", 10.0 + wave),
                    series("cpu_percent", "cpu0", 10.0 + wave),
                    series("cpu_user_percent", "total", 6.0 + wave),
                    series("cpu_system_percent", "total", 4.0),
                    series("cpu_iowait_percent", "total", 0.5),
                    series("memory_total_bytes", "", 8e9),
                    series("memory_used_bytes", "", 3e9 + 1e7 * wave),
                    series("disk_total_bytes", "/", 2e12),
                    series("disk_used_bytes", "/", 1e12),
                    series("network_received_bytes_per_s", "eth0", 1e5 + 1e3 * wave),
                    series("network_sent_bytes_per_s", "eth0", 2e5),
                    series("tcp_connections", "established", 20.0 + wave),
                ],
            };
            metrics.series.sort_by(|one, other| (&one.metric, &one.label).cmp(&(&other.metric, &other.label)));
            let sent = sender.post_batch(metrics.encode().expect("a batch within bounds"));
            assert_eq!(sent.status, 204, "{}", sent.text());
        }
    }

    /// `ns1` is heard from.
    fn heartbeats(&self) {
        let said: Value = serde_json::from_str(&heartbeat(unix_ms())).expect("a heartbeat is JSON");
        let told = self.central.api_of_server(0).send_json(Method::POST, "/api/v2/monitoring/heartbeat", &said);
        assert!(told.status < 300, "{}", told.text());
    }

    fn zones(&self) {
        let api = self.central.api();
        added(&api, "shop.example", SHOP, &[self.id(0)]);
        added(&api, "other.example", OTHER, &[]);
        let label = |host: &str, label: &str| format!("{host},A,\"{label}\"\n");
        let labels =
            format!("host,type,label\n{}{}", label("web.shop.example", HOSTILE_LABEL), label("ns1.shop.example", "4711"));
        let url = api.url("/api/v2/resources/labels", &[]);
        let labelled = api.send(Method::POST, url, &[("content-type", "text/csv")], labels.into_bytes());
        succeeded(&labelled.expect("the central answers"));
        let listed = api.get("/api/v2/resources", &[("zone", "shop.example"), ("host", "gone.shop.example")], "application/json");
        let rows: Vec<Row> = serde_json::from_slice(&listed.body).expect("a list of rows");
        let gone = rows.iter().find(|row| text(row, "type") == "A").expect("it is in the zone");
        let plan = json!({ "name": "spring <i>cleaning</i>", "resource_ids": [number(gone, "resource_id")] });
        succeeded(&api.send_json(Method::POST, "/api/v2/retirements", &plan));
    }

    /// One for each role.
    fn users(&self) {
        let none = json!({ "monitoring": false, "server_read": false });
        let planner = json!({ "monitoring": true, "server_read": true, "retirement": true });
        let operator = json!({ "monitoring": true, "server_read": true, "server_create": true, "server_update": true,
            "server_delete": true, "zones": true, "retirement": true });
        for (user, rights) in [("nobody", none), ("viewer", json!({})), ("planner", planner), ("operator", operator)] {
            let body = json!({ "user": user, "password": PASSWORD, "rights": rights });
            succeeded(&self.central.api().send_json(Method::POST, "/api/v2/users", &body));
        }
    }

    fn id(&self, server: usize) -> u32 {
        self.central.servers[server].id
    }
}

fn succeeded(response: &Response) {
    assert!((200..300).contains(&response.status), "{}: {}", response.status, response.text());
}

/// A batch that covers a whole long interval.
fn long(server_id: u32, start_s: u64, points: &[Point]) -> Batch {
    let coverage = Coverage { from_ms: start_s * 1000, until_ms: (start_s + STEP_S) * 1000 };
    Batch { interval_s: STEP_S as u32, coverage, ..batch(server_id, 1, start_s / STEP_S, start_s, points) }
}

/// What a server is asked in a minute.
fn points(server: usize, minute: u64) -> Vec<Point> {
    let mut points = Vec::new();
    let mut asked = |host: &str, rtype: &str, hits: u64, code: &str| {
        let kinds: [(MessageKind, u32); 2] = [(REQUEST, 1_000), (response(code), 1_001)];
        points.extend(kinds.map(|(kind, at_ms)| point(host, rtype, kind, hits, at_ms + minute as u32)));
    };
    asked("www.shop.example.", "A", 20 + minute % 7, "NOERROR");
    asked("www.shop.example.", "TXT", 2, "NOERROR");
    asked("www.other.example.", "A", 5, "NOERROR");
    asked("x.dyn.shop.example.", "A", 1, "NOERROR");
    asked("missing.shop.example.", "A", 3, "NXDOMAIN");
    // Each minute has a host of its own, so that there are several pages.
    asked(&format!("host{minute}.elsewhere.example."), "AAAA", 1 + minute, "NOERROR");
    if server == 0 && minute == 7 {
        HOSTILE.iter().for_each(|name| asked(name, "A", 500, "NOERROR"));
    }
    points
}

fn added(api: &Api, apex: &str, zone: &str, servers: &[u32]) {
    let created = api.send_json(Method::POST, "/api/v2/zones", &json!({ "zone": apex, "servers": servers }));
    succeeded(&created);
    let url = api.url(&format!("/api/v2/zones/{}/file", created.json()["zone_id"]), &[]);
    let headers = [("content-type", "text/dns"), ("accept", "application/json")];
    succeeded(&api.send(Method::PUT, url, &headers, zone.as_bytes().to_vec()).expect("the central answers"));
}
