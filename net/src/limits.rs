//! Limits on bytes and time per connection.

use std::time::{Duration, Instant};

/// What a client may do in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte of a request to the end of its head. For the first request it starts
    /// with the connection, and includes the TLS handshake.
    pub head: Duration,
    /// Idle time between two requests.
    pub idle: Duration,
    /// How long a body or an answer may make no progress.
    pub stall: Duration,
    /// The minimum rate of a body or an answer beyond that.
    pub min_bytes_per_s: u32,
    /// Maximum size of a request head, including the request line.
    pub head_bytes: usize,
    /// Maximum length of a request line. A longer one is passed to the application truncated, to be
    /// answered with 414.
    pub target_bytes: usize,
    /// How long a client may keep sending after an early answer …
    pub linger: Duration,
    /// … and how many bytes.
    pub linger_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(20),
            min_bytes_per_s: 4096,
            head_bytes: 32 << 10,
            target_bytes: 16 << 10,
            linger: Duration::from_secs(10),
            linger_bytes: 256 << 20,
        }
    }
}

/// The time for which a peer may still keep us waiting. Waiting uses it up, and bytes earn it back,
/// but never beyond the initial amount: a peer must proceed at the minimum rate, and cannot save up
/// time for a long stall.
#[derive(Debug)]
pub(crate) struct Patience {
    left: Duration,
    most: Duration,
    bytes_per_s: u32,
    waiting_since: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(limits: &Limits) -> Self {
        Patience { left: limits.stall, most: limits.stall, bytes_per_s: limits.min_bytes_per_s.max(1), waiting_since: None }
    }

    /// Starts waiting, unless already waiting; returns when patience ends.
    pub(crate) fn wait(&mut self, now: Instant) -> Instant {
        *self.waiting_since.get_or_insert(now) + self.left
    }

    /// Records that bytes were transferred.
    pub(crate) fn moved(&mut self, bytes: usize, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.left = self.left.saturating_sub(now.saturating_duration_since(since));
        }
        let earned = Duration::from_secs_f64(bytes as f64 / f64::from(self.bytes_per_s));
        self.left = self.left.saturating_add(earned).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn patience() -> Patience {
        Patience::new(&Limits { stall: 10 * SECOND, min_bytes_per_s: 1000, ..Limits::default() })
    }

    #[test]
    fn a_stalled_peer_is_waited_for_once() {
        let (mut patience, now) = (patience(), Instant::now());
        assert_eq!(patience.wait(now), now + 10 * SECOND);
        assert_eq!(patience.wait(now + 9 * SECOND), now + 10 * SECOND);
    }

    #[test]
    fn a_byte_now_and_then_does_not_extend_the_deadline() {
        let (mut patience, now) = (patience(), Instant::now());
        for second in 0..9 {
            patience.wait(now + second * SECOND);
            patience.moved(1, now + (second + 1) * SECOND);
        }
        assert!(patience.wait(now + 9 * SECOND) < now + 11 * SECOND);
    }

    #[test]
    fn the_minimum_rate_is_enough_and_earns_no_credit() {
        let (mut patience, mut now) = (patience(), Instant::now());
        for _ in 0..1000 {
            patience.wait(now);
            now += SECOND;
            patience.moved(1000, now);
        }
        patience.moved(1 << 30, now);
        assert_eq!(patience.wait(now), now + 10 * SECOND);
    }
}
