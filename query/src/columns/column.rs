//! The columns of tables and answers.
//!
//! A column has one name, one type and one meaning wherever it appears: in a table that SQL reads, in a plan, in a request to the
//! store, in an answer. What can be said of it stands here once, and nothing here knows of any table.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::fmt;
use std::sync::Arc;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Unix milliseconds, UTC.
    Instant,
    /// A number of 32 bits that the store gives to a server, record or series.
    Id,
    /// Action and response code, or class, as one number of the store, 16 bits.
    Kind,
    /// A whole number from 0 up to 2³² - 1.
    Small,
    /// A whole number from 0 up.
    Whole,
    /// A number with a fraction, 64 bits.
    Fraction,
    /// True or false.
    Flag,
    /// Text.
    Text,
}

impl Type {
    /// The type that Arrow calls it. Whole numbers are signed, so that differences of them are.
    fn in_arrow(self) -> DataType {
        match self {
            Type::Instant => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Type::Id => DataType::UInt32,
            Type::Kind => DataType::UInt16,
            Type::Small | Type::Whole => DataType::Int64,
            Type::Fraction => DataType::Float64,
            Type::Flag => DataType::Boolean,
            Type::Text => DataType::Utf8,
        }
    }
}

/// What measures count in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// DNS messages.
    Messages,
    /// DNS messages per second.
    MessagesPerSecond,
    /// Packets.
    Packets,
}

/// What a row is about, and can be split, selected and sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// The interval, bucket, step or day.
    Time,
    /// The server.
    Server,
    /// The DNS record: owner name and type.
    Record,
    /// What is counted: requests, or responses with a code, or responses in which the record was served, by class.
    Kind,
    /// The series of metrics.
    Series,
    /// The report of a probe.
    Report,
    /// The zone of the catalogue.
    Zone,
}

impl Dimension {
    /// The columns that describe a value of it in tables and answers, in order. What only plans work with is not among them.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Dimension::Time => &[Column::Time],
            Dimension::Server => &[Column::ServerId, Column::Server],
            Dimension::Record => &[Column::ResourceId, Column::Host, Column::Type, Column::Folded],
            Dimension::Kind => &[Column::Action, Column::Rcode],
            Dimension::Series => &[Column::Metric, Column::Label],
            Dimension::Report => &[Column::Epoch, Column::Seq],
            Dimension::Zone => &[Column::ZoneId, Column::Zone, Column::View],
        }
    }
}

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It tells rows apart.
    Dimension(Dimension),
    /// It was counted or measured.
    Measure,
}

