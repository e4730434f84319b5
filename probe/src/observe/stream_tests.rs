//! Reassembly of TCP streams.

use super::testing::*;
use super::{Frame, Observer};
use proptest::prelude::*;
use zonepulse_wire::Counter;

const SYN: u8 = 2;
const DATA: u8 = 0x18;
const FIN: u8 = 0x11;
const RST: u8 = 4;

fn queries(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| query(&format!("name-{number}.example."))).collect()
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("name-{number}.example. A 0")).collect()
}

#[test]
fn several_messages_of_a_segment_and_one_over_several_are_read() {
    let octets = stream(&queries(4));
    let cut = octets.len() / 4 * 3 + 5;
    let frames = [
        tcp_to_server(99, SYN, &[]),
        tcp_to_server(100, DATA, &octets[..cut]),
        tcp_to_server(100 + cut as u32, DATA, &octets[cut..cut + 1]),
        tcp_to_server(101 + cut as u32, FIN, &octets[cut + 1..]),
    ];
    let memory = observe(&frames);
    assert_eq!(memory.texts(), texts(4));
    assert_eq!(memory.hits.iter().map(|hit| hit.3).collect::<Vec<_>>(), [2, 2, 2, 4], "not dated when complete");
    assert_eq!(memory.count(Counter::StreamBytesSkipped), 0);
}

#[test]
fn data_that_comes_twice_counts_once() {
    let octets = stream(&queries(2));
    let frames = [tcp_to_server(9, SYN, &[]), tcp_to_server(10, DATA, &octets), tcp_to_server(10, DATA, &octets)];
    assert_eq!(observe(&frames).texts(), texts(2));
}

#[test]
fn sequence_numbers_may_wrap_around() {
    let octets = stream(&queries(6));
    let start = u32::MAX - 50;
    let mut frames = vec![tcp_to_server(start.wrapping_sub(1), SYN, &[])];
    for (at, chunk) in octets.chunks(20).enumerate() {
        frames.push(tcp_to_server(start.wrapping_add(at as u32 * 20), DATA, chunk));
    }
    frames.swap(2, 4);
    assert_eq!(observe(&frames).texts(), texts(6));
}

#[test]
fn a_stream_joined_in_the_middle_is_read_from_its_first_message_on() {
    let octets = stream(&queries(5));
    let memory = observe(&[tcp_to_server(1000, DATA, &octets[10..])]);
    assert_eq!(memory.texts(), texts(5)[1..]);
    assert_eq!(memory.count(Counter::StreamBytesSkipped), octets.len() as u64 / 5 - 10);
}

#[test]
fn the_length_of_a_message_may_come_in_a_segment_of_its_own() {
    let octets = stream(&queries(1));
    for first in [1, 2, 3, 13] {
        let frames = [tcp_to_server(1000, DATA, &octets[..first]), tcp_to_server(1000 + first as u32, DATA, &octets[first..])];
        assert_eq!(observe(&frames).texts(), texts(1), "without a SYN, {first} octets first");
    }
}

#[test]
fn a_segment_that_is_lost_costs_only_the_messages_in_it() {
    let octets = stream(&queries(9));
    let length = octets.len() / 9;
    let mut frames = vec![tcp_to_server(999, SYN, &[])];
    for (at, chunk) in octets.chunks(length * 3).enumerate().filter(|(at, _)| *at != 1) {
        frames.push(tcp_to_server(1000 + (at * length * 3) as u32, DATA, chunk));
    }
    let memory = observe(&frames);
    assert_eq!(memory.texts(), [&texts(9)[..3], &texts(9)[6..]].concat());
    assert_eq!(memory.count(Counter::StreamBytesSkipped), length as u64 * 3);
    assert_eq!(memory.hits[5].3, 3, "not dated by its own time");
}

#[test]
fn a_gap_that_the_receiver_has_confirmed_is_not_waited_for() {
    let octets = stream(&queries(2));
    let half = octets.len() / 2;
    let confirmation = ethernet(0x0800, &ipv4(6, 53, 1, &tcp(53, 40000, (1, 1000 + octets.len() as u32), 0x10, &[])));
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    observer.frame(&frame(&tcp_to_server(999, SYN, &[]), 1), &mut memory);
    observer.frame(&frame(&tcp_to_server(1000 + half as u32, DATA, &octets[half..]), 2), &mut memory);
    observer.frame(&frame(&confirmation, 3), &mut memory);
    assert_eq!(memory.hits.len(), 0, "did not wait for reordered segments");
    observer.frame(&frame(&confirmation, 200), &mut memory);
    assert_eq!(memory.texts(), texts(2)[1..]);
}

