//! How a meter turns frames into batches.

use super::{Meter, MeterSettings, Source};
use crate::clock::Step;
use crate::memory::{Budget, MAX_NAME_OCTETS, MAX_RECORDS};
use crate::observe::testing::{
    denial, ethernet, fragments, frame, ipv4, ipv4_part, query, response, scope, stream, tcp_to_server, udp, udp_from_server,
    udp_to_server,
};
use crate::observe::{Addresses, Scope};
use crate::times::Possible;
use proptest::prelude::*;
use zonepulse_wire::{Batch, Counter, OTHER};

const MINUTE: u64 = 60_000;

fn settings(source: Source) -> MeterSettings {
    MeterSettings { server_id: 7, epoch: 99, interval_s: 60, scope: scope(), budget: budget(1000), served: false, source }
}

fn budget(max_records: usize) -> Budget {
    Budget { max_records, max_name_octets: MAX_NAME_OCTETS, ..Budget::of_agent(64 << 20, 0) }
}

fn replay() -> Meter {
    Meter::new(settings(Source::Replay(Possible::ANY)))
}

fn live(since_ms: u64) -> Meter {
    Meter::new(settings(Source::Live { since_ms: Some(since_ms) }))
}

/// The batches so far, each checked for general invariants.
fn batches(meter: &mut Meter) -> Vec<Batch> {
    let batches: Vec<_> = std::iter::from_fn(|| meter.take_closed()).collect();
    for batch in &batches {
        let seen = batch.counters.get(Counter::MessagesSeen);
        assert_eq!(seen, batch.hits() + batch.counters.not_counted(), "a message is unaccounted for");
        assert_eq!(Batch::decode(&batch.encode().unwrap()).unwrap(), *batch, "the batch does not survive encoding");
    }
    batches
}

/// Start of the interval, coverage relative to it, and hits.
fn summary(batch: &Batch) -> (u64, u64, u64, u64) {
    let start = batch.start_ms();
    (start, batch.coverage.from_ms - start, batch.coverage.until_ms - start, batch.hits())
}

fn hit(meter: &mut Meter, time_ms: u64) {
    meter.frame(&frame(&udp_to_server(&query("a.example.")), time_ms));
}

