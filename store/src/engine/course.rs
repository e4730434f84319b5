//! The course of a walk: the hours and servers that have sealed or open points, in order.
//!
//! A result is always sealed ∪ open at a single moment: both iterators are created while the caller holds the lock that
//! sealing and expiry need for their writes. A point that moves later is therefore seen in exactly one of them.

use super::Engine;
use crate::database::key;
use crate::retention::Expiry;
use crate::waiting::Pair;
use crate::{Error, Inner, Level};
use rocksdb::DBRawIterator;
use std::ops::Range;
use std::sync::Arc;
use zonepulse_model::{IdSet, ServerId};

/// Which hours and servers to visit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route<'a> {
    pub level: Level,
    /// The current time, in Unix seconds. Data that has expired by then is skipped.
    pub now_s: u64,
    /// The range of start times, in Unix seconds; the end is exclusive.
    pub from_s: u64,
    pub until_s: u64,
    /// The servers to visit, or `None` for all.
    pub servers: Option<&'a IdSet<ServerId>>,
    /// The first requested group.
    pub first_group: u32,
    /// Whether only some groups are requested, in which case data between them is not read ahead.
    pub leaps: bool,
}

/// An hour and server, and the requested part of it.
#[derive(Debug, Clone)]
pub(crate) struct Here {
    pub pair: Pair,
    pub hour_s: u64,
    pub times: Range<u64>,
    /// Whether there are sealed values and open blocks.
    pub sealed: bool,
    pub open: bool,
}

/// A walk in progress.
pub(crate) struct Course<'a> {
    engine: &'static Engine,
    level: Level,
    now_s: u64,
    times: Range<u64>,
    until_hour: u32,
    servers: Option<IdSet<ServerId>>,
    first_group: u32,
    expiry: Arc<Expiry>,
    sealed: DBRawIterator<'a>,
    /// `None` if no requested data can be open.
    open: Option<DBRawIterator<'a>>,
    /// Hours and servers with open blocks, in reverse order.
    waiting: Vec<Pair>,
    last: Option<Pair>,
}

impl<'a> Course<'a> {
    /// Starts before the first hour and server. `expiry` must be locked, so that nothing is sealed or dropped
    /// meanwhile.
    pub(crate) fn new(inner: &'a Inner, expiry: &Arc<Expiry>, engine: &'static Engine, route: &Route<'_>) -> Self {
        let Route { level, now_s, from_s, until_s, servers, first_group, leaps } = *route;
        let sealed = if leaps { inner.database.leaping_iterator(engine.sealed) } else { inner.database.iterator(engine.sealed) };
        let first_hour = key::hour(from_s.max(expiry.earliest_s(level, now_s)));
        let until_hour = key::hour(until_s.saturating_sub(1)).saturating_add(1);
        let mut waiting: Vec<Pair> = engine.waiting(inner).lock().within(first_hour..until_hour).collect();
        waiting.retain(|(_, server_id)| servers.is_none_or(|servers| servers.has(*server_id)));
        waiting.reverse();
        let open = (!waiting.is_empty()).then(|| inner.database.iterator(engine.open));
        let (servers, expiry, times) = (servers.cloned(), expiry.clone(), from_s..until_s);
        let mut course =
            Course { engine, level, now_s, times, until_hour, servers, first_group, expiry, sealed, open, waiting, last: None };
        course.seek(first_hour, course.first_server(), first_group);
        course
    }

    pub(crate) fn expiry(&self) -> &Expiry {
        &self.expiry
    }

    /// Returns the next hour and server with requested data that has not expired.
    pub(crate) fn next(&mut self) -> Result<Option<Here>, Error> {
        while let Some((pair, sealed, open)) = self.next_pair()? {
            let (hour, server_id) = pair;
            let hour_s = u64::from(hour) * 3600;
            let kept_from_s = self.expiry.kept_from_s(server_id, self.level, self.now_s);
            let from_s = self.times.start.max(kept_from_s).max(hour_s);
            let until_s = self.times.end.min(hour_s.saturating_add(3600));
            if from_s < until_s {
                return Ok(Some(Here { pair, hour_s, times: from_s..until_s, sealed, open }));
            }
        }
        Ok(None)
    }

