//! Contents of capture files, whole and damaged.

use super::CaptureFile;
use crate::Error;
use crate::observe::TOLD_BY_SERVER;
use proptest::prelude::*;
use std::io::Write;
use zonepulse_fixtures::{Tap, data_frame, dnstap_stream};

/// A packet: time, link type, octets, length on the wire.
type Packet = (u64, u32, Vec<u8>, u32);

/// All packets of a file, and the error that ended it, if any.
fn read(bytes: &[u8]) -> (Vec<Packet>, Option<Error>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut capture = match CaptureFile::open(file.path()) {
        Ok(capture) => capture,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut packets = Vec::new();
    loop {
        match capture.next_frame() {
            Ok(Some(frame)) => packets.push((frame.time_ns, frame.link_type, frame.data.to_vec(), frame.length_on_wire)),
            Ok(None) => return (packets, None),
            Err(error) => {
                assert!(capture.next_frame().unwrap().is_none(), "frames follow an error");
                return (packets, Some(error));
            }
        }
    }
}

/// Encodes integers in one byte order.
#[derive(Clone, Copy)]
struct Order {
    big: bool,
}

const LITTLE: Order = Order { big: false };

impl Order {
    fn u32(self, value: u32) -> [u8; 4] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u16(self, value: u16) -> [u8; 2] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn pcap(self, magic: u32) -> Vec<u8> {
        self.pcap_of(magic, (2, 4))
    }

    fn pcap_of(self, magic: u32, (major, minor): (u16, u16)) -> Vec<u8> {
        [&self.u32(magic)[..], &self.u16(major), &self.u16(minor), &[0; 8], &self.u32(262_144), &self.u32(1)].concat()
    }

    fn packet(self, seconds: u32, fraction: u32, octets: &[u8]) -> Vec<u8> {
        let length = octets.len() as u32;
        let fields = [seconds, fraction, length, length + 9].map(|field| self.u32(field)).concat();
        [&fields, octets].concat()
    }

    fn block(self, block_type: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = self.u32(body.len() as u32 + 12);
        [&self.u32(block_type), &length, body.as_slice(), &length].concat()
    }

    fn section(self) -> Vec<u8> {
        self.section_of((1, 0))
    }

    fn section_of(self, (major, minor): (u16, u16)) -> Vec<u8> {
        self.block(0x0a0d_0d0a, &[&self.u32(0x1a2b_3c4d)[..], &self.u16(major), &self.u16(minor), &[0xff; 8]].concat())
    }

    fn interface(self, link_type: u16, options: &[u8]) -> Vec<u8> {
        self.block(1, &[&self.u16(link_type)[..], &[0, 0], &self.u32(0), options].concat())
    }

    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut padded = value.to_vec();
        padded.resize(value.len().next_multiple_of(4), 0);
        [&self.u16(code)[..], &self.u16(value.len() as u16), &padded].concat()
    }

    fn enhanced(self, interface: u32, time: u64, octets: &[u8]) -> Vec<u8> {
        let length = octets.len() as u32;
        let fields = [interface, (time >> 32) as u32, time as u32, length, length].map(|field| self.u32(field)).concat();
        self.block(6, &[&fields, octets].concat())
    }
}

#[test]
fn pcap_is_read_in_both_byte_orders_and_both_units_of_time() {
    for (order, magic, time_ns) in [
        (LITTLE, 0xa1b2_c3d4, 7_000_000_005_000),
        (Order { big: true }, 0xa1b2_c3d4, 7_000_000_005_000),
        (LITTLE, 0xa1b2_3c4d, 7_000_000_005),
        (Order { big: true }, 0xa1b2_3c4d, 7_000_000_005),
    ] {
        let (seconds, fraction) = if magic == 0xa1b2_c3d4 { (7000, 5) } else { (7, 5) };
        let bytes = [order.pcap(magic), order.packet(seconds, fraction, b"one"), order.packet(seconds, fraction, b"")].concat();
        let (packets, error) = read(&bytes);
        assert!(error.is_none());
        assert_eq!(packets, [(time_ns, 1, b"one".to_vec(), 12), (time_ns, 1, vec![], 9)]);
    }
}

