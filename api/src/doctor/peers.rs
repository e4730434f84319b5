//! What the central connects to: the broker, probes, primaries, the receiver of alerts; and its own workers for SQL.

use super::{Known, Subject};
use crate::{describe, remote, serve};
use futures::{StreamExt, future, stream};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;
use zonepulse_central::zones::serial_of_primary;
use zonepulse_doctor::broker::{self, Broker, Role};
use zonepulse_doctor::network::{Attempt, Place, connect, resolve};
use zonepulse_doctor::tls::{self, Fault, Peer};
use zonepulse_doctor::{Check, PATIENCE, argument};
use zonepulse_model::{Communication, Settings as ServerSettings};
use zonepulse_net::Trust;
use zonepulse_net::amqp::Address;
use zonepulse_query::{SqlWorkers, try_worker};
use zonepulse_store::{Server, Source, Zone, ZoneState};
use zonepulse_tools::try_pull;

/// How many peers of a kind are asked at the same time, and how many are asked at all.
const AT_ONCE: usize = 16;
const MOST_ASKED: usize = 200;
/// How many are named.
const MOST_NAMED: usize = 5;

pub(super) async fn sql_workers(known: &Known, workers: &SqlWorkers) -> Check {
    const SUBJECT: Subject = Subject::SqlWorkers;
    match try_worker(workers, &known.settings.sql.into()).await {
        Ok(()) => Check::ok(SUBJECT, "a process for SQL can be started"),
        Err(error) => Check::error(
            SUBJECT,
            describe(&error),
            "raise sql.memory_bytes if it is small; otherwise check that this user may start processes (ulimit -u, TasksMax)",
        ),
    }
}

pub(super) async fn broker(known: &Known) -> Check {
    const SUBJECT: Subject = Subject::Broker;
    let rabbitmq = &known.settings.rabbitmq;
    let settings = match serve::broker(rabbitmq) {
        Ok(Some(settings)) => settings,
        Ok(None) => return Check::skipped(SUBJECT, "no broker is configured (rabbitmq.url)"),
        Err(error) => return Check::error(SUBJECT, describe(&error), "correct rabbitmq.ca_file, or install ca-certificates"),
    };
    let address = match Address::parse(&settings.url) {
        Ok(address) => address,
        Err(what) => return Check::error(SUBJECT, format!("rabbitmq.url: {what}"), "correct rabbitmq.url"),
    };
    let broker = Broker {
        address: &address,
        trust: &settings.trust,
        queue: &settings.queue,
        role: Role::Receives,
        program: "zonepulse doctor",
        url_setting: "rabbitmq.url",
        queue_setting: "rabbitmq.queue",
        ca_file: rabbitmq.ca_file.as_deref(),
        ca_setting: "rabbitmq.ca_file",
    };
    broker::check(SUBJECT, &broker).await
}

/// What is wrong with a peer, and what to do about it.
struct Trouble {
    found: String,
    advice: String,
}

impl Trouble {
    fn new(found: impl Into<String>, advice: impl Into<String>) -> Trouble {
        Trouble { found: found.into(), advice: advice.into() }
    }
}

/// A check of several peers of a kind.
fn summed(subject: Subject, asked: usize, what: &str, troubles: &[Trouble]) -> Check {
    let check = match troubles {
        [] => Check::ok(subject, format!("{asked} {what}")),
        [first, ..] => {
            let more = troubles.len().saturating_sub(MOST_NAMED);
            let found: Vec<&str> = troubles.iter().take(MOST_NAMED).map(|trouble| trouble.found.as_str()).collect();
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            Check::error(subject, format!("{}{more}", found.join("; ")), first.advice.clone())
        }
    };
    check.with("asked", asked).with("failed", troubles.len())
}

