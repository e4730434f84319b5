//! The configured sources, and which of them is counted.

use super::wrong;
use super::{Capture, Config, bounds};
use crate::clock::Reading;
use crate::observe::Addresses;
use crate::room::Room;
use crate::{Error, dnstap};
use serde::{Deserialize, Deserializer, de};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use zonepulse_program::config::values;

/// Maximum number of ports and of addresses: more than a server has, and few enough for a small
/// kernel filter.
const MAX_PORTS: usize = 64;
const MAX_ADDRESSES: usize = 1024;

/// The source whose messages are counted; a second one is only compared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Counted {
    /// Packets on the device.
    Capture,
    /// Messages that servers report with dnstap.
    Dnstap,
}

/// Which addresses belong to the server.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerAddresses {
    /// Those of this machine.
    Local,
    /// All of them: whoever answers on the ports is the server.
    Any,
    /// Only these.
    These(Vec<IpAddr>),
}

/// `[dnstap]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dnstap {
    /// The Unix socket to which servers connect.
    pub socket: Option<PathBuf>,
    /// File mode of the socket.
    pub socket_mode: u32,
    /// Group of the socket; the probe's own by default.
    pub socket_group: Option<String>,
    /// The TCP address to which servers connect.
    pub listen: Option<SocketAddr>,
    /// Maximum number of connections over the Unix socket.
    pub max_connections: usize,
    /// Maximum number of connections over TCP.
    pub max_tcp_connections: usize,
    /// Maximum number of TCP connections from one address.
    pub max_tcp_per_address: usize,
}

impl Config {
    pub(super) fn check_capture(&self) -> Result<(), String> {
        let Capture { enabled: _, device, ports, ignored_ports, addresses, buffer_bytes } = &self.capture;
        bounds::device("capture.device", device)?;
        if ports.is_empty() || ports.len() > MAX_PORTS || ports.contains(&0) {
            return Err(format!("capture.ports: must be 1 to {MAX_PORTS} ports from 1 to 65535, such as [53], not {ports:?}"));
        }
        if ignored_ports.len() > MAX_PORTS || ignored_ports.iter().any(|port| *port == 0 || ports.contains(port)) {
            return Err(format!(
                "capture.ignored_ports: must be at most {MAX_PORTS} ports from 1 to 65535 that are not in capture.ports, not \
                 {ignored_ports:?}"
            ));
        }
        bounds::within("capture.buffer_bytes", *buffer_bytes as u64, 1 << 16..=1 << 30)?;
        let ServerAddresses::These(addresses) = addresses else { return Ok(()) };
        if addresses.is_empty() || addresses.len() > MAX_ADDRESSES {
            return Err(format!(
                "capture.addresses: must be 1 to {MAX_ADDRESSES} addresses, \"local\" or \"any\", not {} addresses",
                addresses.len()
            ));
        }
        match addresses.iter().find(|address| address.is_unspecified() || values::is_of_many(**address)) {
            Some(address) => {
                Err(format!("capture.addresses: no server answers from {address}; give addresses, \"local\" or \"any\""))
            }
            None => Ok(()),
        }
    }

    /// Checks that whatever the configuration names exists on this machine, and that the earliest
    /// day has come. A replay may run on another machine and does not need this.
    pub fn check_machine(&self) -> Result<(), Error> {
        self.times.check_clock(Reading::now().wall_ms).map_err(|what| wrong("times.earliest", what))?;
        values::directory(&self.spool.dir).map_err(|what| wrong("spool.dir", what))?;
        if let Some(socket) = &self.dnstap.socket
            && fs::symlink_metadata(socket).is_ok_and(|metadata| !metadata.file_type().is_socket())
        {
            return Err(wrong("dnstap.socket", format!("{} exists and is not a socket", socket.display())));
        }
        let Some(group) = &self.dnstap.socket_group else { return Ok(()) };
        dnstap::check_group(group).map_err(|what| wrong("dnstap.socket_group", what.to_string()))
    }

    /// Checks that the spool's disk can keep `spool.min_free_bytes` free. Fails if the disk is too
    /// small; returns a warning if too little is free at present. Accepts a disk whose size is
    /// unknown.
    pub fn check_disk(&self) -> Result<Option<String>, Error> {
        let dir = &self.spool.dir;
        // The directory is created at the first start.
        let Some(room) = dir.ancestors().find_map(|path| Room::of(path).ok()) else { return Ok(None) };
        let (wanted, Room { total_bytes, free_bytes, .. }) = (self.spool.min_free_bytes, room);
        let dir = dir.display();
        if wanted > total_bytes {
            let what =
                format!("{wanted} exceeds the size of the disk of {dir}, {total_bytes}: no batch could ever be spooled there");
            return Err(wrong("spool.min_free_bytes", what));
        }
        Ok((wanted > free_bytes).then(|| {
            format!("spool.min_free_bytes is {wanted}, but only {free_bytes} bytes are free on the disk of {dir}: batches will be discarded")
        }))
    }

    pub(super) fn check_sources(&self) -> Result<(), String> {
        let need = |holds: bool, message: &str| {
            if holds { Ok(()) } else { Err(message.to_owned()) }
        };
        let Dnstap { socket, socket_mode, socket_group, listen, max_connections, max_tcp_connections, max_tcp_per_address } =
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
        bounds::socket("dnstap.socket", socket.as_deref())?;
        if *socket_mode > 0o777 {
            return Err(format!("dnstap.socket_mode: must be from 0o000 to 0o777, not {socket_mode:#o}"));
        }
        bounds::name("dnstap.socket_group", socket_group.as_deref())?;
        bounds::has_port("dnstap.listen", listen.as_ref())?;
        bounds::within("dnstap.max_connections", *max_connections as u64, 1..=64)?;
        bounds::within("dnstap.max_tcp_connections", *max_tcp_connections as u64, 1..=64)?;
        bounds::within("dnstap.max_tcp_per_address", *max_tcp_per_address as u64, 1..=64)
    }

    /// The source that is counted.
    pub fn counted(&self) -> Counted {
        self.source.unwrap_or(if self.capture.enabled { Counted::Capture } else { Counted::Dnstap })
    }

    /// The dnstap sockets, if any are configured.
    pub fn dnstap(&self) -> Option<dnstap::Settings> {
        let Dnstap { socket, socket_mode: mode, socket_group: group, listen, .. } = self.dnstap.clone();
        let Dnstap { max_connections, max_tcp_connections, max_tcp_per_address, .. } = self.dnstap;
        let socket = socket.map(|path| dnstap::SocketFile { path, mode, group });
        let bounds = dnstap::Bounds { max_connections, max_tcp_connections, max_tcp_per_address };
        self.dnstap.is_on().then_some(dnstap::Settings { socket, listen, bounds })
    }

    /// The addresses whose dnstap messages count when a program other than a server reports them:
    /// if the addresses are `"any"`, all.
    pub fn told_addresses(&self) -> Addresses {
        match &self.capture.addresses {
            ServerAddresses::Any => Addresses::Any,
            ServerAddresses::Local => Addresses::These(Vec::new()),
            ServerAddresses::These(addresses) => Addresses::These(addresses.clone()),
        }
    }

    /// Whether there are two sources, one of which is compared with the other.
    pub fn compares(&self) -> bool {
        self.capture.enabled && self.dnstap.is_on()
    }

    /// Memory that sources use for data not yet read, bytes.
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
