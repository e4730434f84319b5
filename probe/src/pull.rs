//! Pull delivery, for networks without outbound connections: the central connects to the probe and
//! fetches.
//!
//! [`zonepulse_wire::pull`] describes the protocol. The spool and the batches are the same as for
//! push, so the transport may change at any time: a batch in transit on both counts once. Fetching
//! does not claim batches; those not confirmed are returned again.
//!
//! Requests must present the token, which is compared in constant time. Connections, concurrent
//! requests, and their memory are bounded; an authenticated client keeps its connection.

use crate::config::pull::Settings;
use crate::diagnosis::Diagnostician;
use crate::heartbeat::{Reporter, Told};
use crate::serve::{Running, Server, Visitor};
use crate::settings::InForce;
use crate::spool::{Key, Spool};
use crate::status::{Status, count};
use crate::{Error, deliver};
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};
use zonepulse_private::Secret;
use zonepulse_wire::HeartbeatAnswer;
use zonepulse_wire::pull::{
    BATCHES_PATH, CONFIRM_PATH, Confirmations, DIAGNOSE_PATH, HEARTBEAT_PATH, LENGTH_BYTES, MAX_MESSAGES, MAX_WAIT_S,
    SERVER_ID_HEADER, SETTINGS_PATH, put_message,
};

/// The principal whose connections are kept.
const CENTRAL: u64 = 1;
/// Maximum number of answers with batches in memory.
const MAX_ANSWERS: usize = 2;
/// Maximum size of a request: a confirmation of [`MAX_MESSAGES`], with reasons.
const MAX_REQUEST_BYTES: usize = 1 << 20;
/// Maximum length of a reason, characters.
const MAX_REASON: usize = 500;
/// Retry interval for an address that cannot be listened on.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// How long a request for diagnostics waits for their end. The central asks again.
const DIAGNOSIS_PATIENCE: Duration = Duration::from_secs(20);
/// How long settings may take to come into force.
const SETTINGS_PATIENCE: Duration = Duration::from_secs(10);

/// The sources of the answers.
#[derive(Clone)]
pub struct Sources {
    /// The server that the batches describe.
    pub server_id: u32,
    /// The batches.
    pub spool: Arc<Spool>,
    /// Creates heartbeats.
    pub reporter: Arc<Reporter>,
    /// Receives settings.
    pub told: mpsc::Sender<Told>,
    /// Counts requests.
    pub status: Arc<Status>,
    /// Outcomes of batches.
    pub counts: Arc<deliver::Counts>,
    /// Runs diagnostics.
    pub diagnostician: Arc<Diagnostician>,
    /// Memory for all answers together, bytes.
    pub max_bytes: u64,
}

#[derive(Clone)]
struct Door {
    sources: Sources,
    token: Secret,
    answers: Arc<Semaphore>,
}

/// Listens while the central is to pull, until dropped.
pub async fn run(sources: Sources, mut in_force: watch::Receiver<InForce>) {
    let mut known: Option<String> = None;
    loop {
        let settings = in_force.borrow_and_update().pull.clone();
        let listening = settings.as_ref().map(|settings| listen(&sources, settings));
        let again = match &listening {
            Some(Err(error)) => {
                if known.as_ref() != Some(error) {
                    tracing::error!(error, "cannot listen for the central to pull; retrying every second");
                    known = Some(error.clone());
                }
                true
            }
            _ => {
                known = None;
                false
            }
        };
        loop {
            tokio::select! {
                changed = in_force.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LISTEN_AGAIN), if again => break,
            }
            if in_force.borrow_and_update().pull != settings {
                break;
            }
        }
    }
}

fn listen(sources: &Sources, settings: &Settings) -> Result<Running, String> {
    let failed = |error: std::io::Error| format!("cannot listen on {}: {error}", settings.listen);
    let server = Server::bind(settings.listen).map_err(failed)?;
    let address = server.address().map_err(failed)?;
    if settings.certificate.is_none() && !address.ip().is_loopback() {
        tracing::warn!(%address, "the central pulls over PLAIN TEXT: an eavesdropper sees the token and the data; set pull.certificate_file and key_file");
    }
    let app = app(sources.clone(), settings.token.clone());
    let running =
        server.start(app, settings.certificate.clone(), settings.max_connections, sources.status.clone()).map_err(failed)?;
    tracing::info!(%address, tls = settings.certificate.is_some(), "ready for the central to pull");
    Ok(running)
}

fn app(sources: Sources, token: Secret) -> Router {
    let door = Door { sources, token, answers: Arc::new(Semaphore::new(MAX_ANSWERS)) };
    Router::new()
        .route(BATCHES_PATH, get(batches))
        .route(CONFIRM_PATH, post(confirm))
        .route(HEARTBEAT_PATH, get(heartbeat))
        .route(SETTINGS_PATH, post(settings))
        .route(DIAGNOSE_PATH, post(diagnose))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .layer(from_fn_with_state(door.clone(), authorize))
        .with_state(door)
}

async fn authorize(State(door): State<Door>, headers: HeaderMap, request: Request, next: Next) -> Response {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    // Different lengths return early: the length is not secret.
    if shown.is_some_and(|shown| shown.ct_eq(door.token.reveal().as_bytes()).into()) {
        if let Some(visitor) = request.extensions().get::<Visitor>() {
            visitor.prove(CENTRAL);
        }
        return next.run(request).await;
    }
    count(&door.sources.status.counts.requests_unauthorized, 1);
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, "present this probe's pull token as a bearer token\n").into_response()
}

