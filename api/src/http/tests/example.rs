//! What probes say in tests.

use zonepulse_wire::Heartbeat;

/// A heartbeat of a healthy probe, made at this time.
pub fn heartbeat(sent_at_ms: u64) -> Heartbeat {
    serde_json::from_str(&zonepulse_fixtures::heartbeat(sent_at_ms)).unwrap()
}
