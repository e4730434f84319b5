//! Columns of the tables of the catalogue.

use crate::Error;
use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringBuilder, TimestampMillisecondArray, UInt32Array};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use std::sync::Arc;
use zonepulse_query::{Column, Listed};
use zonepulse_store::Zone;

/// A batch of `rows` rows; `of` has the arrays.
pub(crate) fn batch(
    table: Listed,
    columns: &[Column],
    rows: usize,
    of: impl Fn(Column) -> Option<ArrayRef>,
) -> Result<RecordBatch, Error> {
    let missing = |column: Column| Error::Fault(format!("{} has no column {column}", table.name()));
    let arrays = columns.iter().map(|column| of(*column).ok_or_else(|| missing(*column)));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new_with_options(table.schema_of(columns), arrays, &options).map_err(|error| Error::Fault(error.to_string()))
}

/// Whole numbers.
pub(crate) fn numbers(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

/// Instants, Unix milliseconds.
pub(crate) fn instants(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
}

/// Flags.
pub(crate) fn flags(values: impl Iterator<Item = bool>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<BooleanArray>())
}

/// Ids.
pub(crate) fn ids(values: impl Iterator<Item = u32>) -> ArrayRef {
    Arc::new(UInt32Array::from_iter_values(values))
}

/// Texts.
pub(crate) fn texts(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    let mut texts = StringBuilder::new();
    values.for_each(|value| texts.append_option(value));
    Arc::new(texts.finish())
}

/// A column that says which zone a row belongs to.
pub(crate) fn of_zones<'a>(column: Column, zones: impl Iterator<Item = Option<&'a Zone>>) -> Option<ArrayRef> {
    let mut names = StringBuilder::new();
    match column {
        Column::ZoneId => return Some(ids(zones.map(|zone| zone.map_or(0, |zone| zone.id.get())))),
        Column::Zone => zones.for_each(|zone| names.append_option(zone.map(|zone| zone.apex.as_str()))),
        Column::View => zones.for_each(|zone| names.append_option(zone.map(|zone| zone.view.as_str()))),
        _ => return None,
    }
    Some(Arc::new(names.finish()))
}
