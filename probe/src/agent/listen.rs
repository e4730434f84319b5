//! The capture thread: a device in, batches out; it waits for no disk and no network.

use super::live_meter::LiveMeter;
use super::orders::Orders;
use super::outlet::Outlet;
use super::privileges::with_right_to_capture;
use super::{new_epoch, now_ms};
use crate::Error;
use crate::capture::addresses::AddressNews;
use crate::capture::live::{LiveCapture, Next, Statistics};
use crate::capture::unread_link_type;
use crate::clock::Reading;
use crate::config::{Config, ServerAddresses};
use crate::meter::{Meter, MeterSettings, Source};
use crate::observe::{OwnQuestions, Scope};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zonepulse_wire::{Counter, Counters};

/// How often a device that cannot be opened is tried again.
const REOPEN: Duration = Duration::from_secs(30);
/// How soon a device that was lost is tried again; one that is lost again and again waits like the others.
const REOPEN_LOST: Duration = Duration::from_secs(1);
/// How often the clock is looked at while frames come.
const TICK: Duration = Duration::from_millis(200);
/// Reading the clock for every frame would cost more than the frame.
const FRAMES_PER_LOOK: u32 = 64;
/// How long the kernel may hold a frame back before the ring shows it, and some more.
const HELD_BACK: Duration = Duration::from_millis(250);
/// How long it may take to read what the ring holds at the end.
const LONGEST_REST: Duration = Duration::from_secs(5);

pub(super) struct Listener {
    pub(super) config: Config,
    pub(super) outlet: Outlet,
    pub(super) orders: Arc<Orders>,
    /// What the probe itself asks.
    pub(super) own: Arc<OwnQuestions>,
}

impl Listener {
    /// Listens until it is told to stop; while DNS is not to be monitored the device is closed.
    pub(super) fn run(self) {
        let mut known: Option<String> = None;
        while !self.orders.stopping() {
            if !self.orders.dns() {
                self.outlet.stopped("DNS monitoring is off");
                std::thread::sleep(TICK);
                self.outlet.passed(now_ms());
                continue;
            }
            // Before the addresses are read, so that no change of them is missed.
            let news = (self.config.capture.addresses == ServerAddresses::Local).then(AddressNews::subscribe);
            let opened = with_right_to_capture(|| LiveCapture::open(&self.config.live())).and_then(|live| {
                let scope = self.config.scope()?;
                Ok((live, self.meter(scope.clone()), Following { scope, news }))
            });
            let wait = match opened {
                Ok((live, meter, following)) => {
                    let capture = &self.config.capture;
                    tracing::info!(device = capture.device, ports = ?capture.ports, addresses = ?capture.addresses, "listening");
                    known = None;
                    self.outlet.runs();
                    let began = Instant::now();
                    match self.listen(live, meter, following) {
                        Ok(()) if !self.orders.dns() => {
                            tracing::info!("capture ends, and what it had counted is spooled");
                            continue;
                        }
                        Ok(()) => tracing::warn!(device = capture.device, "the device is gone; it is opened again"),
                        Err(error) => {
                            tracing::warn!(%error, "listening broke off; the device is opened again")
                        }
                    }
                    self.outlet.stopped("the device was lost");
                    if began.elapsed() < REOPEN { REOPEN } else { REOPEN_LOST }
                }
                Err(error) => {
                    let error = error.to_string();
                    if known.as_ref() != Some(&error) {
                        tracing::error!(
                            error,
                            "nothing is captured; it is tried again every 30 s, and what is in the spool is delivered"
                        );
                        self.outlet.stopped(&*error);
                        known = Some(error);
                    }
                    REOPEN
                }
            };
            self.wait(wait);
        }
    }

    fn meter(&self, scope: Scope) -> LiveMeter {
        let make = |since_ms: Option<u64>| {
            Meter::new(MeterSettings {
                server_id: self.config.server_id,
                // A new one whenever listening begins, because numbering does.
                epoch: new_epoch(),
                interval_s: self.orders.dns_interval_s(),
                scope,
                budget: self.outlet.budget(&self.config),
                // Not the millisecond that has begun: in its first part nobody listened.
                source: Source::Live { since_ms: since_ms.map(|since_ms| since_ms.saturating_add(1)) },
            })
            .knowing(self.own.clone())
        };
        LiveMeter::new(self.config.bounds(), Reading::now, make)
    }

    /// Until the device is gone, or the agent stops. The open interval is closed in any case.
    fn listen(&self, mut live: LiveCapture, mut meter: LiveMeter, mut following: Following) -> Result<(), Error> {
        let mut session =
            Session { counted: Statistics::default(), looked: Instant::now(), frames: 0, unread: 0, only_others: false };
        let mut end_ms = None;
        let result = loop {
            // While frames wait in the ring, the clock is theirs: intervals that
            // are over by the wall clock may still get hits from it.
            let (frame_ms, idle) = match live.next() {
                Ok(Next::Frame(frame)) => (Some(meter.packet(&frame)), false),
                Ok(Next::Idle) => (None, true),
                Ok(Next::End) => break Ok(()),
                Err(error) => break Err(error),
            };
            if session.is_due(idle) {
                // Before anything of this moment is counted, so that it is of the corrected clock.
                let now_ms = meter.look();
                session.count_drops(&mut live, &mut meter.meter);
                session.name_unread(&meter.meter);
                following.follow(&self.config, &mut meter.meter);
                self.outlet.clock_is_set(meter.clock_is_set());
                self.outlet.watch(&mut meter, self.orders.dns_interval_s());
                if let Some(due_ms) = meter.close_due(frame_ms) {
                    self.outlet.pass_on(&mut meter.meter, |batch| session.look_at(&batch.counters));
                    self.outlet.passed(due_ms);
                    meter.set_interval(self.orders.dns_interval_s());
                }
                self.outlet.stepped(meter.take_step());
                if !self.orders.dns() {
                    end_ms = now_ms;
                    break self.read_rest(&mut live, &mut meter, &mut session);
                }
            }
            self.outlet.pass_on(&mut meter.meter, |batch| session.look_at(&batch.counters));
        };
        session.count_drops(&mut live, &mut meter.meter);
        meter.finish(end_ms);
        self.outlet.pass_on(&mut meter.meter, |batch| session.look_at(&batch.counters));
        result
    }

