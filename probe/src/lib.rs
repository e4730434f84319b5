//! The program on each DNS server: it counts who queries which DNS record, and sends the totals.
//!
//! A packet's way through the modules:
//!
//! ```text
//! capture ──▶ observe ──▶ meter (tally) ──▶ spool ──▶ deliver
//! frames      messages    a batch per       on disk    until the central
//!                         interval                     has confirmed it
//! ```
//!
//! [`agent`] drives this pipeline live, [`replay`] from capture files. Nothing is lost silently:
//! whatever is discarded at a limit is counted and reported to the central with the next batch.

pub mod agent;
pub mod capture;
pub mod central;
pub mod clock;
pub mod command;
pub mod config;
pub mod deliver;
pub mod diagnosis;
pub mod dnstap;
pub mod doctor;
pub mod enroll;
pub mod heartbeat;
pub mod memory;
pub mod meter;
pub mod metrics;
pub mod observe;
pub mod pin;
pub mod pull;
pub mod replay;
pub mod served;
pub mod services;
pub mod settings;
pub mod sight;
pub mod spool;
pub mod status;
pub mod system;
pub mod tally;
pub mod times;

mod error;
mod process;
mod room;
mod serve;
mod version;

pub use error::Error;
