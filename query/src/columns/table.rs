//! Which tables there are, and which columns each has.

use super::{Column, Dimension};
use arrow::datatypes::SchemaRef;
use std::sync::LazyLock;
use zonepulse_store::Level;

/// A table that is made of DNS messages, or of what is known beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// Hits per server, interval or bucket of a roll-up, record and kind.
    Dns(Level),
    /// Hits of all time per server, record and kind.
    Records,
    /// What the probes observed, and what they lost.
    Coverage,
    /// The managed servers.
    Servers,
    /// The records by number.
    Names,
}

/// The columns of a point, in the order in which an answer has them.
pub(crate) static POINT: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let (server, record, kind) = (Dimension::Server.columns(), Dimension::Record.columns(), Dimension::Kind.columns());
    [&[Column::Time, Column::IntervalS][..], server, record, kind, &[Column::Hits, Column::LastAccess]].concat()
});

/// The columns of a coverage report, in the order in which an answer has them.
pub(crate) const COVERAGE: &[Column] = &[
    Column::Time,
    Column::IntervalS,
    Column::ServerId,
    Column::Server,
    Column::Epoch,
    Column::Seq,
    Column::CoveredFrom,
    Column::CoveredUntil,
    Column::Hits,
    Column::MessagesSeen,
    Column::NotCounted,
    Column::KernelDropped,
    Column::InterfaceDropped,
    Column::BatchesEvicted,
    Column::EvictedFrom,
    Column::EvictedUntil,
    Column::OverlapMs,
    Column::Losses,
    Column::BlindMs,
];

/// [`POINT`], and the numbers that plans work with.
static DNS: LazyLock<Vec<Column>> =
    LazyLock::new(|| [POINT.as_slice(), &[Column::RecordId, Column::Hour, Column::Kind]].concat());

static RECORDS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let (server, record, kind) = (Dimension::Server.columns(), Dimension::Record.columns(), Dimension::Kind.columns());
    let measures = &[Column::Hits, Column::FirstSeen, Column::LastAccess];
    [server, &[Column::RecordId], record, kind, measures, &[Column::Kind]].concat()
});

static NAMES: LazyLock<Vec<Column>> = LazyLock::new(|| [&[Column::RecordId][..], Dimension::Record.columns()].concat());

impl Table {
    pub(crate) const ALL: [Table; 9] = [
        Table::Dns(Level::Raw),
        Table::Dns(Level::M5),
        Table::Dns(Level::M15),
        Table::Dns(Level::M30),
        Table::Dns(Level::H1),
        Table::Records,
        Table::Coverage,
        Table::Servers,
        Table::Names,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Table::Dns(Level::Raw) => "dns_raw",
            Table::Dns(Level::M5) => "dns_5m",
            Table::Dns(Level::M15) => "dns_15m",
            Table::Dns(Level::M30) => "dns_30m",
            Table::Dns(Level::H1) => "dns_1h",
            Table::Records => "records",
            Table::Coverage => "coverage",
            Table::Servers => "servers",
            Table::Names => "names",
        }
    }

    /// What the table is called that has its requests only: a sum of its hits counts no question twice, whatever filter is
    /// forgotten.
    pub(crate) fn name_of_requests(self) -> Option<&'static str> {
        match self {
            Table::Dns(Level::Raw) => Some("requests_raw"),
            Table::Dns(Level::M5) => Some("requests_5m"),
            Table::Dns(Level::M15) => Some("requests_15m"),
            Table::Dns(Level::M30) => Some("requests_30m"),
            Table::Dns(Level::H1) => Some("requests_1h"),
            Table::Records => Some("requests_total"),
            Table::Coverage | Table::Servers | Table::Names => None,
        }
    }

    /// The columns. `record_id` and `kind`, which is last, are numbers of the store: what to group and to sort by
    /// where the text is not needed.
    pub(crate) fn columns(self) -> &'static [Column] {
        match self {
            Table::Dns(_) => &DNS,
            Table::Records => &RECORDS,
            Table::Coverage => COVERAGE,
            Table::Servers => &[Column::ServerId, Column::Server, Column::Sample],
            Table::Names => &NAMES,
        }
    }

    /// What points are kept at; of other tables there is one level.
    pub(crate) fn level(self) -> Level {
        match self {
            Table::Dns(level) => level,
            Table::Records | Table::Coverage | Table::Servers | Table::Names => Level::Raw,
        }
    }

    pub(crate) fn schema(self) -> SchemaRef {
        Column::schema(self.columns())
    }

    /// What a selection of the store can restrict of it.
    pub(crate) fn selectable(self) -> &'static [Dimension] {
        match self {
            Table::Dns(_) => &[Dimension::Record, Dimension::Server, Dimension::Kind, Dimension::Time],
            Table::Records => &[Dimension::Record, Dimension::Server, Dimension::Kind],
            Table::Coverage => &[Dimension::Server, Dimension::Time],
            Table::Servers => &[],
            Table::Names => &[Dimension::Record],
        }
    }
}
