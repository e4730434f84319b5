//! Link types that are rare on DNS servers but occur in captures, and headers that capture tools
//! prepend to another link type.

use super::{Network, Unread, linktype, snap, split};

/// Finds the IP packet in a frame.
pub(super) fn network(link_type: u32, data: &[u8]) -> Network<'_> {
    match link_type {
        linktype::IEEE802_11 => wireless(data),
        linktype::IEEE802_11_RADIOTAP => radiotap(data),
        linktype::ARCNET_LINUX => arcnet(data),
        linktype::PPI => ppi(data),
        linktype::NFLOG => nflog(data),
        linktype::PKTAP | linktype::USER2 => pktap(link_type, data),
        _ => Err(Unread::LinkType(link_type)),
    }
}

/// The frame behind a header that names another link type. Such headers are not nested.
fn inner(link_type: u32, data: &[u8]) -> Network<'_> {
    match link_type {
        linktype::PPI | linktype::PKTAP | linktype::USER2 => Err(Unread::LinkType(link_type)),
        _ => super::network(link_type, data),
    }
}

/// Per-packet information: a little-endian header that names another link type.
fn ppi(data: &[u8]) -> Network<'_> {
    let ([_, _, length_low, length_high, link_type @ ..], _) = split::<8>(data)?;
    let length = usize::from(u16::from_le_bytes([*length_low, *length_high]));
    inner(u32::from_le_bytes(*link_type), data.get(length..).ok_or(Unread::Damaged)?)
}

/// Apple's header: its length, the kind of contents (1: a packet) and its link type, all
/// little-endian, then the device's name and the process. Under the number for private use, it is
/// recognised only if every detail matches.
fn pktap(link_type: u32, data: &[u8]) -> Network<'_> {
    const LENGTH: u32 = 108;
    const PACKET: u32 = 1;
    let unknown = Err(Unread::LinkType(link_type));
    let Ok(([a, b, c, d, e, f, g, h, inner_type @ ..], _)) = split::<12>(data) else { return unknown };
    let (length, kind) = (u32::from_le_bytes([*a, *b, *c, *d]), u32::from_le_bytes([*e, *f, *g, *h]));
    if link_type == linktype::USER2 && (length, kind) != (LENGTH, PACKET) {
        return unknown;
    }
    if kind != PACKET {
        return Ok(None);
    }
    inner(u32::from_le_bytes(*inner_type), data.get(length as usize..).ok_or(Unread::Damaged)?)
}

/// Netfilter's log: type-length-value items in the byte order of the capturing machine, padded to
/// four octets; item 9 is the packet.
fn nflog(data: &[u8]) -> Network<'_> {
    const PAYLOAD: u16 = 9;
    let (_, mut rest) = split::<4>(data)?;
    while !rest.is_empty() {
        let ([length @ .., type_first, type_second], _) = split::<4>(rest)?;
        // Types are small, so they reveal the byte order: the upper octet is 0 except for flags.
        let little = *type_second & 0x3f == 0;
        let read = |octets| if little { u16::from_le_bytes(octets) } else { u16::from_be_bytes(octets) };
        let length = usize::from(read(*length));
        if read([*type_first, *type_second]) == PAYLOAD {
            return rest.get(4..).map(|rest| Some(rest.get(..length.saturating_sub(4)).unwrap_or(rest))).ok_or(Unread::Damaged);
        }
        if length < 4 {
            return Err(Unread::Damaged);
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(None)
}

/// A little-endian header of variable length, then an 802.11 frame.
fn radiotap(data: &[u8]) -> Network<'_> {
    let ([_, _, length @ ..], _) = split::<4>(data)?;
    wireless(data.get(usize::from(u16::from_le_bytes(*length))..).ok_or(Unread::Damaged)?)
}

/// IEEE 802.11: data frames that are neither encrypted nor fragmented. Other frames with data are
/// unreadable; frames without data are not a loss.
fn wireless(data: &[u8]) -> Network<'_> {
    const DATA: u8 = 0x08;
    let ([control, flags, ..], _) = split::<2>(data)?;
    let carries = |bit: u8| control & bit != 0;
    if control & 0x0c != DATA || carries(0x40) {
        return Ok(None);
    }
    let (between_stations, more_parts, encrypted, ordered) =
        (flags & 0x03 == 0x03, flags & 0x04 != 0, flags & 0x40 != 0, flags & 0x80 != 0);
    let (header, _) = split::<24>(data)?;
    let [.., part, _] = header;
    if more_parts || encrypted || part & 0x0f != 0 {
        return Err(Unread::Damaged);
    }
    let mut length = 24 + if between_stations { 6 } else { 0 };
    if carries(0x80) {
        let quality = data.get(length).ok_or(Unread::Damaged)?;
        if quality & 0x80 != 0 {
            // Several packets in one frame.
            return Err(Unread::Damaged);
        }
        length += if ordered { 6 } else { 2 };
    }
    let body = data.get(length..).ok_or(Unread::Damaged)?;
    // Some drivers leave the header padded to four octets.
    let padded = body.get(2..).filter(|_| length % 4 == 2).and_then(snap);
    Ok(snap(body).or(padded))
}

