//! What was not observed makes exactly the affected zones `unobserved`, with its reason and share. The probes are real:
//! one is stopped, cut off from the central, short of space, or too slow, while the other one works.

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::MutexGuard;
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;
use zonepulse_tests::api::{Row, text, time_ms};
use zonepulse_tests::disk::Disk;
use zonepulse_tests::dnsperf::Load;
use zonepulse_tests::needs::{capture_and_mount_rights, capture_rights, test_with};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::wait::within;
use zonepulse_tests::{Api, Central, Knot, Probe, Process, eventually, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("while_a_probe_is_stopped_only_the_zones_of_its_server_are_unobserved", capture_rights, stopped),
        test_with("while_the_central_is_stopped_nothing_is_missed_that_was_spooled", capture_rights, spooled),
        test_with("what_a_full_spool_evicts_makes_only_the_zones_of_its_server_unobserved", capture_and_mount_rights, evicted),
        test_with("kernel_drops_make_only_the_zones_of_their_server_unobserved", capture_rights, |_alone| dropped(500)),
        test_with("kernel_drops_count_for_the_interval_in_which_they_occurred", capture_rights, |_alone| dropped(3_000)),
    ]
}

/// The servers, by position.
const ALPHA: usize = 0;
const BETA: usize = 1;
/// The zones, and the servers that serve them.
const ZONES: [(&str, &[usize]); 3] = [("alpha.test.", &[ALPHA]), ("beta.test.", &[BETA]), ("both.test.", &[ALPHA, BETA])];
/// Enough that no probe is blind, and that no block of a ring stays empty.
const PER_SECOND: u32 = 50;
const INTERVAL_S: u32 = 2;
/// Longer than the longest wait between two attempts to deliver, and a few intervals.
const WAIT: Duration = Duration::from_secs(45);

/// Two servers with a probe each. Each serves a zone of its own, and both serve a third one.
struct Pair {
    // Fields are dropped in order: the probes first, and the traffic before the folders with its logs.
    probes: [Probe; 2],
    _traffic: [Process; 2],
    _folders: [TempDir; 2],
    knots: [Knot; 2],
    api: Api,
    central: Central,
    /// Both servers were observed from this full second on, Unix milliseconds.
    since_ms: u64,
}

impl Pair {
    /// Starts everything, with these settings from the environment for the first probe.
    fn start(interval_s: u32, of_alpha: &[(&str, &str)]) -> Self {
        let central = Central::start(&["alpha", "beta"]);
        let api = central.api();
        for (apex, servers) in ZONES {
            let servers: Vec<u32> = servers.iter().map(|n| central.servers[*n].id).collect();
            add(&api, apex, &servers);
        }
        let knots = [Knot::start(), Knot::start()];
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder can be made"));
        let load = |n: usize| Load { mode: "udp", port: knots[n].port, per_second: PER_SECOND };
        let traffic = [0, 1].map(|n| load(n).start(300, folders[n].path()));
        let mut probes = [0, 1].map(|n| probe(&central, n, &knots, interval_s));
        let [alpha, beta] = &mut probes;
        alpha.start_as(|mut command| {
            command.envs(of_alpha.iter().copied());
            command
        });
        beta.start();
        let observed_from = |n: usize| {
            eventually("a server is observed", WAIT, || {
                let rows = periods(&api, central.servers[n].id, 0);
                rows.iter().find(|row| is_observed(row)).map(|row| time_ms(row, "from"))
            })
        };
        let since_ms = observed_from(ALPHA).max(observed_from(BETA)).next_multiple_of(1000);
        let pair = Pair { probes, _traffic: traffic, _folders: folders, knots, api, central, since_ms };
        // Until there is another report, and longer than the TTL of the zones: a shorter window proves nothing.
        sleep(Duration::from_secs(u64::from(interval_s) + 3));
        pair.assert_complete(since_ms);
        pair
    }

    fn periods(&self, n: usize) -> Vec<Row> {
        periods(&self.api, self.central.servers[n].id, self.since_ms)
    }

