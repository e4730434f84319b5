//! Turns an enrolment token into a configuration.
//!
//! The token can be used only once, so everything that can fail locally is tried before it is sent:
//! the files are created first, empty and hidden. Then the central is asked, and its answer is
//! written, with the configuration last, so that it is either complete or absent.

mod existing;

use crate::Error;
use crate::central::{self, innermost, read_problem};
use crate::heartbeat::{hostname, os};
use crate::pin::Pin;
use crate::version::version;
use existing::{Credentials, Existing, Pull};
use reqwest::header::CONTENT_TYPE;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zonepulse_model::Communication;
use zonepulse_net::tls::{Authorities, Fingerprint, Pinned, is_untrusted};
use zonepulse_net::{Trust, http};
use zonepulse_private::Prepared;
use zonepulse_private::Secret;
use zonepulse_wire::{Enrollment, EnrollmentRequest};

const PATH: &str = "/api/v2/enrollments";
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Read limit for the answer.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// All keys with their documentation.
const TEMPLATE: &str = include_str!("../zonepulse-probe.example.toml");
/// Where an enrolled probe listens once it is switched to pull. Until then it does not listen.
const PULL_LISTEN: &str = "0.0.0.0:8054";

/// The parameters of an enrolment.
#[derive(Debug, Clone)]
pub struct Order {
    /// The central's URL.
    pub url: String,
    /// The enrolment token.
    pub token: Secret,
    /// The configuration to write; token files go next to it.
    pub config: PathBuf,
    /// Trust only these certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// SHA-256 fingerprint of the only trusted authority, which the central sends with its
    /// certificate.
    pub ca_sha256: Option<Fingerprint>,
    /// The spool directory; by default that of the example.
    pub spool: Option<PathBuf>,
    /// Whether the credentials of another enrolment may be replaced. The configuration keeps its
    /// other settings.
    pub force: bool,
}

impl Order {
    /// Makes paths absolute, since the probe will be started from another directory.
    fn absolute(mut self) -> Result<Order, Error> {
        let absolute = |path: PathBuf| std::path::absolute(&path).map_err(Error::disk("find", path));
        self.config = absolute(self.config)?;
        self.ca_file = self.ca_file.map(absolute).transpose()?;
        self.spool = self.spool.map(absolute).transpose()?;
        Ok(self)
    }
}

/// The result of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The server's number.
    pub server_id: u32,
    /// The server's name.
    pub server: String,
    /// The files written, with the configuration last.
    pub files: Vec<PathBuf>,
    /// Whether a configuration existed before, so that a probe may be running with it.
    pub is_renewed: bool,
}

/// Why enrolment failed, wholly or in part; each variant says who can help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A local problem.
    #[error(transparent)]
    Here(#[from] Error),
    /// A configuration exists already.
    #[error("{} exists already: this machine is enrolled. To replace its credentials and keep all other settings, use --force", .0.display())]
    Enrolled(PathBuf),
    /// No answer.
    #[error(
        "{url} does not answer ({why}): is the URL right, is the central running, and does the firewall allow the connection?"
    )]
    Unreachable {
        /// The central's URL.
        url: String,
        /// The cause.
        why: String,
    },
    /// The certificate is not trusted.
    #[error(
        "{url} is not trusted ({why}): name the file of its certificate authority with --ca-file, or give the authority's fingerprint with --ca-sha256"
    )]
    Untrusted {
        /// The central's URL.
        url: String,
        /// What is wrong with its certificate.
        why: String,
    },
    /// The token was rejected.
    #[error("the central rejects the enrolment token ({0}): it can be used once and for a limited time; ask for another")]
    Token(String),
    /// The answer is not an enrolment.
    #[error("{url} does not enrol probes ({why}): is it the central, and is it recent enough?")]
    NotACentral {
        /// The central's URL.
        url: String,
        /// The answer.
        why: String,
    },
    /// The token was used up, but the answer is not on disk.
    #[error(
        "the central has enrolled this machine, but the result could not be saved ({0}): the token is used up; ask for another and try again"
    )]
    Lost(String),
}

