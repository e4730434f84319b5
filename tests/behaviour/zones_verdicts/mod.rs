//! Verdicts of a whole installation: a zone of many records on a real DNS server, whose queries a real probe captures.
//! Every verdict of the central equals, name by name, the one that a plain Python program
//! (`catalogue/tests/verdicts_oracle.py`) computes with dnspython from the zone and the query log. In a flood of random names,
//! names of the zone are folded: then a record may be `unobserved`, but never `unused` or `never_used`.
//!
//! `ZONEPULSE_TESTS_VERDICT_RECORDS` sets the number of records (5,000 by default), and `ZONEPULSE_TESTS_FLOOD_NAMES` the
//! number of random names (40,000).

mod oracle;
mod world;

use libtest_mimic::Trial;
use oracle::{Expected, oracle};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::ops::RangeInclusive;
use std::process::{Command, Stdio};
use std::sync::MutexGuard;
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;
use world::World;
use zonepulse_tests::api::{ALL_TIME, Row, number, text};
use zonepulse_tests::dnsperf::Report;
use zonepulse_tests::needs::{capture_rights, test_with};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::process::succeed;
use zonepulse_tests::{Api, Central, Probe, Process, eventually, ports, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("verdicts_on_a_large_zone_equal_those_of_a_plain_python_program", needs, |(python, _alone)| compare(&python)),
        test_with("names_folded_in_a_flood_make_records_unobserved_but_never_unused", needs, |(python, _alone)| flood(&python)),
    ]
}

const APEX: &str = "plenty.example.";
/// The verdicts, in the order in which they apply. More queries can only move a record to an earlier one.
const VERDICTS: [&str; 7] = ["needed", "protected", "used", "new", "unobserved", "unused", "never_used"];
/// Queries per second: as many as a probe keeps up with on a busy machine.
const PER_SECOND: u32 = 5_000;
/// The same in a flood.
const FLOOD_PER_SECOND: u32 = 10_000;
/// Memory of a probe that has room for about ten thousand names: the least that it accepts with its usual ring, bytes.
const LITTLE_MEMORY: usize = 36 << 20;
/// The usual memory of a probe, bytes.
const USUAL_MEMORY: usize = 64 << 20;
/// More than what a name takes of the memory, bytes.
const NAME_BYTES: usize = 1 << 10;
/// How far the start of the window may be off: it is asked for in whole seconds, and the central reads the clock later.
const SLACK: Duration = Duration::from_secs(4);

/// A Python with dnspython, and permission to capture.
fn needs() -> Result<(OsString, MutexGuard<'static, ()>), String> {
    let python = python()?;
    Ok((python, capture_rights()?))
}

