//! Putting fragments of IP packets together.
//!
//! A packet too large for a link travels in fragments, which share addresses,
//! protocol and an identification. They are kept until the last gap closes.
//! What never becomes whole is given up after [`MAX_AGE_NS`], or earlier, oldest
//! first, when fragments past the bounds come; each fragment given up is counted.
//! A packet whose fragments contradict each other is given up at once, as RFC
//! 5722 demands for IPv6: no one can say which octets the receiver took.

use super::ip::{Fragment, Transport};
use super::tunnel::Tunnel;
use super::{At, Sink};
use std::collections::{HashMap, VecDeque};
use zonepulse_wire::Counter;

/// Linux waits 30 s for IPv4 and 60 s for IPv6; the clocks of captures are coarse.
const MAX_AGE_NS: u64 = 30_000_000_000;
/// How many packets may wait at once.
const MAX_PACKETS: usize = 4096;
/// What may wait at once, over all packets, unless it is said otherwise, bytes.
const MAX_BYTES: usize = 8 << 20;
/// What a packet that waits takes besides its fragments, and a fragment besides its octets, bytes.
const PACKET_BYTES: usize = 2 * (size_of::<(Key, Waiting)>() + size_of::<(Key, u64)>());
const PART_BYTES: usize = 2 * size_of::<(usize, Box<[u8]>)>() + 32;
/// A packet of 65,535 octets in fragments of 576.
const MAX_PARTS: usize = 128;
/// No IP packet is longer.
const MAX_PACKET_OCTETS: usize = 65_535;

#[derive(Debug)]
pub(super) struct Fragments {
    waiting: HashMap<Key, Waiting>,
    /// Which came first, with the packet's number; packets that are gone stay in it for a while.
    order: VecDeque<(Key, u64)>,
    next_number: u64,
    /// What the fragments take that wait, bytes.
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
    parts: Vec<(usize, Box<[u8]>)>,
    bytes: usize,
    /// Where the packet ends, once the last fragment has come.
    end: Option<usize>,
}

impl Fragments {
    pub(super) fn new() -> Self {
        Fragments { waiting: HashMap::new(), order: VecDeque::new(), next_number: 0, bytes: 0, max_bytes: MAX_BYTES }
    }

