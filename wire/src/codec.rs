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
//! The checksum is the CRC-32 (IEEE) of everything else. The header stays
//! readable in every version up to its `seq`, so that whoever holds a batch
//! that it cannot read can still say whose it is.

use crate::{Batch, Counters, Coverage, Evicted, Identity, Records, Row};
use std::io::{self, Read, Write};
use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_dns::{MessageKind, RecordType, name};

/// The version that [`Batch::encode`] writes.
pub const VERSION: u8 = 1;
/// No encoded batch is larger, bytes.
pub const MAX_ENCODED_BYTES: usize = 16 << 20;
/// No batch is larger before compression, bytes.
pub const MAX_BODY_BYTES: usize = 64 << 20;
/// No batch has more records.
pub const MAX_RECORDS: usize = 1 << 20;
/// No batch has more rows.
pub const MAX_ROWS: usize = 1 << 22;

/// The name of what overflowed a probe's table: alone for the server, or before a
/// space and a zone's name.
pub const OTHER: &str = "<other>";

const MAGIC: &[u8; 4] = b"ZPBT";
const HEADER_BYTES: usize = 33;
const CHECKSUM_AT: usize = 29;
const MAX_INTERVAL_S: u64 = 3600;
/// Zstandard's fastest ordinary level: names compress well at any.
const LEVEL: i32 = 1;
/// The longest name of a record: that of what overflowed in a zone.
const MAX_NAME_BYTES: usize = OTHER.len() + 1 + name::MAX_TEXT;
/// How much of a body is put together before it is compressed.
const CHUNK_BYTES: usize = 64 << 10;
/// More than every counter takes, and the rest before the records.
const MAX_HEAD_BYTES: u64 = 1 << 20;

impl Batch {
    /// The batch as bytes.
    ///
    /// Fails with [`Error::Bound`] when the batch is past a bound of the
    /// format; whoever builds batches keeps within them.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        if self.records.len() > MAX_RECORDS {
            return Err(Error::Bound("records", MAX_RECORDS));
        }
        if self.rows.len() > MAX_ROWS {
            return Err(Error::Bound("rows", MAX_ROWS));
        }
        let mut out = Vec::with_capacity(HEADER_BYTES + self.size_bytes() / 4);
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        out.extend_from_slice(&self.identity.server_id.to_le_bytes());
        out.extend_from_slice(&self.identity.epoch.to_le_bytes());
        out.extend_from_slice(&self.identity.seq.to_le_bytes());
        // What it counts to, and the checksum, is known at the end.
        out.resize(HEADER_BYTES, 0);
        let packer = zstd::stream::write::Encoder::new(out, LEVEL).map_err(|_| Error::Malformed("body"))?;
        let (packer, body_bytes) = self.write_body(packer).map_err(|_| Error::Malformed("body"))?;
        let mut out = packer.finish().map_err(|_| Error::Malformed("body"))?;
        if body_bytes > MAX_BODY_BYTES {
            return Err(Error::Bound("bytes before compression", MAX_BODY_BYTES));
        }
        if out.len() > MAX_ENCODED_BYTES {
            return Err(Error::Bound("bytes", MAX_ENCODED_BYTES));
        }
        let (header, packed) = out.split_at_mut_checked(HEADER_BYTES).ok_or(Error::Malformed("header"))?;
        let (head, sum) = header.split_at_mut_checked(CHECKSUM_AT).ok_or(Error::Malformed("header"))?;
        if let Some(room) = head.last_chunk_mut() {
            *room = (body_bytes as u32).to_le_bytes();
        }
        sum.copy_from_slice(&checksum(head, packed).to_le_bytes());
        Ok(out)
    }

    /// Writes the body, and gives how many bytes it has.
    fn write_body<W: Write>(&self, out: W) -> io::Result<(W, usize)> {
        let mut out = Body { chunk: Vec::with_capacity(CHUNK_BYTES), bytes: 0, out };
        out.put(self.start_s)?;
        out.put(u64::from(self.interval_s))?;
        out.put(self.coverage.from_ms.saturating_sub(self.start_ms()))?;
        out.put(self.coverage.until_ms.saturating_sub(self.start_ms()))?;
        out.put(self.counters.iter().len() as u64)?;
        for (number, value) in self.counters.iter() {
            out.put(u64::from(number))?;
            out.put(value)?;
        }
        match self.evicted {
            None => out.put(0)?,
            Some(evicted) => {
                out.put(evicted.batches)?;
                out.put(evicted.from_s)?;
                out.put(evicted.until_s.saturating_sub(evicted.from_s))?;
            }
        }
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

    /// Reads a batch and checks everything that [`Batch`] promises of its fields.
    pub fn decode(bytes: &[u8]) -> Result<Batch, Error> {
        let (identity, body_bytes, packed) = open(bytes)?;
        let body = zstd::bulk::decompress(packed, body_bytes).map_err(|_| Error::Malformed("body"))?;
        if body.len() != body_bytes {
            return Err(Error::Malformed("body"));
        }
        let mut reader = Reader::new(&body);
        let batch = read_body(identity, &mut reader)?;
        if reader.is_empty() { Ok(batch) } else { Err(Error::Malformed("end")) }
    }

    /// Reads all of a batch but its records and rows, of which it gives none: what a
    /// large batch reports costs no more to know than what a small one does.
    pub fn decode_head(bytes: &[u8]) -> Result<Batch, Error> {
        let (identity, _, packed) = open(bytes)?;
        let mut head = Vec::new();
        let unpacker = zstd::stream::read::Decoder::with_buffer(packed).map_err(|_| Error::Malformed("body"))?;
        unpacker.take(MAX_HEAD_BYTES).read_to_end(&mut head).map_err(|_| Error::Malformed("body"))?;
        read_head(identity, &mut Reader::new(&head))
    }
}

