//! Cells of one group of records, by series: the intermediate form between open blocks and sealed values.

use crate::Level;
use crate::dns::cell::{self, Cell, Groups, Series};
use crate::dns::value::{self, Decoder, Wanted};
use std::collections::BTreeMap;
use zonepulse_codec::Malformed;

/// The cells of one group, by series.
pub(crate) type Parts = BTreeMap<Series, Vec<Cell>>;

/// Adds the points of a sealed value.
pub(crate) fn read_parts(decoder: &mut Decoder, value: &[u8], found: &mut Parts) -> Result<(), Malformed> {
    for part in value::parts(value)? {
        let part = part?;
        decoder.read(&part, &Wanted::EVERYTHING)?;
        decoder.columns.cells(found.entry(part.series()).or_default());
    }
    Ok(())
}

/// Moves the cells of a group into `parts`.
pub(crate) fn take_group(groups: &mut Groups, group: u32, parts: &mut Parts) {
    let of_group = groups.range_mut((group, (0, 0))..=(group, (u32::MAX, u16::MAX)));
    for ((_, series), cells) in of_group {
        parts.entry(*series).or_default().append(cells);
    }
}

/// Sorts all cells and merges those at the same place.
pub(crate) fn arrange(parts: &mut Parts, scratch: &mut Vec<Cell>) {
    parts.values_mut().for_each(|cells| cell::arrange(cells, scratch));
}

/// Sums arranged points, raw or from a finer roll-up, into the buckets of a level.
pub(crate) fn roll_up(parts: &Parts, level: Level, scratch: &mut Vec<Cell>) -> Parts {
    let bucket_s = level.bucket_s().unwrap_or_default();
    let mut buckets = Parts::new();
    for ((interval_s, kind), cells) in parts {
        cell::roll_up(cells, *interval_s, bucket_s, buckets.entry((bucket_s, *kind)).or_default());
    }
    // One bucket may have received points with different interval lengths.
    arrange(&mut buckets, scratch);
    buckets
}
