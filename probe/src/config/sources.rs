//! Which sources there are, and which of them is counted.

use super::Config;
use crate::dnstap;
use crate::observe::Addresses;
use serde::{Deserialize, Deserializer, de};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// The source whose messages are counted; another one is compared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Counted {
    /// What passes the device.
    Capture,
    /// What servers tell.
    Dnstap,
}

/// Which addresses are the server's.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerAddresses {
    /// Those of this machine.
    Local,
    /// All: whoever answers on the ports is the server.
    Any,
    /// Only these.
    These(Vec<IpAddr>),
}

/// `[dnstap]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dnstap {
    /// A Unix socket to which servers connect.
    pub socket: Option<PathBuf>,
    /// The mode of its file.
    pub socket_mode: u32,
    /// The group of its file; the probe's own when not given.
    pub socket_group: Option<String>,
    /// An address to which they connect over TCP.
    pub listen: Option<SocketAddr>,
    /// How many may be connected at once over the Unix socket.
    pub max_connections: usize,
    /// How many may be connected at once over TCP.
    pub max_tcp_connections: usize,
    /// How many of those from one address.
    pub max_tcp_per_address: usize,
}

impl Config {
    pub(super) fn check_sources(&self) -> Result<(), String> {
        let need = |holds: bool, message: &str| {
            if holds { Ok(()) } else { Err(message.to_owned()) }
        };
        let Dnstap { socket, socket_mode, socket_group, max_connections, max_tcp_connections, max_tcp_per_address, .. } =
            &self.dnstap;
        need(
            self.capture.enabled || self.dnstap.is_on(),
            "capture.enabled: is false, and neither dnstap.socket nor dnstap.listen is given: nothing would be counted",
        )?;
        need(
            self.source != Some(Counted::Capture) || self.capture.enabled,
            "source: is \"capture\", but capture.enabled is false",
        )?;
        need(
            self.source != Some(Counted::Dnstap) || self.dnstap.is_on(),
            "source: is \"dnstap\", but neither dnstap.socket nor dnstap.listen is given",
        )?;
        need(socket.as_ref().is_none_or(|path| path.is_absolute()), "dnstap.socket: must be an absolute path")?;
        need(*socket_mode <= 0o777, "dnstap.socket_mode: must be from 0o000 to 0o777")?;
        need(socket_group.as_deref() != Some(""), "dnstap.socket_group: is empty; leave it out for the probe's own group")?;
        need((1..=64).contains(max_connections), "dnstap.max_connections: must be from 1 to 64")?;
        need((1..=64).contains(max_tcp_connections), "dnstap.max_tcp_connections: must be from 1 to 64")?;
        need((1..=64).contains(max_tcp_per_address), "dnstap.max_tcp_per_address: must be from 1 to 64")
    }

    /// Which source is counted.
    pub fn counted(&self) -> Counted {
        self.source.unwrap_or(if self.capture.enabled { Counted::Capture } else { Counted::Dnstap })
    }

    /// Where to listen for dnstap, if anywhere.
    pub fn dnstap(&self) -> Option<dnstap::Settings> {
        let Dnstap { socket, socket_mode: mode, socket_group: group, listen, .. } = self.dnstap.clone();
        let Dnstap { max_connections, max_tcp_connections, max_tcp_per_address, .. } = self.dnstap;
        let socket = socket.map(|path| dnstap::SocketFile { path, mode, group });
        let bounds = dnstap::Bounds { max_connections, max_tcp_connections, max_tcp_per_address };
        self.dnstap.is_on().then_some(dnstap::Settings { socket, listen, bounds })
    }

    /// Whose messages count that a program tells of, not a server: those where whoever
    /// answers is the server.
    pub fn told_addresses(&self) -> Addresses {
        match &self.capture.addresses {
            ServerAddresses::Any => Addresses::Any,
            ServerAddresses::Local => Addresses::These(Vec::new()),
            ServerAddresses::These(addresses) => Addresses::These(addresses.clone()),
        }
    }

    /// Whether there are two sources, of which one is compared with the other.
    pub fn compares(&self) -> bool {
        self.capture.enabled && self.dnstap.is_on()
    }

    /// What sources hold before it is read, bytes.
    pub(super) fn buffer_bytes(&self) -> usize {
        let ring_bytes = if self.capture.enabled { self.capture.buffer_bytes } else { 0 };
        let Dnstap { socket, listen, max_connections, max_tcp_connections, .. } = &self.dnstap;
        let connections = socket.as_ref().map_or(0, |_| *max_connections) + listen.as_ref().map_or(0, |_| *max_tcp_connections);
        ring_bytes + connections * dnstap::MAX_CONNECTION_BYTES
    }
}

impl Dnstap {
    fn is_on(&self) -> bool {
        self.socket.is_some() || self.listen.is_some()
    }
}

impl Default for Dnstap {
    fn default() -> Self {
        Dnstap {
            socket: None,
            socket_mode: 0o660,
            socket_group: None,
            listen: None,
            max_connections: 16,
            max_tcp_connections: 16,
            max_tcp_per_address: 8,
        }
    }
}

impl<'de> Deserialize<'de> for ServerAddresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ServerAddresses;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"local\", \"any\" or a list of IP addresses")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ServerAddresses, E> {
                match text {
                    "local" => Ok(ServerAddresses::Local),
                    "any" => Ok(ServerAddresses::Any),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<ServerAddresses, A::Error> {
                let mut addresses = Vec::new();
                while let Some(text) = list.next_element::<String>()? {
                    let address = text.parse().map_err(|_| de::Error::custom(format!("{text:?} is not an IP address")))?;
                    addresses.push(address);
                }
                Ok(ServerAddresses::These(addresses))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
