//! The node-side program: it counts who asks for which DNS record, and sends the sums.
//!
//! A packet's way through the modules:
//!
//! ```text
//! capture ──▶ observe ──▶ meter (tally) ──▶ spool ──▶ deliver
//! frames      messages    a batch per       on disk    until the central
//!                         interval                     has confirmed it
//! ```
//!
//! [`agent`] drives that way live, [`replay`] with files of captures. Nothing
//! that was counted is lost without a word: what a bound makes the probe give
//! up is counted, and told to the central by the next batch.

pub mod agent;
pub mod capture;
pub mod central;
pub mod clock;
pub mod command;
pub mod config;
pub mod deliver;
pub mod dnstap;
pub mod enroll;
pub mod heartbeat;
pub mod memory;
pub mod meter;
pub mod metrics;
pub mod observe;
pub mod pin;
pub mod pull;
pub mod replay;
pub mod settings;
pub mod sight;
pub mod spool;
pub mod status;
pub mod system;
pub mod tally;
pub mod times;

mod error;
mod room;
mod serve;

pub use error::Error;
