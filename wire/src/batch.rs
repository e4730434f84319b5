//! A batch and its parts.

use crate::Counters;
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_model::{Evicted, Identity};

/// The sums of one interval on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Identifies the batch.
    pub identity: Identity,
    /// Start of the interval, Unix seconds, a multiple of `interval_s`. It ends before [`END_OF_TIME_S`](crate::END_OF_TIME_S).
    pub start_s: u64,
    /// Length of the interval, seconds, 1 to 3600.
    pub interval_s: u32,
    /// The part of the interval in which the probe was listening.
    pub coverage: Coverage,
    /// Everything seen or lost besides the rows.
    pub counters: Counters,
    /// Batches that the probe discarded since its previous batch, if any.
    pub evicted: Option<Evicted>,
    /// The records that rows refer to.
    pub records: Records,
    /// Hits per record and kind, ordered by (record, kind) without duplicates; all hits together
    /// are at most [`MAX_HITS`](crate::MAX_HITS).
    pub rows: Vec<Row>,
}

/// The part of an interval in which a probe was listening, Unix milliseconds,
/// from inclusive, until exclusive. Both lie within the interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coverage {
    /// Start of coverage.
    pub from_ms: u64,
    /// End of coverage.
    pub until_ms: u64,
}

/// The hits of one record and kind in the interval: messages, or responses in which the record was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Index into the batch's records.
    pub record: u32,
    /// What is counted.
    pub kind: MessageKind,
    /// Number of messages; not 0.
    pub hits: u64,
    /// Time of the first, milliseconds after the interval's start.
    pub first_ms: u32,
    /// Time of the last, milliseconds after the interval's start, less than the interval's length.
    pub last_ms: u32,
}

/// A list of records: canonical names concatenated in one string, and types.
///
/// One string rather than thousands, because a batch is built, sent and read every minute, and its
/// names are read once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    text: String,
    ends: Vec<u32>,
    types: Vec<u16>,
}

impl Records {
    /// An empty list.
    pub const fn new() -> Self {
        Records { text: String::new(), ends: Vec::new(), types: Vec::new() }
    }

    /// Builds a list from decoded parts; none if a name ends inside a character.
    pub(crate) fn of(text: String, ends: Vec<u32>, types: Vec<u16>) -> Option<Self> {
        ends.iter().all(|end| text.is_char_boundary(*end as usize)).then_some(Records { text, ends, types })
    }

    /// Adds a record and returns its index.
    pub fn push(&mut self, name: &str, record_type: RecordType) -> u32 {
        let number = self.len() as u32;
        self.text.push_str(name);
        self.ends.push(self.text.len() as u32);
        self.types.push(record_type.value());
        number
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// The name and type of a record by its index.
    pub fn get(&self, number: u32) -> Option<(&str, RecordType)> {
        let at = number as usize;
        let (end, record_type) = (*self.ends.get(at)?, *self.types.get(at)?);
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        Some((self.text.get(start as usize..end as usize)?, RecordType::new(record_type)))
    }

    /// Names and types in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, RecordType)> + '_ {
        let mut start = 0;
        self.ends.iter().zip(&self.types).map(move |(&end, &record_type)| {
            let end = end as usize;
            let name = self.text.get(start..end).unwrap_or_default();
            start = end;
            (name, RecordType::new(record_type))
        })
    }
}

impl Batch {
    /// Number of messages counted.
    pub fn hits(&self) -> u64 {
        self.rows.iter().filter(|row| row.kind.is_message()).map(|row| row.hits).fold(0, u64::saturating_add)
    }

    /// Size in memory, bytes.
    pub fn size_bytes(&self) -> usize {
        let Records { text, ends, types } = &self.records;
        size_of::<Batch>() + text.len() + size_of_val(&**ends) + size_of_val(&**types) + size_of_val(&*self.rows)
    }

    /// Start of the interval, Unix milliseconds.
    pub fn start_ms(&self) -> u64 {
        self.start_s.saturating_mul(1000)
    }

    /// Length of the interval, milliseconds.
    pub fn interval_ms(&self) -> u64 {
        u64::from(self.interval_s) * 1000
    }
}
