//! The port at which a central fetches batches, if it does.

use super::configuration::Known;
use super::process::Running;
use super::subject::Subject;
use crate::deliver;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use zonepulse_doctor::Check;
use zonepulse_doctor::PATIENCE;

const SUBJECT: Subject = Subject::Pull;

pub(super) fn check(known: &Known, running: Option<Running>) -> Check {
    let listen = match (&known.delivery, known.config.pull.listen) {
        (Some(deliver::Settings::Pull), Some(listen)) => listen,
        (None, _) => return Check::skipped(SUBJECT, "the configuration cannot be used"),
        _ => return Check::skipped(SUBJECT, "the probe sends batches, and the central does not fetch them"),
    };
    if running.is_none() {
        return Check::skipped(SUBJECT, format!("no probe is running, so nothing listens on {listen}"));
    }
    judge(listen, TcpStream::connect_timeout(&from_here(listen), PATIENCE).map(drop))
}

/// Where to reach, from this machine, what listens on an address.
fn from_here(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

fn judge(listen: SocketAddr, connected: io::Result<()>) -> Check {
    let port = listen.port();
    match connected {
        Ok(()) if listen.ip().is_loopback() => Check::warning(
            SUBJECT,
            format!("the probe listens on {listen}, which only this machine can reach"),
            "set pull.listen to an address that the central can reach, unless it runs on this machine",
        ),
        Ok(()) => Check::ok(SUBJECT, format!("the probe listens on {listen}; the central has to be able to reach it")),
        Err(error) => Check::error(
            SUBJECT,
            format!("the probe is running but does not listen on {listen}: {error}"),
            format!("see the probe's log for the cause, often another program at this port: ss -ltnp 'sport = :{port}'"),
        ),
    }
    .with("listen", listen.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_doctor::Status;

    #[test]
    fn the_port_must_be_reachable() {
        let judged = |listen: &str, connected| judge(listen.parse().unwrap(), connected);
        assert_eq!(judged("0.0.0.0:8054", Ok(())).status, Status::Ok);
        assert_eq!(judged("127.0.0.1:8054", Ok(())).status, Status::Warning);
        let check = judged("0.0.0.0:8054", Err(io::ErrorKind::ConnectionRefused.into()));
        assert!(check.status == Status::Error && check.advice.unwrap().contains(":8054"));
    }

    #[test]
    fn an_address_for_all_is_reached_over_loopback() {
        let here = |listen: &str| from_here(listen.parse().unwrap()).to_string();
        assert_eq!((here("0.0.0.0:1").as_str(), here("[::]:1").as_str()), ("127.0.0.1:1", "[::1]:1"));
        assert_eq!(here("192.0.2.1:1"), "192.0.2.1:1");
    }
}
