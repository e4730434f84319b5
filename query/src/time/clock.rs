//! The current time, read once per question.
//!
//! The time decides what has expired, where a range without an end stops, and which steps are still open. So each question
//! or statement reads the clock once, when it is asked, and all of its parts use that moment: partitions, counts and pages see
//! the same horizon, however long they take.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The moment that is "now" for all parts of a question or statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now(Duration);

impl Now {
    /// This long after the Unix epoch.
    pub const fn since_epoch(duration: Duration) -> Now {
        Now(duration)
    }

    /// Unix seconds.
    pub(crate) const fn s(self) -> u64 {
        self.0.as_secs()
    }

    /// Unix milliseconds.
    pub fn ms(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// Unix nanoseconds.
    pub(crate) fn ns(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A source of the current time. Clones share it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Now + Send + Sync>);

impl Clock {
    /// The system clock.
    pub fn system() -> Clock {
        Clock::new(|| Now(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
    }

    /// A clock that calls a function, so that tests can move time.
    pub fn new(now: impl Fn() -> Now + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now))
    }

    /// A clock that always shows this moment.
    pub(crate) fn stopped(now: Now) -> Clock {
        Clock::new(move || now)
    }

    pub(crate) fn now(&self) -> Now {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
