//! What the messages of the last minute say about what is not seen.
//!
//! Every few seconds a [`Slot`] takes what came since the last one; the window is those of a minute. A direction is
//! missing when the other one has [`MIN_MESSAGES`] in the window, not counting the newest slot: responses to the
//! questions in that may still be on their way. Once said, it is said until there is a message of the missing direction,
//! or none of the other for a minute: so traffic around the threshold does not make it come and go.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// How long a slot is.
const SLOT: Duration = Duration::from_secs(5);
/// How many there are: a minute.
const SLOTS: usize = 12;
/// So many messages of one direction, and none of the other, are no accident.
pub(super) const MIN_MESSAGES: u64 = 20;
/// So many requests to another port are no accident, if they are a hundredth of those that count, too.
const MIN_ELSEWHERE: u64 = 10;
const ELSEWHERE_OF_COUNTED: u64 = 100;

/// Messages since counting began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that count.
    pub requests: u64,
    /// Responses that count.
    pub responses: u64,
    /// Messages of the server's that do not count, the probe's own excepted.
    pub others: u64,
}

impl Totals {
    /// What came after these.
    pub(super) fn since(self, before: Totals) -> Totals {
        Totals {
            requests: self.requests.saturating_sub(before.requests),
            responses: self.responses.saturating_sub(before.responses),
            others: self.others.saturating_sub(before.others),
        }
    }
}

/// What came in a few seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    began: Instant,
    requests: u64,
    responses: u64,
    /// Requests by port that is not observed.
    elsewhere: Vec<(u16, u32)>,
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Requests,
    Responses,
}

/// Something that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding<T> {
    pub(super) what: T,
    pub(super) since: Instant,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) began: Instant,
    /// Whether there was any message since.
    pub(super) seen: bool,
    slot_began: Instant,
    counted: Totals,
    slots: VecDeque<Slot>,
    missing: Option<Missing>,
    /// The ports on which there were enough messages, until there are none.
    ports: Vec<u16>,
}

impl Traffic {
    /// Counting begins now, or goes on in another place, where this had been counted.
    pub(super) fn new(now: Instant) -> Traffic {
        let (slots, ports) = (VecDeque::with_capacity(SLOTS), Vec::new());
        Traffic { began: now, seen: false, slot_began: now, counted: Totals::default(), slots, missing: None, ports }
    }

    /// Takes what there is; says whether there is news: a slot is full, or there is a message for the first time.
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

    /// Which direction is missing, and since when.
    pub(super) fn missing(&self) -> Option<Finding<Missing>> {
        let what = self.missing?;
        let slot = self.slots.iter().find(|slot| slot.requests + slot.responses > 0);
        Some(Finding { what, since: slot.map_or(self.slot_began, |slot| slot.began) })
    }

    /// Ports that are not observed, of those that are asked for: how many requests each has in the window.
    pub(super) fn elsewhere(&self, is_wanted: impl Fn(u16) -> bool) -> Option<Finding<Vec<(u16, u64)>>> {
        let is_told = |port: u16| self.ports.contains(&port) && is_wanted(port);
        let ports: Vec<(u16, u64)> = self.by_port().into_iter().filter(|(port, _)| is_told(*port)).collect();
        let has_one = |slot: &&Slot| slot.elsewhere.iter().any(|(port, _)| is_told(*port));
        let since = self.slots.iter().find(has_one)?.began;
        Some(Finding { what: ports, since })
    }

    /// None since counting began, for so long.
    pub(super) fn none_for(&self, now: Instant, grace: Duration) -> bool {
        !self.seen && now.saturating_duration_since(self.began) >= grace
    }
}

#[cfg(test)]
#[path = "traffic_tests.rs"]
mod tests;