/// The Python that `scripts/test.sh` sets, or that of the system.
fn python() -> Result<OsString, String> {
    let set = std::env::var_os("ZONEPULSE_TESTS_PYTHON");
    let has_dnspython = |python: &OsString| {
        let status = Command::new(python).args(["-c", "import dns.zone"]).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let found = set.into_iter().chain([OsString::from("python3")]).find(has_dnspython);
    found.ok_or_else(|| "there is no Python with dnspython: scripts/test.sh installs it".to_owned())
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn compare(python: &OsStr) {
    let world = World::new(setting("ZONEPULSE_TESTS_VERDICT_RECORDS", 5_000));
    let mut site = Site::start(&world, 1, USUAL_MEMORY + world.asked() * NAME_BYTES);
    let (before, start_ms) = site.ask_before(&world);
    let within = site.ask(&world.within, PER_SECOND);
    let lost = site.arrived();
    if lost > 0 {
        eprintln!("verdicts: the probe names {lost} lost packets: records may have been used without its knowledge");
        return;
    }
    let rows = site.verdicts(start_ms);
    let phases = [(&before, &*world.before), (&within, &*world.within)];
    let expected = oracle(python, &world, start_ms, &phases, None);

    let counts = count(&rows);
    eprintln!("verdicts: {counts:?}");
    same_records(&rows, &expected);
    let times = [before, within];
    let wrong = rows.iter().filter_map(|(name, row)| {
        let wrong = expected[name].difference(row, &times)?;
        Some(format!("{name}: {wrong}; {}", text(row, "reasons")))
    });
    none_of(&rows, wrong.collect());
    let absent: Vec<_> = VERDICTS.iter().filter(|verdict| !counts.contains_key(**verdict)).collect();
    assert!(absent.is_empty(), "no record of the zone is {absent:?}: {counts:?}");
}

fn flood(python: &OsStr) {
    let world = World::new(setting("ZONEPULSE_TESTS_VERDICT_RECORDS", 5_000));
    // The table has room for what is asked before the flood, so that its queries are counted as long as they are.
    let mut site = Site::start(&world, 2, LITTLE_MEMORY + world.asked() * NAME_BYTES);
    let (before, start_ms) = site.ask_before(&world);
    let within = site.ask(&world.within, PER_SECOND);
    let during = site.ask(&world.flood(setting("ZONEPULSE_TESTS_FLOOD_NAMES", 40_000)), FLOOD_PER_SECOND);
    let lost = site.arrived();
    let rows = site.verdicts(start_ms);
    let folded = site.folded();

    let counts = count(&rows);
    eprintln!("flood: {counts:?}, {folded} messages folded, {lost} packets lost");
    assert!(folded > 0, "the flood does not fill the table");
    // Any of the folded queries could have been for any record.
    let idle = rows.iter().filter(|(_, row)| ["unused", "never_used"].contains(&text(row, "verdict")));
    none_of(&rows, idle.map(|(name, row)| format!("{name}: {}", text(row, "verdict"))).collect());
    if lost > 0 {
        eprintln!("flood: records may have been used without the probe's knowledge");
        return;
    }
    // Queries for further names in the flood were counted or folded, each by itself.
    let gap = Some((*within.end(), *during.end()));
    let counted = [(&before, &*world.before), (&within, &*world.within)];
    let least = oracle(python, &world, start_ms, &counted, gap);
    let most = oracle(python, &world, start_ms, &[&counted[..], &[(&during, &*world.during)]].concat(), gap);
    same_records(&rows, &least);
    let wrong = rows.iter().filter_map(|(name, row)| {
        let (verdict, reasons) = (text(row, "verdict"), text(row, "reasons"));
        let (first, last) = (rank(&most[name].verdict), rank(&least[name].verdict));
        let is_explained = verdict != "unobserved" || reasons.contains("names of the zone were folded on ns1");
        let is_right = (first..=last).contains(&rank(verdict)) && is_explained;
        (!is_right).then(|| {
            let (most, least) = (&most[name].verdict, &least[name].verdict);
            format!("{name}: {verdict}, expected {least}, or {most} if it was counted in the flood; {reasons}")
        })
    });
    none_of(&rows, wrong.collect());
    let absent: Vec<_> = VERDICTS[..5].iter().filter(|verdict| !counts.contains_key(**verdict)).collect();
    assert!(absent.is_empty(), "no record of the zone is {absent:?}: {counts:?}");
}

fn rank(verdict: &str) -> usize {
    VERDICTS.iter().position(|known| *known == verdict).unwrap_or_else(|| panic!("{verdict:?} is no verdict"))
}

fn count(rows: &BTreeMap<String, Row>) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    rows.values().for_each(|row| *counts.entry(text(row, "verdict")).or_default() += 1);
    counts
}

fn same_records(rows: &BTreeMap<String, Row>, expected: &BTreeMap<String, Expected>) {
    let missing = expected.keys().filter(|name| !rows.contains_key(*name)).map(|name| format!("{name}: no verdict"));
    let strange = rows.keys().filter(|name| !expected.contains_key(*name)).map(|name| format!("{name}: not in the zone"));
    none_of(rows, missing.chain(strange).collect());
}

/// Fails with the first of these faults.
fn none_of(rows: &BTreeMap<String, Row>, faults: Vec<String>) {
    let first: Vec<_> = faults.iter().take(20).map(String::as_str).collect();
    assert!(faults.is_empty(), "{} of {} verdicts are wrong:\n{}", faults.len(), rows.len(), first.join("\n"));
}

/// When queries were sent, Unix milliseconds.
type Phase = RangeInclusive<u64>;

/// A DNS server, a probe that observes it, and the central.
struct Site {
    // Dropped in order: the probe reports to the central until it ends.
    _probe: Probe,
    knot: Knotd,
    _central: Central,
    api: Api,
    zone_id: u64,
    /// Number of queries so far.
    sent: u64,
    folder: TempDir,
}

impl Site {
    /// Starts everything, and loads the first version of the zone.
    fn start(world: &World, interval_s: u32, memory_bytes: usize) -> Self {
        let knot = Knotd::start(&world.second());
        let central = Central::start(&["ns1"]);
        let api = central.api();
        // With the addresses of this machine, DNS servers of other tests on other ports raise no doubt about this one.
        let settings = Settings { port: knot.port, interval_s, addresses: "local", ..Settings::http(&central, 0) };
        let mut probe = Probe::new(&settings);
        probe.start_as(|mut command| {
            command.env("ZONEPULSE_PROBE_MEMORY__MAX_BYTES", memory_bytes.to_string());
            command
        });
        eventually("the probe listens", Duration::from_secs(30), || probe.log().contains("listening").then_some(()));
        let created = api.send_json(Method::POST, "/api/v2/zones", &json!({ "zone": APEX }));
        assert_eq!(created.status, 201, "{}", created.text());
        let zone_id = created.json()["zone_id"].as_u64().expect("an id");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let site = Site { _probe: probe, knot, _central: central, api, zone_id, sent: 0, folder };
        site.load(&world.first);
        site
    }

    fn load(&self, zone: &str) -> Value {
        let url = self.api.url(&format!("/api/v2/zones/{}/file", self.zone_id), &[]);
        let headers = [("content-type", "text/dns"), ("accept", "application/json")];
        let answer = self.api.send(Method::PUT, url, &headers, zone.as_bytes().to_vec()).expect("the central answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Asks what is asked before the window begins, and loads the second version of the zone. Returns the beginning of
    /// the window, too, Unix milliseconds.
    fn ask_before(&mut self, world: &World) -> (Phase, u64) {
        let phase = self.ask(&world.before, PER_SECOND);
        // Their interval is over then: that the probe was still blind in it does not matter to the window.
        self.arrived();
        let start_ms = unix_ms();
        let loaded = self.load(&world.second());
        let changes = ["added", "changed", "removed"].map(|change| loaded[change].as_u64());
        assert_eq!(changes, [Some(world.added), Some(0), Some(0)], "{loaded}");
        sleep(SLACK);
        (phase, start_ms)
    }

    /// Sends each of these queries once.
    fn ask(&mut self, questions: &[String], per_second: u32) -> Phase {
        let file = self.folder.path().join("questions");
        fs::write(&file, questions.join("\n") + "\n").expect("a test's folder is writable");
        let mut command = Command::new("dnsperf");
        command.args(["-s", "127.0.0.1", "-c", "4", "-q", "200", "-n", "1"]).arg("-d").arg(file);
        command.args(["-p", &self.knot.port.to_string(), "-Q", &per_second.to_string()]);
        let begin_ms = unix_ms();
        let report = Report::parse(&succeed(&mut command, Duration::from_secs(300)));
        assert_eq!(report.sent, questions.len() as u64, "{report:?}");
        self.sent += report.sent;
        begin_ms..=unix_ms()
    }

    /// Waits until the central has all queries. Returns how many packets the probe has lost.
    fn arrived(&self) -> u64 {
        eventually("all queries are at the central", Duration::from_secs(120), || {
            let coverage = self.api.all_rows("dns/coverage", &[ALL_TIME]);
            let lost: u64 = coverage.iter().map(|row| number(row, "kernel_dropped") + number(row, "interface_dropped")).sum();
            let sums = self.api.sql("SELECT sum(hits) AS hits FROM requests_raw", "application/json").json();
            let counted = sums[0]["hits"].as_u64().unwrap_or_default();
            assert!(counted <= self.sent, "{counted} queries were counted of {}", self.sent);
            let is_all = counted + lost >= self.sent;
            if !is_all {
                sleep(Duration::from_millis(300));
            }
            is_all.then_some(lost)
        })
    }

    /// Number of messages that the probe counted under `<other>`.
    fn folded(&self) -> u64 {
        let coverage = self.api.all_rows("dns/coverage", &[ALL_TIME]);
        let losses = coverage.iter().flat_map(|row| text(row, "losses").split(' '));
        let folded = losses.filter_map(|loss| loss.strip_prefix("messages_folded="));
        folded.map(|count| count.parse::<u64>().expect("a number")).sum()
    }

    /// The verdicts over the window since this time, by owner and type.
    fn verdicts(&self, start_ms: u64) -> BTreeMap<String, Row> {
        // One page: on a later one, the window would begin later.
        const LIMIT: usize = 100_000;
        let (window, limit) = (format!("{}s", (unix_ms() - start_ms) / 1000), LIMIT.to_string());
        let parameters =
            [("not_accessed_for", &*window), ("margin", "0s"), ("zone", APEX), ("order", "zone"), ("limit", &*limit)];
        let rows = self.api.rows("dns/verdicts", &parameters);
        assert!(rows.len() < LIMIT, "more records than one page has");
        rows.into_iter().map(|row| (format!("{} {}", text(&row, "host"), text(&row, "type")), row)).collect()
    }
}

/// knotd with the zone.
struct Knotd {
    // Declared before the directory, which contains its log: fields are dropped in order.
    _server: Process,
    _folder: TempDir,
    port: u16,
}

impl Knotd {
    fn start(zone: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("zonepulse-knot").tempdir().expect("a temporary folder can be made");
        let (path, port) = (folder.path(), ports::free());
        let configuration = format!(
            "server:\n    rundir: \"{0}\"\n    listen: 127.0.0.1@{port}\n    udp-workers: 1\n    tcp-workers: 1\n    \
             background-workers: 1\ndatabase:\n    storage: \"{0}\"\nlog:\n  - target: stderr\n    any: info\n\
             template:\n  - id: default\n    zonefile-sync: -1\n    journal-content: none\n\
             zone:\n  - domain: {APEX}\n    file: \"{0}/plenty.zone\"\n",
            path.display()
        );
        fs::write(path.join("knot.conf"), configuration).expect("a test's folder is writable");
        fs::write(path.join("plenty.zone"), zone).expect("a test's folder is writable");
        let mut command = Command::new("/usr/sbin/knotd");
        command.arg("-c").arg(path.join("knot.conf"));
        let server = Process::start("knotd", command, path);
        // It loads its zone before it opens knotc's socket, the last step of its startup.
        eventually("knotd has started", Duration::from_secs(60), || {
            let log = server.log();
            assert!(!log.contains("failed"), "knotd does not load the zone: {log}");
            log.contains("control, binding to").then_some(())
        });
        Knotd { _server: server, _folder: folder, port }
    }
}
