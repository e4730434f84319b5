//! The services of a central, without an endpoint: everything that can be asked of it, independent of protocol.
//!
//! A [`Central`] is built from an open store, a query engine and the ingest service, and provides the services over
//! them. An endpoint (HTTP today) knows only its protocol: it authenticates the caller with [`credentials`], authorizes
//! it with [`rights`], calls a service, and reports its [`Error`] in its own way. Nothing here knows about headers,
//! status codes or routes.
//!
//! * [`credentials`], [`sessions`], [`rights`], [`accounts`]: who asks, what they may do, and users;
//! * [`servers`]: managed servers, their secrets, settings and setup bundles; [`images`]: programs of the probe in bundles;
//!   [`push`]: installing them over SSH; [`addresses`]: where their probes find the central;
//! * [`probes`]: what probes ask for: enrolment, batches, heartbeats, and pulling from those that wait to be asked;
//! * [`diagnostics`]: what keeps a server's probe from counting, from the probe itself;
//! * [`fleet`]: what was heard of servers, what was refused of them, and how well each is;
//! * [`zones`], [`verdicts`], [`retirements`]: the catalogue, which of its records can be deleted, and how;
//! * [`backups`]: saving the store while it is in use;
//! * [`metrics`], [`readiness`]: how the central itself is.
//!
//! Services are called on threads that may block, unless they are `async`.

pub mod accounts;
pub mod addresses;
pub mod backups;
mod central;
pub mod credentials;
pub mod diagnostics;
mod error;
pub mod fleet;
pub mod images;
#[cfg(test)]
mod logged;
pub mod metrics;
pub mod pending;
pub mod probes;
pub mod push;
pub mod readiness;
pub mod retirements;
pub mod rights;
pub mod servers;
pub mod sessions;
pub mod time;
pub mod verdicts;
pub mod zones;

pub use central::{Central, Options};
pub use error::Error;