/// ARCNET as presented by Linux: addresses, offset and type. In RFC 1201, unlike RFC 1051, a
/// fragmentation flag and a sequence number follow.
fn arcnet(data: &[u8]) -> Network<'_> {
    const IPV4_1051: u8 = 240;
    const IPV4_1201: u8 = 212;
    const IPV6: u8 = 196;
    let ([.., packet_type], rest) = split::<5>(data)?;
    match *packet_type {
        IPV4_1051 => Ok(Some(rest)),
        IPV4_1201 | IPV6 => match split::<3>(rest)? {
            ([0, _, _], rest) => Ok(Some(rest)),
            _ => Err(Unread::Damaged),
        },
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use crate::observe::testing::*;
    use crate::observe::{Frame, Observer};
    use zonepulse_wire::Counter;

    fn observed(link_type: u32, data: &[u8]) -> Memory {
        let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
        observer.frame(&Frame { link_type, ..frame(data, 1) }, &mut memory);
        memory
    }

    /// Behind an IEEE 802.2 header with SNAP.
    fn snap() -> Vec<u8> {
        let packet = ipv4(17, 1, 53, &udp(40000, 53, &query("a.")));
        [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], packet.as_slice()].concat()
    }

    #[test]
    fn frames_of_wireless_networks_are_read() {
        let header = |control: u8, flags: u8, length: usize| {
            let mut header = vec![0; length];
            header[..2].copy_from_slice(&[control, flags]);
            header
        };
        for (what, header) in [
            ("data", header(0x08, 0x01, 24)),
            ("between stations", header(0x08, 0x03, 30)),
            ("with quality of service", header(0x88, 0x01, 26)),
            ("with a padded header", header(0x88, 0x02, 28)),
            ("with high throughput", header(0x88, 0x82, 30)),
        ] {
            let data = [header, snap()].concat();
            assert_eq!(observed(105, &data).texts(), ["a. A 0"], "{what}");
            let data = [&[0, 0, 12, 0][..], &[0; 8], &data].concat();
            assert_eq!(observed(127, &data).texts(), ["a. A 0"], "{what}, radiotap");
            let data = [&[0, 0, 8, 0, 105, 0, 0, 0][..], &data[12..]].concat();
            assert_eq!(observed(192, &data).texts(), ["a. A 0"], "{what}, PPI");
        }
        for (what, header, unreadable) in [
            ("a beacon", header(0x80, 0, 24), 0),
            ("no data", header(0x48, 0, 24), 0),
            ("encrypted", header(0x08, 0x41, 24), 1),
            ("a part", header(0x08, 0x05, 24), 1),
            ("cut", header(0x08, 0, 20), 1),
        ] {
            let data = if what == "cut" { header } else { [header, snap()].concat() };
            let memory = observed(105, &data);
            assert_eq!((memory.hits.len(), memory.count(Counter::UnreadableFrames)), (0, unreadable), "{what}");
        }
    }

    #[test]
    fn frames_of_arcnet_are_read() {
        let packet = ipv4(17, 1, 53, &udp(40000, 53, &query("a.")));
        let packet_6 = ipv6(17, 1, 53, &udp(40000, 53, &query("a.")));
        for (header, packet) in
            [(&[1, 2, 0, 0, 240][..], &packet), (&[1, 2, 0, 0, 212, 0, 1, 1], &packet), (&[1, 2, 0, 0, 196, 0, 1, 1], &packet_6)]
        {
            assert_eq!(observed(129, &[header, packet].concat()).texts(), ["a. A 0"], "{header:?}");
        }
        assert_eq!(observed(129, &[&[1, 2, 0, 0, 212, 1, 1, 1], packet.as_slice()].concat()).count(Counter::UnreadableFrames), 1);
        assert_eq!(observed(129, &[1, 2, 0, 0, 241, 0, 0]).count(Counter::UnreadableFrames), 0, "ARP");
    }

    #[test]
    fn apples_header_is_read_and_other_private_types_are_not_taken_for_it() {
        let mut header = [[108, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]].concat();
        header.resize(108, 0);
        let data = [header, udp_to_server(&query("a."))].concat();
        for link_type in [149, 258] {
            assert_eq!(observed(link_type, &data).texts(), ["a. A 0"]);
        }
        let mut other = data.clone();
        other[4] = 2;
        assert_eq!(observed(149, &other).count(Counter::UnknownLinkType), 1);
        assert_eq!(observed(258, &data[..9]).count(Counter::UnknownLinkType), 1);
        let nested = [&data[..8], &[2, 1, 0, 0], &data[12..]].concat();
        assert_eq!(observed(258, &nested).count(Counter::UnknownLinkType), 1, "nested headers were followed");
    }
}