    /// The periods of a server, once they satisfy the condition.
    fn periods_when(&self, n: usize, what: &str, wanted: impl Fn(&[Row]) -> bool) -> Vec<Row> {
        let mut rows = Vec::new();
        let is_met = within(WAIT, || {
            rows = self.periods(n);
            wanted(&rows).then_some(())
        });
        assert!(is_met.is_some(), "not within {WAIT:?}: {what}: {rows:?}");
        rows
    }

    /// The verdicts over a window of full seconds that begins at this time or up to a second later: its length, and for
    /// each zone the row of the name that nobody asks for.
    fn verdicts(&self, since_ms: u64) -> (u64, BTreeMap<String, Row>) {
        let length_s = (unix_ms() - since_ms) / 1000;
        let window = format!("{length_s}s");
        let parameters = [("not_accessed_for", &*window), ("margin", "0s"), ("host", "never.*")];
        let rows = self.api.rows("dns/verdicts", &parameters);
        (length_s * 1000, rows.into_iter().map(|row| (text(&row, "zone").to_owned(), row)).collect())
    }

    /// Checks that no zone is unobserved since this time.
    fn assert_complete(&self, since_ms: u64) {
        let (_, found) = self.verdicts(since_ms);
        assert_eq!(found.len(), ZONES.len(), "{found:?}");
        for row in found.values() {
            assert_eq!((text(row, "verdict"), share(row)), ("never_used", 1.0), "{row:?}");
        }
    }

    /// Checks that exactly the zones of the first server are unobserved, for this reason only, in the ledger's words and
    /// in those of verdicts, and by as much as the ledger says.
    fn assert_missed_by_alpha(&self, reason: &str, in_words: &str) {
        let (alpha, beta) = (self.periods(ALPHA), self.periods(BETA));
        let missed_by_alpha = missed(&alpha);
        assert!(!missed_by_alpha.is_empty() && missed_by_alpha.iter().all(|row| why(row) == reason), "{alpha:?}");
        assert!(missed(&beta).is_empty(), "{beta:?}");
        let missed_ms: u64 = missed_by_alpha.iter().map(|row| time_ms(row, "to") - time_ms(row, "from")).sum();
        let (length_ms, found) = self.verdicts(self.since_ms);
        assert_eq!(found.len(), ZONES.len(), "{found:?}");
        for (zone, servers) in ZONES {
            let row = &found[zone];
            let (verdict, reasons) = (text(row, "verdict"), text(row, "reasons"));
            assert!(!reasons.contains("beta was not observed"), "{row:?}");
            if !servers.contains(&ALPHA) {
                assert_eq!((verdict, share(row)), ("never_used", 1.0), "{row:?}");
                continue;
            }
            assert_eq!(verdict, "unobserved", "{row:?}");
            let are_told = reasons.contains("alpha was not observed for ") && reasons.contains(&format!("({in_words})"));
            assert!(are_told, "{row:?}");
            let complete = format!("{} of {} servers observed without a gap", servers.len() - 1, servers.len());
            assert!(reasons.contains(&complete), "{row:?}");
            let (share, expected) = (share(row), 1.0 - missed_ms as f64 / (length_ms * servers.len() as u64) as f64);
            assert!(share > 0.0 && share < 1.0 && (share - expected).abs() < 1e-6, "{expected}: {row:?} {alpha:?}");
        }
    }
}

/// Adds a zone that these servers serve. Nobody asks for its names unless a test does.
fn add(api: &Api, apex: &str, servers: &[u32]) {
    let created = api.send_json(Method::POST, "/api/v2/zones", &json!({ "zone": apex, "servers": servers }));
    assert_eq!(created.status, 201, "{}", created.text());
    let zone_id = created.json()["zone_id"].as_u64().expect("an id");
    let zone = format!(
        "$ORIGIN {apex}\n$TTL 1\n@ SOA ns1 hostmaster 1 7200 900 1209600 300\n@ NS ns1\nns1 A 192.0.2.53\n\
         never A 192.0.2.80\nasked A 192.0.2.81\n"
    );
    let url = api.url(&format!("/api/v2/zones/{zone_id}/file"), &[]);
    let headers = [("content-type", "text/dns"), ("accept", "application/json")];
    let imported = api.send(Method::PUT, url, &headers, zone.into_bytes()).expect("the central answers");
    assert_eq!(imported.status, 200, "{}", imported.text());
}

