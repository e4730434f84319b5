//! Points of an hour and server by series: reading, merging and rolling up.

use crate::Level;
use crate::system::bucket::{Bucket, greatest};
use crate::system::value::{self, Buckets, Decoder, Raw, RolledUp, Values};
use zonepulse_codec::Malformed;
use zonepulse_model::SeriesId;

/// Adds the requested points of a value whose series are numbered from `first`.
pub(crate) fn read_raw(
    decoder: &mut Decoder,
    value: &[u8],
    first: u32,
    wants: &dyn Fn(SeriesId) -> bool,
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

/// Adds the requested buckets of a value whose series are numbered from `first`.
pub(crate) fn read_rolled_up(
    decoder: &mut Decoder,
    value: &[u8],
    first: u32,
    wants: &dyn Fn(SeriesId) -> bool,
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

/// Merges points.
pub(crate) fn add(raw: &mut Raw, more: Raw) {
    for (place, values) in more {
        add_values(raw.entry(place).or_default(), values);
    }
}

/// Merges points. If a slot was reported twice, the greater value counts.
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

/// Merges buckets.
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

/// Rolls raw points up into the buckets of a level.
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
        // A bucket may contain slots of several lengths.
        add_buckets(all.entry((*series, bucket_s)).or_default(), buckets);
    }
    all
}

/// Returns the number of points in a value of raw points.
pub(crate) fn points_of(value: &[u8]) -> Result<u64, Malformed> {
    let mut list = value::list(value, 0)?;
    let mut points = 0;
    while let Some(part) = list.next()? {
        points += part.points()?;
    }
    Ok(points)
}
