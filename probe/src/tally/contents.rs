//! Read access to a table for reports.

use super::name;
use super::zones::{self, Zones};
use super::{Kind, Record, Sum, Table};
use zonepulse_dns::{MessageKind, RecordType, name as dns_name};
use zonepulse_wire::OTHER;

/// The contents of a table.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'t, K = MessageKind> {
    table: &'t Table<K>,
}

/// A record of a table and its sums.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'t, K = MessageKind> {
    table: &'t Table<K>,
    record: &'t Record,
}

/// Folded hits, of a zone or of the whole server.
#[derive(Debug, Clone, Copy)]
pub struct Other<'t> {
    zones: &'t Zones,
    zone: zones::Number,
}

impl<'t, K: Kind> Contents<'t, K> {
    pub(super) fn new(table: &'t Table<K>) -> Self {
        Contents { table }
    }

    /// The records with hits, in order of first appearance.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'t, K>> + use<'t, K> {
        let table = self.table;
        table.records.iter().filter(|record| record.is_active()).map(move |record| Entry { table, record })
    }

    /// The sums of folded hits by zone, then kind; those of the server last.
    pub fn other(&self) -> Vec<(Other<'t>, K, Sum)> {
        let zones = &self.table.zones;
        let sums = zones.sums().into_iter();
        sums.filter_map(|(zone, kind, sum)| Some((Other { zones, zone }, K::from_number(kind)?, sum))).collect()
    }

    /// Number of hits that were folded.
    pub fn folded(&self) -> u64 {
        self.table.folded
    }

    /// Number of records evicted during this interval and at its start.
    pub fn forgotten(&self) -> u64 {
        self.table.forgotten
    }
}

impl Other<'_> {
    /// Appends `<other>`, with the zone's name if it belongs to one.
    pub fn push_name(&self, text: &mut String) {
        text.push_str(OTHER);
        if let Some(zone) = self.zones.name(self.zone) {
            text.push(' ');
            if !dns_name::push_text(zone, text) {
                text.pop();
            }
        }
    }
}

impl PartialEq for Other<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.zone == other.zone
    }
}

impl<'t, K: Kind> Entry<'t, K> {
    /// Appends the name's canonical text; returns false, without appending, if the name is invalid.
    pub fn push_name(&self, text: &mut String) -> bool {
        let wire = name::octets(self.record.words(&self.table.names));
        wire.get(..usize::from(self.record.name_length)).is_some_and(|wire| dns_name::push_text(wire, text))
    }

    /// The record's type.
    pub fn record_type(&self) -> RecordType {
        RecordType::new(self.record.record_type)
    }

    /// The kinds that have hits, in any order.
    pub fn sums(&self) -> impl Iterator<Item = (K, Sum)> + use<'t, K> {
        let Entry { table, record } = *self;
        let mut at = record.more;
        let more = std::iter::from_fn(move || {
            let more = table.more.get(at as usize)?;
            at = more.next;
            Some((more.kind, more.sum))
        });
        let line = record.kinds.iter().copied().zip(record.sums).filter(|(_, sum)| sum.hits > 0);
        line.chain(more).filter_map(|(kind, sum)| Some((K::from_number(kind)?, sum)))
    }
}
