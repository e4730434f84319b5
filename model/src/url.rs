//! Validates API addresses entered by people.

use crate::host;
use std::net::Ipv6Addr;

/// Maximum length, in bytes.
pub const MAX_BYTES: usize = 2048;

/// What is wrong with an API address, phrased as a predicate; `None` if it is valid.
pub fn fault(url: &str) -> Option<&'static str> {
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
        return Some("does not begin with http:// or https://; write https://host:port");
    };
    if url.len() > MAX_BYTES {
        return Some("has more than 2048 bytes; write https://host:port");
    }
    if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Some("has spaces or control characters; write https://host:port");
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') || rest.contains(['?', '#']) {
        return Some("has more than a host, a port and a path; write https://host:port");
    }
    let (port, host) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').unwrap_or_default();
            (port, address.parse::<Ipv6Addr>().map_or("", |_| address))
        }
        None => {
            let (name, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            (port, if name.chars().all(|c| c.is_alphanumeric() || "-._".contains(c)) { name } else { "" })
        }
    };
    if host.is_empty() {
        return Some(
            "has no host; write https://host:port, and an address of IPv6 in brackets, as in https://[2001:db8::1]:8053",
        );
    }
    if port.strip_prefix(':').is_some_and(|port| port.contains(':')) {
        return Some("has an address of IPv6 without brackets; write https://[2001:db8::1]:8053");
    }
    // An internationalized name is sent as ASCII (RFC 5891), which is at least as long.
    let in_ascii: String = host.chars().map(|c| if c.is_ascii() { c } else { 'x' }).collect();
    if host::fault(&in_ascii).is_some() {
        return Some("has a host that is neither an FQDN nor an IP address; write https://host:port");
    }
    let is_port = |port: &str| port.bytes().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    match port.strip_prefix(':') {
        Some(port) if !is_port(port) => Some("has a port that is none; give one from 1 to 65535"),
        None if !port.is_empty() => Some("has more than a port after the brackets; write https://[2001:db8::1]:8053"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_url_is_said_of_it() {
        for (url, said) in [
            ("central", "begin with"),
            ("http://:8053", "has no host"),
            ("http://[::1", "has no host"),
            ("http://[x]:1", "has no host"),
            ("http://a..b", "neither an FQDN nor an IP address"),
            ("http://2001:db8::1", "without brackets"),
            ("http://[::1]8053", "after the brackets"),
            ("http://me@a", "more than a host"),
            ("http://a:0", "from 1 to 65535"),
        ] {
            assert!(fault(url).is_some_and(|what| what.contains(said)), "{url}: {:?}", fault(url));
        }
    }
}
