//! Reading streams and messages.

use super::stream::{MAX_DATA_BYTES, accept, finish};
use super::{Event, Fault, Stream, frame, is_stream};
use crate::observe::testing::{Memory, query, response, scope};
use crate::observe::{Addresses, Observer, Scope, TOLD_BY_SERVER};
use proptest::prelude::*;
use zonepulse_fixtures::control::{ACCEPT, FINISH, READY, START, STOP};
use zonepulse_fixtures::{DNSTAP, Tap, control_frame, data_frame, dnstap_stream};
use zonepulse_wire::Counter;

/// All events in these bytes; a data frame is represented by its content.
fn events(mut bytes: &[u8]) -> (Vec<String>, Option<Fault>) {
    let mut stream = Stream::default();
    let mut events = Vec::new();
    loop {
        match stream.step(bytes) {
            Ok(step) => match step.event {
                Event::Part(wanted) => {
                    assert!(wanted > bytes.len(), "{wanted} bytes are there already");
                    return (events, None);
                }
                event => {
                    events.push(match event {
                        Event::Data(data) => String::from_utf8_lossy(data).into_owned(),
                        event => format!("{event:?}"),
                    });
                    bytes = &bytes[step.taken..];
                }
            },
            Err(fault) => return (events, Some(fault)),
        }
    }
}

fn start() -> Vec<u8> {
    control_frame(START, Some(DNSTAP))
}

#[test]
fn a_writer_may_begin_at_once_or_ask_first() {
    let data = [start(), data_frame(b"one"), data_frame(b"two"), control_frame(STOP, None)].concat();
    assert_eq!(events(&data), (["Started", "one", "two", "Stopped"].map(String::from).to_vec(), None));
    let asking = [control_frame(READY, Some(DNSTAP)), data.clone()].concat();
    assert_eq!(events(&asking).0.len(), 5);
    let twice = [data.clone(), data].concat();
    assert_eq!(events(&twice).0.len(), 8, "concatenated files are not read as one");
}

#[test]
fn the_answers_are_those_of_the_reference() {
    assert_eq!(accept(), control_frame(ACCEPT, Some(DNSTAP)));
    assert_eq!(finish(), control_frame(FINISH, None));
}

#[test]
fn protocol_violations_are_named() {
    let after = |bytes: &[u8]| events(&[&start(), bytes].concat()).1;
    let length = |length: usize| (length as u32).to_be_bytes();
    assert_eq!(after(&length(MAX_DATA_BYTES)), None);
    assert_eq!(after(&length(MAX_DATA_BYTES + 1)), Some(Fault::LongData(MAX_DATA_BYTES as u32 + 1)));
    assert_eq!(after(&[[0; 4], length(513)].concat()), Some(Fault::ControlLength(513)));
    assert_eq!(after(&[[0; 4], length(3)].concat()), Some(Fault::ControlLength(3)));
    assert_eq!(after(&start()), Some(Fault::Order("START")));
    assert_eq!(after(&control_frame(READY, None)), Some(Fault::Order("READY")));
    assert_eq!(after(&control_frame(ACCEPT, None)), Some(Fault::ControlType(ACCEPT)));
    assert_eq!(after(&control_frame(77, None)), Some(Fault::ControlType(77)));
    assert_eq!(events(&data_frame(b"one")).1, Some(Fault::Order("a data frame")));
    assert_eq!(events(&control_frame(STOP, None)).1, Some(Fault::Order("STOP")));
    assert_eq!(events(&control_frame(START, Some(b"x:logs"))).1, Some(Fault::ContentType));
    let mut fields = start();
    *fields.last_mut().unwrap() = 0;
    fields[19] = 200;
    assert_eq!(events(&fields).1, Some(Fault::ControlFields));
}

#[test]
fn a_stream_is_known_by_its_first_control_frame() {
    assert!(is_stream(&start()) && is_stream(&control_frame(READY, Some(DNSTAP))));
    assert!(!is_stream(&start()[..11]) && !is_stream(&control_frame(STOP, None)) && !is_stream(&[0; 12]));
}

