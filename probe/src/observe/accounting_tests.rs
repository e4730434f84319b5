//! Every packet ends up in exactly one counter, and every message in a hit or a counter.

use super::testing::*;
use super::{Addresses, Frame, Observer, OwnQuestions, Scope};
use proptest::prelude::*;
use std::sync::Arc;
use zonepulse_wire::Counter;

/// Packets in all final counters together.
fn ended(memory: &Memory) -> u64 {
    Counter::PACKETS.iter().map(|counter| memory.count(*counter)).sum()
}

/// Observes one frame of this link type.
fn observed(link_type: u32, data: &[u8]) -> Memory {
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    observer.frame(&Frame { link_type, ..frame(data, 1) }, &mut memory);
    observer.finish(&mut memory);
    assert_eq!((memory.count(Counter::PacketsSeen), ended(&memory)), (1, 1), "{link_type} {data:02x?}: {:?}", memory.counters);
    memory
}

#[track_caller]
fn ends_in(link_type: u32, data: &[u8], counter: Counter) {
    let memory = observed(link_type, data);
    assert_eq!(memory.count(counter), 1, "{:?}", memory.counters);
}

fn ip(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4(protocol, 1, 53, payload)
}

/// A datagram to this port.
fn to_port(port: u16, payload: &[u8]) -> Vec<u8> {
    ip(17, &udp(50000, port, payload))
}

const RAW: u32 = 101;

#[test]
fn a_loopback_header_of_no_address_family_is_unreadable() {
    let packet = to_port(53, &query("a."));
    for header in [[0x0f, 0, 8, 0], [0xff, 3, 0, 0x21], [0, 0, 8, 0], [0, 8, 0, 0]] {
        ends_in(0, &[&header[..], &packet].concat(), Counter::UnreadableFrames);
    }
    ends_in(0, &[&[16, 0, 0, 0][..], &packet].concat(), Counter::NoIpPacket);
    ends_in(0, &[&[2, 0, 0, 0][..], &packet].concat(), Counter::UdpDatagrams);
}

#[test]
fn the_generic_extension_of_vxlan_is_read_at_its_own_port() {
    let packet = to_port(53, &query("a."));
    let frame = ethernet(0x0800, &packet);
    for (header, inner) in [
        ([0x0c, 0, 0, 1, 0, 0, 7, 0], packet.clone()),
        ([0x04, 0, 0, 1, 0, 0, 0, 0], packet.clone()),
        ([0x0c, 0, 0, 3, 0, 0, 7, 0], frame.clone()),
        ([0x08, 0, 0, 0, 0, 0, 7, 0], frame.clone()),
        ([0x0c, 0, 0, 5, 0, 0, 7, 0], [&[0, 0, 1, 9][..], &packet].concat()),
    ] {
        for port in [4789, 4790] {
            let memory = observed(RAW, &to_port(port, &[&header[..], &inner].concat()));
            assert_eq!(memory.texts(), ["a. A 0"], "{port} {header:?}");
        }
    }
}

#[test]
fn unsupported_contents_of_vxlan_gpe_are_counted() {
    let frame = ethernet(0x0800, &to_port(53, &query("a.")));
    for (header, counter) in [
        ([0x0c, 0, 0, 4, 0, 0, 7, 0], Counter::UnreadableFrames),
        ([0x0c, 0, 0, 0, 0, 0, 7, 0], Counter::UnreadableFrames),
        ([0x0d, 0, 0, 3, 0, 0, 7, 0], Counter::NoIpPacket),
        ([0x00, 0, 0, 3, 0, 0, 7, 0], Counter::NoIpPacket),
        ([0x4c, 0x61, 0x6e, 0x64, 0x65, 0x72, 0x65, 0x6e], Counter::NoIpPacket),
    ] {
        ends_in(RAW, &to_port(4790, &[&header[..], &frame].concat()), counter);
    }
}

