//! Connections to a broker (AMQP 0.9.1).
//!
//! The stream is made here rather than by the library, which reads only its own settings: it must
//! trust the same authorities as HTTPS.

mod address;
mod connect;
mod parts;
mod publisher;

pub use address::{Address, LONGEST_QUEUE, check_queue};
pub use connect::{Fault, Progress, Step, connect};
pub use publisher::{BLOCKED, Publisher};
