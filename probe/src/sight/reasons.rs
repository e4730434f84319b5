//! Determines which reasons apply, describes them, and logs changes.

use super::traffic::{Finding, Missing, Traffic};
use super::{Held, Moment, SAY_AGAIN, Said, Settings, State, judge};
use crate::config::{Counted, ServerAddresses};
use std::collections::BTreeMap;
use std::time::Instant;
use zonepulse_wire::heartbeat::MAX_TEXT_BYTES;
use zonepulse_wire::{BlindReason, Utc};

/// The name of a reason, as in heartbeats.
pub fn name(reason: BlindReason) -> &'static str {
    match reason {
        BlindReason::OtherSockets => "other_sockets",
        BlindReason::OtherPorts => "other_ports",
        BlindReason::NoMessage => "no_message",
        BlindReason::NoResponses => "no_responses",
        BlindReason::NoRequests => "no_requests",
        BlindReason::Unknown => "unknown",
    }
}

impl State {
    /// Determines the reasons that apply now.
    pub(super) fn judge(&mut self, Moment { steady: now, wall_ms: now_ms }: Moment) {
        let mut reasons = BTreeMap::new();
        let (Some(traffic), Some(settings)) = (&self.traffic, &self.settings) else { return };
        let at = |since: Instant| {
            let ago_ms = u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX);
            now_ms.map_or(0, |now_ms| now_ms.saturating_sub(ago_ms))
        };
        if let Some(detail) = self.other_sockets(settings, traffic) {
            reasons.insert(BlindReason::OtherSockets, Held { since_ms: self.looked.well_ms, detail });
        }
        if let Some(Finding { what, since }) = traffic.elsewhere(|port| self.may_be_served(settings, port)) {
            let detail = other_ports(settings, &what);
            reasons.insert(BlindReason::OtherPorts, Held { since_ms: at(since), detail });
        }
        if self.grace.is_some_and(|grace| traffic.none_for(now, grace)) {
            let detail = no_message(settings, self.began_ms);
            reasons.insert(BlindReason::NoMessage, Held { since_ms: at(traffic.began), detail });
        }
        if let Some(Finding { what, since }) = traffic.missing() {
            let (reason, detail) = match what {
                Missing::Responses => (BlindReason::NoResponses, no_responses(settings, traffic.requests())),
                Missing::Requests => (BlindReason::NoRequests, no_requests(settings, traffic.responses())),
            };
            reasons.insert(reason, Held { since_ms: at(since), detail });
        }
        self.hold(reasons, now_ms);
        self.say(now);
    }

    /// If the observed ports are redirected to the server's, its messages are seen, and nothing is
    /// wrong.
    fn other_sockets(&self, settings: &Settings, traffic: &Traffic) -> Option<String> {
        let mismatch = self.looked.mismatch.as_ref()?;
        let sees_both = traffic.requests() > 0 && traffic.responses() > 0;
        let is_redirected = mismatch.may_be_redirected && sees_both && settings.observed.addresses != ServerAddresses::Any;
        (!is_redirected).then(|| mismatch.detail.clone())
    }

    fn may_be_served(&self, settings: &Settings, port: u16) -> bool {
        self.looked.found.as_ref().is_none_or(|found| judge::may_be_served(&settings.observed, found, port))
    }

    /// Sets the reasons that apply now, in place of all others.
    pub(super) fn hold(&mut self, mut reasons: BTreeMap<BlindReason, Held>, now_ms: Option<u64>) {
        for (reason, held) in std::mem::take(&mut self.held) {
            match reasons.get_mut(&reason) {
                // Keep the earlier start, even if the window no longer covers it.
                Some(still) => still.since_ms = still.since_ms.min(held.since_ms),
                None => self.over.add(held.since_ms, now_ms.unwrap_or_default()),
            }
        }
        for held in reasons.values_mut() {
            held.detail.truncate(held.detail.floor_char_boundary(MAX_TEXT_BYTES));
        }
        self.held = reasons;
    }

    /// Logs changes, at most once a minute per reason.
    fn say(&mut self, now: Instant) {
        for reason in BlindReason::KNOWN {
            let held = self.held.get(&reason);
            let said = self.said.get(&reason);
            let is_due = said.is_none_or(|said| now.saturating_duration_since(said.at) >= SAY_AGAIN);
            if !is_due || said.is_some_and(|said| said.holds) == held.is_some() {
                continue;
            }
            match held {
                Some(held) => tracing::warn!(
                    reason = name(reason),
                    detail = held.detail,
                    "the probe may be missing messages of the DNS server: until this is resolved, time does not count as observed"
                ),
                None => tracing::info!(reason = name(reason), "the probe no longer seems to miss messages for this reason"),
            }
            self.said.insert(reason, Said { holds: held.is_some(), at: now });
        }
    }
}

