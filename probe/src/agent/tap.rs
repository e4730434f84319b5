//! The dnstap thread: servers connect and report their messages; batches come out.
//!
//! An interval is observed only while a server is connected: without one there is no batch, and
//! hence a gap. Coverage starts when the first server has sent START and ends when the last one is
//! gone. The probe does not know how many servers to expect; a missing one shows only in the log
//! and in the counts.
//!
//! The probe trusts whoever can connect, except about time: a message dated ahead of the probe's
//! clock, or in an interval that is already closed, gets its time of arrival, so that no client can
//! open and close intervals at will.

use super::live_meter::LiveMeter;
use super::new_epoch;
use super::orders::Orders;
use super::outlet::Outlet;
use crate::clock::{Reading, now_ms};
use crate::config::Config;
use crate::dnstap::{self, Server, Settings, Turn};
use crate::meter::{Meter, MeterSettings, Source, UNDATED_MS};
use crate::observe::Scope;
use crate::status::{Status, count};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zonepulse_wire::Counter;

/// Retry interval for a socket that cannot be opened.
const REOPEN: Duration = Duration::from_secs(30);
/// How often to read the clock.
const TICK: Duration = Duration::from_millis(200);
/// Minimum time between two starts of coverage, so that a client that keeps reconnecting does not
/// create a batch each time.
const COVERAGE_AGAIN: Duration = Duration::from_secs(5);
/// How often to log broken connections.
const SPEAK_AGAIN: Duration = Duration::from_secs(10);
const NS_PER_MS: u64 = 1_000_000;

/// Everything the thread needs.
pub(super) struct TapListener {
    pub(super) config: Config,
    pub(super) settings: Settings,
    pub(super) outlet: Outlet,
    pub(super) orders: Arc<Orders>,
    pub(super) status: Arc<Status>,
}

/// The meter, and the start of coverage.
struct Session<R = fn() -> Reading> {
    live: LiveMeter<R>,
    covering: bool,
    /// When coverage last started, by a clock that cannot be set.
    began: Option<Instant>,
    connected: usize,
    interval_ms: u64,
    speak: Speak,
}

/// Connection problems, logged at intervals.
#[derive(Default)]
struct Speak {
    last: Option<Instant>,
    refused: u64,
    displaced: u64,
    broken: u64,
    why: Option<String>,
}

impl TapListener {
    /// Listens until told to stop. No server can connect while DNS monitoring is off.
    pub(super) fn run(self) {
        while !self.orders.stopping() {
            if self.orders.dns() {
                self.listen();
            } else {
                self.outlet.stopped("DNS monitoring is off");
                std::thread::sleep(TICK);
                self.outlet.passed(now_ms());
            }
        }
    }

    fn listen(&self) {
        let mut server = Server::new(self.settings.clone());
        let mut session = self.session();
        let (mut opened, mut known): (Option<Instant>, Vec<String>) = (None, Vec::new());
        let mut ticked = Instant::now();
        self.say(false);
        while self.orders.dns() {
            if opened.is_none_or(|at| at.elapsed() >= REOPEN) {
                open(&mut server, &mut known);
                opened = Some(Instant::now());
            }
            match session.turn(&mut server) {
                Ok(without_place) => count(&self.status.counts.connections_refused, without_place),
                Err(error) => {
                    tracing::error!(%error, "cannot wait for dnstap connections");
                    std::thread::sleep(TICK);
                }
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                session.follow(self.orders.dns_interval_s());
                session.live.meter.set_served(self.orders.dns_served());
                let now_ms = session.tick();
                self.outlet.stepped(session.live.take_step());
                self.outlet.clock_is_set(session.live.clock_is_set());
                self.say(session.covering);
                self.outlet.watch(&mut session.live, self.orders.dns_interval_s());
                self.outlet.pass_on(&mut session.live.meter, |_| {});
                if let Some(now_ms) = now_ms {
                    self.outlet.passed(now_ms);
                }
            }
            if !session.covering {
                self.outlet.pass_on(&mut session.live.meter, |_| {});
            }
        }
        session.live.finish(None);
        self.outlet.pass_on(&mut session.live.meter, |_| {});
    }

    fn say(&self, covering: bool) {
        if covering { self.outlet.runs() } else { self.outlet.stopped("no DNS server is connected with dnstap") }
    }

