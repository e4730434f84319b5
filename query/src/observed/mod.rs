//! How much of each step was observed, and by how many of the selected servers.
//!
//! A report says when a probe listened (its coverage), and for how much of that time it had reason to believe that it missed
//! the DNS server's messages (`blind_ms`). From these:
//!
//! * **Covered** time divides rates: the union of what the reports of a server cover, so that two probes, or two runs
//!   in one interval, count no time twice. A probe that counted nothing and was blind for all that its report covers has
//!   covered nothing. Hits in a report that covers no time belong to the whole interval.
//! * A step is **observed** by a server that covered every millisecond of it and was never blind.
//! * A server **counts** in a step if it existed then, that is from its registration until its removal, whether or not it has
//!   ever reported. Servers without DNS monitoring and samples are not expected to report; they count where they do.
//! * A step is **open** while reports about it can still be expected: until shortly after its end, unless all servers that
//!   count in it have reported up to its end. In an open step, a server must have covered what it can have reported by now.

mod marks;
mod spans;
#[cfg(test)]
mod tests;

pub(crate) use marks::{Length, Mark, Marks};
pub(crate) use spans::Lattice;

use crate::questions::servers;
use crate::time::Now;
use crate::{Error, Filter};
use spans::Spans;
use std::ops::Range;
use zonepulse_model::{IdSet, ServerId};
use zonepulse_store::{Listened, Server, Store};

/// How long after the end of its interval a report may still be in transit, milliseconds.
const DELIVERY_MS: u64 = 30_000;
/// The longest interval, seconds: what overlaps a time range begins at most this long before it.
pub(crate) const MAX_INTERVAL_S: u64 = 3600;

/// When the selected servers' probes listened.
pub(crate) struct Observed {
    asked: Option<IdSet<ServerId>>,
    /// By id.
    servers: Vec<(u32, Watched)>,
    /// The place of the last report's server: reports come server by server.
    last: usize,
    /// The number of the counter `blind_ms`.
    blind: Option<u16>,
    /// The time up to which reports should have arrived, Unix milliseconds.
    due_ms: u64,
    now_s: u64,
}

/// What is known about a server.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Watched {
    /// When it counts even without reports, Unix milliseconds.
    exists: Range<u64>,
    /// The time that its reports cover.
    covered: Spans,
    /// The part of it without a blind probe.
    clear: Spans,
    /// The end of its reports, Unix milliseconds, and the length of their last interval.
    reach_ms: u64,
    interval_ms: u64,
}

impl Observed {
    /// For the servers that a filter selects; reads no reports yet.
    pub(crate) fn new(store: &Store, known: &[Server], filter: &Filter, blind: Option<u16>, now: Now) -> Result<Self, Error> {
        let asked = servers(filter);
        let monitored = store.registry().global_settings()?.dns_monitoring;
        let selected = known.iter().filter(|server| asked.as_ref().is_none_or(|asked| asked.has(server.id)));
        let mut servers: Vec<(u32, Watched)> = selected.map(|server| (server.id.get(), Watched::of(server, monitored))).collect();
        servers.sort_unstable_by_key(|(id, _)| *id);
        Ok(Observed::of(asked, servers, blind, now.ms()))
    }

    fn of(asked: Option<IdSet<ServerId>>, servers: Vec<(u32, Watched)>, blind: Option<u16>, now_ms: u64) -> Self {
        Observed { asked, servers, last: 0, blind, due_ms: now_ms.saturating_sub(DELIVERY_MS), now_s: now_ms / 1000 }
    }

    /// Reads the reports of intervals that start in this range, and passes each on.
    pub(crate) fn read(
        &mut self,
        store: &Store,
        from_s: u64,
        until_s: u64,
        each: &mut dyn FnMut(&Listened),
    ) -> Result<(), Error> {
        if from_s >= until_s {
            return Ok(());
        }
        let (asked, blind, now_s) = (self.asked.take(), self.blind, self.now_s);
        let add = &mut |listened: &Listened| {
            self.add(listened);
            each(listened);
        };
        let read = store.listened(asked.as_ref(), from_s, until_s, now_s, blind, add);
        self.asked = asked;
        Ok(read?)
    }

