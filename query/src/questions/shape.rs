//! The columns of an answer, and the order of its rows.
//!
//! A plan works with numbers: `record_id` stands for `resource_id`, `host`, `type` and `folded`, `kind` for
//! `action` and `rcode`, `server_id` for `server`. A [`Shape`] says which columns the answer has, and
//! [`derive`] adds those that the plan did not carry, only for the rows of the page.

use super::groups::MARKS;
use crate::columns::{Column, Dimension, Role, Source};
use crate::observed::{Mark, Marks};
use crate::{Error, MAX_LIMIT, Page};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::datatypes::{Field, Schema, SchemaRef, TimestampMillisecondType, UInt16Type, UInt32Type};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DataFusionError, Result};
use std::sync::Arc;

/// A column to sort by, and whether to sort in descending order.
pub(crate) type Key = (Column, bool);

/// The columns and the order of an answer.
pub(crate) struct Shape {
    /// The columns, in order.
    pub(crate) columns: Vec<Column>,
    /// The question's default order, before ties are broken.
    pub(crate) order: Vec<Key>,
    /// The columns that break ties: only numbers.
    pub(crate) ties: Vec<Column>,
}

impl Shape {
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(|column| answer_field(*column)).collect::<Vec<_>>()))
    }

    /// The order of a page, made total.
    pub(crate) fn order(&self, page: &Page) -> Result<Vec<Key>, Error> {
        if page.limit > MAX_LIMIT {
            return Err(Error::bad("limit", format!("it is more than {MAX_LIMIT}")));
        }
        let mut order: Vec<Key> = Vec::new();
        for key in &page.sort {
            let Some(column) = self.columns.iter().find(|column| column.name() == key.column) else {
                let known: Vec<&str> = self.columns.iter().map(|column| column.name()).collect();
                let known = known.join(", ");
                return Err(Error::bad("sort", format!("there is no column {:?}; the columns are {known}", key.column)));
            };
            order.push((*column, key.descending));
        }
        // A prefix of the default order means the default order.
        let rest = if self.order.starts_with(&order) { &self.order[..] } else { &[] };
        let ties: Vec<Key> = self.ties.iter().map(|column| (*column, false)).collect();
        for (column, descending) in rest.iter().chain(&ties) {
            if !order.iter().any(|(known, _)| known == column) {
                order.push((*column, *descending));
            }
        }
        Ok(order)
    }

    /// The rows with exactly the answer's columns. For rows about steps, `marks` says what was observed.
    pub(crate) fn finish(&self, batch: &RecordBatch, source: &Source, marks: Option<&Marks>) -> Result<RecordBatch> {
        let schema = self.schema();
        let batch = &with_marks(batch, marks)?;
        let columns = self.columns.iter().map(|column| derive(batch, *column, source, marks)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }
}

/// A column of an answer: as in the tables, except that `hits` of a step without reports is null.
fn answer_field(column: Column) -> Field {
    let field = column.field();
    let nullable = field.is_nullable() || column == Column::Hits;
    field.with_nullable(nullable)
}

/// A column of a batch, or the same derived from its numbers.
fn derive(batch: &RecordBatch, column: Column, source: &Source, marks: Option<&Marks>) -> Result<ArrayRef> {
    if let Some(array) = batch.column_by_name(column.name()) {
        return Ok(arrow::compute::cast(array, column.field().data_type())?);
    }
    let numbers = |number: Column| {
        let array = batch.column_by_name(number.name());
        array.ok_or_else(|| DataFusionError::Internal(format!("{column} needs {number}, which the plan does not carry")))
    };
    match column.role() {
        Role::Dimension(Dimension::Server) => {
            source.of_servers(column, numbers(Column::ServerId)?.as_primitive::<UInt32Type>().values())
        }
        Role::Dimension(Dimension::Record) => {
            source.of_records(column, numbers(Column::RecordId)?.as_primitive::<UInt32Type>().values())
        }
        Role::Dimension(Dimension::Kind) => {
            Source::of_kinds(column, numbers(Column::Kind)?.as_primitive::<UInt16Type>().values())
        }
        _ => {
            let mark = MARKS.iter().position(|mark| *mark == column);
            let mark = mark.and_then(|at| marks_of(batch, marks)?.get(at).cloned());
            mark.ok_or_else(|| DataFusionError::Internal(format!("nothing says {column}")))
        }
    }
}

/// The columns of [`MARKS`]; `None` if rows are not about steps.
fn marks_of(batch: &RecordBatch, marks: Option<&Marks>) -> Option<[ArrayRef; 3]> {
    let times = batch.column_by_name(Column::Time.name())?.as_primitive_opt::<TimestampMillisecondType>()?;
    let servers = batch.column_by_name(Column::ServerId.name());
    let servers = servers.and_then(|servers| servers.as_primitive_opt::<UInt32Type>());
    let marks = marks?.of(times.values(), servers.map(|servers| &**servers.values()));
    let count =
        |of: fn(&Mark) -> u32| -> ArrayRef { Arc::new(Int64Array::from_iter_values(marks.iter().map(of).map(i64::from))) };
    let open: ArrayRef = Arc::new(BooleanArray::from_iter(marks.iter().map(|mark| Some(mark.open))));
    Some([count(|mark| mark.observed_servers), count(|mark| mark.servers), open])
}

/// The batch with all of [`MARKS`], if its rows are about steps.
fn with_marks(batch: &RecordBatch, marks: Option<&Marks>) -> Result<RecordBatch> {
    let Some(marks) = marks_of(batch, marks) else { return Ok(batch.clone()) };
    let schema = batch.schema();
    let missing = |(mark, _): &(Column, ArrayRef)| schema.column_with_name(mark.name()).is_none();
    let (mut fields, mut columns) = (schema.fields().to_vec(), batch.columns().to_vec());
    for (mark, column) in MARKS.into_iter().zip(marks).filter(missing) {
        fields.push(Arc::new(mark.field()));
        columns.push(column);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// The batch with one more column, unless it has it.
pub(crate) fn with_column(batch: &RecordBatch, column: Column, source: &Source, marks: Option<&Marks>) -> Result<RecordBatch> {
    if batch.column_by_name(column.name()).is_some() {
        return Ok(batch.clone());
    }
    let array = derive(batch, column, source, marks)?;
    let mut fields = batch.schema().fields().to_vec();
    fields.push(Arc::new(column.field().with_nullable(array.is_nullable())));
    let columns = batch.columns().iter().cloned().chain([array]).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
