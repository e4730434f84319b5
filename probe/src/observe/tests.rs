//! Frames of all kinds, and what is observed in them.

use super::testing::*;
use super::{Addresses, Frame, Observer, Scope};
use proptest::prelude::*;
use zonepulse_wire::Counter;

const NAME: &str = "www.example.com.";

fn found(link_type: u32, data: &[u8]) -> Vec<String> {
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    observer.frame(&Frame { link_type, ..frame(data, 1) }, &mut memory);
    memory.texts()
}

#[test]
fn a_query_is_a_request_and_an_answer_a_response_with_its_code() {
    let memory = observe(&[udp_to_server(&query(NAME)), udp_from_server(&response(NAME, 3))]);
    assert_eq!(memory.texts(), ["www.example.com. A 0", "www.example.com. A 4"]);
    assert_eq!(memory.hits[1].3, 2, "not the frame's time");
    assert_eq!((memory.count(Counter::PacketsSeen), memory.count(Counter::MessagesSeen)), (2, 2));
}

#[test]
fn every_link_layer_is_read() {
    let packet = ipv4(17, 1, 53, &udp(40000, 53, &query(NAME)));
    let packet_6 = ipv6(17, 1, 53, &udp(40000, 53, &query(NAME)));
    let with = |header: &[u8], packet: &[u8]| [header, packet].concat();
    let cooked = [&[0; 14][..], &[8, 0]].concat();
    let cooked_2 = [&[0x86, 0xdd][..], &[0; 18]].concat();
    let mut frames = vec![
        ("Ethernet", 1, ethernet(0x0800, &packet)),
        ("Ethernet, IPv6", 1, ethernet(0x86dd, &packet_6)),
        ("802.1Q", 1, ethernet(0x8100, &with(&[0, 5, 8, 0], &packet))),
        ("QinQ", 1, ethernet(0x88a8, &with(&[0, 5, 0x81, 0, 0, 7, 8, 0], &packet))),
        ("three tags", 1, ethernet(0x9100, &with(&[0, 5, 0x81, 0, 0, 7, 0x81, 0, 0, 9, 0x86, 0xdd], &packet_6))),
        ("SNAP", 1, ethernet(100, &with(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &packet))),
        ("MPLS", 1, ethernet(0x8847, &with(&[0, 0, 0, 9, 0, 0, 0x11, 9], &packet))),
        ("PPPoE", 1, ethernet(0x8864, &with(&[0x11, 0, 0, 1, 0, 50, 0, 0x21], &packet))),
        ("cooked", 113, with(&cooked, &packet)),
        ("cooked, 802.1Q", 113, [&[0; 14][..], &[0x81, 0, 0, 5, 8, 0], &packet].concat()),
        ("cooked v2", 276, with(&cooked_2, &packet_6)),
        ("PPP", 9, with(&[0xff, 3, 0, 0x21], &packet)),
        ("PPP in HDLC", 50, with(&[0xff, 3, 0, 0x57], &packet_6)),
        ("PPPoE without Ethernet", 51, with(&[0x11, 0, 0, 1, 0, 50, 0, 0x21], &packet)),
        ("Cisco's HDLC", 104, with(&[0x0f, 0, 8, 0], &packet)),
        ("PPI", 192, with(&[0, 0, 8, 0, 101, 0, 0, 0], &packet)),
        ("NFLOG", 239, with(&[2, 0, 0, 0, 8, 0, 1, 0, 8, 0, 3, 0, 4 + packet.len() as u8, 0, 9, 0], &packet)),
    ];
    for family in [[2, 0, 0, 0], [0, 0, 0, 2], [30, 0, 0, 0], [0, 0, 0, 10]] {
        frames.push(("loopback", 0, with(&family, &packet)));
        frames.push(("OpenBSD's loopback", 108, with(&family, &packet_6)));
    }
    for raw in [12, 14, 101, 228, 229] {
        frames.push(("raw", raw, packet_6.clone()));
    }
    for (what, link_type, data) in frames {
        assert_eq!(found(link_type, &data), ["www.example.com. A 0"], "{what}");
    }
}

