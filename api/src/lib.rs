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
//! A request passes through `listen` (connections, TLS), `app` (`browsers`, time, panics, the
//! `access` log), then `rights` (credentials, who may do what), to one function per call; a family of calls is a module
//! (`monitoring`, `batches`, `servers`, `settings`, `users` and so on). A question is
//! read by `parameters` from its `query_string`, answered by the query engine, and written by `render` in
//! the format that `negotiate` chose; what is not a question is read by `body`. Answers leave through `compress`.
//! Everything that goes wrong is a `problem`.

mod access;
pub mod accounts;
mod addresses;
mod app;
mod audit;
mod batches;
mod body;
mod broker_trial;
mod browsers;
pub mod command;
mod compress;
pub mod config;
pub mod credentials;
mod enrollments;
mod error;
mod fleet;
mod handover;
mod health;
mod heartbeat;
mod json;
mod listen;
mod listing;
#[cfg(test)]
mod logged;
mod metrics;
mod monitoring;
mod negotiate;
mod open_files;
mod openapi;
mod packed;
mod page;
mod parameters;
mod pending;
mod probe_file;
mod problem;
mod proxy;
mod pulling;
mod query_string;
mod refusals;
mod remote;
mod render;
mod rights;
mod room;
pub mod serve;
mod server_body;
mod server_health;
mod servers;
mod settings;
mod spreadsheet;
mod sql;
mod system;
mod time;
mod tls;
mod unique;
mod unread;
mod users;
mod watch;

pub use app::document;
pub use error::{Error, describe};