/// The probe of the n-th server.
fn probe(central: &Central, n: usize, knots: &[Knot; 2], interval_s: u32) -> Probe {
    let (port, other) = (knots[n].port, knots[1 - n].port);
    // With the addresses of this machine only, requests to the DNS servers of other tests do not make it blind.
    let probe = Probe::new(&Settings { port, interval_s, addresses: "local", ..Settings::http(central, n) });
    probe.configure(&format!("ports = [{port}]"), |key| format!("{key} = [{port}]\nignored_ports = [{other}]"));
    probe
}

/// How a server was observed from a full second on, up to its last report: what follows is a gap only until the next.
fn periods(api: &Api, server_id: u32, since_ms: u64) -> Vec<Row> {
    let (id, since) = (server_id.to_string(), (since_ms / 1000).to_string());
    let mut rows = api.rows("dns/observation", &[("server_id", &id), ("date_from", &since)]);
    if rows.last().is_some_and(|row| why(row) == "gap") {
        rows.pop();
    }
    rows
}

fn is_observed(row: &Row) -> bool {
    row["observed"] == true
}

/// Why a period was not observed; empty if it was.
fn why(row: &Row) -> &str {
    row.get("why").and_then(Value::as_str).unwrap_or_default()
}

/// The periods that were not observed.
fn missed(rows: &[Row]) -> Vec<&Row> {
    rows.iter().filter(|row| !is_observed(row)).collect()
}

/// Whether a server has been observed without interruption for a few seconds after this time.
fn is_back(rows: &[Row], after_ms: u64) -> bool {
    let last = rows.last().filter(|row| is_observed(row));
    last.is_some_and(|row| time_ms(row, "to") >= time_ms(row, "from").max(after_ms) + 4_000)
}

fn share(row: &Row) -> f64 {
    row["observed_share"].as_f64().expect("a share is a number")
}

fn signal(process: u32, signal: i32) {
    // SAFETY: kill touches no memory; the child has not been waited for, so the ID is still its own.
    unsafe { libc::kill(process as i32, signal) };
}

fn stopped(_alone: MutexGuard<'static, ()>) {
    let mut pair = Pair::start(INTERVAL_S, &[]);
    pair.probes[ALPHA].stop();
    let stopped_ms = unix_ms();
    sleep(Duration::from_secs(5));
    // The next report may still be on its way.
    pair.assert_complete(pair.since_ms);
    let again_ms = unix_ms();
    pair.probes[ALPHA].start();
    let rows = pair.periods_when(ALPHA, "it is observed again", |rows| is_back(rows, again_ms));
    let gaps = missed(&rows);
    assert_eq!(gaps.len(), 1, "{rows:?}");
    let (from_ms, to_ms) = (time_ms(gaps[0], "from"), time_ms(gaps[0], "to"));
    assert!(from_ms <= stopped_ms && to_ms >= again_ms, "{rows:?}, stopped from {stopped_ms} to {again_ms}");
    pair.assert_missed_by_alpha("gap", "no report arrived");
    // A window that begins after the gap has none.
    pair.assert_complete(to_ms);
    // In a window that begins within the gap, it is still a gap: the server had been observed before.
    let (_, found) = pair.verdicts(stopped_ms + 1_000);
    let row = &found["alpha.test."];
    assert!(text(row, "verdict") == "unobserved" && text(row, "reasons").contains("(no report arrived)"), "{row:?}");
}

