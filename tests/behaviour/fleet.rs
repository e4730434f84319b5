//! A fleet: machines in separate networks, each with Knot, traffic and a probe with a different
//! communication, over cables that are cut while settings change.
//!
//! The scenario is played once, and each test checks one aspect of it. The truth is what dnsperf
//! reports as sent, and what dnsperf and Knot report as answered.
//!
//! `ZONEPULSE_TESTS_CUT_S` sets how long a cable is cut, seconds: 15 by default.

use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::Duration;
use zonepulse_tests::api::{Credentials, Row, number, text, time_ms};
use zonepulse_tests::batches::{REQUEST, batch, encode, point};
use zonepulse_tests::dnsperf::Report;
use zonepulse_tests::fleet::{Hub, Node};
use zonepulse_tests::needs::{root, test_with};
use zonepulse_tests::{Api, eventually, unix_ms};
use zonepulse_wire::pull::BATCHES_PATH;

const INTERVAL_S: u64 = 5;
/// The interval after the change.
const OTHER_INTERVAL_S: u64 = 2;
const PER_SECOND: u32 = 200;

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("in_a_fleet_each_server_has_what_was_asked_and_answered_whichever_way_batches_come", root, |_alone| {
            every_message()
        }),
        test_with("in_a_fleet_nodes_that_are_cut_off_lose_nothing_and_hold_nobody_up", root, |_alone| cut_off()),
        test_with("in_a_fleet_changed_settings_are_in_force_everywhere_without_a_restart", root, |_alone| changed_settings()),
        test_with("in_a_fleet_a_server_that_changes_its_way_loses_nothing_and_doubles_nothing", root, |_alone| changed_way()),
        test_with("in_a_fleet_a_token_is_good_for_one_server_and_an_enrolment_token_for_once", root, |_alone| tokens()),
        test_with("in_a_fleet_heartbeats_tell_what_runs_on_a_node", root, |_alone| components()),
    ]
}

static STORY: LazyLock<Story> = LazyLock::new(play);

