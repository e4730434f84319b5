//! Unusual messages: each is either read correctly or counted under its reason.

use super::testing::*;
use std::time::{Duration, Instant};
use zonepulse_wire::Counter;

/// A header with these counts, followed by these octets.
fn odd(flags: u16, counts: [u16; 4], body: &[u8]) -> Vec<u8> {
    let mut octets = vec![0x12, 0x34];
    octets.extend(flags.to_be_bytes());
    counts.iter().for_each(|count| octets.extend(count.to_be_bytes()));
    octets.extend(body);
    octets
}

#[track_caller]
fn counts_as(message: &[u8], reason: Counter) {
    let memory = observe(&[udp_to_server(message)]);
    assert_eq!((memory.texts(), memory.count(reason), memory.count(Counter::MessagesSeen)), (vec![], 1, 1));
}

#[track_caller]
fn is_read(message: &[u8], text: &str) {
    let is_response = message[2] & 0x80 != 0;
    let memory = observe(&[if is_response { udp_from_server(message) } else { udp_to_server(message) }]);
    assert_eq!((memory.texts().as_slice(), memory.count(Counter::MessagesSeen)), (&[text.to_owned()][..], 1));
}

const A_IN: [u8; 4] = [0, 1, 0, 1];

#[test]
fn a_name_that_points_to_itself_is_a_bad_name() {
    counts_as(&odd(0x0100, [1, 0, 0, 0], &[&[0xc0, 12], &A_IN[..]].concat()), Counter::BadName);
}

#[test]
fn a_name_that_points_in_a_loop_of_two_is_a_bad_name() {
    counts_as(&odd(0x0100, [1, 0, 0, 0], &[&[1, b'a', 0xc0, 16, 0xc0, 12], &A_IN[..]].concat()), Counter::BadName);
}

#[test]
fn a_name_that_points_forward_is_a_bad_name() {
    counts_as(&odd(0x0100, [1, 0, 0, 0], &[&[0xc0, 30], &A_IN[..], &[3, b'c', b'o', b'm', 0]].concat()), Counter::BadName);
}

#[test]
fn a_name_that_points_into_the_header_is_a_bad_name() {
    counts_as(&odd(0x0100, [1, 0, 0, 0], &[&[1, b'a', 0xc0, 0], &A_IN[..]].concat()), Counter::BadName);
}

#[test]
fn a_label_of_64_octets_is_a_bad_name_and_one_of_63_is_none() {
    let label = |length: u8| [&[length], vec![b'a'; usize::from(length)].as_slice(), &[0], &A_IN].concat();
    counts_as(&odd(0x0100, [1, 0, 0, 0], &label(64)), Counter::BadName);
    counts_as(&odd(0x0100, [1, 0, 0, 0], &label(128)), Counter::BadName);
    is_read(&odd(0x0100, [1, 0, 0, 0], &label(63)), &format!("{}. A 0", "a".repeat(63)));
}

#[test]
fn a_name_of_256_octets_is_a_bad_name_and_one_of_255_is_none() {
    let name = |last: usize| {
        let mut octets = [&[63][..], &[b'a'; 63]].concat().repeat(3);
        octets.push(last as u8);
        octets.extend(vec![b'b'; last]);
        octets.push(0);
        octets.extend(A_IN);
        octets
    };
    let expected = format!("{}.{}. A 0", [&"a".repeat(63)[..]; 3].join("."), "b".repeat(61));
    is_read(&odd(0x0100, [1, 0, 0, 0], &name(61)), &expected);
    counts_as(&odd(0x0100, [1, 0, 0, 0], &name(62)), Counter::BadName);
}

#[test]
fn a_name_without_its_end_is_a_short_question() {
    counts_as(&odd(0x0100, [1, 0, 0, 0], &[3, b'c', b'o', b'm']), Counter::ShortQuestion);
    counts_as(&odd(0x0100, [1, 0, 0, 0], &[3, b'c', b'o']), Counter::ShortQuestion);
    counts_as(&odd(0x0100, [1, 0, 0, 0], &[0, 0, 1, 0]), Counter::ShortQuestion);
}

#[test]
fn counts_that_lie_about_records_do_not_matter() {
    let body = [&[1, b'a', 0], &A_IN[..]].concat();
    is_read(&odd(0x0100, [1, 9, 9, 9], &body), "a. A 0");
    is_read(&odd(0x8180, [1, 0xffff, 0xffff, 0xffff], &body), "a. A 1");
    is_read(&odd(0x8180, [1, 0, 0, 0xffff], &body), "a. A 1");
    is_read(&odd(0x8183, [1, 0, 0, 0], &[&body[..], &[0xff; 100]].concat()), "a. A 4");
}