#[test]
fn tunnels_are_looked_into() {
    let packet = ipv4(17, 1, 53, &udp(40000, 53, &query(NAME)));
    for (protocol, header) in [
        (4, &[][..]),
        (47, &[0, 0, 8, 0]),
        (47, &[0xb0, 0, 8, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]),
        (47, &[&[0, 0, 0x65, 0x58][..], &[2; 12], &[8, 0]].concat()),
        // Mirrored frames: ERSPAN of type I, II, III, and III with options.
        (47, &[&[0, 0, 0x88, 0xbe][..], &[2; 12], &[8, 0]].concat()),
        (47, &[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 0, 0, 0, 0, 0][..], &[2; 12], &[8, 0]].concat()),
        (47, &[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &[0x20; 11], &[0], &[2; 12], &[8, 0]].concat()),
        (47, &[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &[0x20; 11], &[1], &[0; 8], &[2; 12], &[8, 0]].concat()),
    ] {
        let outer = ipv4(protocol, 7, 8, &[header, &packet].concat());
        assert_eq!(found(101, &outer), ["www.example.com. A 0"]);
    }
}

#[test]
fn tunnels_in_datagrams_are_looked_into() {
    let frame = ethernet(0x0800, &ipv4(17, 1, 53, &udp(40000, 53, &query(NAME))));
    for (port, header) in [
        (4789, &[8, 0, 0, 0, 0, 0, 7, 0][..]),
        (4789, &[0x0c, 0, 0, 3, 0, 0, 7, 0]),
        (6081, &[0, 0, 0x65, 0x58, 0, 0, 7, 0]),
        (6081, &[1, 0x40, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 0]),
    ] {
        let outer = ipv4(17, 7, 8, &udp(50000, port, &[header, &frame].concat()));
        assert_eq!(found(101, &outer), ["www.example.com. A 0"], "{port}");
    }
    let other = ipv4(17, 7, 8, &udp(50000, 4789, &[&[1, 0, 0, 0, 0, 0, 7, 0], frame.as_slice()].concat()));
    assert_eq!(found(101, &other), [""; 0], "the port alone was taken for a tunnel");
}

#[test]
fn labels_in_labels_without_end_are_not_followed() {
    let layer = [0, 0, 1, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0x88, 0x47];
    let memory = observe(&[ethernet(0x8847, &layer.repeat(40_000))]);
    assert_eq!(memory.hits.len(), 0);
    let packet = ipv4(17, 1, 53, &udp(40000, 53, &query(NAME)));
    let mut wire = layer.to_vec();
    wire.splice(20.., [&[0x81, 0, 0, 5, 8, 0][..], &packet].concat());
    assert_eq!(observe(&[ethernet(0x8847, &wire)]).texts(), ["www.example.com. A 0"], "an Ethernet pseudowire");
}

#[test]
fn a_tunnel_in_a_tunnel_without_end_is_given_up() {
    let mut packet = ipv4(17, 1, 53, &udp(40000, 53, &query(NAME)));
    for _ in 0..100 {
        packet = ipv4(4, 1, 2, &packet);
    }
    let memory = observe(&[ethernet(0x0800, &packet)]);
    assert_eq!((memory.hits.len(), memory.count(Counter::UnreadableFrames)), (0, 1));
}

