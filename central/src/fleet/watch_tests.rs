//! What the log hears of servers, over a real store and a real way in.

use super::*;
use crate::fleet::refusals::RefusedRequest;
use crate::fleet::tests::heartbeat;
use crate::logged::logged;
use std::net::{IpAddr, Ipv4Addr};
use zonepulse_store::Options;
use zonepulse_wire::{BlindReason, Blindness, Heartbeat};

const BEGAN_S: u64 = 1_800_000_000;

struct Setup {
    _dir: tempfile::TempDir,
    store: Store,
    fleet: Arc<Fleet>,
    refusals: Arc<Refusals>,
    watch: Watch,
    began: Instant,
}

fn at_ms(s: u64) -> u64 {
    (BEGAN_S + s) * 1000
}

impl Setup {
    fn with_servers(servers: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        for name in servers {
            store.registry().add_server(name, false, None, 0).unwrap();
        }
        let fleet = Arc::new(Fleet::new(store.clone(), at_ms(0)).unwrap());
        let ingest = Ingest::start(store.clone(), zonepulse_ingest::Settings::default()).unwrap();
        let refusals = Arc::<Refusals>::default();
        let watch = Watch::new(store.clone(), ingest, fleet.clone(), refusals.clone(), pull::Progress::default());
        Setup { _dir: dir, store, fleet, refusals, watch, began: Instant::now() }
    }

    fn hear(&self, server_id: u32, seconds: impl IntoIterator<Item = u64>, change: impl Fn(&mut Heartbeat)) {
        for s in seconds {
            let mut heartbeat = Heartbeat { uptime_s: s, ..heartbeat(at_ms(s)) };
            change(&mut heartbeat);
            self.fleet.hear(server_id, heartbeat, None, at_ms(s)).unwrap();
        }
    }

    /// Looks at these seconds; the lines.
    fn look(&self, seconds: impl IntoIterator<Item = u64>) -> Vec<String> {
        logged(|| {
            for s in seconds {
                self.watch.look(at_ms(s), self.began + Duration::from_secs(s)).unwrap();
            }
        })
    }
}

fn blind(heartbeat: &mut Heartbeat) {
    let detail = "knotd listens on port 5353".to_owned();
    heartbeat.capture.blind = vec![Blindness { reason: BlindReason::OtherSockets, detail }];
}

fn assert_has(line: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(line.contains(part), "{part}: {line}"));
}

