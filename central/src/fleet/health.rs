//! How well a server is observed, in one word and with reasons: combines heartbeats, refusals and losses.
//!
//! A running probe is not enough: its batches may be refused, wait forever, or cover less than the DNS server does. So
//! everything that the central knows about a server is judged at one moment ([`judge`]), without looking anything up.
//! Every [`Reason`] is a sentence that says what is wrong and what to do.

use super::refusals::Recent;
use super::{LATE_MS, Pulse, WINDOW_MS, Waiting};
use crate::time::text;
use std::net::IpAddr;
use zonepulse_ingest::{Delivery, GivenUp, LiveProbes};
use zonepulse_model::{Communication, Settings};
use zonepulse_wire::{BlindReason, Blindness, Component, State};

/// A probe younger than this may not be capturing yet, seconds.
const CAPTURE_BEGINS_S: u64 = 6;
/// Runs of a probe within two minutes that indicate a restart loop: an operator makes fewer.
const RESTARTS: usize = 3;
/// Waiting batches are growing if their number never falls over this many consecutive heartbeats.
const GROWING_HEARTBEATS: usize = 3;
/// Minimum growth over these heartbeats: by this many batches, and by a quarter of those that a probe makes, since some
/// are always in flight.
const GROWN_BATCHES: u64 = 2;
const GROWN_PART: u64 = 4;
/// A backlog is more batches, at two consecutive heartbeats, than a probe makes in this time, seconds, or in as many
/// intervals.
const BACKLOG_S: u64 = 180;
const BACKLOG_INTERVALS: u64 = 3;
/// Batches are overdue when none has arrived for this time, seconds, or for as many intervals.
const UNTAKEN_S: u64 = 300;
/// The longest interval, seconds.
const MAX_INTERVAL_S: u64 = 300;
/// A probe makes about one batch of system metrics in this time, seconds.
const SYSTEM_BATCH_S: u64 = 60;

/// How well a server is observed, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerHealth {
    /// Fewer heartbeats arrive than expected.
    Silent,
    /// Its batches, heartbeats or token are refused.
    Refused,
    /// Several probes use its token.
    Conflict,
    /// DNS messages are not counted, or some are probably missed.
    Blind,
    /// Batches pile up at the probe, or many of them wait there; or none arrives although none should be waiting.
    Behind,
    /// Within the last hour, batches were dropped by the probe or permanently refused, or messages claiming to be from
    /// the server were.
    Lost,
    /// The probe restarts again and again.
    Restarting,
    /// The DNS server is installed but not running.
    DnsStopped,
    /// The probe does not follow all settings.
    SettingsRefused,
    /// No probe was ever heard from.
    New,
    /// The probe or the central has just started, and everything expected so far has arrived.
    Starting,
    /// Nothing is wrong.
    Ok,
}

impl ServerHealth {
    /// All values, worst first.
    pub const ALL: [ServerHealth; 12] = [
        ServerHealth::Silent,
        ServerHealth::Refused,
        ServerHealth::Conflict,
        ServerHealth::Blind,
        ServerHealth::Behind,
        ServerHealth::Lost,
        ServerHealth::Restarting,
        ServerHealth::DnsStopped,
        ServerHealth::SettingsRefused,
        ServerHealth::New,
        ServerHealth::Starting,
        ServerHealth::Ok,
    ];

    /// The name used in answers, metrics and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            ServerHealth::Silent => "silent",
            ServerHealth::Refused => "refused",
            ServerHealth::Conflict => "conflict",
            ServerHealth::Blind => "blind",
            ServerHealth::Behind => "behind",
            ServerHealth::Lost => "lost",
            ServerHealth::Restarting => "restarting",
            ServerHealth::DnsStopped => "dns_stopped",
            ServerHealth::SettingsRefused => "settings_refused",
            ServerHealth::New => "new",
            ServerHealth::Starting => "starting",
            ServerHealth::Ok => "ok",
        }
    }

    /// Whether someone should look into it.
    pub fn is_trouble(self) -> bool {
        self < ServerHealth::New
    }
}

/// Why a server's health is what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The resulting health.
    pub health: ServerHealth,
    /// When it began, Unix milliseconds; `None` if unknown.
    pub since_ms: Option<u64>,
    /// A sentence that says what is wrong and what to do.
    pub text: String,
    /// Whether the central itself is at fault, so that many servers have the same reason.
    pub of_central: bool,
}

