//! The tables of metrics: one of values, and one for each roll-up.

use super::Column;
use arrow::datatypes::SchemaRef;
use zonepulse_store::Level;

/// The columns of an answer about buckets.
pub(crate) const BUCKET: &[Column] = &[
    Column::Time,
    Column::ServerId,
    Column::Server,
    Column::Metric,
    Column::Label,
    Column::Min,
    Column::Max,
    Column::Avg,
    Column::Last,
    Column::Count,
];

/// The columns of an answer about values.
pub(crate) const VALUE: &[Column] =
    &[Column::Time, Column::ServerId, Column::Server, Column::Metric, Column::Label, Column::Value];

/// The table's name.
pub(crate) fn name(level: Level) -> &'static str {
    match level {
        Level::Raw => "system_raw",
        Level::M5 => "system_5m",
        Level::M15 => "system_15m",
        Level::M30 => "system_30m",
        Level::H1 => "system_1h",
    }
}

/// The columns of the table of a level.
pub(crate) fn columns(level: Level) -> &'static [Column] {
    match level {
        Level::Raw => &[
            Column::Time,
            Column::IntervalS,
            Column::ServerId,
            Column::Server,
            Column::Metric,
            Column::Label,
            Column::Value,
            Column::Hour,
        ],
        _ => &[
            Column::Time,
            Column::ServerId,
            Column::Server,
            Column::Metric,
            Column::Label,
            Column::Min,
            Column::Max,
            Column::Avg,
            Column::Last,
            Column::Count,
            Column::Hour,
        ],
    }
}

pub(crate) fn schema(level: Level) -> SchemaRef {
    Column::schema(columns(level))
}
