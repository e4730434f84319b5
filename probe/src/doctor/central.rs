//! What the central answers: whether it is one, is ready, accepts the token, and its version.
//!
//! Nothing is sent that the central counts or stores. The token is presented to the call for batches
//! with a parameter that does not exist: the central looks at the token first, and refuses the
//! parameter before it looks for a batch.

use super::clock::{self, Answered};
use super::configuration::{Central, Known};
use super::network;
use super::subject::{Needs, Subject};
use crate::central::{self, innermost, read_typed_problem};
use crate::clock::now_ms;
use crate::deliver;
use reqwest::header::{DATE, HeaderMap};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use zonepulse_doctor::PATIENCE;
use zonepulse_doctor::network::Place;
use zonepulse_doctor::tls::{self, Fault, Peer, Shaken};
use zonepulse_doctor::{Check, Status};
use zonepulse_net::{Trust, http};
use zonepulse_wire::{SERVER_HEADER, Utc};

const ALIVE: &str = "/healthz";
const READY: &str = "/readyz";
const BATCHES: &str = "/api/v2/batches?doctor=token";
const DOCUMENT: &str = "/api/v2/openapi.json";
/// Read limit for the API's description, which contains the version, bytes.
const MAX_DOCUMENT_BYTES: usize = 8 << 20;
const MAX_ANSWER_BYTES: usize = 4096;
/// Prefix of the central's problem types.
const OURS: &str = "urn:zonepulse:problem:";
/// How long before its end a certificate should be renewed, seconds.
const RENEW_S: u64 = 14 * 86_400;

/// What the central says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Findings {
    pub(super) checks: Vec<Check>,
    /// Whose token it is.
    pub(super) owner: Owner,
}

/// Whose token was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Owner {
    /// This server's.
    Server(u32),
    /// The central accepts it as a server's, and does not say of which.
    Unsaid,
    /// It was not presented, or not accepted.
    #[default]
    Unknown,
}

impl Findings {
    /// Nothing was checked.
    pub(super) fn skipped(why: &str) -> Findings {
        Findings::default().skip_from(Subject::Name, why)
    }

    /// Skips this check and all later ones: each needs the steps before it.
    fn skip_from(mut self, first: Subject, why: &str) -> Findings {
        let rest = Subject::needing(Needs::Central).skip_while(|subject| *subject != first);
        self.checks.extend(rest.map(|subject| Check::skipped(subject, why)));
        self
    }
}

pub(super) async fn check(known: &Known) -> Findings {
    if known.delivery == Some(deliver::Settings::Pull) {
        return Findings::skipped("the central fetches batches, so nothing has to reach it from here");
    }
    let central = &known.central;
    let Some(place) = Place::of(&central.url) else { return Findings::skipped("the central's URL is not valid") };
    let (checks, address) = network::check(known, &place).await;
    let findings = Findings { checks, owner: Owner::Unknown };
    let Some(address) = address else {
        return findings.skip_from(Subject::Tls, "the central cannot be reached");
    };
    let trust = match &central.trust {
        Ok(trust) => trust,
        Err(why) => return findings.skip_from(Subject::Tls, &format!("whom to trust is unknown: {why}")),
    };
    let encryption = if place.is_https { encrypted(known, &place, address, trust).await } else { Ok(None) };
    let mut findings = findings;
    match encryption {
        Ok(check) => findings.checks.extend(check),
        Err(check) => {
            findings.checks.push(check);
            return findings.skip_from(Subject::Central, "the connection to the central is not secure");
        }
    }
    let client = central::client(&central.url, trust).map(|client| client.timeout(PATIENCE)).and_then(central::build);
    match client {
        Ok(client) => answers(known, &place, address, &client, findings).await,
        Err(error) => findings.skip_from(Subject::Central, &error.to_string()),
    }
}

/// Shakes hands. Without a secure connection, nothing may be sent.
async fn encrypted(known: &Known, place: &Place, address: SocketAddr, trust: &Trust) -> Result<Option<Check>, Check> {
    const SUBJECT: Subject = Subject::Tls;
    if let Err(error) = trust.client_config() {
        return Err(Check::error(SUBJECT, error.to_string(), "set tls.ca_file, or: apt install ca-certificates"));
    }
    let error = match tls::shake(address, &place.host, trust).await {
        Ok(shaken) => return Ok(Some(judge_certificate(&shaken, trust, now_ms() / 1000))),
        Err(error) => error,
    };
    // Whoever is not trusted is asked for nothing but the certificates, which help to find out why.
    let last = if tls::is_untrusted(&error) {
        tls::shake(address, &place.host, &Trust::Anybody).await.ok().and_then(|shaken| shaken.last)
    } else {
        None
    };
    let ca_file = known.config.tls.ca_file.as_deref();
    let peer = Peer {
        who: "the central",
        host: &place.host,
        ca_file,
        ca_setting: "tls.ca_file",
        setting: "deliver.http.url",
        last: last.as_deref(),
    };
    let Fault { found, advice, is_plain } = tls::explain(&error, peer);
    if is_plain && tls::speaks_plain_http(address, &place.host).await {
        let found = format!("deliver.http.url begins with https://, but {} answers HTTP without TLS", place.shown());
        let advice = format!(
            "configure [tls] at the central, or, on a network that you trust, set deliver.http.url = \"http://{}\"",
            place.shown()
        );
        return Err(Check::error(SUBJECT, found, advice));
    }
    Err(Check::error(SUBJECT, found, advice))
}

