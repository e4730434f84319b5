//! The services of a central, without an endpoint: what can be asked of it, whoever asks and in whatever protocol.
//!
//! A [`Central`] is made of an open store, a query engine and the way in for batches, and holds the services over them.
//! An endpoint (HTTP today) knows its protocol and nothing else: it finds out who asks with [`credentials`], whether they
//! may with [`rights`], calls a service, and tells its [`Error`] in its own way. So nothing here knows a header, a status
//! or a route.
//!
//! * [`credentials`], [`rights`], [`accounts`]: who asks, what they may do, and users;
//! * [`servers`]: managed servers, their secrets and settings; [`addresses`]: where their probes find the central;
//! * [`probes`]: what probes ask for: enrolment, batches, heartbeats, and pulling from those that wait to be asked;
//! * [`fleet`]: what was heard of servers, what was refused of them, and how well each is;
//! * [`metrics`], [`readiness`]: how the central itself is.
//!
//! Services are called on threads that may block, unless they are `async`.

pub mod accounts;
pub mod addresses;
mod central;
pub mod credentials;
mod error;
pub mod fleet;
#[cfg(test)]
mod logged;
pub mod metrics;
pub mod pending;
pub mod probes;
pub mod readiness;
pub mod rights;
pub mod servers;
pub mod time;

pub use central::{Central, Options};
pub use error::Error;
