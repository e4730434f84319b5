//! Messages that cannot be accepted now and are held unacknowledged.
//!
//! A single batch that the store cannot take must not block the others in the queue, so the connection stays open. It
//! ends once half of the messages that may be in flight are held, or after a few minutes, so that the broker
//! redelivers them.

use std::time::{Duration, Instant};

/// How long messages are held, counted from the first. Together with the minutes that a message was held before, this
/// is far below the broker's timeout for acknowledgements, which is half an hour.
pub(super) const KEEP: Duration = Duration::from_secs(300);

/// The held messages of one connection.
pub(super) struct Held {
    batches: Count,
    returned: Count,
    first: Option<Instant>,
    why: String,
}

struct Count {
    held: u16,
    most: u16,
}

impl Count {
    fn half_of(prefetch: u16) -> Self {
        Count { held: 0, most: (prefetch / 2).max(1) }
    }
}

impl Held {
    /// `prefetch` and `returned_prefetch` are the maximum messages in flight: batches, and messages that the broker
    /// removed from the queue.
    pub(super) fn new(prefetch: u16, returned_prefetch: u16) -> Self {
        let (batches, returned) = (Count::half_of(prefetch), Count::half_of(returned_prefetch));
        Held { batches, returned, first: None, why: String::new() }
    }

    /// Adds a message. Returns whether too many are held.
    pub(super) fn add(&mut self, is_returned: bool, why: &str, now: Instant) -> bool {
        if self.first.is_none() {
            (self.first, self.why) = (Some(now), why.to_owned());
        }
        let count = if is_returned { &mut self.returned } else { &mut self.batches };
        count.held = count.held.saturating_add(1);
        count.held >= count.most
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// When the held messages have to be released.
    pub(super) fn until(&self) -> Instant {
        self.first.unwrap_or_else(Instant::now) + KEEP
    }

    /// Why the first one was not accepted.
    pub(super) fn why(&self) -> &str {
        &self.why
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_goes_on_until_half_of_what_may_be_under_way_is_kept() {
        let (mut held, now) = (Held::new(64, 8), Instant::now());
        assert!(held.is_empty());
        assert_eq!((0..32).map(|_| held.add(false, "damaged", now)).filter(|ends| *ends).count(), 1, "the 32nd ends it");
        let mut held = Held::new(64, 8);
        assert_eq!([(); 4].map(|()| held.add(true, "damaged", now)), [false, false, false, true]);
        assert!(!held.add(false, "damaged", now), "the two queues have bounds of their own");
        assert!(Held::new(1, 8).add(false, "damaged", now), "with one at a time there is no other");
    }

    #[test]
    fn it_ends_a_few_minutes_after_the_first_one_for_its_reason() {
        let (mut held, now) = (Held::new(64, 8), Instant::now());
        held.add(false, "first", now);
        held.add(false, "second", now + Duration::from_secs(200));
        assert_eq!((held.until(), held.why()), (now + KEEP, "first"));
    }
}
