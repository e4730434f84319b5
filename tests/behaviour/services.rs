//! Statistics of Knot and Kea, as sampled by the probe and answered by the central: they are what
//! the services themselves say.

use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::chown;
use std::path::Path;
use std::sync::MutexGuard;
use std::time::Duration;
use zonepulse_tests::api::{Api, text, time_ms};
use zonepulse_tests::dhcp::Relay;
use zonepulse_tests::kea::{Family, Kea};
use zonepulse_tests::needs::{kea_and_root, kea6, root, test, test_with};
use zonepulse_tests::network::Namespace;
use zonepulse_tests::probe::{Settings, Sources};
use zonepulse_tests::process::program;
use zonepulse_tests::{Central, Knot, Probe, eventually, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![
        test("rates_of_knot_add_up_to_its_own_counters_and_a_hang_is_told_once", knot),
        test_with("leases_and_packets_of_kea_are_those_it_says_itself", kea_and_root, kea4),
        test_with("a_dhcpv6_server_has_metrics_of_its_own", kea6, |()| dhcpv6()),
        test_with("a_probe_that_may_not_connect_to_a_service_says_so_once", root, denied),
    ]
}

const WITHIN: Duration = Duration::from_secs(60);
const SAMPLED: &str = "sampling the service";

/// Starts a probe that samples everything every second, and one service.
fn start(central: &Central, service: &str, socket: &Path) -> Probe {
    let settings = Settings { sources: Sources::Dnstap, system_interval_s: Some(1), ..Settings::http(central, 0) };
    let mut probe = Probe::new(&settings);
    probe.start_as(|mut command| {
        command.env("ZONEPULSE_PROBE_SERVICES__INTERVAL_S", "1");
        command.env(format!("ZONEPULSE_PROBE_SERVICES__{service}__SOCKET"), socket);
        command
    });
    probe
}

/// The points of a metric by label, in order: start of the slot in seconds, and value.
fn points(api: &Api, metric: &str) -> BTreeMap<String, Vec<(u64, f64)>> {
    // Whole hours: a bucket that began before is not of this time.
    let from = (unix_ms() / 3_600_000 * 3600 - 3600).to_string();
    let mut points: BTreeMap<String, Vec<(u64, f64)>> = BTreeMap::new();
    for row in api.all_rows("system/raw", &[("date_from", &from), ("metric", metric)]) {
        let value = row["value"].as_f64().expect("a value is a number");
        points.entry(text(&row, "label").to_owned()).or_default().push((time_ms(&row, "time") / 1000, value));
    }
    points.values_mut().for_each(|points| points.sort_by_key(|(time, _)| *time));
    points
}

/// The last values of a metric by label.
fn last(api: &Api, metric: &str) -> BTreeMap<String, f64> {
    points(api, metric).into_iter().filter_map(|(label, points)| Some((label, points.last()?.1))).collect()
}

/// What the rates of a metric add up to by label, given a metric that each sample has: a rate holds
/// since the sample before.
fn sums(api: &Api, metric: &str, of_each_sample: &str) -> BTreeMap<String, f64> {
    let times: Vec<u64> = points(api, of_each_sample).into_values().flatten().map(|(time, _)| time).collect();
    let since = |time: u64| times.iter().filter(|other| **other < time).max().map_or(0.0, |before| (time - before) as f64);
    let sum = |points: Vec<(u64, f64)>| points.into_iter().map(|(time, rate)| rate * since(time)).sum();
    points(api, metric).into_iter().map(|(label, points)| (label, sum(points))).collect()
}

/// Whether sums of rates are these counts. Samples are not exactly a second apart, and rates are
/// rounded.
fn agree(ours: &BTreeMap<String, f64>, theirs: &BTreeMap<String, f64>) -> bool {
    let near = |ours: f64, theirs: f64| (ours - theirs).abs() <= 0.15 * theirs;
    ours.len() == theirs.len() && ours.iter().all(|(label, ours)| theirs.get(label).is_some_and(|theirs| near(*ours, *theirs)))
}

fn count(log: &str, text: &str) -> usize {
    log.matches(text).count()
}