#[test]
fn frames_without_ip_packets_are_counted_as_such() {
    let tagged = ethernet(0x8100, &[&[0, 5, 0x81, 0][..]; 9].concat());
    for (link_type, data, counter) in [
        (1, ethernet(0x0806, &[0; 28]), Counter::NoIpPacket),
        (1, ethernet(38, &[0x42, 0x42, 3]), Counter::NoIpPacket),
        (1, tagged, Counter::UnreadableFrames),
        (1, ethernet(0x88e5, &[0; 40]), Counter::UnreadableFrames),
        (1, ethernet(0x8847, &[0, 0, 1, 9, 0x10, 0, 0, 0x21]), Counter::NoIpPacket),
        (1, ethernet(0x8847, &[&[0, 0, 0, 9][..]; 20].concat()), Counter::UnreadableFrames),
        (9, vec![0xff, 3, 0xc0, 0x21, 1, 1, 0, 4], Counter::NoIpPacket),
        (9, vec![0xff, 3, 0, 0xfd, 1, 1, 0, 4], Counter::UnreadableFrames),
        (105, vec![0x80; 30], Counter::NoIpPacket),
        (239, vec![2, 0, 0, 0, 8, 0, 1, 0, 8, 0, 3, 0], Counter::NoIpPacket),
        (147, vec![0; 60], Counter::UnknownLinkType),
        (RAW, ip(47, &[0, 1, 0x88, 0x0b, 0, 0, 0, 0]), Counter::NoIpPacket),
        (RAW, to_port(6081, &[0, 0x80, 0x65, 0x58, 0, 0, 7, 0]), Counter::NoIpPacket),
    ] {
        ends_in(link_type, &data, counter);
    }
}

#[test]
fn packets_without_dns_are_counted_by_kind() {
    for (data, counter) in [
        (ip(1, &[8, 0, 0, 0, 0, 0, 0, 0]), Counter::OtherProtocols),
        (ip(50, &[0; 40]), Counter::OtherProtocols),
        (ipv6(59, 1, 53, &[]), Counter::OtherProtocols),
        (ipv6(44, 1, 53, &[58, 0, 0, 8, 1, 2, 3, 4, 0, 0]), Counter::OtherProtocols),
        (to_port(123, &[0; 48]), Counter::OtherPorts),
        (ip(6, &tcp(40000, 443, (1, 0), 0x18, b"hello")), Counter::OtherPorts),
        (ip(6, &tcp(40000, 53, (1, 0), 0x02, b"")), Counter::TcpSegments),
        (ip(6, &tcp(40000, 53, (1, 0), 0x10, b"")), Counter::TcpSegments),
        (ip(6, &tcp(40000, 53, (1, 0), 0x18, &stream(&[query("a."), query("b.")]))), Counter::TcpSegments),
        (ip(6, &[0; 10]), Counter::UnreadableFrames),
        (to_port(53, &query("a.")), Counter::UdpDatagrams),
        (to_port(53, b"?"), Counter::UdpDatagrams),
    ] {
        ends_in(RAW, &data, counter);
    }
}

#[test]
fn fragments_between_others_are_counted() {
    let scope = Scope { ports: vec![53], addresses: Addresses::These(vec!["192.0.2.53".parse().unwrap()]) };
    let (mut observer, mut memory) = (Observer::new(&scope), Memory::default());
    let between = ethernet(0x0800, &ipv4_part(17, 7, 8, 9, 0x2000, &[0; 16]));
    observer.frame(&frame(&between, 1), &mut memory);
    observer.finish(&mut memory);
    assert_eq!((memory.count(Counter::OtherFragments), ended(&memory)), (1, 1));
}

#[test]
fn repeated_packets_are_counted_as_such() {
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    let payload = udp(40000, 53, &query("a."));
    let part = |offset: u16| {
        let octets = if offset == 0 { &payload[16..] } else { &payload[..16] };
        ipv4_part(17, 1, 53, 7, if offset == 0 { 2 } else { 0x2000 }, octets)
    };
    for data in [
        cooked(1, &to_port(53, &query("a."))),
        cooked(2, &to_port(53, &query("a."))),
        cooked(1, &part(0)),
        cooked(2, &part(0)),
        // The same device: sent twice.
        cooked(2, &part(0)),
        cooked(1, &part(1)),
    ] {
        observer.frame(&Frame { link_type: 276, ..frame(&data, 1) }, &mut memory);
    }
    observer.finish(&mut memory);
    let counters = [Counter::PacketsRepeated, Counter::FragmentsJoined, Counter::UdpDatagrams, Counter::FragmentsLost];
    assert_eq!(counters.map(|counter| memory.count(counter)), [3, 1, 2, 0]);
    assert_eq!((ended(&memory), memory.hits.len()), (6, 2));
}

