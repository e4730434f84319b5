//! The way to the central: its name, and TCP.

use super::configuration::Known;
use super::subject::Subject;
use std::io::ErrorKind;
use std::net::SocketAddr;
use zonepulse_doctor::Check;
use zonepulse_doctor::network::{Attempt, Place, connect, resolve};

/// Resolves the central's name and connects to all of its addresses. Returns one that accepts
/// connections; without one, nothing else about the central can be checked.
pub(super) async fn check(known: &Known, place: &Place) -> (Vec<Check>, Option<SocketAddr>) {
    let file = known.file();
    let (name, addresses) = judge_name(place, resolve(&place.host, place.port).await, &file);
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
    use zonepulse_doctor::Status;

    fn place(url: &str) -> Place {
        Place::of(url).unwrap()
    }

    #[test]
    fn a_name_needs_an_address() {
        let place = place("https://central.example:8053");
        let address = "192.0.2.1:8053".parse().unwrap();
        let (check, addresses) = judge_name(&place, Ok(vec![address]), "p.toml");
        assert_eq!((check.status, check.found.as_str(), addresses), (Status::Ok, "central.example is 192.0.2.1", vec![address]));
        let (check, addresses) = judge_name(&place, Err("unknown".to_owned()), "p.toml");
        assert_eq!((check.status, addresses.len()), (Status::Error, 0));
        assert!(check.advice.unwrap().contains("getent ahosts central.example"));
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
}
