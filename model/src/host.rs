//! Validates hosts: an FQDN or an IP address, and nothing else.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Maximum length of a name in octets, without the final dot (RFC 1035 section 2.3.4).
const LONGEST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Why a text is neither an FQDN nor an IP address, and what to write instead; `None` if it is one.
pub fn fault(text: &str) -> Option<String> {
    if is_address(text) {
        return None;
    }
    let without = |what: &str, host: &str| Some(format!("it has to be without {what}: write {host}"));
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        return without("a scheme and a path", host);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return without("a port", &address.ip().to_string());
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).filter(|inner| is_address(inner)) {
        return without("brackets", inner);
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && port.bytes().all(|b| b.is_ascii_digit())
        && is_name(host)
    {
        return without("a port", host);
    }
    if is_name(text) {
        // A text that ends with a number is meant to be an address (RFC 1123 section 2.1).
        let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        let number = last.bytes().all(|b| b.is_ascii_digit());
        return number.then(|| "an IPv4 address has four numbers from 0 to 255".to_owned());
    }
    Some("it has to be an FQDN or an IP address, without a port".to_owned())
}

/// Whether it is an IP address, with or without a zone (RFC 4007 section 11).
fn is_address(text: &str) -> bool {
    match text.split_once('%') {
        None => text.parse::<IpAddr>().is_ok(),
        Some((address, zone)) => address.parse::<Ipv6Addr>().is_ok() && is_name(zone),
    }
}

fn is_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    text.len() <= LONGEST && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_taken() {
        for text in
            ["ns1", "ns1.example.com", "ns1.example.com.", "a_b.example", "192.0.2.1", "2001:db8::1", "::1", "fe80::1%eth0", "7a"]
        {
            assert_eq!(fault(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_too_much_is_named_with_what_to_write() {
        for (text, expected) in [
            ("192.0.2.1:53", "it has to be without a port: write 192.0.2.1"),
            ("[2001:db8::1]:53", "it has to be without a port: write 2001:db8::1"),
            ("ns1.example.com:53", "it has to be without a port: write ns1.example.com"),
            ("ns1:", "it has to be without a port: write ns1"),
            ("[2001:db8::1]", "it has to be without brackets: write 2001:db8::1"),
            ("https://ns1.example.com/x", "it has to be without a scheme and a path: write ns1.example.com"),
        ] {
            assert_eq!(fault(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = format!("{}.example", "a".repeat(64));
        for text in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "a.-b",
            "a b",
            "ns1/24",
            "192.0.2",
            "192.0.2.256",
            "2001:db8::1::2",
            "bücher.example",
            "a@b",
            &long,
        ] {
            assert!(fault(text).is_some(), "{text:?}");
        }
    }
}
