//! The rules, slot by slot.

use super::*;
use proptest::prelude::*;

/// Plays slots of (requests, responses); returns what is missing after each.
fn missing(slots: &[(u64, u64)]) -> Vec<Option<Missing>> {
    let began = Instant::now();
    let mut traffic = Traffic::new(began);
    let mut totals = Totals::default();
    let play = |(at, (requests, responses)): (usize, &(u64, u64))| {
        totals.requests += requests;
        totals.responses += responses;
        assert!(traffic.turn(began + SLOT * (at as u32 + 1), totals, Vec::new));
        traffic.missing().map(|finding| finding.what)
    };
    slots.iter().enumerate().map(play).collect()
}

#[test]
fn a_direction_is_missing_when_the_other_has_enough() {
    let (no_requests, no_responses) = (Some(Missing::Requests), Some(Missing::Responses));
    type Case = (&'static [(u64, u64)], Option<Missing>);
    let table: [Case; 10] = [
        (&[(0, 0)], None),
        (&[(5, 5), (5, 5)], None),
        // The newest slot is ignored: its requests may not be answered yet.
        (&[(20, 0)], None),
        (&[(20, 0), (0, 0)], no_responses),
        (&[(20, 0), (0, 20)], None),
        (&[(19, 0), (1, 0)], None),
        (&[(10, 0), (10, 0), (0, 0)], no_responses),
        (&[(0, 20), (0, 0)], no_requests),
        (&[(0, 19), (0, 0), (0, 1), (0, 0)], no_requests),
        (&[(20, 1), (500, 0)], None),
    ];
    for (slots, expected) in table {
        assert_eq!(*missing(slots).last().unwrap(), expected, "{slots:?}");
    }
}

#[test]
fn a_missing_direction_stays_missing_around_the_threshold_and_ends_when_it_ends() {
    let told = Some(Missing::Responses);
    let mut slots = vec![(20, 0), (0, 0)];
    // One request a minute keeps it.
    for _ in 0..4 {
        slots.extend([(0, 0); SLOTS - 2]);
        slots.push((1, 0));
    }
    let found = missing(&slots);
    assert!(found[1..].iter().all(|found| *found == told), "{found:?}");
    slots.push((0, 1));
    assert_eq!(*missing(&slots).last().unwrap(), None, "a response ends it");
    let quiet = [vec![(20, 0), (0, 0)], vec![(0, 0); SLOTS - 1]].concat();
    assert_eq!(*missing(&quiet).last().unwrap(), None, "so does a minute without traffic");
}

#[test]
fn a_direction_is_missing_since_the_first_message_of_the_other() {
    let began = Instant::now();
    let mut traffic = Traffic::new(began);
    let mut totals = Totals::default();
    for at in 1..6 {
        totals.requests += if at > 2 { 20 } else { 0 };
        traffic.turn(began + SLOT * at, totals, Vec::new);
    }
    assert_eq!(traffic.missing(), Some(Finding { what: Missing::Responses, since: began + SLOT * 2 }));
}

#[test]
fn the_first_message_of_any_kind_is_news_at_once() {
    let began = Instant::now();
    let at = |ms| began + Duration::from_millis(ms);
    for totals in [(1, 0, 0), (0, 1, 0), (0, 0, 1)].map(|(requests, responses, others)| Totals { requests, responses, others }) {
        let mut traffic = Traffic::new(began);
        assert!(!traffic.turn(at(200), Totals::default(), Vec::new));
        assert!(!traffic.none_for(at(200), SLOT) && traffic.none_for(at(5000), SLOT));
        assert!(traffic.turn(at(400), totals, Vec::new));
        assert!(!traffic.turn(at(600), totals, Vec::new), "once");
        assert!(!traffic.none_for(at(5000), SLOT));
    }
}

#[test]
fn other_ports_are_reported_once_there_are_enough_requests_until_there_are_none() {
    let began = Instant::now();
    let mut traffic = Traffic::new(began);
    let mut slots = 0;
    let mut play = |traffic: &mut Traffic, requests: u64, ports: &[(u16, u32)]| {
        slots += 1;
        let totals = Totals { requests: traffic.counted.requests + requests, ..Totals::default() };
        traffic.turn(began + SLOT * slots, totals, || ports.to_vec());
        traffic.elsewhere(|port| port != 7).map(|finding| finding.what)
    };
    assert_eq!(play(&mut traffic, 0, &[(5353, 9)]), None);
    assert_eq!(play(&mut traffic, 0, &[(5353, 1), (5300, 3), (7, 1000)]), Some(vec![(5353, 10)]));
    let mut last = None;
    for _ in 0..SLOTS {
        last = play(&mut traffic, 0, &[]);
    }
    assert_eq!(last, None, "does not end a minute after the last one");
    assert_eq!(play(&mut traffic, 10_000, &[(5353, 99)]), None, "less than a hundredth");
    assert_eq!(play(&mut traffic, 0, &[(5353, 1)]), Some(vec![(5353, 100)]));
}

proptest! {
    /// A direction reported as missing never has a message in the window, and the other always has
    /// one.
    #[test]
    fn a_direction_reported_as_missing_is_missing(slots in prop::collection::vec((0u64..12, prop::sample::select(vec![0, 0, 0, 1])), 1..60)) {
        for (at, found) in missing(&slots).into_iter().enumerate() {
            let window = &slots[(at + 1).saturating_sub(SLOTS)..=at];
            let sums = window.iter().fold((0, 0), |sums, slot| (sums.0 + slot.0, sums.1 + slot.1));
            match found {
                Some(Missing::Responses) => prop_assert!(sums.0 > 0 && sums.1 == 0),
                Some(Missing::Requests) => prop_assert!(sums.0 == 0 && sums.1 > 0),
                None => prop_assert!(sums.1 > 0 || sums.0 < MIN_MESSAGES + 12),
            }
        }
    }
}
