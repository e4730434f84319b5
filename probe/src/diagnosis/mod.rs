//! Diagnostics that the central orders: the doctor's report, with what helps to understand it.
//!
//! The order comes with the answer to a heartbeat, and the result is posted to the central; or a central that pulls asks for
//! it ([`crate::pull`]). Runs have numbers. One runs at a time, on a thread of its own, and the last result is kept, so that
//! an order that is repeated until its result arrives does not run anything twice.

mod files;
pub mod order;

use crate::config::Argument;
use crate::deliver;
use crate::doctor::{self, Examined};
use crate::heartbeat::Reporter;
use crate::settings::InForce;
use crate::spool::Spool;
use crate::status::Status;
use crate::{Error, central};
use axum::body::Bytes;
use order::Order;
use reqwest::header::CONTENT_TYPE;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use zonepulse_doctor::{About, Bundle, Check, Report, Secrets};
use zonepulse_net::http;
use zonepulse_wire::heartbeat::DIAGNOSTICS_PATH;

/// The media type of a result.
const MEDIA_TYPE: &str = "application/vnd.zonepulse.diagnostics";
/// Longer than the doctor's own time limits together.
const LONGEST_RUN: Duration = Duration::from_secs(150);
/// Time limit for posting a result.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// When to post it again, if that failed.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(5), Duration::from_secs(15)];

/// How this probe was started: the doctor reads the configuration as it was read then.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The configuration file.
    pub config: PathBuf,
    /// What overrides it.
    pub arguments: Vec<Argument>,
}

/// Runs diagnostics.
pub struct Diagnostician {
    origin: Origin,
    sources: Sources,
    state: watch::Sender<State>,
}

/// What a bundle is made of, besides the report.
#[derive(Clone)]
pub struct Sources {
    /// The state of the probe.
    pub status: Arc<Status>,
    /// The batches.
    pub spool: Arc<Spool>,
    /// Outcomes of batches.
    pub counts: Arc<deliver::Counts>,
    /// Creates heartbeats.
    pub reporter: Arc<Reporter>,
    /// The settings.
    pub in_force: watch::Receiver<InForce>,
}

#[derive(Debug, Clone, Default)]
enum State {
    /// Nothing was ordered yet.
    #[default]
    Idle,
    /// A run is under way.
    Running,
    /// This run is over.
    Done(u64, Bytes),
}

impl Diagnostician {
    /// For a probe that was started like this.
    pub fn new(origin: Origin, sources: Sources) -> Arc<Diagnostician> {
        Arc::new(Diagnostician { origin, sources, state: watch::Sender::default() })
    }

    /// The result of a run, which is begun unless it was before; `None` if it is not over within this time, or another run is
    /// under way.
    pub async fn result(self: &Arc<Self>, run: u64, patience: Duration) -> Option<Bytes> {
        let mut state = self.state.subscribe();
        self.begin(run);
        let over = state.wait_for(|state| matches!(state, State::Done(known, _) if *known == run));
        match &*timeout(patience, over).await.ok()?.ok()? {
            State::Done(_, bytes) => Some(bytes.clone()),
            State::Idle | State::Running => None,
        }
    }

    fn begin(self: &Arc<Self>, run: u64) {
        let begins = self.state.send_if_modified(|state| {
            let begins = match state {
                State::Idle => true,
                State::Running => false,
                State::Done(known, _) => *known != run,
            };
            if begins {
                *state = State::Running;
            }
            begins
        });
        if begins {
            tracing::info!(run, "the central has ordered diagnostics");
            let myself = self.clone();
            tokio::spawn(async move {
                let bytes = myself.make().await;
                myself.state.send_replace(State::Done(run, bytes.into()));
            });
        }
    }

    async fn make(&self) -> Vec<u8> {
        let Origin { config, arguments } = self.origin.clone();
        let examining = spawn_blocking(move || doctor::examine(&config, &arguments));
        let examined = match timeout(LONGEST_RUN, examining).await {
            Ok(Ok(Ok(examined))) => examined,
            Ok(Ok(Err(error))) => self.failed(&error.to_string()),
            Ok(Err(error)) => self.failed(&error.to_string()),
            Err(_) => self.failed("they took too long"),
        };
        let Examined { report, secrets } = examined;
        let secrets = files::with_those_of(secrets, &self.sources.in_force.borrow());
        let mut bundle = Bundle::new(report.hiding(&secrets));
        let heartbeat = self.sources.reporter.heartbeat().await;
        let (origin, sources, report) = (self.origin.clone(), self.sources.clone(), bundle.report.clone());
        let collecting = spawn_blocking(move || {
            files::add_all(&mut bundle, &origin, &sources, &heartbeat, &secrets);
            bundle.encode()
        });
        match collecting.await {
            Ok(Ok(bytes)) => bytes,
            // The report alone is small.
            Ok(Err(error)) => without_files(report, &error.to_string()),
            Err(error) => without_files(report, &error.to_string()),
        }
    }

    fn failed(&self, why: &str) -> Examined {
        let found = format!("the checks could not be made: {why}");
        let check = Check::error(doctor::Subject::Process, found, "see the probe's log, and run zonepulse-probe doctor there");
        let about = About {
            program: "zonepulse-probe".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            config: self.origin.config.clone(),
            server_id: None,
        };
        Examined { report: Report::new::<doctor::Subject>(about, vec![check]), secrets: Secrets::default() }
    }
}

fn without_files(report: Report, why: &str) -> Vec<u8> {
    tracing::warn!(why, "diagnostics are sent without files");
    Bundle::new(report).encode().unwrap_or_default()
}

/// Follows orders until dropped, and posts the results.
pub async fn run(diagnostician: Arc<Diagnostician>, mut orders: mpsc::Receiver<Order>) {
    let mut last = None;
    while let Some(Order { run, central }) = orders.recv().await {
        if last == Some(run) {
            continue;
        }
        let Some(bytes) = diagnostician.result(run, LONGEST_RUN).await else { continue };
        for pause in PAUSES {
            sleep(pause).await;
            match post(&central, run, bytes.clone()).await {
                Ok(()) => {
                    tracing::info!(run, "the central has the result of the diagnostics");
                    last = Some(run);
                    break;
                }
                Err(Failure { what, is_final }) => {
                    tracing::warn!(run, what, "the result of the diagnostics does not reach the central");
                    if is_final {
                        last = Some(run);
                        break;
                    }
                }
            }
        }
    }
}

/// Why a result was not accepted.
struct Failure {
    what: String,
    /// Whether it never will be.
    is_final: bool,
}

async fn post(central: &deliver::http::Settings, run: u64, bytes: Bytes) -> Result<(), Failure> {
    let later = |what: String| Failure { what, is_final: false };
    let client = central::client(&central.url, &central.trust).map(|client| client.timeout(ANSWER_TIMEOUT));
    let client = client.and_then(central::build).map_err(|error: Error| later(error.to_string()))?;
    let url = http::address(&central.url, &format!("{DIAGNOSTICS_PATH}?run={run}"));
    let request = client.post(url).bearer_auth(central.token.reveal()).header(CONTENT_TYPE, MEDIA_TYPE).body(bytes);
    let response = request.send().await.map_err(|error| later(central::innermost(&error)))?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let what = format!("{}: {}", status.as_u16(), central::read_problem(response).await);
    // Nobody waits for it any more, or it is not acceptable.
    Err(Failure { what, is_final: matches!(status.as_u16(), 400 | 404 | 409 | 413 | 415) })
}

#[cfg(test)]
pub(crate) mod tests;
