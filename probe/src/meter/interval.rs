//! One interval: its table, and how it becomes a batch.

use crate::observe::Hit;
use crate::tally::{Contents, Sum, Table};
use std::collections::BTreeMap;
use zonepulse_dns::RecordType;
use zonepulse_wire::{Counter, Records, Row};

/// An open interval: its hits and counters.
#[derive(Debug)]
pub(super) struct Interval {
    pub(super) start_ms: u64,
    pub(super) table: Table,
    pub(super) counts: [u64; Counter::NUMBERS],
}

impl Interval {
    #[inline]
    pub(super) fn add(&mut self, number: u16, count: u64) {
        if let Some(sum) = self.counts.get_mut(usize::from(number)) {
            *sum = sum.saturating_add(count);
        }
    }

    #[inline]
    pub(super) fn hit(&mut self, hit: &Hit<'_>) {
        self.add(Counter::MessagesSeen.number(), 1);
        self.table.add(hit);
    }

    /// Number of messages counted.
    pub(super) fn hits(&mut self) -> u64 {
        let contents = self.table.contents();
        let of_records = contents.entries().flat_map(|entry| entry.sums().map(|(_, sum)| sum.hits).collect::<Vec<_>>());
        of_records.chain(contents.other().iter().map(|(_, _, sum)| sum.hits)).sum()
    }
}

/// Converts a table to the records and rows of a batch. Undated hits are dated to the interval's
/// start.
pub(super) fn rows(table: Contents<'_>, start_ms: u64) -> (Records, Vec<Row>) {
    let offset = |time_ms: u64| u32::try_from(time_ms.saturating_sub(start_ms)).unwrap_or(u32::MAX);
    let row = |record, (kind, sum): (_, Sum)| Row {
        record,
        kind,
        hits: sum.hits,
        first_ms: offset(sum.first_ms),
        last_ms: offset(sum.last_ms),
    };
    let mut records = Records::new();
    let mut rows = Vec::with_capacity(table.entries().count() * 2);
    let mut sums = BTreeMap::new();
    let mut name = String::new();
    for entry in table.entries() {
        name.clear();
        entry.push_name(&mut name);
        let record = records.push(&name, entry.record_type());
        sums.clear();
        sums.extend(entry.sums());
        rows.extend(sums.iter().map(|(kind, sum)| row(record, (*kind, *sum))));
    }
    for sums in table.other().chunk_by(|(one, ..), (other, ..)| one == other) {
        let Some((other, ..)) = sums.first() else { continue };
        name.clear();
        other.push_name(&mut name);
        let record = records.push(&name, RecordType::new(0));
        rows.extend(sums.iter().map(|(_, kind, sum)| row(record, (*kind, *sum))));
    }
    (records, rows)
}