impl Reason {
    fn new(health: ServerHealth, since_ms: Option<u64>, text: impl Into<String>) -> Self {
        Reason { health, since_ms, text: text.into(), of_central: false }
    }
}

/// Probe requests from an address that are being refused for their credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unauthenticated {
    /// The address they come from.
    pub address: IpAddr,
    /// Whether several servers share the address, so that the requests may come from another one.
    pub is_shared: bool,
    /// The requests.
    pub recent: Recent,
}

/// What the central knows about a server at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// Its heartbeats.
    pub pulse: Pulse,
    /// Two probes that send batches for the same time, if any.
    pub twins: Option<LiveProbes>,
    /// The fate of its batches.
    pub delivery: Delivery,
    /// Its heartbeats that are being refused, if any.
    pub heartbeats: Option<Recent>,
    /// Probe requests from its address that are being refused for their credentials.
    pub unauthenticated: Option<Unauthenticated>,
    /// Why the central cannot pull from it.
    pub pull_failure: Option<String>,
    /// When its enrolment token expires, Unix milliseconds.
    pub enrollment_expires_ms: Option<u64>,
    /// Its effective settings.
    pub settings: Settings,
}

impl Evidence {
    /// When a heartbeat or a batch of the server was last accepted, Unix milliseconds.
    fn taken_ms(&self) -> Option<u64> {
        let heard_ms = self.pulse.last.as_ref().map(|last| last.received_ms);
        heard_ms.max(self.delivery.accepted_ms)
    }

    /// Refusals at its address that are newer than anything accepted from it: earlier ones are over, or were another
    /// probe's.
    fn unauthenticated(&self) -> Option<&Unauthenticated> {
        let taken_ms = self.taken_ms();
        self.unauthenticated.as_ref().filter(|found| taken_ms.is_none_or(|taken_ms| found.recent.last_ms > taken_ms))
    }

    /// Refusals that can only come from its probe, and so show that the probe is alive.
    fn refused_token(&self, now_ms: u64) -> Option<&Unauthenticated> {
        self.unauthenticated().filter(|found| !found.is_shared && now_ms.abs_diff(found.recent.last_ms) < WINDOW_MS)
    }

    /// Whether batches are accepted although a heartbeat should have arrived before the last of them. The batches that
    /// a probe sends as it stops also follow its last heartbeat.
    fn sends_only_batches(&self, now_ms: u64) -> bool {
        let heard_ms = self.pulse.last.as_ref().map(|last| last.received_ms);
        self.delivery.accepted_ms.is_some_and(|accepted_ms| {
            now_ms.abs_diff(accepted_ms) < WINDOW_MS
                && heard_ms.is_none_or(|heard_ms| accepted_ms > heard_ms.saturating_add(LATE_MS))
        })
    }
}

/// All reasons that apply to a server at this time, worst first; at least one.
pub(super) fn judge(evidence: &Evidence, now_ms: u64) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = [
        silent(evidence, now_ms),
        refused(evidence),
        refused_token(evidence, now_ms),
        conflict(evidence)
            .map(|(since_ms, text)| Reason::new(ServerHealth::Conflict, since_ms, text + "; give each a server of its own")),
        behind(evidence, now_ms).or_else(|| untaken(evidence, now_ms)),
        put_aside(evidence),
        unproven(evidence),
        given_up(evidence),
    ]
    .into_iter()
    .flatten()
    .collect();
    reasons.extend(said(evidence, now_ms));
    if reasons.is_empty() {
        reasons.push(well(evidence, now_ms));
    }
    // The sort is stable: reasons with the same health keep their order.
    reasons.sort_by_key(|reason| reason.health);
    reasons
}

/// The message for several probes that use the server's token, and when that began, if known.
pub(super) fn conflict(evidence: &Evidence) -> Option<(Option<u64>, String)> {
    let several = &evidence.pulse.several;
    let since_ms = evidence.twins.map(|twins| twins.since_ms);
    match several.is_empty() {
        false => Some((since_ms, super::conflict(several))),
        true => since_ms.map(|_| (since_ms, "two probes use this server's token: both send batches of the same time".to_owned())),
    }
}