#[test]
fn a_replay_covers_from_its_first_frame_to_its_last() {
    let mut meter = replay();
    hit(&mut meter, 10 * MINUTE + 5000);
    hit(&mut meter, 10 * MINUTE + 7000);
    assert!(batches(&mut meter).is_empty());
    hit(&mut meter, 13 * MINUTE + 100);
    meter.finish(0);
    let batches = batches(&mut meter);
    let expected =
        [(10 * MINUTE, 5000, MINUTE, 2), (11 * MINUTE, 0, MINUTE, 0), (12 * MINUTE, 0, MINUTE, 0), (13 * MINUTE, 0, 101, 1)];
    assert_eq!(batches.iter().map(summary).collect::<Vec<_>>(), expected);
    assert_eq!(batches.iter().map(|batch| batch.identity.seq).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let row = batches[0].rows[0];
    assert_eq!((row.hits, row.first_ms, row.last_ms), (2, 5000, 7000));
    assert_eq!((batches[0].identity.server_id.get(), batches[0].identity.epoch), (7, 99));
}

#[test]
fn a_live_meter_reports_intervals_without_any_frame() {
    let mut meter = live(10 * MINUTE + 30_000);
    for now_ms in (10 * MINUTE + 30_000..12 * MINUTE + 500).step_by(250) {
        meter.close_due(now_ms);
    }
    meter.finish(12 * MINUTE + 700);
    let summaries: Vec<_> = batches(&mut meter).iter().map(summary).collect();
    assert_eq!(summaries, [(10 * MINUTE, 30_000, MINUTE, 0), (11 * MINUTE, 0, MINUTE, 0), (12 * MINUTE, 0, 701, 0)]);
}

#[test]
fn an_interval_stays_open_for_a_second_for_frames_that_come_late() {
    let mut meter = live(10 * MINUTE);
    meter.close_due(11 * MINUTE - 100);
    meter.close_due(11 * MINUTE + 900);
    hit(&mut meter, 11 * MINUTE + 850);
    hit(&mut meter, 11 * MINUTE - 1);
    assert!(batches(&mut meter).is_empty());
    meter.close_due(11 * MINUTE + 1000);
    assert_eq!(batches(&mut meter).iter().map(summary).collect::<Vec<_>>(), [(10 * MINUTE, 0, MINUTE, 1)]);
}

#[test]
fn a_hit_after_its_interval_closed_makes_a_batch_without_coverage() {
    let mut meter = replay();
    hit(&mut meter, 10 * MINUTE);
    hit(&mut meter, 12 * MINUTE);
    hit(&mut meter, 10 * MINUTE + 1);
    meter.finish(0);
    let mut summaries: Vec<_> = batches(&mut meter).iter().map(summary).collect();
    summaries.sort();
    let expected = [(10 * MINUTE, 0, 0, 1), (10 * MINUTE, 0, MINUTE, 1), (11 * MINUTE, 0, MINUTE, 0), (12 * MINUTE, 0, 1, 1)];
    assert_eq!(summaries, expected);
}

#[test]
fn time_asleep_is_not_covered() {
    let mut meter = live(10 * MINUTE);
    meter.close_due(10 * MINUTE + 20_000);
    meter.close_due(500 * MINUTE + 1000);
    meter.finish(500 * MINUTE + 2000);
    let summaries: Vec<_> = batches(&mut meter).iter().map(summary).collect();
    assert_eq!(summaries, [(10 * MINUTE, 0, 20_001, 0), (500 * MINUTE, 1000, 2001, 0)]);
}

#[test]
fn a_clock_that_is_set_back_loses_nothing_and_covers_nothing_twice() {
    let mut meter = live(10 * MINUTE);
    for now_ms in (10 * MINUTE..14 * MINUTE).step_by(1000) {
        meter.close_due(now_ms);
    }
    for now_ms in (5 * MINUTE..16 * MINUTE).step_by(1000) {
        meter.close_due(now_ms);
        hit(&mut meter, now_ms);
    }
    meter.finish(16 * MINUTE);
    let batches = batches(&mut meter);
    assert_eq!(batches.iter().map(Batch::hits).sum::<u64>(), 660);
    let covered: u64 = batches.iter().map(|batch| batch.coverage.until_ms - batch.coverage.from_ms).sum();
    assert_eq!(covered, 6 * MINUTE + 1);
}

#[test]
fn dnstap_messages_count_even_without_coverage() {
    let mut meter = Meter::new(settings(Source::Told));
    hit(&mut meter, 10 * MINUTE);
    meter.finish(10 * MINUTE + 10);
    meter.finish(10 * MINUTE + 20);
    meter.close_due(10 * MINUTE + 30_000);
    hit(&mut meter, 10 * MINUTE + 29_999);
    meter.close_due(11 * MINUTE + 2999);
    hit(&mut meter, 11 * MINUTE - 1);
    meter.close_due(11 * MINUTE + 3000);
    meter.finish(11 * MINUTE + 3000);
    let summaries: Vec<_> = batches(&mut meter).iter().map(summary).collect();
    assert_eq!(summaries, [(10 * MINUTE, 0, 0, 1), (10 * MINUTE, 30_000, MINUTE, 2), (11 * MINUTE, 0, 3001, 0)]);
}

#[test]
fn rows_are_in_order_and_an_overflow_is_one_record() {
    let mut meter = Meter::new(MeterSettings { budget: budget(2), ..settings(Source::Replay(Possible::ANY)) });
    for name in ["c.", "b.", "a.", "d."] {
        meter.frame(&frame(&udp_from_server(&response(name, 3)), 1000));
        meter.frame(&frame(&udp_to_server(&query(name)), 2000));
    }
    meter.finish(0);
    let batch = batches(&mut meter).remove(0);
    assert!(batch.rows.is_sorted_by_key(|row| (row.record, row.kind)));
    let names: Vec<_> = batch.records.iter().map(|(name, record_type)| (name.to_owned(), record_type.value())).collect();
    assert_eq!(names, [("c.".to_owned(), 1), ("b.".to_owned(), 1), (OTHER.to_owned(), 0)]);
    let other: Vec<_> = batch.rows.iter().filter(|row| row.record == 2).map(|row| (row.kind.number(), row.hits)).collect();
    assert_eq!(other, [(0, 2), (4, 2)]);
    assert_eq!(batch.counters.get(Counter::MessagesFolded), 4);
}

#[test]
fn counters_belong_to_an_interval_too() {
    let mut meter = replay();
    meter.add(Counter::BatchesRefused, 2);
    meter.frame(&frame(&udp_to_server(&[1, 2, 3]), 10 * MINUTE));
    meter.frame(&frame(&udp_to_server(&query("a.")), 12 * MINUTE));
    meter.add(Counter::KernelDropped, 5);
    meter.finish(0);
    let batches = batches(&mut meter);
    let of = |batch: usize, counter| batches[batch].counters.get(counter);
    assert_eq!((of(0, Counter::BatchesRefused), of(0, Counter::ShortHeader), of(0, Counter::PacketsSeen)), (2, 1, 1));
    assert_eq!((of(2, Counter::KernelDropped), of(2, Counter::PacketsSeen), of(1, Counter::PacketsSeen)), (5, 1, 0));
}

#[test]
fn a_message_that_waited_in_a_stream_counts_in_its_own_interval() {
    let octets = stream(&[query("a."), query("b.")]);
    let half = octets.len() / 2;
    let mut meter = replay();
    meter.frame(&frame(&tcp_to_server(9, 2, &[]), 10 * MINUTE));
    meter.frame(&frame(&tcp_to_server(10 + half as u32, 0x18, &octets[half..]), 11 * MINUTE - 1));
    hit(&mut meter, 11 * MINUTE + 500);
    meter.finish(0);
    let summaries: Vec<_> = batches(&mut meter).iter().map(summary).collect();
    assert_eq!(summaries, [(10 * MINUTE, 0, MINUTE, 1), (11 * MINUTE, 0, 501, 1)]);
}

#[test]
fn the_largest_batch_can_be_sent() {
    let mut meter = Meter::new(MeterSettings { budget: budget(usize::MAX), ..settings(Source::Replay(Possible::ANY)) });
    let mut seed = 1u64;
    for number in 0..MAX_RECORDS + 1000 {
        let mut message = query("12345678901234567890123456789.");
        for octet in &mut message[13..42] {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *octet = (seed >> 56) as u8;
        }
        meter.frame(&frame(&udp_to_server(&message), 1000 + (number as u64 * 7919) % 58_000));
    }
    meter.finish(0);
    let batch = batches(&mut meter).remove(0);
    assert_eq!(batch.hits(), MAX_RECORDS as u64 + 1000);
    assert!(batch.counters.get(Counter::MessagesFolded) > 0);
}

proptest! {
    #[test]
    fn in_whatever_order_frames_come_nothing_is_lost(
        times in prop::collection::vec(0..20 * MINUTE, 1..200),
        is_live: bool,
    ) {
        let mut meter = if is_live { live(times[0]) } else { replay() };
        let mut per_interval = std::collections::BTreeMap::new();
        for time_ms in &times {
            hit(&mut meter, *time_ms);
            meter.close_due(*time_ms);
            *per_interval.entry(time_ms - time_ms % MINUTE).or_insert(0) += 1;
        }
        meter.finish(20 * MINUTE);
        let mut found = std::collections::BTreeMap::new();
        for batch in batches(&mut meter).iter().filter(|batch| batch.hits() > 0) {
            *found.entry(batch.start_ms()).or_insert(0) += batch.hits();
        }
        prop_assert_eq!(found, per_interval);
    }

    #[test]
    fn every_message_is_in_a_row_or_under_a_reason_whatever_the_memory(
        messages in prop::collection::vec((0u16..400, 0u8..7, 0..5 * MINUTE), 1..400),
        max_records in 0usize..60,
    ) {
        let mut meter = Meter::new(MeterSettings { budget: budget(max_records), ..settings(Source::Replay(Possible::ANY)) });
        let (mut expected, mut seen, mut garbage) = (std::collections::BTreeMap::new(), 0, 0);
        let mut times: Vec<u64> = messages.iter().map(|(.., time_ms)| *time_ms).collect();
        times.sort_unstable();
        for ((number, what, _), time_ms) in messages.iter().zip(times) {
            let name = format!("n{number}.example.");
            let (octets, kind) = match what {
                0 | 1 => (udp_to_server(&query(&name)), Some(0)),
                2 => (udp_from_server(&response(&name, 0)), Some(1)),
                3 | 4 => (udp_from_server(&denial(&name, 3, b"\x07example\x00")), Some(4)),
                5 => (udp_from_server(&response(&name, 5)), Some(6)),
                _ => (udp_to_server(&[7; 5]), None),
            };
            meter.frame(&frame(&octets, time_ms));
            seen += 1;
            match kind {
                Some(kind) => *expected.entry(kind).or_insert(0) += 1,
                None => garbage += 1,
            }
        }
        meter.finish(0);
        let batches = batches(&mut meter);
        let mut found = std::collections::BTreeMap::new();
        for row in batches.iter().flat_map(|batch| &batch.rows) {
            *found.entry(row.kind.number()).or_insert(0u64) += row.hits;
        }
        prop_assert_eq!(found, expected);
        let sum = |counter| batches.iter().map(|batch| batch.counters.get(counter)).sum::<u64>();
        prop_assert_eq!((sum(Counter::MessagesSeen), sum(Counter::ShortHeader)), (seen, garbage));
        let others = |batch: &Batch| batch.records.iter().map(|(name, _)| name.starts_with(OTHER)).collect::<Vec<_>>();
        let folded: u64 = batches
            .iter()
            .flat_map(|batch| {
                let others = others(batch);
                batch.rows.iter().filter(move |row| others[row.record as usize]).map(|row| row.hits)
            })
            .sum();
        prop_assert_eq!(folded, sum(Counter::MessagesFolded));
        for batch in &batches {
            prop_assert!(batch.records.iter().filter(|(name, _)| !name.starts_with(OTHER)).count() <= max_records);
        }
    }
}

#[test]
fn a_flood_over_many_intervals_takes_no_place_of_a_name_that_is_answered() {
    let mut meter = Meter::new(MeterSettings { budget: budget(100), ..settings(Source::Replay(Possible::ANY)) });
    let mut answer = response("www.example.", 0);
    answer[7] = 1;
    let ask = |meter: &mut Meter, time_ms: u64| {
        meter.frame(&frame(&udp_to_server(&query("www.example.")), time_ms));
        meter.frame(&frame(&udp_from_server(&answer), time_ms));
    };
    ask(&mut meter, MINUTE - 1);
    let mut made_up = 0;
    for minute in 1..6 {
        for second in 0..60 {
            let time_ms = minute * MINUTE + second * 1000;
            for _ in 0..20 {
                made_up += 1;
                let name = format!("r{made_up}.example.");
                meter.frame(&frame(&udp_to_server(&query(&name)), time_ms));
                meter.frame(&frame(
                    &udp_from_server(&denial(&name, 3, &[0xc0, 12 + 2 + made_up.to_string().len() as u8])),
                    time_ms,
                ));
            }
            // The last one arrives late, when the next interval has begun.
            let is_last = second == 59;
            let asks = if is_last { (minute + 1) * MINUTE + 500 } else { time_ms };
            meter.frame(&frame(&udp_to_server(&query("clock.")), asks));
            ask(&mut meter, time_ms);
        }
    }
    meter.finish(0);
    let batches = batches(&mut meter);
    for batch in &batches[1..6] {
        let number = batch.records.iter().position(|(name, _)| name == "www.example.").unwrap() as u32;
        let hits: Vec<_> = batch.rows.iter().filter(|row| row.record == number).map(|row| row.hits).collect();
        assert_eq!(hits, [60, 60], "{}", batch.start_s);
        assert!(batch.counters.get(Counter::MessagesFolded) > 2000);
        assert!(batch.counters.get(Counter::RecordsForgotten) > 0 || batch.start_s == 60);
    }
    // Remembered records without hits are in no batch.
    assert!(batches.iter().all(|batch| batch.records.len() <= 102));
}

#[test]
fn a_change_of_interval_loses_and_doubles_nothing() {
    let mut meter = live(10 * MINUTE);
    hit(&mut meter, 10 * MINUTE + 15_000);
    meter.set_interval(60, 10 * MINUTE + 20_000);
    assert!(batches(&mut meter).is_empty(), "a batch although nothing changed");
    meter.set_interval(10, 10 * MINUTE + 25_000);
    // One held back by the ring, and one of the continuing interval.
    hit(&mut meter, 10 * MINUTE + 15_001);
    hit(&mut meter, 10 * MINUTE + 26_000);
    meter.close_due(10 * MINUTE + 31_000);
    meter.set_interval(60, 10 * MINUTE + 31_500);
    hit(&mut meter, 10 * MINUTE + 50_000);
    meter.close_due(11 * MINUTE + 1000);
    let mut batches = batches(&mut meter);
    batches.sort_by_key(|batch| batch.coverage.from_ms);
    let told: Vec<_> = batches.iter().map(|batch| (batch.interval_s, summary(batch))).collect();
    let expected = [
        (60, (10 * MINUTE, 0, 25_001, 1)),
        (10, (10 * MINUTE + 10_000, 0, 0, 1)),
        (10, (10 * MINUTE + 20_000, 5001, 10_000, 1)),
        (10, (10 * MINUTE + 30_000, 0, 1501, 0)),
        (60, (10 * MINUTE, 31_501, MINUTE, 1)),
    ];
    let mut sorted = told.clone();
    sorted.sort_by_key(|(_, (start, from, _, _))| start + from);
    let mut expected = expected.to_vec();
    expected.sort_by_key(|(_, (start, from, _, _))| start + from);
    assert_eq!(sorted, expected);
    let numbers: std::collections::HashSet<_> = batches.iter().map(|batch| batch.identity).collect();
    assert_eq!(numbers.len(), batches.len());
}

#[test]
fn a_stream_continues_across_a_change_of_interval() {
    let mut meter = live(10 * MINUTE);
    let octets = stream(&[query("a.example.")]);
    meter.frame(&frame(&tcp_to_server(9, 2, &[]), 10 * MINUTE));
    meter.frame(&frame(&tcp_to_server(10, 0x18, &octets[..9]), 10 * MINUTE + 1000));
    meter.set_interval(10, 10 * MINUTE + 1500);
    meter.frame(&frame(&tcp_to_server(19, 0x18, &octets[9..]), 10 * MINUTE + 2000));
    meter.finish(10 * MINUTE + 3000);
    assert_eq!(batches(&mut meter).iter().map(Batch::hits).sum::<u64>(), 1);
}

#[test]
fn setting_the_clock_back_does_not_extend_the_wait_for_later_frames() {
    let mut meter = live(600 * MINUTE);
    let fragment = ethernet(0x0800, &ipv4_part(17, 1, 53, 7, 0x2000, &[0; 16]));
    meter.frame(&frame(&fragment, 600 * MINUTE + 1000));
    let octets = stream(&[query("a.example.")]);
    meter.frame(&frame(&tcp_to_server(9, 2, &[]), 600 * MINUTE + 1000));
    meter.frame(&frame(&tcp_to_server(10, 0x18, &octets[..9]), 600 * MINUTE + 1000));
    meter.step(Step { from_ms: 600 * MINUTE + 2000, to_ms: 500 * MINUTE });
    meter.frame(&frame(&tcp_to_server(19, 0x18, &octets[9..]), 500 * MINUTE + 10));
    let lost = |meter: &mut Meter, seconds: std::ops::Range<u64>| {
        seconds.for_each(|second| meter.close_due(500 * MINUTE + second * 1000));
        let batches = batches(meter);
        (
            batches.iter().map(Batch::hits).sum::<u64>(),
            batches.iter().map(|batch| batch.counters.get(Counter::FragmentsLost)).sum(),
        )
    };
    assert_eq!(lost(&mut meter, 1..62), (1, 1), "the stream continues, and the fragment expires after its 30 seconds");
}

/// A replay that accepts times from the tenth minute on.
fn late_replay() -> Meter {
    Meter::new(settings(Source::Replay(Possible { from_ms: 10 * MINUTE, ..Possible::ANY })))
}

/// A query of 200 octets in fragments, the first of which contains the whole question.
fn in_fragments() -> Vec<Vec<u8>> {
    fragments(&udp(40000, 53, &[query("a.example."), vec![0; 200]].concat()), 7, &[64])
}

#[test]
fn a_fragment_before_the_first_possible_time_waits_for_the_others() {
    let mut meter = late_replay();
    let parts = in_fragments();
    meter.frame(&frame(&parts[0], 5));
    meter.frame(&frame(&parts[1], 10 * MINUTE));
    meter.finish(0);
    let batches = batches(&mut meter);
    assert_eq!(batches.iter().map(summary).collect::<Vec<_>>(), [(10 * MINUTE, 0, 1, 1)]);
    let counters = &batches[0].counters;
    assert_eq!((counters.get(Counter::FragmentsJoined), counters.get(Counter::FragmentsLost)), (1, 0));
}

#[test]
fn a_fragment_of_a_capture_without_any_possible_time_is_in_no_batch() {
    let mut meter = late_replay();
    meter.frame(&frame(&in_fragments()[0], 5));
    meter.finish(0);
    assert_eq!(batches(&mut meter), []);
    let early = meter.take_early();
    assert_eq!((early.get(Counter::TimeTooEarly), early.get(Counter::MessagesSeen)), (1, 1));
}

#[test]
fn a_fragment_ahead_of_a_clock_that_loses_its_time_is_undated_with_the_others() {
    let mut meter = Meter::new(MeterSettings { interval_s: 1, ..settings(Source::Live { since_ms: Some(10 * MINUTE) }) });
    meter.frame(&frame(&in_fragments()[0], 10 * MINUTE + 1000));
    meter.undate(10 * MINUTE);
    assert_eq!(meter.give_up_undated(), 1);
}

#[test]
fn other_ports_are_examined_on_request() {
    let asked = ethernet(0x0800, &ipv4(17, 1, 53, &udp(40000, 5533, &query("a."))));
    let answered = ethernet(0x0800, &ipv4(17, 53, 1, &udp(5533, 40000, &response("a.", 0))));
    let ports = |mut meter: Meter| {
        meter.frame(&frame(&asked, 10 * MINUTE));
        meter.frame(&frame(&answered, 10 * MINUTE));
        (meter.take_other_ports(), meter.take_other_ports())
    };
    assert_eq!(ports(replay()), (vec![(5533, 2)], vec![]));
    assert_eq!(ports(live(10 * MINUTE)), (vec![(5533, 1)], vec![]), "a live meter looks only at requests");
    let mut elsewhere = live(10 * MINUTE);
    elsewhere.set_scope(&Scope { ports: vec![53], addresses: Addresses::These(vec!["192.0.2.1".parse().unwrap()]) });
    elsewhere.frame(&frame(&asked, 10 * MINUTE));
    assert_eq!(elsewhere.other_ports(), [], "the request was to another server");
}