/// Declares the columns: `Variant "name" Type presence, role;`, where the presence is `always`, or `maybe` for a column with
/// nulls, and the role is `of` a dimension, or `measure`, which may have a unit.
macro_rules! columns {
    ($($(#[$doc:meta])* $variant:ident $name:literal $type:ident $presence:ident, $role:ident $($of:ident)?;)*) => {
        /// A column of tables and answers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Column {
            $($(#[$doc])* $variant,)*
        }

        impl Column {
            /// All of them.
            pub const ALL: &'static [Column] = &[$(Column::$variant,)*];

            /// Its name in SQL, JSON, CSV and Arrow.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Column::$variant => $name,)*
                }
            }

            /// The column of a name.
            pub fn named(name: &str) -> Option<Column> {
                match name {
                    $($name => Some(Column::$variant),)*
                    _ => None,
                }
            }

            /// What its values are.
            pub const fn value_type(self) -> Type {
                match self {
                    $(Column::$variant => Type::$type,)*
                }
            }

            /// Whether a row of a table can be without a value.
            pub const fn has_nulls(self) -> bool {
                match self {
                    $(Column::$variant => presence!($presence),)*
                }
            }

            /// What it is for.
            pub const fn role(self) -> Role {
                match self {
                    $(Column::$variant => role!($role $($of)?),)*
                }
            }

            /// What it counts in, where that is not said by its type.
            pub const fn unit(self) -> Option<Unit> {
                match self {
                    $(Column::$variant => unit!($role $($of)?),)*
                }
            }
        }
    };
}

macro_rules! presence {
    (always) => {
        false
    };
    (maybe) => {
        true
    };
}

macro_rules! role {
    (of $dimension:ident) => {
        Role::Dimension(Dimension::$dimension)
    };
    (measure $($unit:ident)?) => {
        Role::Measure
    };
}

macro_rules! unit {
    (of $dimension:ident) => {
        None
    };
    (measure) => {
        None
    };
    (measure $unit:ident) => {
        Some(Unit::$unit)
    };
}

columns! {
    /// The start of the interval, bucket, step or day.
    Time "time" Instant always, of Time;
    /// The start of the hour in which `time` lies, by which the store keeps its points in order.
    Hour "hour" Instant always, of Time;
    /// The length of the interval.
    IntervalS "interval_s" Small always, measure Seconds;

    /// The server's id.
    ServerId "server_id" Id always, of Server;
    /// The server's display name. A server that was purged has none.
    Server "server" Text maybe, of Server;
    /// Whether the server is a sample.
    Sample "sample" Flag always, of Server;

    /// The record's number in the store.
    RecordId "record_id" Id always, of Record;
    /// The resource of the catalogue that the record belongs to, or 0.
    ResourceId "resource_id" Whole always, of Record;
    /// The owner name.
    Host "host" Text always, of Record;
    /// The record type.
    Type "type" Text always, of Record;
    /// Whether the host stands for messages that were summed up because a table was full.
    Folded "folded" Flag always, of Record;

    /// Action and response code, or class, as one number of the store.
    Kind "kind" Kind always, of Kind;
    /// Request or response.
    Action "action" Text always, of Kind;
    /// The response code; a request has none.
    Rcode "rcode" Text maybe, of Kind;
    /// How responses used the record.
    Class "class" Text always, of Kind;

    /// DNS messages.
    Hits "hits" Whole always, measure Messages;
    /// When the first of them came.
    FirstSeen "first_seen" Instant always, measure;
    /// When the last of them came.
    LastAccess "last_access" Instant always, measure;
    /// Responses in which the record was served.
    Served "served" Whole always, measure Messages;
    /// When the first of them was sent.
    FirstServed "first_served" Instant always, measure;
    /// When the last of them was sent.
    LastServed "last_served" Instant always, measure;
    /// Hits per second that was observed.
    Rps "rps" Fraction maybe, measure MessagesPerSecond;
    /// How many servers observed all of a step.
    ObservedServers "observed_servers" Small always, measure;
    /// How many servers a step is about.
    Servers "servers" Small always, measure;
    /// Whether reports of a step can be expected to come.
    Open "open" Flag always, measure;

    /// The run of the probe.
    Epoch "epoch" Text always, of Report;
    /// The number of the report in that run.
    Seq "seq" Whole always, of Report;
    /// When the probe began to listen.
    CoveredFrom "covered_from" Instant always, measure;
    /// When it ceased.
    CoveredUntil "covered_until" Instant always, measure;
    /// DNS messages that were seen.
    MessagesSeen "messages_seen" Whole always, measure Messages;
    /// Those that are not counted.
    NotCounted "not_counted" Whole always, measure Messages;
    /// Packets that the kernel dropped.
    KernelDropped "kernel_dropped" Whole always, measure Packets;
    /// Packets that the network interface dropped.
    InterfaceDropped "interface_dropped" Whole always, measure Packets;
    /// Batches that the probe had to give up.
    BatchesEvicted "batches_evicted" Whole always, measure;
    /// The start of the first interval that was given up.
    EvictedFrom "evicted_from" Instant maybe, measure;
    /// The end of the last interval that was given up.
    EvictedUntil "evicted_until" Instant maybe, measure;
    /// Time that an earlier report covers, too.
    OverlapMs "overlap_ms" Whole always, measure Milliseconds;
    /// The counters without a column of their own, as text.
    Losses "losses" Text always, measure;
    /// Time in which the probe had reason to believe that it did not see the DNS server's messages.
    BlindMs "blind_ms" Whole always, measure Milliseconds;

    /// The series' number in the store.
    SeriesId "series_id" Id always, of Series;
    /// The metric.
    Metric "metric" Text always, of Series;
    /// The core, mount, device or state; empty for a metric of which there is only one. Of a resource, its id in another
    /// system, or empty.
    Label "label" Text always, of Series;
    /// A metric's value.
    Value "value" Fraction always, measure;
    /// The least value of a bucket.
    Min "min" Fraction always, measure;
    /// The greatest.
    Max "max" Fraction always, measure;
    /// Their mean.
    Avg "avg" Fraction always, measure;
    /// The newest.
    Last "last" Fraction always, measure;
    /// How many values a bucket has.
    Count "count" Whole always, measure;

    /// The zone's id.
    ZoneId "zone_id" Id always, of Zone;
    /// The zone's apex.
    Zone "zone" Text always, of Zone;
    /// The view in which the zone is served.
    View "view" Text always, of Zone;
    /// Where a zone comes from: upload, file or transfer.
    Source "source" Text always, measure;
    /// The address of a zone's primary.
    Primary "primary" Text maybe, measure;
    /// The serial of a zone's SOA.
    Serial "serial" Small maybe, measure;
    /// How many RRsets a zone has.
    Resources "resources" Whole always, measure;
    /// Whether servers that are not managed serve the zone, too.
    OthersServeIt "others_serve_it" Flag always, measure;
    /// When the zone was last loaded.
    LoadedAt "loaded_at" Instant maybe, measure;
    /// When it was last compared with its source.
    CheckedAt "checked_at" Instant maybe, measure;
    /// How a zone is.
    State "state" Text always, measure;
    /// Why a zone is not up to date.
    Error "error" Text maybe, measure;
    /// Time to live.
    Ttl "ttl" Small always, measure Seconds;
    /// The RDATA of all records of an RRset, in presentation format.
    Data "data" Text always, measure;
    /// When a resource appeared in its zone; none if it was there when the zone was first loaded.
    Created "created" Instant maybe, measure;
    /// When it was removed from its zone.
    Removed "removed" Instant maybe, measure;
    /// Whether the operator protects a resource, or allows its deletion.
    Protection "protection" Text maybe, measure;
    /// What the operator wants to remember about a resource.
    Note "note" Text maybe, measure;
    /// What can be said of deleting a resource.
    Verdict "verdict" Text always, measure;
    /// Why, in words.
    Reasons "reasons" Text always, measure;
    /// How many requests had the resource's owner and type in their question.
    Asked "asked" Whole always, measure Messages;
    /// For how long nobody needed the resource.
    QuietForS "quiet_for_s" Whole maybe, measure Seconds;
    /// The observed share of the window, 0 to 1.
    ObservedShare "observed_share" Fraction always, measure;
    /// The longest rhythm of use that the window rules out.
    RulesOut "rules_out" Text maybe, measure;
    /// What a verdict is based on.
    Evidence "evidence" Text always, measure;
    /// The start of a period.
    From "from" Instant always, measure;
    /// Its end.
    To "to" Instant always, measure;
    /// Whether a period was observed without loss.
    Observed "observed" Flag always, measure;
    /// Why not.
    Why "why" Text maybe, measure;

    /// How many rows there are.
    Rows "rows" Whole always, measure;
}

impl Column {
    /// What it tells rows apart by, if it does.
    pub const fn dimension(self) -> Option<Dimension> {
        match self.role() {
            Role::Dimension(dimension) => Some(dimension),
            Role::Measure => None,
        }
    }

    /// The column as Arrow describes it.
    pub fn field(self) -> Field {
        Field::new(self.name(), self.value_type().in_arrow(), self.has_nulls())
    }

    /// Columns as Arrow describes them together.
    pub fn schema(columns: &[Column]) -> SchemaRef {
        Arc::new(Schema::new(columns.iter().map(|column| column.field()).collect::<Vec<_>>()))
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_by_its_name() {
        for column in Column::ALL {
            assert_eq!(Column::named(column.name()), Some(*column));
            assert_eq!(Column::named(&column.name().to_ascii_uppercase()), None);
        }
    }

    #[test]
    fn the_columns_of_a_dimension_have_its_role() {
        use Dimension::{Kind, Record, Report, Series, Server, Time, Zone};
        for dimension in [Time, Server, Record, Kind, Series, Report, Zone] {
            assert!(dimension.columns().iter().all(|column| column.dimension() == Some(dimension)), "{dimension:?}");
        }
    }

    #[test]
    fn units_are_as_the_names_say() {
        for column in Column::ALL {
            // DNS calls it TTL, without a unit.
            let (seconds, milliseconds) =
                (column.name().ends_with("_s") || *column == Column::Ttl, column.name().ends_with("_ms"));
            assert_eq!(column.unit() == Some(Unit::Seconds), seconds, "{column}");
            assert_eq!(column.unit() == Some(Unit::Milliseconds), milliseconds, "{column}");
        }
    }
}
