//! The capture thread turns packets from a device into batches. It never waits for disk or network.

use super::live_meter::LiveMeter;
use super::new_epoch;
use super::orders::Orders;
use super::outlet::Outlet;
use super::privileges::with_right_to_capture;
use crate::Error;
use crate::capture::addresses::AddressNews;
use crate::capture::live::{LiveCapture, Next, Statistics};
use crate::capture::unread_link_type;
use crate::clock::{Reading, now_ms};
use crate::config::{Config, ServerAddresses};
use crate::meter::{Meter, MeterSettings, Source};
use crate::observe::{OwnQuestions, Scope};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zonepulse_wire::{Counter, Counters};

/// Retry interval for a device that cannot be opened.
const REOPEN: Duration = Duration::from_secs(30);
/// Delay before a lost device is reopened. Repeated losses fall back to `REOPEN`.
const REOPEN_LOST: Duration = Duration::from_secs(1);
/// How often to read the clock while frames arrive.
const TICK: Duration = Duration::from_millis(200);
/// Reading the clock for every frame would cost more than the frame itself.
const FRAMES_PER_LOOK: u32 = 64;
/// How long the kernel may hold back a frame before it appears in the ring, plus a margin.
const HELD_BACK: Duration = Duration::from_millis(250);
/// Time limit for draining the ring at the end.
const LONGEST_REST: Duration = Duration::from_secs(5);

pub(super) struct Listener {
    pub(super) config: Config,
    pub(super) outlet: Outlet,
    pub(super) orders: Arc<Orders>,
    /// The probe's own queries.
    pub(super) own: Arc<OwnQuestions>,
}

