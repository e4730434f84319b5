//! Values of the families `system` and `system_open`: series stored next to each other, each encoded on its own.
//!
//! ```text
//! version u8 = 1 · bytes of the list · list · series, one after the other
//! list       for each: number (difference to the previous one) · interval_s · bytes
//! a series   slots · columns
//!   slots      count of runs · for each: slots skipped before it · slots in it
//!   raw        values
//!   roll-up    count · time from the end of the last value's slot to the bucket's end ·
//!              last · last - min · max - last · sum - count × last
//! ```
//!
//! An open block contains the series of a batch; a sealed value contains those of a group, numbered within it. The
//! slots are those of the hour that have a value. Values are integers at a decimal scale, which is stored as the tag of
//! their column. With tag 7 they are the bits of doubles, and a roll-up stores last, min, max and sum directly.
//! `column.rs` describes columns.

use crate::Error;
use crate::system::bucket::{Bucket, Sum};
use crate::system::column;
use std::collections::BTreeMap;
use zonepulse_codec::decimal::{self, MAX_SCALE};
use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_model::SeriesId;

pub(crate) const VERSION: u8 = 1;
/// Number of series whose points share one sealed value.
pub(crate) const GROUP: u32 = 64;
const DOUBLES: u8 = 7;
const HOUR_S: u32 = 3600;

/// A series: its number and the length of its slots, in seconds.
pub(crate) type Place = (SeriesId, u32);
/// The values of a series by slot of the hour, in ascending order.
pub(crate) type Values = Vec<(u16, f64)>;
/// The buckets of a series by slot of the hour, in ascending order.
pub(crate) type Buckets = Vec<(u16, Bucket)>;
/// The raw points of an hour and server.
pub(crate) type Raw = BTreeMap<Place, Values>;
/// The buckets of an hour and server.
pub(crate) type RolledUp = BTreeMap<Place, Buckets>;

/// Encodes values.
pub(crate) struct Encoder {
    columns: column::Encoder,
    numbers: Vec<i64>,
}

/// Decodes values.
pub(crate) struct Decoder {
    columns: column::Decoder,
    numbers: Vec<i64>,
}

impl Encoder {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Encoder { columns: column::Encoder::new().map_err(Error::Compression)?, numbers: Vec::new() })
    }

    /// Encodes raw points as a value, numbering series from `first`.
    pub(crate) fn raw(&mut self, first: u32, raw: &Raw) -> Vec<u8> {
        together(first, raw.iter().map(|(place, values)| (*place, self.raw_series(values))))
    }

    /// Encodes buckets as a value, numbering series from `first`.
    pub(crate) fn rolled_up(&mut self, first: u32, buckets: &RolledUp) -> Vec<u8> {
        together(first, buckets.iter().map(|(place, buckets)| (*place, self.rolled_up_series(place.1, buckets))))
    }

    fn raw_series(&mut self, values: &Values) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + values.len());
        put_slots(&mut out, values.iter().map(|(slot, _)| *slot));
        let all = values.iter().map(|(_, value)| *value);
        let scale = decimal::scale_of(all.clone());
        self.column(&mut out, scale.unwrap_or(DOUBLES), all.map(|value| number(value, scale)));
        out
    }

    fn rolled_up_series(&mut self, bucket_s: u32, buckets: &Buckets) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        put_slots(&mut out, buckets.iter().map(|(slot, _)| *slot));
        let all = || buckets.iter().map(|(_, bucket)| *bucket);
        let scale = whole(all());
        let tag = scale.unwrap_or(DOUBLES);
        self.column(&mut out, 0, all().map(|bucket| i64::from(bucket.count)));
        let before_end =
            |(slot, bucket): &(u16, Bucket)| (i64::from(*slot) + 1) * i64::from(bucket_s) - i64::from(bucket.last_end_s);
        self.column(&mut out, 0, buckets.iter().map(before_end));
        self.column(&mut out, tag, all().map(|bucket| number(bucket.last, scale)));
        let Some(scale) = scale else {
            self.column(&mut out, tag, all().map(|bucket| number(bucket.min, None)));
            self.column(&mut out, tag, all().map(|bucket| number(bucket.max, None)));
            self.column(&mut out, tag, all().map(|bucket| number(bucket.sum.value(), None)));
            return out;
        };
        let at = |value: f64| number(value, Some(scale));
        self.column(&mut out, tag, all().map(|bucket| at(bucket.last) - at(bucket.min)));
        self.column(&mut out, tag, all().map(|bucket| at(bucket.max) - at(bucket.last)));
        self.column(
            &mut out,
            tag,
            all().map(|bucket| {
                let sum = bucket.sum.integer(scale).unwrap_or_default();
                sum.wrapping_sub(at(bucket.last).wrapping_mul(i64::from(bucket.count)))
            }),
        );
        out
    }

    fn column(&mut self, out: &mut Vec<u8>, tag: u8, numbers: impl Iterator<Item = i64>) {
        self.numbers.clear();
        self.numbers.extend(numbers);
        self.columns.put(out, tag, &self.numbers);
    }
}

