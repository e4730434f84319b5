//! An in-memory index of the hours and servers that have open blocks.
//!
//! Queries use it to skip hours without open blocks; sealing uses it to find hours that have passed and gone quiet.
//! It may list an hour whose blocks do not exist (a failed write) but must never omit one: a write adds its hours
//! before it writes, and sealing removes them afterwards.

use crate::Error;
use crate::database::{Database, key};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Range};
use zonepulse_model::ServerId;

/// Delay after the end of an hour before it is considered for sealing, seconds: blocks this late are normal.
const GRACE_S: u64 = 120;
/// An hour that keeps receiving blocks is sealed after this long regardless, seconds.
const PATIENCE_S: u64 = 900;

/// An hour (Unix time / 3600) and a server.
pub(crate) type Pair = (u32, ServerId);

/// Hours with open blocks, by hour and server.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pairs: BTreeMap<Pair, Arrivals>,
    /// The same pairs by server: each server's first hour is looked up repeatedly.
    by_server: BTreeSet<(ServerId, u32)>,
    /// How long an hour must receive nothing before it is sealed, seconds.
    quiet_s: u64,
}

/// Arrivals for an hour and server.
#[derive(Debug, Default, Clone, Copy)]
struct Arrivals {
    /// Number of blocks since the store was opened.
    count: u64,
    /// The count when last checked, and when it last changed.
    seen: Option<(u64, u64)>,
    /// When it was first checked.
    first_s: u64,
}

impl Waiting {
    /// Builds the index from the keys of the open blocks, one for each hour and server.
    pub(crate) fn load(database: &Database, family: &str, quiet_s: u32) -> Result<Self, Error> {
        let mut pairs = BTreeMap::new();
        let mut iterator = database.iterator(family);
        iterator.seek_to_first();
        while let Some(found) = iterator.key() {
            let (hour, identity, _) = key::parse_open(found).ok_or_else(|| Error::damaged("block", found))?;
            pairs.insert((hour, identity.server_id), Arrivals::default());
            iterator.seek(key::after_open(hour, identity.server_id));
        }
        iterator.status()?;
        let by_server = pairs.keys().map(|(hour, server_id)| (*server_id, *hour)).collect();
        Ok(Waiting { pairs, by_server, quiet_s: u64::from(quiet_s) })
    }

    /// Notes that a block is about to be written.
    pub(crate) fn arrives(&mut self, pair: Pair) {
        let arrivals = self.pairs.entry(pair).or_default();
        if arrivals.count == 0 {
            self.by_server.insert((pair.1, pair.0));
        }
        arrivals.count += 1;
    }

    /// Number of blocks that arrived for an hour and server.
    pub(crate) fn count(&self, pair: Pair) -> u64 {
        self.pairs.get(&pair).map_or(0, |arrivals| arrivals.count)
    }

    /// Number of hours, each counted per server.
    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Notes that all blocks that existed when the count was `count` have been removed.
    pub(crate) fn taken(&mut self, pair: Pair, count: u64) {
        if self.count(pair) == count {
            self.pairs.remove(&pair);
            self.by_server.remove(&(pair.1, pair.0));
        }
    }

    /// Drops everything about this server.
    pub(crate) fn forget(&mut self, server_id: ServerId) {
        self.pairs.retain(|(_, of), _| *of != server_id);
        self.by_server.retain(|(of, _)| *of != server_id);
    }

    /// Hours and servers in a range of hours, in order.
    pub(crate) fn within(&self, hours: Range<u32>) -> impl Iterator<Item = Pair> {
        // A map's `range` panics if the start is past the end.
        let range = if hours.is_empty() { 0..0 } else { hours };
        self.pairs.range((range.start, ServerId::MIN)..(range.end, ServerId::MIN)).map(|(pair, _)| *pair)
    }

    /// The first hour with open blocks of each server.
    pub(crate) fn first_hours(&self) -> BTreeMap<ServerId, u32> {
        let after = |server_id: ServerId| self.by_server.range((Bound::Excluded((server_id, u32::MAX)), Bound::Unbounded)).next();
        std::iter::successors(self.by_server.first(), |(server_id, _)| after(*server_id)).copied().collect()
    }

