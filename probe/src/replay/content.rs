//! The identity of a replay: a hash of what its captures contain, independent of files.
//!
//! The captures are read once before they are replayed, with the same observer and memory limits,
//! and everything that counts is hashed: each message's time in milliseconds, lower-case name, type
//! and kind; and the times of the first, last, earliest and latest frame. Messages that do not
//! count because their time is impossible are not hashed either: only then do batches with the same
//! number have the same contents. Compression, file format, byte order, time unit, link layer, the
//! distribution of frames over files, and the memory left for records make no difference.

use crate::memory::Budget;
use crate::meter::{CaptureClock, Refused};
use crate::observe::{Frame, Hit, Observer, Scope, Sink};
use crate::times::{BEYOND_NS, Possible};
use sha2::{Digest, Sha256};
use zonepulse_wire::Counter;

const NS_PER_MS: u64 = 1_000_000;

/// Reads frames and computes their identity.
pub(super) struct Content {
    observer: Observer,
    hits: Hits,
    possible: Possible,
    clock: CaptureClock,
    span: Option<Span>,
    /// The newest possible time, and the newest time of all.
    newest_ns: Option<u64>,
    newest_of_all_ns: u64,
}

/// Times of frames that count, Unix milliseconds. Frames need not be in order.
#[derive(Clone, Copy)]
struct Span {
    first_ms: u64,
    last_ms: u64,
    earliest_ms: u64,
    latest_ms: u64,
}

/// The hits among the messages.
struct Hits {
    hasher: Sha256,
    count: u64,
    /// Whether messages currently do not count.
    refusing: bool,
}

impl Content {
    pub(super) fn new(scope: &Scope, budget: &Budget, possible: Possible) -> Content {
        Content {
            observer: Observer::new(scope).within(budget.observer_bytes),
            hits: Hits { hasher: Sha256::new(), count: 0, refusing: false },
            possible,
            clock: CaptureClock::new(possible),
            span: None,
            newest_ns: None,
            newest_of_all_ns: 0,
        }
    }

    pub(super) fn frame(&mut self, frame: &Frame<'_>) {
        let time_ns = frame.time_ns;
        if time_ns != BEYOND_NS {
            self.newest_of_all_ns = self.newest_of_all_ns.max(time_ns);
            if time_ns / NS_PER_MS <= self.possible.until_ms {
                self.newest_ns = self.newest_ns.max(Some(time_ns));
            }
        }
        match self.clock.follow(time_ns, &mut self.observer) {
            Ok(time_ms) => {
                self.span = Some(Span::with(self.span, time_ms));
                self.observer.frame(frame, &mut self.hits);
            }
            // As the meter does.
            Err(Refused { time_ns, .. }) => {
                self.hits.refusing = true;
                self.observer.frame(&Frame { time_ns, ..*frame }, &mut self.hits);
                self.hits.refusing = false;
            }
        }
    }

    /// How far to shift times so that the newest is `now_ms`, Unix milliseconds. Times in the
    /// future are ignored, unless all are.
    pub(super) fn shift_to(&self, now_ms: u64) -> i64 {
        // Rounded up, so that the newest frame is not in the future.
        let newest_ms = self.newest_ns.unwrap_or(self.newest_of_all_ns).div_ceil(NS_PER_MS);
        now_ms.cast_signed().saturating_sub(newest_ms.cast_signed())
    }

    /// The epoch of a replay with these settings. A nonce makes it unique, whatever the contents.
    pub(super) fn epoch(mut self, server_id: u32, interval_s: u32, nonce: Option<u64>) -> u64 {
        self.hits.refusing = self.clock.refusal_at_end().is_some();
        self.observer.finish(&mut self.hits);
        let Hits { mut hasher, count, .. } = self.hits;
        let Span { first_ms, last_ms, earliest_ms, latest_ms } = self.span.unwrap_or(Span::of(0));
        hasher.update(format!("{server_id} {interval_s} {count} {first_ms} {last_ms} {nonce:?}"));
        // Keep the identity of frames in order, which is the usual case, as in earlier versions.
        if (earliest_ms, latest_ms) != (first_ms, last_ms) {
            hasher.update(format!(" {earliest_ms} {latest_ms}"));
        }
        hasher.finalize().first_chunk().copied().map_or(0, u64::from_le_bytes)
    }
}

impl Span {
    fn of(time_ms: u64) -> Span {
        Span { first_ms: time_ms, last_ms: time_ms, earliest_ms: time_ms, latest_ms: time_ms }
    }

    fn with(span: Option<Span>, time_ms: u64) -> Span {
        let Span { first_ms, earliest_ms, latest_ms, .. } = span.unwrap_or(Span::of(time_ms));
        Span { first_ms, last_ms: time_ms, earliest_ms: earliest_ms.min(time_ms), latest_ms: latest_ms.max(time_ms) }
    }
}

impl Sink for Hits {
    fn hit(&mut self, hit: &Hit<'_>) {
        if self.refusing {
            return;
        }
        self.count += 1;
        let mut name = [0; zonepulse_dns::name::MAX_WIRE];
        let name = name.get_mut(..hit.name.len()).unwrap_or_default();
        name.copy_from_slice(hit.name.get(..name.len()).unwrap_or_default());
        name.make_ascii_lowercase();
        self.hasher.update(hit.time_ms.to_le_bytes());
        self.hasher.update(hit.kind.number().to_le_bytes());
        self.hasher.update(hit.record_type.value().to_le_bytes());
        // Names are self-delimiting.
        self.hasher.update(name);
    }

    fn uncounted(&mut self, _reason: Counter, _time_ms: u64) {}

    fn add(&mut self, _counter: Counter, _count: u64) {}
}
