//! What the remaining points tell about totals.

use crate::database::key;
use crate::dns::block::{Row, Sections};
use crate::dns::cell::Cell;
use crate::dns::parts::{Parts, read_parts};
use crate::dns::value::{self, Decoder};
use crate::engine::{DNS, sealed};
use crate::retention::Horizon;
use crate::{Error, Inner, Level, Precision};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};
use zonepulse_codec::Malformed;
use zonepulse_model::{RecordId, ServerId};

const HOUR_MS: u64 = 3_600_000;

/// Number of a kind, and record.
pub(super) type Of = (u16, RecordId);

/// What the points tell about one total.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub hits: u64,
    /// The interval of the earliest point, Unix milliseconds: the first access is within it.
    pub first_ms: Range<u64>,
    /// The latest access, with the precision of points.
    pub last_ms: RangeInclusive<u64>,
}

impl Kept {
    fn add(&mut self, more: Kept) {
        self.hits = self.hits.saturating_add(more.hits);
        if more.first_ms.start < self.first_ms.start {
            self.first_ms = more.first_ms;
        }
        let least = *self.last_ms.start().max(more.last_ms.start());
        self.last_ms = least..=*self.last_ms.end().max(more.last_ms.end());
    }
}

/// What was found for a server.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub kept: BTreeMap<Of, Kept>,
    /// Hits of points in hours to be dropped.
    pub dropped: BTreeMap<Of, u64>,
    /// Hours to be dropped that have open DNS blocks.
    pub open_hours: BTreeSet<u32>,
    /// Hours to be dropped that have sealed DNS points, by level.
    pub sealed_hours: BTreeSet<(Level, u32)>,
}

/// Reads all remaining points of a server, for some records or for all.
pub(super) struct Walk<'a> {
    pub inner: &'a Inner,
    pub server_id: ServerId,
    pub horizon: Horizon,
    pub records: Option<&'a BTreeSet<RecordId>>,
    /// Whether an hour is to be dropped.
    pub goes: &'a dyn Fn(u32) -> bool,
    pub found: Found,
}

