//! One interval: its tables, and how they become a batch.

use crate::memory::Budget;
use crate::observe::Hit;
use crate::served::{self, Outcome, Reader};
use crate::tally::{Contents, Sum, Table};
use std::collections::BTreeMap;
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_wire::{Counter, Records, Row};

/// What is counted in an interval.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) hits: Table,
    /// What responses served; of its own, so that it takes no room from the hits.
    pub(super) served: Table<served::Kind>,
}

impl Tables {
    pub(super) fn new(budget: &Budget) -> Self {
        Tables {
            hits: Table::new(budget.max_records, budget.max_name_octets),
            served: Table::new(budget.max_served_records, budget.max_served_name_octets),
        }
    }

    /// Tables for an interval that has no hits.
    pub(super) fn none() -> Self {
        Tables { hits: Table::new(0, 0), served: Table::new(0, 0) }
    }

    /// Ends an interval, keeping records.
    pub(super) fn close_interval(&mut self) {
        self.hits.close_interval();
        self.served.close_interval();
    }

    /// Begins the interval after another, which is still open.
    pub(super) fn follow(&mut self, other: &mut Tables) {
        self.hits.follow(&mut other.hits);
        self.served.follow(&mut other.served);
    }
}

/// An open interval: its hits and counters.
#[derive(Debug)]
pub(super) struct Interval {
    pub(super) start_ms: u64,
    pub(super) tables: Tables,
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
        self.tables.hits.add(hit);
    }

    /// Counts what a response served.
    pub(super) fn served(&mut self, hit: &Hit<'_>, reader: &mut Reader) {
        let table = &mut self.tables.served;
        let outcome = reader.read(hit, |credit| table.credit(credit, hit.time_ms));
        match outcome {
            Outcome::Read | Outcome::Apart => {}
            Outcome::Truncated => self.add(Counter::ServedTruncated.number(), 1),
            Outcome::Unreadable => self.add(Counter::ServedUnreadable.number(), 1),
        }
    }

    /// Number of messages counted.
    pub(super) fn hits(&mut self) -> u64 {
        let contents = self.tables.hits.contents();
        let of_records = contents.entries().flat_map(|entry| entry.sums().map(|(_, sum)| sum.hits).collect::<Vec<_>>());
        of_records.chain(contents.other().iter().map(|(_, _, sum)| sum.hits)).sum()
    }
}

/// Converts tables to the records and rows of a batch. Undated hits are dated to the interval's start.
pub(super) fn rows(hits: Contents<'_>, served: Contents<'_, served::Kind>, start_ms: u64) -> (Records, Vec<Row>) {
    let offset = |time_ms: u64| u32::try_from(time_ms.saturating_sub(start_ms)).unwrap_or(u32::MAX);
    let row = |record, (kind, sum): (_, Sum)| Row {
        record,
        kind,
        hits: sum.hits,
        first_ms: offset(sum.first_ms),
        last_ms: offset(sum.last_ms),
    };
    let mut records = Records::new();
    let mut rows = Vec::with_capacity(hits.entries().count() * 2 + served.entries().count());
    let mut sums = BTreeMap::new();
    let mut name = String::new();
    for entry in hits.entries() {
        name.clear();
        entry.push_name(&mut name);
        let record = records.push(&name, entry.record_type());
        sums.clear();
        sums.extend(entry.sums());
        rows.extend(sums.iter().map(|(kind, sum)| row(record, (*kind, *sum))));
    }
    // A record that was both asked and served is there twice: the second time costs a few octets when compressed. What was
    // served and did not fit is only counted.
    for entry in served.entries() {
        name.clear();
        entry.push_name(&mut name);
        let record = records.push(&name, entry.record_type());
        sums.clear();
        for (kind, sum) in entry.sums() {
            sums.entry(MessageKind::served(kind.class)).or_insert(Sum::NONE).merge(&sum);
        }
        rows.extend(sums.iter().map(|(kind, sum)| row(record, (*kind, *sum))));
    }
    for sums in hits.other().chunk_by(|(one, ..), (other, ..)| one == other) {
        let Some((other, ..)) = sums.first() else { continue };
        name.clear();
        other.push_name(&mut name);
        let record = records.push(&name, RecordType::new(0));
        rows.extend(sums.iter().map(|(_, kind, sum)| row(record, (*kind, *sum))));
    }
    (records, rows)
}
