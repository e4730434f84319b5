//! The way to a peer: its name, and TCP.

use crate::PATIENCE;
use reqwest::Url;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Maximum number of addresses tried.
const MAX_ADDRESSES: usize = 8;

/// Where a peer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether TLS is spoken there.
    pub is_https: bool,
}

/// The result of an attempt to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The address.
    pub address: SocketAddr,
    /// Milliseconds, or why not.
    pub connected: Result<u64, (ErrorKind, String)>,
}

impl Place {
    /// Of a URL that the configuration has accepted.
    pub fn of(url: &str) -> Option<Place> {
        let url = Url::parse(url).ok()?;
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        Some(Place { host, port: url.port_or_known_default()?, is_https: url.scheme() == "https" })
    }

    /// Whether the host is an address.
    pub fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// `central.example:8053`, `[2001:db8::1]:8053`
    pub fn shown(&self) -> String {
        let Place { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// The addresses of a name; the error says why there are none.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    match timeout(PATIENCE, lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let mut addresses: Vec<SocketAddr> = found.collect();
            addresses.dedup();
            if addresses.is_empty() { Err("the name has no address".to_owned()) } else { Ok(addresses) }
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// Connects to all addresses at once. The attempts are in their order.
pub async fn connect(addresses: &[SocketAddr]) -> Vec<Attempt> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leads_to_a_place() {
        let place = |url: &str| Place::of(url).unwrap();
        assert_eq!(place("https://central.example"), Place { host: "central.example".into(), port: 443, is_https: true });
        let v6 = place("http://[2001:db8::1]:8053/below");
        assert_eq!((v6.host.as_str(), v6.shown().as_str(), v6.is_https), ("2001:db8::1", "[2001:db8::1]:8053", false));
        assert_eq!(Place::of("rubbish"), None);
    }

    #[tokio::test]
    async fn a_port_without_a_listener_refuses() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(connect(&[address]).await[0].connected.is_ok());
        drop(listener);
        assert!(matches!(&connect(&[address]).await[0].connected, Err((ErrorKind::ConnectionRefused, _))));
    }

    #[tokio::test]
    async fn an_address_is_its_own_name() {
        assert_eq!(resolve("127.0.0.1", 5).await, Ok(vec!["127.0.0.1:5".parse().unwrap()]));
        assert!(resolve("no-such-name.invalid", 5).await.is_err());
    }
}