/// Returns the scale at which all numbers in the buckets are integers.
fn whole(buckets: impl Iterator<Item = Bucket> + Clone) -> Option<u8> {
    let values = buckets.clone().flat_map(|bucket| [bucket.min, bucket.max, bucket.last]);
    let least = decimal::scale_of(values)?;
    (least..=MAX_SCALE).find(|scale| {
        let fits = |value: f64| decimal::to_integer(value, *scale).is_some();
        buckets.clone().all(|b| fits(b.min) && fits(b.max) && fits(b.last) && b.sum.integer(*scale).is_some())
    })
}

/// Converts a value to an integer at a scale, or to its bits.
fn number(value: f64, scale: Option<u8>) -> i64 {
    match scale {
        Some(scale) => decimal::to_integer(value, scale).unwrap_or_default(),
        None => value.to_bits() as i64,
    }
}

fn together(first: u32, series: impl Iterator<Item = (Place, Vec<u8>)>) -> Vec<u8> {
    let (mut list, mut all) = (Vec::new(), Vec::new());
    let mut before = first;
    for ((series_id, interval_s), bytes) in series {
        put(&mut list, u64::from(series_id.get().saturating_sub(before)));
        put(&mut list, u64::from(interval_s));
        put(&mut list, bytes.len() as u64);
        all.extend_from_slice(&bytes);
        before = series_id.get();
    }
    let mut out = vec![VERSION];
    put(&mut out, list.len() as u64);
    out.extend_from_slice(&list);
    out.extend_from_slice(&all);
    out
}

fn put_slots(out: &mut Vec<u8>, slots: impl Iterator<Item = u16>) {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    let mut next = 0u64;
    for slot in slots.map(u64::from) {
        match runs.last_mut() {
            Some((_, length)) if slot == next => *length += 1,
            _ => runs.push((slot.saturating_sub(next), 1)),
        }
        next = slot + 1;
    }
    put(out, runs.len() as u64);
    for (gap, length) in runs {
        put(out, gap);
        put(out, length);
    }
}

/// The undecoded series of a value.
#[derive(Debug, Clone)]
pub(crate) struct List<'a> {
    list: Reader<'a>,
    rest: Reader<'a>,
    number: u32,
}

/// An undecoded series.
#[derive(Debug, Clone)]
pub(crate) struct Part<'a> {
    pub place: Place,
    bytes: &'a [u8],
}

/// Starts reading a value whose series are numbered from `first`.
pub(crate) fn list(value: &[u8], first: u32) -> Result<List<'_>, Malformed> {
    let (&version, rest) = value.split_first().ok_or(Malformed("system version"))?;
    if version != VERSION {
        return Err(Malformed("system version"));
    }
    let mut rest = Reader::new(rest);
    let length = rest.number("list")? as usize;
    let list = Reader::new(rest.bytes(length, "list")?);
    Ok(List { list, rest, number: first })
}

impl<'a> List<'a> {
    /// Returns the next series, or `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Part<'a>>, Malformed> {
        if self.list.is_empty() {
            return if self.rest.is_empty() { Ok(None) } else { Err(Malformed("end")) };
        }
        let difference = self.list.below(1 << 32, "series")? as u32;
        self.number = self.number.checked_add(difference).ok_or(Malformed("series"))?;
        let interval_s = self.list.below(u64::from(HOUR_S) + 1, "interval")? as u32;
        if interval_s == 0 || !HOUR_S.is_multiple_of(interval_s) {
            return Err(Malformed("interval"));
        }
        let length = self.list.number("bytes")? as usize;
        Ok(Some(Part { place: (SeriesId::new(self.number), interval_s), bytes: self.rest.bytes(length, "bytes")? }))
    }
}

impl Part<'_> {
    /// Returns the number of points.
    pub(crate) fn points(&self) -> Result<u64, Malformed> {
        let mut points = 0;
        read_runs(&mut Reader::new(self.bytes), self.place.1, |slots| points += slots.len() as u64)?;
        Ok(points)
    }

    /// Returns the slots that have a value.
    pub(crate) fn slots(&self) -> Result<Vec<u16>, Malformed> {
        read_slots(&mut Reader::new(self.bytes), self.place.1)
    }
}

