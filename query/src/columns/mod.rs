//! The vocabulary: columns, the tables that have them, and how numbers of the store become their values.

mod column;
pub(crate) mod metrics;
mod source;
mod table;
mod values;

pub use column::{Column, Dimension, Role, Type, Unit};
pub(crate) use source::Source;
pub(crate) use table::{COVERAGE, POINT, Table};
pub(crate) use values::{external, hours, instants, measure, ms};
