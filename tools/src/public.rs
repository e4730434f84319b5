//! What centrals and probes say without credentials, or about credentials, for diagnostics.

use crate::Error;
use crate::client::{PROBLEM_BYTES, client};
use reqwest::StatusCode;
use serde_json::Value;
use std::time::Duration;
use zonepulse_net::{Trust, http};
use zonepulse_private::Secret;

/// Maximum size of the API's description, which contains the version, bytes.
const MAX_DOCUMENT_BYTES: usize = 8 << 20;

/// A central on this machine. Nothing secret is sent to it, so anybody may be in its place.
pub struct Public {
    client: reqwest::Client,
    url: String,
    patience: Duration,
}

/// Whether a central can do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It can.
    Ready,
    /// It cannot, for this reason.
    NotReady(String),
}

impl Public {
    /// A central at a URL that answers each question within this time.
    pub fn new(url: &str, patience: Duration) -> Result<Self, Error> {
        Ok(Public { client: client(url, &Trust::Anybody, patience)?, url: url.to_owned(), patience })
    }

    /// Whether it is ready.
    pub async fn ready(&self) -> Result<Said, Error> {
        let response = self.get("/readyz").await?;
        if response.status().is_success() {
            return Ok(Said::Ready);
        }
        let status = response.status();
        let problem = http::start_of_body(response, PROBLEM_BYTES).await;
        let detail = serde_json::from_str::<Value>(&problem).ok();
        let detail = detail.as_ref().and_then(|problem| problem.get("detail")?.as_str());
        Ok(Said::NotReady(detail.map_or_else(|| status.to_string(), str::to_owned)))
    }

    /// Its version.
    pub async fn version(&self) -> Result<String, Error> {
        let response = self.get("/api/v2/openapi.json").await?;
        let body = http::body(response, MAX_DOCUMENT_BYTES).await.map_err(|error| Error::Answer(error.to_string()))?;
        let document: Value = serde_json::from_slice(&body).map_err(|error| Error::Answer(error.to_string()))?;
        let version = document.get("info").and_then(|info| info.get("version")?.as_str());
        version.map(str::to_owned).ok_or_else(|| Error::Answer("no version".to_owned()))
    }

    async fn get(&self, path: &str) -> Result<reqwest::Response, Error> {
        let request = self.client.get(http::address(&self.url, path)).timeout(self.patience);
        request.send().await.map_err(Error::Unreachable)
    }
}

/// Whether a probe that is pulled from accepts a token. It is asked for something that does not exist, which changes nothing:
/// it looks at the token first.
pub async fn try_pull(url: &str, token: &Secret, trust: &Trust, patience: Duration) -> Result<bool, Error> {
    let client = client(url, trust, patience)?;
    let request = client.get(http::address(url, "/v1/doctor")).bearer_auth(token.reveal()).timeout(patience);
    match request.send().await.map_err(Error::Unreachable)?.status() {
        StatusCode::UNAUTHORIZED => Ok(false),
        StatusCode::NOT_FOUND => Ok(true),
        status => Err(Error::Answer(format!("it answers {status}, not as a probe does"))),
    }
}