impl Decoder {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Decoder { columns: column::Decoder::new().map_err(Error::Compression)?, numbers: Vec::new() })
    }

    /// Decodes the raw points of a series.
    pub(crate) fn raw(&mut self, part: &Part<'_>) -> Result<Values, Malformed> {
        let mut reader = Reader::new(part.bytes);
        let slots = read_slots(&mut reader, part.place.1)?;
        let scale = self.column(&mut reader, slots.len())?;
        let values = self.numbers.iter().map(|number| value(*number, scale));
        let values: Values = slots.into_iter().zip(values).collect();
        if !reader.is_empty() || !values.iter().all(|(_, value)| value.is_finite()) {
            return Err(Malformed("values"));
        }
        Ok(values)
    }

    /// Decodes the buckets of a series.
    pub(crate) fn rolled_up(&mut self, part: &Part<'_>) -> Result<Buckets, Malformed> {
        let mut reader = Reader::new(part.bytes);
        let bucket_s = part.place.1;
        let slots = read_slots(&mut reader, bucket_s)?;
        let nothing = Bucket { min: 0.0, max: 0.0, last: 0.0, count: 0, last_end_s: 0, sum: Sum::Double(0.0) };
        let mut buckets: Buckets = slots.into_iter().map(|slot| (slot, nothing)).collect();
        self.column(&mut reader, buckets.len())?;
        for ((_, bucket), count) in buckets.iter_mut().zip(&self.numbers) {
            bucket.count = u32::try_from(*count).ok().filter(|count| *count > 0).ok_or(Malformed("count"))?;
        }
        self.column(&mut reader, buckets.len())?;
        for ((slot, bucket), before_end) in buckets.iter_mut().zip(&self.numbers) {
            let end_s = (i64::from(*slot) + 1) * i64::from(bucket_s);
            let at = end_s.checked_sub(*before_end).and_then(|at| u32::try_from(at).ok());
            bucket.last_end_s = at.filter(|at| *at <= HOUR_S).ok_or(Malformed("last"))?;
        }
        let scale = self.column(&mut reader, buckets.len())?;
        let last = self.numbers.clone();
        for ((_, bucket), last) in buckets.iter_mut().zip(&last) {
            bucket.last = value(*last, scale);
        }
        for what in [What::Min, What::Max, What::Sum] {
            if self.column(&mut reader, buckets.len())? != scale {
                return Err(Malformed("scale"));
            }
            for (((_, bucket), number), last) in buckets.iter_mut().zip(&self.numbers).zip(&last) {
                what.put(bucket, *number, *last, scale);
            }
        }
        let finite = |bucket: &Bucket| [bucket.min, bucket.max, bucket.last].iter().all(|value| value.is_finite());
        if !reader.is_empty() || !buckets.iter().all(|(_, bucket)| finite(bucket)) {
            return Err(Malformed("buckets"));
        }
        Ok(buckets)
    }

    fn column(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<u8, Malformed> {
        self.numbers.clear();
        let tag = self.columns.read(reader, count, &mut self.numbers)?;
        if tag <= MAX_SCALE || tag == DOUBLES { Ok(tag) } else { Err(Malformed("scale")) }
    }
}

/// A column of buckets other than the last values.
#[derive(Clone, Copy)]
enum What {
    Min,
    Max,
    Sum,
}

impl What {
    fn put(self, bucket: &mut Bucket, number: i64, last: i64, scale: u8) {
        let doubles = scale == DOUBLES;
        match self {
            What::Min => bucket.min = value(if doubles { number } else { last.wrapping_sub(number) }, scale),
            What::Max => bucket.max = value(if doubles { number } else { last.wrapping_add(number) }, scale),
            What::Sum if doubles => bucket.sum = Sum::of_double(value(number, scale)),
            What::Sum => {
                let of_last = last.wrapping_mul(i64::from(bucket.count));
                bucket.sum = Sum::of_integer(number.wrapping_add(of_last), scale);
            }
        }
    }
}

fn value(number: i64, scale: u8) -> f64 {
    if scale == DOUBLES { f64::from_bits(number as u64) } else { decimal::from_integer(number, scale) }
}

fn read_slots(reader: &mut Reader<'_>, interval_s: u32) -> Result<Vec<u16>, Malformed> {
    let mut slots = Vec::new();
    read_runs(reader, interval_s, |run| slots.extend(run))?;
    Ok(slots)
}

fn read_runs(reader: &mut Reader<'_>, interval_s: u32, mut each: impl FnMut(std::ops::Range<u16>)) -> Result<(), Malformed> {
    let most = u64::from(HOUR_S / interval_s.max(1));
    let mut next = 0;
    for _ in 0..reader.count(HOUR_S as usize, "slots")? {
        let begin = next + reader.below(most, "slots")?;
        let length = reader.below(most + 1, "slots")?;
        next = begin + length;
        if length == 0 || next > most {
            return Err(Malformed("slots"));
        }
        each(begin as u16..next as u16);
    }
    if next == 0 { Err(Malformed("slots")) } else { Ok(()) }
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
