//! Waiting for what happens elsewhere.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Asks again and again until there is an answer; panics with `what` when there is none in time.
pub fn eventually<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + within;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "not within {within:?}: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Now, Unix milliseconds.
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_millis() as u64
}