    /// The first pair whose hour is before the one given for its server.
    pub(crate) fn before(&self, hour_of: impl Fn(ServerId) -> u32) -> Option<Pair> {
        self.pairs.keys().copied().find(|(hour, server_id)| *hour < hour_of(*server_id))
    }

    /// The first hour and server that may be sealed now.
    pub(crate) fn due(&mut self, now_s: u64, skip: &dyn Fn(Pair) -> bool) -> Option<Pair> {
        let passed = key::hour(now_s.saturating_sub(GRACE_S));
        for (pair, arrivals) in self.pairs.range_mut(..(passed, ServerId::MIN)) {
            match &mut arrivals.seen {
                // If the clock was set back, start over.
                Some((count, since_s)) if *count == arrivals.count && *since_s <= now_s => {
                    let quiet = now_s - *since_s >= self.quiet_s;
                    let patient = now_s.saturating_sub(arrivals.first_s) < PATIENCE_S;
                    if (quiet || !patient) && !skip(*pair) {
                        return Some(*pair);
                    }
                }
                seen => {
                    if seen.is_none() || arrivals.first_s > now_s {
                        arrivals.first_s = now_s;
                    }
                    *seen = Some((arrivals.count, now_s));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 100 * 3600;
    const QUIET_S: u64 = 60;
    const SERVER: ServerId = ServerId::new(1);

    fn waiting() -> Waiting {
        Waiting { quiet_s: QUIET_S, ..Waiting::default() }
    }

    fn due(waiting: &mut Waiting, now_s: u64) -> Option<Pair> {
        waiting.due(now_s, &|_| false)
    }

    #[test]
    fn an_hour_is_due_when_it_has_passed_and_was_quiet() {
        let mut waiting = waiting();
        waiting.arrives((100, SERVER));
        waiting.arrives((98, SERVER));
        assert_eq!(due(&mut waiting, NOW_S), None);
        assert_eq!(due(&mut waiting, NOW_S + QUIET_S - 1), None);
        waiting.arrives((98, SERVER));
        assert_eq!(due(&mut waiting, NOW_S + QUIET_S), None);
        assert_eq!(due(&mut waiting, NOW_S + 2 * QUIET_S), Some((98, SERVER)));
        waiting.taken((98, SERVER), 2);
        assert_eq!(due(&mut waiting, NOW_S + 3599), None);
        assert_eq!(due(&mut waiting, NOW_S + 3600 + GRACE_S), None);
        assert_eq!(due(&mut waiting, NOW_S + 3600 + GRACE_S + QUIET_S), Some((100, SERVER)));
    }

    #[test]
    fn an_hour_that_never_gets_quiet_is_due_after_a_while() {
        let mut waiting = waiting();
        let mut found = None;
        for at in 0..=PATIENCE_S / 10 {
            waiting.arrives((98, SERVER));
            due(&mut waiting, NOW_S + at * 10);
            found = due(&mut waiting, NOW_S + at * 10);
        }
        assert_eq!(found, Some((98, SERVER)));
    }

    #[test]
    fn what_came_meanwhile_keeps_its_hour() {
        let mut waiting = waiting();
        waiting.arrives((98, SERVER));
        let count = waiting.count((98, SERVER));
        waiting.arrives((98, SERVER));
        waiting.taken((98, SERVER), count);
        assert_eq!(waiting.within(90..99).collect::<Vec<_>>(), [(98, SERVER)]);
        let (from, until) = (99, 90);
        assert_eq!(waiting.within(from..until).count(), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_an_hour_open() {
        let mut waiting = waiting();
        waiting.arrives((10, SERVER));
        assert_eq!(due(&mut waiting, NOW_S), None);
        assert_eq!(due(&mut waiting, NOW_S / 2), None);
        assert_eq!(due(&mut waiting, NOW_S / 2 + QUIET_S), Some((10, SERVER)));
    }
}
