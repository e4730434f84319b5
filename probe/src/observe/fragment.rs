//! Reassembly of IP fragments.
//!
//! A packet too large for a link is sent in fragments, which share addresses, protocol and an
//! identification. They are kept until the last gap closes. Incomplete packets are dropped after
//! [`MAX_AGE_NS`], or earlier, oldest first, if the limits are exceeded. If the first fragment
//! contains a message's whole question, the message counts at that point, like one truncated by the
//! snap length; all other dropped fragments are counted as lost. A packet with overlapping,
//! contradictory fragments is dropped at once, as RFC 5722 requires for IPv6, since there is no
//! telling which octets the receiver accepted.

use super::ip::{Fragment, Transport};
use super::tunnel::Tunnel;
use super::{At, Reader, Sink};
use std::collections::{HashMap, VecDeque};
use zonepulse_wire::Counter;

/// Linux waits 30 s for IPv4 and 60 s for IPv6; capture clocks are coarse.
const MAX_AGE_NS: u64 = 30_000_000_000;
/// Maximum number of incomplete packets.
const MAX_PACKETS: usize = 4096;
/// Default limit for all incomplete packets, bytes.
const MAX_BYTES: usize = 8 << 20;
/// Overhead of an incomplete packet and of a fragment, bytes.
const PACKET_BYTES: usize = 2 * (size_of::<(Key, Waiting)>() + size_of::<(Key, u64)>());
const PART_BYTES: usize = 2 * size_of::<Part>() + 32;
/// Enough for a packet of 65,535 octets in fragments of 576.
const MAX_PARTS: usize = 128;
/// Maximum length of an IP packet.
const MAX_PACKET_OCTETS: usize = 65_535;

#[derive(Debug)]
pub(super) struct Fragments {
    waiting: HashMap<Key, Waiting>,
    /// Order of arrival, with the packet's number. Finished packets stay in it for a while.
    order: VecDeque<(Key, u64)>,
    next_number: u64,
    /// Memory used by fragments, bytes.
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: u128,
    destination: u128,
    identification: u32,
    transport: u8,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    since_ns: u64,
    /// By offset, without overlap.
    parts: Vec<Part>,
    /// Memory used by its parts, bytes.
    bytes: usize,
    /// Total length of its parts on the wire, octets.
    length: usize,
    /// Where the packet ends, once its last fragment has arrived.
    end: Option<usize>,
}

#[derive(Debug)]
struct Part {
    offset: usize,
    time_ns: u64,
    octets: Box<[u8]>,
    /// Length on the wire, octets.
    length: usize,
}

/// The payload of a complete packet.
#[derive(Debug)]
pub(super) struct Joined {
    /// The octets, up to the first place where the snap length truncated a fragment.
    pub(super) octets: Vec<u8>,
    /// Length on the wire, octets.
    pub(super) length: usize,
}

/// The result of adding a fragment.
enum Added {
    /// This many octets are new.
    New(usize),
    /// A duplicate: captured twice, or sent twice.
    Again,
    /// It contradicts the other fragments.
    Contradiction,
}

impl Fragments {
    pub(super) fn new() -> Self {
        Fragments { waiting: HashMap::new(), order: VecDeque::new(), next_number: 0, bytes: 0, max_bytes: MAX_BYTES }
    }

