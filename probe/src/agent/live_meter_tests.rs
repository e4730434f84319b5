//! Intervals and hits when the clock is set.

use super::*;
use crate::memory::Budget;
use crate::meter::{MeterSettings, Source};
use crate::observe::testing::{fragments, frame, query, scope, udp, udp_to_server};
use crate::observe::{Frame, TOLD_BY_SERVER};
use proptest::prelude::*;
use std::cell::Cell;
use std::rc::Rc;
use zonepulse_wire::Batch;

/// The start of an hour.
const BASE_MS: u64 = 3_600_000 * 490_000;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const TICK_MS: u64 = 200;
/// An interval is closed this long after its end.
const GRACE_MS: u64 = 3000 + TICK_MS;

/// A machine with its clocks and a live source.
struct Machine<R> {
    clocks: Rc<Cell<Reading>>,
    live: LiveMeter<R>,
    is_told: bool,
    hits: u64,
    batches: Vec<Batch>,
}

fn machine(wall_ms: u64, is_told: bool) -> Machine<impl Fn() -> Reading> {
    let clocks = Rc::new(Cell::new(Reading { wall_ms, steady_ms: 7_000_000 }));
    let read = clocks.clone();
    let make = |since_ms| {
        let source = if is_told { Source::Told } else { Source::Live { since_ms } };
        let budget = Budget::of_agent(64 << 20, 0);
        Meter::new(MeterSettings { server_id: 1, epoch: 9, interval_s: 60, scope: scope(), budget, served: false, source })
    };
    let mut live = LiveMeter::new(Bounds::default(), move || read.get(), make);
    live.tick();
    Machine { clocks, live, is_told, hits: 0, batches: Vec::new() }
}

impl<R: Fn() -> Reading> Machine<R> {
    fn wall_ms(&self) -> u64 {
        self.clocks.get().wall_ms
    }

    /// Lets time pass, with several clock readings per second.
    fn pass(&mut self, ms: u64) {
        let mut left_ms = ms;
        while left_ms > 0 {
            let step_ms = left_ms.min(TICK_MS);
            left_ms -= step_ms;
            let Reading { wall_ms, steady_ms } = self.clocks.get();
            self.clocks.set(Reading { wall_ms: wall_ms + step_ms, steady_ms: steady_ms + step_ms });
            self.live.tick();
        }
        self.drain();
    }

    /// Sets the clock. Nobody reads it before the next frame or tick.
    fn set_clock(&mut self, wall_ms: u64) {
        self.clocks.set(Reading { wall_ms, ..self.clocks.get() });
    }

    /// Does what the capture thread does between frames; `frame_ms` is the time of the last one.
    fn turn(&mut self, frame_ms: Option<u64>) {
        self.live.look();
        self.live.close_due(frame_ms);
        self.drain();
    }

    /// Counts a hit and returns the time at which a captured one was counted.
    fn hit(&mut self, time_ms: u64) -> Option<u64> {
        self.hits += 1;
        if self.is_told {
            // As in every turn of the dnstap thread.
            self.live.look();
            let octets = query("a.example.");
            let time_ns = time_ms.saturating_mul(NS_PER_MS);
            let link_type = TOLD_BY_SERVER + 1;
            self.live.told(&Frame { time_ns, link_type, data: &octets, length_on_wire: octets.len() as u32 }, MINUTE);
            None
        } else {
            Some(self.live.packet(&frame(&udp_to_server(&query("a.example.")), time_ms)))
        }
    }

    /// Sends the first fragment of a packet, with the whole question. The second never arrives.
    fn first_fragment(&mut self, time_ms: u64) {
        self.hits += 1;
        let octets = [query("a.example."), vec![0; 200]].concat();
        self.live.packet(&frame(&fragments(&udp(40000, 53, &octets), 7, &[64])[0], time_ms));
    }

    fn drain(&mut self) {
        while let Some(batch) = self.live.meter.take_closed() {
            let seen = batch.counters.get(Counter::MessagesSeen);
            assert_eq!(seen, batch.hits() + batch.counters.not_counted(), "a message is unaccounted for");
            assert_eq!(Batch::decode(&batch.encode().unwrap()).unwrap(), batch, "the batch does not survive encoding");
            self.batches.push(batch);
        }
    }

