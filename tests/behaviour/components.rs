//! Other services on a node, as reported in heartbeats.

use libtest_mimic::Trial;
use serde_json::Value;
use std::time::Duration;
use zonepulse_tests::kea::Kea;
use zonepulse_tests::needs::{kea, test_with};
use zonepulse_tests::probe::{Settings, Sources};
use zonepulse_tests::{Central, Probe, eventually};

/// Heartbeats are sent every 30 s.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn trials() -> Vec<Trial> {
    vec![test_with("a_dhcp_server_says_its_version_until_it_stops", kea, |()| dhcp())]
}

fn dhcp() {
    let central = Central::start(&["alpha"]);
    let mut kea = Kea::start();
    let mut probe = Probe::new(&Settings { sources: Sources::Dnstap, ..Settings::http(&central, 0) });
    probe.start_as(|mut command| {
        command.env("ZONEPULSE_PROBE_COMPONENTS__KEA4_SOCKET", kea.socket());
        command
    });
    let dhcp4 = |what: &str, state: &str| {
        eventually(what, PATIENCE, || {
            let found = central.api().rows("heartbeat", &[]).first()?["components"]["dhcp4"].clone();
            (found["state"] == state).then_some(found)
        })
    };
    let running = dhcp4("the heartbeat tells of Kea", "running");
    assert_eq!((running["name"].as_str(), running["version"].as_str()), (Some("kea-dhcp4"), Some(&*Kea::version())));
    kea.kill();
    let stopped = dhcp4("the heartbeat tells that Kea is gone", "stopped");
    assert_eq!((stopped["name"].as_str(), &stopped["version"]), (Some("kea-dhcp4"), &Value::Null));
    probe.stop();
}
