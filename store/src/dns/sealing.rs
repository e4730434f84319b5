//! Sealing: the open blocks of an hour and server become sealed values and roll-ups.
//!
//! One step takes the blocks of one hour and server, as many as its bound
//! allows, puts them together with what is sealed already, and writes in one
//! atomic write: the sealed values of the groups it touched, their roll-ups,
//! the totals of the server that are not on disk yet, and the removal of
//! exactly the blocks that it read. What arrives meanwhile stays open, for the
//! next step.
//!
//! Roll-ups are made of the raw points that are there after the step, never
//! added to. Only where the raw points have left the disk are the open ones
//! added to the roll-ups that are left; the blocks go in the same write, so no
//! point can be added twice.
//!
//! The write is not synced. It is in the log before every later batch, so
//! nothing that is acknowledged can outlive it, and when it is lost, the blocks
//! are still there.

use crate::database::key;
use crate::dns::block::Sections;
use crate::dns::cell::{self, Cell, Groups};
use crate::dns::value::{self, Decoder, Encoder, Wanted};
use crate::retention::Horizon;
use crate::{Error, Inner, Level, Precision, write};
use rocksdb::WriteBatch;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zonepulse_codec::Malformed;

/// A step takes no further block once it has so many points.
const STEP_POINTS: u64 = if cfg!(test) { 40 } else { 2 << 20 };

/// What a step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub blocks: u64,
    pub points: u64,
}

/// What sealing keeps from step to step.
pub(crate) struct Sealer {
    encoder: Encoder,
    decoder: Decoder,
    scratch: Vec<Cell>,
}

impl Sealer {
    pub(crate) fn new(precision: Precision) -> Result<Self, Error> {
        let encoder = Encoder::new(precision).map_err(Error::Compression)?;
        let decoder = Decoder::new().map_err(Error::Compression)?;
        Ok(Sealer { encoder, decoder, scratch: Vec::new() })
    }

    /// Seals blocks of an hour and server.
    pub(crate) fn step(&mut self, inner: &Inner, (hour, server_id): (u32, u32)) -> Result<Sealed, Error> {
        let arrived = {
            // With this, no block is under way that was announced and not written.
            let _alone = inner.writer.lock();
            inner.waiting.lock().count((hour, server_id))
        };
        let mut taken = take_blocks(inner, hour, server_id)?;
        let groups = std::mem::take(&mut taken.groups);
        let horizon = inner.expiry.read().horizon(server_id);
        let mut batch = WriteBatch::default();
        if hour >= horizon.raw_hour {
            self.seal(inner, &mut batch, (hour, server_id), horizon, groups)?;
        } else if hour >= horizon.aggregate_hour {
            self.add_to_roll_ups(inner, &mut batch, (hour, server_id), groups)?;
        }
        for block in &taken.keys {
            batch.delete_cf(inner.database.family(key::OPEN), block);
        }
        let sealed = Sealed { blocks: taken.keys.len() as u64, points: taken.points };
        commit(inner, batch, (hour, server_id), horizon, &taken, arrived)?;
        Ok(sealed)
    }

    /// The touched groups, raw and rolled up.
    fn seal(
        &mut self,
        inner: &Inner,
        batch: &mut WriteBatch,
        (hour, server_id): (u32, u32),
        horizon: Horizon,
        mut groups: Groups,
    ) -> Result<(), Error> {
        let family = inner.database.family(key::SEALED);
        let touched: BTreeSet<u32> = groups.keys().map(|(group, _)| *group).collect();
        for group in touched {
            let place = key::sealed(Level::Raw, hour, server_id, group);
            let mut parts = self.read(inner, &place)?;
            take_group(&mut groups, group, &mut parts);
            parts.values_mut().for_each(|cells| cell::arrange(cells, &mut self.scratch));
            batch.put_cf(family, place, self.encode(&parts));
            if hour < horizon.aggregate_hour {
                continue;
            }
            // From each other: the coarser they get, the fewer there are to sum.
            for level in Level::ROLL_UPS {
                parts = self.roll_up(&parts, level);
                batch.put_cf(family, key::sealed(level, hour, server_id, group), self.encode(&parts));
            }
        }
        Ok(())
    }

    /// The raw points are not there any more: what is open is added to the roll-ups.
    fn add_to_roll_ups(
        &mut self,
        inner: &Inner,
        batch: &mut WriteBatch,
        (hour, server_id): (u32, u32),
        mut groups: Groups,
    ) -> Result<(), Error> {
        let family = inner.database.family(key::SEALED);
        let touched: BTreeSet<u32> = groups.keys().map(|(group, _)| *group).collect();
        for group in touched {
            let mut parts = Parts::new();
            take_group(&mut groups, group, &mut parts);
            parts.values_mut().for_each(|cells| cell::arrange(cells, &mut self.scratch));
            for level in Level::ROLL_UPS {
                let place = key::sealed(level, hour, server_id, group);
                let mut buckets = self.read(inner, &place)?;
                parts = self.roll_up(&parts, level);
                for (series, more) in &parts {
                    buckets.entry(*series).or_default().extend_from_slice(more);
                }
                buckets.values_mut().for_each(|cells| cell::arrange(cells, &mut self.scratch));
                batch.put_cf(family, place, self.encode(&buckets));
            }
        }
        Ok(())
    }

