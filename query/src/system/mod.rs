//! Metrics of the machines: tables, and the questions about them.
//!
//! The tables `system_raw`, `system_5m`, `system_15m`, `system_30m` and `system_1h` have a row for each
//! value or bucket of a *series*, which is a metric and a label on a server. Filters of servers, of metric
//! and label, and of time become a selection of the store, exactly, as with DNS points.

mod days;
mod filter;
mod questions;
mod scan;
mod system_table;

pub use filter::SystemFilter;
pub(crate) use system_table::SystemTable;
