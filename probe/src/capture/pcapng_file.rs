//! The pcapng format: blocks that begin with a type and a length, and end with the length again.
//!
//! A section header block begins a section and shows its byte order. Interface description blocks
//! number the section's interfaces and give each a link type and a time resolution. Packet blocks
//! refer to an interface. Other block types are skipped (IETF draft draft-ietf-opsawg-pcapng).
//! Supported versions are 1.0, and 1.2, which the draft declares identical.

use super::byte_order::ByteOrder;
use super::bytes::Bytes;
use super::found::{Found, MAX_PACKET_OCTETS, Stop};
use crate::times::BEYOND_NS;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Block type, and the length twice.
const FRAME_BYTES: usize = 12;
/// A section header up to its version.
const SECTION_START_BYTES: usize = 16;
/// Maximum length of a block that is read into memory: a packet and generous options, bytes.
const MAX_BLOCK_BYTES: usize = 2 * MAX_PACKET_OCTETS;
/// Maximum number of interfaces in a section.
const MAX_INTERFACES: usize = 65_536;
const NS_PER_S: u64 = 1_000_000_000;

/// An open pcapng file.
pub(super) struct Pcapng {
    order: ByteOrder,
    interfaces: Vec<Interface>,
    /// Time of the last packet. Simple packets have none, and this is the best guess.
    last_time_ns: u64,
}

#[derive(Clone, Copy)]
struct Interface {
    link_type: u32,
    /// Maximum captured octets per packet; 0 for no limit.
    snap_length: u32,
    unit: Unit,
    /// Offset to add to times, seconds.
    offset_s: i64,
}

#[derive(Clone, Copy)]
enum Unit {
    /// Nanoseconds per unit.
    Nanoseconds(u64),
    /// Units per second, where a unit is not a whole number of nanoseconds.
    PerSecond(u128),
}

impl Pcapng {
    pub(super) fn is_magic(magic: [u8; 4]) -> bool {
        // The magic number is a palindrome: the same in both byte orders.
        u32::from_le_bytes(magic) == SECTION_HEADER
    }

    /// Opens a file that starts with a section header. Returns the reason if its version is not
    /// supported.
    pub(super) fn open(bytes: &mut Bytes) -> Result<Result<Self, String>, Stop> {
        let pcapng = Pcapng { order: ByteOrder::Little, interfaces: Vec::new(), last_time_ns: 0 };
        bytes.want(SECTION_START_BYTES)?;
        // Truncation and damage are detected when the first block is read.
        let section = bytes.rest().get(8..).and_then(|rest| section(rest).ok());
        Ok(section.map_or(Ok(()), |(order, version)| check_version(order, version)).map(|()| pcapng))
    }

    #[inline]
    pub(super) fn next(&mut self, bytes: &mut Bytes) -> Result<Option<Found>, Stop> {
        loop {
            if !bytes.want(FRAME_BYTES)? {
                return if bytes.rest().is_empty() { Ok(None) } else { Err(Stop::Truncated("a block's header")) };
            }
            let Some(&[a, b, c, d, e, f, g, h]) = bytes.rest().first_chunk() else { return Ok(None) };
            let block_type = self.order.u32([a, b, c, d]);
            if block_type == SECTION_HEADER {
                bytes.want(SECTION_START_BYTES)?;
                self.begin_section(bytes.rest().get(8..).unwrap_or_default())?;
            }
            let length = self.order.u32([e, f, g, h]) as usize;
            if length < FRAME_BYTES || !length.is_multiple_of(4) {
                return Err(Stop::Damage(format!(
                    "a block of {length} bytes: the length must be a multiple of 4 and at least 12"
                )));
            }
            match block_type {
                SECTION_HEADER | INTERFACE_DESCRIPTION | OBSOLETE_PACKET | SIMPLE_PACKET | ENHANCED_PACKET => {
                    if let Some(found) = self.block(block_type, length, bytes)? {
                        self.last_time_ns = found.time_ns;
                        return Ok(Some(found));
                    }
                    bytes.take(length, 0);
                }
                _ => {
                    if !bytes.skip(length as u64)? {
                        return Err(Stop::Truncated("a block"));
                    }
                }
            }
        }
    }

