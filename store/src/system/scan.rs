//! The walk through sealed and open metrics together, by hour, server and series.

use crate::database::key;
use crate::retention::Expiry;
use crate::system::GROUP;
use crate::system::bucket::Bucket;
use crate::system::sealing::{merge, read_raw, read_rolled_up, roll_up};
use crate::system::value::{self, Decoder, Part, Raw, RolledUp};
use crate::{Error, Inner, Level, Store};
use rocksdb::DBRawIterator;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use zonepulse_codec::Malformed;

/// Which metrics a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemSelection {
    /// Servers, rising; all without it.
    pub servers: Option<Vec<u32>>,
    /// The first start of a slot or bucket, Unix seconds.
    pub from_s: u64,
    /// The first start after it.
    pub until_s: u64,
    /// Series, rising; all without it.
    pub series: Option<Vec<u32>>,
}

impl SystemSelection {
    /// Everything.
    pub const fn all() -> Self {
        SystemSelection { servers: None, from_s: 0, until_s: u64::MAX, series: None }
    }

    fn has_server(&self, server_id: u32) -> bool {
        self.servers.as_ref().is_none_or(|servers| servers.binary_search(&server_id).is_ok())
    }

    fn has_series(&self, series_id: u32) -> bool {
        self.series.as_ref().is_none_or(|series| series.binary_search(&series_id).is_ok())
    }

    /// The first group from `group` on of which something is asked for.
    fn group_from(&self, group: u32) -> Option<u32> {
        let Some(series) = &self.series else { return Some(group) };
        let at = series.partition_point(|series| series / GROUP < group);
        series.get(at).map(|series| series / GROUP)
    }
}

/// Points of one series in one hour, rising by time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SystemPoints {
    /// The server.
    pub server_id: u32,
    /// The series.
    pub series_id: u32,
    /// Length of the slots or buckets, seconds.
    pub interval_s: u32,
    /// When they start, Unix seconds.
    pub starts_s: Vec<u64>,
    /// Of raw points, their values.
    pub values: Vec<f64>,
    /// Of roll-ups, their buckets.
    pub buckets: Vec<Bucket>,
}

impl Store {
    /// Metrics as they are selected, by hour, server and series. What has expired at `now_s`, Unix seconds,
    /// is not there.
    pub fn system(
        &self,
        level: Level,
        now_s: u64,
        selection: &SystemSelection,
        each: &mut dyn FnMut(&SystemPoints) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        walk(&self.inner, level, now_s, selection, true, each)
    }

    /// How many points [`Store::system`] would give.
    pub fn system_count(&self, level: Level, now_s: u64, selection: &SystemSelection) -> Result<u64, Error> {
        let mut count = 0;
        walk(&self.inner, level, now_s, selection, false, &mut |points| {
            count += points.starts_s.len() as u64;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }
}

type Pair = (u32, u32);
type Each<'e> = &'e mut dyn FnMut(&SystemPoints) -> ControlFlow<()>;

fn walk(inner: &Inner, level: Level, now_s: u64, selection: &SystemSelection, values: bool, each: Each<'_>) -> Result<(), Error> {
    if selection.from_s >= selection.until_s
        || [&selection.servers, &selection.series].iter().any(|ids| ids.as_ref().is_some_and(Vec::is_empty))
    {
        return Ok(());
    }
    let mut walk = Walk::new(inner, level, now_s, selection, values)?;
    while let Some((pair, open)) = walk.next_pair()? {
        let hour_s = u64::from(pair.0) * 3600;
        let from_s = selection.from_s.max(walk.expiry.kept_from_s(pair.1, level, now_s)).max(hour_s);
        let times = from_s..selection.until_s.min(hour_s.saturating_add(3600));
        if !times.is_empty() {
            let here = Here { pair, hour_s, times };
            let flow = if open { walk.together(&here, each)? } else { walk.sealed(&here, each)? };
            if flow.is_break() {
                return Ok(());
            }
        }
        walk.after(pair)?;
    }
    Ok(())
}

/// An hour and server, and which part of it.
struct Here {
    pair: Pair,
    hour_s: u64,
    times: Range<u64>,
}

impl Here {
    fn start_s(&self, slot: u16, interval_s: u32) -> Option<u64> {
        let start_s = self.hour_s + u64::from(slot) * u64::from(interval_s);
        self.times.contains(&start_s).then_some(start_s)
    }
}

struct Walk<'a> {
    level: Level,
    selection: &'a SystemSelection,
    /// Whether more than slots is asked for.
    values: bool,
    until_hour: u32,
    expiry: Arc<Expiry>,
    sealed: DBRawIterator<'a>,
    /// For roll-ups that must be made anew.
    raw: DBRawIterator<'a>,
    open: DBRawIterator<'a>,
    /// Hours and servers with open blocks, the next one last.
    waiting: Vec<Pair>,
    decoder: Decoder,
    points: SystemPoints,
}

impl<'a> Walk<'a> {
    fn new(inner: &'a Inner, level: Level, now_s: u64, selection: &'a SystemSelection, values: bool) -> Result<Self, Error> {
        let decoder = Decoder::new()?;
        // Nothing is sealed or dropped while this is held.
        let expiry = inner.expiry.read();
        let open = inner.database.iterator(key::SYSTEM_OPEN);
        let mut sealed = inner.database.iterator(key::SYSTEM);
        let raw = inner.database.iterator(key::SYSTEM);
        let from_hour = key::hour(selection.from_s.max(expiry.earliest_s(level, now_s)));
        let until_hour = key::hour(selection.until_s.saturating_sub(1)).saturating_add(1);
        let waiting = inner.system.waiting.lock().within(from_hour..until_hour).collect::<Vec<_>>();
        let expiry = expiry.clone();
        let waiting = waiting.into_iter().filter(|pair| selection.has_server(pair.1)).rev().collect();
        sealed.seek(key::sealed(level, from_hour, 0, 0));
        let points = SystemPoints::default();
        Ok(Walk { level, selection, values, until_hour, expiry, sealed, raw, open, waiting, decoder, points })
    }