    pub(super) fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes.min(MAX_BYTES);
    }

    /// Adds a fragment; returns the packet's payload when complete.
    pub(super) fn add(
        &mut self,
        (source, destination): (u128, u128),
        fragment: &Fragment<'_>,
        at: At,
        reader: &Reader,
        sink: &mut impl Sink,
    ) -> Option<Joined> {
        let end = fragment.offset + fragment.length;
        if end > MAX_PACKET_OCTETS || fragment.length == 0 || (fragment.more && !fragment.length.is_multiple_of(8)) {
            sink.add(Counter::FragmentsLost, 1);
            return None;
        }
        let key = Key { source, destination, identification: fragment.identification, transport: number(fragment.transport) };
        self.make_room(fragment.octets.len(), reader, sink);
        let waiting = self.waiting.entry(key).or_insert_with(|| {
            self.next_number += 1;
            self.order.push_back((key, self.next_number));
            Waiting { number: self.next_number, since_ns: at.time_ns, parts: Vec::new(), bytes: 0, length: 0, end: None }
        });
        match waiting.add(fragment, at.time_ns) {
            Added::New(bytes) => self.bytes += bytes + PART_BYTES,
            Added::Again => {
                sink.add(Counter::PacketsRepeated, 1);
                return None;
            }
            Added::Contradiction => {
                let waiting = self.take(key);
                sink.add(Counter::FragmentsLost, waiting.map_or(0, |waiting| waiting.parts.len() as u64) + 1);
                return None;
            }
        }
        if waiting.end != Some(waiting.length) {
            return None;
        }
        let whole = self.take(key)?;
        sink.add(Counter::FragmentsJoined, whole.parts.len().saturating_sub(1) as u64);
        Some(whole.join())
    }

    pub(super) fn expire(&mut self, now_ns: u64, reader: &Reader, sink: &mut impl Sink) {
        while let Some(&(key, number)) = self.order.front() {
            let waiting = self.waiting.get(&key).filter(|waiting| waiting.number == number);
            match waiting {
                Some(waiting) if waiting.since_ns.saturating_add(MAX_AGE_NS) > now_ns => break,
                Some(_) => self.give_up(key, reader, sink),
                None => {}
            }
            self.order.pop_front();
        }
    }

    /// Shifts waiting fragments to the new time after the clock was set.
    pub(super) fn shift(&mut self, by_ns: i64) {
        for waiting in self.waiting.values_mut() {
            waiting.since_ns = waiting.since_ns.saturating_add_signed(by_ns);
            for part in &mut waiting.parts {
                part.time_ns = part.time_ns.saturating_add_signed(by_ns);
            }
        }
    }

    pub(super) fn finish(&mut self, reader: &Reader, sink: &mut impl Sink) {
        self.expire(u64::MAX, reader, sink);
    }

    fn make_room(&mut self, bytes: usize, reader: &Reader, sink: &mut impl Sink) {
        // Half for fragments, half for information on their packets.
        let max_packets = (self.max_bytes / 2 / PACKET_BYTES).min(MAX_PACKETS);
        let over = |fragments: &Self| {
            fragments.bytes + bytes + PART_BYTES > fragments.max_bytes / 2
                || fragments.waiting.len() >= max_packets
                || fragments.order.len() >= 2 * max_packets
        };
        while over(self) {
            let Some((key, number)) = self.order.pop_front() else { return };
            if self.waiting.get(&key).is_some_and(|waiting| waiting.number == number) {
                self.give_up(key, reader, sink);
            }
        }
    }

    fn give_up(&mut self, key: Key, reader: &Reader, sink: &mut impl Sink) {
        let Some(waiting) = self.take(key) else { return };
        let first = waiting.parts.first().filter(|part| part.offset == 0 && key.transport == UDP);
        let counts =
            first.is_some_and(|part| reader.first_fragment((key.source, key.destination), &part.octets, part.time_ns, sink));
        sink.add(Counter::FragmentsLost, waiting.parts.len() as u64 - u64::from(counts));
    }

    fn take(&mut self, key: Key) -> Option<Waiting> {
        let waiting = self.waiting.remove(&key)?;
        self.bytes -= waiting.bytes + waiting.parts.len() * PART_BYTES;
        Some(waiting)
    }
}

impl Waiting {
    fn add(&mut self, fragment: &Fragment<'_>, time_ns: u64) -> Added {
        let (start, length) = (fragment.offset, fragment.length);
        let end = start + length;
        let known_end = self.end.unwrap_or(if fragment.more { usize::MAX } else { end });
        let last_end = self.parts.last().map_or(0, Part::end);
        if end > known_end || last_end > known_end || (!fragment.more && end != known_end) {
            return Added::Contradiction;
        }
        let at = self.parts.partition_point(|other| other.offset < start);
        if let Some(other) = self.parts.get(at) {
            if other.offset == start && other.length == length && agree(&other.octets, fragment.octets) {
                return Added::Again;
            }
            if other.offset < end {
                return Added::Contradiction;
            }
        }
        let before_end = at.checked_sub(1).and_then(|at| self.parts.get(at)).map_or(0, Part::end);
        if before_end > start || self.parts.len() >= MAX_PARTS {
            return Added::Contradiction;
        }
        if !fragment.more {
            self.end = Some(end);
        }
        let octets = fragment.octets;
        self.parts.insert(at, Part { offset: start, time_ns, octets: octets.into(), length });
        self.bytes += octets.len();
        self.length += length;
        Added::New(octets.len())
    }

    fn join(self) -> Joined {
        let mut octets = Vec::with_capacity(self.bytes);
        for part in &self.parts {
            octets.extend_from_slice(&part.octets);
            if part.octets.len() < part.length {
                break;
            }
        }
        Joined { octets, length: self.length }
    }
}

impl Part {
    fn end(&self) -> usize {
        self.offset + self.length
    }
}

/// Whether both are equal as far as they were captured.
fn agree(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

const UDP: u8 = 17;

/// IPv4 and IPv6 share protocol numbers; different kinds of tunnels do not mix.
fn number(transport: Transport) -> u8 {
    match transport {
        // Tunnels over UDP are inside the datagram, not in its fragments.
        Transport::Udp | Transport::Tunnel(Tunnel::Vxlan | Tunnel::VxlanGpe | Tunnel::Geneve) => UDP,
        Transport::Tcp => 6,
        Transport::Tunnel(Tunnel::Ip) => 4,
        Transport::Tunnel(Tunnel::Gre) => 47,
    }
}
