//! Connections to a broker (AMQP 0.9.1).
//!
//! The stream is made here and not by the library, so that the same authorities are trusted as over HTTPS: the library
//! reads only its own settings.

mod address;
mod connect;
mod parts;
mod publisher;

pub use address::{Address, LONGEST_QUEUE, check_queue};
pub use connect::{Fault, Progress, Step, connect};
pub use publisher::{BLOCKED, Publisher};