#[test]
fn pcap_of_old_versions_is_read_with_its_lengths_in_their_order() {
    for order in [LITTLE, Order { big: true }] {
        for (version, first_is_captured) in [
            ((2, 0), false),
            ((2, 1), false),
            ((2, 2), false),
            ((543, 0), false),
            ((2, 3), true),
            ((2, 3), false),
            ((2, 4), true),
        ] {
            let lengths = if first_is_captured { [3, 12] } else { [12, 3] };
            let fields = [7000, 5, lengths[0], lengths[1]].map(|field| order.u32(field)).concat();
            let bytes = [order.pcap_of(0xa1b2_c3d4, version), [&fields[..], b"one"].concat().repeat(2)].concat();
            let (packets, error) = read(&bytes);
            assert!(error.is_none(), "{version:?}: {error:?}");
            assert_eq!(packets, vec![(7_000_000_005_000, 1, b"one".to_vec(), 12); 2], "{version:?}");
        }
    }
}

/// Checks that a file of an unsupported version yields nothing, and that the error names the
/// version.
#[track_caller]
fn assert_unsupported_version(bytes: &[u8], named: &str) {
    let (packets, error) = read(bytes);
    let error = error.unwrap();
    assert!(packets.is_empty() && matches!(error, Error::NotACapture { .. }), "{error}");
    assert!(error.to_string().ends_with(named), "{error}");
}

#[test]
fn pcap_of_other_versions_is_not_read_and_its_version_is_named() {
    for order in [LITTLE, Order { big: true }] {
        for (major, minor) in [(0, 1), (1, 4), (2, 5), (3, 0), (543, 1), (0xffff, 0xffff)] {
            let bytes = [order.pcap_of(0xa1b2_c3d4, (major, minor)), order.packet(1, 0, b"one")].concat();
            assert_unsupported_version(&bytes, &format!("pcap version {major}.{minor} is not supported, only 2.0 to 2.4"));
        }
    }
}

#[test]
fn pcapng_of_other_versions_is_not_read_and_its_version_is_named() {
    for order in [LITTLE, Order { big: true }] {
        let file = |version| [order.section_of(version), order.interface(1, &[]), order.enhanced(0, 1, b"one")].concat();
        for (major, minor) in [(0, 1), (2, 0), (1, 1), (1, 3), (0, 0)] {
            assert_unsupported_version(
                &file((major, minor)),
                &format!("pcapng version {major}.{minor} is not supported, only 1.0 and 1.2"),
            );
        }
        assert_eq!(read(&file((1, 2))).0.len(), 1, "read like 1.0");
    }
}

#[test]
fn a_later_section_of_another_version_ends_a_file_of_pcapng() {
    let first = [LITTLE.section(), LITTLE.interface(1, &[]), LITTLE.enhanced(0, 1, b"one")].concat();
    let (packets, error) = read(&[first.as_slice(), &LITTLE.section_of((2, 0))].concat());
    let error = error.unwrap();
    assert_eq!(packets.len(), 1);
    assert!(matches!(error, Error::Damaged { offset_bytes, .. } if offset_bytes == first.len() as u64), "{error}");
    assert!(error.to_string().contains("pcapng version 2.0 is not supported"), "{error}");
}

#[test]
fn pcapng_is_read_with_several_sections_interfaces_and_units_of_time() {
    let big = Order { big: true };
    let bytes = [
        LITTLE.section(),
        LITTLE.interface(1, &[]),
        LITTLE.interface(113, &[LITTLE.option(2, b"eth0x"), LITTLE.option(9, &[9]), LITTLE.option(0, &[])].concat()),
        LITTLE.interface(101, &LITTLE.option(9, &[0x80 | 10])),
        LITTLE.interface(101, &LITTLE.option(14, &100u64.to_le_bytes())),
        LITTLE.block(4, b"names, which are passed over"),
        LITTLE.enhanced(0, 5_000_007, b"microseconds"),
        LITTLE.enhanced(1, 5_000_000_007, b"nanoseconds"),
        LITTLE.enhanced(2, 1024 + 512, b"parts of 1024"),
        LITTLE.enhanced(3, 0, b"later"),
        LITTLE.block(3, &[&LITTLE.u32(6)[..], b"simple"].concat()),
        big.section(),
        big.interface(276, &[]),
        big.enhanced(0, 1, b"another section"),
        big.block(2, &[&[0; 2][..], &[0; 2], &big.u32(0), &big.u32(3), &big.u32(3), &big.u32(9), b"old"].concat()),
    ]
    .concat();
    let (packets, error) = read(&bytes);
    assert!(error.is_none(), "{error:?}");
    let short: Vec<_> = packets.iter().map(|(time_ns, link_type, octets, _)| (*time_ns, *link_type, octets.as_slice())).collect();
    assert_eq!(
        short,
        [
            (5_000_007_000, 1, &b"microseconds"[..]),
            (5_000_000_007, 113, b"nanoseconds"),
            (1_500_000_000, 101, b"parts of 1024"),
            (100_000_000_000, 101, b"later"),
            (100_000_000_000, 1, b"simple"),
            (1000, 276, b"another section"),
            (3000, 276, b"old"),
        ]
    );
}

