//! How requests are read: parameters and bodies, from text to typed arguments.

pub mod body;
pub mod parameters;
pub mod query_string;
mod unique;
