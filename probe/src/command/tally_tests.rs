//! What a tally reports about a file besides its messages.

use super::*;
use std::net::SocketAddr;
use zonepulse_fixtures::{Format, LinkType, Message, Packet, capture, udp};

/// A query of a class, from a client to this port.
fn asked(port: u16, class: u16) -> Packet {
    let (client, server): (SocketAddr, SocketAddr) =
        ("192.0.2.10:40000".parse().unwrap(), SocketAddr::from(([192, 0, 2, 53], port)));
    let mut octets = Message::query("www.example", 16).bytes();
    let at = octets.len() - 2;
    octets[at..].copy_from_slice(&class.to_be_bytes());
    udp(1_700_000_000_000_000, client, server, &octets)
}

/// The lines on standard error without the file's name, the hits, and whether the file was read.
fn tally(bytes: &[u8]) -> (Vec<String>, u64, bool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    let (budget, scope) = (Budget::of_tally(8 << 20), Scope { ports: vec![53], addresses: Addresses::Any });
    let mut table = Table::new(budget.max_records, budget.max_name_octets);
    let mut said = Vec::new();
    let whole = read(&path, &scope, &budget, &mut table, None, &mut |line| {
        let line = line.to_string();
        said.push(line.split_once(": ").unwrap().1.to_owned());
    });
    let hits = table.contents().entries().flat_map(|entry| entry.sums().map(|(_, sum)| sum.hits).collect::<Vec<_>>()).sum();
    (said, hits, whole)
}

#[test]
fn classes_other_than_in_are_reported_by_their_counters() {
    let packets: Vec<Packet> = [1, 3, 3, 4, 254, 255, 7].map(|class| asked(53, class)).into();
    let (said, hits, whole) = tally(&capture(Format::Pcap, LinkType::Ethernet, &packets));
    assert_eq!((hits, whole), (1, true));
    let expected = ["7 packets, 1 messages counted", "class_ch 2", "class_hs 1", "class_none 1", "class_any 1", "class_other 1"];
    assert_eq!(said, expected);
}

#[test]
fn a_wrong_port_is_answered_with_those_that_have_messages() {
    let packets: Vec<Packet> = [5533, 5533, 54].map(|port| asked(port, 1)).into();
    let (said, hits, whole) = tally(&capture(Format::PcapNg, LinkType::Ethernet, &packets));
    assert_eq!((hits, whole), (0, true));
    let elsewhere = "messages like DNS on other ports: 5533 (2), 54 (1); use --port to count them";
    assert_eq!(said, ["3 packets, 0 messages counted", elsewhere, "other_ports 3"]);
}

#[test]
fn a_file_all_of_whose_link_types_are_not_read_was_not_read() {
    let mut bytes = capture(Format::Pcap, LinkType::Ethernet, &[asked(53, 1)]);
    bytes[20] = 147;
    let (said, hits, whole) = tally(&bytes);
    assert_eq!((hits, whole), (0, false));
    let named = ["not read: link type 147: 1 frames", "none of its frames could be read", "unknown_link_type 1"];
    assert_eq!(said[1..], named);
}

#[test]
fn a_file_of_which_some_link_types_are_read_was_read() {
    // A file may contain several sections, each with its own link type.
    let mut other = capture(Format::PcapNg, LinkType::Ethernet, &[asked(53, 1)]);
    // The section header is followed by the interface: block type and length, then link type.
    let interface = other[4] as usize;
    assert_eq!(other[interface], 1);
    other[interface + 8] = 147;
    let both = [capture(Format::PcapNg, LinkType::Ethernet, &[asked(53, 1)]), other].concat();
    let (said, hits, whole) = tally(&both);
    assert_eq!((hits, whole), (1, true), "{said:?}");
    assert!(said.contains(&"not read: link type 147: 1 frames".to_owned()), "{said:?}");
}

#[test]
fn a_file_without_frames_was_read() {
    let mut bytes = capture(Format::Pcap, LinkType::Ethernet, &[]);
    bytes[20] = 147;
    assert_eq!(tally(&bytes), (vec!["0 packets, 0 messages counted".to_owned()], 0, true));
}