    pub(super) fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes.min(MAX_BYTES);
    }

    /// Adds a fragment and gives what the packet carries when it is whole.
    pub(super) fn add(
        &mut self,
        source: u128,
        destination: u128,
        fragment: &Fragment<'_>,
        at: At,
        sink: &mut impl Sink,
    ) -> Option<Vec<u8>> {
        let end = fragment.offset + fragment.length;
        let is_cut = fragment.octets.len() < fragment.length;
        if is_cut || end > MAX_PACKET_OCTETS || fragment.length == 0 || (fragment.more && !fragment.length.is_multiple_of(8)) {
            // Cut by the snap length its packet cannot become whole; otherwise it contradicts itself.
            let counter = if is_cut && !at.cut { Counter::UnreadableFrames } else { Counter::FragmentsLost };
            sink.add(counter, 1);
            return None;
        }
        let key = Key { source, destination, identification: fragment.identification, transport: number(fragment.transport) };
        self.make_room(fragment.length, sink);
        let waiting = self.waiting.entry(key).or_insert_with(|| {
            self.next_number += 1;
            self.order.push_back((key, self.next_number));
            Waiting { number: self.next_number, since_ns: at.time_ns, parts: Vec::new(), bytes: 0, end: None }
        });
        match waiting.add(fragment) {
            Ok(0) => {}
            Ok(added) => self.bytes += added + PART_BYTES,
            Err(Contradiction) => {
                self.give_up(key, 1, sink);
                return None;
            }
        }
        if waiting.end != Some(waiting.bytes) {
            return None;
        }
        let whole = self.waiting.remove(&key)?;
        self.bytes -= whole.taken_bytes();
        let mut octets = Vec::with_capacity(whole.bytes);
        whole.parts.iter().for_each(|(_, part)| octets.extend_from_slice(part));
        Some(octets)
    }

    pub(super) fn expire(&mut self, now_ns: u64, sink: &mut impl Sink) {
        while let Some(&(key, number)) = self.order.front() {
            let waiting = self.waiting.get(&key).filter(|waiting| waiting.number == number);
            match waiting {
                Some(waiting) if waiting.since_ns.saturating_add(MAX_AGE_NS) > now_ns => break,
                Some(_) => self.give_up(key, 0, sink),
                None => {}
            }
            self.order.pop_front();
        }
    }

    /// The clock was set by so much.
    pub(super) fn shift(&mut self, by_ns: i64) {
        for waiting in self.waiting.values_mut() {
            waiting.since_ns = waiting.since_ns.saturating_add_signed(by_ns);
        }
    }

    pub(super) fn finish(&mut self, sink: &mut impl Sink) {
        self.expire(u64::MAX, sink);
    }

    fn make_room(&mut self, length: usize, sink: &mut impl Sink) {
        // A half for fragments, a half for what is known of their packets.
        let max_packets = (self.max_bytes / 2 / PACKET_BYTES).min(MAX_PACKETS);
        let over = |fragments: &Self| {
            fragments.bytes + length + PART_BYTES > fragments.max_bytes / 2
                || fragments.waiting.len() >= max_packets
                || fragments.order.len() >= 2 * max_packets
        };
        while over(self) {
            let Some((key, number)) = self.order.pop_front() else { return };
            if self.waiting.get(&key).is_some_and(|waiting| waiting.number == number) {
                self.give_up(key, 0, sink);
            }
        }
    }

    fn give_up(&mut self, key: Key, more: u64, sink: &mut impl Sink) {
        if let Some(waiting) = self.waiting.remove(&key) {
            self.bytes -= waiting.taken_bytes();
            sink.add(Counter::FragmentsLost, waiting.parts.len() as u64 + more);
        }
    }
}

/// Fragments of one packet that cannot belong together.
struct Contradiction;

impl Waiting {
    fn taken_bytes(&self) -> usize {
        self.bytes + self.parts.len() * PART_BYTES
    }

    /// Adds a fragment: how many octets are new.
    fn add(&mut self, fragment: &Fragment<'_>) -> Result<usize, Contradiction> {
        let (start, end) = (fragment.offset, fragment.offset + fragment.octets.len());
        let known_end = self.end.unwrap_or(if fragment.more { usize::MAX } else { end });
        let last_end = self.parts.last().map_or(0, |(at, part)| at + part.len());
        if end > known_end || last_end > known_end || (!fragment.more && end != known_end) {
            return Err(Contradiction);
        }
        let at = self.parts.partition_point(|(other, _)| *other < start);
        if let Some((other, part)) = self.parts.get(at) {
            if *other == start && **part == *fragment.octets {
                // The same again: captured twice, or sent twice.
                return Ok(0);
            }
            if *other < end {
                return Err(Contradiction);
            }
        }
        let before_end = at.checked_sub(1).and_then(|at| self.parts.get(at)).map_or(0, |(at, part)| at + part.len());
        if before_end > start || self.parts.len() >= MAX_PARTS {
            return Err(Contradiction);
        }
        if !fragment.more {
            self.end = Some(end);
        }
        self.parts.insert(at, (start, fragment.octets.into()));
        self.bytes += fragment.octets.len();
        Ok(fragment.octets.len())
    }
}

/// IPv4 and IPv6 number protocols alike; tunnels of one kind do not mix with others.
fn number(transport: Transport) -> u8 {
    match transport {
        // Tunnels in UDP are in none of its fragments, but in the datagram.
        Transport::Udp | Transport::Tunnel(Tunnel::Vxlan | Tunnel::Geneve) => 17,
        Transport::Tcp => 6,
        Transport::Tunnel(Tunnel::Ip) => 4,
        Transport::Tunnel(Tunnel::Gre) => 47,
    }
}
