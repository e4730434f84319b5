//! Bundles and heartbeats of a running central, over HTTP.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use zonepulse_central::push::{Fetched, Heard, Source};
use zonepulse_tools::{Api, Method};

const JSON: &str = "application/json";

/// A running central.
pub(super) struct Remote<'a> {
    api: &'a Api,
    url: &'a str,
}

#[derive(Deserialize)]
struct Pulse {
    last_heartbeat: Option<String>,
    uptime_s: Option<u64>,
    probe_version: Option<String>,
}

#[derive(Deserialize)]
struct Server {
    effective_settings: Effective,
}

#[derive(Deserialize)]
struct Effective {
    #[serde(default)]
    api_url: String,
}

#[derive(Deserialize)]
struct Address {
    url: String,
    source: String,
}

impl<'a> Remote<'a> {
    pub(super) fn new(api: &'a Api, url: &'a str) -> Self {
        Remote { api, url }
    }

    async fn read<T: DeserializeOwned>(&self, path: &str, parameters: &[(&str, String)]) -> Result<T, String> {
        let answer = self.api.call(Method::Get, path, parameters, None, JSON).await;
        let answer = answer.map_err(|error| crate::describe(&error))?;
        serde_json::from_slice(&answer).map_err(|error| format!("the answer of the central: {error}"))
    }
}

impl Source for Remote<'_> {
    async fn bundle(&self, server_id: u32, architecture: &str, enrolls: bool, to: &Path) -> Result<Fetched, String> {
        let path = format!("/api/v2/pvservers/config/{server_id}");
        let parameters = [("architecture", architecture.to_owned()), ("enroll", enrolls.to_string())];
        let bundle = self.api.call(Method::Get, &path, &parameters, None, "application/x-tar").await;
        let bundle = bundle.map_err(|error| crate::describe(&error))?;
        tokio::fs::write(to, &bundle).await.map_err(|error| format!("{}: {error}", to.display()))?;
        Ok(Fetched { size_bytes: bundle.len() as u64 })
    }

    async fn heard(&self, server_id: u32) -> Result<Option<Heard>, String> {
        let parameters = [("server_id", server_id.to_string())];
        let rows: Vec<Pulse> = self.read("/api/v2/monitoring/heartbeat", &parameters).await?;
        Ok(rows.into_iter().next().and_then(|pulse| {
            let received_ms = u64::try_from(pulse.last_heartbeat?.parse::<Timestamp>().ok()?.as_millisecond()).ok()?;
            Some(Heard { received_ms, uptime_s: pulse.uptime_s?, version: pulse.probe_version? })
        }))
    }

    async fn url(&self, server_id: u32) -> Option<String> {
        let server: Server = self.read(&format!("/api/v2/pvservers/{server_id}"), &[]).await.ok()?;
        let addresses: Vec<Address> = self.read("/api/v2/monitoring/pvips", &[]).await.unwrap_or_default();
        let set = Some(server.effective_settings.api_url).filter(|url| !url.is_empty());
        let configured = || addresses.into_iter().find(|address| address.source == "configuration").map(|address| address.url);
        set.or_else(configured).or_else(|| Some(self.url.to_owned()))
    }
}
