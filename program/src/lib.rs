//! What both programs do in `main`: read their configuration, and log.
//!
//! Only the two programs use this crate: libraries take typed arguments and do not decide where log
//! lines go.

pub mod config;
mod error;
pub mod log;

pub use error::Error;