fn knot() {
    let central = Central::start(&["alpha"]);
    let knot = Knot::start();
    let mut probe = start(&central, "KNOT", &knot.control());
    let api = central.api();
    let zones = || points(&api, "knot_zones").remove("").unwrap_or_default();
    // From the second sample on there are rates.
    eventually("Knot is sampled", WITHIN, || (zones().len() >= 2).then_some(()));
    for _ in 0..30 {
        knot.ask("www.example", 1);
    }
    for _ in 0..20 {
        knot.ask("nowhere.example", 1);
    }
    let theirs = |counter: &str| {
        let prefix = format!("mod-stats.{counter}[");
        let label = |name: &str| Some(name.strip_prefix(&prefix)?.strip_suffix(']')?.to_owned());
        let told = knot.statistics().into_iter().filter(|(_, total)| *total > 0);
        told.filter_map(|(name, total)| Some((label(&name)?, total as f64))).collect::<BTreeMap<_, _>>()
    };
    let metrics = [
        ("response-code", "knot_response_code_per_s"),
        ("request-protocol", "knot_request_protocol_per_s"),
        ("server-operation", "knot_server_operation_per_s"),
    ];
    for (counter, metric) in metrics {
        let theirs = theirs(counter);
        assert_eq!(theirs.values().sum::<f64>(), 50.0, "{counter}: {theirs:?}");
        eventually(&format!("the rates of {counter} add up to {theirs:?}"), WITHIN, || {
            agree(&sums(&api, metric, "knot_zones"), &theirs).then_some(())
        });
    }
    let zone_count = knot.statistics()["server.zone-count"] as f64;
    assert!(zones().iter().all(|(_, value)| *value == zone_count), "{:?}", zones());
    // It hangs for longer than several samples take.
    knot.freeze();
    const HANGS: &str = "does not answer in time";
    eventually("the probe says that Knot hangs", WITHIN, || probe.log().contains(HANGS).then_some(()));
    std::thread::sleep(Duration::from_secs(8));
    knot.thaw();
    eventually("Knot is sampled again", WITHIN, || (count(&probe.log(), SAMPLED) == 2).then_some(()));
    let log = probe.log();
    assert_eq!(count(&log, HANGS), 1, "{log}");
    knot.stop();
    eventually("the probe says that Knot is gone", WITHIN, || probe.log().contains("there is no such socket").then_some(()));
    probe.stop();
}

/// Two subnets, of which a relay of the first is served.
fn subnets() -> Value {
    json!([
        { "id": 1, "subnet": "10.78.0.0/24", "pools": [{ "pool": "10.78.0.100 - 10.78.0.149" }] },
        { "id": 7, "subnet": "10.79.0.0/16", "pools": [{ "pool": "10.79.1.0/24" }] },
    ])
}

fn kea4(_alone: MutexGuard<'static, ()>) {
    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
    const RELAY: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);
    let (server, client) = (Namespace::new("kea-s"), Namespace::new("kea-c"));
    server.ip(&format!("link add port0 type veth peer name card0 netns {}", client.name));
    server.ip(&format!("addr add {SERVER}/24 dev port0"));
    server.ip("link set port0 up");
    client.ip(&format!("addr add {RELAY}/24 dev card0"));
    client.ip("link set card0 up");
    let kea = Kea::start_in(&server, "port0", &subnets());
    let central = Central::start(&["alpha"]);
    let mut probe = start(&central, "KEA4", &kea.socket());
    let api = central.api();
    eventually("Kea is sampled", WITHIN, || (points(&api, "dhcp4_subnets").remove("")?.len() >= 2).then_some(()));
    client.inside(|| {
        let relay = Relay::new(RELAY, SERVER);
        for one in 0..20 {
            let address = relay.discover(one);
            if one < 5 {
                relay.request(one, address);
            }
            if one < 2 {
                relay.decline(one, address);
            }
        }
    });
    let theirs = eventually("Kea has counted it all", WITHIN, || {
        Some(kea.statistics()).filter(|statistics| statistics["declined-addresses"] == 2.0)
    });
    let told = |name: &str| theirs[name];
    assert_eq!((told("pkt4-discover-received"), told("pkt4-ack-sent"), told("subnet[1].assigned-addresses")), (20.0, 5.0, 5.0));
    let labels = |values: &[(&str, f64)]| values.iter().map(|(label, value)| ((*label).to_owned(), *value)).collect();
    let gauges: [(&str, BTreeMap<String, f64>); 4] = [
        ("dhcp4_subnets", labels(&[("", 2.0)])),
        ("dhcp4_total_addresses", of_subnets("total-addresses", &theirs)),
        ("dhcp4_assigned_addresses", of_subnets("assigned-addresses", &theirs)),
        ("dhcp4_declined_addresses", of_subnets("declined-addresses", &theirs)),
    ];
    for (metric, theirs) in gauges {
        eventually(&format!("{metric} is {theirs:?}"), WITHIN, || (last(&api, metric) == theirs).then_some(()));
    }
    // What did not happen has rates, too: 0.
    let kinds = |direction: &str| -> BTreeMap<String, f64> {
        let label = |name: &str| match name.strip_prefix("pkt4-")?.strip_suffix(direction)? {
            "" => Some("total".to_owned()),
            kind => Some(kind.trim_end_matches('-').to_owned()),
        };
        theirs.iter().filter_map(|(name, value)| Some((label(name)?, *value))).collect()
    };
    for (metric, direction) in [("dhcp4_packets_received_per_s", "received"), ("dhcp4_packets_sent_per_s", "sent")] {
        let theirs = kinds(direction);
        assert!(theirs.len() >= 4, "{theirs:?}");
        eventually(&format!("{metric} adds up to {theirs:?}"), WITHIN, || {
            agree(&sums(&api, metric, "dhcp4_subnets"), &theirs).then_some(())
        });
    }
    // As any other metric, in buckets and in SQL.
    // Whole hours: a bucket that began before is not of this time.
    let from = (unix_ms() / 3_600_000 * 3600 - 3600).to_string();
    let question = [("date_from", from.as_str()), ("metric", "dhcp4_assigned_addresses"), ("label", "1"), ("interval", "1h")];
    let buckets = api.rows("system/aggregate", &question);
    assert_eq!(buckets.last().and_then(|bucket| bucket["max"].as_f64()), Some(5.0), "{buckets:?}");
    let sql = "SELECT max(value) AS most FROM system_raw WHERE metric = 'dhcp4_declined_addresses' AND label = 'total'";
    assert_eq!(api.sql(sql, "application/json").json()[0]["most"].as_f64(), Some(2.0));
    probe.stop();
}

