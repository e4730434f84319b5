//! The length of an interval.

use std::error::Error;
use std::fmt;

/// The time span that is summed into one batch, or of a slot of metrics.
///
/// It divides the five minutes of the finest roll-up, so no interval spans two buckets and roll-ups are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(u32);

/// The length is not a valid [`Interval`]. Holds the rejected length, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnInterval(pub u32);

impl Interval {
    /// The longest interval, a multiple of all others, in seconds.
    pub const MAX_S: u32 = 300;

    /// An interval of this many seconds.
    pub const fn new(seconds: u32) -> Result<Interval, NotAnInterval> {
        if seconds != 0 && Self::MAX_S.is_multiple_of(seconds) { Ok(Interval(seconds)) } else { Err(NotAnInterval(seconds)) }
    }

    /// The length in seconds.
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Interval {
    type Error = NotAnInterval;

    fn try_from(seconds: u32) -> Result<Interval, NotAnInterval> {
        Interval::new(seconds)
    }
}

impl fmt::Display for NotAnInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NotAnInterval(seconds) = self;
        write!(
            f,
            "must divide {} (such as 5, 10, 30, 60 or 300), so that sums of 5 minutes stay exact, not {seconds}",
            Interval::MAX_S
        )
    }
}

impl Error for NotAnInterval {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_divides_300_is_an_interval() {
        let valid: Vec<u32> = (0..=1000).filter_map(|seconds| Interval::new(seconds).ok()).map(Interval::seconds).collect();
        assert_eq!(valid, [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 25, 30, 50, 60, 75, 100, 150, 300]);
        assert_eq!(Interval::try_from(7), Err(NotAnInterval(7)));
        assert_eq!(Interval::new(u32::MAX), Err(NotAnInterval(u32::MAX)));
        assert!(NotAnInterval(7).to_string().ends_with("not 7"));
    }
}
