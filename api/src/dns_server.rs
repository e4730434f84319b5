//! Addresses of DNS servers, as people write them.

use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// The port of DNS (RFC 1035 section 4.2).
const PORT: u16 = 53;

/// The address of a DNS server: an IP address, with a port unless it is 53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DnsServer(pub SocketAddr);

impl FromStr for DnsServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        let address = text.parse().or_else(|_| bare.parse().map(|address: IpAddr| SocketAddr::new(address, PORT)));
        let shown: String = text.chars().take(100).collect();
        address.map(DnsServer).map_err(|_| format!("{shown:?} is no address, as in 192.0.2.1 or [2001:db8::1]:5353"))
    }
}

impl TryFrom<String> for DnsServer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_may_be_left_out() {
        for (text, address) in [
            ("192.0.2.1", "192.0.2.1:53"),
            ("192.0.2.1:5353", "192.0.2.1:5353"),
            ("2001:db8::1", "[2001:db8::1]:53"),
            ("[2001:db8::1]", "[2001:db8::1]:53"),
            ("[2001:db8::1]:5353", "[2001:db8::1]:5353"),
        ] {
            assert_eq!(text.parse(), Ok(DnsServer(address.parse().unwrap())), "{text}");
        }
    }

    #[test]
    fn names_and_incomplete_addresses_are_refused() {
        for text in ["", "ns1.example.com", "192.0.2.1:", "[192.0.2.1", "2001:db8::1]", "192.0.2.1:70000"] {
            assert!(text.parse::<DnsServer>().unwrap_err().contains("is no address"), "{text}");
        }
    }
}