/// Nothing is wrong. A server that was never heard from is new, unless there is other evidence of it.
fn well(evidence: &Evidence, now_ms: u64) -> Reason {
    let Evidence { pulse, .. } = evidence;
    if pulse.last.is_none() {
        let expires_ms = evidence.enrollment_expires_ms.filter(|expires_ms| *expires_ms > now_ms);
        let token = match expires_ms {
            Some(expires_ms) => format!("its enrolment token can be used until {}", text(expires_ms)),
            None => "make it an enrolment token, or a token for its probe's configuration".to_owned(),
        };
        return Reason::new(ServerHealth::New, None, format!("no probe of this server was ever heard: enrol one; {token}"));
    }
    if !pulse.is_starting() {
        return Reason::new(ServerHealth::Ok, None, "heartbeats come as they should, and batches are taken");
    }
    let (ago_s, requests) = (now_ms.saturating_sub(pulse.since_ms) / 1000, pulse.requests);
    let who = if pulse.is_since_central { "the central" } else { "its probe" };
    let said = match &pulse.last {
        Some(last) if requests == 0 => format!(
            "{who} began {ago_s} s ago, and no heartbeat has come since; the last one before came at {}: whether its probe still runs is not known yet",
            text(last.received_ms)
        ),
        _ => {
            let most = pulse.expected.max(requests);
            format!("{who} began {ago_s} s ago; heartbeats until now: {requests} of {most} that can have come")
        }
    };
    Reason::new(ServerHealth::Starting, Some(pulse.since_ms), said)
}

fn silent(evidence: &Evidence, now_ms: u64) -> Option<Reason> {
    let Evidence { pulse, .. } = evidence;
    let (sends, unauthenticated) = (evidence.sends_only_batches(now_ms), evidence.unauthenticated());
    // A server whose token is refused is not silent.
    let is_refused = evidence.refused_token(now_ms).is_some() && evidence.pull_failure.is_none();
    let may_be_its_own = unauthenticated.is_some_and(|found| !found.is_shared);
    let mut said = match &pulse.last {
        None if !sends && !may_be_its_own && evidence.pull_failure.is_none() => return None,
        _ if pulse.is_regular() || is_refused => return None,
        None => "no heartbeat was ever heard".to_owned(),
        Some(last) if pulse.requests == 0 => {
            let ago_s = now_ms.saturating_sub(last.received_ms) / 1000;
            format!("no heartbeat for {ago_s} s, the last one at {}", text(last.received_ms))
        }
        Some(last) => {
            let (requests, expected) = (pulse.requests, pulse.expected);
            format!("{requests} instead of {expected} heartbeats came in 2 minutes, the last one at {}", text(last.received_ms))
        }
    };
    if sends {
        said.push_str(", while its batches arrive");
    }
    let advice = match (&evidence.pull_failure, unauthenticated) {
        (Some(failure), _) => format!(": the central cannot collect from it: {failure}"),
        (None, Some(Unauthenticated { address, is_shared, recent: Recent { last_ms, detail, .. } })) => {
            let what_to_do = match is_shared {
                true => "several servers have that address: if it is this one's probe, give it this server's current token",
                false => "give that probe the server's current token",
            };
            let at = text(*last_ms);
            format!(": requests of a probe at its address {address} are refused (the last one at {at}): {detail}; {what_to_do}")
        }
        (None, None) => ": see there whether zonepulse-probe runs and what its log says of the central".to_owned(),
    };
    Some(Reason::new(ServerHealth::Silent, pulse.last.as_ref().map(|last| last.received_ms), said + &advice))
}

fn refused(evidence: &Evidence) -> Option<Reason> {
    if let Some(Recent { since_ms, count, detail, .. }) = &evidence.heartbeats {
        let said = format!(
            "its heartbeats are refused ({count} until now): {detail}; is its probe of another version than the central?"
        );
        return Some(Reason::new(ServerHealth::Refused, Some(*since_ms), said));
    }
    let refused = evidence.delivery.refused.as_ref()?;
    let zonepulse_ingest::Refused { since_ms, count, cause, detail, of_central, .. } = refused;
    let said = format!("its batches are refused ({cause}, {count} until now): {detail}");
    Some(Reason { of_central: *of_central, ..Reason::new(ServerHealth::Refused, Some(*since_ms), said) })
}

/// An unknown token does not identify its server; the address does, if no other server uses it.
fn refused_token(evidence: &Evidence, now_ms: u64) -> Option<Reason> {
    let Unauthenticated { address, recent, .. } = evidence.refused_token(now_ms)?;
    let Recent { since_ms, last_ms, detail, .. } = recent;
    let taken_ms = evidence.taken_ms();
    let since_ms = Some(*since_ms).filter(|since_ms| taken_ms.is_none_or(|taken_ms| *since_ms > taken_ms));
    let taken = taken_ms.map_or("nothing of this server was taken yet".to_owned(), |taken_ms| {
        format!("nothing of this server was taken since {}", text(taken_ms))
    });
    let said = format!(
        "requests of a probe at its address {address} are refused (the last one at {}; {taken}): {detail}; give that probe the server's current token",
        text(*last_ms)
    );
    Some(Reason::new(ServerHealth::Refused, since_ms, said))
}

