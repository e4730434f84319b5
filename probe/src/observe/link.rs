//! Link layers: what stands before the IP packet.
//!
//! Numbers of link types are those of the pcap registry (LINKTYPE_*), numbers of
//! protocols the EtherTypes of IEEE 802 unless said otherwise. A frame without an
//! IP packet (ARP, spanning tree, …) is nothing to count and nothing to lose:
//! `Ok(None)`. A frame that ends inside a header cannot be read, which is counted.

use zonepulse_wire::Counter;

/// What a frame or a tunnel holds: the IP packet, if there is one, or the
/// counter of the reason why that cannot be said.
pub(super) type Network<'a> = Result<Option<&'a [u8]>, Counter>;

mod linktype {
    pub(super) const NULL: u32 = 0;
    pub(super) const ETHERNET: u32 = 1;
    pub(super) const PPP: u32 = 9;
    /// Raw IP as live captures on different systems number it.
    pub(super) const RAW_LIVE: [u32; 2] = [12, 14];
    pub(super) const PPP_HDLC: u32 = 50;
    pub(super) const RAW: u32 = 101;
    pub(super) const LOOP: u32 = 108;
    pub(super) const LINUX_SLL: u32 = 113;
    pub(super) const PPI: u32 = 192;
    pub(super) const IPV4: u32 = 228;
    pub(super) const IPV6: u32 = 229;
    pub(super) const NFLOG: u32 = 239;
    pub(super) const LINUX_SLL2: u32 = 276;
}

mod ethertype {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const IPV6: u16 = 0x86dd;
    /// 802.1Q, 802.1ad (QinQ), and what was used before it was agreed upon.
    pub(super) const VLAN: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
    pub(super) const PPPOE_SESSION: u16 = 0x8864;
    pub(super) const MPLS: [u16; 2] = [0x8847, 0x8848];
    pub(super) const BRIDGED_ETHERNET: u16 = 0x6558;
    /// Below this the field is the length of an 802.3 frame.
    pub(super) const LEAST: u16 = 0x0600;
}

/// More tags than this one after another are no network's.
const MAX_TAGS: usize = 8;

/// Finds the IP packet of a frame.
#[inline]
pub(super) fn network(link_type: u32, data: &[u8]) -> Network<'_> {
    match link_type {
        linktype::ETHERNET => ethernet(data),
        linktype::LINUX_SLL => {
            let ([.., high, low], rest) = split::<16>(data)?;
            protocol(u16::from_be_bytes([*high, *low]), rest)
        }
        linktype::LINUX_SLL2 => {
            let ([high, low, ..], rest) = split::<20>(data)?;
            protocol(u16::from_be_bytes([*high, *low]), rest)
        }
        linktype::RAW | linktype::IPV4 | linktype::IPV6 => Ok(Some(data)),
        link_type if linktype::RAW_LIVE.contains(&link_type) => Ok(Some(data)),
        linktype::NULL | linktype::LOOP => loopback(data),
        linktype::PPP | linktype::PPP_HDLC => ppp(data.strip_prefix(&[0xff, 0x03]).unwrap_or(data)),
        linktype::PPI => ppi(data),
        linktype::NFLOG => nflog(data),
        _ => Err(Counter::UnknownLinkType),
    }
}

/// What an IP packet may carry instead of UDP or TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tunnel {
    /// An IP packet (RFC 2003, RFC 2473, RFC 4213).
    Ip,
    /// Generic routing encapsulation (RFC 2784, RFC 2890).
    Gre,
}

/// Finds the IP packet in a tunnel's packet.
pub(super) fn tunnelled(tunnel: Tunnel, octets: &[u8]) -> Network<'_> {
    match tunnel {
        Tunnel::Ip => Ok(Some(octets)),
        Tunnel::Gre => gre(octets),
    }
}

#[inline]
fn ethernet(data: &[u8]) -> Network<'_> {
    let ([.., high, low], rest) = split::<14>(data)?;
    match u16::from_be_bytes([*high, *low]) {
        ethertype::IPV4 => Ok(Some(rest)),
        other => protocol(other, rest),
    }
}

/// What an EtherType announces.
fn protocol(mut ether_type: u16, mut data: &[u8]) -> Network<'_> {
    for _ in 0..MAX_TAGS {
        if !ethertype::VLAN.contains(&ether_type) {
            break;
        }
        let ([_, _, high, low], rest) = split::<4>(data)?;
        (ether_type, data) = (u16::from_be_bytes([*high, *low]), rest);
    }
    match ether_type {
        ethertype::IPV4 | ethertype::IPV6 => Ok(Some(data)),
        ethertype::PPPOE_SESSION => ppp(split::<6>(data)?.1),
        ether_type if ethertype::MPLS.contains(&ether_type) => mpls(data),
        length if length < ethertype::LEAST => Ok(snap(data)),
        _ => Ok(None),
    }
}