#[test]
fn a_message_whose_end_the_snap_length_took_counts_and_the_next_is_found() {
    let mut long = response(&"long.example.".repeat(2), 0);
    long.extend([7; 500]);
    let octets = stream(&[long.clone(), response("next.example.", 0)]);
    let from_server = |sequence, octets: &[u8]| ethernet(0x0800, &ipv4(6, 53, 1, &tcp(53, 40000, (sequence, 0), DATA, octets)));
    let first = from_server(1000, &octets[..400]);
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    let syn = ethernet(0x0800, &ipv4(6, 53, 1, &tcp(53, 40000, (999, 0), SYN | 0x10, &[])));
    observer.frame(&frame(&syn, 1), &mut memory);
    observer.frame(&Frame { data: &first[..200], ..frame(&first, 2) }, &mut memory);
    observer.frame(&frame(&from_server(1400, &octets[400..]), 3), &mut memory);
    assert_eq!(memory.texts(), ["long.example.long.example. A 1", "next.example. A 1"]);
    assert_eq!(memory.count(Counter::StreamBytesSkipped), 254);
}

#[test]
fn a_message_that_its_sender_did_not_finish_is_no_loss() {
    let octets = stream(&queries(2));
    for end in [FIN, RST] {
        let frames = [
            tcp_to_server(9, SYN, &[]),
            tcp_to_server(10, DATA, &octets[..octets.len() - 7]),
            tcp_to_server(10 + octets.len() as u32 - 7, end, &[]),
        ];
        let memory = observe(&frames);
        assert_eq!(memory.texts(), texts(1));
        assert_eq!(memory.count(Counter::StreamBytesUnfinished), octets.len() as u64 / 2 - 7);
        assert_eq!(memory.count(Counter::StreamBytesSkipped), 0);
    }
}

#[test]
fn a_message_whose_end_is_missing_is_a_loss() {
    let octets = stream(&queries(2));
    let frames = [
        tcp_to_server(9, SYN, &[]),
        tcp_to_server(10, DATA, &octets[..octets.len() - 7]),
        tcp_to_server(10 + octets.len() as u32, FIN, &[]),
    ];
    let memory = observe(&frames);
    assert_eq!((memory.texts(), memory.count(Counter::StreamBytesSkipped)), (texts(1), octets.len() as u64 / 2));
    assert_eq!(memory.count(Counter::StreamBytesUnfinished), 0);
}

#[test]
fn garbage_at_the_start_of_a_connection_is_no_loss() {
    let memory =
        observe(&[tcp_to_server(9, SYN, &[]), tcp_to_server(10, DATA, b"GET / HTTP/1.1\r\n\r\n"), tcp_to_server(28, FIN, &[])]);
    assert_eq!((memory.count(Counter::StreamBytesSkipped), memory.count(Counter::StreamBytesUnfinished)), (0, 18));
}

#[test]
fn the_same_ports_may_be_used_again() {
    let octets = stream(&queries(1));
    let mut frames = Vec::new();
    for start in [10, 5000, 4_000_000_000, 77] {
        frames.push(tcp_to_server(start, SYN, &[]));
        frames.push(tcp_to_server(start + 1, DATA, &octets));
    }
    assert_eq!(observe(&frames).hits.len(), 4);
}

#[test]
fn a_stream_that_carries_no_dns_is_not_searched_without_end() {
    let noise: Vec<u8> = (0..1400u32).map(|octet| ((octet * 7919) >> 3) as u8).collect();
    let mut frames = Vec::new();
    for at in 0..2000u32 {
        frames.push(tcp_to_server(1 + at * 1400, DATA, &noise));
    }
    let memory = observe(&frames);
    assert_eq!(memory.hits.len(), 0);
    assert_eq!(memory.count(Counter::StreamBytesSkipped), 2000 * 1400);
}

#[test]
fn a_flood_of_connections_stays_within_bounds_and_is_counted() {
    let octets = stream(&queries(1));
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    for number in 0..70_000u32 {
        let source = (number % 250) as u8;
        let segment = tcp((number / 250) as u16 + 1000, 53, (1, 0), DATA, &octets[..20]);
        observer.frame(&frame(&ethernet(0x0800, &ipv4(6, source, 253, &segment)), 1), &mut memory);
    }
    assert_eq!(memory.count(Counter::StreamsEvicted), 70_000 - 65_536);
    observer.finish(&mut memory);
    assert_eq!(memory.count(Counter::StreamBytesSkipped), 70_000 * 20);
}