impl Listener {
    /// Listens until told to stop. The device is closed while DNS monitoring is off.
    pub(super) fn run(self) {
        let mut known: Option<String> = None;
        while !self.orders.stopping() {
            if !self.orders.dns() {
                self.outlet.stopped("DNS monitoring is off");
                std::thread::sleep(TICK);
                self.outlet.passed(now_ms());
                continue;
            }
            // Subscribe before reading the addresses, so that no change is missed.
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
                            tracing::info!("capture ended; the open interval is spooled");
                            continue;
                        }
                        Ok(()) => tracing::warn!(device = capture.device, "the device is gone; reopening it"),
                        Err(error) => {
                            tracing::warn!(%error, "capture failed; reopening the device")
                        }
                    }
                    self.outlet.stopped("the device was lost");
                    if began.elapsed() < REOPEN { REOPEN } else { REOPEN_LOST }
                }
                Err(error) => {
                    let error = error.to_string();
                    if known.as_ref() != Some(&error) {
                        tracing::error!(error, "no capture; retrying every 30 s, while the spool is still delivered");
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
                // Numbering restarts whenever listening starts, so that needs a new epoch.
                epoch: new_epoch(),
                interval_s: self.orders.dns_interval_s(),
                scope,
                budget: self.outlet.budget(&self.config),
                served: self.orders.dns_served(),
                // Start with the next millisecond: the first part of the current one was not
                // observed.
                source: Source::Live { since_ms: since_ms.map(|since_ms| since_ms.saturating_add(1)) },
            })
            .knowing(self.own.clone())
        };
        LiveMeter::new(self.config.bounds(), Reading::now, make)
    }

    /// Runs until the device is gone or the agent stops. The open interval is closed in either
    /// case.
    fn listen(&self, mut live: LiveCapture, mut meter: LiveMeter, mut following: Following) -> Result<(), Error> {
        let mut session = Session {
            counted: Statistics::default(),
            counted_ms: meter.now_ms(),
            looked: Instant::now(),
            frames: 0,
            unread: 0,
            only_others: false,
        };
        let mut end_ms = None;
        let result = loop {
            // While frames wait in the ring, they set the time: intervals that are over by the wall
            // clock may still receive hits.
            let (frame_ms, idle) = match live.next() {
                Ok(Next::Frame(frame)) => (Some(meter.packet(&frame)), false),
                Ok(Next::Idle) => (None, true),
                Ok(Next::End) => break Ok(()),
                Err(error) => break Err(error),
            };
            if session.is_due(idle) {
                // Look before counting anything, so that hits are dated by the corrected clock.
                let now_ms = meter.look();
                session.count_drops(&mut live, &mut meter.meter, &self.outlet, now_ms);
                session.name_unread(&meter.meter);
                following.follow(&self.config, &mut meter.meter);
                self.outlet.clock_is_set(meter.clock_is_set());
                self.outlet.watch(&mut meter, self.orders.dns_interval_s());
                if let Some(due_ms) = meter.close_due(frame_ms) {
                    self.outlet.pass_on(&mut meter.meter, |batch| session.look_at(&batch.counters));
                    self.outlet.passed(due_ms);
                    meter.set_interval(self.orders.dns_interval_s());
                    meter.meter.set_served(self.orders.dns_served());
                }
                self.outlet.stepped(meter.take_step());
                if !self.orders.dns() {
                    end_ms = now_ms;
                    break self.read_rest(&mut live, &mut meter, &mut session);
                }
            }
            self.outlet.pass_on(&mut meter.meter, |batch| session.look_at(&batch.counters));
        };
        let now_ms = meter.look();
        session.count_drops(&mut live, &mut meter.meter, &self.outlet, now_ms);
        meter.finish(end_ms);
        self.outlet.pass_on(&mut meter.meter, |batch| session.look_at(&batch.counters));
        result
    }

    /// Reads everything captured up to now, so that coverage can be claimed until the end. The
    /// kernel hands over a block of the ring only when it is full or after a timeout.
    fn read_rest(&self, live: &mut LiveCapture, meter: &mut LiveMeter, session: &mut Session) -> Result<(), Error> {
        let (since, end_ms) = (Instant::now(), Reading::now().wall_ms);
        loop {
            match live.next()? {
                // If the clock is set back meanwhile, the end may be far away, hence the second
                // bound.
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

/// Periodic work between frames.
struct Session {
    counted: Statistics,
    /// When they were counted, Unix milliseconds; unknown while the clock is not set.
    counted_ms: Option<u64>,
    looked: Instant,
    frames: u32,
    /// How many unsupported link types have been logged.
    unread: usize,
    /// Whether the warning that all messages are for other addresses has been logged.
    only_others: bool,
}

/// The addresses whose messages count, and how to learn of changes.
struct Following {
    scope: Scope,
    /// Set only if the server's addresses are those of this machine.
    news: Option<AddressNews>,
}

impl Following {
    /// Applies the machine's current addresses if they may have changed.
    fn follow(&mut self, config: &Config, meter: &mut Meter) {
        if !self.news.as_mut().is_some_and(AddressNews::is_due) {
            return;
        }
        match config.scope() {
            Ok(scope) if scope != self.scope => {
                tracing::info!(addresses = ?scope.addresses, "this machine's addresses changed; now counting for the new ones");
                meter.set_scope(&scope);
                self.scope = scope;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot read this machine's addresses; keeping the previous ones"),
        }
    }
}

impl Session {
    /// Whether to read the clock and the kernel's counters now.
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

    /// Logs each unsupported link type once.
    fn name_unread(&mut self, meter: &Meter) {
        for (link_type, _) in meter.unread_link_types().iter().skip(self.unread) {
            tracing::warn!("{}; its frames are counted as unknown_link_type", unread_link_type(*link_type));
            self.unread += 1;
        }
    }

    /// Warns if there is DNS traffic on the ports but none of it is the server's.
    fn look_at(&mut self, counters: &Counters) {
        let others = counters.get(Counter::OtherAddresses);
        let only_others = others > 0 && counters.get(Counter::MessagesSeen) == 0;
        if only_others && !self.only_others {
            tracing::warn!(
                packets = others,
                "all packets on the watched ports belong to other addresses; is the server's address missing from capture.addresses?"
            );
        }
        self.only_others = only_others;
    }

    fn count_drops(&mut self, live: &mut LiveCapture, meter: &mut Meter, outlet: &Outlet, now_ms: Option<u64>) {
        let Ok(now) = live.statistics() else { return };
        let period_ms = self.counted_ms.zip(now_ms);
        let kernel = now.kernel_dropped.saturating_sub(self.counted.kernel_dropped);
        let interface = now.interface_dropped.saturating_sub(self.counted.interface_dropped);
        meter.add_dropped(Counter::KernelDropped, kernel, period_ms);
        meter.add_dropped(Counter::InterfaceDropped, interface, period_ms);
        outlet.dropped(kernel, interface);
        (self.counted, self.counted_ms) = (now, now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Monitoring;
    use crate::observe::Addresses;
    use crate::observe::testing::{chaos, frame, udp_from_server, udp_to_server};

    #[test]
    fn the_probe_s_own_queries_are_not_counted_on_the_device() {
        let own = Arc::new(OwnQuestions::default());
        let listener = Listener {
            config: Config { server_id: 1, ..Config::default() },
            outlet: Outlet::Compare(Arc::default()),
            orders: Arc::new(Orders::new(Monitoring {
                dns: true,
                dns_interval_s: 60,
                dns_served: false,
                system: false,
                system_interval_s: 5,
            })),
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