impl Walk<'_> {
    pub(super) fn read(mut self) -> Result<Found, Error> {
        self.blocks()?;
        let mut decoder = Decoder::new().map_err(Error::Compression)?;
        self.roll_ups(&mut decoder)?;
        self.raw(&mut decoder)?;
        for level in [Level::M5, Level::M15, Level::M30] {
            self.hours(level, |walk, hour| {
                walk.note(level, hour);
                Ok(())
            })?;
        }
        Ok(self.found)
    }

    fn is_asked_for(&self, record_id: RecordId) -> bool {
        self.records.is_none_or(|records| records.contains(&record_id))
    }

    fn is_group_asked_for(&self, group: u32) -> bool {
        self.records.is_none_or(|records| records.range(key::records(group)).next().is_some())
    }

    fn add(&mut self, hour: u32, of: Of, point: Kept) {
        if !self.is_asked_for(of.1) {
            return;
        }
        if (self.goes)(hour) {
            let hits = self.found.dropped.entry(of).or_default();
            *hits = hits.saturating_add(point.hits);
            return;
        }
        match self.found.kept.get_mut(&of) {
            Some(kept) => kept.add(point),
            None => {
                self.found.kept.insert(of, point);
            }
        }
    }

    fn blocks(&mut self) -> Result<(), Error> {
        let inner = self.inner;
        let all = inner.waiting.lock().within(0..u32::MAX).filter(|(_, of)| *of == self.server_id).collect::<Vec<_>>();
        for (hour, server_id) in all {
            if (self.goes)(hour) {
                self.found.open_hours.insert(hour);
            }
            inner.database.visit(key::OPEN, &key::open_prefix(hour, server_id, 0), |found, value| {
                let (of_hour, identity, start_s) = key::parse_open(found).ok_or_else(|| Error::damaged("block", found))?;
                let ours = (of_hour, identity.server_id) == (hour, server_id);
                if ours {
                    self.block(hour, start_s, value).map_err(|Malformed(what)| Error::damaged(what, found))?;
                }
                Ok(ours)
            })?;
        }
        Ok(())
    }

    fn block(&mut self, hour: u32, start_s: u64, value: &[u8]) -> Result<(), Malformed> {
        let mut sections = Sections::new(value, start_s)?;
        let interval_ms = u64::from(sections.interval_s) * 1000;
        let mut rows = Vec::new();
        while let Some(section) = sections.next()? {
            rows.clear();
            section.rows(&mut rows)?;
            for Row { record_id, hits, last_ms } in rows.iter().copied() {
                let first_ms = start_s * 1000..start_s * 1000 + interval_ms;
                self.add(hour, (section.kind.number(), record_id), Kept { hits, first_ms, last_ms: last_ms..=last_ms });
            }
        }
        Ok(())
    }

    /// Reads hits and last accesses from the coarsest roll-ups, first accesses from the finest points available.
    fn roll_ups(&mut self, decoder: &mut Decoder) -> Result<(), Error> {
        self.hours(Level::H1, |walk, hour| {
            walk.note(Level::H1, hour);
            walk.values(Level::H1, hour, |walk, group, value| {
                let (precision, parts) = read(decoder, value)?;
                let mut firsts = None;
                for ((interval_s, kind), cell) in cells(&parts) {
                    let of = (kind, key::record_in(group, cell.low));
                    let mut point = point(hour, interval_s, cell, precision);
                    let earliest = walk.found.kept.get(&of).is_none_or(|kept| point.first_ms.start < kept.first_ms.start);
                    if earliest && walk.is_asked_for(of.1) && !(walk.goes)(hour) {
                        let firsts = match &mut firsts {
                            Some(firsts) => firsts,
                            None => firsts.insert(walk.firsts(decoder, hour, group)?),
                        };
                        point.first_ms = firsts.get(&(kind, cell.low)).cloned().unwrap_or(point.first_ms);
                    }
                    walk.add(hour, of, point);
                }
                Ok(())
            })
        })
    }

    /// The first slot of each kind and record of a group, by its low byte, as precisely as it is kept.
    fn firsts(&self, decoder: &mut Decoder, hour: u32, group: u32) -> Result<BTreeMap<(u16, u8), Range<u64>>, Malformed> {
        let finest = self.horizon.finest(hour);
        let value = self.inner.database.get(key::SEALED, &key::sealed(finest, hour, self.server_id, group));
        let Ok(Some(value)) = value else { return Ok(BTreeMap::new()) };
        let (precision, parts) = read(decoder, &value)?;
        let mut firsts: BTreeMap<(u16, u8), Range<u64>> = BTreeMap::new();
        for ((interval_s, kind), cell) in cells(&parts) {
            let first_ms = point(hour, interval_s, cell, precision).first_ms;
            let known = firsts.entry((kind, cell.low)).or_insert_with(|| first_ms.clone());
            if first_ms.start < known.start {
                *known = first_ms;
            }
        }
        Ok(firsts)
    }

    /// Reads raw points of hours whose roll-ups are gone.
    fn raw(&mut self, decoder: &mut Decoder) -> Result<(), Error> {
        let rolled_up_from = self.horizon.aggregate_hour;
        self.hours(Level::Raw, |walk, hour| {
            walk.note(Level::Raw, hour);
            if hour >= rolled_up_from {
                return Ok(());
            }
            walk.values(Level::Raw, hour, |walk, group, value| {
                let (precision, parts) = read(decoder, value)?;
                for ((interval_s, kind), cell) in cells(&parts) {
                    walk.add(hour, (kind, key::record_in(group, cell.low)), point(hour, interval_s, cell, precision));
                }
                Ok(())
            })
        })
    }

    fn note(&mut self, level: Level, hour: u32) {
        if (self.goes)(hour) {
            self.found.sealed_hours.insert((level, hour));
        }
    }

    /// Visits the hours that have sealed points of a level.
    fn hours(&mut self, level: Level, mut each: impl FnMut(&mut Self, u32) -> Result<(), Error>) -> Result<(), Error> {
        for hour in sealed::hours(&self.inner.database, &DNS, level, self.server_id)? {
            each(self, hour)?;
        }
        Ok(())
    }

    /// Visits the sealed values of an hour, by group.
    fn values(
        &mut self,
        level: Level,
        hour: u32,
        mut each: impl FnMut(&mut Self, u32, &[u8]) -> Result<(), Malformed>,
    ) -> Result<(), Error> {
        let (inner, server_id) = (self.inner, self.server_id);
        inner.database.visit(key::SEALED, &key::sealed(level, hour, server_id, 0), |found, value| {
            let Some((of_level, of_hour, of_server, group)) = key::parse_sealed(found) else {
                return Err(Error::damaged("sealed value", found));
            };
            let ours = (of_level, of_hour, of_server) == (level, hour, server_id);
            if ours && self.is_group_asked_for(group) {
                each(self, group, value).map_err(|Malformed(what)| Error::damaged(what, found))?;
            }
            Ok(ours)
        })
    }
}

fn read(decoder: &mut Decoder, value: &[u8]) -> Result<(Precision, Parts), Malformed> {
    let mut parts = Parts::new();
    read_parts(decoder, value, &mut parts)?;
    Ok((value::precision(value)?, parts))
}

fn cells(parts: &Parts) -> impl Iterator<Item = ((u32, u16), &Cell)> {
    parts.iter().flat_map(|(series, cells)| cells.iter().map(move |cell| (*series, cell)))
}

fn point(hour: u32, interval_s: u32, cell: &Cell, precision: Precision) -> Kept {
    let (hour_ms, interval_ms) = (u64::from(hour) * HOUR_MS, u64::from(interval_s) * 1000);
    let start_ms = hour_ms + u64::from(cell.slot) * interval_ms;
    let last_ms = hour_ms + u64::from(cell.last_ms);
    Kept {
        hits: cell.hits,
        first_ms: start_ms..start_ms + interval_ms,
        last_ms: last_ms..=last_ms + u64::from(precision.unit_ms() - 1),
    }
}