    fn session(&self) -> Session {
        let Settings { socket, listen, .. } = &self.settings;
        let socket = socket.as_ref().map(|file| file.path.display());
        tracing::info!(
            socket = socket.map(tracing::field::display),
            listen = listen.map(tracing::field::display),
            "waiting for dnstap connections"
        );
        if let Some(listen) = listen.filter(|listen| !listen.ip().is_loopback()) {
            tracing::warn!(
                %listen,
                "dnstap has no authentication: the probe trusts whoever reaches this address; \
                 let the firewall admit only the servers, or use dnstap.socket"
            );
        }
        let (ports, addresses) = (Vec::new(), self.config.told_addresses());
        let make = |_| {
            Meter::new(MeterSettings {
                server_id: self.config.server_id,
                epoch: new_epoch(),
                interval_s: self.orders.dns_interval_s(),
                scope: Scope { ports, addresses },
                budget: self.outlet.budget(&self.config),
                served: self.orders.dns_served(),
                source: Source::Told,
            })
            .knowing(self.status.own_questions.clone())
        };
        let interval_ms = 1000 * u64::from(self.orders.dns_interval_s());
        let live: LiveMeter = LiveMeter::new(self.config.bounds(), Reading::now, make);
        Session { live, covering: false, began: None, connected: 0, interval_ms, speak: Speak::default() }
    }
}

/// Opens the sockets that are not open yet, and logs new failures.
fn open(server: &mut Server, known: &mut Vec<String>) {
    let errors: Vec<String> = server.open().iter().map(ToString::to_string).collect();
    for error in errors.iter().filter(|error| !known.contains(error)) {
        tracing::error!(error, "retrying every 30 s");
    }
    *known = errors;
}

impl<R: Fn() -> Reading> Session<R> {
    /// Returns how many connections were refused or closed to make room.
    fn turn(&mut self, server: &mut Server) -> std::io::Result<u64> {
        let (live, interval_ms) = (&mut self.live, self.interval_ms);
        let mut looked = None;
        let Turn { refused, displaced, broken } = server.turn(TICK, |data| {
            // Read the clock only when the first frame is there, since waiting for it took time.
            let now_ms = *looked.get_or_insert_with(|| live.look().unwrap_or(UNDATED_MS));
            live.told(&dnstap::frame(data, now_ms.saturating_mul(NS_PER_MS)), interval_ms);
        })?;
        live.meter.add(Counter::DnstapConnectionsRefused, refused + displaced);
        live.meter.add(Counter::DnstapConnectionsBroken, broken.len() as u64);
        self.speak.about(refused, displaced, broken);
        self.cover(server.connected(), Instant::now());
        Ok(refused + displaced)
    }

    /// Starts and ends coverage according to the number of connected servers.
    fn cover(&mut self, connected: usize, now: Instant) {
        if connected != self.connected {
            tracing::info!(servers = connected, "number of connected DNS servers changed");
        }
        let lost_all = connected == 0 && self.connected > 0;
        self.connected = connected;
        if lost_all {
            self.end_coverage();
        }
        if connected > 0 && !self.covering && self.began.is_none_or(|began| now.duration_since(began) >= COVERAGE_AGAIN) {
            // While the clock is not set, coverage starts once it is.
            self.live.tick();
            (self.covering, self.began) = (true, Some(now));
        }
    }

    /// Ends coverage. Undated hits are kept.
    fn end_coverage(&mut self) {
        if let Some(now_ms) = self.live.look() {
            self.live.meter.finish(now_ms);
        }
        self.covering = false;
    }

    /// Uses this interval length from now on.
    fn follow(&mut self, interval_s: u32) {
        self.interval_ms = 1000 * u64::from(interval_s);
        self.live.set_interval(interval_s);
    }

    /// Returns the clock's time, Unix milliseconds.
    fn tick(&mut self) -> Option<u64> {
        self.speak.now_and_then();
        if self.covering { self.live.tick() } else { self.live.look() }
    }
}

impl Speak {
    fn about(&mut self, refused: u64, displaced: u64, broken: Vec<String>) {
        self.refused += refused;
        self.displaced += displaced;
        self.broken += broken.len() as u64;
        self.why = broken.into_iter().next_back().or(self.why.take());
        if refused + displaced > 0 || self.broken > 0 {
            self.now_and_then();
        }
    }

    fn now_and_then(&mut self) {
        if self.refused + self.displaced + self.broken == 0 || self.last.is_some_and(|last| last.elapsed() < SPEAK_AGAIN) {
            return;
        }
        if self.refused > 0 {
            tracing::warn!(
                connections = self.refused,
                "connections refused: the limit of dnstap.max_connections, max_tcp_connections or max_tcp_per_address is reached"
            );
        }
        if self.displaced > 0 {
            tracing::warn!(connections = self.displaced, "connections closed to make room for others before START");
        }
        if let Some(why) = self.why.take() {
            tracing::warn!(connections = self.broken, why, "dnstap connections failed");
        }
        *self = Speak { last: Some(Instant::now()), ..Speak::default() };
    }
}

#[cfg(test)]
#[path = "tap_tests.rs"]
mod tests;