/// The record of the scenario.
struct Story {
    seen: Vec<Seen>,
    cuts: Vec<Cut>,
    /// The rows of `heartbeat` once all nodes had the last settings.
    heartbeats: Vec<Row>,
    settings_version: u64,
    refusals: Refusals,
    /// How far the server that changes its communication was counted with each of them, Unix
    /// milliseconds.
    ways: Vec<(&'static str, u64)>,
    pulled_batches: u64,
    check: String,
}

/// The record of a node.
struct Seen {
    name: &'static str,
    server_id: u32,
    asked: Report,
    responses: BTreeMap<String, u64>,
    raw: Vec<Row>,
    reports: Vec<Row>,
    total: u64,
    left_in_spool: usize,
    log: String,
}

/// A period during which cables were cut.
struct Cut {
    from_ms: u64,
    until_ms: u64,
    /// Servers behind them, and how far each was counted at the end according to the API, Unix
    /// milliseconds.
    cut_off: Vec<(u32, u64)>,
    others: Vec<(u32, u64)>,
}

/// HTTP statuses, and the output of the second enrolment.
struct Refusals {
    batch_of_another: u16,
    batch_of_nobody: u16,
    pull_as_another: u16,
    spent_enrolment: String,
}

fn seconds(count: u64) {
    sleep(Duration::from_secs(count));
}

fn play() -> Story {
    let cut_s = std::env::var("ZONEPULSE_TESTS_CUT_S")
        .map_or(15, |text| text.parse().expect("ZONEPULSE_TESTS_CUT_S is a number of seconds"));
    let hub = Hub::start();
    hub.set(json!({ "dns_interval_s": INTERVAL_S }));
    let ways = [("pushes", "http"), ("publishes", "rabbitmq"), ("is-pulled", "pull"), ("changes", "http")];
    let mut nodes: Vec<Node> = (1u8..).zip(ways).map(|(number, (name, way))| Node::start(&hub, number, name, way)).collect();
    let api = hub.central().api();
    eventually("every node is heard and counts", Duration::from_secs(60), || {
        let counts = |row: &Row| row["capture"]["state"] == "running" && row["settings_version"].is_u64();
        let rows = api.rows("heartbeat", &[]);
        (rows.len() == nodes.len() && rows.iter().all(counts)).then_some(())
    });
    let refusals = refusals(&hub, &nodes);
    nodes.iter_mut().for_each(|node| node.ask(PER_SECOND));
    seconds(2 * INTERVAL_S);

    hub.set(json!({ "dns_interval_s": OTHER_INTERVAL_S }));
    hub.set_of(&nodes[3], json!({ "communication": "pull" }));
    // Settings change while two of the nodes cannot be told.
    let mut cuts = vec![cut(&hub, &nodes, &[0, 2], cut_s), cut(&hub, &nodes, &[1], cut_s)];
    let mut ways = Vec::new();
    let mut change_way = |name, word: &str, address: &str| {
        let says = |line: &str| line.contains(word) && line.contains(address);
        eventually(name, Duration::from_secs(90), || nodes[3].probe.log().lines().any(says).then_some(()));
        let there_ms = unix_ms();
        ways.push((name, counted_until(&api, nodes[3].server_id, there_ms + 3000)));
    };
    change_way("pull", "ready for the central to pull", "8054");
    hub.set_of(&nodes[3], json!({ "communication": "rabbitmq" }));
    change_way("rabbitmq", "delivery works", "amqps://");

    let settings_version = hub.settings_version();
    let heartbeats = eventually("the last settings are in force everywhere", Duration::from_secs(90), || {
        let rows = api.rows("heartbeat", &[]);
        rows.iter().all(|row| row["settings_version"] == settings_version).then_some(rows)
    });
    // Wait for the first sample at the new interval, and for what the cuts held up.
    let now_ms = unix_ms() + 2 * OTHER_INTERVAL_S * 1000;
    nodes.iter().for_each(|node| _ = counted_until(&api, node.server_id, now_ms));
    let asked: Vec<Report> = nodes.iter_mut().map(Node::ask_no_more).collect();
    // For messages that the kernel has and the probe has not yet.
    seconds(1);
    let end_ms = unix_ms();
    nodes.iter_mut().for_each(|node| node.probe.stop());
    let seen = nodes.iter().zip(asked).map(|(node, asked)| Seen::of(&api, node, asked, end_ms)).collect();
    cuts.retain(|cut| cut.from_ms < cut.until_ms);
    let pulled_batches = metric(&api, "zonepulse_pull_batches_confirmed_total ");
    drop(nodes);
    Story { seen, cuts, heartbeats, settings_version, refusals, ways, pulled_batches, check: hub.check() }
}

/// Cuts some cables, and reconnects them.
fn cut(hub: &Hub, nodes: &[Node], out: &[usize], cut_s: u64) -> Cut {
    let from_ms = unix_ms();
    out.iter().for_each(|at| nodes[*at].cut(hub));
    seconds(cut_s);
    let until_ms = unix_ms();
    let api = hub.central().api();
    let told: Vec<_> = nodes.iter().map(|node| (node.server_id, last_told_ms(&api, node.server_id))).collect();
    out.iter().for_each(|at| nodes[*at].mend(hub));
    let (cut_off, others): (Vec<_>, Vec<_>) = told.into_iter().enumerate().partition(|(at, _)| out.contains(at));
    let plain = |pairs: Vec<(usize, (u32, u64))>| pairs.into_iter().map(|(_, pair)| pair).collect();
    Cut { from_ms, until_ms, cut_off: plain(cut_off), others: plain(others) }
}

/// The end of the last report of a server, Unix milliseconds.
fn last_told_ms(api: &Api, server_id: u32) -> u64 {
    let rows = api.all_rows("dns/coverage", &[("server_id", &server_id.to_string())]);
    rows.iter().map(|row| time_ms(row, "covered_until")).max().unwrap_or(0)
}

/// Waits until a server's reports reach this time.
fn counted_until(api: &Api, server_id: u32, until_ms: u64) -> u64 {
    eventually(&format!("server {server_id} is told of"), Duration::from_secs(150), || {
        Some(last_told_ms(api, server_id)).filter(|told_ms| *told_ms >= until_ms)
    })
}

fn metric(api: &Api, name: &str) -> u64 {
    let text = api.get("/metrics", &[], "*/*").text();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).trim().parse().expect("a number")
}