fn judge_certificate(shaken: &Shaken, trust: &Trust, now_s: u64) -> Check {
    const SUBJECT: Subject = Subject::Tls;
    let until = shaken.until_s.map(|until_s| format!(" until {}", Utc(until_s))).unwrap_or_default();
    let check = if !trust.verifies() {
        let found =
            "the connection is encrypted, but the central's certificate is not verified: anyone in between can read the token";
        Check::warning(SUBJECT, found, "set tls.verify_ca = true, and tls.ca_file if the central has a private authority")
    } else if shaken.until_s.is_some_and(|until_s| until_s.saturating_sub(now_s) < RENEW_S) {
        Check::warning(
            SUBJECT,
            format!("the central's certificate is trusted, but valid only{until}"),
            "renew it at the central, and reload it there (SIGHUP)",
        )
    } else {
        Check::ok(SUBJECT, format!("the central's certificate is trusted, and valid{until}"))
    };
    match shaken.until_s {
        Some(until_s) => check.with("valid_until", Utc(until_s).to_string()),
        None => check,
    }
}

async fn answers(known: &Known, place: &Place, address: SocketAddr, client: &Client, mut findings: Findings) -> Findings {
    let url = &known.central.url;
    let (sent_ms, began) = (now_ms(), Instant::now());
    let alive = client.get(http::address(url, ALIVE)).send().await;
    let round_trip = began.elapsed();
    let date = alive.as_ref().ok().and_then(|alive| alive.headers().get(DATE)?.to_str().ok().map(str::to_owned));
    let fault = match alive {
        Err(error) => Some(silent(place, &innermost(&error))),
        Ok(alive) => {
            let status = alive.status();
            let body = http::start_of_body(alive, MAX_ANSWER_BYTES).await;
            (!is_central(status, &body)).then(|| stranger(place, status, &known.file()))
        }
    };
    if !place.is_https {
        let plain = plain(place, address, fault.is_none()).await;
        let is_wrong = plain.status == Status::Error;
        findings.checks.push(plain);
        if is_wrong {
            return findings.skip_from(Subject::Central, "the central's URL has the wrong scheme");
        }
    }
    if let Some(fault) = fault {
        findings.checks.push(fault);
        return findings.skip_from(Subject::Clock, "no central answers");
    }
    findings.checks.push(clock::judge(&Answered { date, sent_ms, round_trip }));
    let (ready, (token, owner), version) = tokio::join!(ready(client, url), token(client, known), version(client, url));
    findings.checks.extend([ready, token, version]);
    Findings { owner, ..findings }
}

/// The check of the encryption of a URL that has none.
async fn plain(place: &Place, address: SocketAddr, is_alive: bool) -> Check {
    const SUBJECT: Subject = Subject::Tls;
    let shown = place.shown();
    if !is_alive && tls::shake(address, &place.host, &Trust::Anybody).await.is_ok() {
        let found = format!("deliver.http.url begins with http://, but {shown} speaks TLS");
        return Check::error(SUBJECT, found, format!("set deliver.http.url = \"https://{shown}\""));
    }
    let is_here = place.host == "localhost" || place.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_here {
        return Check::ok(SUBJECT, format!("{shown} is on this machine: nothing crosses a network"));
    }
    let found =
        format!("the token crosses the network to {shown} as plain text, and whoever reads it can impersonate this server");
    Check::warning(SUBJECT, found, format!("configure [tls] at the central, and set deliver.http.url = \"https://{shown}\""))
}

fn silent(place: &Place, why: &str) -> Check {
    Check::error(
        Subject::Central,
        format!("{} accepts connections but does not answer over HTTP: {why}", place.shown()),
        "see the central's log, and whether deliver.http.url leads to it: curl -v URL/healthz".to_owned(),
    )
}

fn is_central(status: StatusCode, body: &str) -> bool {
    let says_ok = |value: serde_json::Value| value.get("status").is_some_and(|status| status == "ok");
    status == StatusCode::OK && serde_json::from_str(body).is_ok_and(says_ok)
}

fn stranger(place: &Place, status: StatusCode, file: &str) -> Check {
    Check::error(
        Subject::Central,
        format!("{} answers, but not as a central does ({status} for {ALIVE})", place.shown()),
        format!("correct deliver.http.url in {file}: is another program or a proxy at this port?"),
    )
}