    fn finish(&mut self) {
        self.live.finish(None);
        self.drain();
    }

    /// For each batch with content: start relative to the base, covered range, and hits.
    fn told(&self) -> Vec<(u64, u64, u64, u64)> {
        let telling = self.batches.iter().filter(|batch| batch.hits() > 0 || batch.coverage.until_ms > batch.coverage.from_ms);
        let tell = |batch: &Batch| {
            let start_ms = batch.start_ms();
            let Batch { coverage, .. } = batch;
            (start_ms - BASE_MS, coverage.from_ms - start_ms, coverage.until_ms - start_ms, batch.hits())
        };
        telling.map(tell).collect()
    }

    fn count(&self, counter: Counter) -> u64 {
        self.batches.iter().map(|batch| batch.counters.get(counter)).sum()
    }
}

#[test]
fn a_quiet_probe_continues_after_its_clock_was_an_hour_ahead() {
    for is_told in [false, true] {
        let mut machine = machine(BASE_MS, is_told);
        machine.pass(90_000);
        machine.set_clock(BASE_MS + HOUR + 90_000);
        machine.pass(10_000);
        machine.set_clock(BASE_MS + 100_000);
        machine.pass(3 * MINUTE);
        machine.finish();
        let expected = [
            (0, 0, MINUTE, 0),
            (MINUTE, 0, 30_201, 0),
            (HOUR + MINUTE, 30_200, 40_201, 0),
            (MINUTE, 40_200, MINUTE, 0),
            (2 * MINUTE, 0, MINUTE, 0),
            (3 * MINUTE, 0, MINUTE, 0),
            (4 * MINUTE, 0, 40_001, 0),
        ];
        assert_eq!(machine.told(), expected, "told: {is_told}");
        assert_eq!(machine.count(Counter::ClockSteps), 2);
    }
}

#[test]
fn hits_after_a_clock_was_set_back_are_in_intervals_that_are_covered() {
    for is_told in [false, true] {
        let mut machine = machine(BASE_MS + HOUR, is_told);
        machine.pass(5 * MINUTE);
        machine.set_clock(BASE_MS);
        for _ in 0..4 {
            machine.hit(machine.wall_ms());
            machine.pass(30_000);
        }
        machine.finish();
        let told = machine.told();
        let after: Vec<_> = told.iter().filter(|(start_ms, ..)| *start_ms < HOUR).copied().collect();
        assert_eq!(after, [(0, 0, MINUTE, 2), (MINUTE, 0, MINUTE, 2), (2 * MINUTE, 0, 1, 0)], "told: {is_told}");
    }
}

#[test]
fn a_node_that_starts_in_1970_dates_what_it_counted_when_its_clock_is_set() {
    for is_told in [false, true] {
        let mut machine = machine(30_000, is_told);
        machine.hit(30_000);
        machine.pass(90_000);
        machine.hit(119_000);
        machine.set_clock(BASE_MS + 20_000);
        machine.pass(MINUTE);
        machine.finish();
        assert_eq!(machine.told(), [(0, 20_200, MINUTE, 2), (MINUTE, 0, 20_001, 0)], "told: {is_told}");
        let times: Vec<_> = machine.batches.iter().flat_map(|batch| &batch.rows).map(|row| (row.first_ms, row.last_ms)).collect();
        assert_eq!(times, [(0, 0)], "dated to 1970");
        assert_eq!(machine.count(Counter::ClockSteps), 1);
    }
}

#[test]
fn a_clock_that_loses_its_time_while_it_is_listened_keeps_hits_until_it_is_set_again() {
    let mut machine = machine(BASE_MS, false);
    machine.hit(BASE_MS);
    machine.pass(10_000);
    machine.set_clock(0);
    machine.pass(2 * MINUTE);
    machine.hit(machine.wall_ms());
    machine.set_clock(BASE_MS + 3 * MINUTE);
    machine.pass(MINUTE);
    machine.finish();
    assert_eq!(machine.told(), [(0, 0, 10_201, 1), (3 * MINUTE, 200, MINUTE, 1), (4 * MINUTE, 0, 1, 0)]);
}

