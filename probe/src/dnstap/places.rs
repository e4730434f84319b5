//! Limits on connections, and which connection makes room at a limit.
//!
//! The Unix socket and TCP have separate limits, so that clients on the network cannot lock out a server
//! on this machine, and TCP has a limit per address. Connections that have sent START are kept. At a
//! limit, a new connection replaces one that has not.

use std::net::{IpAddr, Ipv6Addr};

/// Maximum numbers of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Over the Unix socket.
    pub max_connections: usize,
    /// Over TCP.
    pub max_tcp_connections: usize,
    /// Over TCP from one address; an IPv6 /64 counts as one address.
    pub max_tcp_per_address: usize,
}

/// What a limit needs to know about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guest {
    /// The peer's address over TCP; none over the Unix socket.
    pub(super) from: Option<IpAddr>,
    /// Whether it has sent START.
    pub(super) is_started: bool,
}

/// What to do with a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Accept it.
    Take,
    /// Accept it, and close this one, which has not sent START.
    Instead(usize),
    /// Close it: all others have sent START.
    Refuse,
}

/// Decides about a new connection; `guests` are the existing ones, oldest first.
pub(super) fn verdict(guests: &[Guest], newcomer: Option<IpAddr>, bounds: &Bounds) -> Verdict {
    let from = newcomer.map(network);
    let of_kind = |guest: &Guest| guest.from.is_some() == from.is_some();
    let of_address = |guest: &Guest| guest.from.map(network) == from;
    if from.is_some() && count(guests, of_address) >= bounds.max_tcp_per_address {
        return instead(guests, of_address);
    }
    let max = if from.is_some() { bounds.max_tcp_connections } else { bounds.max_connections };
    if count(guests, of_kind) < max {
        return Verdict::Take;
    }
    // The address with the most unfinished handshakes gives up its oldest.
    let unfinished = |from: Option<IpAddr>| count(guests, |guest| !guest.is_started && guest.from.map(network) == from);
    let most =
        guests.iter().filter(|guest| of_kind(guest) && !guest.is_started).map(|guest| unfinished(guest.from.map(network))).max();
    instead(guests, |guest| of_kind(guest) && Some(unfinished(guest.from.map(network))) == most)
}

/// Replaces the oldest of these that has not sent START.
fn instead(guests: &[Guest], of: impl Fn(&Guest) -> bool) -> Verdict {
    let oldest = guests.iter().position(|guest| !guest.is_started && of(guest));
    oldest.map_or(Verdict::Refuse, Verdict::Instead)
}

fn count(guests: &[Guest], of: impl Fn(&Guest) -> bool) -> usize {
    guests.iter().filter(|guest| of(guest)).count()
}

/// What counts as one address: an IPv6 host usually has a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { max_connections: 2, max_tcp_connections: 4, max_tcp_per_address: 3 };

    /// Letters are addresses, capitals for connections that have sent START; `-` and `+` mean the same for the Unix socket.
    fn judge(guests: &str, newcomer: char) -> Verdict {
        let from = |letter: char| {
            let octet = u8::try_from(letter.to_ascii_lowercase()).unwrap();
            letter.is_alphabetic().then(|| IpAddr::from([192, 0, 2, octet]))
        };
        let guest = |letter: char| Guest { from: from(letter), is_started: letter.is_uppercase() || letter == '+' };
        let guests: Vec<_> = guests.chars().map(guest).collect();
        verdict(&guests, from(newcomer), &BOUNDS)
    }

    #[test]
    fn tcp_and_the_unix_socket_take_no_places_from_each_other() {
        assert_eq!(judge("abcd", '-'), Verdict::Take);
        assert_eq!(judge("ABCD", '-'), Verdict::Take);
        assert_eq!(judge("++", 'a'), Verdict::Take);
        assert_eq!(judge("++abcd", '-'), Verdict::Refuse);
    }

    #[test]
    fn the_oldest_unfinished_connection_makes_room() {
        assert_eq!(judge("--", '-'), Verdict::Instead(0));
        assert_eq!(judge("+-", '-'), Verdict::Instead(1));
        assert_eq!(judge("Abcd", 'e'), Verdict::Instead(1));
        assert_eq!(judge("ABCD", 'e'), Verdict::Refuse);
    }

    #[test]
    fn an_address_at_its_limit_replaces_its_own_connections() {
        assert_eq!(judge("baa", 'a'), Verdict::Take);
        assert_eq!(judge("aaa", 'a'), Verdict::Instead(0));
        assert_eq!(judge("bAaa", 'a'), Verdict::Instead(2));
        assert_eq!(judge("AAA", 'a'), Verdict::Refuse);
        assert_eq!(judge("AAA", 'b'), Verdict::Take);
    }

    #[test]
    fn the_address_with_most_unfinished_connections_makes_room() {
        assert_eq!(judge("baac", 'd'), Verdict::Instead(1));
        assert_eq!(judge("bcAa", 'd'), Verdict::Instead(0));
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_a_mapped_address_is_ipv4() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
