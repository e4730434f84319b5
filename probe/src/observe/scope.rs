//! Which messages belong to the server.

use super::message::Expected;
use std::net::IpAddr;

/// The server's endpoints.
///
/// A request is a query sent to one of them, a response an answer sent from one. Queries of a
/// resolver to other servers leave from other ports and are not seen; if they do use these ports,
/// they have the wrong direction and are counted as such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The ports on which it answers.
    pub ports: Vec<u16>,
    /// The addresses on which it answers.
    pub addresses: Addresses,
}

/// The addresses of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// All addresses: whoever answers on the ports is the server.
    Any,
    /// Only these.
    These(Vec<IpAddr>),
}

/// A scope in a form for fast lookups.
#[derive(Debug)]
pub(super) struct Watched {
    /// One bit per port.
    ports: Box<[u64; 1024]>,
    /// Sorted; `None` means any.
    addresses: Option<Vec<u128>>,
}

/// Which ends of a packet are watched; at least one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) source: bool,
    pub(super) destination: bool,
}

impl Side {
    /// The messages that this end may send and receive: queries in, responses out.
    #[inline]
    pub(super) fn expected(self) -> Expected {
        Expected { requests: self.destination, responses: self.source }
    }
}

impl Watched {
    pub(super) fn new(scope: &Scope) -> Self {
        let mut ports = Box::new([0; 1024]);
        for port in &scope.ports {
            if let Some(word) = ports.get_mut(usize::from(port / 64)) {
                *word |= 1 << (port % 64);
            }
        }
        let addresses = match &scope.addresses {
            Addresses::Any => None,
            Addresses::These(addresses) => {
                let mut numbers: Vec<u128> = addresses.iter().copied().map(number).collect();
                numbers.sort_unstable();
                Some(numbers)
            }
        };
        Watched { ports, addresses }
    }

    #[inline]
    pub(super) fn has_address(&self, address: u128) -> bool {
        self.addresses.as_ref().is_none_or(|addresses| addresses.binary_search(&address).is_ok())
    }

    #[inline]
    fn has_port(&self, port: u16) -> bool {
        let ports = self.ports.get(usize::from(port / 64)).copied().unwrap_or_default();
        ports >> (port % 64) & 1 == 1
    }

    /// Which ends are watched, if any.
    #[inline]
    pub(super) fn side(&self, source: (u128, u16), destination: (u128, u16)) -> Ends {
        let ports = (self.has_port(source.1), self.has_port(destination.1));
        if !ports.0 && !ports.1 {
            return Ends::OtherPorts;
        }
        let side =
            Side { source: ports.0 && self.has_address(source.0), destination: ports.1 && self.has_address(destination.0) };
        if (side.source || side.destination) && !is_multicast(destination.0) { Ends::Watched(side) } else { Ends::OtherAddresses }
    }
}

/// Whose packet it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// The server's.
    Watched(Side),
    /// Another server's on one of the ports, or a group's: multicast DNS (RFC 6762) and LLMNR (RFC
    /// 4795) address everyone, even on watched ports.
    OtherAddresses,
    /// Other programs'.
    OtherPorts,
}

/// 224.0.0.0/4 and ff00::/8.
#[inline]
pub(super) fn is_multicast(address: u128) -> bool {
    address >> 28 == 0x000f_fffe || address >> 120 == 0xff
}

/// An address as a number, with IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2).
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}