/// Observes messages with these server addresses.
fn observe(addresses: Addresses, taps: &[Tap]) -> Memory {
    let (mut observer, mut memory) = (Observer::new(&Scope { addresses, ..scope() }), Memory::default());
    for tap in taps {
        observer.frame(&frame(&tap.bytes(), 0), &mut memory);
    }
    memory
}

const NONE: Addresses = Addresses::These(Vec::new());

#[test]
fn messages_between_the_server_and_its_clients_count() {
    let taps = [(1, query("aq.")), (2, response("ar.", 3)), (5, query("cq.")), (6, response("cr.", 0))]
        .map(|(message_type, octets)| Tap::new(message_type, &octets, 7_000_000));
    let memory = observe(NONE, &taps);
    assert_eq!(memory.texts(), ["aq. A 0", "ar. A 4", "cq. A 0", "cr. A 1"]);
    assert!(memory.hits.iter().all(|(.., time_ms)| *time_ms == 7000));
    assert_eq!((memory.count(Counter::DnstapFramesSeen), memory.count(Counter::PacketsSeen)), (4, 0));
}

#[test]
fn a_resolver_s_upstream_queries_are_counted_as_not_its_own() {
    let taps: Vec<_> = [3, 4, 7, 8, 15, 99].map(|message_type| Tap::new(message_type, &query("a."), 1)).to_vec();
    for addresses in [NONE, Addresses::Any] {
        let memory = observe(addresses, &taps);
        assert_eq!((memory.hits.len(), memory.count(Counter::NotTheServersOwn)), (0, 6));
    }
}

#[test]
fn a_tool_s_queries_count_if_any_address_is_the_server_s() {
    let taps = [Tap::new(9, &query("a."), 1), Tap::new(11, &query("a."), 1), Tap::new(12, &response("a.", 0), 1)];
    assert_eq!(observe(Addresses::Any, &taps).texts(), ["a. A 0", "a. A 0", "a. A 1"]);
    assert_eq!(observe(NONE, &taps).count(Counter::NotTheServersOwn), 3);
}

#[test]
fn an_update_is_counted_as_one() {
    let mut update = query("a.");
    update[2] = 5 << 3;
    let taps =
        [Tap::new(13, &update, 1), Tap { message_type: 14, ..Tap::new(2, &[&update[..2], &[0xa8], &update[3..]].concat(), 1) }];
    let memory = observe(NONE, &taps);
    assert_eq!((memory.hits.len(), memory.count(Counter::OpcodeUpdate)), (0, 2));
}

#[test]
fn a_response_that_brings_its_query_counts_once() {
    let both = Tap { query: (Some(query("a.")), Some((5, 0))), ..Tap::new(6, &response("a.", 0), 7_000_000) };
    let memory = observe(NONE, &[both]);
    assert_eq!(memory.texts(), ["a. A 1"]);
    assert_eq!(memory.hits[0].3, 7000);
}

#[test]
fn a_message_of_which_only_the_other_half_is_there_is_not_guessed() {
    let taps = [
        Tap { message_type: 6, ..Tap::new(5, &query("a."), 1) },
        Tap { message_type: 5, ..Tap::new(6, &response("a.", 0), 1) },
        Tap { message_type: 1, ..Tap::default() },
    ];
    let memory = observe(NONE, &taps);
    assert_eq!((memory.count(Counter::NoMessage), memory.count(Counter::MessagesSeen)), (3, 3));
}

#[test]
fn a_query_in_a_response_is_no_response() {
    let memory = observe(NONE, &[Tap::new(2, &query("a."), 1), Tap::new(1, &response("a.", 0), 1)]);
    assert_eq!((memory.hits.len(), memory.count(Counter::WrongDirection)), (0, 2));
}

#[test]
fn a_time_that_is_missing_is_the_querys_or_the_last_one() {
    let time_ns = |tap: Tap| frame(&tap.bytes(), 42).time_ns;
    let mut tap = Tap::new(2, b"", 7_000_001);
    assert_eq!(time_ns(tap.clone()), 7_000_001_000);
    tap.response.1 = None;
    assert_eq!(time_ns(tap.clone()), 42);
    tap.query.1 = Some((5, 6));
    assert_eq!(time_ns(tap.clone()), 5_000_000_006);
    tap.message_type = 1;
    tap.query.1 = None;
    tap.response.1 = Some((9, 9));
    assert_eq!(time_ns(tap.clone()), 42, "a query got the time of its response");
    tap.query.1 = Some((u64::MAX, u32::MAX));
    assert_eq!(time_ns(tap), u64::MAX);
}