#[test]
fn dnstap_is_read_plain_compressed_and_put_together() {
    let taps = [Tap::new(1, b"query", 5_000_000), Tap::new(6, b"answer", 6_000_000)];
    let stream = dnstap_stream(&taps);
    let told =
        [(5_000_000_000, TOLD_BY_SERVER + 1, b"query".to_vec(), 5), (6_000_000_000, TOLD_BY_SERVER + 6, b"answer".to_vec(), 6)];
    let unstopped = &stream[..stream.len() - 12];
    for bytes in [&stream, &zstd::bulk::compress(&stream, 3).unwrap(), unstopped] {
        let (packets, error) = read(bytes);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(packets, told);
    }
    let (packets, error) = read(&[stream.clone(), stream].concat());
    assert_eq!((packets.len(), error.is_none()), (4, true));
}

#[test]
fn everything_before_the_damage_of_a_dnstap_file_is_read() {
    let whole = dnstap_stream(&[Tap::new(1, b"query", 1), Tap::new(2, b"answer", 2)]);
    let second = whole.len() - 12 - 4 - Tap::new(2, b"answer", 2).bytes().len();
    let mut long = whole.clone();
    long[second] = 1;
    let mut order = whole.clone();
    order.extend(data_frame(b"after the end"));
    for (bytes, frames, offset, what) in [
        (&whole[..second + 9], 1, second, "ends inside a frame"),
        (&whole[..second + 2], 1, second, "ends inside a frame"),
        (&long, 1, second, "a data frame of"),
        (&order, 2, whole.len(), "a data frame in the wrong place"),
        (&whole[..30], 0, 0, "first control frame"),
    ] {
        let (packets, error) = read(bytes);
        let error = error.unwrap();
        assert_eq!(packets.len(), frames, "{error}");
        assert!(matches!(error, Error::Damaged { offset_bytes, .. } if offset_bytes == offset as u64), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn a_compressed_capture_is_the_capture() {
    let bytes = [LITTLE.pcap(0xa1b2_c3d4), LITTLE.packet(1, 0, &[7; 100_000]), LITTLE.packet(2, 0, b"two")].concat();
    let (plain, _) = read(&bytes);
    let (compressed, error) = read(&zstd::bulk::compress(&bytes, 3).unwrap());
    assert!(error.is_none());
    assert_eq!((plain.len(), compressed), (2, plain));
}

#[test]
fn everything_before_the_damage_is_read_and_the_damage_is_named() {
    let whole = [LITTLE.pcap(0xa1b2_c3d4), LITTLE.packet(1, 0, b"one"), LITTLE.packet(2, 0, b"two")].concat();
    let mut too_long = whole.clone();
    too_long[24 + 19 + 11] = 0xff;
    let cut = whole[..whole.len() - 1].to_vec();
    let compressed = zstd::bulk::compress(&cut, 3).unwrap();
    for (bytes, what) in [
        (cut, "ends inside a packet"),
        (compressed, "ends inside a packet"),
        (too_long, "exceeds the limit"),
        (whole[..50].to_vec(), "header"),
    ] {
        let (packets, error) = read(&bytes);
        assert_eq!(packets.len(), 1);
        let error = error.unwrap();
        assert!(matches!(error, Error::Damaged { offset_bytes: 43, .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
    let section = [LITTLE.section(), LITTLE.interface(1, &[]), LITTLE.enhanced(0, 1, b"one")].concat();
    let mut lengths_differ = LITTLE.enhanced(0, 1, b"two");
    *lengths_differ.last_mut().unwrap() = 9;
    for (end, what) in [
        (LITTLE.enhanced(1, 1, b"two"), "interface 1"),
        (lengths_differ, "do not match"),
        (LITTLE.u32(6).to_vec(), "block's header"),
        ([LITTLE.u32(6), LITTLE.u32(30), [0; 4]].concat(), "multiple of 4"),
        ([LITTLE.u32(77), LITTLE.u32(400), [0; 4]].concat(), "ends inside a block"),
    ] {
        let (packets, error) = read(&[section.as_slice(), &end].concat());
        let error = error.unwrap().to_string();
        assert_eq!(packets.len(), 1);
        assert!(error.contains(what) && error.contains(&section.len().to_string()), "{error}");
    }
}

#[test]
fn other_formats_are_named() {
    let stream = [&[0, 0, 0, 0, 0, 0, 0, 18, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 6][..], b"x:logs"].concat();
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (bytes, what) in [
        (stream.as_slice(), "not dnstap"),
        (&gzip, "gzip"),
        (b"Hello, world", "not those of pcap, pcapng or dnstap"),
        (b"", "empty"),
        (b"ab", "not those of"),
    ] {
        let (_, error) = read(bytes);
        let error = error.unwrap();
        assert!(matches!(error, Error::NotACapture { .. }) && error.to_string().contains(what), "{error}");
    }
    let error = CaptureFile::open("no/such/file".as_ref()).err().unwrap().to_string();
    assert!(error.contains("no/such/file"), "{error}");
    assert!(CaptureFile::open(std::env::temp_dir().as_path()).is_err(), "a directory");
}

proptest! {
    #[test]
    fn bytes_of_any_kind_never_panic(
        start in 0usize..6,
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut file = match start {
            0 => Vec::new(),
            1 => [LITTLE.pcap(0xa1b2_c3d4), LITTLE.packet(1, 0, b"one")].concat(),
            2 => [LITTLE.section(), LITTLE.interface(1, &LITTLE.option(9, &[7])), LITTLE.enhanced(0, 1, b"one")].concat(),
            3 => [LITTLE.section(), LITTLE.interface(1, &[]), LITTLE.block(3, &[0; 4])].concat(),
            4 => dnstap_stream(&[Tap::new(1, b"query", 5)]),
            _ => zstd::bulk::compress(&LITTLE.pcap(0xa1b2_c3d4), 1).unwrap(),
        };
        file.extend(bytes);
        for (at, value) in changes {
            if !file.is_empty() {
                let at = at.index(file.len());
                file[at] = value;
            }
        }
        read(&file);
    }
}

#[test]
fn a_time_that_does_not_fit_is_beyond_all_and_never_2554() {
    let read_one = |resolution: u8, offset_s: i64, time: u64| {
        let options = [LITTLE.option(9, &[resolution]), LITTLE.option(14, &offset_s.to_le_bytes())].concat();
        let bytes = [LITTLE.section(), LITTLE.interface(1, &options), LITTLE.enhanced(0, time, b"one")].concat();
        let (packets, error) = read(&bytes);
        assert!(error.is_none());
        packets[0].0
    };
    // From the year 2555 on, in seconds, microseconds, nanoseconds with an offset, and powers of
    // two.
    for (resolution, offset_s, time) in [
        (0, 0, 18_461_000_000),
        (6, 0, 18_461_000_000_000_000),
        (6, 0, u64::MAX),
        (9, 18_000_000_000, 461_000_000_000_000_000),
        (0x94, 0, 18_461_000_000 << 20),
        (0, i64::MAX, u64::MAX),
    ] {
        assert_eq!(read_one(resolution, offset_s, time), crate::times::BEYOND_NS, "{resolution} {offset_s} {time}");
    }
    assert_eq!(read_one(0, -18_000_000_000, 18_461_000_000), 461_000_000_000_000_000, "a negative offset is ignored");
    assert_eq!(read_one(0, -10, 5), 0, "a time before 1970");
    assert_eq!(read_one(0, i64::MIN, 5), 0);
    assert_eq!(read_one(9, 0, 1_700_000_000_123_456_789), 1_700_000_000_123_456_789);
}
