//! What a request asks: its parameters and its body, as typed arguments.

pub mod body;
pub mod catalogue;
pub mod groups;
pub mod parameters;
pub mod query_string;
mod unique;
pub mod values;