/// A statistic of each subnet, and its sum.
fn of_subnets(name: &str, statistics: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let subnet = |key: &str| {
        let (id, rest) = key.strip_prefix("subnet[")?.split_once("].")?;
        (rest == name).then(|| id.to_owned())
    };
    let mut values: BTreeMap<String, f64> = statistics.iter().filter_map(|(key, value)| Some((subnet(key)?, *value))).collect();
    values.insert("total".to_owned(), values.values().sum());
    values
}

fn dhcpv6() {
    let subnets = json!([
        {
            "id": 3, "subnet": "fd00:1::/64", "pools": [{ "pool": "fd00:1::/112" }],
            "pd-pools": [{ "prefix": "fd00:2::", "prefix-len": 48, "delegated-len": 56 }],
        },
    ]);
    let kea = Kea::start_of(Family::V6, &subnets);
    let central = Central::start(&["alpha"]);
    let mut probe = start(&central, "KEA6", &kea.socket());
    let api = central.api();
    let theirs = kea.statistics();
    let of_both = |value: f64| BTreeMap::from([("3".to_owned(), value), ("total".to_owned(), value)]);
    for (metric, statistic) in [
        ("dhcp6_total_addresses", "subnet[3].total-nas"),
        ("dhcp6_total_prefixes", "subnet[3].total-pds"),
        ("dhcp6_assigned_addresses", "subnet[3].assigned-nas"),
        ("dhcp6_assigned_prefixes", "subnet[3].assigned-pds"),
        ("dhcp6_declined_addresses", "subnet[3].declined-addresses"),
    ] {
        let expected = of_both(theirs[statistic]);
        eventually(&format!("{metric} is {expected:?}"), WITHIN, || (last(&api, metric) == expected).then_some(()));
    }
    let rates =
        eventually("there are rates", WITHIN, || Some(last(&api, "dhcp6_packets_received_per_s")).filter(|it| !it.is_empty()));
    assert!(["total", "solicit", "rebind"].iter().all(|kind| rates.get(*kind) == Some(&0.0)), "{rates:?}");
    assert_eq!(last(&api, "dhcp4_subnets"), BTreeMap::new());
    probe.stop();
}

fn denied(_alone: MutexGuard<'static, ()>) {
    const NOBODY: u32 = 65_534;
    let central = Central::start(&["alpha"]);
    let knot = Knot::start();
    let mut probe = Probe::new(&Settings { sources: Sources::Dnstap, system_interval_s: Some(1), ..Settings::http(&central, 0) });
    let copy = probe.folder().join("zonepulse-probe");
    fs::copy(program("zonepulse-probe"), &copy).expect("there is room for a copy");
    for path in [probe.folder(), probe.config().as_path(), copy.as_path()] {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root may give files away");
    }
    let user = NOBODY.to_string();
    let socket = format!("ZONEPULSE_PROBE_SERVICES__KNOT__SOCKET={}", knot.control().display());
    let settings = ["env", &socket, "ZONEPULSE_PROBE_SERVICES__INTERVAL_S=1"];
    let as_nobody = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"];
    probe.start_copy_through(&[&settings[..], &as_nobody].concat(), &copy, &[]);
    let api = central.api();
    eventually("the machine is measured", WITHIN, || (points(&api, "load_1m").remove("")?.len() >= 5).then_some(()));
    let log = probe.log();
    assert_eq!(count(&log, "no permission to connect"), 1, "{log}");
    assert_eq!(last(&api, "knot_zones"), BTreeMap::new());
    probe.stop();
}
