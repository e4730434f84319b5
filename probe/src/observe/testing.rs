//! Hand-made frames and a recording sink, for tests.

use super::{Addresses, Frame, Hit, Observer, Scope, Sink};
use zonepulse_dns::{MessageKind, RecordType, name};
use zonepulse_wire::{Counter, Counters};

/// Records everything.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) hits: Vec<(String, RecordType, MessageKind, u64)>,
    pub(crate) counters: Counters,
}

impl Memory {
    /// The hits as text: `www.example.com. A 0`, where the number is the kind.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.hits.iter().map(|(name, record_type, kind, _)| format!("{name} {record_type} {}", kind.number())).collect()
    }

    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.counters.get(counter)
    }
}

impl Sink for Memory {
    fn hit(&mut self, hit: &Hit<'_>) {
        let mut name = String::new();
        assert!(name::push_text(hit.name, &mut name), "{:?} is not a well-formed name", hit.name);
        self.hits.push((name, hit.record_type, hit.kind, hit.time_ms));
        self.counters.add(Counter::MessagesSeen, 1);
    }

    fn uncounted(&mut self, reason: Counter, _time_ms: u64) {
        assert!(Counter::NOT_COUNTED.contains(&reason), "{reason:?}");
        self.counters.add(reason, 1);
        self.counters.add(Counter::MessagesSeen, 1);
    }

    fn add(&mut self, counter: Counter, count: u64) {
        assert!(!Counter::NOT_COUNTED.contains(&counter), "{counter:?}");
        self.counters.add(counter, count);
    }
}

/// Port 53, any address.
pub(crate) fn scope() -> Scope {
    Scope { ports: vec![53], addresses: Addresses::Any }
}

/// Observes Ethernet frames a millisecond apart with [`scope`].
pub(crate) fn observe<'f>(frames: impl IntoIterator<Item = &'f Vec<u8>>) -> Memory {
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    for (at, data) in (1..).zip(frames) {
        observer.frame(&frame(data, at), &mut memory);
    }
    observer.finish(&mut memory);
    memory
}

/// A complete Ethernet frame at this time, Unix milliseconds.
pub(crate) fn frame(data: &[u8], time_ms: u64) -> Frame<'_> {
    Frame { time_ns: time_ms * 1_000_000, link_type: 1, data, length_on_wire: data.len() as u32 }
}

/// A message with one question; flags as in the header.
pub(crate) fn message(flags: u16, name: &str, record_type: u16) -> Vec<u8> {
    let mut octets = vec![0x12, 0x34];
    octets.extend(flags.to_be_bytes());
    octets.extend([0, 1, 0, 0, 0, 0, 0, 0]);
    octets.extend(name::to_wire(name).unwrap());
    octets.extend(record_type.to_be_bytes());
    octets.extend([0, 1]);
    octets
}

/// A query of class CH and type TXT with this ID.
pub(crate) fn chaos(id: u16, flags: u16, name: &str) -> Vec<u8> {
    let mut octets = message(flags, name, 16);
    octets[..2].copy_from_slice(&id.to_be_bytes());
    let class = octets.len() - 1;
    octets[class] = 3;
    octets
}

pub(crate) fn query(name: &str) -> Vec<u8> {
    message(0x0100, name, 1)
}

/// A response with this RCODE and empty sections.
pub(crate) fn response(name: &str, code: u16) -> Vec<u8> {
    message(0x8180 | code, name, 1)
}

/// A response with this RCODE and an SOA record with this encoded owner in its authority section.
pub(crate) fn denial(name: &str, code: u16, owner: &[u8]) -> Vec<u8> {
    let mut octets = message(0x8400 | code, name, 1);
    octets[9] = 1;
    octets.extend(owner);
    octets.extend([0, 6, 0, 1, 0, 0, 1, 44, 0, 22, 0, 0]);
    octets.extend([0; 20]);
    octets
}

/// From port 40000 of 192.0.2.1 to port 53 of 192.0.2.53.
pub(crate) fn udp_to_server(octets: &[u8]) -> Vec<u8> {
    ethernet(0x0800, &ipv4(17, 1, 53, &udp(40000, 53, octets)))
}

