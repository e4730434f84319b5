//! The HTTP requests from the central to one probe.

use super::{Settings, Target};
use crate::Error;
use bytes::Bytes;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{from_slice, to_vec};
use std::error::Error as _;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use zonepulse_model::ServerId;
use zonepulse_net::{Trust, http};
use zonepulse_wire::heartbeat::MAX_HEARTBEAT_BYTES;
use zonepulse_wire::pull::{
    BATCHES_PATH, CONFIRM_PATH, Confirmations, DIAGNOSE_PATH, HEARTBEAT_PATH, LENGTH_BYTES, MAX_MESSAGES, SERVER_ID_HEADER,
    SETTINGS_PATH, messages,
};
use zonepulse_wire::{Heartbeat, HeartbeatAnswer, MAX_ENCODED_BYTES};

/// Maximum duration of any request, including over a slow line.
const LONGEST: Duration = Duration::from_secs(300);
/// Maximum cached clients.
const MAX_CLIENTS: usize = 16;
/// Maximum size of the result of diagnostics: more than a central accepts, so that it says why.
const MAX_DIAGNOSTICS_BYTES: usize = 4 << 20;
/// Maximum bytes of a problem's text to read.
const REASON_BYTES: usize = 2048;

/// Why a request to a probe failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// There was no connection, or it ended.
    #[error("{0}")]
    Unreachable(String),
    /// No connection was established within the timeout.
    #[error("the probe at {url} did not let the central in within {timeout_ms} ms (the setting api_timeout_ms)")]
    NotLetIn {
        /// The expected address.
        url: String,
        /// The timeout, in milliseconds.
        timeout_ms: u128,
    },
    /// The probe answered with an unexpected status.
    #[error("the probe at {url} answers {status}: {reason}")]
    Status {
        /// Its address.
        url: String,
        /// The status.
        status: StatusCode,
        /// The explanation in the answer.
        reason: String,
    },
    /// The probe of another server answered.
    #[error("the probe at {url} is that of server {found}: correct the address")]
    Other {
        /// Its address.
        url: String,
        /// The server that it claims to belong to.
        found: String,
    },
    /// The answer does not follow the protocol.
    #[error("the probe's answer cannot be used: {0}")]
    Answer(String),
    /// A batch could not be accepted now.
    #[error("{0}")]
    NotTaken(String),
    /// The settings are invalid.
    #[error("{0}")]
    Setting(String),
}

/// Clients by trusted certificates and connection timeout: certificate authorities are read once, not once per
/// server.
pub(super) struct Clients {
    settings: Settings,
    clients: Mutex<Vec<(Trust, Duration, Client)>>,
}

impl Clients {
    pub(super) fn new(settings: Settings) -> Self {
        Clients { settings, clients: Mutex::default() }
    }

    /// A client for a target's probe.
    pub(super) fn probe(&self, target: Target) -> Result<Probe, Error> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let fits =
            |(trust, timeout, _): &&(Trust, Duration, Client)| (trust, *timeout) == (&target.trust, target.connect_timeout);
        let client = match clients.iter().find(fits) {
            Some((_, _, client)) => client.clone(),
            None => {
                let client = self.client(&target)?;
                if clients.len() >= MAX_CLIENTS {
                    // Probes hold clones of the clients they use.
                    clients.clear();
                }
                clients.push((target.trust.clone(), target.connect_timeout, client.clone()));
                client
            }
        };
        Ok(Probe { client, settings: self.settings, target })
    }

    fn client(&self, target: &Target) -> Result<Client, Error> {
        let silence = Duration::from_secs(self.settings.wait_s).saturating_add(self.settings.patience);
        // A client may be shared with targets whose address uses TLS.
        let builder = http::client_with(target.trust.client_config()?).connect_timeout(target.connect_timeout);
        Ok(http::build(builder.read_timeout(silence).timeout(LONGEST.max(silence)))?)
    }
}

/// A client for one probe.
pub(super) struct Probe {
    client: Client,
    settings: Settings,
    target: Target,
}

/// The head of an answer with batches: its body has not been read.
pub(super) struct Answer {
    response: Response,
    max_bytes: usize,
}

