//! The client's address of a request that was forwarded by a proxy.
//!
//! A client can send any `X-Forwarded-For`, and each proxy appends the address it saw on the right. So the header
//! counts only on a connection from a trusted proxy, and is read from the right: the first address that is not a
//! trusted proxy is the client's. Everything to the left of it is the client's own claim.

use crate::config::{ForwardedHeader, Proxy};
use axum::http::HeaderMap;
use std::net::{IpAddr, SocketAddr};

impl Proxy {
    /// The client's address for a request received from `peer`.
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        if !self.trusts(peer.ip()) {
            return peer;
        }
        let name = match self.header {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        };
        // Never skip a line, whatever octets a client put into it: it may contain what a proxy appended, and skipping
        // it would expose what the client wrote before it.
        let lines: Vec<_> = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        let mut client = peer;
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            let address = match self.header {
                ForwardedHeader::XForwardedFor => address(hop),
                ForwardedHeader::Forwarded => element(hop).and_then(address),
            };
            // An unreadable address was not written by a trusted proxy, or is hidden on purpose.
            let Some(address) = address else { break };
            client = address;
            if !self.trusts(client.ip()) {
                break;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|trusted| trusted.0.contains(address))
    }
}

/// The `for` parameter of an RFC 7239 element.
fn element(text: &str) -> Option<&str> {
    let pairs = text.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for")).map(|(_, value)| value.trim().trim_matches('"')).next()
}

/// An address, with or without a port; a missing port becomes 0.
fn address(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let bare = || text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    text.parse().ok().or_else(|| bare().map(|address| SocketAddr::new(address, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Trusted;
    use axum::http::HeaderValue;

    fn client(header: ForwardedHeader, peer: &str, lines: &[(&'static str, &str)]) -> String {
        let trusted = ["192.0.2.0/24", "::1"].map(|text| Trusted(text.parse().unwrap())).to_vec();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 7);
        Proxy { trusted, header }.client(peer, &headers).to_string()
    }

    #[test]
    fn the_word_of_a_stranger_does_not_count() {
        let claim = [("x-forwarded-for", "198.51.100.1")];
        assert_eq!(client(ForwardedHeader::XForwardedFor, "203.0.113.9", &claim), "203.0.113.9:7");
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_clients() {
        for (lines, expected) in [
            (&[("x-forwarded-for", "198.51.100.1")][..], "198.51.100.1:0"),
            (&[("x-forwarded-for", "10.0.0.1, 198.51.100.1, 192.0.2.7")], "198.51.100.1:0"),
            (&[("x-forwarded-for", "10.0.0.1"), ("x-forwarded-for", "198.51.100.1:99")], "198.51.100.1:99"),
            (&[("x-forwarded-for", "[2001:db8::1]:99")], "[2001:db8::1]:99"),
            (&[("x-forwarded-for", "2001:db8::1")], "[2001:db8::1]:0"),
            (&[("x-forwarded-for", "198.51.100.1, nonsense, 192.0.2.7")], "192.0.2.7:0"),
            (&[("forwarded", "for=198.51.100.1")], "192.0.2.1:7"),
            (&[], "192.0.2.1:7"),
        ] {
            assert_eq!(client(ForwardedHeader::XForwardedFor, "192.0.2.1", lines), expected, "{lines:?}");
        }
    }

    fn client_of_octets(header: ForwardedHeader, name: &'static str, lines: &[&[u8]]) -> String {
        let trusted = vec![Trusted("192.0.2.0/24".parse().unwrap())];
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line).unwrap());
        }
        let peer = SocketAddr::new("192.0.2.1".parse().unwrap(), 7);
        Proxy { trusted, header }.client(peer, &headers).to_string()
    }

    #[test]
    fn what_a_proxy_adds_to_a_line_with_other_octets_than_ascii_is_read() {
        let x_forwarded_for = |lines: &[&[u8]]| client_of_octets(ForwardedHeader::XForwardedFor, "x-forwarded-for", lines);
        assert_eq!(x_forwarded_for(&[b"10.0.0.1", b"\xff, 198.51.100.1"]), "198.51.100.1:0");
        assert_eq!(x_forwarded_for(&["10.0.0.1, \u{e9}, 198.51.100.1, 192.0.2.9".as_bytes()]), "198.51.100.1:0");
        let forwarded =
            client_of_octets(ForwardedHeader::Forwarded, "forwarded", &[b"for=10.0.0.1", b"for=\xff, for=198.51.100.1"]);
        assert_eq!(forwarded, "198.51.100.1:0");
    }

    #[test]
    fn a_line_of_other_octets_than_ascii_ends_the_way_back() {
        let lines: [&[u8]; 3] = [b"10.0.0.1", b"\xff", b"192.0.2.9"];
        assert_eq!(client_of_octets(ForwardedHeader::XForwardedFor, "x-forwarded-for", &lines), "192.0.2.9:0");
        let lines: [&[u8]; 2] = [b"for=10.0.0.1", b"for=\xff"];
        assert_eq!(client_of_octets(ForwardedHeader::Forwarded, "forwarded", &lines), "192.0.2.1:7");
    }

    #[test]
    fn forwarded_is_read_where_it_is_configured() {
        for (line, expected) in [
            ("for=198.51.100.1;proto=https;by=192.0.2.1", "198.51.100.1:0"),
            ("for=10.0.0.1, For=\"[2001:db8::1]:4711\"", "[2001:db8::1]:4711"),
            ("for=198.51.100.1, for=192.0.2.5", "198.51.100.1:0"),
            ("for=unknown", "[::1]:7"),
        ] {
            assert_eq!(client(ForwardedHeader::Forwarded, "::1", &[("forwarded", line)]), expected, "{line}");
        }
    }
}