#[test]
fn hits_that_are_never_dated_are_in_no_batch() {
    let mut machine = machine(30_000, false);
    machine.hit(30_000);
    machine.pass(90_000);
    machine.finish();
    assert_eq!(machine.batches, []);
}

#[test]
fn a_small_step_within_the_interval_leaves_it_one_batch() {
    for (by_ms, covered_from_ms) in [(10_000, 11_000), (-10_000, 0), (-900, 100)] {
        let mut machine = machine(BASE_MS + 1000, false);
        machine.pass(20_000);
        machine.set_clock(machine.wall_ms().saturating_add_signed(by_ms));
        machine.pass(61_000);
        let told = machine.told();
        assert_eq!(told[0], (0, covered_from_ms, MINUTE, 0), "by {by_ms}");
        assert_eq!(told.iter().filter(|(start_ms, ..)| *start_ms == 0).count(), 1);
    }
}

#[test]
fn a_change_too_small_for_a_step_does_no_harm() {
    for by_ms in [499, -499] {
        let mut machine = machine(BASE_MS, false);
        machine.pass(MINUTE - 300);
        machine.set_clock(machine.wall_ms().saturating_add_signed(by_ms));
        machine.hit(machine.wall_ms());
        machine.pass(2 * MINUTE);
        assert_eq!(machine.told().first().map(|told| (told.0, told.1, told.2)), Some((0, 0, MINUTE)));
        assert_eq!((machine.count(Counter::ClockSteps), machine.count(Counter::PacketTimesReplaced)), (0, 0));
    }
}

#[test]
fn a_packet_of_another_time_counts_at_its_arrival_and_closes_nothing() {
    let ten_years_ms = 10 * 365 * 24 * HOUR;
    for time_ms in [0, BASE_MS - ten_years_ms, BASE_MS + ten_years_ms, u64::MAX / NS_PER_MS, BASE_MS + 31_500, BASE_MS - 31_000] {
        let mut machine = machine(BASE_MS, false);
        machine.pass(30_000);
        machine.hit(time_ms);
        machine.pass(MINUTE);
        machine.finish();
        assert_eq!(machine.told(), [(0, 0, MINUTE, 1), (MINUTE, 0, 30_001, 0)], "{time_ms}");
        let rows: Vec<_> = machine.batches.iter().flat_map(|batch| &batch.rows).collect();
        assert_eq!((rows[0].first_ms, rows[0].last_ms), (30_000, 30_000), "{time_ms}");
        assert_eq!(machine.count(Counter::PacketTimesReplaced), 1, "{time_ms}");
    }
}

#[test]
fn a_dnstap_message_of_another_time_counts_at_its_arrival() {
    for (time_ms, replaced) in
        [(0, 1), (BASE_MS + 31_001, 1), (u64::MAX, 1), (BASE_MS + 31_000, 0), (BASE_MS + 1, 0), (BASE_MS - 1, 1)]
    {
        let mut machine = machine(BASE_MS, true);
        machine.pass(30_000);
        machine.hit(time_ms);
        machine.pass(MINUTE);
        machine.finish();
        assert_eq!(machine.told(), [(0, 0, MINUTE, 1), (MINUTE, 0, 30_001, 0)], "{time_ms}");
        assert_eq!(machine.count(Counter::DnstapTimesReplaced), replaced, "{time_ms}");
    }
}

#[test]
fn a_machine_that_slept_was_not_listening_and_its_clock_was_not_set() {
    let mut machine = machine(BASE_MS, false);
    machine.pass(20_000);
    let Reading { wall_ms, steady_ms } = machine.clocks.get();
    machine.clocks.set(Reading { wall_ms: wall_ms + HOUR, steady_ms: steady_ms + HOUR });
    machine.pass(10_000);
    machine.finish();
    assert_eq!(machine.told(), [(0, 0, 20_001, 0), (HOUR, 20_200, 30_001, 0)]);
    assert_eq!(machine.count(Counter::ClockSteps), 0);
}

