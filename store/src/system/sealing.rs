//! Sealing metrics: the open blocks of an hour and server become columns and roll-ups.
//!
//! The rules are those of `crate::dns::sealing`, without totals: one write, late is not lost, roll-ups are made of the
//! raw points that are there after the step, and are added to only behind the raw horizon.

use crate::database::key;
use crate::retention::Horizon;
use crate::system::GROUP;
use crate::system::bucket::{Bucket, greatest};
use crate::system::value::{self, Buckets, Decoder, Encoder, Raw, RolledUp, Values};
use crate::{Error, Inner, Level};
use rocksdb::WriteBatch;
use std::collections::BTreeSet;
use zonepulse_codec::Malformed;

/// A step takes no further block once it has so many points.
const STEP_POINTS: u64 = if cfg!(test) { 60 } else { 2 << 20 };

/// What sealing keeps from step to step.
pub(crate) struct Sealer {
    encoder: Encoder,
    decoder: Decoder,
}

impl Sealer {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Sealer { encoder: Encoder::new()?, decoder: Decoder::new()? })
    }

    /// Seals blocks of an hour and server; gives how many, and the points in them.
    pub(crate) fn step(&mut self, inner: &Inner, (hour, server_id): (u32, u32)) -> Result<(u64, u64), Error> {
        let arrived = {
            // With this, no block is under way that was announced and not written.
            let _alone = inner.writer.lock();
            inner.system.waiting.lock().count((hour, server_id))
        };
        let taken = take_blocks(inner, &mut self.decoder, (hour, server_id))?;
        let horizon = inner.expiry.read().horizon(server_id);
        let mut batch = WriteBatch::default();
        let groups: BTreeSet<u32> = taken.raw.keys().map(|(series, _)| series / GROUP).collect();
        for group in groups {
            let first = group * GROUP;
            let of_group = taken.raw.range((first, 0)..=(first + (GROUP - 1), u32::MAX));
            let new: Raw = of_group.map(|(place, values)| (*place, values.clone())).collect();
            if hour >= horizon.raw_hour {
                self.seal(inner, &mut batch, (hour, server_id, group), horizon, new)?;
            } else if hour >= horizon.aggregate_hour {
                self.add_to_roll_ups(inner, &mut batch, (hour, server_id, group), &new)?;
            }
        }
        for block in &taken.keys {
            batch.delete_cf(inner.database.family(key::SYSTEM_OPEN), block);
        }
        let _alone = inner.writer.lock();
        if !taken.keys.is_empty() {
            // Readers look at both families before or after this, not between.
            let _moving = inner.expiry.write();
            inner.database.write(batch, false)?;
        }
        if taken.all {
            inner.system.waiting.lock().taken((hour, server_id), arrived);
        }
        Ok((taken.keys.len() as u64, taken.points))
    }

    /// A group with new points, raw and rolled up.
    fn seal(
        &mut self,
        inner: &Inner,
        batch: &mut WriteBatch,
        (hour, server_id, group): (u32, u32, u32),
        horizon: Horizon,
        new: Raw,
    ) -> Result<(), Error> {
        let family = inner.database.family(key::SYSTEM);
        let place = key::sealed(Level::Raw, hour, server_id, group);
        let mut raw = Raw::new();
        if let Some(value) = inner.database.get(key::SYSTEM, &place)? {
            let read = read_raw(&mut self.decoder, &value, group * GROUP, &|_| true, &mut raw);
            read.map_err(|Malformed(what)| Error::damaged(what, &place))?;
        }
        add(&mut raw, new);
        batch.put_cf(family, place, self.encoder.raw(group * GROUP, &raw));
        if hour < horizon.aggregate_hour {
            return Ok(());
        }
        for level in Level::ROLL_UPS {
            let value = self.encoder.rolled_up(group * GROUP, &roll_up(&raw, level));
            batch.put_cf(family, key::sealed(level, hour, server_id, group), value);
        }
        Ok(())
    }

    /// The raw points are not there any more: what is open is added to the roll-ups.
    fn add_to_roll_ups(
        &mut self,
        inner: &Inner,
        batch: &mut WriteBatch,
        (hour, server_id, group): (u32, u32, u32),
        new: &Raw,
    ) -> Result<(), Error> {
        for level in Level::ROLL_UPS {
            let place = key::sealed(level, hour, server_id, group);
            let mut all = RolledUp::new();
            if let Some(value) = inner.database.get(key::SYSTEM, &place)? {
                let read = read_rolled_up(&mut self.decoder, &value, group * GROUP, &|_| true, &mut all);
                read.map_err(|Malformed(what)| Error::damaged(what, &place))?;
            }
            merge(&mut all, roll_up(new, level));
            batch.put_cf(inner.database.family(key::SYSTEM), place, self.encoder.rolled_up(group * GROUP, &all));
        }
        Ok(())
    }
}

