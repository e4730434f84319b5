//! Times and coverage of what servers tell.

use super::*;
use crate::agent::Monitoring;
use crate::dnstap::Bounds;
use crate::memory::Budget;
use crate::observe::testing::chaos;
use crate::observe::{Addresses, TOLD_BY_SERVER};
use zonepulse_wire::Batch;

#[test]
fn a_time_that_cannot_be_right_is_that_of_arrival() {
    let now_ms = 1_000_000;
    for (time_ms, is_right) in [
        (now_ms, true),
        (880_000, true),
        (879_999, false),
        (1_001_000, true),
        (1_001_001, false),
        (0, false),
        (u64::MAX / NS_PER_MS, false),
    ] {
        let mut frame = Frame { time_ns: time_ms * NS_PER_MS, link_type: TOLD_BY_SERVER, data: &[], length_on_wire: 0 };
        assert_eq!(is_near(&mut frame, 880_000, now_ms), is_right, "{time_ms}");
        assert_eq!(frame.time_ns / NS_PER_MS, if is_right { time_ms } else { now_ms });
    }
}

fn session() -> Session {
    let meter = Meter::new(MeterSettings {
        server_id: 1,
        epoch: 1,
        interval_s: 60,
        scope: Scope { ports: Vec::new(), addresses: Addresses::Any },
        budget: Budget::of_agent(64 << 20, 0),
        source: Source::Told,
    });
    Session { meter, covering: false, began_ms: 0, connected: 0, interval_ms: 60_000, speak: Speak::default() }
}

/// From when to when the batches say that servers were listened to, milliseconds since the hour began.
fn covered(session: &mut Session) -> Vec<(u64, u64)> {
    let cover = |batch: Batch| (batch.coverage.from_ms - HOUR_MS, batch.coverage.until_ms - HOUR_MS);
    std::iter::from_fn(|| session.meter.take_closed()).map(cover).collect()
}

const HOUR_MS: u64 = 3_600_000 * 490_000;

#[test]
fn an_interval_is_observed_while_a_server_is_connected() {
    let mut session = session();
    session.cover(0, HOUR_MS);
    session.cover(1, HOUR_MS + 5000);
    session.cover(2, HOUR_MS + 6000);
    session.cover(1, HOUR_MS + 7000);
    session.cover(0, HOUR_MS + 20_000);
    session.cover(0, HOUR_MS + 30_000);
    session.cover(1, HOUR_MS + 40_000);
    session.meter.finish(HOUR_MS + 70_000);
    assert_eq!(covered(&mut session), [(5000, 20_001), (40_000, 60_000), (60_000, 70_001)]);
}

#[test]
fn what_the_probe_asks_is_not_counted_where_servers_tell_of_it() {
    let status = Arc::new(Status::new(1));
    let bounds = Bounds { max_connections: 1, max_tcp_connections: 1, max_tcp_per_address: 1 };
    let listener = TapListener {
        config: Config { server_id: 1, ..Config::default() },
        settings: Settings { socket: None, listen: None, bounds },
        outlet: Outlet::Compare(Arc::default()),
        orders: Arc::new(Orders::new(Monitoring { dns: true, dns_interval_s: 60, system: false, system_interval_s: 5 })),
        status: status.clone(),
    };
    let mut meter = listener.session().meter;
    let data = chaos(7, 0x0100, "version.bind.");
    status.own_questions.expect(&data);
    meter.frame(&Frame { time_ns: HOUR_MS * NS_PER_MS, link_type: TOLD_BY_SERVER + 1, data: &data, length_on_wire: 0 });
    meter.finish(HOUR_MS);
    let counters = meter.take_closed().unwrap().counters;
    assert_eq!([Counter::OwnMessages, Counter::MessagesSeen].map(|counter| counters.get(counter)), [1, 1]);
}

#[test]
fn who_comes_and_goes_all_the_time_makes_few_batches() {
    let mut session = session();
    for now_ms in (HOUR_MS..HOUR_MS + 30_000).step_by(20) {
        session.cover(1, now_ms);
        session.cover(0, now_ms + 10);
    }
    let covered = covered(&mut session);
    assert_eq!(covered.len(), 6, "{covered:?}");
    assert!(covered.iter().all(|(from_ms, until_ms)| until_ms - from_ms == 11), "nothing is claimed: {covered:?}");
}