#[test]
fn a_server_that_falls_silent_is_a_warning_and_its_return_is_told() {
    let setup = Setup::with_servers(&["ns1"]);
    setup.hear(1, (0..=120).step_by(30), |_| {});
    assert_eq!(setup.look((121..=150).step_by(5)), Vec::<String>::new());
    let lines = setup.look((160..=200).step_by(5));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_has(&lines[0], &["WARN", "server_id=1", "ns1", "silent", "the last one at 2027-01-15T08:02:00Z"]);
    setup.hear(1, (205..=295).step_by(30), |_| {});
    let lines = setup.look([296]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_has(&lines[0], &["INFO", "ended=\"silent\"", "for_s=136", "health=\"ok\""]);
}

#[test]
fn a_server_that_is_blind_is_a_warning_with_the_reason() {
    let setup = Setup::with_servers(&["ns1"]);
    setup.hear(1, [0], blind);
    let lines = setup.look([1, 6, 11]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_has(&lines[0], &["WARN", "health=\"blind\"", "knotd listens on port 5353"]);
    setup.hear(1, [30], |_| {});
    assert_has(&setup.look([31])[0], &["INFO", "ended=\"blind\"", "health=\"starting\""]);
}

#[test]
fn what_is_over_at_the_next_look_is_no_warning() {
    let setup = Setup::with_servers(&["ns1"]);
    setup.hear(1, [0], blind);
    let mut lines = setup.look([1]);
    setup.hear(1, [2], |_| {});
    lines.extend(setup.look([6, 11]));
    assert_eq!(lines, Vec::<String>::new());
}

#[test]
fn a_state_that_comes_and_goes_makes_a_line_a_minute() {
    let setup = Setup::with_servers(&["ns1"]);
    let mut warnings = 0;
    for s in (0..120).step_by(10) {
        setup.hear(1, [s], blind);
        let lines = setup.look([s + 1, s + 6]);
        setup.hear(1, [s + 7], |_| {});
        warnings += lines.iter().chain(&setup.look([s + 8])).filter(|line| line.contains("WARN")).count();
    }
    assert_eq!(warnings, 2);
}

#[test]
fn new_and_removed_servers_are_no_warning() {
    let setup = Setup::with_servers(&["ns1", "ns2"]);
    setup.hear(2, [0], blind);
    assert_eq!(setup.look([1, 6]).len(), 1);
    setup.store.registry().remove_server(zonepulse_model::ServerId::new(2), 1, false).unwrap();
    assert_eq!(setup.look((11..1000).step_by(5)), Vec::<String>::new());
    assert!(setup.watch.known().is_empty());
}

#[test]
fn since_when_a_server_is_blind_is_what_the_looks_saw() {
    let setup = Setup::with_servers(&["ns1"]);
    setup.hear(1, [0], blind);
    setup.look([3, 8]);
    let (_, condition) = setup.watch.all(at_ms(10)).unwrap().remove(0);
    assert_eq!((condition.health(), condition.reasons[0].since_ms), (Some(ServerHealth::Blind), Some(at_ms(3))));
}

impl Setup {
    /// Health of the first server at this second, and whether it is good.
    fn good(&self, s: u64) -> (Option<ServerHealth>, bool) {
        let (_, condition) = self.watch.all(at_ms(s)).unwrap().remove(0);
        (condition.health(), condition.is_good())
    }
}

#[test]
fn a_server_is_good_while_it_is_starting_and_ok_and_not_when_it_is_blind_or_silent() {
    let setup = Setup::with_servers(&["ns1"]);
    assert_eq!(setup.good(0), (Some(ServerHealth::New), false));
    setup.hear(1, [0], |_| {});
    assert_eq!(setup.good(1), (Some(ServerHealth::Starting), true));
    setup.hear(1, [30, 60, 90, 120], |_| {});
    assert_eq!(setup.good(126), (Some(ServerHealth::Ok), true));
    setup.hear(1, [150], blind);
    assert_eq!(setup.good(151), (Some(ServerHealth::Blind), false));
    assert_eq!(setup.good(400), (Some(ServerHealth::Silent), false));
}

#[test]
fn after_a_restart_of_the_central_a_server_is_good_when_it_is_heard() {
    let mut setup = Setup::with_servers(&["ns1"]);
    setup.hear(1, (0..=180).step_by(30), |_| {});
    setup.fleet.write_all().unwrap();
    let fleet = Arc::new(Fleet::new(setup.store.clone(), at_ms(200)).unwrap());
    (setup.fleet, setup.watch.fleet) = (fleet.clone(), fleet);
    assert_eq!(setup.good(201), (Some(ServerHealth::Starting), false));
    setup.hear(1, [210], |_| {});
    assert_eq!(setup.good(211), (Some(ServerHealth::Starting), true));
}

/// Healths of the servers at second 122, of which each was heard for two minutes at the last byte of its address, when a token was
/// refused at second 121 at 192.0.2.7.
fn refused_at_seven(last_bytes: &[u8]) -> Vec<Option<ServerHealth>> {
    let names: Vec<String> = last_bytes.iter().enumerate().map(|(n, _)| format!("ns{n}")).collect();
    let setup = Setup::with_servers(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for (server_id, last_byte) in (1..).zip(last_bytes) {
        for s in (0..=120).step_by(30) {
            let heartbeat = Heartbeat { uptime_s: s, ..heartbeat(at_ms(s)) };
            setup.fleet.hear(server_id, heartbeat, Some([192, 0, 2, *last_byte].into()), at_ms(s)).unwrap();
        }
    }
    // As a socket for both versions of IP sees it.
    let peer = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped());
    let (path, cause) = ("/api/v2/monitoring/heartbeat", "this token is unknown, revoked or expired");
    let request = RefusedRequest { peer, path, by_probe: true, has_some: true, cause };
    setup.refusals.credentials(&request, at_ms(121), |_| None);
    let all = setup.watch.those(|_| true, at_ms(122)).unwrap();
    all.into_iter().map(|(_, condition)| condition.health()).collect()
}

#[test]
fn a_token_that_is_refused_where_one_server_is_refuses_that_one() {
    assert_eq!(refused_at_seven(&[7, 8]), [Some(ServerHealth::Refused), Some(ServerHealth::Starting)]);
}

#[test]
fn a_token_that_is_refused_where_several_servers_are_says_nothing_of_those_that_are_heard() {
    assert_eq!(refused_at_seven(&[7, 7, 8]), [Some(ServerHealth::Starting); 3]);
}

#[test]
fn a_sample_has_no_health() {
    let setup = Setup::with_servers(&[]);
    setup.store.registry().add_server("sample", true, None, 0).unwrap();
    assert_eq!(setup.watch.all(at_ms(10)).unwrap()[0].1.health(), None);
    assert_eq!(setup.look([10, 15, 1000]), Vec::<String>::new());
}
