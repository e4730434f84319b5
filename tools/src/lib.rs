//! Tools for operators of a central: plan a machine, simulate a fleet, export tables.
//!
//! * [`plan`] calculates the machine, disk and network that a fleet needs, from measured costs.
//! * [`simulate`] sends batches of simulated servers, over the transports that probes use.
//! * [`export`] writes tables as Parquet files.
//!
//! * [`Public`] asks a running central what it says to everybody.
//! * [`Api`] calls a running central, for commands that only pass on what it answers.
//!
//! Exports, and plans for an existing fleet, read through a [`Source`]: the engine of a store opened by this process,
//! or a running central queried over HTTP. Both answer the same SQL.
//!
//! # What this crate is not
//!
//! It is neither a service nor an endpoint: nothing here listens, and a central runs without it. To a central it is
//! an ordinary client. It reads no configuration, arguments, environment or clock: the program passes in typed values
//! and the current time.

mod api;
mod client;
mod error;
pub mod export;
pub mod plan;
mod popularity;
mod public;
pub mod simulate;
mod source;

pub use api::{Api, Method};
pub use error::Error;
pub use public::{Public, Said, try_pull};
pub use source::{Credentials, Remote, Rows, Source};

#[cfg(test)]
mod clock {
    use std::time::SystemTime;

    /// The current time in Unix milliseconds: tests fill real stores, which expire points by the real clock.
    pub fn now_ms() -> u64 {
        SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
    }
}