/// Enrols this machine.
pub fn enroll(order: &Order) -> Result<Outcome, Refusal> {
    let order = &order.clone().absolute()?;
    let wrong = |place: &str, detail: String| Error::Config { place: place.into(), detail };
    central::check_url(&order.url).map_err(|what| wrong(&order.url, what))?;
    if order.config.exists() && !order.force {
        return Err(Refusal::Enrolled(order.config.clone()));
    }
    let existing = order.config.exists().then(|| Existing::read(&order.config)).transpose()?;
    let authorities = order.ca_file.as_deref().map(Authorities::read).transpose().map_err(Error::from)?;
    if order.ca_sha256.is_some() && !http::is_https(&order.url) {
        return Err(wrong("--ca-sha256", format!("{} has no certificate; write https://host:port", order.url)).into());
    }
    let files = Files::prepare(order)?;
    if let Some(existing) = &existing {
        // Problems must show before the token is used up.
        existing.with(&credentials(order, &files, 1, &order.url, true, ""))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::System)?;
    let pinned = order.ca_sha256.map(Pinned::new);
    let trust = authorities.map_or(Trust::System, Trust::Own);
    let enrollment = runtime.block_on(ask(order, &trust, pinned.as_ref()))?;
    let text = config_text(order, &files, &enrollment, existing.as_ref()).map_err(|error| Refusal::Lost(error.to_string()))?;
    let written =
        [files.ca.as_ref(), Some(&files.token), enrollment.pull_token.as_ref().map(|_| &files.pull_token), Some(&files.config)];
    let written = written.into_iter().flatten().map(|file| file.path().to_owned()).collect();
    let ca = pinned.and_then(|pinned| pinned.pem());
    files.write(ca.as_deref(), &enrollment, &text).map_err(|error| Refusal::Lost(error.to_string()))?;
    let Enrollment { server_id, server, .. } = enrollment;
    Ok(Outcome { server_id: server_id.get(), server, files: written, is_renewed: existing.is_some() })
}

async fn ask(order: &Order, trust: &Trust, pinned: Option<&Pinned>) -> Result<Enrollment, Refusal> {
    central::warn_if_unsafe(&order.url, trust);
    let client = match pinned {
        Some(pinned) => central::client_with(pinned.client_config().map_err(Error::from)?),
        None => central::client(&order.url, trust)?,
    };
    let client = central::build(client.timeout(ANSWER_TIMEOUT))?;
    let request = EnrollmentRequest { hostname: hostname(), os: os(), probe_version: version().to_owned() };
    let body = serde_json::to_vec(&request).map_err(|error| Error::disk("encode", "the request")(error.into()))?;
    let request = client.post(http::address(&order.url, PATH)).bearer_auth(order.token.reveal());
    let url = order.url.clone();
    let response = request.header(CONTENT_TYPE, "application/json").body(body).send().await.map_err(|error| {
        let (url, why) = (url.clone(), innermost(&error));
        if is_untrusted(&error) { Refusal::Untrusted { url, why } } else { Refusal::Unreachable { url, why } }
    })?;
    let status = response.status();
    if status.as_u16() != 201 {
        let said = format!("{}: {}", status.as_u16(), read_problem(response).await);
        return Err(match status.as_u16() {
            401 | 403 | 409 | 410 => Refusal::Token(said),
            429 | 500..=599 => Refusal::Unreachable { url, why: said },
            _ => Refusal::NotACentral { url, why: said },
        });
    }
    let body = http::body(response, MAX_ANSWER_BYTES).await;
    let body = body.map_err(|error| Refusal::Lost(format!("the answer was incomplete: {error}")))?;
    serde_json::from_slice(&body).map_err(|error| Refusal::Lost(format!("the answer is invalid: {error}")))
}

fn credentials<'a>(
    order: &'a Order,
    files: &'a Files,
    server_id: u32,
    url: &'a str,
    is_pulled: bool,
    first_line: &'a str,
) -> Credentials<'a> {
    let pull = is_pulled.then(|| Pull { token_file: files.pull_token.path(), listen: PULL_LISTEN });
    let (ca_file, spool) = (files.ca_file(order), order.spool.as_deref());
    Credentials { server_id, url, token_file: files.token.path(), pull, ca_file, spool, first_line }
}

