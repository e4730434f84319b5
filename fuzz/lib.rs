//! What the targets share: a sink that holds a finding to what must be true of it.
//!
//! A target is a function from bytes to nothing, which must not panic. Besides, it
//! states what must hold for any input: every message seen is counted once, a name
//! that is given as well-formed is. `scripts/fuzz.sh` builds and runs the targets,
//! and makes their first inputs from captures.

pub mod differential;
pub mod sections;

use zonepulse_dns::{MessageKind, RecordType, name};
use zonepulse_probe::observe::{Addresses, Frame, Hit, Observer, Scope, Sink};
use zonepulse_probe::services::Sample;
use zonepulse_wire::{Counter, MAX_LABEL_BYTES, is_metric};

/// LINKTYPE_RAW: the IP packet and nothing before it.
pub const RAW: u32 = 101;

/// Checks what must be true of any sample of a service.
pub fn check_sample(sample: &Sample) {
    assert!(sample.gauges.len() <= 1000, "{} present values", sample.gauges.len());
    assert!(sample.counters.len() <= 4096, "{} counters", sample.counters.len());
    let gauges = sample.gauges.iter().map(|gauge| (&gauge.metric, gauge.label.as_ref()));
    let counters = sample.counters.keys().map(|(metric, label)| (metric, label.as_str()));
    for (metric, label) in gauges.chain(counters) {
        assert!(is_metric(metric) && label.len() <= MAX_LABEL_BYTES, "{metric} {label}");
    }
    assert!(sample.gauges.iter().all(|gauge| gauge.value >= 0.0), "{:?}", sample.gauges);
}

/// Port 53, any address.
pub fn scope() -> Scope {
    Scope { ports: vec![53], addresses: Addresses::Any }
}

/// Remembers what was found, and checks each finding.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Names in wire format, types and kinds, in order.
    pub hits: Vec<(Vec<u8>, RecordType, MessageKind)>,
    /// Why messages did not count, in order.
    pub uncounted: Vec<Counter>,
    /// Octets of streams that were passed over.
    pub skipped: u64,
}

impl Sink for Checked {
    fn hit(&mut self, hit: &Hit<'_>) {
        let mut text = String::new();
        assert!(name::push_text(hit.name, &mut text), "a hit has a well-formed name: {:?}", hit.name);
        assert_eq!(name::to_wire(&text).map(|wire| wire.to_ascii_lowercase()), Ok(hit.name.to_ascii_lowercase()), "{text}");
        self.hits.push((hit.name.to_vec(), hit.record_type, hit.kind));
    }

    fn uncounted(&mut self, reason: Counter, _time_ms: u64) {
        assert!(Counter::NOT_COUNTED.contains(&reason), "{reason:?} is no reason");
        self.uncounted.push(reason);
    }

    fn add(&mut self, counter: Counter, count: u64) {
        assert!(!Counter::NOT_COUNTED.contains(&counter), "{counter:?} is counted with its message");
        if matches!(counter, Counter::StreamBytesSkipped | Counter::StreamBytesUnfinished) {
            self.skipped += count;
        }
    }
}

/// What an observer finds in IP packets a millisecond apart.
pub fn observe<'p>(packets: impl IntoIterator<Item = &'p [u8]>) -> Checked {
    let (mut observer, mut sink) = (Observer::new(&scope()), Checked::default());
    for (at, data) in (1u64..).zip(packets) {
        let frame = Frame { time_ns: at * 1_000_000, link_type: RAW, data, length_on_wire: data.len() as u32 };
        observer.frame(&frame, &mut sink);
    }
    observer.finish(&mut sink);
    sink
}

/// An IPv4 packet between 192.0.2.1 and 192.0.2.53.
pub fn ipv4(protocol: u8, to_server: bool, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = if to_server { (1, 53) } else { (53, 1) };
    let mut octets = vec![0x45, 0];
    octets.extend((payload.len() as u16 + 20).to_be_bytes());
    octets.extend([0, 0, 0, 0, 64, protocol, 0, 0, 192, 0, 2, source, 192, 0, 2, destination]);
    octets.extend(payload);
    octets
}

/// A UDP datagram between port 40000 and port 53, in its packet.
pub fn udp(to_server: bool, payload: &[u8]) -> Vec<u8> {
    let mut octets = ports(to_server);
    octets.extend((payload.len() as u16 + 8).to_be_bytes());
    octets.extend([0, 0]);
    octets.extend(payload);
    ipv4(17, to_server, &octets)
}

/// A TCP segment between port 40000 and port 53, in its packet.
pub fn tcp(to_server: bool, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut octets = ports(to_server);
    octets.extend(sequence.to_be_bytes());
    octets.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    octets.extend(payload);
    ipv4(6, to_server, &octets)
}

fn ports(to_server: bool) -> Vec<u8> {
    let (client, server) = (40000u16.to_be_bytes(), 53u16.to_be_bytes());
    if to_server { [client, server].concat() } else { [server, client].concat() }
}
