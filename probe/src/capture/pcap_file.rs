//! The pcap format: a header of 24 bytes, then packets, each preceded by a header of 16 bytes.
//!
//! The first four bytes show the writer's byte order, and whether the fraction of a second counts
//! microseconds or nanoseconds (IETF draft draft-ietf-opsawg-pcap). Supported versions are those of
//! libpcap and Wireshark: 2.0 to 2.4, and 543.0, which DG/UX wrote. Before 2.3 a packet's two
//! lengths are swapped; in 2.3 only some writers swapped them.

use super::byte_order::ByteOrder;
use super::bytes::Bytes;
use super::found::{Found, MAX_PACKET_OCTETS, Stop};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Written by a patched libpcap of old Linux distributions, with eight more bytes before each
/// packet.
const MODIFIED: u32 = 0xa1b2_cd34;

const HEADER_BYTES: usize = 24;
const NS_PER_S: u64 = 1_000_000_000;

/// The contents of the header.
pub(super) struct Pcap {
    order: ByteOrder,
    /// Nanoseconds per unit of the fraction.
    unit_ns: u64,
    link_type: u32,
    packet_header_bytes: usize,
    lengths: Lengths,
}

/// The order of a packet's two lengths.
#[derive(Clone, Copy)]
enum Lengths {
    /// Captured length, then length on the wire.
    Plain,
    Swapped,
    /// Either order. A packet cannot be captured longer than it was, so the shorter length is the
    /// captured one.
    Either,
}

impl Pcap {
    /// Reads the header. `None` if the magic number belongs to another format; the reason if the
    /// version is not supported.
    pub(super) fn open(magic: [u8; 4], bytes: &mut Bytes) -> Result<Option<Result<Self, String>>, Stop> {
        let Some((order, magic)) = ByteOrder::of(magic, &[MICROSECONDS, NANOSECONDS, MODIFIED]) else { return Ok(None) };
        if !bytes.want(HEADER_BYTES)? {
            return Err(Stop::Truncated("the header"));
        }
        let mut pcap = Pcap {
            order,
            unit_ns: if magic == NANOSECONDS { 1 } else { 1000 },
            link_type: 0,
            packet_header_bytes: if magic == MODIFIED { 24 } else { 16 },
            lengths: Lengths::Plain,
        };
        let Some([_, _, _, _, a, b, c, d, .., w, x, y, z]) = bytes.rest().first_chunk::<HEADER_BYTES>().copied() else {
            return Err(Stop::Truncated("the header"));
        };
        let (major, minor) = (order.u16([a, b]), order.u16([c, d]));
        pcap.lengths = match (major, minor) {
            (2, 4) => Lengths::Plain,
            (2, 3) => Lengths::Either,
            (2, 0..=2) | (543, 0) => Lengths::Swapped,
            _ => return Ok(Some(Err(format!("pcap version {major}.{minor} is not supported, only 2.0 to 2.4")))),
        };
        // The upper bits describe a frame check sequence, which is excluded by the IP length
        // anyway.
        pcap.link_type = order.u32([w, x, y, z]) & 0x03ff_ffff;
        bytes.take(HEADER_BYTES, 0);
        Ok(Some(Ok(pcap)))
    }

    #[inline]
    pub(super) fn next(&self, bytes: &mut Bytes) -> Result<Option<Found>, Stop> {
        if !bytes.want(self.packet_header_bytes)? {
            return if bytes.rest().is_empty() { Ok(None) } else { Err(Stop::Truncated("a packet's header")) };
        }
        let Some(header) = bytes.rest().first_chunk::<16>() else { return Ok(None) };
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *header;
        let order = self.order;
        let (first, last) = (order.u32([i, j, k, l]), order.u32([m, n, o, p]));
        let (captured, length_on_wire) = match self.lengths {
            Lengths::Plain => (first, last),
            Lengths::Swapped => (last, first),
            Lengths::Either => (first.min(last), first.max(last)),
        };
        let captured = captured as usize;
        if captured > MAX_PACKET_OCTETS {
            return Err(Stop::Damage(format!("a packet of {captured} octets exceeds the limit of {MAX_PACKET_OCTETS}")));
        }
        let passed = self.packet_header_bytes + captured;
        if !bytes.want(passed)? {
            return Err(Stop::Truncated("a packet"));
        }
        let time_ns = u64::from(order.u32([a, b, c, d])) * NS_PER_S + u64::from(order.u32([e, f, g, h])) * self.unit_ns;
        Ok(Some(Found { time_ns, link_type: self.link_type, length_on_wire, passed, captured, trailer: 0 }))
    }
}