#[test]
fn a_class_other_than_in_has_a_counter_of_its_own() {
    for (class, counter) in [
        (0, Counter::ClassOther),
        (2, Counter::ClassOther),
        (3, Counter::ClassChaos),
        (4, Counter::ClassHesiod),
        (254, Counter::ClassNone),
        (255, Counter::ClassAny),
        (0x8001, Counter::ClassOther),
    ] {
        let of_class = |mut message: Vec<u8>| {
            let at = message.len() - 2;
            message[at..].copy_from_slice(&u16::to_be_bytes(class));
            message
        };
        let (asked, answered) = (of_class(query("a.")), of_class(response("a.", 5)));
        let memory = observe(&[udp_to_server(&asked), udp_from_server(&answered), tcp_to_server(1, 0x02, &[])]);
        assert_eq!((memory.texts(), memory.count(counter)), (vec![], 2), "class {class}");
        assert_eq!(memory.count(Counter::MessagesSeen), 2);
        let memory = observe(&[tcp_to_server(1, 0x02, &[]), tcp_to_server(2, 0x18, &stream(&[asked, query("b.")]))]);
        assert_eq!((memory.texts(), memory.count(counter)), (vec!["b. A 0".to_owned()], 1), "class {class}, TCP");
    }
}

#[test]
fn the_probe_s_own_queries_are_neither_hits_nor_others_messages() {
    let own = Arc::new(OwnQuestions::default());
    own.expect(&chaos(7, 0x0100, "version.bind."));
    let (mut observer, mut memory) = (Observer::new(&scope()).knowing(own), Memory::default());
    let mut without_question = chaos(7, 0x8005, "version.bind.")[..12].to_vec();
    without_question[5] = 0;
    let refused = chaos(7, 0x8105, "VERSION.bind.");
    for data in [
        udp_to_server(&chaos(7, 0x0100, "version.bind.")),
        udp_from_server(&refused),
        udp_from_server(&without_question),
        udp_to_server(&chaos(8, 0x0100, "version.bind.")),
        udp_to_server(&chaos(7, 0x0100, "id.server.")),
        udp_to_server(&query("a.")),
    ] {
        observer.frame(&frame(&data, 1), &mut memory);
    }
    let counters = [Counter::OwnMessages, Counter::ClassChaos, Counter::MessagesSeen];
    assert_eq!(counters.map(|counter| memory.count(counter)), [3, 2, 6]);
    assert_eq!(memory.texts(), ["a. A 0"]);
}

#[test]
fn the_probe_s_own_queries_are_recognised_in_dnstap() {
    let own = Arc::new(OwnQuestions::default());
    own.expect(&chaos(7, 0x0100, "id.server."));
    let (mut observer, mut memory) = (Observer::new(&scope()).knowing(own), Memory::default());
    for (number, message) in [(1, chaos(7, 0x0100, "id.server.")), (2, chaos(7, 0x8105, "id.server."))] {
        observer.frame(&Frame { link_type: super::TOLD_BY_SERVER + number, ..frame(&message, 1) }, &mut memory);
    }
    assert_eq!((memory.count(Counter::OwnMessages), memory.count(Counter::MessagesSeen)), (2, 2));
}

#[test]
fn a_header_of_a_tunnel_in_datagrams_that_is_cut_short_is_unreadable() {
    for port in [4789, 4790, 6081] {
        for header in [&[][..], &[8], &[8, 0, 0, 0, 0, 0, 7]] {
            ends_in(RAW, &to_port(port, header), Counter::UnreadableFrames);
        }
    }
}

