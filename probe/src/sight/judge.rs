//! Whether the probe observes the sockets on which the DNS server accepts queries.
//!
//! A server has more sockets than those its clients use: resolvers send queries from changing
//! ports, and there are control channels, statistics and encrypted DNS, which cannot be read from
//! packets. So only two situations count as a mismatch:
//!
//! * None of the sockets that may be the server's is where the probe observes, although there is
//!   one where it serves.
//! * There is only one server, and it certainly serves on another port as well.
//!
//! A port *serves* if it has both UDP and TCP, or is 53.

use super::look::{Found, Place, Server};
use super::proc::Protocol;
use crate::config::ServerAddresses;
use std::fmt::Write;
use std::net::IpAddr;

/// DNS over TLS, QUIC and HTTPS.
const ENCRYPTED: [u16; 2] = [853, 443];
/// Control channels of BIND, Knot and NSD, and Unbound.
const CONTROL: [u16; 4] = [953, 8952, 8953, 8081];
const DNS: u16 = 53;
/// Maximum number of ports and addresses reported.
const MAX_TOLD: usize = 5;

/// What the probe observes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Observed {
    pub(super) device: String,
    pub(super) ports: Vec<u16>,
    /// Ports that are deliberately not observed.
    pub(super) ignored: Vec<u16>,
    pub(super) addresses: ServerAddresses,
    /// The machine's own addresses, if those are the server's.
    pub(super) local: Vec<IpAddr>,
}

/// A mismatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// What was found, and what to do.
    pub(super) detail: String,
    /// Whether the observed ports may be redirected to the server's: nothing on this machine
    /// listens there.
    pub(super) may_be_redirected: bool,
    /// Whether the server is observed, but not everywhere.
    pub(super) is_partial: bool,
}

/// Compares what is observed with what was found.
pub(super) fn judge(observed: &Observed, found: &Found) -> Option<Mismatch> {
    let places = || found.servers.iter().flat_map(Server::places);
    let names = names(&found.servers);
    let at_ports: Vec<&Place> = places().filter(|place| observed.ports.contains(&place.port)).collect();
    if at_ports.is_empty() {
        return elsewhere(observed, found, &names);
    }
    let wrong = |detail| Some(Mismatch { detail, may_be_redirected: false, is_partial: false });
    let at_addresses: Vec<&Place> =
        at_ports.iter().copied().filter(|place| observed.has_address(place.address, found.are_here)).collect();
    if at_addresses.is_empty() {
        let at = addresses(&at_ports);
        return wrong(format!(
            "{names} listens on {at}, but capture.addresses has {}: add the address",
            observed.describe_addresses()
        ));
    }
    if found.are_here && !at_addresses.iter().any(|place| observed.device_shows(place.address)) {
        let (at, device) = (addresses(&at_addresses), &observed.device);
        return wrong(format!(
            "{names} listens on {at}, but its clients' packets do not pass capture.device = \"{device}\": set it to \"any\""
        ));
    }
    let only_one = found.independent == 1;
    let others: Vec<Service> = services(found.servers.iter().flat_map(|server| &server.certain));
    let others: Vec<&Service> = others.iter().filter(|service| !observed.knows(service.port)).collect();
    if !only_one || others.is_empty() {
        return None;
    }
    let detail = format!(
        "{names} also listens on {}, but capture.ports has {}: add the port, or add it to capture.ignored_ports if it is not \
             to be counted",
        describe(&others),
        list(&observed.ports)
    );
    Some(Mismatch { detail, may_be_redirected: false, is_partial: true })
}

/// No socket that may be the server's is on an observed port.
fn elsewhere(observed: &Observed, found: &Found, names: &str) -> Option<Mismatch> {
    let certain = services(found.servers.iter().flat_map(|server| &server.certain));
    let possible = services(found.servers.iter().flat_map(Server::places));
    let (at, verb) = if certain.is_empty() { (&possible, "seems to listen") } else { (&certain, "listens") };
    let at: Vec<&Service> = at.iter().filter(|service| !observed.ignored.contains(&service.port)).collect();
    if at.is_empty() {
        return None;
    }
    let ports = list(&observed.ports);
    let wanted: Vec<u16> = at.iter().map(|service| service.port).take(MAX_TOLD).collect();
    let advice = match at.as_slice() {
        [_] => format!("set capture.ports = [{}]", list(&wanted)),
        _ => "set capture.ports to those that clients use".to_owned(),
    };
    Some(Mismatch {
        detail: format!("{names} {verb} on {}, but capture.ports has {ports}: {advice}", describe(&at)),
        may_be_redirected: !found.here.iter().any(|place| observed.ports.contains(&place.port)),
        is_partial: false,
    })
}

