//! Times and coverage of dnstap messages.

use super::*;
use crate::config::Monitoring;
use crate::dnstap::Bounds;
use crate::memory::Budget;
use crate::observe::testing::chaos;
use crate::observe::{Addresses, Frame, TOLD_BY_SERVER};
use crate::times;
use std::cell::Cell;
use std::rc::Rc;
use zonepulse_wire::Batch;

/// A session and its clock, in milliseconds since the start of the hour.
fn session() -> (Session<impl Fn() -> Reading>, Rc<Cell<u64>>) {
    let time_ms = Rc::new(Cell::new(0));
    let clock = time_ms.clone();
    let read = move || Reading { wall_ms: HOUR_MS + clock.get(), steady_ms: clock.get() };
    let make = |_| {
        Meter::new(MeterSettings {
            server_id: 1,
            epoch: 1,
            interval_s: 60,
            scope: Scope { ports: Vec::new(), addresses: Addresses::Any },
            budget: Budget::of_agent(64 << 20, 0),
            served: false,
            source: Source::Told,
        })
    };
    let live = LiveMeter::new(times::Bounds::default(), read, make);
    (Session { live, covering: false, began: None, connected: 0, interval_ms: 60_000, speak: Speak::default() }, time_ms)
}

/// The ranges covered by the batches, milliseconds since the start of the hour.
fn covered(session: &mut Session<impl Fn() -> Reading>) -> Vec<(u64, u64)> {
    let cover = |batch: Batch| (batch.coverage.from_ms - HOUR_MS, batch.coverage.until_ms - HOUR_MS);
    std::iter::from_fn(|| session.live.meter.take_closed()).map(cover).collect()
}

const HOUR_MS: u64 = 3_600_000 * 490_000;

#[test]
fn an_interval_is_observed_while_a_server_is_connected() {
    let (mut session, time_ms) = session();
    let began = Instant::now();
    for (connected, at_ms) in [(0, 0), (1, 5000), (2, 6000), (1, 7000), (0, 20_000), (0, 30_000), (1, 40_000)] {
        time_ms.set(at_ms);
        session.cover(connected, began + Duration::from_millis(at_ms));
    }
    time_ms.set(70_000);
    session.live.finish(None);
    assert_eq!(covered(&mut session), [(5000, 20_001), (40_000, 60_000), (60_000, 70_001)]);
}

#[test]
fn the_probe_s_own_queries_are_not_counted_in_dnstap() {
    let status = Arc::new(Status::new(1));
    let bounds = Bounds { max_connections: 1, max_tcp_connections: 1, max_tcp_per_address: 1 };
    let listener = TapListener {
        config: Config { server_id: 1, ..Config::default() },
        settings: Settings { socket: None, listen: None, bounds },
        outlet: Outlet::Compare(Arc::default()),
        orders: Arc::new(Orders::new(Monitoring {
            dns: true,
            dns_interval_s: 60,
            dns_served: false,
            system: false,
            system_interval_s: 5,
        })),
        status: status.clone(),
    };
    let mut meter = listener.session().live.meter;
    let data = chaos(7, 0x0100, "version.bind.");
    status.own_questions.expect(&data);
    meter.frame(&Frame { time_ns: HOUR_MS * NS_PER_MS, link_type: TOLD_BY_SERVER + 1, data: &data, length_on_wire: 0 });
    meter.finish(HOUR_MS);
    let counters = meter.take_closed().unwrap().counters;
    assert_eq!([Counter::OwnMessages, Counter::MessagesSeen].map(|counter| counters.get(counter)), [1, 1]);
}

#[test]
fn a_server_that_keeps_reconnecting_makes_few_batches() {
    let (mut session, time_ms) = session();
    let began = Instant::now();
    for at_ms in (0..30_000).step_by(20) {
        for (connected, at_ms) in [(1, at_ms), (0, at_ms + 10)] {
            time_ms.set(at_ms);
            session.cover(connected, began + Duration::from_millis(at_ms));
        }
    }
    let covered = covered(&mut session);
    assert_eq!(covered.len(), 6, "{covered:?}");
    assert!(covered.iter().all(|(from_ms, until_ms)| until_ms - from_ms == 11), "more is covered than was observed: {covered:?}");
}
