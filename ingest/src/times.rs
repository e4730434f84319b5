//! Whether a batch tells of a time that has come.
//!
//! A probe's clock may be wrong, and so may the central's. A batch of the future is not taken: it would stand in
//! every answer about what is newest, and outlive its retention. Nor is it refused for good: it can be right, and
//! waiting cures it, whichever clock is set. Past the year 9999 nothing does; the wire format ends there.

use crate::Error;
use std::time::{SystemTime, UNIX_EPOCH};
use zonepulse_wire::Message;

/// How far ahead of the central's clock a batch may be unless it is set, seconds: clocks without NTP drift by a
/// second a day.
pub(crate) const DEFAULT_MAX_AHEAD_S: u64 = 600;

/// Fails with [`Error::Ahead`] when a message tells of more than `max_ahead_s` after `now_s`, Unix seconds.
pub(crate) fn check(message: &Message, now_s: u64, max_ahead_s: u64) -> Result<(), Error> {
    let ahead_s = message.latest_start_s().saturating_sub(now_s);
    if ahead_s > max_ahead_s { Err(Error::Ahead { ahead_s, max_ahead_s }) } else { Ok(()) }
}

/// Now, Unix seconds.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
