//! Link layers: what precedes the IP packet.
//!
//! Link types are numbers of the pcap registry (LINKTYPE_*), protocols are EtherTypes of IEEE 802
//! unless stated otherwise. A frame without an IP packet (ARP, spanning tree, …) is not a loss:
//! `Ok(None)`. A frame is unreadable if it ends inside a header, may carry a packet behind an
//! unknown header, or has an unsupported link type. Each of the three cases has a counter. Link
//! types that DNS servers rarely have, and headers that capture tools prepend to another link type,
//! are in `rare.rs`.

mod rare;

/// The contents of a frame or tunnel: the IP packet, if there is one, or why it cannot be
/// determined.
pub(super) type Network<'a> = Result<Option<&'a [u8]>, Unread>;

/// Why a frame is unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// It ends inside a header, a header contradicts itself, or what follows is not supported.
    Damaged,
    /// Its link type is not supported.
    LinkType(u32),
}

pub(super) mod linktype {
    pub(in crate::observe) const NULL: u32 = 0;
    pub(in crate::observe) const ETHERNET: u32 = 1;
    pub(in crate::observe) const PPP: u32 = 9;
    pub(in crate::observe) const PPP_ETHER: u32 = 51;
    pub(in crate::observe) const C_HDLC: u32 = 104;
    pub(in crate::observe) const IEEE802_11: u32 = 105;
    pub(in crate::observe) const IEEE802_11_RADIOTAP: u32 = 127;
    pub(in crate::observe) const ARCNET_LINUX: u32 = 129;
    /// For private use; some of Apple's programs write PKTAP with it.
    pub(in crate::observe) const USER2: u32 = 149;
    pub(in crate::observe) const PKTAP: u32 = 258;
    /// Raw IP as numbered by live captures on different systems.
    pub(in crate::observe) const RAW_LIVE: [u32; 2] = [12, 14];
    pub(in crate::observe) const PPP_HDLC: u32 = 50;
    pub(in crate::observe) const RAW: u32 = 101;
    pub(in crate::observe) const LOOP: u32 = 108;
    pub(in crate::observe) const LINUX_SLL: u32 = 113;
    pub(in crate::observe) const PPI: u32 = 192;
    pub(in crate::observe) const IPV4: u32 = 228;
    pub(in crate::observe) const IPV6: u32 = 229;
    pub(in crate::observe) const NFLOG: u32 = 239;
    pub(in crate::observe) const LINUX_SLL2: u32 = 276;
}

pub(super) mod ethertype {
    pub(in crate::observe) const IPV4: u16 = 0x0800;
    pub(in crate::observe) const IPV6: u16 = 0x86dd;
    /// 802.1Q, 802.1ad (QinQ), and values used before standardisation.
    pub(in crate::observe) const VLAN: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
    pub(in crate::observe) const PPPOE_SESSION: u16 = 0x8864;
    pub(in crate::observe) const MPLS: [u16; 2] = [0x8847, 0x8848];
    /// Protocols that carry packets but are not supported: TRILL, MACsec, 802.1ah, NSH.
    pub(in crate::observe) const CARRIERS: [u16; 4] = [0x22f3, 0x88e5, 0x88e7, 0x894f];
    pub(in crate::observe) const BRIDGED_ETHERNET: u16 = 0x6558;
    /// Below this, the field is the length of an 802.3 frame.
    pub(in crate::observe) const LEAST: u16 = 0x0600;
}

/// Maximum number of consecutive tags; no network uses more.
const MAX_TAGS: usize = 8;

/// Finds the IP packet in a frame.
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
        linktype::PPP_ETHER => ppp(split::<6>(data)?.1),
        linktype::C_HDLC => {
            let ([_, _, high, low], rest) = split::<4>(data)?;
            protocol(u16::from_be_bytes([*high, *low]), rest)
        }
        _ => rare::network(link_type, data),
    }
}

/// The device of a frame, if the link-layer header contains it: a capture of all devices shows a
/// packet several times.
#[inline]
pub(super) fn device(link_type: u32, data: &[u8]) -> Option<u32> {
    match (link_type, data) {
        (linktype::LINUX_SLL2, [_, _, _, _, a, b, c, d, ..]) => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

#[inline]
pub(super) fn ethernet(data: &[u8]) -> Network<'_> {
    let ([.., high, low], rest) = split::<14>(data)?;
    match u16::from_be_bytes([*high, *low]) {
        ethertype::IPV4 => Ok(Some(rest)),
        other => protocol(other, rest),
    }
}

/// Finds the IP packet behind an EtherType.
pub(super) fn protocol(ether_type: u16, data: &[u8]) -> Network<'_> {
    let (ether_type, data) = untagged(ether_type, data)?;
    match ether_type {
        ethertype::IPV4 | ethertype::IPV6 => Ok(Some(data)),
        ethertype::PPPOE_SESSION => ppp(split::<6>(data)?.1),
        ether_type if ethertype::MPLS.contains(&ether_type) => mpls(data),
        length if length < ethertype::LEAST => Ok(snap(data)),
        ether_type if ethertype::CARRIERS.contains(&ether_type) => Err(Unread::Damaged),
        _ => Ok(None),
    }
}

