//! Waiting for conditions.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How many times longer something may take than on a machine that does nothing else.
const BUSY: u32 = 3;

/// Polls until there is an answer; panics with `what` if there is none in time. `within` is for an idle machine.
pub fn eventually<T>(what: &str, within: Duration, ask: impl FnMut() -> Option<T>) -> T {
    let patience = within * BUSY;
    self::within(patience, ask).unwrap_or_else(|| panic!("not within {patience:?}: {what}"))
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
