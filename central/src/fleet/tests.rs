//! Heartbeats as they are heard one after the other.

use super::*;
use zonepulse_store::Options;

/// A heartbeat of a healthy probe, made at this time.
pub fn heartbeat(sent_at_ms: u64) -> Heartbeat {
    serde_json::from_str(&zonepulse_fixtures::heartbeat(sent_at_ms)).unwrap()
}

fn fleet() -> (tempfile::TempDir, Store, Fleet) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &Options::default()).unwrap();
    store.registry().add_server("ns1", false, None, 0).unwrap();
    let fleet = Fleet::new(store.clone(), 1_000_000).unwrap();
    (dir, store, fleet)
}

#[test]
fn heartbeats_of_the_last_two_minutes_count() {
    let (_dir, _store, fleet) = fleet();
    assert_eq!(fleet.pulse(1, 1_000_000), Pulse::default());
    for n in 0..6 {
        fleet.hear(1, heartbeat(0), None, 1_000_000 + n * 30_000).unwrap();
    }
    let pulse = fleet.pulse(1, 1_150_000);
    assert_eq!((pulse.requests, pulse.state()), (4, State::Running));
    assert_eq!(fleet.pulse(1, 1_150_000 + WINDOW_MS - 1).requests, 1);
    let late = fleet.pulse(1, 1_150_000 + WINDOW_MS);
    assert_eq!((late.requests, late.state(), late.last.unwrap().received_ms), (0, State::Stopped, 1_150_000));
}

/// What is expected of a probe that began at this second and was heard at these, and whether it is regular and starting.
fn expected(fleet: &Fleet, began_s: u64, heard_s: &[u64], now_s: u64) -> (usize, bool, bool) {
    for at_s in heard_s {
        let heartbeat = Heartbeat { uptime_s: at_s - began_s, ..heartbeat(0) };
        fleet.hear(1, heartbeat, None, 1_000_000 + at_s * 1000).unwrap();
    }
    let pulse = fleet.pulse(1, 1_000_000 + now_s * 1000);
    (pulse.expected, pulse.is_regular(), pulse.is_starting())
}

#[test]
fn a_probe_that_has_just_begun_is_expected_to_have_sent_what_it_can() {
    let (_dir, _store, fleet) = fleet();
    assert_eq!(expected(&fleet, 1000, &[1000], 1001), (1, true, true));
    assert_eq!(expected(&fleet, 1000, &[1030], 1059), (2, true, true));
    assert_eq!(expected(&fleet, 1000, &[1060, 1090], 1119), (4, true, true));
    assert_eq!(expected(&fleet, 1000, &[1120], 1126), (5, true, false));
}

#[test]
fn a_probe_that_falls_silent_after_its_start_is_not_regular() {
    let (_dir, _store, fleet) = fleet();
    assert_eq!(expected(&fleet, 1000, &[1000], 1064), (2, true, true));
    assert_eq!(expected(&fleet, 1000, &[], 1065), (3, false, true));
    assert_eq!(expected(&fleet, 1000, &[], 9000), (5, false, false));
}

#[test]
fn a_central_that_has_just_begun_expects_what_can_have_come_since() {
    let (_dir, store, before) = fleet();
    before.hear(1, Heartbeat { uptime_s: 900_000, ..heartbeat(0) }, None, 1_000_000).unwrap();
    let fleet = Fleet::new(store, 2_000_000).unwrap();
    let at = |now_s: u64| {
        let pulse = fleet.pulse(1, 2_000_000 + now_s * 1000);
        (pulse.expected, pulse.is_regular(), pulse.is_starting())
    };
    assert_eq!((at(0), at(34), at(35)), ((1, true, true), (1, true, true), (2, false, true)));
    fleet.hear(1, Heartbeat { uptime_s: 901_035, ..heartbeat(0) }, None, 2_035_000).unwrap();
    assert_eq!(at(36), (2, true, true));
}

#[test]
fn a_server_that_was_never_heard_is_neither_regular_nor_starting() {
    let (_dir, _store, fleet) = fleet();
    let pulse = fleet.pulse(1, 1_000_001);
    assert!(!pulse.is_regular() && !pulse.is_starting());
}

#[test]
fn a_flood_of_heartbeats_takes_no_memory() {
    let (_dir, _store, fleet) = fleet();
    (0..1000).for_each(|n| fleet.hear(1, heartbeat(0), None, 1_000_000 + n).unwrap());
    let pulse = fleet.pulse(1, 1_001_000);
    assert_eq!((pulse.requests, pulse.waiting.len()), (MOST, MOST_WAITING));
}