#[test]
fn idle_streams_are_forgotten_and_found_again() {
    let octets = stream(&queries(2));
    let half = octets.len() / 2;
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    observer.frame(&frame(&tcp_to_server(9, SYN, &[]), 1), &mut memory);
    observer.frame(&frame(&tcp_to_server(10, DATA, &octets[..half]), 2), &mut memory);
    observer.expire(200_000_000_000, &mut memory);
    observer.frame(&frame(&tcp_to_server(10 + half as u32, DATA, &octets[half..]), 201_000), &mut memory);
    assert_eq!(memory.texts(), texts(2));
}

#[test]
fn data_in_the_first_segment_is_read() {
    let octets = stream(&queries(3));
    let length = octets.len() / 3;
    let frames =
        [tcp_to_server(99, SYN, &octets[..length * 2]), tcp_to_server(100 + length as u32 * 2, DATA, &octets[length * 2..])];
    assert_eq!(observe(&frames).texts(), texts(3), "TCP fast open, accepted by the server");
    let refused = [tcp_to_server(99, SYN, &octets[..length * 2]), tcp_to_server(100, DATA, &octets)];
    assert_eq!(observe(&refused).texts(), texts(3), "TCP fast open, rejected and sent again");
}

#[test]
fn the_two_octets_of_the_length_may_come_one_by_one() {
    let octets = stream(&queries(4));
    let (mut frames, mut at) = (vec![tcp_to_server(99, SYN, &[])], 0);
    for number in 0..4 {
        let length = octets.len() / 4;
        for end in [number * length + 1, number * length + 2, (number + 1) * length] {
            frames.push(tcp_to_server(100 + at as u32, DATA, &octets[at..end]));
            at = end;
        }
    }
    let memory = observe(&frames);
    assert_eq!((memory.texts(), memory.count(Counter::StreamBytesSkipped)), (texts(4), 0));
}

#[test]
fn every_octet_may_come_alone() {
    let octets = stream(&queries(3));
    for begins in [true, false] {
        let mut frames = if begins { vec![tcp_to_server(99, SYN, &[])] } else { vec![] };
        frames.extend(octets.iter().enumerate().map(|(at, octet)| tcp_to_server(100 + at as u32, DATA, &[*octet])));
        assert_eq!(observe(&frames).texts(), texts(3), "with a SYN: {begins}");
    }
}

#[test]
fn the_first_octets_that_came_are_those_that_count() {
    let octets = stream(&queries(1));
    let other = stream(&[query("otha-0.example.")]);
    assert_eq!(octets.len(), other.len(), "lengths differ");
    let frames = [
        tcp_to_server(99, SYN, &[]),
        tcp_to_server(100, DATA, &octets[..20]),
        tcp_to_server(100, DATA, &other[..20]),
        tcp_to_server(110, DATA, &[&other[10..20], &octets[20..]].concat()),
    ];
    assert_eq!(observe(&frames).texts(), texts(1), "retransmission with other content was read");
}

#[test]
fn a_length_of_zero_or_less_than_a_header_is_a_message_of_its_own() {
    let octets = [&[0, 0][..], &stream(&[vec![7; 5]]), &stream(&queries(1))].concat();
    let memory = observe(&[tcp_to_server(99, SYN, &[]), tcp_to_server(100, DATA, &octets)]);
    assert_eq!((memory.texts(), memory.count(Counter::ShortHeader)), (texts(1), 2));
}

#[test]
fn a_stream_joined_in_the_middle_without_a_recognisable_message_is_unreadable() {
    let octets = stream(&[message(0x2800, "update.example.", 6), message(0x2000, "notify.example.", 6)]);
    let memory = observe(&[tcp_to_server(1000, DATA, &octets)]);
    assert_eq!((memory.count(Counter::MessagesSeen), memory.count(Counter::StreamBytesSkipped)), (0, octets.len() as u64));
}

#[test]
fn thousands_of_connections_at_once_are_kept_apart() {
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    let octets = stream(&queries(1));
    let (first, second) = octets.split_at(9);
    let segment = |number: u32, sequence: u32, flags: u8, octets: &[u8]| {
        let port = (number % 20_000) as u16 + 10_000;
        let payload = tcp(port, 53, (sequence.wrapping_add(number * 7919), 0), flags, octets);
        ethernet(0x0800, &ipv4(6, (number / 20_000) as u8 + 1, 253, &payload))
    };
    for (sequence, flags, octets) in [(0, SYN, &[][..]), (1, DATA, first), (10, DATA, second), (1 + 35, FIN, &[])] {
        for number in 0..60_000 {
            observer.frame(&frame(&segment(number, sequence, flags, octets), 1), &mut memory);
        }
    }
    assert_eq!(memory.hits.len(), 60_000);
    assert_eq!((memory.count(Counter::StreamsEvicted), memory.count(Counter::StreamBytesSkipped)), (0, 0));
}

