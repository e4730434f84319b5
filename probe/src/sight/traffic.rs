//! What the messages of the last minute suggest about missing ones.
//!
//! Every few seconds a [`Slot`] collects what has arrived since the previous one; the window is a
//! minute of slots. A direction is missing if the other one has [`MIN_MESSAGES`] in the window,
//! excluding the newest slot, since responses to its requests may still be on their way. Once
//! reported, it stays reported until there is a message in the missing direction, or none in the
//! other for a minute, so that traffic around the threshold does not make it flap.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Length of a slot.
const SLOT: Duration = Duration::from_secs(5);
/// Number of slots: a minute.
const SLOTS: usize = 12;
/// This many messages in one direction and none in the other are not a coincidence.
pub(super) const MIN_MESSAGES: u64 = 20;
/// This many requests to another port are not a coincidence, if they also amount to a hundredth of
/// those that count.
const MIN_ELSEWHERE: u64 = 10;
const ELSEWHERE_OF_COUNTED: u64 = 100;

/// Messages since counting began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that count.
    pub requests: u64,
    /// Responses that count.
    pub responses: u64,
    /// Messages of the server that do not count, except the probe's own.
    pub others: u64,
}

impl Totals {
    /// The difference to earlier totals.
    pub(super) fn since(self, before: Totals) -> Totals {
        Totals {
            requests: self.requests.saturating_sub(before.requests),
            responses: self.responses.saturating_sub(before.responses),
            others: self.others.saturating_sub(before.others),
        }
    }
}

/// The messages of a few seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    began: Instant,
    requests: u64,
    responses: u64,
    /// Requests per unobserved port.
    elsewhere: Vec<(u16, u32)>,
}

/// The missing direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Requests,
    Responses,
}

/// Something that applies, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding<T> {
    pub(super) what: T,
    pub(super) since: Instant,
}

/// The traffic since counting began.
#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) began: Instant,
    /// Whether there has been any message.
    pub(super) seen: bool,
    slot_began: Instant,
    counted: Totals,
    slots: VecDeque<Slot>,
    missing: Option<Missing>,
    /// The ports on which there were enough messages, until there are none.
    ports: Vec<u16>,
}

impl Traffic {
    /// Starts counting now, or continues elsewhere with these totals.
    pub(super) fn new(now: Instant) -> Traffic {
        let (slots, ports) = (VecDeque::with_capacity(SLOTS), Vec::new());
        Traffic { began: now, seen: false, slot_began: now, counted: Totals::default(), slots, missing: None, ports }
    }

    /// Takes the totals; returns whether there is news: a complete slot, or the first message.
    pub(super) fn turn(&mut self, now: Instant, totals: Totals, elsewhere: impl FnOnce() -> Vec<(u16, u32)>) -> bool {
        let is_first = !self.seen && totals != Totals::default();
        self.seen |= is_first;
        if now.saturating_duration_since(self.slot_began) < SLOT {
            return is_first;
        }
        let slot = Slot {
            began: self.slot_began,
            requests: totals.requests.saturating_sub(self.counted.requests),
            responses: totals.responses.saturating_sub(self.counted.responses),
            elsewhere: elsewhere(),
        };
        (self.counted, self.slot_began) = (totals, now);
        if self.slots.len() >= SLOTS {
            self.slots.pop_front();
        }
        self.slots.push_back(slot);
        self.missing = self.judge();
        self.ports = self.judge_ports();
        true
    }

    fn judge(&self) -> Option<Missing> {
        let sum = |of: fn(&Slot) -> u64| self.slots.iter().map(of).fold(0, u64::saturating_add);
        let newest = self.slots.back().map_or((0, 0), |slot| (slot.requests, slot.responses));
        let (requests, responses) = (sum(|slot| slot.requests), sum(|slot| slot.responses));
        let is_enough = |all: u64, newest: u64, missing| match self.missing == Some(missing) {
            true => all > 0,
            false => all.saturating_sub(newest) >= MIN_MESSAGES,
        };
        if responses == 0 && is_enough(requests, newest.0, Missing::Responses) {
            return Some(Missing::Responses);
        }
        (requests == 0 && is_enough(responses, newest.1, Missing::Requests)).then_some(Missing::Requests)
    }

    fn judge_ports(&self) -> Vec<u16> {
        let requests = self.requests();
        let is_enough = |port: u16, messages: u64| {
            let enough = messages >= MIN_ELSEWHERE && messages.saturating_mul(ELSEWHERE_OF_COUNTED) >= requests;
            enough || self.ports.contains(&port)
        };
        let ports = self.by_port();
        ports.into_iter().filter(|(port, messages)| is_enough(*port, *messages)).map(|(port, _)| port).collect()
    }

    fn by_port(&self) -> BTreeMap<u16, u64> {
        let mut ports = BTreeMap::new();
        for (port, messages) in self.slots.iter().flat_map(|slot| &slot.elsewhere) {
            *ports.entry(*port).or_default() += u64::from(*messages);
        }
        ports
    }

    /// Requests in the window.
    pub(super) fn requests(&self) -> u64 {
        self.slots.iter().map(|slot| slot.requests).fold(0, u64::saturating_add)
    }

    /// Responses in the window.
    pub(super) fn responses(&self) -> u64 {
        self.slots.iter().map(|slot| slot.responses).fold(0, u64::saturating_add)
    }

    /// The missing direction, and since when.
    pub(super) fn missing(&self) -> Option<Finding<Missing>> {
        let what = self.missing?;
        let slot = self.slots.iter().find(|slot| slot.requests + slot.responses > 0);
        Some(Finding { what, since: slot.map_or(self.slot_began, |slot| slot.began) })
    }

    /// The requests in the window for each wanted unobserved port.
    pub(super) fn elsewhere(&self, is_wanted: impl Fn(u16) -> bool) -> Option<Finding<Vec<(u16, u64)>>> {
        let is_told = |port: u16| self.ports.contains(&port) && is_wanted(port);
        let ports: Vec<(u16, u64)> = self.by_port().into_iter().filter(|(port, _)| is_told(*port)).collect();
        let has_one = |slot: &&Slot| slot.elsewhere.iter().any(|(port, _)| is_told(*port));
        let since = self.slots.iter().find(has_one)?.began;
        Some(Finding { what: ports, since })
    }

    /// Whether there has been no message since counting began, for this long.
    pub(super) fn none_for(&self, now: Instant, grace: Duration) -> bool {
        !self.seen && now.saturating_duration_since(self.began) >= grace
    }
}

#[cfg(test)]
#[path = "traffic_tests.rs"]
mod tests;
