//! System metrics: in slots of a few seconds, with many slots in one batch.
//!
//! A metric has a name (`disk_free_bytes`) and, if there can be several, a label (the mount, the
//! device, the core, the state of a connection). The values of one metric and label form a
//! *series*. A value is the state at the end of its slot, or the mean rate over it (`*_per_s`,
//! `*_percent`).
//!
//! ```text
//! header     as every message has it, version 2 (`envelope.rs`)
//! body       numbers (LEB128) and text:
//!   slots      start_s · interval_s · slots
//!   evicted    0, or batches · from_s · until_s - from_s
//!   metrics    count · for each: length of its name · how many series ·
//!              length of each label · the names' text · the labels' text
//!   series     one by one: mode · which slots · values
//!     mode       bits 0 to 2: decimal scale 0 to 3, or 7 for the bits of doubles ·
//!                bit 3: every slot has a value · bit 4: all values are the same
//!     which      unless bit 3: lengths of runs by turns, with a value and without, until all slots are told
//!     values     those that are there; with bit 4 the first one. At a scale: zigzag differences of whole
//!                numbers, the first one's to 0. Bits: 8 bytes each, little endian
//! ```
//!
//! Whoever measures rounds: percent to a tenth, loads to a hundredth, rates and bytes to whole numbers. Then
//! a series has a scale, and most of its differences take a byte.

use crate::Error;
use crate::bounds::{END_OF_TIME_S, MAX_INTERVAL_S, is_in_time, is_value};
use crate::envelope::{self, SYSTEM_VERSION as VERSION, put_evicted, read_evicted};
use zonepulse_codec::decimal::{self, MAX_INTEGER, MAX_SCALE, unzigzag, zigzag};
use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_model::{Evicted, Identity};

/// Maximum number of slots in a batch.
pub const MAX_SLOTS: u32 = 4096;
/// Maximum number of series in a batch.
pub const MAX_SERIES: usize = 4096;
/// Maximum product of slots and series in a batch, which bounds its size in memory.
pub const MAX_SYSTEM_POINTS: usize = 1 << 20;
/// Maximum length of a metric's name, bytes.
pub const MAX_METRIC_BYTES: usize = 64;
/// Maximum length of a label, bytes.
pub const MAX_LABEL_BYTES: usize = 255;

const LEVEL: i32 = 3;
const SCALE_BITS: u8 = 0b111;
const DOUBLES: u8 = 7;
const EVERY_SLOT: u8 = 1 << 3;
const ONE_VALUE: u8 = 1 << 4;

/// Metrics of one machine over a number of slots.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemBatch {
    /// Identifies the batch.
    pub identity: Identity,
    /// Start of the first slot, Unix seconds, a multiple of `interval_s`. The last slot ends before
    /// [`END_OF_TIME_S`].
    pub start_s: u64,
    /// Length of a slot, seconds, 1 to 3600.
    pub interval_s: u32,
    /// Number of slots, 1 to [`MAX_SLOTS`].
    pub slots: u32,
    /// Batches that the probe discarded since its previous batch, if any.
    pub evicted: Option<Evicted>,
    /// The series, ordered by (metric, label) without duplicates, at most [`MAX_SERIES`].
    pub series: Vec<Series>,
}

/// The values of one metric and label.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// `[a-z][a-z0-9_]*`, at most [`MAX_METRIC_BYTES`].
    pub metric: String,
    /// Core, mount, device or state; empty if there is only one series of the metric. At most
    /// [`MAX_LABEL_BYTES`].
    pub label: String,
    /// One value per slot; `None` where nothing was sampled. Absolute values are at most
    /// [`MAX_VALUE`](crate::MAX_VALUE).
    pub values: Vec<Option<f64>>,
}