    /// Reads a block of a known type; returns the packet, if it is one.
    #[inline]
    fn block(&mut self, block_type: u32, length: usize, bytes: &mut Bytes) -> Result<Option<Found>, Stop> {
        if length > MAX_BLOCK_BYTES {
            return Err(Stop::Damage(format!("a block of {length} bytes exceeds the limit of {MAX_BLOCK_BYTES} for its type")));
        }
        if !bytes.want(length)? {
            return Err(Stop::Truncated("a block"));
        }
        let block = bytes.rest().get(..length).unwrap_or_default();
        let (block, length_again) = block.split_last_chunk().unwrap_or((&[], &[0; 4]));
        if self.order.u32(*length_again) as usize != length {
            return Err(Stop::Damage("the lengths before and after a block do not match".to_owned()));
        }
        let body = block.get(8..).unwrap_or_default();
        match block_type {
            INTERFACE_DESCRIPTION => self.describe_interface(body).map(|()| None),
            ENHANCED_PACKET => self.enhanced_packet(body, length).map(Some),
            SIMPLE_PACKET => self.simple_packet(body, length).map(Some),
            OBSOLETE_PACKET => self.obsolete_packet(body, length).map(Some),
            _ => Ok(None),
        }
    }

    /// Begins a section; `rest` follows the block's length field.
    fn begin_section(&mut self, rest: &[u8]) -> Result<(), Stop> {
        let (order, version) = section(rest)?;
        check_version(order, version).map_err(Stop::Damage)?;
        self.order = order;
        self.interfaces.clear();
        Ok(())
    }

    fn describe_interface(&mut self, body: &[u8]) -> Result<(), Stop> {
        let Some(([a, b, _, _, snap_length @ ..], mut options)) = body.split_first_chunk::<8>() else {
            return Err(too_short("an interface description"));
        };
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(Stop::Damage(format!("more than {MAX_INTERFACES} interfaces in a section")));
        }
        let mut interface = Interface {
            link_type: u32::from(self.order.u16([*a, *b])),
            snap_length: self.order.u32(*snap_length),
            unit: Unit::Nanoseconds(1000),
            offset_s: 0,
        };
        while let Some((&[a, b, c, d], rest)) = options.split_first_chunk() {
            let (code, length) = (self.order.u16([a, b]), usize::from(self.order.u16([c, d])));
            let value = rest.get(..length).ok_or_else(|| too_short("an interface option"))?;
            match (code, value) {
                (0, _) => break,
                (9, [resolution]) => interface.unit = Unit::new(*resolution)?,
                (14, value) => {
                    let seconds = value.first_chunk().copied().unwrap_or_default();
                    interface.offset_s = self.order.u64(seconds) as i64;
                }
                _ => {}
            }
            options = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        self.interfaces.push(interface);
        Ok(())
    }

    #[inline]
    fn enhanced_packet(&self, body: &[u8], length: usize) -> Result<Found, Stop> {
        let Some((&[i, j, k, l, a, b, c, d, e, f, g, h, m, n, o, p, w, x, y, z], _)) = body.split_first_chunk() else {
            return Err(too_short("an enhanced packet"));
        };
        let interface = self.interface(self.order.u32([i, j, k, l]))?;
        let time_ns = interface.time_ns(self.order.u32([a, b, c, d]), self.order.u32([e, f, g, h]));
        found(interface, time_ns, self.order.u32([m, n, o, p]), self.order.u32([w, x, y, z]), 28, length)
    }

    fn obsolete_packet(&self, body: &[u8], length: usize) -> Result<Found, Stop> {
        let Some((&[i, j, _, _, a, b, c, d, e, f, g, h, m, n, o, p, w, x, y, z], _)) = body.split_first_chunk() else {
            return Err(too_short("a packet"));
        };
        let interface = self.interface(u32::from(self.order.u16([i, j])))?;
        let time_ns = interface.time_ns(self.order.u32([a, b, c, d]), self.order.u32([e, f, g, h]));
        found(interface, time_ns, self.order.u32([m, n, o, p]), self.order.u32([w, x, y, z]), 28, length)
    }

