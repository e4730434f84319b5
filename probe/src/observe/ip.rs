//! IP, version 4 (RFC 791) and 6 (RFC 8200), and UDP (RFC 768).
//!
//! Addresses are 128-bit numbers, with IPv4 mapped into IPv6, so that the layers above need only
//! one kind. Checksums are ignored: packets leaving this machine are often captured before the
//! network card fills them in.

use super::tunnel::Tunnel;

#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) source: u128,
    pub(super) destination: u128,
    pub(super) payload: Payload<'a>,
}

#[derive(Debug)]
pub(super) enum Payload<'a> {
    /// A complete datagram or segment as captured, and its length on the wire.
    Whole(Transport, &'a [u8], usize),
    /// A fragment of one.
    Fragment(Fragment<'a>),
    /// A protocol that carries no DNS: ICMP, routing protocols. (A DNS message quoted in an ICMP
    /// error is not a message that was sent.)
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
    Tunnel(Tunnel),
}

/// A fragment of a packet (RFC 791 section 3.2, RFC 8200 section 4.5).
#[derive(Debug)]
pub(super) struct Fragment<'a> {
    pub(super) transport: Transport,
    pub(super) identification: u32,
    /// Its position in the packet.
    pub(super) offset: usize,
    /// Whether more fragments follow.
    pub(super) more: bool,
    pub(super) octets: &'a [u8],
    /// Length on the wire, octets.
    pub(super) length: usize,
}

/// The protocol number of IPsec's authentication header (RFC 4302).
const AUTHENTICATION: u8 = 51;

/// The packet contradicts itself, or ends inside a header.
#[derive(Debug)]
pub(super) struct Unreadable;

/// Reads the headers of an IP packet. Anything after its end (padding of a short Ethernet frame, a
/// trailer) is ignored.
#[inline(always)]
pub(super) fn read(octets: &[u8]) -> Result<Packet<'_>, Unreadable> {
    match octets.first().map(|octet| octet >> 4) {
        Some(4) => version_4(octets),
        Some(6) => version_6(octets),
        _ => Err(Unreadable),
    }
}

#[inline(always)]
fn version_4(octets: &[u8]) -> Result<Packet<'_>, Unreadable> {
    let (header, _) = octets.split_first_chunk::<20>().ok_or(Unreadable)?;
    let [version_length, _, length_high, length_low, id_high, id_low, at_high, at_low, _, protocol, _, _, addresses @ ..] =
        *header;
    let [a, b, c, d, e, f, g, h] = addresses;
    let header_length = usize::from(version_length & 0x0f) * 4;
    let length = match usize::from(u16::from_be_bytes([length_high, length_low])) {
        // Segmentation offload: longer than the field can express.
        0 => octets.len(),
        length => length,
    };
    if header_length < 20 || length < header_length {
        return Err(Unreadable);
    }
    let payload = octets.get(header_length..length.min(octets.len())).ok_or(Unreadable)?;
    let flags_offset = u16::from_be_bytes([at_high, at_low]);
    let payload = match transport(protocol) {
        None if protocol == AUTHENTICATION && flags_offset & 0x3fff == 0 => {
            extensions(protocol, payload, length - header_length)?
        }
        None => Payload::Other,
        Some(transport) if flags_offset & 0x3fff == 0 => Payload::Whole(transport, payload, length - header_length),
        Some(transport) => Payload::Fragment(Fragment {
            transport,
            identification: u32::from(u16::from_be_bytes([id_high, id_low])),
            offset: usize::from(flags_offset & 0x1fff) * 8,
            more: flags_offset & 0x2000 != 0,
            octets: payload,
            length: length - header_length,
        }),
    };
    Ok(Packet { source: mapped([a, b, c, d]), destination: mapped([e, f, g, h]), payload })
}

#[inline]
fn mapped(address: [u8; 4]) -> u128 {
    0xffff_0000_0000 | u128::from(u32::from_be_bytes(address))
}