/// The servers and where they seem to serve: `knotd listens on port 53 (UDP, TCP) of all addresses`;
/// none if no server was found.
pub(super) fn servers(found: &Found) -> Option<String> {
    if found.servers.is_empty() {
        return None;
    }
    let (names, services) = (names(&found.servers), services(found.servers.iter().flat_map(Server::places)));
    let services: Vec<&Service> = services.iter().collect();
    let elsewhere = if found.are_here { "" } else { " in another network namespace" };
    Some(match services.as_slice() {
        [] => format!("{names} listens on no port that may serve DNS{elsewhere}"),
        services => format!("{names} listens on {}{elsewhere}", describe(services)),
    })
}

/// Whether requests to an unobserved port may be for the server: not if another program or another
/// DNS server of this machine listens there. If nothing does, they may be for a server elsewhere,
/// if there can be one.
pub(super) fn may_be_served(observed: &Observed, found: &Found, port: u16) -> bool {
    let at = |place: &Place| place.port == port && place.protocol == Protocol::Udp;
    let has = |server: &Server| server.places().any(at);
    let is_observed = |server: &Server| server.places().any(|place| observed.ports.contains(&place.port));
    if !found.here.iter().any(at) && !found.servers.iter().any(has) {
        return observed.addresses == ServerAddresses::Any;
    }
    if found.servers.is_empty() {
        return true;
    }
    if found.independent > 1 && found.servers.iter().any(is_observed) {
        return found.servers.iter().any(|server| is_observed(server) && has(server));
    }
    found.servers.iter().any(has)
}

/// A port on which DNS is served.
struct Service {
    port: u16,
    udp: bool,
    tcp: bool,
    addresses: Vec<IpAddr>,
}

fn services<'a>(places: impl Iterator<Item = &'a Place>) -> Vec<Service> {
    let mut places: Vec<&Place> = places.collect();
    places.sort_unstable();
    let services = places.chunk_by(|one, other| one.port == other.port).filter_map(|places| {
        let port = places.first()?.port;
        let has = |protocol| places.iter().any(|place| place.protocol == protocol);
        let (udp, tcp) = (has(Protocol::Udp), has(Protocol::Tcp));
        let is_dns = port == DNS || udp && tcp;
        let mut addresses: Vec<IpAddr> = places.iter().map(|place| place.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        (is_dns && !ENCRYPTED.contains(&port) && !CONTROL.contains(&port)).then_some(Service { port, udp, tcp, addresses })
    });
    services.collect()
}

impl Observed {
    fn knows(&self, port: u16) -> bool {
        self.ports.contains(&port) || self.ignored.contains(&port)
    }

    /// Whether messages to this address count. A server elsewhere has addresses unknown to this
    /// machine.
    fn has_address(&self, address: IpAddr, is_here: bool) -> bool {
        address.is_unspecified()
            || match &self.addresses {
                ServerAddresses::Any => true,
                ServerAddresses::Local => !is_here || self.local.is_empty() || self.local.contains(&address),
                ServerAddresses::These(addresses) => addresses.contains(&address),
            }
    }

    /// Whether packets from others to this address pass the device. Loopback addresses are on one
    /// device only, which also carries the machine's own queries to its other addresses, but nobody
    /// else's.
    fn device_shows(&self, address: IpAddr) -> bool {
        match self.device.as_str() {
            "any" => true,
            "lo" => address.is_loopback() || address.is_unspecified(),
            _ => !address.is_loopback(),
        }
    }

    fn describe_addresses(&self) -> String {
        match &self.addresses {
            ServerAddresses::Any => "\"any\"".to_owned(),
            ServerAddresses::Local => "\"local\", those of this machine's devices".to_owned(),
            ServerAddresses::These(addresses) => list(addresses),
        }
    }
}

/// The names of the programs, without duplicates.
fn names(servers: &[Server]) -> String {
    let mut names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    list(names)
}

/// `port 5353 (UDP, TCP) of 127.0.0.1`
fn describe(services: &[&Service]) -> String {
    let mut text = String::new();
    for (at, service) in services.iter().take(MAX_TOLD).enumerate() {
        let protocols = match (service.udp, service.tcp) {
            (true, true) => "UDP, TCP",
            (false, true) => "TCP",
            _ => "UDP",
        };
        let comma = if at == 0 { "" } else { ", " };
        let everywhere = service.addresses.iter().any(IpAddr::is_unspecified);
        let of = if everywhere { "all addresses".to_owned() } else { list(&service.addresses) };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}port {} ({protocols}) of {of}", service.port);
    }
    if services.len() > MAX_TOLD { text + " and others" } else { text }
}

/// `port 53 of 127.0.0.1`
fn addresses(places: &[&Place]) -> String {
    let services: Vec<String> = places.iter().map(|place| format!("{} port {}", place.address, place.port)).collect();
    let mut services = services;
    services.dedup();
    list(services)
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let mut items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    let more = items.len() > MAX_TOLD;
    items.truncate(MAX_TOLD);
    let text = items.join(", ");
    if more { text + " and others" } else { text }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