/// The content of an answer.
pub(super) struct Messages {
    /// Complete messages, in order.
    pub(super) whole: Vec<Bytes>,
    /// Whether the answer ends inside a message.
    pub(super) broken_off: bool,
}

impl Probe {
    pub(super) fn server_id(&self) -> ServerId {
        self.target.server_id
    }

    /// Requests batches, and waits until there are some or the wait times out.
    pub(super) async fn batches(&self) -> Result<Answer, Fault> {
        let Settings { max_bytes, wait_s, .. } = self.settings;
        let url = self.url(&format!("{BATCHES_PATH}?max_bytes={max_bytes}&wait_s={wait_s}"));
        let response = self.send(self.client.get(url)).await?;
        let found = response.headers().get(SERVER_ID_HEADER).and_then(|id| id.to_str().ok()).unwrap_or("unknown");
        if found != self.server_id().to_string() {
            return Err(Fault::Other { url: self.target.url.clone(), found: found.to_owned() });
        }
        Ok(Answer { response, max_bytes: max_bytes as usize + MAX_ENCODED_BYTES + MAX_MESSAGES * LENGTH_BYTES })
    }

    /// Reports what happened to them.
    pub(super) async fn confirm(&self, done: &Confirmations) -> Result<(), Fault> {
        self.post(CONFIRM_PATH, to_vec(done)).await
    }

    /// Fetches the probe's heartbeat.
    pub(super) async fn heartbeat(&self) -> Result<Heartbeat, Fault> {
        let response = self.send(self.client.get(self.url(HEARTBEAT_PATH))).await?;
        let body = http::body(response, MAX_HEARTBEAT_BYTES).await?;
        from_slice(&body).map_err(|error| Fault::Answer(format!("no heartbeat: {error}")))
    }

    /// Sends the probe the answer to its heartbeat.
    pub(super) async fn settings(&self, answer: &HeartbeatAnswer) -> Result<(), Fault> {
        self.post(SETTINGS_PATH, to_vec(answer)).await
    }

    /// Has the probe run diagnostics, or waits for their end; `None` if they are not over yet.
    pub(super) async fn diagnose(&self, run: u64) -> Result<Option<Bytes>, Fault> {
        let response = self.send(self.client.post(self.url(&format!("{DIAGNOSE_PATH}?run={run}")))).await?;
        match response.status() {
            StatusCode::ACCEPTED => Ok(None),
            _ => Ok(Some(http::body(response, MAX_DIAGNOSTICS_BYTES).await?)),
        }
    }

    async fn post(&self, path: &str, body: serde_json::Result<Vec<u8>>) -> Result<(), Fault> {
        let body = body.map_err(|error| Fault::Setting(error.to_string()))?;
        let request = self.client.post(self.url(path)).header("content-type", "application/json").body(body);
        self.send(request).await.map(|_| ())
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Fault> {
        let sent = request.bearer_auth(self.target.token.reveal()).send().await;
        let response = sent.map_err(|error| match error.is_connect() && error.is_timeout() {
            true => Fault::NotLetIn { url: self.target.url.clone(), timeout_ms: self.target.connect_timeout.as_millis() },
            false => unreachable(&error),
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = http::start_of_body(response, REASON_BYTES).await;
        let reason = text.chars().filter(|letter| !letter.is_control()).take(200).collect();
        Err(Fault::Status { url: self.target.url.clone(), status, reason })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.target.url.trim_end_matches('/'))
    }
}

impl Answer {
    /// Reads the batches.
    pub(super) async fn read(self) -> Result<Messages, Fault> {
        let body = http::body(self.response, self.max_bytes).await?;
        let mut found = Messages { whole: Vec::new(), broken_off: false };
        for message in messages(&body).take(MAX_MESSAGES) {
            match message {
                Some(message) => found.whole.push(body.slice_ref(message)),
                None => found.broken_off = true,
            }
        }
        Ok(found)
    }
}

impl From<http::BodyError> for Fault {
    fn from(error: http::BodyError) -> Self {
        match error {
            http::BodyError::Broken(error) => unreachable(&error),
            too_long => Fault::Answer(too_long.to_string()),
        }
    }
}

fn unreachable(error: &reqwest::Error) -> Fault {
    Fault::Unreachable(causes(error))
}

/// An error with its chain of causes: reqwest's own text says little.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing into memory cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