fn version_6(octets: &[u8]) -> Result<Packet<'_>, Unreadable> {
    let (header, rest) = octets.split_first_chunk::<40>().ok_or(Unreadable)?;
    let [_, _, _, _, length_high, length_low, next, _, addresses @ ..] = header;
    let (source, destination) = addresses.split_first_chunk::<16>().ok_or(Unreadable)?;
    let destination = destination.first_chunk::<16>().ok_or(Unreadable)?;
    let length = match usize::from(u16::from_be_bytes([*length_high, *length_low])) {
        // A jumbogram (RFC 2675), or segmentation offload.
        0 => rest.len(),
        length => length,
    };
    let payload = rest.get(..length).unwrap_or(rest);
    let payload = extensions(*next, payload, length)?;
    Ok(Packet { source: u128::from_be_bytes(*source), destination: u128::from_be_bytes(*destination), payload })
}

/// Skips the extension headers (RFC 8200 section 4) up to the transport.
fn extensions(mut next: u8, mut octets: &[u8], mut length: usize) -> Result<Payload<'_>, Unreadable> {
    loop {
        let header_length = match next {
            // Hop-by-hop, routing, destination options, mobility, HIP, shim6.
            0 | 43 | 60 | 135 | 139 | 140 => usize::from(*octets.get(1).ok_or(Unreadable)?) * 8 + 8,
            // Authentication (RFC 4302).
            AUTHENTICATION => usize::from(*octets.get(1).ok_or(Unreadable)?) * 4 + 8,
            44 => {
                let ([inner, _, at_high, at_low, identification @ ..], rest) =
                    octets.split_first_chunk::<8>().ok_or(Unreadable)?;
                let flags_offset = u16::from_be_bytes([*at_high, *at_low]);
                if flags_offset & 0xfff9 != 0 {
                    let Some(transport) = transport(*inner) else { return Ok(Payload::Other) };
                    return Ok(Payload::Fragment(Fragment {
                        transport,
                        identification: u32::from_be_bytes(*identification),
                        offset: usize::from(flags_offset & 0xfff8),
                        more: flags_offset & 1 == 1,
                        octets: rest,
                        length: length.checked_sub(8).ok_or(Unreadable)?,
                    }));
                }
                // An atomic fragment (RFC 6946) is a complete packet.
                8
            }
            _ => return Ok(transport(next).map_or(Payload::Other, |transport| Payload::Whole(transport, octets, length))),
        };
        next = *octets.first().ok_or(Unreadable)?;
        octets = octets.get(header_length..).ok_or(Unreadable)?;
        length = length.checked_sub(header_length).ok_or(Unreadable)?;
    }
}

#[inline]
fn transport(protocol: u8) -> Option<Transport> {
    match protocol {
        17 => Some(Transport::Udp),
        6 => Some(Transport::Tcp),
        4 | 41 => Some(Transport::Tunnel(Tunnel::Ip)),
        47 => Some(Transport::Tunnel(Tunnel::Gre)),
        _ => None,
    }
}

#[derive(Debug)]
pub(super) struct Datagram<'a> {
    pub(super) source: u16,
    pub(super) destination: u16,
    pub(super) octets: &'a [u8],
    /// Payload length according to the header, octets.
    pub(super) length: usize,
}

/// Reads a UDP datagram; `None` if the header is truncated or inconsistent.
#[inline]
pub(super) fn udp(octets: &[u8]) -> Option<Datagram<'_>> {
    let ([source @ .., destination_high, destination_low, length_high, length_low, _, _], rest) =
        octets.split_first_chunk::<8>()?;
    let length = match usize::from(u16::from_be_bytes([*length_high, *length_low])) {
        // Longer than the field can express (RFC 2675).
        0 => rest.len(),
        length => length.checked_sub(8)?,
    };
    Some(Datagram {
        source: u16::from_be_bytes(*source),
        destination: u16::from_be_bytes([*destination_high, *destination_low]),
        octets: rest.get(..length).unwrap_or(rest),
        length,
    })
}
