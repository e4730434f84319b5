//! Frames of any link type, one after another in the same observer: every packet ends in
//! one counter.
//!
//! Input: the link type (two octets, big endian), then frames: their length (two
//! octets), how many octets the snap length took (one), what passed since the frame
//! before in steps of 50 ms (one), the octets.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonepulse_fuzz::{Checked, scope};
use zonepulse_probe::observe::{Frame, Hit, Observer, Sink};
use zonepulse_wire::{Counter, Counters};

/// Sums counters, too.
#[derive(Default)]
struct Accounted {
    checked: Checked,
    counters: Counters,
}

impl Sink for Accounted {
    fn hit(&mut self, hit: &Hit<'_>) {
        self.checked.hit(hit);
    }

    fn uncounted(&mut self, reason: Counter, time_ms: u64) {
        self.checked.uncounted(reason, time_ms);
    }

    fn add(&mut self, counter: Counter, count: u64) {
        self.checked.add(counter, count);
        self.counters.add(counter, count);
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&link_type, mut rest)) = input.split_first_chunk::<2>() else { return };
    let (mut observer, mut sink) = (Observer::new(&scope()), Accounted::default());
    let mut time_ns = 0;
    while let Some((&[high, low, cut, steps], after)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (data, after) = after.split_at(length);
        rest = after;
        time_ns += u64::from(steps) * 50_000_000;
        let length_on_wire = data.len() as u32 + u32::from(cut);
        observer.frame(&Frame { time_ns, link_type: u16::from_be_bytes(link_type).into(), data, length_on_wire }, &mut sink);
    }
    observer.finish(&mut sink);
    let ended: u64 = Counter::PACKETS.iter().map(|counter| sink.counters.get(*counter)).sum();
    assert_eq!(sink.counters.get(Counter::PacketsSeen), ended, "{:?}", sink.counters);
});
