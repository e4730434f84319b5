//! An open block: the points of one batch, stored in the family `open`.
//!
//! ```text
//! version u8 = 1 · interval_s · sections
//! section   kind · bytes of the rest of the section · rows ·
//!           record ids (the first, then differences, each at least 1) · hits · ages
//! ```
//!
//! Numbers are LEB128. Sections are sorted by kind, rows by record id. An age is the number of milliseconds from the
//! last access to the last millisecond of the interval. Its width in bytes depends on the interval's length (two for a
//! minute). Ages are stored in byte planes, lowest bytes first: the high plane compresses well, and the low one is
//! noise anyway.
//!
//! Each kind has its own section, so a query for requests alone skips the rest.

use crate::intake::Intake;
use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_dns::MessageKind;
use zonepulse_model::RecordId;

pub(crate) const VERSION: u8 = 1;

/// A point of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub record_id: RecordId,
    pub hits: u64,
    /// The last access, in Unix milliseconds.
    pub last_ms: u64,
}

/// Encodes an arranged intake as a block.
pub(crate) fn encode(intake: &Intake) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + intake.rows.len() * 5);
    out.push(VERSION);
    put(&mut out, u64::from(intake.interval_s));
    let last_of_interval_ms = last_ms_of(intake.start_s, intake.interval_s);
    let width = age_bytes(intake.interval_s);
    let mut body = Vec::with_capacity(intake.rows.len() * 5);
    for rows in intake.rows.chunk_by(|a, b| a.kind == b.kind) {
        let Some(first) = rows.first() else { continue };
        body.clear();
        put(&mut body, rows.len() as u64);
        let mut before = 0;
        for row in rows {
            put(&mut body, u64::from(row.record_id.get() - before));
            before = row.record_id.get();
        }
        rows.iter().for_each(|row| put(&mut body, row.hits));
        for plane in 0..width {
            body.extend(rows.iter().map(|row| ((last_of_interval_ms - row.last_ms) >> (8 * plane)) as u8));
        }
        put(&mut out, u64::from(first.kind.number()));
        put(&mut out, body.len() as u64);
        out.extend_from_slice(&body);
    }
    out
}

/// Reads a block one section at a time.
pub(crate) struct Sections<'a> {
    reader: Reader<'a>,
    /// Length of the interval, in seconds.
    pub interval_s: u32,
    last_of_interval_ms: u64,
}

/// The undecoded points of one kind.
pub(crate) struct Section<'a> {
    pub kind: MessageKind,
    bytes: &'a [u8],
    interval_s: u32,
    last_of_interval_ms: u64,
}

impl<'a> Sections<'a> {
    /// Starts reading a block with this start time.
    pub(crate) fn new(value: &'a [u8], start_s: u64) -> Result<Self, Malformed> {
        let (&version, rest) = value.split_first().ok_or(Malformed("block version"))?;
        if version != VERSION {
            return Err(Malformed("block version"));
        }
        let mut reader = Reader::new(rest);
        let interval_s = reader.below(3601, "interval")? as u32;
        if interval_s == 0 || start_s >= 1 << 40 {
            return Err(Malformed("interval"));
        }
        Ok(Sections { reader, interval_s, last_of_interval_ms: last_ms_of(start_s, interval_s) })
    }

    /// Returns the next section, or `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Section<'a>>, Malformed> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let number = self.reader.below(u64::from(MessageKind::COUNT), "kind")? as u16;
        let kind = MessageKind::from_number(number).ok_or(Malformed("kind"))?;
        let length = self.reader.number("section")? as usize;
        let bytes = self.reader.bytes(length, "section")?;
        Ok(Some(Section { kind, bytes, interval_s: self.interval_s, last_of_interval_ms: self.last_of_interval_ms }))
    }
}

impl Section<'_> {
    /// Appends the section's points, sorted by record.
    pub(crate) fn rows(&self, rows: &mut Vec<Row>) -> Result<(), Malformed> {
        let mut reader = Reader::new(self.bytes);
        let count = reader.count(self.bytes.len(), "rows")?;
        let mut differences = reader.column(count, "record id")?;
        let mut hits = reader.column(count, "hits")?;
        let mut planes = [&[][..]; 3];
        for plane in planes.iter_mut().take(age_bytes(self.interval_s)) {
            *plane = reader.bytes(count, "ages")?;
        }
        if !reader.is_empty() {
            return Err(Malformed("section"));
        }
        rows.reserve(count);
        let mut record_id = 0u64;
        for at in 0..count {
            let difference = differences.below(1 << 32, "record id")?;
            record_id += difference;
            if record_id > u64::from(u32::MAX) || (at > 0 && difference == 0) {
                return Err(Malformed("record id"));
            }
            let byte = |plane: &[u8]| u64::from(plane.get(at).copied().unwrap_or_default());
            let age = byte(planes[0]) | byte(planes[1]) << 8 | byte(planes[2]) << 16;
            let last_ms = self.last_of_interval_ms.checked_sub(age).ok_or(Malformed("ages"))?;
            rows.push(Row { record_id: RecordId::new(record_id as u32), hits: hits.number("hits")?, last_ms });
        }
        Ok(())
    }
}