fn spooled(_alone: MutexGuard<'static, ()>) {
    let mut pair = Pair::start(INTERVAL_S, &[]);
    pair.central.stop();
    let stopped_ms = unix_ms() / 1000 * 1000;
    // The server does not have this zone, and refuses; a use is the query.
    assert_eq!(pair.knots[ALPHA].ask("asked.alpha.test", 1), 5);
    eventually("both spools have several batches", WAIT, || pair.probes.iter().all(|probe| probe.waiting() >= 4).then_some(()));
    let again_ms = unix_ms();
    pair.central.start_again();
    for n in [ALPHA, BETA] {
        let all_arrived = |rows: &[Row]| is_back(rows, again_ms) && missed(rows).is_empty();
        pair.periods_when(n, "everything that waited has arrived", all_arrived);
    }
    pair.assert_complete(pair.since_ms);
    let window = format!("{}s", (unix_ms() - pair.since_ms) / 1000);
    let parameters = [("not_accessed_for", &*window), ("margin", "0s"), ("host", "asked.alpha.test")];
    let rows = pair.api.rows("dns/verdicts", &parameters);
    assert!(rows.len() == 1 && text(&rows[0], "verdict") == "used", "{rows:?}");
    assert!((stopped_ms..again_ms).contains(&time_ms(&rows[0], "last_access")), "{rows:?}");
}

fn evicted(_alone: MutexGuard<'static, ()>) {
    const DISK_BYTES: u64 = 1 << 20;
    /// What a small batch occupies.
    const PIECE_BYTES: u64 = 4096;
    let disk = Disk::mount(DISK_BYTES);
    let spool = disk.path.join("spool");
    // A spool's own limit cannot be that small, so the space that it has to leave to others makes it full.
    let reserved = (DISK_BYTES - 4 * PIECE_BYTES).to_string();
    let small = [
        ("ZONEPULSE_PROBE_SPOOL__DIR", spool.to_str().expect("a temporary path is text")),
        ("ZONEPULSE_PROBE_SPOOL__MIN_FREE_BYTES", &*reserved),
    ];
    let mut pair = Pair::start(INTERVAL_S, &small);
    pair.central.stop();
    eventually("the small spool evicts batches", WAIT, || {
        let log = pair.probes[ALPHA].log();
        (log.matches("the spool is full: the oldest batches were evicted").count() >= 2).then_some(())
    });
    let again_ms = unix_ms();
    pair.central.start_again();
    // The last eviction is reported by the batch after it; until then, it is a gap.
    pair.periods_when(ALPHA, "the evictions are reported", |rows| {
        let missed = missed(rows);
        is_back(rows, again_ms) && !missed.is_empty() && missed.iter().all(|row| why(row) == "evicted")
    });
    pair.periods_when(BETA, "everything that waited has arrived", |rows| is_back(rows, again_ms) && missed(rows).is_empty());
    pair.assert_missed_by_alpha("evicted", "spool full, batch evicted");
}

/// Suspends the first probe for three seconds, from a moment after this time of an interval on, with more traffic than its
/// ring holds: from the second that ends with its return at the latest, the kernel drops everything.
fn dropped(at_ms: u64) {
    const INTERVAL_S: u32 = 5;
    const INTERVAL_MS: u64 = 5_000;
    /// Sixteen blocks of libpcap, each of which the kernel uses for 100 ms at most.
    const RING_BYTES: &str = "4194304";
    let pair = Pair::start(INTERVAL_S, &[("ZONEPULSE_PROBE_CAPTURE__BUFFER_BYTES", RING_BYTES)]);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let now_ms = unix_ms();
    sleep(Duration::from_millis(now_ms.next_multiple_of(INTERVAL_MS) - now_ms + at_ms));
    let flood = Load { mode: "udp", port: pair.knots[ALPHA].port, per_second: 4_000 }.start(30, folder.path());
    sleep(Duration::from_millis(300));
    signal(pair.probes[ALPHA].id(), libc::SIGSTOP);
    sleep(Duration::from_secs(3));
    // The usual traffic is dropped, too; the probe shall not come back to a flood.
    drop(flood);
    let back_ms = unix_ms();
    signal(pair.probes[ALPHA].id(), libc::SIGCONT);
    let rows =
        pair.periods_when(ALPHA, "the drops are reported, and over", |rows| is_back(rows, back_ms) && !missed(rows).is_empty());
    let has_the_last_second = |row: &&Row| time_ms(row, "from") <= back_ms - 1_000 && time_ms(row, "to") >= back_ms;
    assert!(missed(&rows).iter().any(has_the_last_second), "{rows:?}, nothing was captured in the second before {back_ms}");
    pair.assert_missed_by_alpha("kernel_drop", "kernel drops");
}
