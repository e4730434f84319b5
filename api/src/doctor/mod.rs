//! Diagnostics of a central: what keeps it from receiving, storing and answering, and what to do about it.
//!
//! * Nothing is changed, and the store is not opened: what it contains is read as it is on the disk, whether a central is
//!   running or not ([`Peek`]).
//! * Nothing waits for long: every step has a time limit, and independent ones run at the same time.
//! * Nothing secret is shown.
//!
//! Each file gathers facts in one function and judges them in others.

mod bundle;
mod certificate;
mod data;
mod fleet;
mod listen;
mod machine;
mod peers;
mod process;
mod running;
mod subject;

pub use bundle::bundle;
pub use subject::Subject;

use crate::config::Settings;
use crate::data::STORE;
use crate::{Error, describe};
use process::Process;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use zonepulse_central::time::now_ms;
use zonepulse_doctor::{About, Check, Report, Secrets, Status, Subject as _, argument};
use zonepulse_query::SqlWorkers;
use zonepulse_store::Peek;

/// Time limit of everything that only needs this machine.
const LOCAL_PATIENCE: Duration = Duration::from_secs(10);
/// Time limit of all steps of a check over the network together. Steps have shorter limits.
const REMOTE_PATIENCE: Duration = Duration::from_secs(60);

/// What to examine.
#[derive(Debug, Clone)]
pub struct Question {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// The data directory, if it is not that of the configuration.
    pub data: Option<PathBuf>,
    /// The address to listen on, if it is not that of the configuration.
    pub listen: Option<SocketAddr>,
    /// How statements of SQL would be run.
    pub sql_workers: SqlWorkers,
}

/// A report, and what is needed to explain it.
#[derive(Debug)]
pub struct Examined {
    /// The report.
    pub report: Report,
    /// The configuration, if it can be used.
    pub settings: Option<Settings>,
    /// What nothing that is shown with it may contain.
    pub secrets: Secrets,
}

/// What all checks start from.
struct Known {
    settings: Settings,
    /// The configuration and the data directory as arguments of a command, for advice.
    file: String,
    /// The running central, if there is one.
    process: Option<Process>,
    /// Whether this user cannot see if there is one.
    is_hidden: bool,
    /// What is in the store; if that is not known, why not.
    peek: Result<Option<Peek>, String>,
    now_ms: u64,
}

impl Known {
    /// What is in the store, or why a check that needs it is skipped.
    fn store(&self) -> Result<&Peek, String> {
        match &self.peek {
            Ok(Some(peek)) => Ok(peek),
            Ok(None) => Err("there is no store yet".to_owned()),
            Err(why) => Err(why.clone()),
        }
    }

    fn secrets(&self) -> Secrets {
        let Settings { rabbitmq, retirement, .. } = &self.settings;
        let mut secrets = Secrets::default();
        rabbitmq.url.iter().for_each(|url| secrets.add_url(url.reveal()));
        retirement.webhook_secret.iter().for_each(|secret| secrets.add(secret.reveal()));
        if let Ok(Some(peek)) = &self.peek {
            let retention = zonepulse_store::Options::from(self.settings.store).retention;
            for server in &peek.servers {
                secrets.add(&peek.effective(server, retention).rabbitmq_password);
                server.pull.token.iter().for_each(|token| secrets.add(token));
            }
            for zone in &peek.zones {
                if let zonepulse_store::Source::Transfer { tsig: Some(tsig), .. } = &zone.source {
                    secrets.add(&tsig.secret);
                }
            }
        }
        secrets
    }
}

/// Makes all checks.
pub async fn examine(question: &Question) -> Examined {
    let name = question.config.clone().or_else(|| question.data.clone());
    let name = name.unwrap_or_else(|| Settings::default().data);
    // Commands in advice work from everywhere.
    let config = std::path::absolute(&name).unwrap_or(name);
    let about =
        About { program: "zonepulse".into(), version: env!("CARGO_PKG_VERSION").into(), config: config.clone(), server_id: None };
    let (check, settings) = configuration(question, &config);
    let Some(settings) = settings else {
        let rest = Subject::all().into_iter().filter(|subject| *subject != Subject::Configuration);
        let skipped = rest.map(|subject| Check::skipped(subject, "the configuration cannot be used"));
        let report = Report::new::<Subject>(about, skipped.chain([check]).collect());
        return Examined { report, settings: None, secrets: Secrets::default() };
    };
    let known = Arc::new(know(question, settings, &config).await);
    let secrets = known.secrets();
    let (here, listening, sql, broker, pull, zones, webhook) = tokio::join!(
        here(&known),
        running::check(&known),
        timed(Subject::SqlWorkers, peers::sql_workers(&known, &question.sql_workers)),
        timed(Subject::Broker, peers::broker(&known)),
        timed(Subject::Pull, peers::pull(&known)),
        timed(Subject::Zones, peers::zones(&known)),
        timed(Subject::Webhook, peers::webhook(&known)),
    );
    let all = [vec![check, sql, broker, pull, zones, webhook], here, listening].concat();
    let report = Report::new::<Subject>(about, all).hiding(&secrets);
    Examined { report, settings: Some(known.settings.clone()), secrets }
}