fn last_ms_of(start_s: u64, interval_s: u32) -> u64 {
    (start_s + u64::from(interval_s)) * 1000 - 1
}

/// Returns the size of an age, in bytes.
fn age_bytes(interval_s: u32) -> usize {
    match u64::from(interval_s) * 1000 - 1 {
        0..0x1_0000 => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::IntakeRow;
    use proptest::prelude::*;
    use zonepulse_fixtures::extremes::{from_one_to, up_to};
    use zonepulse_model::{Identity, ServerId};

    fn intake(interval_s: u32, rows: Vec<IntakeRow>) -> Intake {
        let identity = Identity { server_id: ServerId::new(1), epoch: 2, seq: 3 };
        let (from, until) = (3_600_000, 3_600_000 + u64::from(interval_s) * 1000);
        let mut intake = Intake {
            identity,
            start_s: 3600,
            interval_s,
            covered_from_ms: from,
            covered_until_ms: until,
            counters: Vec::new(),
            loss: Default::default(),
            evicted: None,
            rows,
        };
        intake.arrange();
        assert_eq!(intake.broken_promise(), None);
        intake
    }

    fn row(record_id: u32, kind: u16, hits: u64, last_ms: u64) -> IntakeRow {
        IntakeRow {
            record_id: RecordId::new(record_id),
            kind: MessageKind::from_number(kind).unwrap(),
            hits,
            first_ms: 3_600_000,
            last_ms: 3_600_000 + last_ms,
        }
    }

    fn decoded(value: &[u8]) -> Vec<(MessageKind, Row)> {
        let mut sections = Sections::new(value, 3600).unwrap();
        let mut all = Vec::new();
        while let Some(section) = sections.next().unwrap() {
            let mut rows = Vec::new();
            section.rows(&mut rows).unwrap();
            all.extend(rows.into_iter().map(|row| (section.kind, row)));
        }
        all
    }

    #[test]
    fn version_1_stays_as_it_is_byte_for_byte() {
        let value = encode(&intake(60, vec![row(300, 1, 5, 59_999), row(2, 0, 1, 0), row(300, 0, 200, 59_000)]));
        assert_eq!(value, [1, 60, 0, 11, 2, 2, 170, 2, 1, 200, 1, 95, 231, 234, 3, 1, 6, 1, 172, 2, 5, 0, 0]);
    }

    #[test]
    fn points_of_one_record_and_kind_become_one() {
        let rows = vec![row(2, 0, 1, 10), row(1, 0, 1, 1), row(2, 0, 4, 5)];
        let points = decoded(&encode(&intake(60, rows)));
        assert_eq!(points.len(), 2);
        assert_eq!(points[1].1, Row { record_id: RecordId::new(2), hits: 5, last_ms: 3_600_010 });
    }

    /// Favors the first and last kinds, and those hits and record numbers that an encoder is likely to get wrong.
    fn any_intake() -> impl Strategy<Value = Intake> {
        let intervals = vec![1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 25, 30, 50, 60, 75, 100, 150, 300];
        prop::sample::select(intervals).prop_flat_map(|interval_s: u32| {
            let last_ms = u64::from(interval_s) * 1000 - 1;
            let kind = up_to(u64::from(MessageKind::COUNT - 1));
            let any_row = (up_to(u64::from(u32::MAX)), kind, from_one_to(u64::MAX), up_to(last_ms));
            prop::collection::vec(any_row, 0..60).prop_map(move |rows| {
                let row_of = |(id, kind, hits, last): (u64, u64, u64, u64)| row(id as u32, kind as u16, hits, last);
                intake(interval_s, rows.into_iter().map(row_of).collect())
            })
        })
    }

    proptest! {
        #[test]
        fn a_block_gives_back_its_points(intake in any_intake()) {
            let points = decoded(&encode(&intake));
            let expected: Vec<_> = intake.rows.iter().map(|row| (row.kind, Row { record_id: row.record_id, hits: row.hits, last_ms: row.last_ms })).collect();
            prop_assert_eq!(points, expected);
        }

        #[test]
        fn a_damaged_block_is_refused_or_read_but_never_panics(intake in any_intake(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut value = encode(&intake);
            *at.get_mut(&mut value) = byte;
            if let Ok(mut sections) = Sections::new(&value, 3600) {
                while let Ok(Some(section)) = sections.next() {
                    let _ = section.rows(&mut Vec::new());
                }
            }
        }
    }
}
