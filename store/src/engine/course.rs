//! The course of a walk: the hours and servers that have sealed or open points, in order.
//!
//! An answer is always sealed ∪ open, as of one moment: both iterators are made while the caller holds the lock that
//! sealing and expiry need for their writes. So a point that moves later is seen in exactly one of them.

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
    /// The time, Unix seconds: what has expired by then is not there.
    pub now_s: u64,
    /// The first start that is asked for, and the first one after it, Unix seconds.
    pub from_s: u64,
    pub until_s: u64,
    /// Of these servers, or of all.
    pub servers: Option<&'a IdSet<ServerId>>,
    /// The first group that is asked for.
    pub first_group: u32,
    /// Whether only some groups are asked for; what lies between them is then not read ahead.
    pub leaps: bool,
}

/// An hour and server, and which part of it is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Here {
    pub pair: Pair,
    pub hour_s: u64,
    pub times: Range<u64>,
    /// Whether there are sealed values, and open blocks.
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
    /// `None` if nothing that is asked for can be open.
    open: Option<DBRawIterator<'a>>,
    /// Hours and servers with open blocks, the next one last.
    waiting: Vec<Pair>,
    last: Option<Pair>,
}

impl<'a> Course<'a> {
    /// Starts before the first hour and server. `expiry` must be locked, so that nothing is sealed or dropped meanwhile.
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

    /// The next hour and server of which something is asked for and has not expired.
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

    /// The next hour and server with points, and whether sealed and open ones are there.
    pub(crate) fn next_pair(&mut self) -> Result<Option<(Pair, bool, bool)>, Error> {
        // What the last pair left unread.
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

    /// The group of the next sealed value of an hour and server that is asked for: `wanted` gives the first such group
    /// from one on.
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

    /// The sealed value that the course is at, with its key.
    pub(crate) fn value(&self) -> Option<(&[u8], &[u8])> {
        self.sealed.item()
    }

    /// Moves past the value of a group; returns whether more of this hour and server is asked for.
    ///
    /// Values are large and the next one is often in another block, so it is read only if it is asked for.
    pub(crate) fn leave(&mut self, pair: Pair, group: u32, wanted: impl Fn(u32) -> Option<u32>) -> bool {
        let Some(next) = group.checked_add(1).and_then(wanted) else { return false };
        if next == group + 1 {
            self.sealed.next();
        } else {
            self.seek(pair.0, pair.1, next);
        }
        true
    }

    /// Goes to the open blocks of an hour and server that begin at this time or later, Unix seconds.
    pub(crate) fn seek_open(&mut self, pair: Pair, from_s: u64) {
        if let Some(open) = &mut self.open {
            open.seek(key::open_prefix(pair.0, pair.1, from_s));
        }
    }

    /// When the open block that the course is at begins, Unix seconds, while it is of this hour and server.
    pub(crate) fn open_start_s(&self, pair: Pair) -> Result<Option<u64>, Error> {
        let Some(open) = &self.open else { return Ok(None) };
        let Some(found) = open.key() else {
            open.status()?;
            return Ok(None);
        };
        let (hour, identity, start_s) = key::parse_open(found).ok_or_else(|| Error::damaged("block", found))?;
        Ok(((hour, identity.server_id) == pair).then_some(start_s))
    }

    /// That block, with its key.
    pub(crate) fn open_block(&self) -> Option<(&[u8], &[u8])> {
        self.open.as_ref()?.item()
    }

    pub(crate) fn next_open(&mut self) {
        if let Some(open) = &mut self.open {
            open.next();
        }
    }

    /// The hour and server that the sealed iterator is at.
    fn sealed_pair(&self) -> Result<Option<Pair>, Error> {
        Ok(self.place()?.map(|(hour, server_id, _)| (hour, server_id)))
    }

    /// The same, with the group.
    fn place(&self) -> Result<Option<(u32, ServerId, u32)>, Error> {
        let Some(found) = self.sealed.key() else {
            self.sealed.status()?;
            return Ok(None);
        };
        let (level, hour, server_id, group) = key::parse_sealed(found).ok_or_else(|| Error::damaged(self.engine.value, found))?;
        Ok((level == self.level && hour < self.until_hour).then_some((hour, server_id, group)))
    }

    /// Goes on at the next server that is asked for.
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
