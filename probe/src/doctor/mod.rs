//! Diagnostics: what keeps this machine's messages from being counted, and what to do about it.
//!
//! Every [`Subject`] has one [`Check`], which says what was found and, if something is wrong, what to
//! do. Each file gathers facts in one function and judges them in others, which are pure.
//!
//! * Nothing is changed: no batch, no setting, no lock. Whether the spool can be written to is tried
//!   with a file that has no name.
//! * Nothing waits for long: every step has a time limit, and independent ones run at the same time.
//! * Nothing secret is shown.
//! * It works whether the probe is running or not, and as another user than the probe's; what could
//!   not be checked then says why.

mod broker;
mod capture;
mod central;
mod clock;
mod configuration;
mod dns_server;
mod drops;
mod network;
mod process;
mod pull;
mod server_id;
mod spool;
mod subject;

pub use subject::Subject;

use crate::Error;
use crate::clock::now_ms;
use crate::config::Argument;
use central::Findings;
use configuration::Known;
use process::Running;
use server_id::Traces;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use subject::Needs;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use zonepulse_doctor::{About, Check, Report, Secrets, Subject as _};

/// Time limit of everything that only needs this machine. Only a disk, possibly of another machine,
/// can take that long.
const LOCAL_PATIENCE: Duration = Duration::from_secs(10);
/// Time limit of everything that needs the central or a broker. Steps have shorter limits.
const REMOTE_PATIENCE: Duration = Duration::from_secs(60);

/// A report, and what nothing that is shown with it may contain.
#[derive(Debug)]
pub struct Examined {
    /// The report.
    pub report: Report,
    /// The secrets of the configuration and of the central's settings.
    pub secrets: Secrets,
}

/// Makes all checks with the configuration in this file, overridden by the arguments.
///
/// Fails with [`Error::System`] if the system provides no thread or timer.
pub fn examine(path: &Path, arguments: &[Argument]) -> Result<Examined, Error> {
    // Commands in advice work from everywhere.
    let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::System)?;
    let examined = runtime.block_on(report(path, arguments));
    // Threads that still wait for a disk or a resolver must not delay the end.
    runtime.shutdown_background();
    Ok(examined)
}

async fn report(path: &Path, arguments: &[Argument]) -> Examined {
    let loading = {
        let (path, arguments) = (path.to_owned(), arguments.to_vec());
        move || configuration::load(&path, &arguments)
    };
    let (check, known) = match within(LOCAL_PATIENCE, loading).await {
        Ok(loaded) => loaded,
        Err(why) => (Check::skipped(Subject::Configuration, why), None),
    };
    let Some(known) = known else {
        let rest = Subject::all().into_iter().filter(|subject| *subject != Subject::Configuration);
        let skipped = rest.map(|subject| Check::skipped(subject, "the configuration cannot be used"));
        let report = Report::new::<Subject>(about(path, None), skipped.chain([check]).collect());
        return Examined { report, secrets: Secrets::default() };
    };
    let known = Arc::new(known);
    let traces = {
        let known = known.clone();
        move || Traces::of(&known)
    };
    let (here, Findings { checks, owner }, broker, traces) = tokio::join!(
        here(&known),
        there(&known),
        async {
            timeout(REMOTE_PATIENCE, broker::check(&known))
                .await
                .unwrap_or_else(|_| Check::skipped(Subject::Broker, "it took too long"))
        },
        within(LOCAL_PATIENCE, traces),
    );
    let server_id = server_id::judge(known.config.server_id, owner, traces.unwrap_or_default(), &known.file());
    let mut all = [vec![check, broker, server_id], here, checks].concat();
    if let Some(unset) = clock::unset(now_ms(), known.config.bounds().earliest_ms) {
        all.retain(|check| !check.is(Subject::Clock));
        all.push(unset);
    }
    let secrets = known.secrets();
    let report = Report::new::<Subject>(about(path, Some(known.config.server_id)), all).hiding(&secrets);
    Examined { report, secrets }
}

fn about(path: &Path, server_id: Option<u32>) -> About {
    let (program, version) = ("zonepulse-probe".into(), env!("CARGO_PKG_VERSION").into());
    About { program, version, config: path.to_owned(), server_id }
}

/// Everything that needs the central.
async fn there(known: &Known) -> Findings {
    let findings = timeout(REMOTE_PATIENCE, central::check(known)).await;
    findings.unwrap_or_else(|_| Findings::skipped(&format!("it took more than {} s", REMOTE_PATIENCE.as_secs())))
}

/// Everything that only needs this machine.
async fn here(known: &Arc<Known>) -> Vec<Check> {
    let find = {
        let known = known.clone();
        move || process::check(&known)
    };
    let (process, running) = match within(LOCAL_PATIENCE, find).await {
        Ok(found) => found,
        Err(why) => {
            return Subject::needing(Needs::Machine).map(|subject| Check::skipped(subject, why.clone())).collect();
        }
    };
    let (capture, dns_server, drops, spool, pull) = tokio::join!(
        group(known, running, &[Subject::CaptureRights, Subject::CaptureDevice], capture::check),
        group(known, running, &[Subject::DnsServer], |known, _| vec![dns_server::check(known)]),
        group(known, running, &[Subject::Drops], |known, _| vec![drops::check(known)]),
        group(known, running, &[Subject::Spool, Subject::Waiting, Subject::Refused, Subject::Disk], spool::check),
        group(known, running, &[Subject::Pull], |known, running| vec![pull::check(known, running)]),
    );
    [vec![process], capture, dns_server, drops, spool, pull].concat()
}

/// Makes the checks of a file on a thread that may wait for a disk.
async fn group(
    known: &Arc<Known>,
    running: Option<Running>,
    subjects: &[Subject],
    check: impl FnOnce(&Known, Option<Running>) -> Vec<Check> + Send + 'static,
) -> Vec<Check> {
    let known = known.clone();
    let checked = within(LOCAL_PATIENCE, move || check(&known, running)).await;
    checked.unwrap_or_else(|why| subjects.iter().map(|subject| Check::skipped(*subject, why.clone())).collect())
}

/// Runs `work` on a thread of its own; the error says why there is no result.
async fn within<T: Send + 'static>(patience: Duration, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    match timeout(patience, spawn_blocking(work)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(format!("the check failed, please report this: {error}")),
        Err(_) => Err(format!("it took more than {} s: does a disk or a network file system hang?", patience.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_doctor::Status;

    #[test]
    fn without_a_configuration_everything_else_is_skipped() {
        let report = examine(Path::new("/nonexistent/probe.toml"), &[]).unwrap().report;
        assert_eq!((report.status, report.about.server_id), (Status::Error, None));
        assert_eq!((report.count(Status::Error), report.count(Status::Skipped)), (1, Subject::all().len() - 1));
    }

    #[tokio::test]
    async fn what_takes_too_long_is_skipped() {
        let patience = Duration::from_millis(20);
        let slow = within(patience, || std::thread::sleep(Duration::from_millis(500))).await;
        assert!(slow.unwrap_err().contains("took more than"));
        assert_eq!(within(Duration::from_secs(5), || 7).await, Ok(7));
    }
}