    /// Returns the next hour and server with points, and whether it has sealed and open ones.
    pub(crate) fn next_pair(&mut self) -> Result<Option<(Pair, bool, bool)>, Error> {
        // Skip whatever the caller left unread.
        if let Some(last) = self.last
            && self.sealed_pair()?.is_some_and(|pair| pair <= last)
        {
            self.seek_after(last);
        }
        let sealed = loop {
            match self.sealed_pair()? {
                Some(pair) if !self.servers.as_ref().is_none_or(|servers| servers.has(pair.1)) => self.seek_after(pair),
                found => break found,
            }
        };
        let open = self.waiting.last().copied();
        let Some(next) = [sealed, open].into_iter().flatten().min() else { return Ok(None) };
        if open == Some(next) {
            self.waiting.pop();
        }
        self.last = Some(next);
        Ok(Some((next, sealed == Some(next), open == Some(next))))
    }

    /// Returns the group of the next requested sealed value of an hour and server. `wanted` returns the first requested
    /// group at or after a given one.
    pub(crate) fn group(&mut self, pair: Pair, wanted: impl Fn(u32) -> Option<u32>) -> Result<Option<u32>, Error> {
        while let Some((_, _, group)) = self.place()?.filter(|(hour, server_id, _)| (*hour, *server_id) == pair) {
            match wanted(group) {
                Some(next) if next == group => return Ok(Some(group)),
                Some(next) => self.seek(pair.0, pair.1, next),
                None => break,
            }
        }
        Ok(None)
    }

    /// Returns the key and value of the current sealed value.
    pub(crate) fn value(&self) -> Option<(&[u8], &[u8])> {
        self.sealed.item()
    }

    /// Moves past the value of a group. Returns whether more of this hour and server is requested.
    ///
    /// Values are large and the next one is often in another block, so it is read only if it is requested.
    pub(crate) fn leave(&mut self, pair: Pair, group: u32, wanted: impl Fn(u32) -> Option<u32>) -> bool {
        let Some(next) = group.checked_add(1).and_then(wanted) else { return false };
        if next == group + 1 {
            self.sealed.next();
        } else {
            self.seek(pair.0, pair.1, next);
        }
        true
    }

    /// Moves to the open blocks of an hour and server that start at or after this time, in Unix seconds.
    pub(crate) fn seek_open(&mut self, pair: Pair, from_s: u64) {
        if let Some(open) = &mut self.open {
            open.seek(key::open_prefix(pair.0, pair.1, from_s));
        }
    }

    /// Returns the start of the current open block, in Unix seconds, if it belongs to this hour and server.
    pub(crate) fn open_start_s(&self, pair: Pair) -> Result<Option<u64>, Error> {
        let Some(open) = &self.open else { return Ok(None) };
        let Some(found) = open.key() else {
            open.status()?;
            return Ok(None);
        };
        let (hour, identity, start_s) = key::parse_open(found).ok_or_else(|| Error::damaged("block", found))?;
        Ok(((hour, identity.server_id) == pair).then_some(start_s))
    }

    /// Returns the key and value of the current open block.
    pub(crate) fn open_block(&self) -> Option<(&[u8], &[u8])> {
        self.open.as_ref()?.item()
    }

    pub(crate) fn next_open(&mut self) {
        if let Some(open) = &mut self.open {
            open.next();
        }
    }

    /// Returns the hour and server of the current sealed value.
    fn sealed_pair(&self) -> Result<Option<Pair>, Error> {
        Ok(self.place()?.map(|(hour, server_id, _)| (hour, server_id)))
    }

    /// Returns the hour, server and group of the current sealed value.
    fn place(&self) -> Result<Option<(u32, ServerId, u32)>, Error> {
        let Some(found) = self.sealed.key() else {
            self.sealed.status()?;
            return Ok(None);
        };
        let (level, hour, server_id, group) = key::parse_sealed(found).ok_or_else(|| Error::damaged(self.engine.value, found))?;
        Ok((level == self.level && hour < self.until_hour).then_some((hour, server_id, group)))
    }

    /// Moves to the next requested server.
    fn seek_after(&mut self, (hour, server_id): Pair) {
        let following = match &self.servers {
            None => server_id.next(),
            Some(servers) => server_id.next().and_then(|next| servers.starting_at(next).first().copied()),
        };
        match following {
            Some(following) => self.seek(hour, following, self.first_group),
            None => self.seek(hour.saturating_add(1), self.first_server(), self.first_group),
        }
    }

    fn first_server(&self) -> ServerId {
        self.servers.iter().flatten().next().copied().unwrap_or_default()
    }

    fn seek(&mut self, hour: u32, server_id: ServerId, group: u32) {
        self.sealed.seek(key::sealed(self.level, hour, server_id, group));
    }
}
