//! Reading the store: requests, who answers them, and how rows become Arrow batches.
//!
//! A scan sends a [`Request`] to its [`Data`]. In the process that has the store, [`Here`] answers it on a thread that may
//! block; in a worker for SQL it goes to that process over a socket.

mod data;
mod here;
mod metrics;
mod output;
mod reports;
mod request;
mod rows;

pub(crate) use data::{Away, Data};
pub(crate) use here::Here;
pub(crate) use metrics::{Rows as MetricRows, series};
pub(crate) use output::Output;
pub(crate) use reports::Counters;
pub(crate) use request::{ListedRequest, Request, RowsRequest, SystemRequest};
pub(crate) use rows::{Rows, TotalSum};
