//! The addresses that the central listens on, or would.

use super::{Known, Subject, worse};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use zonepulse_doctor::Check;

pub(super) fn check(known: &Known) -> Vec<Check> {
    const LISTEN: Subject = Subject::Listen;
    const NOTIFY: Subject = Subject::Notify;
    let is_running = if known.is_hidden { None } else { Some(known.process.is_some()) };
    let mut listening = vec![judge(LISTEN, "listen", known.settings.listen, tcp(known.settings.listen), is_running)];
    if let Some(address) = known.settings.metrics.listen {
        listening.push(judge(LISTEN, "metrics.listen", address, tcp(address), is_running));
    }
    let notify = match known.settings.zones.notify_listen {
        None => Check::skipped(NOTIFY, "zones.notify_listen is not set: zones are refreshed by their timers"),
        Some(address) => {
            let tried = tcp(address).and_then(|()| UdpSocket::bind(address).map(drop));
            judge(NOTIFY, "zones.notify_listen", address, tried, is_running).with("listen", address.to_string())
        }
    };
    vec![worse(listening, LISTEN).with("listen", known.settings.listen.to_string()), notify]
}

fn tcp(address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address).map(drop)
}

/// Where to reach, from this machine, what listens on an address.
pub(super) fn from_here(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

/// What it means that somebody else could listen on an address, or could not.
fn judge(subject: Subject, key: &str, address: SocketAddr, tried: io::Result<()>, is_running: Option<bool>) -> Check {
    let port = address.port();
    match tried {
        _ if port == 0 => Check::ok(subject, format!("{key} is {address}: the system chooses a port")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_running == Some(true) => {
            Check::ok(subject, format!("{address} ({key}) is in use, while a central is running"))
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_running.is_none() => {
            Check::skipped(subject, format!("{address} ({key}) is in use; this user cannot see whether by a central"))
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => Check::error(
            subject,
            format!("another program listens on {address} ({key}), and no central is running"),
            format!("stop that program, or choose another port: ss -lntup 'sport = :{port}' shows it"),
        ),
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Check::error(
            subject,
            format!("this machine does not have the address {} ({key})", address.ip()),
            format!("set {key} to an address of this machine (ip -brief address), or to 0.0.0.0:{port} for all"),
        ),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Check::warning(
            subject,
            format!("this user may not listen on port {port} ({key})"),
            "choose a port from 1024 on, or give the service AmbientCapabilities=CAP_NET_BIND_SERVICE",
        ),
        Err(error) => Check::error(subject, format!("{address} ({key}): {error}"), format!("correct {key}")),
        Ok(()) if is_running == Some(true) => Check::error(
            subject,
            format!("a central is running, but nothing listens on {address} ({key})"),
            "restart it: it listens where it was told when it started",
        ),
        Ok(()) => Check::ok(subject, format!("{address} ({key}) is free")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_doctor::Status;

    #[test]
    fn who_listens_depends_on_whether_a_central_is_running() {
        let address: SocketAddr = "192.0.2.1:8053".parse().unwrap();
        let status = |tried: Option<ErrorKind>, is_running: bool| {
            let tried = tried.map_or(Ok(()), |kind| Err(kind.into()));
            judge(Subject::Listen, "listen", address, tried, Some(is_running)).status
        };
        assert_eq!((status(None, false), status(None, true)), (Status::Ok, Status::Error));
        let used = Some(ErrorKind::AddrInUse);
        assert_eq!((status(used, false), status(used, true)), (Status::Error, Status::Ok));
        assert_eq!(status(Some(ErrorKind::AddrNotAvailable), false), Status::Error);
        assert_eq!(status(Some(ErrorKind::PermissionDenied), false), Status::Warning);
        let unknown = judge(Subject::Listen, "listen", address, Err(ErrorKind::AddrInUse.into()), None);
        assert_eq!(unknown.status, Status::Skipped);
    }

    #[test]
    fn an_address_for_all_is_reached_over_loopback() {
        let here = |listen: &str| from_here(listen.parse().unwrap()).to_string();
        assert_eq!((here("0.0.0.0:1").as_str(), here("[::]:1").as_str()), ("127.0.0.1:1", "[::1]:1"));
        assert_eq!(here("192.0.2.1:1"), "192.0.2.1:1");
    }
}