    /// The next hour and server with points, and whether some of them are open.
    fn next_pair(&mut self) -> Result<Option<(Pair, bool)>, Error> {
        let sealed = loop {
            match self.sealed_place()? {
                Some((hour, server_id, _)) if !self.selection.has_server(server_id) => {
                    let next = self.selection.servers.as_ref().and_then(|servers| {
                        servers.get(servers.partition_point(|server| *server <= server_id)).map(|server| (hour, *server))
                    });
                    let (hour, server_id) = next.unwrap_or((hour.saturating_add(1), 0));
                    self.sealed.seek(key::sealed(self.level, hour, server_id, 0));
                }
                found => break found.map(|(hour, server_id, _)| (hour, server_id)),
            }
        };
        let open = self.waiting.last().copied();
        let next = match (sealed, open) {
            (Some(sealed), Some(open)) => sealed.min(open),
            (found, None) | (None, found) => match found {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        if open == Some(next) {
            self.waiting.pop();
        }
        Ok(Some((next, open == Some(next))))
    }

    /// What the sealed iterator is at: hour, server, group.
    fn sealed_place(&self) -> Result<Option<(u32, u32, u32)>, Error> {
        let Some(found) = self.sealed.key() else {
            self.sealed.status()?;
            return Ok(None);
        };
        let (level, hour, server_id, group) = key::parse_sealed(found).ok_or_else(|| Error::damaged("system value", found))?;
        Ok((level == self.level && hour < self.until_hour).then_some((hour, server_id, group)))
    }

    /// Goes past what is left of an hour and server.
    fn after(&mut self, pair: Pair) -> Result<(), Error> {
        if self.sealed_place()?.is_some_and(|(hour, server_id, _)| (hour, server_id) <= pair) {
            let (hour, server_id) = pair.1.checked_add(1).map_or((pair.0.saturating_add(1), 0), |next| (pair.0, next));
            self.sealed.seek(key::sealed(self.level, hour, server_id, 0));
        }
        Ok(())
    }

    /// An hour and server of which nothing is open: as it is read.
    fn sealed(&mut self, here: &Here, each: Each<'_>) -> Result<ControlFlow<()>, Error> {
        while let Some((hour, server_id, group)) = self.sealed_place()?.filter(|(hour, server, _)| (*hour, *server) == here.pair)
        {
            match self.selection.group_from(group) {
                Some(wanted) if wanted == group => {}
                Some(wanted) => {
                    self.sealed.seek(key::sealed(self.level, hour, server_id, wanted));
                    continue;
                }
                None => break,
            }
            let Some((found, value)) = self.sealed.item() else { break };
            let damaged = |Malformed(what)| Error::damaged(what, found);
            let mut list = value::list(value, group * GROUP).map_err(damaged)?;
            while let Some(part) = list.next().map_err(damaged)? {
                if !self.selection.has_series(part.place.0) {
                    continue;
                }
                let there = fill(&mut self.points, &mut self.decoder, self.level, self.values, here, &part).map_err(damaged)?;
                if there && each(&self.points).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            self.sealed.next();
        }
        Ok(ControlFlow::Continue(()))
    }

    /// An hour and server with open blocks: put together with what is sealed.
    fn together(&mut self, here: &Here, each: Each<'_>) -> Result<ControlFlow<()>, Error> {
        let mut raw = self.gather_open(here.pair)?;
        let sealed_raw = here.pair.0 >= self.expiry.horizon(here.pair.1).raw_hour;
        if sealed_raw {
            // What is told twice, sealed and open, must be seen here as it will be when all is sealed.
            self.gather_raw(here.pair, &mut raw)?;
        }
        if self.level == Level::Raw {
            for (place, values) in raw {
                self.points.begin(here, place);
                for (slot, value) in values {
                    if let Some(start_s) = here.start_s(slot, place.1) {
                        self.points.starts_s.push(start_s);
                        self.points.values.push(value);
                    }
                }
                if !self.points.starts_s.is_empty() && each(&self.points).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            return Ok(ControlFlow::Continue(()));
        }
        let mut all = roll_up(&raw, self.level);
        if !sealed_raw {
            let mut sealed = self.gather_rolled_up(here.pair)?;
            merge(&mut sealed, all);
            all = sealed;
        }
        for (place, buckets) in all {
            self.points.begin(here, place);
            for (slot, bucket) in buckets {
                if let Some(start_s) = here.start_s(slot, place.1) {
                    self.points.starts_s.push(start_s);
                    self.points.buckets.push(bucket);
                }
            }
            if !self.points.starts_s.is_empty() && each(&self.points).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn gather_open(&mut self, pair: Pair) -> Result<Raw, Error> {
        let mut raw = Raw::new();
        self.open.seek(key::open_prefix(pair.0, pair.1, 0));
        while let Some((found, value)) = self.open.item() {
            let damaged = |what| Error::damaged(what, found);
            let (hour, identity, _) = key::parse_open(found).ok_or_else(|| damaged("block"))?;
            if (hour, identity.server_id) != pair {
                break;
            }
            let wants = |series| self.selection.has_series(series);
            read_raw(&mut self.decoder, value, 0, &wants, &mut raw).map_err(|Malformed(what)| damaged(what))?;
            self.open.next();
        }
        self.open.status()?;
        Ok(raw)
    }

    fn gather_raw(&mut self, pair: Pair, raw: &mut Raw) -> Result<(), Error> {
        let (iterator, decoder, selection) = (&mut self.raw, &mut self.decoder, self.selection);
        let wants = |series| selection.has_series(series);
        of_pair(iterator, Level::Raw, pair, |first, value| read_raw(decoder, value, first, &wants, raw))
    }

    fn gather_rolled_up(&mut self, pair: Pair) -> Result<RolledUp, Error> {
        let mut all = RolledUp::new();
        let (iterator, decoder, selection) = (&mut self.raw, &mut self.decoder, self.selection);
        let wants = |series| selection.has_series(series);
        of_pair(iterator, self.level, pair, |first, value| read_rolled_up(decoder, value, first, &wants, &mut all))?;
        Ok(all)
    }
}

/// Visits the sealed values of an hour and server.
fn of_pair(
    iterator: &mut DBRawIterator<'_>,
    level: Level,
    (hour, server_id): Pair,
    mut each: impl FnMut(u32, &[u8]) -> Result<(), Malformed>,
) -> Result<(), Error> {
    iterator.seek(key::sealed(level, hour, server_id, 0));
    while let Some((found, value)) = iterator.item() {
        let (of_level, of_hour, of_server, group) =
            key::parse_sealed(found).ok_or_else(|| Error::damaged("system value", found))?;
        if (of_level, of_hour, of_server) != (level, hour, server_id) {
            break;
        }
        each(group * GROUP, value).map_err(|Malformed(what)| Error::damaged(what, found))?;
        iterator.next();
    }
    Ok(iterator.status()?)
}

/// Fills in what is selected of a part; whether there is any.
fn fill(
    points: &mut SystemPoints,
    decoder: &mut Decoder,
    level: Level,
    values: bool,
    here: &Here,
    part: &Part<'_>,
) -> Result<bool, Malformed> {
    points.begin(here, part.place);
    if !values {
        points.starts_s.extend(part.slots()?.into_iter().filter_map(|slot| here.start_s(slot, part.place.1)));
    } else if level == Level::Raw {
        for (slot, value) in decoder.raw(part)? {
            if let Some(start_s) = here.start_s(slot, part.place.1) {
                points.starts_s.push(start_s);
                points.values.push(value);
            }
        }
    } else {
        for (slot, bucket) in decoder.rolled_up(part)? {
            if let Some(start_s) = here.start_s(slot, part.place.1) {
                points.starts_s.push(start_s);
                points.buckets.push(bucket);
            }
        }
    }
    Ok(!points.starts_s.is_empty())
}

impl SystemPoints {
    fn begin(&mut self, here: &Here, (series_id, interval_s): (u32, u32)) {
        (self.server_id, self.series_id, self.interval_s) = (here.pair.1, series_id, interval_s);
        self.starts_s.clear();
        self.values.clear();
        self.buckets.clear();
    }
}