    fn simple_packet(&self, body: &[u8], length: usize) -> Result<Found, Stop> {
        let Some((octets, _)) = body.split_first_chunk() else { return Err(too_short("a simple packet")) };
        let interface = self.interface(0)?;
        let on_wire = self.order.u32(*octets);
        let most = if interface.snap_length == 0 { u32::MAX } else { interface.snap_length };
        let captured = on_wire.min(most).min((length - FRAME_BYTES - 4) as u32);
        found(interface, self.last_time_ns, captured, on_wire, 12, length)
    }

    #[inline]
    fn interface(&self, number: u32) -> Result<&Interface, Stop> {
        self.interfaces
            .get(number as usize)
            .ok_or_else(|| Stop::Damage(format!("a packet refers to interface {number}, which has no description")))
    }
}

impl Unit {
    /// From the option if_tsresol: a negative power of ten, or of two if the highest bit is set.
    fn new(resolution: u8) -> Result<Self, Stop> {
        let exponent = u32::from(resolution & 0x7f);
        let per_second = if resolution & 0x80 == 0 { 10u128.checked_pow(exponent) } else { 1u128.checked_shl(exponent) };
        match per_second.filter(|per_second| *per_second <= u128::from(u64::MAX)) {
            None => Err(Stop::Damage(format!("a time resolution of {resolution:#04x} is finer than any clock"))),
            Some(per_second) if u128::from(NS_PER_S).is_multiple_of(per_second) => {
                Ok(Unit::Nanoseconds((u128::from(NS_PER_S) / per_second) as u64))
            }
            Some(per_second) => Ok(Unit::PerSecond(per_second)),
        }
    }
}

impl Interface {
    #[inline]
    fn time_ns(&self, high: u32, low: u32) -> u64 {
        let count = u64::from(high) << 32 | u64::from(low);
        if self.offset_s == 0
            && let Unit::Nanoseconds(unit_ns) = self.unit
            && let Some(ns) = count.checked_mul(unit_ns)
        {
            return ns;
        }
        self.far_time_ns(count)
    }

    /// Like `time_ns`, for units that are not whole nanoseconds, for offsets, and for times out of
    /// range: times before 1970 become 0, times that are too late become [`BEYOND_NS`].
    #[cold]
    fn far_time_ns(&self, count: u64) -> u64 {
        let ns = match self.unit {
            Unit::Nanoseconds(unit_ns) => u128::from(count) * u128::from(unit_ns),
            Unit::PerSecond(per_second) => u128::from(count) * u128::from(NS_PER_S) / per_second,
        };
        // Both operands are far below 2^127.
        let ns = ns.cast_signed().saturating_add(i128::from(self.offset_s) * i128::from(NS_PER_S));
        u64::try_from(ns.max(0)).unwrap_or(BEYOND_NS)
    }
}

/// The byte order of a section, and its version as written; `rest` follows the block's length
/// field.
fn section(rest: &[u8]) -> Result<(ByteOrder, [u8; 4]), Stop> {
    let (magic, rest) = rest.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let Some((order, _)) = ByteOrder::of(*magic, &[BYTE_ORDER_MAGIC]) else {
        return Err(Stop::Damage("a section header without its byte-order magic".to_owned()));
    };
    rest.first_chunk().map(|version| (order, *version)).ok_or(Stop::Truncated("a section header"))
}

fn check_version(order: ByteOrder, [a, b, c, d]: [u8; 4]) -> Result<(), String> {
    match (order.u16([a, b]), order.u16([c, d])) {
        (1, 0 | 2) => Ok(()),
        (major, minor) => Err(format!("pcapng version {major}.{minor} is not supported, only 1.0 and 1.2")),
    }
}

/// The packet whose octets begin `at` bytes after the start of its block.
#[inline]
fn found(
    interface: &Interface,
    time_ns: u64,
    captured: u32,
    length_on_wire: u32,
    at: usize,
    block_length: usize,
) -> Result<Found, Stop> {
    let captured = captured as usize;
    let passed = at + captured;
    let Some(trailer) = block_length.checked_sub(passed).filter(|trailer| *trailer >= 4) else {
        return Err(Stop::Damage(format!("a packet of {captured} octets in a block of {block_length} bytes")));
    };
    Ok(Found { time_ns, link_type: interface.link_type, length_on_wire, passed, captured, trailer })
}

fn too_short(what: &str) -> Stop {
    Stop::Damage(format!("{what} is too short"))
}