/// What its last heartbeat reports, unless it is too old to be counted.
fn said(evidence: &Evidence, now_ms: u64) -> Vec<Reason> {
    let Evidence { pulse, settings, .. } = evidence;
    let Some(last) = pulse.last.as_ref().filter(|last| now_ms.abs_diff(last.received_ms) < WINDOW_MS) else { return Vec::new() };
    let heartbeat = &last.heartbeat;
    let mut reasons = Vec::new();
    let capture = &heartbeat.capture;
    // Capture is not needed if DNS monitoring is off.
    if settings.dns_monitoring && capture.state == State::Stopped && heartbeat.uptime_s >= CAPTURE_BEGINS_S {
        let why = capture.detail.as_deref().unwrap_or("the probe does not say why");
        reasons.push(Reason::new(ServerHealth::Blind, None, format!("DNS messages are not being counted: {why}")));
    }
    let blind = capture.blind.iter().map(|blindness| Reason::new(ServerHealth::Blind, None, blindness_text(blindness)));
    reasons.extend(blind);
    if pulse.runs >= RESTARTS && pulse.several.is_empty() {
        let said = format!("{} runs of its probe were heard in 2 minutes: its log says why it ends", pulse.runs);
        reasons.push(Reason::new(ServerHealth::Restarting, None, said));
    }
    if let Some(Component { state: State::Stopped, name, .. }) = &heartbeat.components.dns {
        let name = name.as_deref().unwrap_or("the DNS server");
        reasons.push(Reason::new(
            ServerHealth::DnsStopped,
            None,
            format!("{name} does not run: there is nothing to observe until it is started"),
        ));
    }
    if let Some(why) = &heartbeat.settings_refused {
        let said = format!(
            "its probe does not follow all settings: {why}; change the setting, or what the probe's configuration allows"
        );
        reasons.push(Reason::new(ServerHealth::SettingsRefused, None, said));
    }
    reasons
}

/// The probe's own explanation, or the meaning of its reason if it gives none.
fn blindness_text(Blindness { reason, detail }: &Blindness) -> String {
    if !detail.is_empty() {
        return detail.clone();
    }
    let meaning = match reason {
        BlindReason::OtherSockets => {
            "the DNS server listens on ports or addresses that the probe does not observe: set capture.ports"
        }
        BlindReason::OtherPorts => "DNS messages use ports that the probe does not observe: set capture.ports",
        BlindReason::NoMessage => "no DNS message was seen since the probe began: see capture.device and capture.ports",
        BlindReason::NoResponses => "requests are seen and no responses: see capture.device",
        BlindReason::NoRequests => "responses are seen and no requests: see capture.device",
        BlindReason::Unknown => {
            "the probe does not see all DNS messages, for a reason that this central does not know: update it"
        }
    };
    meaning.to_owned()
}

/// The latest heartbeats over which the number of waiting batches never fell: the first, the last and their number.
fn rising(waiting: &[Waiting]) -> Option<(Waiting, Waiting, usize)> {
    let last = *waiting.last().filter(|last| last.batches > 0)?;
    let (mut first, mut heartbeats) = (last, 0);
    for before in waiting.iter().rev().take_while(|before| before.batches > 0) {
        if before.batches > first.batches {
            break;
        }
        (first, heartbeats) = (*before, heartbeats + 1);
    }
    Some((first, last, heartbeats))
}