/// Connects to a place, and shakes hands where TLS is spoken; the address that worked.
async fn reach(place: &Place, trust: &Trust, peer: Peer<'_>) -> Result<SocketAddr, Trouble> {
    let (host, setting) = (&place.host, peer.setting);
    let addresses = resolve(host, place.port).await.map_err(|why| {
        let advice = format!("correct {setting}, or this machine's resolver: getent ahosts {host}");
        Trouble::new(format!("{host} does not resolve: {why}"), advice)
    })?;
    let attempts = connect(&addresses).await;
    let Some(address) = attempts.iter().find(|attempt| attempt.connected.is_ok()).map(|attempt| attempt.address) else {
        let why = |attempt: &Attempt| Some(format!("{}: {}", attempt.address, attempt.connected.as_ref().err()?.1));
        let why: Vec<String> = attempts.iter().filter_map(why).collect();
        let advice = format!("start what listens there, correct {setting}, or open the firewall: nc -vz {host} {}", place.port);
        return Err(Trouble::new(format!("{} accepts no connection ({})", peer.who, why.join(", ")), advice));
    };
    if place.is_https
        && let Err(error) = tls::shake(address, host, trust).await
    {
        let Fault { found, advice, .. } = tls::explain(&error, peer);
        return Err(Trouble::new(found, advice));
    }
    Ok(address)
}

pub(super) async fn webhook(known: &Known) -> Check {
    const SUBJECT: Subject = Subject::Webhook;
    let retirement = &known.settings.retirement;
    let Some(url) = &retirement.webhook_url else {
        return Check::skipped(SUBJECT, "no receiver of alerts is configured (retirement.webhook_url)");
    };
    let Some(place) = Place::of(url) else {
        return Check::error(SUBJECT, "retirement.webhook_url is not a URL", "correct it: https://host/path");
    };
    let ca_file = retirement.webhook_ca_file.as_deref();
    let trust = match remote::trust_at(url, ca_file) {
        Ok(trust) => trust,
        Err(error) => return Check::error(SUBJECT, describe(&error), "correct retirement.webhook_ca_file"),
    };
    let who = format!("the receiver of alerts at {}", place.shown());
    let (ca_setting, setting) = ("retirement.webhook_ca_file", "retirement.webhook_url");
    let peer = Peer { who: &who, host: &place.host, ca_file, ca_setting, setting, last: None };
    match reach(&place, &trust, peer).await {
        Ok(address) => Check::ok(SUBJECT, format!("{who} accepts connections ({address}); no alert was sent")),
        // Alerts are also in the API, the log and metrics.
        Err(Trouble { found, advice }) => Check::warning(SUBJECT, found, advice),
    }
}

pub(super) async fn pull(known: &Known) -> Check {
    const SUBJECT: Subject = Subject::Pull;
    let peek = match known.store() {
        Ok(peek) => peek,
        Err(why) => return Check::skipped(SUBJECT, why),
    };
    let retention = zonepulse_store::Options::from(known.settings.store).retention;
    let pulled = peek.servers.iter().filter(|server| !server.is_removed() && !server.pull.url.is_empty());
    let pulled = pulled.map(|server| (server, peek.effective(server, retention)));
    let pulled: Vec<_> = pulled.filter(|(_, settings)| settings.communication == Communication::Pull).take(MOST_ASKED).collect();
    if pulled.is_empty() {
        return Check::skipped(SUBJECT, "the central fetches from no probe");
    }
    let own = match serve::authority(&known.settings.pull) {
        Ok(own) => own,
        Err(error) => return Check::error(SUBJECT, describe(&error), "correct pull.ca_file"),
    };
    let asked = pulled.len();
    let troubles = stream::iter(pulled).map(|(server, settings)| pull_from(known, server, settings, &own)).buffered(AT_ONCE);
    let troubles: Vec<Trouble> = troubles.filter_map(future::ready).collect().await;
    summed(SUBJECT, asked, "probes can be fetched from", &troubles)
}

