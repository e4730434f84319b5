//! Metrics of the machines: tables, and the questions about them.
//!
//! The tables `system_raw`, `system_5m`, `system_15m`, `system_30m` and `system_1h` have a row for each
//! value or bucket of a *series*, which is a metric and a label on a server. As with DNS points, filters on servers, on
//! metric and label, and on time become an exact selection of the store.

mod days;
mod filter;
mod questions;
mod scan;
mod system_table;

pub use filter::SystemFilter;
pub(crate) use system_table::SystemTable;