fn behind(evidence: &Evidence, now_ms: u64) -> Option<Reason> {
    let Evidence { pulse, settings, .. } = evidence;
    let (first, last, heartbeats) = rising(&pulse.waiting)?;
    if now_ms.abs_diff(last.at_ms) >= WINDOW_MS {
        return None;
    }
    let grown = last.batches.saturating_sub(first.batches);
    let made = batches_in(settings, last.at_ms.saturating_sub(first.at_ms) / 1000);
    let span_s = BACKLOG_S.max(BACKLOG_INTERVALS * u64::from(settings.dns_interval_s));
    let most = batches_in(settings, span_s);
    let backlog: Vec<&Waiting> = pulse.waiting.iter().rev().take_while(|waiting| waiting.batches > most).collect();
    let (since_ms, trend) = if heartbeats >= GROWING_HEARTBEATS && grown >= GROWN_BATCHES.max(made / GROWN_PART) {
        (first.at_ms, format!("{grown} more than at {}", text(first.at_ms)))
    } else if let [.., oldest] = &backlog[..]
        && backlog.len() >= 2
    {
        let trend =
            if heartbeats < 2 { "and get fewer".to_owned() } else { format!("more than {most} since {}", text(oldest.at_ms)) };
        (oldest.at_ms, trend)
    } else {
        return None;
    };
    let way = match settings.communication {
        Communication::Http => "its log says why the central does not take them faster",
        Communication::Rabbitmq => "its log says whether the broker takes them, and /readyz whether the central does from there",
        Communication::Pull => "the central's log says whether it can collect them",
    };
    let (batches, size_bytes) = (last.batches, last.size_bytes);
    let said = format!("{batches} batches ({size_bytes} bytes) wait at its probe, {trend}: {way}");
    Some(Reason::new(ServerHealth::Behind, Some(since_ms), said))
}

/// Heartbeats arrive but batches do not: with a broker in between, batches do not wait at the probe.
fn untaken(evidence: &Evidence, now_ms: u64) -> Option<Reason> {
    let Evidence { pulse, delivery, settings, .. } = evidence;
    let last = pulse.last.as_ref().filter(|_| pulse.is_regular())?;
    let captures = settings.dns_monitoring && last.heartbeat.capture.state == State::Running;
    if delivery.refused.is_some() || !captures && !settings.system_monitoring {
        return None;
    }
    // The interval is unknown if the probe follows its own configuration.
    let interval_s = last.heartbeat.settings_version.map_or(MAX_INTERVAL_S, |_| u64::from(settings.dns_interval_s));
    let patience_s = UNTAKEN_S.max(BACKLOG_INTERVALS * interval_s);
    let since_ms = delivery.accepted_ms.map_or(pulse.since_ms, |accepted_ms| accepted_ms.max(pulse.since_ms));
    if now_ms.saturating_sub(since_ms) < patience_s * 1000 {
        return None;
    }
    let place = match settings.communication {
        Communication::Http => "its log says why it sends none",
        Communication::Rabbitmq => "its log says whether the broker takes them, and /readyz whether the central does from there",
        Communication::Pull => "the central's log says whether it can collect them",
    };
    let said = format!("no batch has arrived since {}, though heartbeats come: {place}", text(since_ms));
    Some(Reason::new(ServerHealth::Behind, Some(since_ms), said))
}

/// Number of batches that a probe with these settings makes in this time.
fn batches_in(settings: &Settings, span_s: u64) -> u64 {
    let dns = if settings.dns_monitoring { span_s / u64::from(settings.dns_interval_s).max(1) } else { 0 };
    let system_s = u64::from(settings.system_interval_s).max(SYSTEM_BATCH_S);
    dns + if settings.system_monitoring { span_s / system_s } else { 0 }
}

fn given_up(evidence: &Evidence) -> Option<Reason> {
    let GivenUp { evicted, first_ms, .. } = evidence.delivery.given_up?;
    let at = |s: u64| text(s.saturating_mul(1000));
    let (batches, from, until) = (evicted.batches, at(evicted.from_s), at(evicted.until_s));
    let said = format!(
        "its probe gave up {batches} batches of the time from {from} to {until} before the central had them, so that time is not fully observed: give its spool more room (spool.max_bytes)"
    );
    Some(Reason::new(ServerHealth::Lost, Some(first_ms), said))
}

fn put_aside(evidence: &Evidence) -> Option<Reason> {
    let aside = evidence.delivery.put_aside?;
    let said = format!(
        "{} of its batches were refused for good, the last one at {}: `zonepulse-probe resend` lists those that its probe keeps; those that came through RabbitMQ are in the dead-letter queue",
        aside.batches,
        text(aside.last_ms)
    );
    Some(Reason::new(ServerHealth::Lost, Some(aside.first_ms), said))
}

/// What a message does not prove is reported as a claim: anyone who may write to the broker can make it.
fn unproven(evidence: &Evidence) -> Option<Reason> {
    let aside = evidence.delivery.unproven?;
    let said = format!(
        "{} messages through RabbitMQ that claim to be of this server, and do not prove it, were refused for good, the last one at {}: they are in the dead-letter queue; if its probe sent them, it had no current token, and what they tell of is missing",
        aside.batches,
        text(aside.last_ms)
    );
    Some(Reason::new(ServerHealth::Lost, Some(aside.first_ms), said))
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
