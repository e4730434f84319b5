//! Heartbeats: signs of life of the probes.
//!
//! The answer to a heartbeat carries what holds for the server, so a change of
//! settings reaches every probe within half a minute, and a probe needs no other
//! way to learn of it.

use crate::{Central, Error};
use std::net::IpAddr;
use zonepulse_ingest::fleet::probe_settings;
use zonepulse_model::ServerId;
use zonepulse_wire::{Heartbeat, HeartbeatAnswer};

/// Takes a heartbeat that arrived at this time, by whichever way, and gives what the probe is told. One that the central
/// fetched comes from no address.
pub fn hear(
    central: &Central,
    server_id: u32,
    heartbeat: Heartbeat,
    address: Option<IpAddr>,
    received_at_ms: u64,
) -> Result<HeartbeatAnswer, Error> {
    check(&heartbeat).inspect_err(|error| central.refusals().heartbeat(server_id, &error.to_string(), received_at_ms))?;
    central.refusals().heard(server_id);
    central.fleet().hear(server_id, heartbeat, address, received_at_ms)?;
    answer(central, server_id, received_at_ms)
}

/// What a probe is told that was heard at this time.
fn answer(central: &Central, server_id: u32, received_at_ms: u64) -> Result<HeartbeatAnswer, Error> {
    let registry = central.store().registry();
    // The version first: settings that are newer than it are sent again, older ones would stay.
    let settings_version = registry.global()?.version;
    let server =
        registry.server(ServerId::new(server_id))?.ok_or_else(|| Error::Missing(format!("no server has the id {server_id}")))?;
    let settings = registry.effective_settings(ServerId::new(server_id))?;
    Ok(HeartbeatAnswer { received_at_ms, settings_version, settings: probe_settings(&settings, &server) })
}

/// Everything that a heartbeat says is kept in memory and shown, so it has to be short, and its numbers such that can be.
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