#[test]
fn ipv6_extension_headers_are_passed_over() {
    let hop_by_hop = [60, 0, 1, 4, 0, 0, 0, 0];
    let options = [17, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let packet = ipv6(0, 1, 53, &[&hop_by_hop[..], &options, &udp(40000, 53, &query(NAME))].concat());
    assert_eq!(found(101, &packet), ["www.example.com. A 0"]);
    let authentication = [17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let packet = ipv6(51, 1, 53, &[&authentication[..], &udp(40000, 53, &query(NAME))].concat());
    assert_eq!(found(101, &packet), ["www.example.com. A 0"]);
    let packet = ipv4(51, 1, 53, &[&authentication[..], &udp(40000, 53, &query(NAME))].concat());
    assert_eq!(found(101, &packet), ["www.example.com. A 0"], "IPv4's authentication header");
    let atomic = [17, 0, 0, 0, 1, 2, 3, 4];
    let packet = ipv6(44, 1, 53, &[&atomic[..], &udp(40000, 53, &query(NAME))].concat());
    assert_eq!(found(101, &packet), ["www.example.com. A 0"]);
}

#[test]
fn padding_behind_a_short_packet_is_not_part_of_it() {
    let mut data = udp_to_server(&query("a."));
    data.extend([0xee; 20]);
    assert_eq!(observe(&[data]).texts(), ["a. A 0"]);
}

#[test]
fn frames_without_dns_are_no_loss() {
    let arp = ethernet(0x0806, &[0; 28]);
    let quoted = ipv4(17, 53, 1, &udp(53, 40000, &response(NAME, 0)));
    let icmp = ethernet(0x0800, &ipv4(1, 1, 53, &[&[3, 3, 0, 0, 0, 0, 0, 0], quoted.as_slice()].concat()));
    let elsewhere = ethernet(0x0800, &ipv4(17, 1, 2, &udp(1000, 1001, &query(NAME))));
    let memory = observe(&[arp, icmp, elsewhere]);
    let counted = [Counter::PacketsSeen, Counter::NoIpPacket, Counter::OtherProtocols, Counter::OtherPorts];
    assert_eq!(
        memory.counters.iter().collect::<Vec<_>>(),
        [3, 1, 1, 1].into_iter().zip(counted).map(|(count, counter)| (counter.number(), count)).collect::<Vec<_>>()
    );
}

#[test]
fn unreadable_input_is_counted_by_reason() {
    let mut two_questions = query(NAME);
    two_questions[5] = 2;
    let mut no_question = query(NAME);
    no_question[5] = 0;
    let mut long = query(NAME);
    long.splice(12..13, [63; 256]);
    let pointer = [&query(NAME)[..12], &[0xc0, 0, 0, 1, 0, 1]].concat();
    for (message, reason) in [
        (vec![], Counter::ShortHeader),
        (query(NAME)[..11].to_vec(), Counter::ShortHeader),
        (query(NAME)[..12].to_vec(), Counter::ShortQuestion),
        (query(NAME)[..30].to_vec(), Counter::ShortQuestion),
        (two_questions, Counter::SeveralQuestions),
        (no_question, Counter::NoQuestion),
        (pointer, Counter::BadName),
        (long, Counter::BadName),
        (message(0x2000, NAME, 6), Counter::OpcodeNotify),
        (message(0x2800, NAME, 6), Counter::OpcodeUpdate),
        (message(0x3000, NAME, 6), Counter::OpcodeDso),
        (message(0x1000, NAME, 6), Counter::OpcodeOther),
        (response(NAME, 0), Counter::WrongDirection),
    ] {
        let memory = observe(&[udp_to_server(&message)]);
        let rest = [Counter::PacketsSeen, Counter::MessagesSeen, reason].map(|counter| memory.count(counter));
        assert_eq!((memory.hits.len(), rest), (0, [1, 1, 1]), "{reason:?}");
    }
}

#[test]
fn the_snap_length_is_named_when_it_took_the_question() {
    let data = udp_to_server(&query(NAME));
    let kept = |octets: usize| {
        let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
        let whole = frame(&data, 1);
        observer.frame(&Frame { data: &data[..data.len() - octets], ..whole }, &mut memory);
        memory
    };
    assert_eq!(kept(1).count(Counter::CutBySnapLength), 1);
    assert_eq!(kept(30).count(Counter::CutBySnapLength), 1);
    assert_eq!(kept(0).hits.len(), 1);
    let mut longer = query(NAME);
    longer.extend([0; 100]);
    let data = udp_to_server(&longer);
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    observer.frame(&Frame { data: &data[..data.len() - 100], ..frame(&data, 1) }, &mut memory);
    assert_eq!(memory.hits.len(), 1, "the missing part is behind the question");
}

#[test]
fn headers_that_end_early_or_lie_are_unreadable() {
    let packet = ipv4(17, 1, 53, &udp(40000, 53, &query(NAME)));
    let mut lies = packet.clone();
    lies[3] = 10;
    for data in [
        vec![0; 13],
        ethernet(0x0800, &packet[..19]),
        ethernet(0x0800, &lies),
        ethernet(0x0800, &packet[..25]),
        ethernet(0x0800, &[]),
    ] {
        assert_eq!(observe(&[data]).count(Counter::UnreadableFrames), 1);
    }
}

#[test]
fn a_link_type_that_is_not_read_is_counted_and_known_by_its_number() {
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    let in_ppi = [0, 0, 8, 0, 143, 0, 0, 0];
    for (link_type, data) in [(147, &[0; 60][..]), (192, &in_ppi), (147, &[0; 60]), (149, &[7; 60])] {
        observer.frame(&Frame { link_type, ..frame(data, 1) }, &mut memory);
    }
    assert_eq!(memory.count(Counter::UnknownLinkType), 4);
    assert_eq!(observer.unread_link_types(), [(147, 2), (143, 1), (149, 1)]);
    for link_type in 1000..2000 {
        observer.frame(&Frame { link_type, ..frame(&[0; 60], 1) }, &mut memory);
    }
    assert_eq!(memory.count(Counter::UnknownLinkType), 1004);
    assert!(observer.unread_link_types().len() < 20, "an unbounded list that anyone can extend");
}

#[test]
fn a_response_code_has_twelve_bits_when_opt_says_so() {
    let mut badvers = response(NAME, 0);
    badvers[11] = 2;
    badvers.extend([1, b'x', 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 2, 7, 7]);
    badvers.extend([0, 0, 41, 4, 0, 1, 0, 0, 0, 0, 0]);
    assert_eq!(observe(&[udp_from_server(&badvers)]).texts(), ["www.example.com. A 17"]);
    badvers.truncate(badvers.len() - 3);
    assert_eq!(observe(&[udp_from_server(&badvers)]).texts(), ["www.example.com. A 1"], "a truncated OPT record was used");
}

#[test]
fn only_messages_of_the_servers_own_addresses_are_seen() {
    let scope = Scope { ports: vec![53], addresses: Addresses::These(vec!["192.0.2.53".parse().unwrap()]) };
    let (mut observer, mut memory) = (Observer::new(&scope), Memory::default());
    let upstream = ethernet(0x0800, &ipv4(17, 53, 9, &udp(40001, 53, &query("upstream."))));
    let upstream_answer = ethernet(0x0800, &ipv4(17, 9, 53, &udp(53, 40001, &response("upstream.", 0))));
    let from_53 = ethernet(0x0800, &ipv4(17, 53, 9, &udp(53, 53, &query("old-fashioned."))));
    for data in [udp_to_server(&query("a.")), udp_from_server(&response("a.", 0)), upstream, upstream_answer, from_53] {
        observer.frame(&frame(&data, 1), &mut memory);
    }
    assert_eq!(memory.texts(), ["a. A 0", "a. A 1"]);
    assert_eq!(memory.count(Counter::WrongDirection), 1, "a query from the server's own port");
    assert_eq!(memory.count(Counter::OtherAddresses), 2, "its upstream queries");
    assert_eq!(memory.count(Counter::MessagesSeen), 3);
}

#[test]
fn a_resolvers_questions_upstream_do_not_count_over_tcp_either() {
    let scope = Scope { ports: vec![53], addresses: Addresses::These(vec!["192.0.2.53".parse().unwrap()]) };
    let (mut observer, mut memory) = (Observer::new(&scope), Memory::default());
    let asked = ethernet(0x0800, &ipv4(6, 53, 9, &tcp(40001, 53, (1, 0), 0x18, &stream(&[query("upstream.")]))));
    let answered = ethernet(0x0800, &ipv4(6, 9, 53, &tcp(53, 40001, (1, 0), 0x18, &stream(&[response("upstream.", 0)]))));
    for data in [asked, answered] {
        observer.frame(&frame(&data, 1), &mut memory);
    }
    observer.finish(&mut memory);
    assert_eq!((memory.count(Counter::MessagesSeen), memory.count(Counter::OtherAddresses)), (0, 2));
}

#[test]
fn other_addresses_can_be_watched_while_frames_come() {
    let only = |last: u8| Scope { ports: vec![53], addresses: Addresses::These(vec![[192, 0, 2, last].into()]) };
    let (mut observer, mut memory) = (Observer::new(&only(7)), Memory::default());
    let octets = stream(&[query("a.")]);
    observer.frame(&frame(&udp_to_server(&query("before.")), 1), &mut memory);
    observer.set_scope(&only(53));
    observer.frame(&frame(&tcp_to_server(1, 0x18, &octets[..9]), 2), &mut memory);
    observer.set_scope(&Scope { ports: vec![53], addresses: Addresses::Any });
    observer.frame(&frame(&tcp_to_server(10, 0x18, &octets[9..]), 3), &mut memory);
    assert_eq!(memory.texts(), ["a. A 0"], "incomplete streams are lost");
    assert_eq!(memory.count(Counter::OtherAddresses), 1);
}

#[test]
fn multicast_dns_and_llmnr_do_not_count_even_on_a_watched_port() {
    let scope = Scope { ports: vec![53, 5353, 5355], addresses: Addresses::Any };
    let (mut observer, mut memory) = (Observer::new(&scope), Memory::default());
    let mut to_all = ethernet(0x0800, &ipv4(17, 1, 53, &udp(5353, 5353, &query("printer.local."))));
    to_all[30..34].copy_from_slice(&[224, 0, 0, 251]);
    let mut llmnr = ethernet(0x86dd, &ipv6(17, 1, 53, &udp(50000, 5355, &query("printer."))));
    llmnr[38..54].copy_from_slice(&[0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 3]);
    let mut answer = ethernet(0x0800, &ipv4(17, 1, 53, &udp(5353, 5353, &response("printer.local.", 0))));
    answer[30..34].copy_from_slice(&[224, 0, 0, 251]);
    for data in [to_all, llmnr, answer] {
        observer.frame(&frame(&data, 1), &mut memory);
    }
    assert_eq!((memory.count(Counter::MessagesSeen), memory.count(Counter::OtherAddresses)), (0, 3));
}

#[test]
fn a_packet_that_passes_several_devices_counts_once() {
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    let asked = ipv4(17, 1, 53, &udp(40000, 53, &query(NAME)));
    let tagged = [&[0x81, 0][..], &[0; 2], &[0, 0, 0, 3], &[0; 12], &[0, 5, 8, 0], asked.as_slice()].concat();
    let in_tunnel = ipv4(47, 7, 8, &[&[0, 0, 8, 0], asked.as_slice()].concat());
    let mut filled_in = cooked(4, &asked);
    let checksum_at = filled_in.len() - query(NAME).len() - 2;
    filled_in[checksum_at..][..2].copy_from_slice(&[1, 2]);
    for data in [cooked(1, &asked), cooked(2, &asked), tagged, filled_in, cooked(5, &in_tunnel)] {
        observer.frame(&Frame { link_type: 276, ..frame(&data, 1) }, &mut memory);
    }
    assert_eq!(memory.texts(), ["www.example.com. A 0"]);
    let again = cooked(1, &asked);
    observer.frame(&Frame { link_type: 276, ..frame(&again, 2) }, &mut memory);
    assert_eq!(memory.hits.len(), 2, "the client asked again");
}

proptest! {
    #[test]
    fn octets_of_any_kind_never_panic(data in prop::collection::vec(any::<u8>(), 0..200), link_type in 0u32..300) {
        let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
        observer.frame(&Frame { link_type, ..frame(&data, 1) }, &mut memory);
        observer.finish(&mut memory);
    }

    #[test]
    fn damaged_frames_never_panic_and_are_accounted_for(
        kind in 0usize..6,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        keep in any::<prop::sample::Index>(),
    ) {
        let payload = udp(40000, 53, &query(NAME));
        let mut data = match kind {
            0 => udp_to_server(&query(NAME)),
            1 => tcp_to_server(1, 0x18, &stream(&[query(NAME), query("a.")])),
            2 => ethernet(0x86dd, &ipv6(44, 1, 53, &[&[17, 0, 0, 1, 1, 2, 3, 4], payload.as_slice()].concat())),
            3 => fragments(&payload, 7, &[16]).remove(1),
            4 => ethernet(0x0800, &ipv4(47, 1, 53, &[&[0, 0, 8, 0], ipv4(17, 1, 53, &payload).as_slice()].concat())),
            _ => ethernet(0x8100, &[&[0, 5, 8, 0], ipv4(17, 1, 53, &payload).as_slice()].concat()),
        };
        for (at, value) in changes {
            let at = at.index(data.len());
            data[at] = value;
        }
        data.truncate(keep.index(data.len() + 1));
        let memory = observe(&[data]);
        prop_assert_eq!(memory.count(Counter::MessagesSeen), memory.hits.len() as u64 + memory.counters.not_counted());
    }
}
