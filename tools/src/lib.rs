//! What an operator runs beside a central: plan a machine, simulate a fleet, export tables.
//!
//! * [`plan`] calculates the machine, disk and network that a fleet needs, from measured costs.
//! * [`simulate`] sends batches of servers that do not exist, over the transports that probes use.
//! * [`export`] writes tables as Parquet files.
//!
//! Export, and a plan for an existing fleet, read through a [`Source`]: the engine of a store that this process has
//! open, or a running central that is asked over HTTP. Both answer the same SQL.
//!
//! # What this crate is not
//!
//! It is neither a service nor an endpoint: nothing here listens, and a central runs without it. To a central it is a client
//! like any other. It reads no configuration, arguments, environment or clock: the program passes in typed values and the
//! current time.

mod client;
mod error;
pub mod export;
pub mod plan;
mod popularity;
pub mod simulate;
mod source;

pub use error::Error;
pub use source::{Credentials, Remote, Rows, Source};

#[cfg(test)]
mod clock {
    use std::time::SystemTime;

    /// The current time, Unix milliseconds: tests fill real stores, which expire points by the real clock.
    pub fn now_ms() -> u64 {
        SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
    }
}
