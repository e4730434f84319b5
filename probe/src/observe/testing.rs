//! Frames made by hand, and a sink that remembers, for tests.

use super::{Hit, Sink};
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_wire::{Counter, Counters};

/// Remembers everything.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) hits: Vec<(String, RecordType, MessageKind, u64)>,
    pub(crate) counters: Counters,
}

impl Sink for Memory {
    fn hit(&mut self, hit: &Hit<'_>) {
        let mut name = String::new();
        assert!(zonepulse_dns::name::push_text(hit.name, &mut name), "{:?} is a well-formed name", hit.name);
        self.hits.push((name, hit.record_type, hit.kind, hit.time_ms));
        self.counters.add(Counter::MessagesSeen, 1);
    }

    fn uncounted(&mut self, reason: Counter, _time_ms: u64) {
        assert!(Counter::NOT_COUNTED.contains(&reason));
        self.counters.add(reason, 1);
        self.counters.add(Counter::MessagesSeen, 1);
    }

    fn add(&mut self, counter: Counter, count: u64) {
        self.counters.add(counter, count);
    }
}
