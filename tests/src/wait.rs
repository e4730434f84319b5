//! Waiting for conditions.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Polls until there is an answer; panics with `what` if there is none in time.
pub fn eventually<T>(what: &str, within: Duration, ask: impl FnMut() -> Option<T>) -> T {
    self::within(within, ask).unwrap_or_else(|| panic!("not within {within:?}: {what}"))
}

/// Polls until there is an answer, or time is up.
pub fn within<T>(within: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + within;
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() >= until {
            return answer;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// The current time, Unix milliseconds.
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_millis() as u64
}
