//! Time: the clock, ranges, intervals, roll-ups, and the days of time zones.

mod clock;
mod interval;
mod levels;
mod range;
mod zone;

pub use clock::{Clock, Now};
pub use interval::{Bucket, Interval};
pub(crate) use levels::{Piece, Stretches, coarsest, pieces};
pub use range::TimeRange;
pub(crate) use range::{Range, check_named};
pub use zone::TimeZone;
pub(crate) use zone::{DAY_S, Steady};