async fn ready(client: &Client, url: &str) -> Check {
    const SUBJECT: Subject = Subject::Central;
    let Ok(response) = client.get(http::address(url, READY)).send().await else {
        return Check::warning(SUBJECT, "the central is alive, but does not say whether it is ready", "see the central's log");
    };
    if response.status().is_success() {
        return Check::ok(SUBJECT, "the central answers and is ready");
    }
    let status = response.status();
    let (_, said) = read_typed_problem(response).await;
    let found = format!("the central is not ready ({}): {said}", status.as_str());
    Check::warning(SUBJECT, found, "resolve that at the central; until then, batches wait here")
}

async fn token(client: &Client, known: &Known) -> (Check, Owner) {
    const SUBJECT: Subject = Subject::Token;
    let Central { url, token, .. } = &known.central;
    let Some(token) = token else {
        return (Check::skipped(SUBJECT, "the configuration has no token, or it cannot be used"), Owner::Unknown);
    };
    let request: RequestBuilder = client.post(http::address(url, BATCHES)).bearer_auth(token.reveal());
    match request.send().await {
        Ok(response) => {
            let (status, owner) = (response.status(), owner(response.headers()));
            let (kind, said) = problem(response).await;
            judge_token(status, &kind, &said, owner, known)
        }
        Err(error) => (Check::skipped(SUBJECT, format!("no answer: {}", innermost(&error))), Owner::Unknown),
    }
}

fn owner(headers: &HeaderMap) -> Option<u32> {
    headers.get(SERVER_HEADER)?.to_str().ok()?.parse().ok()
}

async fn problem(response: Response) -> (String, String) {
    if response.status().is_success() { Default::default() } else { read_typed_problem(response).await }
}

fn judge_token(status: StatusCode, kind: &str, said: &str, owner: Option<u32>, known: &Known) -> (Check, Owner) {
    const SUBJECT: Subject = Subject::Token;
    let (file, id, url) = (known.file(), known.config.server_id, &known.central.url);
    let renew = format!(
        "create a new token for server {id} at the central (POST /api/v2/pvservers/{id}/token), and then: zonepulse-probe enroll {url} --force --config {file}"
    );
    let accepted = owner.map_or(Owner::Unsaid, Owner::Server);
    match status.as_u16() {
        401 => (Check::error(SUBJECT, format!("the central does not accept the token (401): {said}"), renew), Owner::Unknown),
        403 if kind.starts_with(OURS) => {
            (Check::error(SUBJECT, format!("the token is not that of a server (403): {said}"), renew), Owner::Unknown)
        }
        429 => (Check::skipped(SUBJECT, format!("the central refuses to check it at present (429): {said}")), Owner::Unknown),
        _ if kind.starts_with(OURS) && status.is_client_error() => {
            (Check::ok(SUBJECT, "the central accepts the token as that of a server"), accepted)
        }
        _ => (Check::skipped(SUBJECT, format!("unexpected answer; is there a proxy? {status}: {said}")), Owner::Unknown),
    }
}

async fn version(client: &Client, url: &str) -> Check {
    const SUBJECT: Subject = Subject::Version;
    #[derive(serde::Deserialize)]
    struct Document {
        info: Info,
    }
    #[derive(serde::Deserialize)]
    struct Info {
        version: String,
    }
    let Ok(response) = client.get(http::address(url, DOCUMENT)).send().await else {
        return Check::skipped(SUBJECT, format!("the central does not say its version ({DOCUMENT})"));
    };
    let body = http::body(response, MAX_DOCUMENT_BYTES).await.unwrap_or_default();
    match serde_json::from_slice(&body) {
        Ok(Document { info: Info { version } }) => judge_version(env!("CARGO_PKG_VERSION"), &version),
        Err(_) => Check::skipped(SUBJECT, format!("the central does not say its version ({DOCUMENT})")),
    }
}

fn judge_version(ours: &str, theirs: &str) -> Check {
    const SUBJECT: Subject = Subject::Version;
    let numbers =
        |version: &str| version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0)).take(3).collect::<Vec<u32>>();
    let check = match numbers(ours).cmp(&numbers(theirs)) {
        _ if ours == theirs => Check::ok(SUBJECT, format!("the probe and the central have version {ours}")),
        std::cmp::Ordering::Less => {
            Check::warning(SUBJECT, format!("the probe has version {ours}, the central {theirs}"), "update the probe")
        }
        _ => Check::warning(
            SUBJECT,
            format!("the probe has version {ours}, the central {theirs}"),
            "update the central first, then the probes",
        ),
    };
    check.with("probe", ours).with("central", theirs)
}

#[cfg(test)]
#[path = "central_tests.rs"]
mod tests;
