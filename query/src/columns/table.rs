//! Which tables there are, and which columns each has.

use super::{Column, Dimension};
use arrow::datatypes::SchemaRef;
use std::sync::LazyLock;
use zonepulse_store::{Kinds, Level};

/// A table that is made of DNS messages, or of what is known beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// Hits per server, interval or bucket of a roll-up, record and kind.
    Dns(Level),
    /// Hits of all time per server, record and kind.
    Records,
    /// Responses that served a record, per server, interval or bucket of a roll-up, record and class.
    Served(Level),
    /// Responses of all time that served a record, per server, record and class.
    ServedTotal,
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

/// The same of what was served.
static SERVED: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let (server, record) = (Dimension::Server.columns(), Dimension::Record.columns());
    let measures = &[Column::Class, Column::Served, Column::LastServed];
    let times = &[Column::Time, Column::IntervalS][..];
    [times, server, record, measures, &[Column::RecordId, Column::Hour, Column::Kind]].concat()
});

static SERVED_TOTAL: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let (server, record) = (Dimension::Server.columns(), Dimension::Record.columns());
    let measures = &[Column::Class, Column::Served, Column::FirstServed, Column::LastServed];
    [server, &[Column::RecordId], record, measures, &[Column::Kind]].concat()
});

static NAMES: LazyLock<Vec<Column>> = LazyLock::new(|| [&[Column::RecordId][..], Dimension::Record.columns()].concat());

impl Table {
    pub(crate) const ALL: [Table; 15] = [
        Table::Dns(Level::Raw),
        Table::Dns(Level::M5),
        Table::Dns(Level::M15),
        Table::Dns(Level::M30),
        Table::Dns(Level::H1),
        Table::Records,
        Table::Served(Level::Raw),
        Table::Served(Level::M5),
        Table::Served(Level::M15),
        Table::Served(Level::M30),
        Table::Served(Level::H1),
        Table::ServedTotal,
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
            Table::Served(Level::Raw) => "served_raw",
            Table::Served(Level::M5) => "served_5m",
            Table::Served(Level::M15) => "served_15m",
            Table::Served(Level::M30) => "served_30m",
            Table::Served(Level::H1) => "served_1h",
            Table::ServedTotal => "served_total",
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
            Table::Served(_) | Table::ServedTotal | Table::Coverage | Table::Servers | Table::Names => None,
        }
    }

    /// What its rows count, insofar as it counts.
    pub(crate) fn kinds(self) -> Kinds {
        match self {
            Table::Served(_) | Table::ServedTotal => Kinds::Served,
            Table::Dns(_) | Table::Records | Table::Coverage | Table::Servers | Table::Names => Kinds::Messages,
        }
    }

    /// The same table at another level.
    pub(crate) fn at(self, level: Level) -> Table {
        match self {
            Table::Dns(_) => Table::Dns(level),
            Table::Served(_) => Table::Served(level),
            other => other,
        }
    }

    /// Whether its rows are points.
    pub(crate) fn has_points(self) -> bool {
        matches!(self, Table::Dns(_) | Table::Served(_))
    }

    /// The columns. `record_id` and `kind`, which is last, are numbers of the store: what to group and to sort by
    /// where the text is not needed.
    pub(crate) fn columns(self) -> &'static [Column] {
        match self {
            Table::Dns(_) => &DNS,
            Table::Records => &RECORDS,
            Table::Served(_) => &SERVED,
            Table::ServedTotal => &SERVED_TOTAL,
            Table::Coverage => COVERAGE,
            Table::Servers => &[Column::ServerId, Column::Server, Column::Sample],
            Table::Names => &NAMES,
        }
    }

    /// What points are kept at; of other tables there is one level.
    pub(crate) fn level(self) -> Level {
        match self {
            Table::Dns(level) | Table::Served(level) => level,
            Table::Records | Table::ServedTotal | Table::Coverage | Table::Servers | Table::Names => Level::Raw,
        }
    }

    pub(crate) fn schema(self) -> SchemaRef {
        Column::schema(self.columns())
    }

    /// What a selection of the store can restrict of it.
    pub(crate) fn selectable(self) -> &'static [Dimension] {
        match self {
            Table::Dns(_) | Table::Served(_) => &[Dimension::Record, Dimension::Server, Dimension::Kind, Dimension::Time],
            Table::Records | Table::ServedTotal => &[Dimension::Record, Dimension::Server, Dimension::Kind],
            Table::Coverage => &[Dimension::Server, Dimension::Time],
            Table::Servers => &[],
            Table::Names => &[Dimension::Record],
        }
    }
}
