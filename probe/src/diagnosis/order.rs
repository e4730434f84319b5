//! Orders of the central.

use crate::deliver;

/// An order that came with the answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The number of the run.
    pub run: u64,
    /// Where the answer came from.
    pub central: deliver::http::Settings,
}