#[test]
fn ports_with_messages_that_are_not_watched_are_known() {
    let (mut observer, mut memory) = (Observer::new(&scope()).noting_other_ports(), Memory::default());
    let at = |port: u16| ethernet(0x0800, &to_port(port, &query("a.")));
    let answer = ethernet(0x0800, &ipv4(17, 53, 1, &udp(5533, 40000, &response("a.", 0))));
    let in_stream = ethernet(0x0800, &ip(6, &tcp(40000, 8053, (1, 0), 0x18, &stream(&[query("a.")]))));
    let mut to_all = at(5353);
    to_all[30..34].copy_from_slice(&[224, 0, 0, 251]);
    let noise = ethernet(0x0800, &to_port(9000, &[0x55; 200]));
    for data in [at(5533), answer, at(5533), at(54), in_stream, to_all, at(137), at(53), noise] {
        observer.frame(&frame(&data, 1), &mut memory);
    }
    assert_eq!(observer.other_ports(), [(5533, 3), (54, 1), (8053, 1)]);
    assert_eq!(memory.texts(), ["a. A 0"]);
    for port in 1000..2000 {
        observer.frame(&frame(&at(port), 1), &mut memory);
    }
    assert_eq!(observer.other_ports().len(), 5, "not limited to the most frequent");
    assert_eq!(observer.other_ports()[0], (5533, 3));
}

proptest! {
    #[test]
    fn every_packet_ends_in_one_counter(
        frames in prop::collection::vec((0usize..9, any::<u16>(), 0usize..5, any::<prop::sample::Index>(), any::<u8>(), 0u8..40), 1..30),
        addresses in any::<bool>(),
    ) {
        let addresses = if addresses { Addresses::These(vec!["192.0.2.53".parse().unwrap()]) } else { Addresses::Any };
        let (mut observer, mut memory) = (Observer::new(&Scope { ports: vec![53], addresses }), Memory::default());
        let whole = udp(40000, 53, &query("www.example.com."));
        for (at, (kind, number, part, place, value, cut)) in (1..).zip(&frames) {
            let (mut link_type, mut data) = match kind {
                0 => (1, udp_to_server(&query("a."))),
                1 => (1, tcp_to_server(u32::from(*number % 50), 0x18, &stream(&[query("a.")]))),
                2 | 3 => {
                    let from = (part * 8).min(whole.len());
                    let to = if *part == 4 { whole.len() } else { from + 8 };
                    let more = if *part == 4 { 0 } else { 0x2000 };
                    (1, ethernet(0x0800, &ipv4_part(17, 1, 53, number % 3, (from / 8) as u16 | more, &whole[from..to])))
                }
                4 => (RAW, to_port(4790, &[&[0x0c, 0, 0, (number % 6) as u8, 0, 0, 7, 0][..], &udp_to_server(&query("a."))].concat())),
                5 => (1, ethernet(*number, &ip(17, &whole))),
                6 => (u32::from(*number % 300), udp_to_server(&query("a."))),
                7 => (276, [&[8, 0, 0, 0, 0, 0, 0, (number % 3) as u8][..], &[0; 12], &ip(17, &whole)].concat()),
                _ => (RAW, ip(*value, &whole)),
            };
            if value % 4 == 0 {
                let place = place.index(data.len());
                data[place] = *value;
            }
            if value % 7 == 0 {
                link_type = 0;
            }
            let length_on_wire = data.len() as u32;
            let kept = if cut % 3 == 0 { data.len().saturating_sub(usize::from(*cut)) } else { data.len() };
            let frame = Frame { link_type, length_on_wire, data: &data[..kept], ..frame(&[], at * 500) };
            observer.frame(&frame, &mut memory);
        }
        observer.finish(&mut memory);
        prop_assert_eq!((memory.count(Counter::PacketsSeen), ended(&memory)), (frames.len() as u64, frames.len() as u64));
        prop_assert_eq!(memory.count(Counter::MessagesSeen), memory.hits.len() as u64 + memory.counters.not_counted());
    }
}