#[test]
fn a_frame_of_the_old_clock_does_not_bring_the_old_time_back() {
    let mut machine = machine(BASE_MS + HOUR, false);
    machine.pass(30_000);
    let held_ms = machine.wall_ms();
    machine.set_clock(BASE_MS + 30_000);
    let frame_ms = machine.hit(held_ms);
    machine.turn(frame_ms);
    machine.pass(2 * MINUTE);
    machine.finish();
    let expected = [(HOUR, 0, 30_001, 1), (0, 30_000, MINUTE, 0), (MINUTE, 0, MINUTE, 0), (2 * MINUTE, 0, 30_001, 0)];
    assert_eq!(machine.told(), expected);
}

#[test]
fn a_clock_set_back_within_the_interval_covers_no_time_that_is_yet_to_come() {
    let mut machine = machine(BASE_MS + 5000, false);
    machine.pass(90_000);
    let held_ms = machine.wall_ms();
    machine.set_clock(held_ms - 30_000);
    let frame_ms = machine.hit(held_ms);
    machine.turn(frame_ms);
    machine.pass(10_000);
    machine.finish();
    assert_eq!(machine.told(), [(0, 5000, MINUTE, 0), (MINUTE, 0, 15_001, 1)]);
}

#[test]
fn a_frame_of_a_clock_that_is_not_set_opens_nothing_in_1970_when_it_is() {
    let mut machine = machine(30_000, false);
    let frame_ms = machine.hit(30_000);
    machine.set_clock(BASE_MS + 20_000);
    machine.turn(frame_ms);
    machine.pass(MINUTE);
    machine.finish();
    let starts: Vec<_> = machine.batches.iter().map(|batch| batch.start_ms().saturating_sub(BASE_MS)).collect();
    assert!(machine.batches.iter().all(|batch| batch.start_ms() >= BASE_MS), "{starts:?}");
    assert_eq!(machine.told(), [(0, 20_000, MINUTE, 1), (MINUTE, 0, 20_001, 0)]);
}

#[test]
fn an_end_before_the_clock_was_set_is_the_end_by_the_new_one() {
    let mut machine = machine(BASE_MS + HOUR, false);
    machine.pass(10_000);
    let end_ms = machine.wall_ms();
    machine.set_clock(BASE_MS + 10_000);
    machine.live.finish(Some(end_ms));
    machine.drain();
    assert_eq!(machine.told(), [(HOUR, 0, 10_001, 0), (0, 10_000, 10_001, 0)]);
}

#[test]
fn a_fragment_of_a_clock_that_is_not_set_counts_when_it_is() {
    let mut machine = machine(30_000, false);
    machine.first_fragment(30_000);
    machine.set_clock(BASE_MS + 20_000);
    machine.pass(MINUTE);
    machine.finish();
    assert!(machine.batches.iter().all(|batch| batch.start_ms() >= BASE_MS), "a batch starts in 1970");
    assert_eq!(machine.told(), [(0, 20_200, MINUTE, 1), (MINUTE, 0, 20_001, 0)]);
}

#[test]
fn a_fragment_that_waits_while_the_clock_is_set_counts_by_the_new_one() {
    let mut machine = machine(BASE_MS + HOUR, false);
    machine.pass(10_000);
    machine.first_fragment(machine.wall_ms());
    machine.set_clock(BASE_MS + 10_000);
    machine.pass(MINUTE);
    machine.finish();
    assert_eq!(machine.told(), [(HOUR, 0, 10_201, 0), (0, 10_200, MINUTE, 1), (MINUTE, 0, 10_001, 0)]);
}

/// Something that happens to a machine.
#[derive(Debug, Clone, Copy)]
enum Event {
    Pass(u64),
    /// A packet captured this many milliseconds ago.
    Hit(u64),
    /// The clock is set by this many milliseconds; the flag says whether a packet stamped by the
    /// old clock arrives before the next reading.
    Step(i64, bool),
    /// The clock falls back to a time in 1970, Unix milliseconds.
    Lose(u64),
}