#[test]
fn counts_of_questions_other_than_one_have_their_counters() {
    let body = [&[1, b'a', 0], &A_IN[..]].concat();
    counts_as(&odd(0x0100, [0, 0, 0, 0], &[]), Counter::NoQuestion);
    counts_as(&odd(0x0100, [0, 0, 0, 0], &body), Counter::NoQuestion);
    counts_as(&odd(0x0100, [2, 0, 0, 0], &body.repeat(2)), Counter::SeveralQuestions);
    counts_as(&odd(0x0100, [0xffff, 0, 0, 0], &body), Counter::SeveralQuestions);
    counts_as(&odd(0x0100, [256, 0, 0, 0], &body), Counter::SeveralQuestions);
}

#[test]
fn octets_of_any_value_are_a_name() {
    let body = [&[6, 0, b'.', b'\\', 0xc3, 0xbc, b'"'][..], &[0], &A_IN].concat();
    is_read(&odd(0x0100, [1, 0, 0, 0], &body), "\\000\\.\\\\\\195\\188\\\". A 0");
}

#[test]
fn a_signed_query_is_a_query() {
    let question = [&[1, b'a', 0], &A_IN[..]].concat();
    let signature = [&[3, b'k', b'e', b'y', 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 16][..], &[7; 16]].concat();
    is_read(&odd(0x0100, [1, 0, 0, 1], &[question.as_slice(), &signature].concat()), "a. A 0");
    is_read(&odd(0x8189, [1, 0, 0, 1], &[question.as_slice(), &signature].concat()), "a. A 10");
}

#[test]
fn other_operations_have_their_counters_whatever_their_sections_hold() {
    for (opcode, reason) in [
        (1, Counter::OpcodeOther),
        (2, Counter::OpcodeOther),
        (3, Counter::OpcodeOther),
        (4, Counter::OpcodeNotify),
        (5, Counter::OpcodeUpdate),
        (6, Counter::OpcodeDso),
        (15, Counter::OpcodeOther),
    ] {
        counts_as(&odd(opcode << 11, [0, 0, 0, 0], &[]), reason);
        counts_as(&odd(opcode << 11, [1, 1, 1, 1], &[0xff; 30]), reason);
        let memory = observe(&[udp_from_server(&odd(0x8000 | opcode << 11, [1, 0, 0, 0], &[0, 0, 6, 0, 1]))]);
        assert_eq!((memory.hits.len(), memory.count(reason)), (0, 1), "its response");
    }
}

#[test]
fn flags_without_a_meaning_do_not_matter() {
    is_read(&odd(0x0140, [1, 0, 0, 0], &[&[1, b'a', 0], &A_IN[..]].concat()), "a. A 0");
    is_read(&odd(0x870f, [1, 0, 0, 0], &[&[1, b'a', 0], &A_IN[..]].concat()), "a. A 16");
}

#[test]
fn types_of_any_number_are_read() {
    is_read(&odd(0x0100, [1, 0, 0, 0], &[0, 0, 0, 0, 1]), ". TYPE0 0");
    is_read(&odd(0x0100, [1, 0, 0, 0], &[0, 0, 255, 0, 1]), ". ANY 0");
    is_read(&odd(0x0100, [1, 0, 0, 0], &[0, 0xff, 0xff, 0, 1]), ". TYPE65535 0");
}

/// The most expensive message: a response with the longest possible additional section and no OPT
/// record. Every octet is examined once.
#[test]
fn the_longest_messages_cost_time_in_proportion_to_their_length() {
    let time = |records: usize| {
        let label = [1, b'x'];
        let record = [label.repeat(100).as_slice(), &[0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
        let body = [&[1, b'a', 0], &A_IN[..], &record.repeat(records)].concat();
        let frame = udp_from_server(&odd(0x8180, [1, 0, 0, 0xffff], &body));
        let frames = vec![frame; 6000 / records];
        let since = Instant::now();
        assert_eq!(observe(&frames).hits.len(), frames.len());
        since.elapsed()
    };
    let best = |records| (0..5).map(|_| time(records)).min().unwrap_or_default();
    // The same number of octets in messages 30 times as long: quadratic time would show as a factor
    // of 30.
    let (short, long) = (best(10), best(300));
    assert!(long < short * 6 + Duration::from_millis(5), "{short:?} and {long:?}");
}