impl SystemBatch {
    /// Encodes the batch.
    ///
    /// Fails with [`Error::Bound`] or [`Error::Malformed`] if the batch violates an invariant of
    /// its fields, which its creator must prevent.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        let body = self.write_body();
        let mut out = envelope::begin(VERSION, &self.identity, body.len());
        out.extend(zstd::bulk::compress(&body, LEVEL).map_err(|_| Error::Malformed("body"))?);
        envelope::finish(out, body.len())
    }

    /// Decodes a batch, and validates all invariants documented in [`SystemBatch`].
    pub fn decode(bytes: &[u8]) -> Result<SystemBatch, Error> {
        envelope::open(bytes, VERSION)?.unpack(|identity, reader| {
            let mut batch = read_head(identity, reader)?;
            batch.series = read_names(reader)?;
            check_points(batch.series.len(), batch.slots)?;
            for series in &mut batch.series {
                series.values = read_values(reader, batch.slots as usize)?;
            }
            batch.check()?;
            Ok(batch)
        })
    }

    /// Decodes a batch without its series, which stay empty.
    pub fn decode_head(bytes: &[u8]) -> Result<SystemBatch, Error> {
        let (identity, head) = envelope::open(bytes, VERSION)?.unpack_head()?;
        read_head(identity, &mut Reader::new(&head))
    }

    /// End of the last slot, Unix seconds.
    pub fn end_s(&self) -> u64 {
        self.start_s.saturating_add(u64::from(self.interval_s) * u64::from(self.slots))
    }

    /// Number of values.
    pub fn points(&self) -> u64 {
        self.series.iter().map(|series| series.values.iter().flatten().count() as u64).sum()
    }

    /// Size in memory, bytes.
    pub fn size_bytes(&self) -> usize {
        let of_series = |series: &Series| series.metric.len() + series.label.len() + size_of_val(series.values.as_slice());
        size_of::<SystemBatch>() + self.series.iter().map(|series| size_of::<Series>() + of_series(series)).sum::<usize>()
    }

    fn check(&self) -> Result<(), Error> {
        let interval_s = u64::from(self.interval_s);
        if self.identity.server_id.get() == 0 {
            return Err(Error::Malformed("server id"));
        }
        if interval_s == 0 || interval_s > MAX_INTERVAL_S || !self.start_s.is_multiple_of(interval_s) {
            return Err(Error::Malformed("interval"));
        }
        if !is_in_time(self.start_s, interval_s.saturating_mul(u64::from(self.slots))) {
            return Err(Error::Malformed("start"));
        }
        if self.slots == 0 || self.slots > MAX_SLOTS {
            return Err(Error::Malformed("slots"));
        }
        check_points(self.series.len(), self.slots)?;
        if !self.series.is_sorted_by(|a, b| (&a.metric, &a.label) < (&b.metric, &b.label)) {
            return Err(Error::Malformed("order of series"));
        }
        self.series.iter().try_for_each(|series| series.check(self.slots))
    }

    fn write_body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.series.len() * (16 + self.slots as usize));
        put(&mut out, self.start_s);
        put(&mut out, u64::from(self.interval_s));
        put(&mut out, u64::from(self.slots));
        put_evicted(&mut out, self.evicted);
        let metrics = || self.series.chunk_by(|a, b| a.metric == b.metric);
        put(&mut out, metrics().count() as u64);
        for series in metrics() {
            put(&mut out, series.first().map_or(0, |first| first.metric.len() as u64));
            put(&mut out, series.len() as u64);
        }
        self.series.iter().for_each(|series| put(&mut out, series.label.len() as u64));
        metrics().filter_map(<[Series]>::first).for_each(|first| out.extend_from_slice(first.metric.as_bytes()));
        self.series.iter().for_each(|series| out.extend_from_slice(series.label.as_bytes()));
        self.series.iter().for_each(|series| put_values(&mut out, &series.values));
        out
    }
}

impl Series {
    fn check(&self, slots: u32) -> Result<(), Error> {
        if !is_metric(&self.metric) {
            return Err(Error::Malformed("metric"));
        }
        if self.label.len() > MAX_LABEL_BYTES {
            return Err(Error::Malformed("label"));
        }
        if self.values.len() != slots as usize || !self.values.iter().flatten().all(|value| is_value(*value)) {
            return Err(Error::Malformed("values"));
        }
        Ok(())
    }
}