/// The existing configuration, or else the example, with what this machine was given.
fn config_text(order: &Order, files: &Files, enrollment: &Enrollment, existing: Option<&Existing>) -> Result<String, Error> {
    // JSON strings are valid in TOML.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let path = |path: &Path| quoted(&path.to_string_lossy());
    let communication = match enrollment.settings.communication {
        // The broker's URL and password come with the first heartbeat.
        Communication::Http | Communication::Rabbitmq => "http",
        Communication::Pull => "pull",
    };
    // The URL on the command line is the trusted one. The central may name another one of the same
    // host.
    let named = enrollment.settings.api_url.as_ref();
    let allowed = |url: &&String| Pin::new(&order.url, None, false).and_then(|pin| pin.check_api(url)).is_ok();
    let url = named.filter(allowed).unwrap_or(&order.url);
    let name: String = enrollment.server.chars().filter(|letter| !letter.is_control()).collect();
    let first_line = format!("# Server {}, {name}: enrolled at {}.", enrollment.server_id, order.url);
    if let Some(existing) = existing {
        return existing.with(&credentials(
            order,
            files,
            enrollment.server_id.get(),
            url,
            enrollment.pull_token.is_some(),
            &first_line,
        ));
    }
    let mut lines = vec![
        ("server_id = 1\n", format!("server_id = {}\n", enrollment.server_id)),
        ("communication = \"http\"\n", format!("communication = {}\n", quoted(communication))),
        ("url = \"http://127.0.0.1:8053\"\n", format!("url = {}\n", quoted(url))),
        ("# token_file = \"/etc/zonepulse-probe/token\"\n", format!("token_file = {}\n", path(files.token.path()))),
        // Lets the central switch to pull remotely; the token comes with that change.
        ("# listen = \"0.0.0.0:8054\"\n", format!("listen = {}\n", quoted(PULL_LISTEN))),
    ];
    if enrollment.pull_token.is_some() {
        let pull_token = path(files.pull_token.path());
        lines.push(("# token_file = \"/etc/zonepulse-probe/pull-token\"\n", format!("token_file = {pull_token}\n")));
    }
    if let Some(spool) = &order.spool {
        lines.push(("dir = \"/var/lib/zonepulse-probe/spool\"\n", format!("dir = {}\n", path(spool))));
    }
    if let Some(ca) = files.ca_file(order) {
        lines.push(("# ca_file = \"/etc/zonepulse-probe/ca.pem\"\n", format!("ca_file = {}\n", path(ca))));
    }
    let text = lines.iter().fold(TEMPLATE.to_owned(), |text, (example, given)| text.replacen(example, given, 1));
    Ok(format!("{first_line}\n#\n{text}"))
}

/// The files of an enrolment: created, but not in place yet.
struct Files {
    ca: Option<Prepared>,
    token: Prepared,
    pull_token: Prepared,
    config: Prepared,
}

impl Files {
    fn prepare(order: &Order) -> Result<Files, Error> {
        let (config, replace) = (&order.config, order.force);
        let folder = config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // The probe may run as another user, so the directory stays accessible; the files in it do
        // not.
        zonepulse_private::shared_directory(folder)?;
        let folder = fs::canonicalize(folder).map_err(Error::disk("find", folder))?;
        let name = config
            .file_name()
            .ok_or_else(|| Error::Config { place: config.display().to_string(), detail: "is not a file name".into() })?;
        // The directory may contain tokens of another probe.
        let prepare = |name: &Path| Prepared::new(&folder.join(name), replace);
        Ok(Files {
            ca: order.ca_sha256.map(|_| prepare(Path::new("ca.pem"))).transpose()?,
            token: prepare(Path::new("token"))?,
            pull_token: prepare(Path::new("pull-token"))?,
            config: prepare(Path::new(name))?,
        })
    }

    /// The file of the trusted authority.
    fn ca_file<'a>(&'a self, order: &'a Order) -> Option<&'a Path> {
        self.ca.as_ref().map(Prepared::path).or(order.ca_file.as_deref())
    }

    fn write(self, ca: Option<&str>, enrollment: &Enrollment, text: &str) -> Result<(), Error> {
        if let (Some(file), Some(ca)) = (self.ca, ca) {
            file.write(ca)?;
        }
        self.token.write(&format!("{}\n", enrollment.token.reveal()))?;
        if let Some(token) = &enrollment.pull_token {
            self.pull_token.write(&format!("{}\n", token.reveal()))?;
        }
        Ok(self.config.write(text)?)
    }
}

#[cfg(test)]
#[path = "enroll_tests.rs"]
mod tests;