    fn roll_up(&mut self, parts: &Parts, level: Level) -> Parts {
        let bucket_s = level.bucket_s().unwrap_or_default();
        let mut buckets = Parts::new();
        for ((interval_s, kind), cells) in parts {
            cell::roll_up(cells, *interval_s, bucket_s, buckets.entry((bucket_s, *kind)).or_default());
        }
        // Several lengths of interval may have been put into one bucket.
        buckets.values_mut().for_each(|cells| cell::arrange(cells, &mut self.scratch));
        buckets
    }

    fn encode(&mut self, parts: &Parts) -> Vec<u8> {
        self.encoder.encode(parts.iter().map(|(series, cells)| (*series, cells.as_slice())))
    }

    fn read(&mut self, inner: &Inner, place: &[u8]) -> Result<Parts, Error> {
        let mut found = Parts::new();
        if let Some(value) = inner.database.get(key::SEALED, place)? {
            read_parts(&mut self.decoder, &value, &mut found).map_err(|Malformed(what)| Error::damaged(what, place))?;
        }
        Ok(found)
    }
}

/// The cells of one group, by series.
pub(crate) type Parts = BTreeMap<cell::Series, Vec<Cell>>;

/// Adds the points of a sealed value.
pub(crate) fn read_parts(decoder: &mut Decoder, value: &[u8], found: &mut Parts) -> Result<(), Malformed> {
    for part in value::parts(value)? {
        let part = part?;
        decoder.read(&part, &Wanted::EVERYTHING)?;
        decoder.columns.cells(found.entry(part.series()).or_default());
    }
    Ok(())
}

fn take_group(groups: &mut Groups, group: u32, parts: &mut Parts) {
    let of_group = groups.range_mut((group, (0, 0))..=(group, (u32::MAX, u16::MAX)));
    for ((_, series), cells) in of_group {
        parts.entry(*series).or_default().append(cells);
    }
}

/// The blocks of a step.
struct Taken {
    keys: Vec<[u8; key::OPEN_BYTES]>,
    groups: Groups,
    points: u64,
    /// Whether that was all of them.
    all: bool,
}

fn take_blocks(inner: &Inner, hour: u32, server_id: u32) -> Result<Taken, Error> {
    let mut taken = Taken { keys: Vec::new(), groups: Groups::new(), points: 0, all: true };
    let hour_s = u64::from(hour) * 3600;
    let mut rows = Vec::new();
    inner.database.visit(key::OPEN, &key::open_prefix(hour, server_id, 0), |found, value| {
        let damaged = |Malformed(what)| Error::damaged(what, found);
        let (of_hour, identity, start_s) = key::parse_open(found).ok_or_else(|| Error::damaged("block", found))?;
        if (of_hour, identity.server_id) != (hour, server_id) {
            return Ok(false);
        }
        if taken.points >= STEP_POINTS {
            taken.all = false;
            return Ok(false);
        }
        let mut sections = Sections::new(value, start_s).map_err(damaged)?;
        let interval_s = sections.interval_s;
        if !3600u32.is_multiple_of(interval_s) || !start_s.is_multiple_of(u64::from(interval_s)) {
            return Err(Error::damaged("interval", found));
        }
        let slot = ((start_s - hour_s) / u64::from(interval_s)) as u16;
        while let Some(section) = sections.next().map_err(damaged)? {
            rows.clear();
            section.rows(&mut rows).map_err(damaged)?;
            cell::gather(&mut taken.groups, (interval_s, section.kind.number()), slot, hour_s * 1000, &rows);
            taken.points += rows.len() as u64;
        }
        taken.keys.push(*found.first_chunk().ok_or_else(|| Error::damaged("block", found))?);
        Ok(true)
    })?;
    Ok(taken)
}

/// The one write of a step, and what of it is in memory.
fn commit(
    inner: &Inner,
    mut batch: WriteBatch,
    pair: (u32, u32),
    horizon: Horizon,
    taken: &Taken,
    arrived: u64,
) -> Result<(), Error> {
    let writer = inner.writer.lock();
    if !taken.keys.is_empty() {
        let as_of = writer.last_commit();
        let written = write::put_totals_of(inner, &mut batch, pair.1, as_of);
        let horizon = Horizon { as_of, ..horizon };
        batch.put(key::horizon(pair.1), horizon.encode());
        // Readers look at both families before or after this, not between.
        let mut expiry = inner.expiry.write();
        inner.database.write(batch, false)?;
        Arc::make_mut(&mut expiry).horizons.insert(pair.1, horizon);
        if taken.all {
            inner.waiting.lock().taken(pair, arrived);
        }
        drop(expiry);
        write::totals_are_written(inner, &written, as_of);
    } else {
        inner.waiting.lock().taken(pair, arrived);
    }
    Ok(())
}
