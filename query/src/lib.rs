//! Questions about the store, answered by DataFusion.
//!
//! # The concept
//!
//! The store keeps numbers: points of (server, interval, record, kind), totals, coverage reports.
//! This crate makes **tables** of them, which any DataFusion plan can read, and answers the
//! **questions** that the monitoring API asks with plans over those tables.
//!
//! * Whatever a table, plan, request or answer has is a [`Column`]: one name, type and meaning everywhere.
//! * A table takes from a plan the columns that it wants, the filters that the store can apply
//!   itself, and the number of rows that is enough. Whatever is said of servers, records, kinds and
//!   time becomes a [`Selection`](zonepulse_store::Selection) of the store, exactly; `EXPLAIN` shows it.
//!   A scan is made of plain values, and asks for its rows with a request that has a binary form: the process that plans
//!   need not be the one that has the store.
//! * Metrics of the machines have tables and questions of their own (`system`).
//! * A question ([`Engine::raw`], [`Engine::totals`], [`Engine::series`], [`Engine::rps`],
//!   [`Engine::coverage`]) takes a [`Filter`], a [`TimeRange`], what to split the sums by ([`By`]) and a
//!   [`Page`], all typed, and gives an [`Answer`]: Arrow batches of a fixed shape, and how many rows
//!   there are in all. No SQL is put together from what callers say.
//! * SQL from outside is answered by [`Engine::sql`]: one statement that reads, in a process of its own, with bounds that the
//!   kernel enforces, its rows as they come.
//! * Each question and statement reads the [`Clock`] once, when it is asked. All of its parts see the store as of that moment.
//! * Plans group and sort by the store's numbers. Names are looked up for the rows of the page, unless
//!   the order depends on them.
//! * Everything is bounded: memory, which all questions share, with no spilling to disk; threads; how
//!   many questions run at a time, and how long others wait; rows of an answer.
//!
//! # What this crate is not
//!
//! It writes nothing, and knows no HTTP and no JSON. It checks what arguments mean, not who may ask.

mod columns;
mod engine;
mod error;
mod listed;
mod names;
mod observed;
mod options;
mod questions;
mod reading;
mod runtime;
mod sql;
mod system;
mod tables;
mod time;
mod worker;

pub use columns::{Column, Dimension, Role, Type, Unit};
pub use engine::Engine;
pub use error::Error;
pub use listed::{Catalogue, CatalogueError, Listed};
pub use names::{HostPattern, to_ascii};
pub use options::Options;
pub use questions::{Answer, By, Filter, Kept, MAX_LIMIT, Page, SortKey};
pub use runtime::{Load, Turns};
pub use sql::{MAX_SQL_BYTES, SqlAnswer, SqlLimits, warning_of};
pub use system::SystemFilter;
pub use time::{Bucket, Clock, Interval, Now, TimeRange, TimeZone};
pub use worker::{SqlWorkers, run as run_worker, try_worker};

#[cfg(test)]
mod tests;
