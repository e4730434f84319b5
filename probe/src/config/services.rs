//! Services whose statistics are sampled with the machine.

use super::{Components, Config, bounds};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Where Kea and Knot listen unless configured otherwise. Only their own users can create files there.
const KEA4: &str = "/run/kea/kea4-ctrl-socket";
const KEA6: &str = "/run/kea/kea6-ctrl-socket";
const KNOT: &str = "/run/knot/knot.sock";

/// `[services]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Services {
    /// Sampling interval, seconds; divides 300.
    pub interval_s: u32,
    /// Kea's DHCPv4 server.
    pub kea4: Service,
    /// Kea's DHCPv6 server.
    pub kea6: Service,
    /// Knot DNS.
    pub knot: Service,
}

/// `[services.kea4]` and so on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// Whether to sample its statistics.
    pub enabled: bool,
    /// Its control socket.
    pub socket: Option<PathBuf>,
}

/// The control socket of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Its path.
    pub path: PathBuf,
    /// Whether the configuration names it. If not, the service may well be absent.
    pub is_given: bool,
}

/// The control sockets to sample.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sockets {
    /// Of Kea's DHCPv4 server.
    pub kea4: Option<Socket>,
    /// Of Kea's DHCPv6 server.
    pub kea6: Option<Socket>,
    /// Of Knot DNS.
    pub knot: Option<Socket>,
}

impl Services {
    pub(super) fn check(&self) -> Result<(), String> {
        bounds::interval("services.interval_s", self.interval_s)?;
        bounds::socket("services.kea4.socket", self.kea4.socket.as_deref())?;
        bounds::socket("services.kea6.socket", self.kea6.socket.as_deref())?;
        bounds::socket("services.knot.socket", self.knot.socket.as_deref())
    }
}

impl Service {
    /// The socket to sample: the one given here, else the one known from elsewhere, else the usual one.
    fn socket(&self, known: Option<&Path>, usual: &str) -> Option<Socket> {
        let given = self.socket.as_deref().or(known);
        self.enabled.then(|| Socket { path: given.unwrap_or(Path::new(usual)).to_owned(), is_given: given.is_some() })
    }
}

impl Config {
    /// The control sockets of the services to sample.
    pub fn service_sockets(&self) -> Sockets {
        let Services { kea4, kea6, knot, .. } = &self.services;
        Sockets {
            kea4: kea4.socket(self.components.kea4_socket.as_deref(), KEA4),
            kea6: kea6.socket(self.components.kea6_socket.as_deref(), KEA6),
            knot: knot.socket(None, KNOT),
        }
    }

    /// What heartbeats report, with the sockets of the services whose statistics are sampled.
    pub fn components_to_report(&self) -> Components {
        let Sockets { kea4, kea6, .. } = self.service_sockets();
        let (kea4, kea6) = (kea4.map(|socket| socket.path), kea6.map(|socket| socket.path));
        let components = self.components.clone();
        Components { kea4_socket: components.kea4_socket.or(kea4), kea6_socket: components.kea6_socket.or(kea6), ..components }
    }
}

impl Default for Services {
    fn default() -> Self {
        Services { interval_s: 60, kea4: Service::default(), kea6: Service::default(), knot: Service::default() }
    }
}

impl Default for Service {
    fn default() -> Self {
        Service { enabled: true, socket: None }
    }
}