fn event(with_traffic: bool) -> impl Strategy<Value = Event> {
    let sizes = vec![600i64, 2000, 7000, 30_000, 200_000, 3_600_000, 86_400_000, 315_360_000_000];
    let step = (prop::sample::select(sizes), any::<bool>(), any::<bool>())
        .prop_map(move |(ms, back, held)| Event::Step(if back { -ms } else { ms }, held && with_traffic));
    let hit = if with_traffic { (0u64..300).prop_map(Event::Hit).boxed() } else { Just(Event::Pass(200)).boxed() };
    prop_oneof![
        6 => (1u64..200_000).prop_map(Event::Pass),
        8 => hit,
        3 => step,
        1 => (0u64..1_000_000).prop_map(Event::Lose),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    any::<bool>().prop_flat_map(|with_traffic| prop::collection::vec(event(with_traffic), 1..60))
}

proptest! {
    /// Between two steps, every complete interval is exactly one fully covered batch, and no hit is
    /// lost.
    #[test]
    fn however_the_clock_is_set_each_interval_is_covered_once_and_hits_add_up(events in events(), is_told: bool) {
        let mut machine = machine(BASE_MS + 12_345, is_told);
        // The range in which the clock ran undisturbed, and the batches closed in it.
        let (mut since_ms, mut closed) = (Some(machine.wall_ms()), 0);
        let mut listened_ms = 0;
        for event in events.into_iter().chain([Event::Step(5_000_000, false), Event::Pass(3 * MINUTE), Event::Step(86_400_000, false)]) {
            let (before_ms, mut has_held) = (machine.wall_ms(), false);
            match event {
                Event::Pass(ms) => {
                    machine.pass(ms);
                    listened_ms += ms;
                    continue;
                }
                Event::Hit(ago_ms) => {
                    machine.hit(before_ms.saturating_sub(ago_ms));
                    continue;
                }
                Event::Step(by_ms, held) => {
                    has_held = held;
                    // A clock that is not set jumps to a valid time.
                    let from_ms = since_ms.map_or(BASE_MS, |_| before_ms);
                    let to_ms = from_ms.saturating_add_signed(by_ms);
                    // Keep the time within the range this test can compute with.
                    machine.set_clock(if (BASE_MS / 2..BASE_MS * 2).contains(&to_ms) { to_ms } else { BASE_MS + 1_000_000 });
                }
                Event::Lose(wall_ms) => machine.set_clock(wall_ms),
            }
            let frame_ms = if has_held { machine.hit(before_ms) } else { None };
            if before_ms.abs_diff(machine.wall_ms()) < 600 {
                continue;
            }
            machine.turn(frame_ms);
            let batches = &machine.batches[closed..];
            if let Some(since_ms) = since_ms {
                let first_ms = since_ms.next_multiple_of(MINUTE);
                for start_ms in (first_ms..).step_by(MINUTE as usize).take_while(|start_ms| start_ms + MINUTE + GRACE_MS <= before_ms) {
                    let covered: Vec<_> = batches
                        .iter()
                        .filter(|batch| batch.start_ms() == start_ms && batch.coverage.until_ms > batch.coverage.from_ms)
                        .map(|batch| (batch.coverage.from_ms - start_ms, batch.coverage.until_ms - start_ms))
                        .collect();
                    prop_assert_eq!(covered, [(0, MINUTE)], "{}", start_ms);
                }
            }
            closed = machine.batches.len();
            since_ms = machine.live.now_ms;
        }
        machine.finish();
        prop_assert_eq!(machine.batches.iter().map(Batch::hits).sum::<u64>(), machine.hits);
        let steps = 2 + machine.count(Counter::ClockSteps);
        let covered: u64 = machine.batches.iter().map(|batch| batch.coverage.until_ms - batch.coverage.from_ms).sum();
        prop_assert!(covered <= listened_ms + 2 * steps, "{} of {}", covered, listened_ms);
        let numbers: std::collections::HashSet<_> = machine.batches.iter().map(|batch| batch.identity.seq).collect();
        prop_assert_eq!(numbers.len(), machine.batches.len());
    }
}
