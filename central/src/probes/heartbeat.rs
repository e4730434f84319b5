//! Heartbeats: signs of life of the probes.
//!
//! The answer to a heartbeat carries the server's current settings, so a change of settings reaches every probe within
//! half a minute, and probes need no other channel for it.

use crate::{Central, Error};
use std::net::IpAddr;
use zonepulse_ingest::fleet::probe_settings;
use zonepulse_model::ServerId;
use zonepulse_wire::{Heartbeat, HeartbeatAnswer, Resend};

/// Processes a heartbeat received at this time, by whichever transport, and returns the answer for the probe. One that
/// the central fetched has no address.
pub fn hear(
    central: &Central,
    server_id: u32,
    heartbeat: Heartbeat,
    address: Option<IpAddr>,
    received_at_ms: u64,
) -> Result<HeartbeatAnswer, Error> {
    check(&heartbeat).inspect_err(|error| central.refusals().heartbeat(server_id, &error.to_string(), received_at_ms))?;
    central.refusals().heard(server_id);
    let order = central.diagnostics().order(server_id, &heartbeat, received_at_ms);
    central.fleet().hear(server_id, heartbeat, address, received_at_ms)?;
    answer(central, server_id, received_at_ms, order)
}

/// The answer to a probe whose heartbeat arrived at this time.
fn answer(central: &Central, server_id: u32, received_at_ms: u64, order: Option<u64>) -> Result<HeartbeatAnswer, Error> {
    let registry = central.store().registry();
    // Read the version first: settings newer than the version are sent again, but older ones would stick.
    let settings_version = registry.global()?.version;
    let server =
        registry.server(ServerId::new(server_id))?.ok_or_else(|| Error::Missing(format!("no server has the id {server_id}")))?;
    let settings = registry.effective_settings(ServerId::new(server_id))?;
    let restoration = central.store().restoration()?;
    // A probe follows this once, however often it is told.
    let resend =
        restoration.map(|restored| Resend { restored_at_ms: restored.restored_ms, delivered_since_ms: restored.saved_ms });
    let settings = probe_settings(&settings, &server);
    Ok(HeartbeatAnswer { received_at_ms, settings_version, settings, diagnose: order, resend })
}

/// Everything in a heartbeat is kept in memory and displayed, so it must be short and its numbers plausible.
fn check(heartbeat: &Heartbeat) -> Result<(), Error> {
    heartbeat.check().map_err(|reason| Error::bad_value("body", reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::tests::heartbeat;

    #[test]
    fn texts_past_the_bound_are_refused() {
        assert!(check(&heartbeat(1)).is_ok());
        let mut long = heartbeat(1);
        long.capture.detail = Some("x".repeat(1025));
        assert!(check(&long).is_err());
    }
}
