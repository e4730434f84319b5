//! Tunnels: packets that carry packets.
//!
//! Tunnels are looked into wherever they come from. In a capture of all devices, a server's own
//! tunnel shows a packet twice, encapsulated and decapsulated; only the inner one is read, and only
//! once (see [`Recent`](super::recent::Recent)).

use super::link::{self, Network, Unread, ethertype, split};

/// What a packet may carry instead of a message or part of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tunnel {
    /// An IP packet (RFC 2003, RFC 2473, RFC 4213).
    Ip,
    /// Generic routing encapsulation (RFC 2784, RFC 2890).
    Gre,
    /// An Ethernet frame in UDP (RFC 7348), as sent by traffic mirroring in clouds.
    Vxlan,
    /// The same with the generic protocol extension (draft-ietf-nvo3-vxlan-gpe), on a port of its
    /// own.
    VxlanGpe,
    /// Any protocol in UDP (RFC 8926).
    Geneve,
}

impl Tunnel {
    /// The tunnel whose registered port a datagram is sent to.
    #[inline]
    pub(super) fn at_port(port: u16) -> Option<Self> {
        match port {
            4789 => Some(Tunnel::Vxlan),
            4790 => Some(Tunnel::VxlanGpe),
            6081 => Some(Tunnel::Geneve),
            _ => None,
        }
    }
}

/// Finds the IP packet in a tunnel's packet.
pub(super) fn network(tunnel: Tunnel, octets: &[u8]) -> Network<'_> {
    match tunnel {
        Tunnel::Ip => Ok(Some(octets)),
        Tunnel::Gre => gre(octets),
        Tunnel::Vxlan | Tunnel::VxlanGpe => vxlan(octets),
        Tunnel::Geneve => geneve(octets),
    }
}

fn gre(octets: &[u8]) -> Network<'_> {
    /// Mirrored Ethernet frames: ERSPAN types I and II, and III.
    const ERSPAN: u16 = 0x88be;
    const ERSPAN_3: u16 = 0x22eb;
    let ([flags, version, high, low], mut rest) = split::<4>(octets)?;
    if version & 7 != 0 {
        // Version 1 is PPTP, which encrypts or compresses.
        return Ok(None);
    }
    if flags & 0xc0 != 0 {
        rest = split::<4>(rest)?.1;
    }
    let numbered = flags & 0x10 != 0;
    for present in [flags & 0x20 != 0, numbered] {
        if present {
            rest = split::<4>(rest)?.1;
        }
    }
    match u16::from_be_bytes([*high, *low]) {
        ethertype::BRIDGED_ETHERNET => link::ethernet(rest),
        // Type I has neither a sequence number nor a header of its own.
        ERSPAN if !numbered => link::ethernet(rest),
        ERSPAN => link::ethernet(split::<8>(rest)?.1),
        ERSPAN_3 => {
            let ([.., options], rest) = split::<12>(rest)?;
            let rest = if options & 1 != 0 { split::<8>(rest)?.1 } else { rest };
            link::ethernet(rest)
        }
        ether_type => link::protocol(ether_type, rest),
    }
}

/// A datagram to this port without a valid header belongs to another program and is not a loss.
/// With the generic extension (draft-ietf-nvo3-vxlan-gpe), the header names the protocol that
/// follows.
fn vxlan(octets: &[u8]) -> Network<'_> {
    const VALID: u8 = 0x08;
    const EXTENDED: u8 = 0x04;
    const CONTROL: u8 = 0x01;
    /// Version and reserved bits, which must be 0.
    const ZERO: u8 = 0xf0;
    let ([flags, reserved @ .., next, _, _, _, last], inner) = split::<8>(octets)?;
    if flags & EXTENDED == 0 {
        return if flags & VALID != 0 { link::ethernet(inner) } else { Ok(None) };
    }
    let is_whole = flags & ZERO == 0 && *reserved == [0, 0] && *last == 0;
    match next {
        _ if flags & CONTROL != 0 => Ok(None),
        1 | 2 => Ok(Some(inner)),
        3 => link::ethernet(inner),
        5 => link::protocol(ethertype::MPLS[0], inner),
        // Network service headers, and undefined protocols.
        _ if is_whole => Err(Unread::Damaged),
        _ => Ok(None),
    }
}

fn geneve(octets: &[u8]) -> Network<'_> {
    let ([version_length, flags, high, low, _, _, _, last], rest) = split::<8>(octets)?;
    // Control packets (the highest flag) carry no traffic.
    if *last != 0 || version_length & 0xc0 != 0 || flags & 0xbf != 0 {
        return Ok(None);
    }
    let rest = rest.get(usize::from(version_length & 0x3f) * 4..).ok_or(Unread::Damaged)?;
    match u16::from_be_bytes([*high, *low]) {
        ethertype::BRIDGED_ETHERNET => link::ethernet(rest),
        ether_type => link::protocol(ether_type, rest),
    }
}
