//! What probes say in tests.

use zonepulse_wire::{CaptureState, Component, Components, Heartbeat, SpoolState, State};

/// A heartbeat of a healthy probe, made at this time.
pub fn heartbeat(sent_at_ms: u64) -> Heartbeat {
    let knot = Component {
        state: State::Running,
        version: Some("3.4.6".to_owned()),
        name: Some("knotd".to_owned()),
        identity: Some("ns1".to_owned()),
    };
    Heartbeat {
        sent_at_ms,
        epoch: 7,
        probe_version: "0.1.0".to_owned(),
        uptime_s: 60,
        hostname: "ns1".to_owned(),
        os: "Debian GNU/Linux 13".to_owned(),
        settings_version: Some(3),
        settings_refused: None,
        components: Components { dns: Some(knot), ..Components::default() },
        capture: CaptureState { state: State::Running, detail: None, blind: Vec::new() },
        spool: SpoolState { batches: 1, size_bytes: 100 },
    }
}