/// A body on its way through the compressor, a chunk at a time: so that a large
/// batch is not in memory a second time.
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

/// Checks the header: whose batch it is, how many bytes its body has, and the packed body.
fn open(bytes: &[u8]) -> Result<(Identity, usize, &[u8]), Error> {
    let identity = peek_identity(bytes)?;
    let version = bytes.get(4).copied().unwrap_or_default();
    if version != VERSION {
        return Err(Error::UnknownVersion { found: version, known: VERSION });
    }
    if bytes.len() > MAX_ENCODED_BYTES {
        return Err(Error::Bound("bytes", MAX_ENCODED_BYTES));
    }
    let (header, packed) = bytes.split_at_checked(HEADER_BYTES).ok_or(Error::Malformed("header"))?;
    let (head, sum) = header.split_at_checked(CHECKSUM_AT).ok_or(Error::Malformed("header"))?;
    if sum != checksum(head, packed).to_le_bytes() {
        return Err(Error::Checksum);
    }
    let body_bytes = u32::from_le_bytes(array(head, 25)?) as usize;
    if body_bytes > MAX_BODY_BYTES {
        return Err(Error::Bound("bytes before compression", MAX_BODY_BYTES));
    }
    Ok((identity, body_bytes, packed))
}

/// Whose batch this is, in any version of the format.
pub fn peek_identity(bytes: &[u8]) -> Result<Identity, Error> {
    if bytes.get(..4) != Some(MAGIC) {
        return Err(Error::NotABatch);
    }
    Ok(Identity {
        server_id: u32::from_le_bytes(array(bytes, 5)?),
        epoch: u64::from_le_bytes(array(bytes, 9)?),
        seq: u64::from_le_bytes(array(bytes, 17)?),
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Error> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(Error::Malformed("header"))
}

fn checksum(head: &[u8], packed: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(packed);
    hasher.finalize()
}

fn read_body(identity: Identity, reader: &mut Reader<'_>) -> Result<Batch, Error> {
    let mut batch = read_head(identity, reader)?;
    batch.records = read_records(reader)?;
    batch.rows = read_rows(reader, batch.records.len() as u64, batch.interval_ms())?;
    Ok(batch)
}

/// All before the records.
fn read_head(identity: Identity, reader: &mut Reader<'_>) -> Result<Batch, Error> {
    if identity.server_id == 0 {
        return Err(Error::Malformed("server id"));
    }
    let start_s = reader.below(1 << 40, "start")?;
    let interval_s = reader.below(MAX_INTERVAL_S + 1, "interval")?;
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
    for _ in 0..reader.count(usize::from(u16::MAX), "counters")? {
        let number = reader.below(1 << 16, "counters")? as u16;
        counters.add_number(number, reader.number("counters")?);
    }
    Ok(counters)
}

fn read_evicted(reader: &mut Reader<'_>) -> Result<Option<Evicted>, Error> {
    let batches = reader.number("evicted")?;
    if batches == 0 {
        return Ok(None);
    }
    let from_s = reader.below(1 << 40, "evicted")?;
    let until_s = from_s + reader.below(1 << 40, "evicted")?;
    Ok(Some(Evicted { batches, from_s, until_s }))
}

fn read_records(reader: &mut Reader<'_>) -> Result<Records, Error> {
    let count = reader.count(MAX_RECORDS, "records")?;
    let lengths: Vec<usize> = read_column(reader, count, MAX_NAME_BYTES as u64 + 1, "name length")?;
    let types: Vec<usize> = read_column(reader, count, 1 << 16, "type")?;
    let mut records = Records::new();
    for (length, record_type) in lengths.into_iter().zip(types) {
        let text = std::str::from_utf8(reader.bytes(length, "name")?).map_err(|_| Error::Malformed("name"))?;
        if !name::is_canonical(text) && !is_folded(text) {
            return Err(Error::Malformed("name"));
        }
        records.push(text, RecordType::new(record_type as u16));
    }
    Ok(records)
}

/// What overflowed a probe's table: [`OTHER`] before a zone's canonical name, or
/// alone for the server. No canonical name is written so: it ends with a dot, and
/// a space in it is escaped.
fn is_folded(text: &str) -> bool {
    text.strip_prefix(OTHER).is_some_and(|zone| zone.is_empty() || zone.strip_prefix(' ').is_some_and(name::is_canonical))
}

fn read_column(reader: &mut Reader<'_>, count: usize, bound: u64, what: &'static str) -> Result<Vec<usize>, Malformed> {
    (0..count).map(|_| reader.below(bound, what).map(|value| value as usize)).collect()
}

fn read_rows(reader: &mut Reader<'_>, records: u64, interval_ms: u64) -> Result<Vec<Row>, Error> {
    let count = reader.count(MAX_ROWS, "rows")?;
    let mut rows = Vec::with_capacity(count);
    let mut record = 0u64;
    for _ in 0..count {
        record += reader.below(records, "record")?;
        if record >= records {
            return Err(Error::Malformed("record"));
        }
        rows.push(Row { record: record as u32, kind: MessageKind::REQUEST, hits: 0, first_ms: 0, last_ms: 0 });
    }
    for row in &mut rows {
        let number = reader.below(u64::from(MessageKind::COUNT), "kind")? as u16;
        row.kind = MessageKind::from_number(number).ok_or(Error::Malformed("kind"))?;
    }
    if !rows.is_sorted_by(|a, b| (a.record, a.kind) < (b.record, b.kind)) {
        return Err(Error::Malformed("order of rows"));
    }
    for row in &mut rows {
        row.hits = reader.number("hits")?;
        if row.hits == 0 {
            return Err(Error::Malformed("hits"));
        }
    }
    for row in &mut rows {
        row.last_ms = reader.below(interval_ms, "last access")? as u32;
    }
    for row in &mut rows {
        row.first_ms = row.last_ms - reader.below(u64::from(row.last_ms) + 1, "first access")? as u32;
    }
    Ok(rows)
}

/// Why bytes are no batch, or a batch has no bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes do not begin as a batch of any version does.
    #[error("not a Zonepulse batch")]
    NotABatch,
    /// A newer probe, or a much older one. The batch may be good: keep it, and
    /// update the side that is behind.
    #[error("batch of format version {found}; this program reads version {known}: update the older of the two")]
    UnknownVersion {
        /// The version of the batch.
        found: u8,
        /// The version that this program reads.
        known: u8,
    },
    /// The bytes are not those that were written.
    #[error("the batch's checksum does not match: it was damaged on its way")]
    Checksum,
    /// A part of the batch says what cannot be.
    #[error("malformed batch: {0}")]
    Malformed(&'static str),
    /// More of something than the format allows.
    #[error("the batch has more than {1} {0}")]
    Bound(&'static str, usize),
}

impl From<Malformed> for Error {
    fn from(Malformed(what): Malformed) -> Self {
        Error::Malformed(what)
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
