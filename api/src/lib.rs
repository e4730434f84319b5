//! The central program: HTTP, credentials, web page, command line.
//!
//! The parts know nothing of each other: the store keeps, ingest receives,
//! query answers. This crate opens them, puts them behind HTTP, and is the only
//! one that knows JSON, status codes and passwords:
//!
//! * [`serve::serve`] runs a central in this process, until it is told to end;
//! * [`accounts`] makes users and servers in a data directory;
//! * [`command`] is what `zonepulse` understands.
//!
//! A request passes through `app` (time, panics, log, credentials, who may do
//! what) to one function per call (`monitoring`, `batches`, `servers`). A
//! question is read by `parameters`, answered by the query engine, and written
//! by `render` in the format that `negotiate` chose. Everything that goes wrong
//! is a `problem`.

pub mod accounts;
mod app;
mod batches;
pub mod command;
pub mod config;
pub mod credentials;
mod error;
mod logging;
mod monitoring;
mod negotiate;
mod openapi;
mod page;
mod parameters;
mod probe_file;
mod problem;
mod render;
pub mod serve;
mod servers;
mod sql;
mod time;

pub use app::document;
pub use error::{Error, describe};
