//! Reassembly of fragments.

use super::testing::*;
use super::{Frame, Observer};
use zonepulse_wire::Counter;

const NAME: &str = "www.example.com.";

#[test]
fn fragments_that_pass_several_devices_are_one_packet() {
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    let parts = fragments(&udp(40000, 53, &query(NAME)), 7, &[16]);
    for part in &parts {
        for device in [1, 2] {
            let data = cooked(device, &part[14..]);
            observer.frame(&Frame { link_type: 276, ..frame(&data, 1) }, &mut memory);
        }
    }
    observer.finish(&mut memory);
    assert_eq!((memory.hits.len(), memory.count(Counter::FragmentsLost)), (1, 0));
}

#[test]
fn fragments_are_put_together_in_any_order_and_once() {
    let payload = udp(40000, 53, &query("a-name-long-enough-for-fragments.example."));
    let mut parts = fragments(&payload, 7, &[8, 24, 48]);
    let whole = "a-name-long-enough-for-fragments.example. A 0";
    assert_eq!(observe(&parts).texts(), [whole]);
    parts.reverse();
    let twice = [&parts[..3], &parts[1..]].concat();
    assert_eq!(observe(&twice).texts(), [whole], "duplicates change the result");
}

#[test]
fn ipv6_fragments_are_put_together() {
    let payload = udp(40000, 53, &query(NAME));
    let part = |offset: u8, more: u8, octets: &[u8]| {
        ethernet(0x86dd, &ipv6(44, 1, 53, &[&[17, 0, 0, offset | more, 1, 2, 3, 4], octets].concat()))
    };
    assert_eq!(observe(&[part(16, 0, &payload[16..]), part(0, 1, &payload[..16])]).texts(), ["www.example.com. A 0"]);
}

#[test]
fn fragments_that_never_become_whole_are_counted() {
    let payload = udp(40000, 53, &query(NAME));
    let parts = fragments(&payload, 7, &[8, 24]);
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    observer.frame(&frame(&parts[0], 1), &mut memory);
    observer.frame(&frame(&parts[1], 2), &mut memory);
    observer.expire(29_000_000_000, &mut memory);
    assert_eq!(memory.count(Counter::FragmentsLost), 0);
    observer.expire(31_000_000_000, &mut memory);
    assert_eq!(memory.count(Counter::FragmentsLost), 2);
    let overlapping = fragments(&payload, 7, &[16]).remove(0);
    assert_eq!(
        observe(&[parts[1].clone(), overlapping]).count(Counter::FragmentsLost),
        2,
        "contradictory fragments were accepted"
    );
}

/// A query with padding behind its question, so that one fragment can contain the whole question.
fn padded_query() -> Vec<u8> {
    let mut octets = query(NAME);
    octets.extend([0; 200]);
    octets
}

#[test]
fn a_first_fragment_with_the_whole_question_counts_when_the_rest_never_comes() {
    let parts = fragments(&udp(40000, 53, &padded_query()), 7, &[64, 128]);
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    observer.frame(&frame(&parts[1], 5), &mut memory);
    observer.frame(&frame(&parts[0], 9), &mut memory);
    observer.expire(29_000_000_000, &mut memory);
    assert_eq!(memory.texts(), [""; 0], "counted before the rest can have arrived");
    observer.expire(31_000_000_000, &mut memory);
    assert_eq!((memory.texts(), memory.hits[0].3), (vec![format!("{NAME} A 0")], 9), "not at its time of arrival");
    assert_eq!((memory.count(Counter::FragmentsLost), memory.count(Counter::UdpDatagrams)), (1, 1));
    observer.frame(&frame(&parts[2], 32_000), &mut memory);
    observer.finish(&mut memory);
    assert_eq!((memory.hits.len(), memory.count(Counter::FragmentsLost)), (1, 2), "late fragments were counted");
}

#[test]
fn a_first_fragment_with_the_whole_question_counts_once_when_the_rest_comes() {
    let parts = fragments(&udp(40000, 53, &padded_query()), 7, &[64, 128]);
    let memory = observe(&parts);
    assert_eq!((memory.hits.len(), memory.count(Counter::FragmentsLost), memory.count(Counter::FragmentsJoined)), (1, 0, 2));
}

#[test]
fn a_first_fragment_of_other_operations_is_counted_by_its_reason() {
    let mut update = padded_query();
    update[2] = 0x28;
    let parts = fragments(&udp(40000, 53, &update), 7, &[64]);
    let memory = observe(&parts[..1]);
    assert_eq!((memory.count(Counter::OpcodeUpdate), memory.count(Counter::FragmentsLost)), (1, 0));
}

#[test]
fn a_first_fragment_without_the_whole_question_or_of_others_is_lost() {
    let parts = fragments(&udp(40000, 53, &padded_query()), 7, &[32]);
    let elsewhere = fragments(&udp(40000, 54, &padded_query()), 7, &[64]);
    for first in [&parts[0], &elsewhere[0]] {
        let memory = observe([first]);
        assert_eq!((memory.count(Counter::MessagesSeen), memory.count(Counter::FragmentsLost)), (0, 1));
    }
}

#[test]
fn contradictory_fragments_count_nothing() {
    let parts = fragments(&udp(40000, 53, &padded_query()), 7, &[64, 128]);
    let mut other = parts[0].clone();
    *other.last_mut().unwrap() ^= 1;
    let memory = observe(&[parts[0].clone(), other]);
    assert_eq!((memory.hits.len(), memory.count(Counter::FragmentsLost)), (0, 2));
}

#[test]
fn fragments_cut_by_the_snap_length_count_as_a_datagram_does() {
    let parts = fragments(&udp(40000, 53, &padded_query()), 7, &[64, 128]);
    // Ethernet, IP, UDP, header, and the question in full or truncated.
    for (kept, hits) in [(14 + 20 + 8 + query(NAME).len(), 1), (14 + 20 + 8 + 20, 0)] {
        for complete in [false, true] {
            let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
            for part in parts.iter().take(if complete { 3 } else { 1 }) {
                let whole = frame(part, 1);
                observer.frame(&Frame { data: &part[..kept.min(part.len())], ..whole }, &mut memory);
            }
            observer.finish(&mut memory);
            assert_eq!(memory.hits.len(), hits, "{kept} {complete}");
        }
    }
}

#[test]
fn a_flood_of_fragments_stays_within_bounds_and_is_counted() {
    let payload = vec![0; 64];
    let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
    for number in 0..20_000u16 {
        let part = fragments(&payload, number, &[32]).remove(0);
        observer.frame(&frame(&part, 1), &mut memory);
    }
    assert!(memory.count(Counter::FragmentsLost) >= 20_000 - 4096);
    observer.finish(&mut memory);
    assert_eq!(memory.count(Counter::FragmentsLost), 20_000);
}