/// The other direction.
pub(crate) fn udp_from_server(octets: &[u8]) -> Vec<u8> {
    ethernet(0x0800, &ipv4(17, 53, 1, &udp(53, 40000, octets)))
}

/// A segment from port 40000 of 192.0.2.1 to port 53 of 192.0.2.53.
pub(crate) fn tcp_to_server(sequence: u32, flags: u8, octets: &[u8]) -> Vec<u8> {
    ethernet(0x0800, &ipv4(6, 1, 53, &tcp(40000, 53, (sequence, 0), flags, octets)))
}

pub(crate) fn ethernet(ether_type: u16, packet: &[u8]) -> Vec<u8> {
    let mut octets = vec![2; 12];
    octets.extend(ether_type.to_be_bytes());
    octets.extend(packet);
    octets
}

/// From 192.0.2.`source` to 192.0.2.`destination`.
pub(crate) fn ipv4(protocol: u8, source: u8, destination: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_part(protocol, source, destination, 0, 0, payload)
}

/// The same with an identification, and the field with flags and fragment offset.
pub(crate) fn ipv4_part(protocol: u8, source: u8, destination: u8, identification: u16, offset: u16, payload: &[u8]) -> Vec<u8> {
    let mut octets = vec![0x45, 0];
    octets.extend((payload.len() as u16 + 20).to_be_bytes());
    octets.extend(identification.to_be_bytes());
    octets.extend(offset.to_be_bytes());
    octets.extend([64, protocol, 0, 0, 192, 0, 2, source, 192, 0, 2, destination]);
    octets.extend(payload);
    octets
}

/// A packet as a capture of all devices shows it on one of them.
pub(crate) fn cooked(device: u8, packet: &[u8]) -> Vec<u8> {
    [&[8, 0, 0, 0, 0, 0, 0, device][..], &[0; 12], packet].concat()
}

/// A UDP packet from 192.0.2.1 to 192.0.2.53 in fragments that end at these octets of its payload.
pub(crate) fn fragments(payload: &[u8], identification: u16, cuts: &[usize]) -> Vec<Vec<u8>> {
    let bounds: Vec<usize> = [&[0], cuts, &[payload.len()]].concat();
    let part = |pair: &[usize]| {
        let more = if pair[1] == payload.len() { 0 } else { 0x2000 };
        let offset = (pair[0] / 8) as u16 | more;
        ethernet(0x0800, &ipv4_part(17, 1, 53, identification, offset, &payload[pair[0]..pair[1]]))
    };
    bounds.windows(2).map(part).collect()
}

/// From 2001:db8::`source` to 2001:db8::`destination`; `next` is the type of the first header in
/// `payload`.
pub(crate) fn ipv6(next: u8, source: u8, destination: u8, payload: &[u8]) -> Vec<u8> {
    let mut octets = vec![0x60, 0, 0, 0];
    octets.extend((payload.len() as u16).to_be_bytes());
    octets.extend([next, 64]);
    for last in [source, destination] {
        octets.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    octets.extend(payload);
    octets
}

pub(crate) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    for field in [source, destination, payload.len() as u16 + 8, 0] {
        octets.extend(field.to_be_bytes());
    }
    octets.extend(payload);
    octets
}

pub(crate) fn tcp(source: u16, destination: u16, (sequence, confirmed): (u32, u32), flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    octets.extend(source.to_be_bytes());
    octets.extend(destination.to_be_bytes());
    octets.extend(sequence.to_be_bytes());
    octets.extend(confirmed.to_be_bytes());
    octets.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    octets.extend(payload);
    octets
}

/// Messages as in a TCP stream.
pub(crate) fn stream(messages: &[Vec<u8>]) -> Vec<u8> {
    let framed = messages.iter().map(|message| [&(message.len() as u16).to_be_bytes(), message.as_slice()].concat());
    framed.collect::<Vec<_>>().concat()
}
