//! The format of a batch, version 1.
//!
//! ```text
//! header   magic "ZPBT" · version u8 · server_id u32 · epoch u64 · seq u64 ·
//!          body_bytes u32 · checksum u32               (little endian, 33 bytes)
//! body     one zstd frame of body_bytes bytes of numbers (LEB128) and text:
//!   interval   start_s · interval_s · covered from · until   (ms after start)
//!   counters   count · (number, value) by number, rising
//!   evicted    0, or batches · from_s · until_s - from_s
//!   records    count · length of each name · type of each · the names' text
//!   rows       count · then column by column:
//!              record (difference to the row before) · kind · hits ·
//!              last_ms · last_ms - first_ms
//! ```
//!
//! The header is the same for all messages (`envelope.rs`).

use crate::bounds::{END_OF_TIME_S, MAX_COUNTER, MAX_COUNTERS, MAX_HITS, MAX_INTERVAL_S, is_in_time};
use crate::envelope::{self, VERSION, put_evicted, read_evicted};
use crate::{Batch, Counters, Coverage, Error, Records, Row};
use std::io::{self, Write};
use zonepulse_codec::{Reader, put};
use zonepulse_dns::{MessageKind, name};
use zonepulse_model::Identity;

/// Maximum number of records in a batch.
pub const MAX_RECORDS: usize = 1 << 20;
/// Maximum number of rows in a batch.
pub const MAX_ROWS: usize = 1 << 22;

/// The name for hits that did not fit in a probe's table: alone for the server, or followed by a
/// space and a zone's name.
pub const OTHER: &str = "<other>";

/// Zstandard's fastest regular level: names compress well at any level.
const LEVEL: i32 = 1;
/// Maximum length of a record's name: that of folded hits of a zone.
const MAX_NAME_BYTES: usize = OTHER.len() + 1 + name::MAX_TEXT;
/// How much of a body to buffer before compressing it.
const CHUNK_BYTES: usize = 64 << 10;

impl Batch {
    /// Encodes the batch.
    ///
    /// Fails with [`Error::Bound`] if the batch has more records, rows or bytes than the format
    /// allows, which its creator must prevent. Counters beyond [`MAX_COUNTER`], and losses beyond
    /// their limit, are written as the limit.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        if self.records.len() > MAX_RECORDS {
            return Err(Error::Bound("records", MAX_RECORDS));
        }
        if self.rows.len() > MAX_ROWS {
            return Err(Error::Bound("rows", MAX_ROWS));
        }
        let out = envelope::begin(VERSION, &self.identity, self.size_bytes() / 4);
        let packer = zstd::stream::write::Encoder::new(out, LEVEL).map_err(|_| Error::Malformed("body"))?;
        let (packer, body_bytes) = self.write_body(packer).map_err(|_| Error::Malformed("body"))?;
        let out = packer.finish().map_err(|_| Error::Malformed("body"))?;
        envelope::finish(out, body_bytes)
    }

    /// Writes the body, and returns its length in bytes.
    fn write_body<W: Write>(&self, out: W) -> io::Result<(W, usize)> {
        let mut out = Body { chunk: Vec::with_capacity(CHUNK_BYTES), bytes: 0, out };
        out.put(self.start_s)?;
        out.put(u64::from(self.interval_s))?;
        out.put(self.coverage.from_ms.saturating_sub(self.start_ms()))?;
        out.put(self.coverage.until_ms.saturating_sub(self.start_ms()))?;
        out.put(self.counters.iter().len() as u64)?;
        for (number, value) in self.counters.iter() {
            out.put(u64::from(number))?;
            out.put(value.min(MAX_COUNTER))?;
        }
        put_evicted(&mut out.chunk, self.evicted);
        out.put(self.records.len() as u64)?;
        self.records.iter().try_for_each(|(name, _)| out.put(name.len() as u64))?;
        self.records.iter().try_for_each(|(_, record_type)| out.put(u64::from(record_type.value())))?;
        self.records.iter().try_for_each(|(name, _)| out.text(name))?;
        out.put(self.rows.len() as u64)?;
        let mut before = 0;
        for row in &self.rows {
            out.put(u64::from(row.record.saturating_sub(before)))?;
            before = row.record;
        }
        self.rows.iter().try_for_each(|row| out.put(u64::from(row.kind.number())))?;
        self.rows.iter().try_for_each(|row| out.put(row.hits))?;
        self.rows.iter().try_for_each(|row| out.put(u64::from(row.last_ms)))?;
        self.rows.iter().try_for_each(|row| out.put(u64::from(row.last_ms.saturating_sub(row.first_ms))))?;
        out.finish()
    }

    /// Decodes a batch, and validates all invariants documented in [`Batch`].
    pub fn decode(bytes: &[u8]) -> Result<Batch, Error> {
        envelope::open(bytes, VERSION)?.unpack(read_body)
    }

    /// Decodes a batch without its records and rows, which stay empty: reading what a large batch
    /// reports costs no more than for a small one.
    pub fn decode_head(bytes: &[u8]) -> Result<Batch, Error> {
        let (identity, head) = envelope::open(bytes, VERSION)?.unpack_head()?;
        read_head(identity, &mut Reader::new(&head))
    }
}

/// A body being compressed chunk by chunk, so that a large batch is not in memory a second time.
struct Body<W> {
    chunk: Vec<u8>,
    bytes: usize,
    out: W,
}