async fn pull_from(known: &Known, server: &Server, settings: ServerSettings, own: &Trust) -> Option<Trouble> {
    let who = format!("the probe of {} (server {}) at {}", server.name, server.id, server.pull.url);
    let Some(place) = Place::of(&server.pull.url) else {
        return Some(Trouble::new(format!("{who}: not a URL"), "correct its pull_url"));
    };
    let Some(token) = &server.pull.token else {
        return Some(Trouble::new(
            format!("{who}: there is no pull_token"),
            "set its pull_token, and the same in [pull] of the probe",
        ));
    };
    let trust = if settings.verify_ca { own.clone() } else { Trust::Anybody };
    let ca_file = known.settings.pull.ca_file.as_deref();
    let peer = Peer { who: &who, host: &place.host, ca_file, ca_setting: "pull.ca_file", setting: "its pull_url", last: None };
    if let Err(trouble) = reach(&place, &trust, peer).await {
        return Some(trouble);
    }
    match try_pull(&server.pull.url, &token.as_str().into(), &trust, PATIENCE).await {
        Ok(true) => None,
        Ok(false) => {
            let advice = "give both the same: pull_token of the server here, pull.token in the probe's configuration";
            Some(Trouble::new(format!("{who} does not accept the token"), advice))
        }
        Err(error) => {
            let advice = "check that a probe listens there (zonepulse-probe doctor on its machine), and pull_url";
            Some(Trouble::new(format!("{who} does not answer: {}", describe(&error)), advice))
        }
    }
}

pub(super) async fn zones(known: &Known) -> Check {
    const SUBJECT: Subject = Subject::Zones;
    let peek = match known.store() {
        Ok(peek) => peek,
        Err(why) => return Check::skipped(SUBJECT, why),
    };
    let zones: Vec<&Zone> = peek.zones.iter().take(MOST_ASKED).collect();
    if zones.is_empty() {
        return Check::ok(SUBJECT, "there are no zones");
    }
    let asked = zones.len();
    let troubles = stream::iter(zones).map(|zone| source_of(known, zone)).buffered(AT_ONCE);
    let troubles: Vec<Trouble> = troubles.filter_map(future::ready).collect().await;
    summed(SUBJECT, asked, "zones have a source that can be used", &troubles)
}

async fn source_of(known: &Known, zone: &Zone) -> Option<Trouble> {
    let apex = &zone.apex;
    let found = match &zone.source {
        Source::Upload => None,
        Source::File { path } => {
            let path = known.settings.zones.directory.as_ref().map(|directory| directory.join(path))?;
            let advice = format!("put the file there, readable for the central's user: ls -l {}", argument(&path));
            let problem = std::fs::File::open(&path).err();
            problem.map(|error| Trouble::new(format!("zone {apex}: {}: {error}", path.display()), advice))
        }
        Source::Transfer { primary, tsig } => primary_of(apex, primary, tsig.as_ref()).await,
    };
    found.or_else(|| state_of(zone))
}

async fn primary_of(apex: &str, primary: &str, tsig: Option<&zonepulse_store::Tsig>) -> Option<Trouble> {
    let why = match timeout(2 * PATIENCE, serial_of_primary(apex, primary, tsig)).await {
        Ok(Ok(_)) => return None,
        Ok(Err(why)) => why,
        Err(_) => format!("no answer within {} s", Duration::as_secs(&(2 * PATIENCE))),
    };
    let (address, port) = primary.rsplit_once(':').unwrap_or((primary, "53"));
    let address = address.trim_matches(['[', ']']);
    let advice = if tsig.is_some() {
        format!(
            "check that the primary runs, serves {apex}, and has the same TSIG key: dig @{address} -p {port} {apex} SOA -y HMAC:NAME:SECRET"
        )
    } else {
        format!("check that the primary runs and serves {apex}: dig +tcp @{address} -p {port} {apex} SOA")
    };
    Some(Trouble::new(format!("zone {apex}: its primary {primary} does not answer for it: {why}"), advice))
}

/// What became of the last refresh, if that needs somebody.
fn state_of(zone: &Zone) -> Option<Trouble> {
    let Zone { apex, id, .. } = zone;
    let error = zone.error.clone().unwrap_or_default();
    match zone.state {
        ZoneState::Empty | ZoneState::Loaded => None,
        ZoneState::Waiting => {
            let advice = format!("confirm it if that is intended: zonepulse zone refresh {apex} --confirm");
            Some(Trouble::new(format!("zone {apex}: {error}"), advice))
        }
        ZoneState::Failed | ZoneState::Expired => {
            let advice = format!("correct its source, and load it: zonepulse zone refresh {apex} (zone {id})");
            Some(Trouble::new(format!("zone {apex} was not loaded: {error}"), advice))
        }
    }
}