/// Strips VLAN tags; returns the EtherType behind them, and what follows.
fn untagged(mut ether_type: u16, mut data: &[u8]) -> Result<(u16, &[u8]), Unread> {
    for _ in 0..MAX_TAGS {
        if !ethertype::VLAN.contains(&ether_type) {
            return Ok((ether_type, data));
        }
        let ([_, _, high, low], rest) = split::<4>(data)?;
        (ether_type, data) = (u16::from_be_bytes([*high, *low]), rest);
    }
    if ethertype::VLAN.contains(&ether_type) { Err(Unread::Damaged) } else { Ok((ether_type, data)) }
}

/// IEEE 802.2 with SNAP (RFC 1042); other 802.3 frames carry no IP.
pub(super) fn snap(data: &[u8]) -> Option<&[u8]> {
    let ([0xaa, 0xaa, 0x03, 0, 0, 0, high, low], rest) = data.split_first_chunk()? else { return None };
    let ether_type = u16::from_be_bytes([*high, *low]);
    (ether_type == ethertype::IPV4 || ether_type == ethertype::IPV6).then_some(rest)
}

/// A stack of labels, the last of which is marked (RFC 3032), followed by IP as indicated by its
/// version, a pseudowire, or a control channel (RFC 5586).
fn mpls(mut data: &[u8]) -> Network<'_> {
    for _ in 0..MAX_TAGS {
        let ([_, _, bottom, _], rest) = split::<4>(data)?;
        data = rest;
        if bottom & 1 == 1 {
            return match data.first().map(|octet| octet >> 4) {
                Some(4 | 6) => Ok(Some(data)),
                Some(0) => pseudowire(data),
                Some(1) => Ok(None),
                _ => Err(Unread::Damaged),
            };
        }
    }
    Err(Unread::Damaged)
}

/// A control word and an Ethernet frame (RFC 4448). MPLS inside it is not followed: frames could
/// nest as deep as they are long.
fn pseudowire(data: &[u8]) -> Network<'_> {
    let (_, frame) = split::<4>(data)?;
    let ([.., high, low], rest) = split::<14>(frame)?;
    match untagged(u16::from_be_bytes([*high, *low]), rest)? {
        (ethertype::IPV4 | ethertype::IPV6, packet) => Ok(Some(packet)),
        (ethertype::PPPOE_SESSION, _) => Err(Unread::Damaged),
        (other, _) if ethertype::MPLS.contains(&other) || ethertype::CARRIERS.contains(&other) => Err(Unread::Damaged),
        _ => Ok(None),
    }
}

/// A PPP protocol number (RFC 1661), possibly compressed to one octet. Compressed, encrypted or
/// fragmented packets are not supported.
fn ppp(data: &[u8]) -> Network<'_> {
    match data {
        [0x00, 0x21 | 0x57, rest @ ..] | [0x21 | 0x57, rest @ ..] => Ok(Some(rest)),
        [0x00, 0x2d | 0x2f | 0x3d | 0x53 | 0xfb | 0xfd, ..] | [0x2d | 0x2f | 0x3d | 0x53 | 0xfb | 0xfd, ..] => {
            Err(Unread::Damaged)
        }
        [] | [_] => Err(Unread::Damaged),
        _ => Ok(None),
    }
}

const MAX_FAMILY: u32 = 0xff;

/// Four octets of address family, in the byte order of the capturing machine (NULL) or the network
/// (LOOP). The family of IPv6 depends on the system. No system has a family above [`MAX_FAMILY`];
/// larger values are another header.
fn loopback(data: &[u8]) -> Network<'_> {
    let (family, rest) = split::<4>(data)?;
    let family = u32::from_be_bytes(*family);
    match if family > 0xffff { family.swap_bytes() } else { family } {
        2 | 10 | 23 | 24 | 28 | 30 => Ok(Some(rest)),
        0..=MAX_FAMILY => Ok(None),
        _ => Err(Unread::Damaged),
    }
}

#[inline]
pub(super) fn split<const N: usize>(data: &[u8]) -> Result<(&[u8; N], &[u8]), Unread> {
    data.split_first_chunk().ok_or(Unread::Damaged)
}