fn ports<T: ToString>(ports: &[T]) -> String {
    ports.iter().take(8).map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn other_ports(settings: &Settings, found: &[(u16, u64)]) -> String {
    let mut found = found.to_vec();
    found.sort_unstable_by_key(|(port, messages)| (u64::MAX - messages, *port));
    let found: Vec<String> = found.iter().map(|(port, messages)| format!("{port} ({messages})")).collect();
    format!(
        "DNS requests went to unobserved ports, in the last minute to {}; capture.ports has {}: add the port, \
             or add it to capture.ignored_ports if another program answers on it",
        ports(&found),
        ports(&settings.observed.ports)
    )
}

fn no_message(settings: &Settings, began_ms: Option<u64>) -> String {
    let since = began_ms.map(|began_ms| format!(" at {}", Utc(began_ms / 1000))).unwrap_or_default();
    match settings.source {
        Counted::Capture => {
            let narrow =
                [settings.is_one_device().then_some("capture.device"), settings.has_addresses().then_some("capture.addresses")];
            let check = match narrow {
                [Some(device), Some(addresses)] => format!("capture.ports, {device} and {addresses}"),
                [Some(key), None] | [None, Some(key)] => format!("capture.ports and {key}"),
                [None, None] => "capture.ports".to_owned(),
            };
            format!(
                "no DNS message on port {} passed device {} since listening began{since}: check {check}, unless nobody queries this \
                 server",
                ports(&settings.observed.ports),
                settings.observed.device
            )
        }
        Counted::Dnstap => format!(
            "the DNS server has reported no message since it connected with dnstap{since}: check which messages it logs, unless \
             nobody queries it"
        ),
    }
}

fn no_responses(settings: &Settings, requests: u64) -> String {
    match settings.source {
        Counted::Capture => {
            let device = settings.is_one_device().then(|| {
                let device = &settings.observed.device;
                format!("responses leave through another device than {device} (set capture.device = \"any\")")
            });
            let addresses = settings.has_addresses().then(|| "from an address that is not in capture.addresses".to_owned());
            let elsewhere = match (device, addresses) {
                (Some(device), Some(addresses)) => format!(" Or do {device}, or {addresses}?"),
                (Some(device), None) => format!(" Or do {device}?"),
                (None, Some(addresses)) => format!(" Or do responses leave {addresses}?"),
                (None, None) => String::new(),
            };
            format!("{requests} requests in the last minute and no response: does the server not answer?{elsewhere}")
        }
        Counted::Dnstap => format!(
            "{requests} requests in the last minute and no response: does the server not answer? Or configure the DNS server to log \
             responses to dnstap as well (Knot: log-responses: on)"
        ),
    }
}

fn no_requests(settings: &Settings, responses: u64) -> String {
    match settings.source {
        Counted::Capture => {
            let device = settings.is_one_device().then(|| {
                let device = &settings.observed.device;
                format!("through another device than {device} (set capture.device = \"any\")")
            });
            let addresses = settings.has_addresses().then(|| "to an address that is not in capture.addresses".to_owned());
            let ways: Vec<String> = [device, addresses].into_iter().flatten().collect();
            let ways = if ways.is_empty() { "where this machine does not see them".to_owned() } else { ways.join(", or ") };
            format!("{responses} responses in the last minute and no request: do requests come {ways}?")
        }
        Counted::Dnstap => format!(
            "{responses} responses in the last minute and no request: configure the DNS server to log queries to dnstap as well \
             (Knot: log-queries: on)"
        ),
    }
}

impl Settings {
    /// Whether only one of several devices is captured.
    fn is_one_device(&self) -> bool {
        self.observed.device != "any"
    }

    /// Whether only some addresses count.
    fn has_addresses(&self) -> bool {
        self.observed.addresses != ServerAddresses::Any
    }
}