#[test]
fn frames_without_a_dnstap_message_are_unreadable() {
    let good = Tap::new(1, &query("a."), 1).bytes();
    let mut other_type = good.clone();
    *other_type.last_mut().unwrap() = 2;
    let no_type = good[..good.len() - 2].to_vec();
    let cut = good[..good.len() - 3].to_vec();
    let group = [good.clone(), vec![0x0b]].concat();
    let long = [good.clone(), vec![0x80; 11]].concat();
    for bytes in [other_type, no_type, cut, group, long, Vec::new(), Tap::default().bytes()] {
        assert_eq!(frame(&bytes, 0).link_type, TOLD_BY_SERVER, "{bytes:?}");
        let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
        observer.frame(&frame(&bytes, 0), &mut memory);
        assert_eq!((memory.count(Counter::DnstapFramesUnreadable), memory.count(Counter::MessagesSeen)), (1, 0));
    }
}

fn any_tap() -> impl Strategy<Value = Tap> {
    let side =
        || (prop::option::of(prop::collection::vec(any::<u8>(), 0..300)), prop::option::of((any::<u32>(), 0..1_000_000_000_u32)));
    (1..40u8, side(), side()).prop_map(|(message_type, query, response)| {
        let widen = |(octets, time): (_, Option<(u32, u32)>)| (octets, time.map(|(s, ns)| (s.into(), ns)));
        Tap { message_type, query: widen(query), response: widen(response) }
    })
}

proptest! {
    #[test]
    fn what_was_written_is_what_is_read(taps in prop::collection::vec(any_tap(), 0..20)) {
        let bytes = dnstap_stream(&taps);
        let (mut rest, mut stream, mut read) = (&bytes[..], Stream::default(), Vec::new());
        while let Ok(step) = stream.step(rest) && step.taken > 0 {
            if let Event::Data(data) = step.event {
                let frame = frame(data, 42);
                read.push((frame.link_type - TOLD_BY_SERVER, frame.data.to_vec(), frame.time_ns));
            }
            rest = &rest[step.taken..];
        }
        prop_assert!(rest.is_empty());
        let ns = |(s, ns): (u64, u32)| s * 1_000_000_000 + u64::from(ns);
        let written: Vec<_> = taps.into_iter().map(|tap| {
            let (is_query, number) = (tap.message_type % 2 == 1, tap.message_type.into());
            let (own, other) = if is_query { (tap.query, None) } else { (tap.response, tap.query.1) };
            (number, own.0.unwrap_or_default(), own.1.or(other).map_or(42, ns))
        }).collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn the_split_of_the_input_does_not_matter(
        taps in prop::collection::vec(any_tap(), 0..6),
        cuts in prop::collection::vec(1..40usize, 1..10),
    ) {
        let bytes = [control_frame(READY, Some(DNSTAP)), dnstap_stream(&taps)].concat();
        let whole = events(&bytes).0;
        let (mut stream, mut at, mut end, mut count) = (Stream::default(), 0, 0, 0);
        for cut in cuts.iter().cycle() {
            end = (end + cut).min(bytes.len());
            loop {
                let step = stream.step(&bytes[at..end]).unwrap();
                if step.taken == 0 {
                    break;
                }
                at += step.taken;
                count += 1;
            }
            if end == bytes.len() {
                break;
            }
        }
        prop_assert_eq!((count, at), (whole.len(), bytes.len()));
    }

    #[test]
    fn bytes_of_any_kind_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        tap in any_tap(),
    ) {
        events(&bytes);
        frame(&bytes, 0);
        let mut stream = dnstap_stream(std::slice::from_ref(&tap));
        let mut message = tap.bytes();
        for (at, value) in changes {
            *at.get_mut(&mut stream) = value;
            *at.get_mut(&mut message) = value;
        }
        events(&[stream, bytes].concat());
        let (mut observer, mut memory) = (Observer::new(&scope()), Memory::default());
        observer.frame(&frame(&message, 0), &mut memory);
    }
}