fn refusals(hub: &Hub, nodes: &[Node]) -> Refusals {
    let (one, another) = (&nodes[0], &nodes[2]);
    let bytes = encode(&batch(another.server_id, 1, 0, 60, &[point("stolen.example.", "A", REQUEST, 1000, 0)]));
    let post = |token: &str| {
        let api = hub.central().client(Credentials::Token(token.to_owned()));
        api.post_batch(bytes.clone()).status
    };
    let pull = hub.client(another.pull_address, &one.token());
    Refusals {
        batch_of_another: post(&one.token()),
        batch_of_nobody: post("0123456789abcdef"),
        pull_as_another: pull.get(BATCHES_PATH, &[], "*/*").status,
        spent_enrolment: another.enroll_again(hub).map(|output| output.err).unwrap_or_default(),
    }
}

impl Seen {
    fn of(api: &Api, node: &Node, asked: Report, end_ms: u64) -> Self {
        counted_until(api, node.server_id, end_ms);
        let id = node.server_id.to_string();
        let of_server = [("server_id", id.as_str())];
        let totals = api.all_rows("dns/aggregate", &of_server);
        Seen {
            name: node.name,
            server_id: node.server_id,
            asked,
            responses: node.responses(),
            raw: api.all_rows("dns/raw", &of_server),
            reports: api.all_rows("dns/coverage", &[of_server[0], ("sort", "time,seq")]),
            total: totals.iter().map(|row| number(row, "hits")).sum(),
            left_in_spool: node.probe.waiting(),
            log: node.probe.log(),
        }
    }

    /// Hits by the values of one column.
    fn hits(&self, action: &str, column: &str) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for row in self.raw.iter().filter(|row| text(row, "action") == action) {
            *sums.entry(text(row, column).to_owned()).or_default() += number(row, "hits");
        }
        sums
    }

    /// Covered time ranges, in order.
    fn covered(&self) -> Vec<(u64, u64)> {
        let mut covered: Vec<_> =
            self.reports.iter().map(|row| (time_ms(row, "covered_from"), time_ms(row, "covered_until"))).collect();
        covered.retain(|(from_ms, until_ms)| from_ms < until_ms);
        covered.sort_unstable();
        covered
    }

    fn assert_told_truly(&self) {
        let Seen { name, asked, log, .. } = self;
        // dnsperf was told to stop, and did not wait for the last answers.
        let unheard = asked.sent - asked.completed;
        assert!(asked.sent > 5_000 && asked.lost == 0 && unheard < 20, "{name}: {asked:?}");
        let sum = |column: &str| -> u64 { self.reports.iter().map(|row| number(row, column)).sum() };
        assert_eq!((sum("kernel_dropped"), sum("interface_dropped")), (0, 0), "{name}");
        // Nothing except the probe's own queries to the server, which are not hits.
        let own =
            |row: &Row| text(row, "losses").split(' ').find_map(|loss| loss.strip_prefix("own_messages=")?.parse::<u64>().ok());
        assert_eq!(sum("not_counted"), self.reports.iter().filter_map(own).sum::<u64>(), "{name}");
        let requests = self.hits("request", "action");
        assert_eq!(requests, BTreeMap::from([("request".to_owned(), asked.sent)]), "{name}\n{log}");
        let responses = self.hits("response", "rcode");
        assert_eq!(responses.values().sum::<u64>(), asked.sent, "{name}: {responses:?}");
        let heard = |(code, heard): (&String, &u64)| (*heard..=heard + unheard).contains(&responses[code]);
        assert!(responses.len() == asked.codes.len() && asked.codes.iter().all(heard), "{name}: {responses:?}, {asked:?}");
        // Knot also answered the probe's own identity queries, some before the capture started.
        let own = |(code, told): (&String, &u64)| told - responses.get(code).copied().unwrap_or(0);
        assert!(self.responses.iter().map(own).sum::<u64>() <= 8, "{name}: {responses:?}, Knot {:?}", self.responses);
        assert_eq!(self.total, asked.sent, "{name}: totals");
        assert_eq!(self.raw.iter().map(|row| number(row, "hits")).sum::<u64>(), sum("hits"), "{name}: points and reports");
        assert_eq!(self.left_in_spool, 0, "{name}\n{log}");
        assert!(!log.contains("panicked"), "{log}");
    }

    /// Checks that there is no gap and no overlap in the coverage from beginning to end.
    fn assert_no_gap(&self) {
        let covered = self.covered();
        let breaks: Vec<_> = covered.windows(2).filter(|pair| pair[0].1 != pair[1].0).collect();
        assert!(breaks.is_empty(), "{}: {breaks:?}", self.name);
    }
}