#[test]
fn a_flood_of_beginnings_pushes_out_no_stream() {
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    let octets = stream(&queries(1));
    observer.frame(&frame(&tcp_to_server(99, SYN, &[]), 1), &mut memory);
    observer.frame(&frame(&tcp_to_server(100, DATA, &octets[..9]), 1), &mut memory);
    for number in 0..200_000u32 {
        let syn = tcp((number % 50_000) as u16 + 1, 53, (number, 0), SYN, &[]);
        observer.frame(&frame(&ethernet(0x0800, &ipv4(6, (number / 50_000) as u8 + 60, 53, &syn)), 1), &mut memory);
    }
    observer.frame(&frame(&tcp_to_server(109, DATA, &octets[9..]), 1), &mut memory);
    assert_eq!((memory.texts(), memory.count(Counter::StreamsEvicted)), (texts(1), 0));
}

/// Messages of various lengths, with and without a readable question.
fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let message = (0..5u8, "[a-z]{1,20}", 0..300usize).prop_map(|(kind, name, more)| {
        let mut octets = query(&format!("{name}.example."));
        match kind {
            0 => octets.truncate(more % 40),
            1 => octets[5] = 0,
            2 => octets.extend(vec![0xaa; more]),
            _ => {}
        }
        octets
    });
    prop::collection::vec(message, 1..12)
}

proptest! {
    #[test]
    fn however_a_stream_is_cut_and_ordered_its_messages_are_the_same(
        messages in messages(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        order in any::<u64>(),
        start in any::<u32>(),
        again in any::<prop::sample::Index>(),
    ) {
        let octets = stream(&messages);
        let whole = observe(&[tcp_to_server(start.wrapping_sub(1), SYN, &[]), tcp_to_server(start, DATA, &octets)]);
        let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut.index(octets.len() + 1)).chain([0, octets.len()]).collect();
        bounds.sort_unstable();
        let segment = |from: usize, to: usize| tcp_to_server(start.wrapping_add(from as u32), DATA, &octets[from..to]);
        let mut frames: Vec<_> = bounds.windows(2).map(|pair| segment(pair[0], pair[1])).collect();
        // Once more, with other boundaries: retransmitted.
        let from = again.index(octets.len() + 1);
        frames.push(segment(from, octets.len().min(from + 100)));
        let mut random = order | 1;
        for at in (1..frames.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            frames.swap(at, (random >> 33) as usize % (at + 1));
        }
        frames.insert(0, tcp_to_server(start.wrapping_sub(1), SYN, &[]));
        let cut = observe(&frames);
        prop_assert_eq!(cut.texts(), whole.texts());
        prop_assert_eq!(cut.counters.not_counted(), whole.counters.not_counted());
        prop_assert_eq!(cut.count(Counter::StreamBytesSkipped), 0);
    }

    #[test]
    fn a_stream_with_losses_gives_no_message_that_was_not_sent(
        count in 1..30usize,
        size in 1..200usize,
        lost in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        with_syn: bool,
    ) {
        let octets = stream(&queries(count));
        let mut segments: Vec<_> = octets.chunks(size).enumerate().map(|(at, chunk)| (at * size, chunk)).collect();
        for lost in lost {
            if !segments.is_empty() {
                segments.remove(lost.index(segments.len()));
            }
        }
        let mut frames = vec![tcp_to_server(0, if with_syn { SYN } else { 0x10 }, &[])];
        frames.extend(segments.iter().map(|(at, chunk)| tcp_to_server(1 + *at as u32, DATA, chunk)));
        let found = observe(&frames).texts();
        let mut sent = texts(count).into_iter();
        for name in &found {
            prop_assert!(sent.any(|other| other == *name), "{} of {:?}", name, found);
        }
    }

    #[test]
    fn segments_of_any_kind_never_panic(
        segments in prop::collection::vec((any::<u32>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..60), any::<bool>()), 0..40),
    ) {
        let frames: Vec<_> = segments.iter().map(|(sequence, flags, octets, near)| {
            tcp_to_server(if *near { sequence % 500 } else { *sequence }, *flags, octets)
        }).collect();
        let memory = observe(&frames);
        prop_assert_eq!(memory.count(Counter::MessagesSeen), memory.hits.len() as u64 + memory.counters.not_counted());
    }
}
