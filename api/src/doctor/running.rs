//! What the running central says of itself, to everybody: whether it is ready, and its version.

use super::listen::from_here;
use super::{Known, Subject};
use crate::describe;
use zonepulse_doctor::{Check, PATIENCE};
use zonepulse_tools::{Public, Said};

pub(super) async fn check(known: &Known) -> Vec<Check> {
    let skipped = |why: &str| vec![Check::skipped(Subject::Ready, why), Check::skipped(Subject::Version, why)];
    if known.process.is_none() {
        return skipped("no central is running");
    }
    if known.settings.listen.port() == 0 {
        return skipped("the system chose the central's port");
    }
    let scheme = if known.settings.tls.certificate_file.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", from_here(known.settings.listen));
    let public = match Public::new(&url, PATIENCE) {
        Ok(public) => public,
        Err(error) => return skipped(&describe(&error)),
    };
    let (ready, version) = tokio::join!(ready(&public, &url), version(&public));
    vec![ready, version]
}

async fn ready(public: &Public, url: &str) -> Check {
    const SUBJECT: Subject = Subject::Ready;
    match public.ready().await {
        Ok(Said::Ready) => Check::ok(SUBJECT, format!("the central at {url} is ready")),
        Ok(Said::NotReady(why)) => Check::error(
            SUBJECT,
            format!("the central at {url} is not ready: {why}"),
            "resolve that; until then, probes keep their batches",
        ),
        Err(error) => Check::error(
            SUBJECT,
            format!("the running central does not answer at {url}: {}", describe(&error)),
            format!("see its log (journalctl -u zonepulse), and whether it listens there: curl -k {url}/healthz"),
        ),
    }
}

async fn version(public: &Public) -> Check {
    const SUBJECT: Subject = Subject::Version;
    let ours = env!("CARGO_PKG_VERSION");
    match public.version().await {
        Ok(theirs) if theirs == ours => Check::ok(SUBJECT, format!("the running central is of version {ours}, as this program")),
        Ok(theirs) => Check::warning(
            SUBJECT,
            format!("the running central is of version {theirs}, this program of {ours}"),
            "restart the central, or use the program of its version: systemctl restart zonepulse",
        )
        .with("running", theirs)
        .with("installed", ours),
        Err(error) => Check::skipped(SUBJECT, format!("the running central does not say its version: {}", describe(&error))),
    }
}
