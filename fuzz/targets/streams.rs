//! TCP reassembly: however a stream is cut, ordered and repeated, its messages are
//! those of the stream in one piece; and whatever is lost of well-formed messages,
//! nothing is found that was not sent.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use zonepulse_fuzz::{Checked, observe, tcp};

const SYN: u8 = 0x02;
const DATA: u8 = 0x18;
const FIN: u8 = 0x11;

#[derive(Debug, Arbitrary)]
struct Case {
    to_server: bool,
    start: u32,
    messages: Vec<Sent>,
    segments: Vec<Segment>,
    /// Sent before anything else: TCP fast open (RFC 7413).
    in_syn: u8,
    fin: bool,
}

#[derive(Debug, Arbitrary)]
enum Sent {
    /// A well-formed message with one question.
    Plain { label: u8, record_type: u16, more: u8 },
    /// Anything.
    Raw(Vec<u8>),
}

/// A segment of the stream, sent in this order.
#[derive(Debug, Arbitrary)]
struct Segment {
    at: u16,
    length: u8,
}

fuzz_target!(|case: Case| {
    let mut stream = Vec::new();
    for sent in case.messages.iter().take(40) {
        let message = sent.octets(case.to_server);
        stream.extend((message.len() as u16).to_be_bytes());
        stream.extend(message);
    }
    stream.truncate(8192);
    let first = usize::from(case.in_syn).min(stream.len());
    let segment =
        |from: usize, to: usize, flags: u8| tcp(case.to_server, case.start.wrapping_add(from as u32), flags, &stream[from..to]);
    let syn = tcp(case.to_server, case.start.wrapping_sub(1), SYN, &stream[..first]);
    let whole = observe([syn.as_slice(), &segment(first, stream.len(), DATA)]);

    let mut got = vec![false; stream.len()];
    got[..first].fill(true);
    let mut packets = vec![syn];
    for Segment { at, length } in case.segments.iter().take(100) {
        let from = usize::from(*at) % (stream.len() + 1);
        let to = stream.len().min(from + usize::from(*length));
        got[from..to].fill(true);
        packets.push(segment(from, to, DATA));
    }
    // Octets of any kind may look like a message to who has lost the place.
    if case.messages.iter().all(|sent| matches!(sent, Sent::Plain { .. })) {
        let lossy = observe(packets.iter().map(Vec::as_slice));
        assert!(is_subsequence(&lossy, &whole), "found {lossy:?} of {whole:?}");
    }

    // And now what is still missing, front to back.
    let mut from = 0;
    while let Some(missing) = got[from..].iter().position(|got| !got) {
        let start = from + missing;
        let end = got[start..].iter().position(|got| *got).map_or(got.len(), |end| start + end);
        packets.push(segment(start, end, DATA));
        from = end;
    }
    if case.fin {
        packets.push(segment(stream.len(), stream.len(), FIN));
    }
    assert_eq!(observe(packets.iter().map(Vec::as_slice)), whole);
});

impl Sent {
    fn octets(&self, to_server: bool) -> Vec<u8> {
        match self {
            Sent::Raw(octets) => octets.iter().copied().take(1000).collect(),
            Sent::Plain { label, record_type, more } => {
                let flags = if to_server { 0x01 } else { 0x81 };
                let mut octets = vec![0x12, 0x34, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, b'a', *label, 0];
                octets.extend(record_type.to_be_bytes());
                octets.extend([0, 1]);
                octets.extend(vec![*label; usize::from(*more)]);
                octets
            }
        }
    }
}

/// Whether one found some of what the other found, in the same order.
fn is_subsequence(some: &Checked, all: &Checked) -> bool {
    let mut all = all.hits.iter();
    some.hits.iter().all(|hit| all.any(|other| other == hit))
}
