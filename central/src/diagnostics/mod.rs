//! Diagnostics of a server: its probe runs the doctor and hands over the result.
//!
//! A run is *requested* by a user, and ordered of the probe by whatever way there is: with the answers to its heartbeats, or,
//! where the central pulls, by asking the probe. It is *running* from the first order on, and then *done*, or *failed*. A
//! probe of an earlier version does not know the order (*unsupported*), and one that is silent does not hear it (*expired*).
//!
//! There is one run per server at a time. The last one is kept in memory, its result for a day, and all results together are
//! bounded; they are gone when the central restarts.

pub mod runs;

use crate::rights::Caller;
use crate::time::now_ms;
use crate::{Central, Error};
use runs::Run;
use serde_json::json;
use zonepulse_model::ServerId;

/// Requests diagnostics of a server.
pub fn request(central: &Central, caller: &Caller, server_id: u32) -> Result<Run, Error> {
    let now_ms = now_ms();
    let registry = central.store().registry().by(caller.actor(now_ms));
    let server = registry.server(ServerId::new(server_id))?.filter(|server| !server.is_removed());
    let server = server.ok_or_else(|| Error::Missing(format!("there is no server {server_id}, or it was removed")))?;
    if server.sample {
        return Err(Error::bad_value("server_id", "this server's data is sample data: it has no probe"));
    }
    let last = central.fleet().pulse(server_id, now_ms).last;
    let run = central.diagnostics().begin(server_id, &caller.actor(now_ms).who, last.map(|last| last.heartbeat), now_ms)?;
    registry.note_server("server.diagnose", server.id, &json!({ "run": run.id, "state": run.state.as_str() }))?;
    Ok(run)
}

/// The last run of a server.
pub fn find(central: &Central, server_id: u32) -> Result<Run, Error> {
    let known = central.store().registry().server(ServerId::new(server_id))?;
    known.ok_or_else(|| Error::Missing(format!("there is no server {server_id}")))?;
    let run = central.diagnostics().find(server_id, now_ms());
    run.ok_or_else(|| Error::Missing(format!("no diagnostics of server {server_id} were requested since this central started")))
}

/// The last result of a server as an archive (tar, gzip), and the name of its directory.
pub fn archive(central: &Central, caller: &Caller, server_id: u32) -> Result<(String, Vec<u8>), Error> {
    let run = find(central, server_id)?;
    let (id, state) = (run.id, run.state.as_str());
    let bundle = run.bundle.ok_or_else(|| Error::Missing(format!("run {id} of the diagnostics has no result: it is {state}")))?;
    let now_ms = now_ms();
    let registry = central.store().registry().by(caller.actor(now_ms));
    registry.note_server("server.download_debug", ServerId::new(server_id), &json!({ "run": id }))?;
    let directory = format!("zonepulse-debug-{server_id}");
    let archive = bundle.archive(&directory, run.ended_ms.unwrap_or(now_ms) / 1000);
    Ok((directory, archive.map_err(|error| Error::Fault(error.to_string()))?))
}