    fn add(&mut self, listened: &Listened) {
        let id = listened.server_id.get();
        if self.servers.get(self.last).is_none_or(|(last, _)| *last != id) {
            self.last = match self.servers.binary_search_by_key(&id, |(known, _)| *known) {
                Ok(at) => at,
                // It was just registered.
                Err(at) => {
                    self.servers.insert(at, (id, Watched::default()));
                    at
                }
            };
        }
        if let Some((_, watched)) = self.servers.get_mut(self.last) {
            watched.add(listened);
        }
    }

    /// To be called after reading.
    pub(crate) fn settle(&mut self) {
        for (_, watched) in &mut self.servers {
            watched.covered.settle();
            watched.clear.settle();
        }
    }

    /// Its memory, bytes.
    pub(crate) fn size_bytes(&self) -> usize {
        let spans = |(_, watched): &(u32, Watched)| (watched.covered.len() + watched.clear.len()) * size_of::<(u64, u64)>();
        self.servers.iter().map(|server| size_of::<(u32, Watched)>() + spans(server)).sum()
    }

    /// How much of a time range a server covered, milliseconds.
    pub(crate) fn covered_ms(&self, server_id: u32, of: &Range<u64>) -> u64 {
        self.watched(server_id).map_or(0, |watched| watched.covered.length_within(of))
    }

    /// The steps that each server covered completely or in part.
    pub(crate) fn covered(
        &self,
        lattice: Lattice,
        whole: &mut dyn FnMut(u32, Range<usize>),
        part: &mut dyn FnMut(u32, usize, u64),
    ) {
        for (id, watched) in &self.servers {
            lattice.covered(&watched.covered, &mut |steps| whole(*id, steps), &mut |step, ms| part(*id, step, ms));
        }
    }

    fn watched(&self, server_id: u32) -> Option<&Watched> {
        let at = self.servers.binary_search_by_key(&server_id, |(known, _)| *known).ok()?;
        self.servers.get(at).map(|(_, watched)| watched)
    }
}

impl Watched {
    fn of(server: &Server, monitored: bool) -> Self {
        let expected = !server.sample && server.overrides.dns_monitoring.unwrap_or(monitored);
        let exists = if expected { server.created_ms..server.removed_ms.unwrap_or(u64::MAX) } else { 0..0 };
        Watched { exists, ..Watched::default() }
    }

    fn add(&mut self, listened: &Listened) {
        let Listened { start_s, end_s, interval_s, covered_from_ms: from_ms, covered_until_ms: until_ms, hits, counted, .. } =
            *listened;
        if until_ms >= self.reach_ms {
            (self.reach_ms, self.interval_ms) = (until_ms, u64::from(interval_s) * 1000);
        }
        let listened_ms = until_ms.saturating_sub(from_ms);
        if listened_ms == 0 && hits > 0 {
            self.covered.add(start_s.saturating_mul(1000), end_s.saturating_mul(1000));
        } else if hits > 0 || counted < listened_ms {
            self.covered.add(from_ms, until_ms);
        }
        if counted == 0 {
            self.clear.add(from_ms, until_ms);
        }
    }

    /// Whether it counts in a step.
    fn counts_in(&self, step: &Range<u64>) -> bool {
        overlap(&self.exists, step) || self.covered.overlap(step)
    }

    /// Whether it observed the step; if that is open, the part that it can have reported by now.
    fn observed(&self, step: &Range<u64>, due_ms: u64) -> bool {
        let until_ms = match step.end > due_ms && self.reach_ms < step.end {
            true => self.reach_ms.max(due_ms - due_ms % self.interval_ms.max(1)).min(step.end),
            false => step.end,
        };
        self.clear.unbroken_from(step.start).is_some_and(|end_ms| end_ms >= until_ms)
    }
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start.max(other.start) < one.end.min(other.end)
}