/// IEEE 802.2 with SNAP (RFC 1042); other 802.3 frames carry no IP.
fn snap(data: &[u8]) -> Option<&[u8]> {
    let ([0xaa, 0xaa, 0x03, 0, 0, 0, high, low], rest) = data.split_first_chunk()? else { return None };
    let ether_type = u16::from_be_bytes([*high, *low]);
    (ether_type == ethertype::IPV4 || ether_type == ethertype::IPV6).then_some(rest)
}

/// A stack of labels whose last one is marked (RFC 3032); what follows is IP by
/// its version, or a pseudowire.
fn mpls(mut data: &[u8]) -> Network<'_> {
    for _ in 0..MAX_TAGS {
        let ([_, _, bottom, _], rest) = split::<4>(data)?;
        data = rest;
        if bottom & 1 == 1 {
            return match data.first().map(|octet| octet >> 4) {
                Some(4 | 6) => Ok(Some(data)),
                // A pseudowire's control word before an Ethernet frame (RFC 4448).
                Some(0) => ethernet(split::<4>(data)?.1),
                _ => Ok(None),
            };
        }
    }
    Ok(None)
}

/// A PPP protocol number (RFC 1661), perhaps compressed to one octet.
fn ppp(data: &[u8]) -> Network<'_> {
    match data {
        [0x00, 0x21 | 0x57, rest @ ..] | [0x21 | 0x57, rest @ ..] => Ok(Some(rest)),
        [] | [_] => Err(Counter::UnreadableFrames),
        _ => Ok(None),
    }
}

/// Four octets of address family, in the byte order of the machine that captured
/// (NULL) or of the network (LOOP). The family of IPv6 differs by system.
fn loopback(data: &[u8]) -> Network<'_> {
    let (family, rest) = split::<4>(data)?;
    let family = u32::from_be_bytes(*family);
    match if family > 0xffff { family.swap_bytes() } else { family } {
        2 | 10 | 23 | 24 | 28 | 30 => Ok(Some(rest)),
        _ => Ok(None),
    }
}

/// Per-packet information: a little-endian header that names another link type.
fn ppi(data: &[u8]) -> Network<'_> {
    let ([_, _, length_low, length_high, link_type @ ..], _) = split::<8>(data)?;
    let rest = data.get(usize::from(u16::from_le_bytes([*length_low, *length_high]))..).ok_or(Counter::UnreadableFrames)?;
    match u32::from_le_bytes(*link_type) {
        linktype::PPI => Err(Counter::UnknownLinkType),
        link_type => network(link_type, rest),
    }
}

/// Netfilter's log: type-length-value items in the byte order of the machine that
/// captured, padded to four octets; item 9 is the packet.
fn nflog(data: &[u8]) -> Network<'_> {
    const PAYLOAD: u16 = 9;
    let (_, mut rest) = split::<4>(data)?;
    while !rest.is_empty() {
        let ([length @ .., type_first, type_second], _) = split::<4>(rest)?;
        // The types are few, so the order shows in them: the upper octet is 0 but for flags.
        let little = *type_second & 0x3f == 0;
        let read = |octets| if little { u16::from_le_bytes(octets) } else { u16::from_be_bytes(octets) };
        let length = usize::from(read(*length));
        if read([*type_first, *type_second]) == PAYLOAD {
            return rest
                .get(4..)
                .map(|rest| Some(rest.get(..length.saturating_sub(4)).unwrap_or(rest)))
                .ok_or(Counter::UnreadableFrames);
        }
        if length < 4 {
            return Err(Counter::UnreadableFrames);
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(None)
}

fn gre(octets: &[u8]) -> Network<'_> {
    let ([flags, version, high, low], mut rest) = split::<4>(octets)?;
    if version & 7 != 0 {
        // Version 1 is PPTP's, which encrypts or compresses.
        return Ok(None);
    }
    if flags & 0xc0 != 0 {
        rest = split::<4>(rest)?.1;
    }
    for present in [0x20, 0x10] {
        if flags & present != 0 {
            rest = split::<4>(rest)?.1;
        }
    }
    match u16::from_be_bytes([*high, *low]) {
        ethertype::BRIDGED_ETHERNET => ethernet(rest),
        ether_type => protocol(ether_type, rest),
    }
}

#[inline]
fn split<const N: usize>(data: &[u8]) -> Result<(&[u8; N], &[u8]), Counter> {
    data.split_first_chunk().ok_or(Counter::UnreadableFrames)
}