/// Adds the wanted points of a value whose series are numbered from `first` on.
pub(crate) fn read_raw(
    decoder: &mut Decoder,
    value: &[u8],
    first: u32,
    wants: &dyn Fn(u32) -> bool,
    found: &mut Raw,
) -> Result<(), Malformed> {
    let mut list = value::list(value, first)?;
    while let Some(part) = list.next()? {
        if wants(part.place.0) {
            add_values(found.entry(part.place).or_default(), decoder.raw(&part)?);
        }
    }
    Ok(())
}

/// Adds the wanted buckets of a value whose series are numbered from `first` on.
pub(crate) fn read_rolled_up(
    decoder: &mut Decoder,
    value: &[u8],
    first: u32,
    wants: &dyn Fn(u32) -> bool,
    found: &mut RolledUp,
) -> Result<(), Malformed> {
    let mut list = value::list(value, first)?;
    while let Some(part) = list.next()? {
        if wants(part.place.0) {
            add_buckets(found.entry(part.place).or_default(), decoder.rolled_up(&part)?);
        }
    }
    Ok(())
}

fn add(raw: &mut Raw, more: Raw) {
    for (place, values) in more {
        add_values(raw.entry(place).or_default(), values);
    }
}

/// Puts points together: of a slot that is told twice, the greater value counts.
fn add_values(values: &mut Values, more: Values) {
    let follows = values.last().zip(more.first()).is_none_or(|(last, first)| last.0 < first.0);
    values.extend(more);
    if follows {
        return;
    }
    values.sort_by_key(|(slot, _)| *slot);
    values.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 = greatest(kept.1, later.1);
        }
        same
    });
}

/// Puts buckets together.
pub(crate) fn merge(all: &mut RolledUp, more: RolledUp) {
    for (place, buckets) in more {
        add_buckets(all.entry(place).or_default(), buckets);
    }
}

fn add_buckets(buckets: &mut Buckets, more: Buckets) {
    buckets.extend(more);
    buckets.sort_by_key(|(slot, _)| *slot);
    buckets.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1.merge(&later.1);
        }
        same
    });
}

/// The buckets of a level, of which raw points have none.
pub(crate) fn roll_up(raw: &Raw, level: Level) -> RolledUp {
    let bucket_s = level.bucket_s().unwrap_or(3600);
    let mut all = RolledUp::new();
    for ((series, interval_s), values) in raw {
        let mut buckets = Buckets::new();
        for (slot, value) in values {
            let start_s = u32::from(*slot) * interval_s;
            let at = (start_s / bucket_s) as u16;
            let one = Bucket::of(*value, start_s + interval_s);
            match buckets.last_mut() {
                Some((slot, bucket)) if *slot == at => bucket.merge(&one),
                _ => buckets.push((at, one)),
            }
        }
        // Slots of several lengths may be in one bucket.
        add_buckets(all.entry((*series, bucket_s)).or_default(), buckets);
    }
    all
}

/// The blocks of a step.
struct Taken {
    keys: Vec<[u8; key::OPEN_BYTES]>,
    raw: Raw,
    points: u64,
    /// Whether that was all of them.
    all: bool,
}

fn take_blocks(inner: &Inner, decoder: &mut Decoder, pair: (u32, u32)) -> Result<Taken, Error> {
    let mut taken = Taken { keys: Vec::new(), raw: Raw::new(), points: 0, all: true };
    inner.database.visit(key::SYSTEM_OPEN, &key::open_prefix(pair.0, pair.1, 0), |found, value| {
        let damaged = |what| Error::damaged(what, found);
        let (hour, identity, _) = key::parse_open(found).ok_or_else(|| damaged("block"))?;
        if (hour, identity.server_id) != pair {
            return Ok(false);
        }
        if taken.points >= STEP_POINTS {
            taken.all = false;
            return Ok(false);
        }
        taken.points += points_of(value).map_err(|Malformed(what)| damaged(what))?;
        read_raw(decoder, value, 0, &|_| true, &mut taken.raw).map_err(|Malformed(what)| damaged(what))?;
        taken.keys.push(*found.first_chunk().ok_or_else(|| damaged("block"))?);
        Ok(true)
    })?;
    Ok(taken)
}

fn points_of(value: &[u8]) -> Result<u64, Malformed> {
    let mut list = value::list(value, 0)?;
    let mut points = 0;
    while let Some(part) = list.next()? {
        points += part.points()?;
    }
    Ok(points)
}
