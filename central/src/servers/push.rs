//! Installing and updating the probes of servers over SSH, by this central.

use super::bundle::{self, Wanted};
use super::find;
use crate::push::{Fetched, Heard, Job, Kind, Order, Source};
use crate::rights::Caller;
use crate::time::now_ms;
use crate::{Central, Error};
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use zonepulse_model::ServerId;

/// Starts a job for a server. Blocks briefly; called within a runtime.
pub fn start(central: &Central, caller: &Caller, order: Order, asked_at: Option<String>) -> Result<Job, Error> {
    let id = order.server_id;
    if find(central, id)?.server.is_removed() {
        return Err(Error::Missing(format!("server {id} was removed")));
    }
    let action = match order.kind {
        Kind::Install => "server.install",
        Kind::Update => "server.update",
    };
    let actor = caller.actor(now_ms());
    let source = OfCentral { central: central.clone(), caller: caller.clone(), asked_at };
    central.jobs().start(order, &actor.who.clone(), source, |job| {
        let told = json!({"job": job.id, "node": job.node, "jump": job.jump});
        Ok(central.store().registry().by(actor).note_server(action, ServerId::new(id), &told)?)
    })
}

/// Bundles and heartbeats of this central.
struct OfCentral {
    central: Central,
    caller: Caller,
    asked_at: Option<String>,
}

impl Source for OfCentral {
    async fn bundle(&self, server_id: u32, architecture: &str, enrolls: bool, to: &Path) -> Result<Fetched, String> {
        let wanted = Wanted { architecture: Some(architecture.to_owned()), enrolls_for: enrolls.then_some(bundle::AT_ONCE) };
        let (central, caller, asked_at, to) = (self.central.clone(), self.caller.clone(), self.asked_at.clone(), to.to_owned());
        let writing = move || {
            let bundle = bundle::make(&central, &caller, server_id, &wanted, asked_at.as_deref())?;
            let failed = |source| Error::File { path: to.clone(), source };
            let mut out = BufWriter::new(File::create(&to).map_err(failed)?);
            bundle.write(&mut out).and_then(|()| out.flush()).map_err(failed)?;
            Ok::<_, Error>(Fetched { size_bytes: bundle.size_bytes() })
        };
        let written = tokio::task::spawn_blocking(writing).await.map_err(|error| error.to_string())?;
        written.map_err(|error| match &error {
            Error::File { source, .. } => format!("{error}: {source}"),
            error => error.to_string(),
        })
    }

    async fn heard(&self, server_id: u32) -> Result<Option<Heard>, String> {
        let last = self.central.fleet().pulse(server_id, now_ms()).last;
        Ok(last.map(|last| Heard {
            received_ms: last.received_ms,
            uptime_s: last.heartbeat.uptime_s,
            version: last.heartbeat.probe_version,
        }))
    }

    async fn url(&self, server_id: u32) -> Option<String> {
        let settings = self.central.store().registry().effective_settings(ServerId::new(server_id)).ok()?;
        Some(self.central.addresses().url(&settings, self.asked_at.as_deref()))
    }
}