#[derive(Deserialize)]
struct Ask {
    max_bytes: Option<u64>,
    wait_s: Option<u64>,
}

async fn batches(State(door): State<Door>, Query(ask): Query<Ask>) -> Response {
    let Ok(permit) = door.answers.clone().try_acquire_owned() else {
        let wait = [(header::RETRY_AFTER, "1")];
        return (StatusCode::TOO_MANY_REQUESTS, wait, "too many requests are being answered\n").into_response();
    };
    let Sources { server_id, spool, status, max_bytes, .. } = door.sources;
    let max_bytes = ask.max_bytes.unwrap_or(u64::MAX).min(max_bytes / MAX_ANSWERS as u64);
    let until = Instant::now() + Duration::from_secs(ask.wait_s.unwrap_or(0).min(MAX_WAIT_S));
    let mut arrivals = spool.arrivals();
    let (bytes, messages) = loop {
        arrivals.borrow_and_update();
        let reader = spool.clone();
        match spawn_blocking(move || read(&reader, max_bytes)).await {
            Ok(Ok((bytes, messages))) if messages > 0 => break (bytes, messages),
            Ok(Ok(empty)) => {
                if !matches!(timeout_at(until, arrivals.changed()).await, Ok(Ok(()))) {
                    break empty;
                }
            }
            Ok(Err(error)) => return failed(&error),
            Err(error) => return failed(&error),
        }
    };
    count(&status.counts.pulled, messages);
    let headers =
        [(header::CONTENT_TYPE.as_str(), "application/octet-stream".to_owned()), (SERVER_ID_HEADER, server_id.to_string())];
    let answer = Answer { bytes, _permit: permit };
    (headers, Body::from(Bytes::from_owner(answer))).into_response()
}

/// An answer that occupies memory until it is sent, or its connection ends.
struct Answer {
    bytes: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The body of an answer with the oldest batches, and their number.
fn read(spool: &Spool, max_bytes: u64) -> Result<(Vec<u8>, u64), Error> {
    let mut answer = Vec::new();
    let mut messages = 0;
    for key in spool.give(max_bytes, MAX_MESSAGES) {
        // A batch may have been evicted meanwhile.
        if let Some(bytes) = spool.read(key)? {
            answer.reserve_exact(LENGTH_BYTES + bytes.len());
            put_message(&mut answer, &bytes);
            messages += 1;
        }
    }
    Ok((answer, messages))
}

async fn confirm(State(door): State<Door>, body: Bytes) -> Response {
    let confirmations: Confirmations = match parse(&body) {
        Ok(confirmations) => confirmations,
        Err(wrong) => return wrong.into_response(),
    };
    if confirmations.confirmed.len() + confirmations.refused.len() > MAX_MESSAGES {
        return (StatusCode::BAD_REQUEST, format!("more than {MAX_MESSAGES} messages in one request\n")).into_response();
    }
    let Sources { spool, counts, .. } = door.sources;
    match spawn_blocking(move || settle(&spool, &counts, confirmations)).await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

/// Applies the central's confirmations to the batches. Those no longer in the spool are ignored.
fn settle(spool: &Spool, counts: &deliver::Counts, confirmations: Confirmations) -> Result<(), Error> {
    let confirmed: HashSet<_> = confirmations.confirmed.into_iter().map(|batch| (batch.epoch, batch.seq)).collect();
    let refused: HashMap<_, _> =
        confirmations.refused.into_iter().map(|batch| ((batch.epoch, batch.seq), batch.reason)).collect();
    for key in spool.find(&confirmed) {
        // Count first, so that whoever sees an empty spool also sees all batches counted.
        counts.confirmed();
        spool.remove(key)?;
    }
    for key in spool.find(&refused.keys().copied().collect()) {
        let reason = refused.get(&(key.epoch, key.seq)).map(String::as_str).unwrap_or_default();
        let reason: String = reason.chars().filter(|letter| !letter.is_control()).take(MAX_REASON).collect();
        let Key { start_s, seq, .. } = key;
        tracing::warn!(start_s, seq, reason, "the central refused a batch for good; it is kept in refused/ in the spool");
        counts.was_refused();
        spool.refuse(key, &reason)?;
    }
    Ok(())
}

async fn heartbeat(State(door): State<Door>) -> Response {
    Json(door.sources.reporter.heartbeat_for_pull().await).into_response()
}

#[derive(Deserialize)]
struct Run {
    run: u64,
}

async fn diagnose(State(door): State<Door>, Query(Run { run }): Query<Run>) -> Response {
    match door.sources.diagnostician.result(run, DIAGNOSIS_PATIENCE).await {
        Some(bytes) => bytes.into_response(),
        None => (StatusCode::ACCEPTED, "not done yet\n").into_response(),
    }
}

async fn settings(State(door): State<Door>, body: Bytes) -> Response {
    let answer: HeartbeatAnswer = match parse(&body) {
        Ok(answer) => answer,
        Err(wrong) => return wrong.into_response(),
    };
    let (tell, taken) = oneshot::channel();
    let told = Told { answer, taken: Some(tell) };
    if door.sources.told.send(told).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the probe is stopping\n").into_response();
    }
    match timeout(SETTINGS_PATIENCE, taken).await {
        Ok(Ok(Ok(()))) => StatusCode::NO_CONTENT.into_response(),
        Ok(Ok(Err(why))) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n")).into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the probe is busy\n").into_response(),
    }
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, (StatusCode, String)> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, format!("{error}\n")))
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "cannot answer a request of the pulling central");
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
}

#[cfg(test)]
#[path = "pull_tests.rs"]
mod tests;
