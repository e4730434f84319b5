//! The way to the central: its name, and TCP.

use super::configuration::Known;
use super::report::{Check, Subject};
use reqwest::Url;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Time limit of each step. A probe itself waits longer, but a person should not have to.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Maximum number of addresses tried.
const MAX_ADDRESSES: usize = 8;

/// Where the central is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// A name or an address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) is_https: bool,
}

/// The result of an attempt to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Attempt {
    address: SocketAddr,
    /// Milliseconds, or why not.
    connected: Result<u64, (ErrorKind, String)>,
}

impl Place {
    /// Of a URL that the configuration has accepted.
    pub(super) fn of(url: &str) -> Option<Place> {
        let url = Url::parse(url).ok()?;
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        Some(Place { host, port: url.port_or_known_default()?, is_https: url.scheme() == "https" })
    }

    fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// `central.example:8053`, `[2001:db8::1]:8053`
    pub(super) fn shown(&self) -> String {
        let Place { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// Resolves the central's name and connects to all of its addresses. Returns one that accepts
/// connections; without one, nothing else about the central can be checked.
pub(super) async fn check(known: &Known, place: &Place) -> (Vec<Check>, Option<SocketAddr>) {
    let file = known.file();
    let (name, addresses) = match timeout(PATIENCE, lookup_host((place.host.as_str(), place.port))).await {
        Ok(Ok(found)) => {
            let mut addresses: Vec<SocketAddr> = found.collect();
            addresses.dedup();
            judge_name(place, Ok(addresses), &file)
        }
        Ok(Err(error)) => judge_name(place, Err(error.to_string()), &file),
        Err(_) => judge_name(place, Err(format!("no answer within {} s", PATIENCE.as_secs())), &file),
    };
    if addresses.is_empty() {
        let why = "the central's name does not resolve";
        return (vec![name, Check::skipped(Subject::Connection, why)], None);
    }
    let attempts = connect(&addresses).await;
    let reached = attempts.iter().find(|attempt| attempt.connected.is_ok()).map(|attempt| attempt.address);
    (vec![name, judge_connection(place, &attempts, &file)], reached)
}

fn judge_name(place: &Place, found: Result<Vec<SocketAddr>, String>, file: &str) -> (Check, Vec<SocketAddr>) {
    const SUBJECT: Subject = Subject::Name;
    let host = &place.host;
    let advice = || {
        format!(
            "correct deliver.http.url in {file}, or this machine's resolver (/etc/resolv.conf, /etc/hosts): getent ahosts {host}"
        )
    };
    let none = |why: String| (Check::error(SUBJECT, format!("{host} does not resolve: {why}"), advice()), Vec::new());
    let addresses = match found {
        Ok(addresses) if addresses.is_empty() => return none("the name has no address".to_owned()),
        Ok(addresses) => addresses,
        Err(why) => return none(why),
    };
    let texts: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    let check = if place.is_address() {
        Check::ok(SUBJECT, format!("{host} is an address: there is no name to resolve"))
    } else {
        Check::ok(SUBJECT, format!("{host} is {}", texts.join(", ")))
    };
    (check.with("host", host.as_str()).with("addresses", texts), addresses)
}

async fn connect(addresses: &[SocketAddr]) -> Vec<Attempt> {
    let mut tasks = JoinSet::new();
    for address in addresses.iter().copied().take(MAX_ADDRESSES) {
        tasks.spawn(async move {
            let began = Instant::now();
            let connected = match timeout(PATIENCE, TcpStream::connect(address)).await {
                Ok(Ok(_)) => Ok(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)),
                Ok(Err(error)) => Err((error.kind(), error.to_string())),
                Err(_) => Err((ErrorKind::TimedOut, io::Error::from(ErrorKind::TimedOut).to_string())),
            };
            Attempt { address, connected }
        });
    }
    let mut attempts = tasks.join_all().await;
    // In the resolver's order of preference.
    attempts.sort_by_key(|attempt| addresses.iter().position(|address| *address == attempt.address));
    attempts
}

fn judge_connection(place: &Place, attempts: &[Attempt], file: &str) -> Check {
    const SUBJECT: Subject = Subject::Connection;
    let port = place.port;
    let failed: Vec<_> =
        attempts.iter().filter_map(|attempt| Some((attempt.address, attempt.connected.as_ref().err()?))).collect();
    let reasons: Vec<String> = failed.iter().map(|(address, (_, error))| format!("{address}: {error}")).collect();
    let reached: Vec<String> = attempts
        .iter()
        .filter_map(|attempt| Some(format!("{} ({} ms)", attempt.address, attempt.connected.as_ref().ok()?)))
        .collect();
    let advice = match failed.first().map(|(_, (kind, _))| *kind) {
        Some(ErrorKind::ConnectionRefused) => format!(
            "start the central, or correct deliver.http.url in {file}; on the central's machine, ss -ltnp 'sport = :{port}' shows who listens"
        ),
        Some(ErrorKind::TimedOut) => {
            format!(
                "allow TCP to port {port} in the firewalls between here and the central, or correct deliver.http.url in {file}: traceroute -T -p {port} {}",
                place.host
            )
        }
        _ => format!(
            "check this machine's network: ip route get {}",
            attempts.first().map_or_else(|| place.host.clone(), |attempt| attempt.address.ip().to_string())
        ),
    };
    let check = match (reached.is_empty(), failed.is_empty()) {
        (true, _) => Check::error(SUBJECT, format!("the central does not accept connections: {}", reasons.join(", ")), advice),
        (false, false) => {
            let found = format!("{} accepts connections, but not {}", reached.join(", "), reasons.join(", "));
            Check::warning(SUBJECT, found, format!("remove the address from the name, or make it work: {advice}"))
        }
        (false, true) => Check::ok(SUBJECT, format!("{} accepts connections", reached.join(", "))),
    };
    check.with("port", port).with("reached", reached.len()).with("failed", failed.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;

    fn place(url: &str) -> Place {
        Place::of(url).unwrap()
    }

    #[test]
    fn a_url_leads_to_a_place() {
        assert_eq!(place("https://central.example"), Place { host: "central.example".into(), port: 443, is_https: true });
        let v6 = place("http://[2001:db8::1]:8053/below");
        assert_eq!((v6.host.as_str(), v6.shown().as_str(), v6.is_https), ("2001:db8::1", "[2001:db8::1]:8053", false));
        assert_eq!(Place::of("rubbish"), None);
    }

    #[test]
    fn a_name_needs_an_address() {
        let place = place("https://central.example:8053");
        let address = "192.0.2.1:8053".parse().unwrap();
        let (check, addresses) = judge_name(&place, Ok(vec![address]), "p.toml");
        assert_eq!((check.status, check.found.as_str(), addresses), (Status::Ok, "central.example is 192.0.2.1", vec![address]));
        for found in [Ok(Vec::new()), Err("unknown".to_owned())] {
            let (check, addresses) = judge_name(&place, found, "p.toml");
            assert_eq!((check.status, addresses.len()), (Status::Error, 0));
            assert!(check.advice.unwrap().contains("getent ahosts central.example"));
        }
    }

    #[test]
    fn each_way_to_fail_has_its_advice() {
        let place = place("https://central.example:8053");
        let attempt = |address: &str, connected| Attempt { address: address.parse().unwrap(), connected };
        let failed = |kind: ErrorKind| Err((kind, kind.to_string()));
        let judged = |attempts: &[Attempt]| judge_connection(&place, attempts, "p.toml");
        let good = attempt("192.0.2.1:8053", Ok(3));
        assert_eq!(judged(std::slice::from_ref(&good)).found, "192.0.2.1:8053 (3 ms) accepts connections");
        for (kind, advice) in [
            (ErrorKind::ConnectionRefused, "ss -ltnp 'sport = :8053'"),
            (ErrorKind::TimedOut, "firewalls"),
            (ErrorKind::NetworkUnreachable, "ip route get 2001:db8::1"),
        ] {
            let bad = attempt("[2001:db8::1]:8053", failed(kind));
            let check = judged(std::slice::from_ref(&bad));
            assert!(check.status == Status::Error && check.advice.as_deref().unwrap().contains(advice), "{check:?}");
            assert_eq!(judged(&[bad, good.clone()]).status, Status::Warning);
        }
    }

    #[tokio::test]
    async fn a_port_without_a_listener_refuses() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(connect(&[address]).await[0].connected.is_ok());
        drop(listener);
        assert!(matches!(&connect(&[address]).await[0].connected, Err((ErrorKind::ConnectionRefused, _))));
    }
}
