//! Paths and media types that more than their own call has to know: commands that use them, and what a request passes through.

/// Where batches are sent to.
pub const BATCHES: &str = "/api/v2/batches";
/// Where probes send heartbeats to.
pub const HEARTBEAT: &str = "/api/v2/monitoring/heartbeat";
/// Where statements of SQL are sent to.
pub const SQL: &str = "/api/v2/sql";
