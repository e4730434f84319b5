//! The addresses of servers, and which server is alone at an address.
//!
//! A request with unknown credentials does not identify its server, but it has a source address. That is a hint only if
//! no other server uses the address.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// The addresses of servers, in canonical form. Collected from pairs of server and address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    of: BTreeMap<u32, IpAddr>,
    at: BTreeMap<IpAddr, Vec<u32>>,
}

impl Places {
    /// The address of a server.
    pub fn of(&self, server_id: u32) -> Option<IpAddr> {
        self.of.get(&server_id).copied()
    }

    /// Whether several servers share an address.
    pub fn is_shared(&self, address: IpAddr) -> bool {
        self.at(address).len() > 1
    }

    /// The server at an address, if there is exactly one.
    pub fn only_at(&self, address: IpAddr) -> Option<u32> {
        match self.at(address) {
            [server_id] => Some(*server_id),
            _ => None,
        }
    }

    fn at(&self, address: IpAddr) -> &[u32] {
        self.at.get(&address.to_canonical()).map_or(&[], Vec::as_slice)
    }
}

impl FromIterator<(u32, IpAddr)> for Places {
    /// Each server must occur only once.
    fn from_iter<I: IntoIterator<Item = (u32, IpAddr)>>(servers: I) -> Self {
        let mut places = Places::default();
        for (server_id, address) in servers {
            let address = address.to_canonical();
            places.of.insert(server_id, address);
            places.at.entry(address).or_default().push(server_id);
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_alone_at_its_address_however_that_is_written() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let servers = [(1, "192.0.2.1"), (2, "192.0.2.2"), (3, "::ffff:192.0.2.2")];
        let places: Places = servers.into_iter().map(|(server_id, at)| (server_id, address(at))).collect();
        assert_eq!((places.only_at(address("::ffff:192.0.2.1")), places.is_shared(address("192.0.2.1"))), (Some(1), false));
        assert_eq!((places.only_at(address("192.0.2.2")), places.is_shared(address("192.0.2.2"))), (None, true));
        assert_eq!((places.only_at(address("192.0.2.3")), places.is_shared(address("192.0.2.3"))), (None, false));
        assert_eq!((places.of(3), places.of(4)), (Some(address("192.0.2.2")), None));
    }
}