/// The configuration, as the central reads it.
fn configuration(question: &Question, config: &Path) -> (Check, Option<Settings>) {
    const SUBJECT: Subject = Subject::Configuration;
    let shown = match &question.config {
        Some(file) => file.display().to_string(),
        None => "the defaults, with the environment,".to_owned(),
    };
    let read = Settings::read(question.config.as_deref()).and_then(|mut settings| {
        if let Some(data) = &question.data {
            settings.set_data(data)?;
        }
        Ok(Settings { listen: question.listen.unwrap_or(settings.listen), ..settings })
    });
    match read {
        Ok(settings) => {
            let check = match settings.warnings.as_slice() {
                [] => Check::ok(SUBJECT, format!("{shown} can be used")),
                [first, rest @ ..] => {
                    let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
                    let advice = format!("rename it in {shown}: the next release rejects the old name");
                    Check::warning(SUBJECT, format!("{first}{more}"), advice)
                }
            };
            (check, Some(settings))
        }
        Err(error) => {
            let file = argument(config);
            let advice = match &error {
                Error::Private(zonepulse_private::Error::Exposed { remedy, .. }) => format!("make it private: {remedy}"),
                Error::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                    "name the right file with --config, or create this one: api/zonepulse.example.toml explains every key"
                        .to_owned()
                }
                Error::File { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                    format!("run this as the user that the central runs as, or as root: sudo zonepulse doctor --config {file}")
                }
                _ => format!("correct that, and check again: zonepulse serve --config {file} --check-config"),
            };
            (Check::error(SUBJECT, describe(&error), advice), None)
        }
    }
}

async fn know(question: &Question, settings: Settings, config: &Path) -> Known {
    let store = settings.data.join(STORE);
    let looking = {
        let store = store.clone();
        move || (process::find(&store), Peek::read(&store).map_err(|error| describe(&error)))
    };
    let (process, peek) = match within(looking).await {
        Ok(found) => found,
        Err(why) => (Ok(None), Err(why)),
    };
    let is_hidden = process.is_err();
    let process = process.unwrap_or_default();
    // An argument of the running central counts more than the configuration.
    let listen = question.listen.or_else(|| process.as_ref()?.listen).unwrap_or(settings.listen);
    let file = question.config.as_ref().map(|_| format!("--config {}", argument(config)));
    let data = (question.data.is_some() || file.is_none()).then(|| format!("--data {}", argument(&settings.data)));
    let file = file.into_iter().chain(data).collect::<Vec<_>>().join(" ");
    Known { settings: Settings { listen, ..settings }, file, process, is_hidden, peek, now_ms: now_ms() }
}

/// Everything that only needs this machine.
async fn here(known: &Arc<Known>) -> Vec<Check> {
    let checked = {
        let known = known.clone();
        within(move || {
            let mut checks = data::check(&known);
            checks.push(process::judge(&known));
            checks.push(certificate::check(&known));
            checks.extend(machine::check(&known));
            checks.extend(listen::check(&known));
            checks.extend(fleet::check(&known));
            checks
        })
    };
    let subjects = [
        Subject::Process,
        Subject::Data,
        Subject::Store,
        Subject::Disk,
        Subject::Listen,
        Subject::Tls,
        Subject::Clock,
        Subject::OpenFiles,
        Subject::Memory,
        Subject::Notify,
        Subject::Servers,
        Subject::Probes,
    ];
    checked.await.unwrap_or_else(|why| subjects.map(|subject| Check::skipped(subject, why.clone())).to_vec())
}

async fn timed(subject: Subject, check: impl Future<Output = Check>) -> Check {
    timeout(REMOTE_PATIENCE, check).await.unwrap_or_else(|_| Check::skipped(subject, "it took too long"))
}

/// Runs `work` on a thread that may wait for a disk; the error says why there is no result.
async fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    match timeout(LOCAL_PATIENCE, spawn_blocking(work)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(format!("the check failed, please report this: {error}")),
        Err(_) => Err(format!("it took more than {} s: does a disk or a network file system hang?", LOCAL_PATIENCE.as_secs())),
    }
}

/// The worse of two statuses of one subject, with both texts.
fn worse(checks: Vec<Check>, subject: Subject) -> Check {
    let worst = checks.iter().map(|check| check.status).max().unwrap_or(Status::Skipped);
    let of_worst: Vec<&Check> = checks.iter().filter(|check| check.status == worst).collect();
    let found = of_worst.iter().map(|check| check.found.as_str()).collect::<Vec<_>>().join("; ");
    let advice = of_worst.iter().find_map(|check| check.advice.clone());
    match worst {
        Status::Ok => Check::ok(subject, found),
        Status::Skipped => Check::skipped(subject, found),
        Status::Warning => Check::warning(subject, found, advice.unwrap_or_default()),
        Status::Error => Check::error(subject, found, advice.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