/// Whether this is a valid name of a metric.
pub fn is_metric(name: &str) -> bool {
    name.len() <= MAX_METRIC_BYTES
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn check_points(series: usize, slots: u32) -> Result<(), Error> {
    if series > MAX_SERIES {
        return Err(Error::Bound("series", MAX_SERIES));
    }
    if series.saturating_mul(slots as usize) > MAX_SYSTEM_POINTS {
        return Err(Error::Bound("slots of series", MAX_SYSTEM_POINTS));
    }
    Ok(())
}

fn put_values(out: &mut Vec<u8>, values: &[Option<f64>]) {
    let there = || values.iter().flatten().copied();
    let every_slot = values.iter().all(Option::is_some);
    let first = there().next();
    let one_value = first.is_some_and(|first| there().all(|value| value.to_bits() == first.to_bits()));
    let scale = decimal::scale_of(there());
    let flag = |is: bool, bit: u8| if is { bit } else { 0 };
    out.push(scale.unwrap_or(DOUBLES) | flag(every_slot, EVERY_SLOT) | flag(one_value, ONE_VALUE));
    if !every_slot {
        let mut with_value = true;
        let mut rest = values;
        while !rest.is_empty() {
            let run = rest.iter().take_while(|value| value.is_some() == with_value).count();
            put(out, run as u64);
            rest = rest.get(run..).unwrap_or_default();
            with_value = !with_value;
        }
    }
    let told = if one_value { 1 } else { values.len() };
    match scale {
        None => there().take(told).for_each(|value| out.extend_from_slice(&value.to_bits().to_le_bytes())),
        Some(scale) => {
            let mut before = 0;
            for integer in there().take(told).filter_map(|value| decimal::to_integer(value, scale)) {
                put(out, zigzag(integer - before));
                before = integer;
            }
        }
    }
}

fn read_values(reader: &mut Reader<'_>, slots: usize) -> Result<Vec<Option<f64>>, Error> {
    let [mode] = *reader.bytes(1, "mode")? else { return Err(Error::Malformed("mode")) };
    if mode & !(SCALE_BITS | EVERY_SLOT | ONE_VALUE) != 0 {
        return Err(Error::Malformed("mode"));
    }
    let mut next = values_of(reader.clone(), mode & SCALE_BITS)?;
    let runs = if mode & EVERY_SLOT == 0 { read_runs(&mut next.reader, slots)? } else { vec![slots] };
    let mut values = Vec::with_capacity(slots);
    let mut one = None;
    for (at, run) in runs.into_iter().enumerate() {
        for _ in 0..run {
            values.push(match (at % 2, one) {
                (1, _) => None,
                (_, Some(value)) => Some(value),
                _ => Some(next.value()?),
            });
            one = one.or(values.last().copied().flatten().filter(|_| mode & ONE_VALUE != 0));
        }
    }
    *reader = next.reader;
    Ok(values)
}

/// Reads alternating run lengths, beginning with values, until all slots are covered.
fn read_runs(reader: &mut Reader<'_>, slots: usize) -> Result<Vec<usize>, Error> {
    let mut runs = Vec::new();
    let mut left = slots;
    while left > 0 {
        let run = reader.below(left as u64 + 1, "runs")? as usize;
        if run == 0 && !runs.is_empty() {
            return Err(Error::Malformed("runs"));
        }
        left -= run;
        runs.push(run);
    }
    Ok(runs)
}

/// Iterates over the values of a series.
struct Values<'a> {
    reader: Reader<'a>,
    scale: Option<u8>,
    before: i64,
}

fn values_of(reader: Reader<'_>, scale: u8) -> Result<Values<'_>, Error> {
    match scale {
        0..=MAX_SCALE => Ok(Values { reader, scale: Some(scale), before: 0 }),
        DOUBLES => Ok(Values { reader, scale: None, before: 0 }),
        _ => Err(Error::Malformed("scale")),
    }
}

impl Values<'_> {
    fn value(&mut self) -> Result<f64, Malformed> {
        let Some(scale) = self.scale else {
            let bits = self.reader.bytes(8, "values")?.first_chunk().ok_or(Malformed("values"))?;
            return Ok(f64::from_bits(u64::from_le_bytes(*bits)));
        };
        let difference = unzigzag(self.reader.number("values")?);
        let integer = self.before.checked_add(difference).filter(|integer| integer.abs() <= MAX_INTEGER);
        self.before = integer.ok_or(Malformed("values"))?;
        Ok(decimal::from_integer(self.before, scale))
    }
}

/// Reads everything before the metrics.
fn read_head(identity: Identity, reader: &mut Reader<'_>) -> Result<SystemBatch, Error> {
    let start_s = reader.below(END_OF_TIME_S, "start")?;
    let interval_s = reader.below(MAX_INTERVAL_S + 1, "interval")? as u32;
    let slots = reader.below(u64::from(MAX_SLOTS) + 1, "slots")? as u32;
    let evicted = read_evicted(reader)?;
    let head = SystemBatch { identity, start_s, interval_s, slots, evicted, series: Vec::new() };
    head.check()?;
    Ok(head)
}

/// Reads the series without values.
fn read_names(reader: &mut Reader<'_>) -> Result<Vec<Series>, Error> {
    let metrics = reader.count(MAX_SERIES, "metrics")?;
    let mut lengths = Vec::with_capacity(metrics);
    let mut total = 0;
    for _ in 0..metrics {
        let length = reader.below(MAX_METRIC_BYTES as u64 + 1, "metric length")? as usize;
        let series = reader.count(MAX_SERIES, "series of a metric")?;
        total += series;
        lengths.push((length, series));
    }
    if total > MAX_SERIES {
        return Err(Error::Bound("series", MAX_SERIES));
    }
    let labels: Result<Vec<usize>, Malformed> =
        (0..total).map(|_| reader.below(MAX_LABEL_BYTES as u64 + 1, "label length").map(|length| length as usize)).collect();
    let labels = labels?;
    let mut series = Vec::with_capacity(total);
    for (length, count) in lengths {
        let metric = text(reader, length, "metric")?;
        series.extend((0..count).map(|_| Series { metric: metric.clone(), label: String::new(), values: Vec::new() }));
    }
    for (series, length) in series.iter_mut().zip(labels) {
        series.label = text(reader, length, "label")?;
    }
    Ok(series)
}

fn text(reader: &mut Reader<'_>, length: usize, what: &'static str) -> Result<String, Error> {
    std::str::from_utf8(reader.bytes(length, what)?).map(str::to_owned).map_err(|_| Error::Malformed(what))
}

#[cfg(test)]
#[path = "system_tests.rs"]
mod tests;