    /// Reads what was captured until now: the kernel hands a block of the ring over when it is full
    /// or a while has passed, and coverage is claimed up to the end.
    fn read_rest(&self, live: &mut LiveCapture, meter: &mut LiveMeter, session: &mut Session) -> Result<(), Error> {
        let (since, end_ms) = (Instant::now(), Reading::now().wall_ms);
        loop {
            match live.next()? {
                // A clock that is set back meanwhile does not come to the end for long.
                Next::Frame(frame) if frame.time_ns / 1_000_000 <= end_ms && since.elapsed() < LONGEST_REST => {
                    meter.packet(&frame);
                }
                Next::Frame(_) | Next::Idle if since.elapsed() < HELD_BACK => {}
                Next::Frame(_) | Next::Idle | Next::End => return Ok(()),
            }
            self.outlet.pass_on(&mut meter.meter, |batch| session.look_at(&batch.counters));
        }
    }

    fn wait(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && self.orders.dns() {
            self.outlet.passed(now_ms());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What is done now and then between frames.
struct Session {
    counted: Statistics,
    looked: Instant,
    frames: u32,
    /// How many link types that are not read were named.
    unread: usize,
    /// Whether it was said that all messages are of other addresses.
    only_others: bool,
}

/// Whose messages count, and what tells when that changes.
struct Following {
    scope: Scope,
    /// Only when the machine's own addresses are the server's.
    news: Option<AddressNews>,
}

impl Following {
    /// Observes the machine's addresses of now, should they have changed.
    fn follow(&mut self, config: &Config, meter: &mut Meter) {
        if !self.news.as_mut().is_some_and(AddressNews::is_due) {
            return;
        }
        match config.scope() {
            Ok(scope) if scope != self.scope => {
                tracing::info!(addresses = ?scope.addresses, "this machine's addresses changed, and so did those that count");
                meter.set_scope(&scope);
                self.scope = scope;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the addresses that count stay as they were"),
        }
    }
}

impl Session {
    /// Whether it is time to look at the clock and at what the kernel counts.
    fn is_due(&mut self, idle: bool) -> bool {
        self.frames += 1;
        if !idle && self.frames < FRAMES_PER_LOOK {
            return false;
        }
        self.frames = 0;
        let due = self.looked.elapsed() >= TICK;
        if due {
            self.looked = Instant::now();
        }
        due
    }

    /// Says once of each link type that is not read that it is not.
    fn name_unread(&mut self, meter: &Meter) {
        for (link_type, _) in meter.unread_link_types().iter().skip(self.unread) {
            tracing::warn!("{}; frames of it are counted as unknown_link_type", unread_link_type(*link_type));
            self.unread += 1;
        }
    }

    /// Says when there is DNS on the ports, and none of it is the server's.
    fn look_at(&mut self, counters: &Counters) {
        let others = counters.get(Counter::OtherAddresses);
        let only_others = others > 0 && counters.get(Counter::MessagesSeen) == 0;
        if only_others && !self.only_others {
            tracing::warn!(
                packets = others,
                "all packets on the watched ports are of other addresses; is the server's own missing in capture.addresses?"
            );
        }
        self.only_others = only_others;
    }

    fn count_drops(&mut self, live: &mut LiveCapture, meter: &mut Meter) {
        let Ok(now) = live.statistics() else { return };
        meter.add(Counter::KernelDropped, now.kernel_dropped.saturating_sub(self.counted.kernel_dropped));
        meter.add(Counter::InterfaceDropped, now.interface_dropped.saturating_sub(self.counted.interface_dropped));
        self.counted = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Monitoring;
    use crate::observe::Addresses;
    use crate::observe::testing::{chaos, frame, udp_from_server, udp_to_server};

    #[test]
    fn what_the_probe_asks_is_not_counted_where_it_passes_the_device() {
        let own = Arc::new(OwnQuestions::default());
        let listener = Listener {
            config: Config { server_id: 1, ..Config::default() },
            outlet: Outlet::Compare(Arc::default()),
            orders: Arc::new(Orders::new(Monitoring { dns: true, dns_interval_s: 60, system: false, system_interval_s: 5 })),
            own: own.clone(),
        };
        let mut meter = listener.meter(Scope { ports: vec![53], addresses: Addresses::Any });
        own.expect(&chaos(7, 0x0100, "version.bind."));
        for data in [udp_to_server(&chaos(7, 0x0100, "version.bind.")), udp_from_server(&chaos(7, 0x8105, "version.bind."))] {
            meter.packet(&frame(&data, now_ms()));
        }
        meter.finish(None);
        let counters: Vec<Counters> = std::iter::from_fn(|| meter.meter.take_closed()).map(|batch| batch.counters).collect();
        let sum = |counter| counters.iter().map(|counters| counters.get(counter)).sum::<u64>();
        assert_eq!([Counter::OwnMessages, Counter::MessagesSeen, Counter::UdpDatagrams].map(sum), [2, 2, 2]);
    }
}