impl<W: Write> Body<W> {
    #[inline]
    fn put(&mut self, value: u64) -> io::Result<()> {
        put(&mut self.chunk, value);
        if self.chunk.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        self.chunk.extend_from_slice(text.as_bytes());
        if self.chunk.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.bytes += self.chunk.len();
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<(W, usize)> {
        self.flush()?;
        Ok((self.out, self.bytes))
    }
}

fn read_body(identity: Identity, reader: &mut Reader<'_>) -> Result<Batch, Error> {
    let mut batch = read_head(identity, reader)?;
    batch.records = read_records(reader)?;
    batch.rows = read_rows(reader, batch.records.len() as u64, batch.interval_ms())?;
    Ok(batch)
}

/// Reads everything before the records.
fn read_head(identity: Identity, reader: &mut Reader<'_>) -> Result<Batch, Error> {
    if identity.server_id.get() == 0 {
        return Err(Error::Malformed("server id"));
    }
    let start_s = reader.below(END_OF_TIME_S, "start")?;
    let interval_s = reader.below(MAX_INTERVAL_S + 1, "interval")?;
    if !is_in_time(start_s, interval_s) {
        return Err(Error::Malformed("start"));
    }
    if interval_s == 0 || !start_s.is_multiple_of(interval_s) {
        return Err(Error::Malformed("interval"));
    }
    let interval_ms = interval_s * 1000;
    let from = reader.below(interval_ms + 1, "coverage")?;
    let until = reader.below(interval_ms + 1, "coverage")?;
    if from > until {
        return Err(Error::Malformed("coverage"));
    }
    let counters = read_counters(reader)?;
    let evicted = read_evicted(reader)?;
    Ok(Batch {
        identity,
        start_s,
        interval_s: interval_s as u32,
        coverage: Coverage { from_ms: start_s * 1000 + from, until_ms: start_s * 1000 + until },
        counters,
        evicted,
        records: Records::new(),
        rows: Vec::new(),
    })
}

fn read_counters(reader: &mut Reader<'_>) -> Result<Counters, Error> {
    let mut counters = Counters::new();
    let mut least = 0;
    for _ in 0..reader.count(MAX_COUNTERS, "counters")? {
        let number = reader.below(1 << 16, "counters")?;
        if number < least {
            return Err(Error::Malformed("order of counters"));
        }
        least = number + 1;
        counters.add_number(number as u16, reader.below(MAX_COUNTER + 1, "counters")?);
    }
    Ok(counters)
}

fn read_records(reader: &mut Reader<'_>) -> Result<Records, Error> {
    let count = reader.count(MAX_RECORDS, "records")?;
    let mut ends = Vec::with_capacity(count);
    let mut end = 0u32;
    for _ in 0..count {
        // Neither exceeds what is there, nor can the maximum number of names exceed 32 bits.
        end += reader.below(MAX_NAME_BYTES as u64 + 1, "name length")? as u32;
        ends.push(end);
    }
    let mut types = Vec::with_capacity(count);
    for _ in 0..count {
        types.push(reader.below(1 << 16, "type")? as u16);
    }
    let text = std::str::from_utf8(reader.bytes(end as usize, "name")?).map_err(|_| Error::Malformed("name"))?;
    // Nearly always all are plain; otherwise check each.
    let plain = name::are_plainly_canonical(text, &ends);
    let records = Records::of(text.to_owned(), ends, types).ok_or(Error::Malformed("name"))?;
    if plain || records.iter().all(|(name, _)| name::is_canonical(name) || is_folded(name)) {
        Ok(records)
    } else {
        Err(Error::Malformed("name"))
    }
}

/// Whether this is the name of folded hits: [`OTHER`], alone or before a zone's canonical name. No
/// canonical name looks like that: they end with a dot, and spaces in them are escaped.
fn is_folded(text: &str) -> bool {
    text.strip_prefix(OTHER).is_some_and(|zone| zone.is_empty() || zone.strip_prefix(' ').is_some_and(name::is_canonical))
}

fn read_rows(reader: &mut Reader<'_>, records: u64, interval_ms: u64) -> Result<Vec<Row>, Error> {
    let count = reader.count(MAX_ROWS, "rows")?;
    // Side by side, so that the columns do not wait for each other.
    let mut column = |what| reader.column(count, what);
    let mut differences = column("record")?;
    let mut kinds = column("kind")?;
    let mut hits = column("hits")?;
    let mut lasts = column("last access")?;
    let mut firsts = column("first access")?;
    let mut rows = Vec::with_capacity(count);
    let mut record = 0u64;
    let mut next_place = 0;
    let mut hits_left = MAX_HITS;
    for _ in 0..count {
        record += differences.below(records, "record")?;
        if record >= records {
            return Err(Error::Malformed("record"));
        }
        let number = kinds.below(u64::from(MessageKind::COUNT), "kind")?;
        let kind = MessageKind::from_number(number as u16).ok_or(Error::Malformed("kind"))?;
        let place = record << 16 | number;
        if place < next_place {
            return Err(Error::Malformed("order of rows"));
        }
        next_place = place + 1;
        let hits = hits.number("hits")?;
        if hits == 0 {
            return Err(Error::Malformed("hits"));
        }
        hits_left = hits_left.checked_sub(hits).ok_or(Error::Bound("hits", MAX_HITS as usize))?;
        let last_ms = lasts.below(interval_ms, "last access")?;
        let first_ms = last_ms - firsts.below(last_ms + 1, "first access")?;
        rows.push(Row { record: record as u32, kind, hits, first_ms: first_ms as u32, last_ms: last_ms as u32 });
    }
    Ok(rows)
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