fn every_message() {
    let story = &*STORY;
    assert_eq!(story.seen.len(), 4);
    story.seen.iter().filter(|seen| seen.name != "changes").for_each(Seen::assert_told_truly);
    assert!(story.check.contains("sound"), "{}", story.check);
}

fn cut_off() {
    let story = &*STORY;
    for Cut { from_ms, until_ms, cut_off, others } in &story.cuts {
        for (server_id, told_ms) in cut_off {
            assert!(*told_ms <= from_ms + 1000, "server {server_id} was not cut off: {told_ms} of {from_ms}");
        }
        // The node that changes its communication has its own test.
        for (server_id, told_ms) in others.iter().filter(|(server_id, _)| *server_id < 4) {
            // Its last interval and some delivery time; after a cut of its own, also the waits
            // between attempts.
            let late_ms = (INTERVAL_S + 3) * 1000;
            let before_ms = until_ms.saturating_sub(late_ms);
            let own = story.cuts.iter().any(|cut| cut.until_ms <= *from_ms && cut.cut_off.iter().any(|(id, _)| id == server_id));
            assert!(own || *told_ms >= before_ms, "server {server_id} was held up: told to {told_ms} at {until_ms}");
        }
    }
    assert_eq!(story.cuts.iter().map(|cut| cut.cut_off.len()).collect::<Vec<_>>(), [2, 1]);
    story.seen.iter().filter(|seen| seen.name != "changes").for_each(Seen::assert_no_gap);
}

fn changed_settings() {
    let story = &*STORY;
    for row in &story.heartbeats {
        assert_eq!(number(row, "settings_version"), story.settings_version, "{row:?}");
        assert_eq!(text(row, "state"), "running", "{row:?}");
    }
    for seen in &story.seen {
        let intervals: BTreeSet<u64> = seen.raw.iter().map(|row| number(row, "interval_s")).collect();
        assert_eq!(intervals, [OTHER_INTERVAL_S, INTERVAL_S].into(), "{}", seen.name);
        assert_eq!(seen.log.matches(" listening").count(), 1, "{}: begun once\n{}", seen.name, seen.log);
    }
}

fn changed_way() {
    let story = &*STORY;
    let changes = story.seen.iter().find(|seen| seen.name == "changes").expect("it is one of the nodes");
    assert_eq!(story.ways.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["pull", "rabbitmq"]);
    for way in ["delivery works to=\"https://", "ready for the central to pull", "delivery works to=\"amqps://"] {
        assert!(changes.log.contains(way), "{way}: {}", changes.log);
    }
    changes.assert_told_truly();
    changes.assert_no_gap();
    assert!(story.pulled_batches > 0);
}

fn tokens() {
    let Refusals { batch_of_another, batch_of_nobody, pull_as_another, spent_enrolment } = &STORY.refusals;
    assert_eq!((*batch_of_another, *batch_of_nobody, *pull_as_another), (403, 401, 401));
    assert!(spent_enrolment.contains("rejects the enrolment token"), "{spent_enrolment}");
    for seen in &STORY.seen {
        let stolen = seen.raw.iter().filter(|row| text(row, "host").starts_with("stolen.")).count();
        assert_eq!(stolen, 0, "server {}", seen.server_id);
    }
}

fn components() {
    for row in &STORY.heartbeats {
        let dns: &Value = &row["components"]["dns"];
        assert_eq!((&dns["state"], &dns["name"]), (&json!("running"), &json!("knotd")), "{row:?}");
        let version = dns["version"].as_str().unwrap_or_default();
        assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{row:?}");
        let server = text(row, "server");
        assert_eq!(dns["identity"], json!(server), "{row:?}");
        assert_eq!(row["components"]["monitor"]["state"], "running", "{row:?}");
    }
}