#[test]
fn an_address_tells_the_server_unless_several_are_there() {
    let (_dir, store, fleet) = fleet();
    for name in ["ns2", "ns3"] {
        store.registry().add_server(name, false, None, 0).unwrap();
    }
    let address = |last: u8| IpAddr::from([192, 0, 2, last]);
    for (server_id, last) in [(1, 1), (2, 2), (3, 2)] {
        fleet.hear(server_id, heartbeat(0), Some(address(last)), 1_000_000).unwrap();
    }
    assert_eq!([1, 2, 3].map(|last| fleet.places().only_at(address(last))), [Some(1), None, None]);
}

/// Heartbeats of runs of probes, each at a second.
fn heard(fleet: &Fleet, all: &[(u64, u64)]) {
    for (epoch, at_s) in all {
        let heartbeat = Heartbeat { epoch: *epoch, hostname: format!("ns{epoch}"), ..heartbeat(0) };
        let address = IpAddr::from([192, 0, 2, *epoch as u8]);
        fleet.hear(1, heartbeat, Some(address), 1_000_000 + at_s * 1000).unwrap();
    }
}

fn several(fleet: &Fleet, at_s: u64) -> Vec<u64> {
    fleet.pulse(1, 1_000_000 + at_s * 1000).several.iter().map(|probe| probe.epoch).collect()
}

#[test]
fn two_probes_with_one_token_are_told_apart_and_named() {
    let (_dir, _store, fleet) = fleet();
    heard(&fleet, &[(2, 0), (1, 10)]);
    assert_eq!(several(&fleet, 10), [0; 0], "the one may have replaced the other");
    heard(&fleet, &[(2, 30)]);
    assert_eq!(several(&fleet, 31), [1, 2]);
    heard(&fleet, &[(1, 40), (2, 60), (1, 70), (2, 90), (1, 100)]);
    let pulse = fleet.pulse(1, 1_101_000);
    assert_eq!(pulse.requests, 8);
    let said = conflict(&pulse.several);
    assert_eq!(said, "two probes use this server's token: ns1 (192.0.2.1), ns2 (192.0.2.2)");
}

#[test]
fn they_are_two_until_one_was_silent_for_two_minutes() {
    let (_dir, _store, fleet) = fleet();
    heard(&fleet, &[(1, 0), (2, 10), (1, 30), (1, 60), (1, 90), (1, 120)]);
    assert_eq!(several(&fleet, 129), [1, 2]);
    assert_eq!(several(&fleet, 130), [0; 0]);
}

#[test]
fn a_probe_that_is_started_again_and_again_is_one() {
    let (_dir, _store, fleet) = fleet();
    heard(&fleet, &[(1, 0), (1, 30), (2, 35), (3, 40), (3, 70), (4, 71)]);
    assert_eq!(several(&fleet, 72), [0; 0]);
}

#[test]
fn probes_without_number_take_no_memory() {
    let (_dir, _store, fleet) = fleet();
    (0..1000).for_each(|epoch| heard(&fleet, &[(epoch, 0)]));
    assert_eq!(fleet.lock().get(&1).unwrap().probes.len(), MOST_PROBES);
}

#[test]
fn after_a_restart_it_is_known_who_was_there() {
    let (_dir, store, fleet) = fleet();
    fleet.hear(1, heartbeat(5), None, 1_000_000).unwrap();
    fleet.hear(1, heartbeat(6), None, 1_030_000).unwrap();
    let seen = |store: &Store| Fleet::new(store.clone(), 1_040_000).unwrap().pulse(1, 1_040_000).last.unwrap().received_ms;
    assert_eq!(seen(&store), 1_000_000, "written once a minute");
    fleet.write_all().unwrap();
    assert_eq!(seen(&store), 1_030_000);
    let pulse = Fleet::new(store, 1_040_000).unwrap().pulse(1, 1_040_000);
    assert_eq!((pulse.requests, pulse.state()), (0, State::Stopped), "what was counted is not remembered");
}

#[test]
fn a_server_that_is_gone_is_forgotten() {
    let (_dir, store, fleet) = fleet();
    fleet.hear(1, heartbeat(5), None, 1_000_000).unwrap();
    store.registry().remove_server(zonepulse_model::ServerId::new(1), 1, false).unwrap();
    fleet.forget(1);
    assert_eq!(fleet.pulse(1, 1_000_001), Pulse::default());
    fleet.write_all().unwrap();
    assert_eq!(store.registry().seen().unwrap(), []);
}
