//! What both programs do at their edge: read their configuration, and log.
//!
//! Only the two programs use it: libraries take typed arguments and have no say in where lines go.

pub mod config;
mod error;
pub mod log;

pub use error::Error;
