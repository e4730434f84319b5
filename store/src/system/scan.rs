//! The walk through sealed and open metrics together, by hour, server and series.

use crate::database::key;
use crate::engine::METRICS;
use crate::engine::course::{Course, Here, Route};
use crate::system::bucket::Bucket;
use crate::system::points::{merge, read_raw, read_rolled_up, roll_up};
use crate::system::value::GROUP;
use crate::system::value::{self, Decoder, Part, Place, Raw, RolledUp};
use crate::waiting::Pair;
use crate::{Error, Inner, Level, Store};
use rocksdb::DBRawIterator;
use std::ops::ControlFlow;
use zonepulse_codec::Malformed;
use zonepulse_model::{IdSet, SeriesId, ServerId};

/// Selects metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemSelection {
    /// The servers, or `None` for all.
    pub servers: Option<IdSet<ServerId>>,
    /// Earliest start of a slot or bucket, in Unix seconds.
    pub from_s: u64,
    /// End of the range of starts, exclusive.
    pub until_s: u64,
    /// The series, or `None` for all.
    pub series: Option<IdSet<SeriesId>>,
}

impl SystemSelection {
    /// Selects everything.
    pub const fn all() -> Self {
        SystemSelection { servers: None, from_s: 0, until_s: u64::MAX, series: None }
    }

    fn has_series(&self, series_id: SeriesId) -> bool {
        self.series.as_ref().is_none_or(|series| series.has(series_id))
    }

    /// Returns the first group at or after `group` that contains a requested series.
    fn group_from(&self, group: u32) -> Option<u32> {
        let Some(series) = &self.series else { return Some(group) };
        let at = series.partition_point(|series_id| series_id.get() / GROUP < group);
        series.get(at).map(|series_id| series_id.get() / GROUP)
    }
}

/// Points of one series in one hour, in chronological order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SystemPoints {
    /// The server.
    pub server_id: ServerId,
    /// The series.
    pub series_id: SeriesId,
    /// Length of the slots or buckets, in seconds.
    pub interval_s: u32,
    /// Start of each slot or bucket, in Unix seconds.
    pub starts_s: Vec<u64>,
    /// The values of raw points.
    pub values: Vec<f64>,
    /// The buckets of roll-ups.
    pub buckets: Vec<Bucket>,
}

impl Store {
    /// Reads the selected metrics, by hour, server and series. Data that has expired at `now_s`, in Unix seconds, is
    /// skipped.
    pub fn system(
        &self,
        level: Level,
        now_s: u64,
        selection: &SystemSelection,
        each: &mut dyn FnMut(&SystemPoints) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        walk(&self.inner, level, now_s, selection, true, each)
    }

    /// Returns the number of points that [`Store::system`] would yield.
    pub fn system_count(&self, level: Level, now_s: u64, selection: &SystemSelection) -> Result<u64, Error> {
        let mut count = 0;
        walk(&self.inner, level, now_s, selection, false, &mut |points| {
            count += points.starts_s.len() as u64;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }
}

type Each<'e> = &'e mut dyn FnMut(&SystemPoints) -> ControlFlow<()>;

fn walk(inner: &Inner, level: Level, now_s: u64, selection: &SystemSelection, values: bool, each: Each<'_>) -> Result<(), Error> {
    let is_empty = selection.from_s >= selection.until_s
        || selection.servers.as_ref().is_some_and(|servers| servers.is_empty())
        || selection.series.as_ref().is_some_and(|series| series.is_empty());
    if is_empty {
        return Ok(());
    }
    let route = Route {
        level,
        now_s,
        from_s: selection.from_s,
        until_s: selection.until_s,
        servers: selection.servers.as_ref(),
        first_group: selection.group_from(0).unwrap_or(0),
        leaps: false,
    };
    let decoder = Decoder::new()?;
    let (mut course, raw) = {
        // Both iterators see the same moment.
        let expiry = inner.expiry.read();
        (Course::new(inner, &expiry, &METRICS, &route), inner.database.iterator(key::SYSTEM))
    };
    let mut walk = Walk { level, selection, values, raw, decoder, points: SystemPoints::default() };
    while let Some(here) = course.next()? {
        let flow = if here.open { walk.together(&mut course, &here, each)? } else { walk.sealed(&mut course, &here, each)? };
        if flow.is_break() {
            return Ok(());
        }
    }
    Ok(())
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
    /// Whether values are requested, or only slots.
    values: bool,
    /// For roll-ups that must be recomputed.
    raw: DBRawIterator<'a>,
    decoder: Decoder,
    points: SystemPoints,
}

impl Walk<'_> {
    /// Reads an hour and server without open blocks, passing values on as they are read.
    fn sealed(&mut self, course: &mut Course<'_>, here: &Here, each: Each<'_>) -> Result<ControlFlow<()>, Error> {
        let selection = self.selection;
        let wanted = |group| selection.group_from(group);
        while let Some(group) = course.group(here.pair, wanted)? {
            let Some((found, value)) = course.value() else { break };
            let damaged = |Malformed(what)| Error::damaged(what, found);
            let mut list = value::list(value, group * GROUP).map_err(damaged)?;
            while let Some(part) = list.next().map_err(damaged)? {
                if !selection.has_series(part.place.0) {
                    continue;
                }
                let there = fill(&mut self.points, &mut self.decoder, self.level, self.values, here, &part).map_err(damaged)?;
                if there && each(&self.points).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            if !course.leave(here.pair, group, wanted) {
                break;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads an hour and server with open blocks, merged with the sealed values.
    fn together(&mut self, course: &mut Course<'_>, here: &Here, each: Each<'_>) -> Result<ControlFlow<()>, Error> {
        let mut raw = self.gather_open(course, here.pair)?;
        let sealed_raw = here.pair.0 >= course.expiry().horizon(here.pair.1).raw_hour;
        if sealed_raw {
            // Slots reported twice, sealed and open, must look the same here as after sealing.
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

    fn gather_open(&mut self, course: &mut Course<'_>, pair: Pair) -> Result<Raw, Error> {
        let (mut raw, selection) = (Raw::new(), self.selection);
        let wants = |series| selection.has_series(series);
        course.seek_open(pair, 0);
        while course.open_start_s(pair)?.is_some() {
            let Some((found, value)) = course.open_block() else { break };
            let read = read_raw(&mut self.decoder, value, 0, &wants, &mut raw);
            read.map_err(|Malformed(what)| Error::damaged(what, found))?;
            course.next_open();
        }
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

/// Copies the selected points of a part. Returns whether there are any.
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
    fn begin(&mut self, here: &Here, (series_id, interval_s): Place) {
        (self.server_id, self.series_id, self.interval_s) = (here.pair.1, series_id, interval_s);
        self.starts_s.clear();
        self.values.clear();
        self.buckets.clear();
    }
}
