//! Whether the DNS server listens where the probe captures.

use super::configuration::Known;
use super::subject::Subject;
use crate::capture::addresses::devices;
use crate::config::{Counted, ServerAddresses};
use crate::sight::{self, Comparison, Listener};
use zonepulse_doctor::Check;

const SUBJECT: Subject = Subject::DnsServer;
/// Maximum number of programs reported.
const MAX_TOLD: usize = 5;

pub(super) fn check(known: &Known) -> Check {
    let config = &known.config;
    if config.counted() == Counted::Dnstap {
        return Check::skipped(SUBJECT, "dnstap is counted, whatever the server's ports");
    }
    // A device that does not work has a check of its own, and would make any server look misplaced.
    let mut compared = config.clone();
    if !works(&config.capture.device) {
        compared.capture.device = "any".to_owned();
    }
    match sight::compare(&compared) {
        Some(comparison) => {
            let is_elsewhere = config.capture.addresses == ServerAddresses::Any;
            judge(&comparison, &config.capture.ports, is_elsewhere, &known.file())
        }
        None => Check::skipped(SUBJECT, "the sockets of this machine (/proc/net) cannot be read"),
    }
}

/// Whether a device is there and up.
fn works(name: &str) -> bool {
    devices().is_ok_and(|devices| devices.iter().any(|device| device.name == name && device.is_up))
}

/// `may_be_elsewhere`: whether the counted server may be another machine's.
fn judge(comparison: &Comparison, ports: &[u16], may_be_elsewhere: bool, file: &str) -> Check {
    let Comparison { servers, names, mismatch, is_partial, listeners } = comparison;
    let told = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let check = match (mismatch, servers) {
        (Some(mismatch), _) => {
            let (found, advice) = mismatch.rsplit_once(": ").unwrap_or((mismatch, "correct [capture]"));
            let advice = format!("{advice}, in {file}; then restart the probe");
            match is_partial {
                true => Check::warning(SUBJECT, found, advice),
                false => Check::error(SUBJECT, found, advice),
            }
        }
        (None, Some(servers)) => Check::ok(SUBJECT, format!("{servers}; the probe captures port {told}")),
        (None, None) if may_be_elsewhere && listeners.is_empty() => Check::skipped(
            SUBJECT,
            format!(
                "no DNS server is running on this machine, but capture.addresses is \"any\": it may be another machine's (port {told})"
            ),
        ),
        (None, None) if listeners.is_empty() => Check::warning(
            SUBJECT,
            format!("none of {} is running, and nothing listens on port {told}", names.join(", ")),
            format!("start the DNS server; if it has another name, set components.dns in {file}: ss -lnptu"),
        ),
        (None, None) => Check::ok(SUBJECT, format!("{} on port {told}, which the probe captures", programs(listeners))),
    };
    check.with("ports", ports.to_vec())
}

/// `unwind listens`, or whose sockets are not visible.
fn programs(listeners: &[Listener]) -> String {
    let mut names: Vec<&str> = listeners.iter().filter_map(|listener| listener.program.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(MAX_TOLD);
    match names.as_slice() {
        [] => "a program of another user listens".to_owned(),
        [name] => format!("{name} listens"),
        names => format!("{} listen", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_doctor::Status;

    fn comparison() -> Comparison {
        Comparison {
            servers: None,
            names: vec!["knotd".into(), "named".into()],
            mismatch: None,
            is_partial: false,
            listeners: Vec::new(),
        }
    }

    fn judged(comparison: &Comparison) -> Check {
        judge(comparison, &[53], false, "/etc/p.toml")
    }

    #[test]
    fn a_server_elsewhere_is_an_error_with_the_setting_to_change() {
        let mismatch = "knotd listens on port 5353 (UDP, TCP) of 127.0.0.1, but capture.ports has 53: set capture.ports = [5353]";
        let check = judged(&Comparison { mismatch: Some(mismatch.into()), ..comparison() });
        assert_eq!((check.status, check.found.ends_with("capture.ports has 53")), (Status::Error, true));
        assert_eq!(check.advice.unwrap(), "set capture.ports = [5353], in /etc/p.toml; then restart the probe");
        let check = judged(&Comparison { mismatch: Some(mismatch.into()), is_partial: true, ..comparison() });
        assert_eq!(check.status, Status::Warning);
    }

    #[test]
    fn a_server_where_the_probe_captures_is_named() {
        let check = judged(&Comparison { servers: Some("knotd listens on port 53 (UDP, TCP) of ::1".into()), ..comparison() });
        assert_eq!(check.status, Status::Ok);
        assert_eq!(check.found, "knotd listens on port 53 (UDP, TCP) of ::1; the probe captures port 53");
    }

    #[test]
    fn without_a_known_server_the_program_on_the_port_is_named() {
        let address = "::1".parse().unwrap();
        let listener =
            |program: Option<&str>| Listener { port: 53, protocol: "UDP", address, program: program.map(str::to_owned) };
        for (listeners, said) in [
            (vec![listener(Some("coredns"))], "coredns listens on port 53"),
            (vec![listener(Some("b")), listener(Some("a")), listener(Some("b"))], "a, b listen on port 53"),
            (vec![listener(None)], "a program of another user listens on port 53"),
        ] {
            let check = judged(&Comparison { listeners, ..comparison() });
            assert!(check.status == Status::Ok && check.found.starts_with(said), "{check:?}");
        }
    }

    #[test]
    fn without_any_server_nothing_can_be_counted_unless_it_is_elsewhere() {
        let check = judged(&comparison());
        assert_eq!(check.status, Status::Warning);
        assert_eq!(check.found, "none of knotd, named is running, and nothing listens on port 53");
        assert_eq!(judge(&comparison(), &[53], true, "p").status, Status::Skipped);
    }
}
