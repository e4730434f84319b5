//! Wrong passwords, counted so that guessing takes for ever.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// So many wrong passwords are allowed …
const ALLOWED: u32 = 30;
/// … in this time, which begins with the first.
const WINDOW: Duration = Duration::from_secs(60);
/// How many names and addresses are counted.
const MOST: usize = 4096;

/// Counts by name *and* address, so that nobody can lock a user out from elsewhere.
#[derive(Default)]
pub(super) struct Attempts(HashMap<(IpAddr, String), Wrong>);

struct Wrong {
    since: Instant,
    count: u32,
}

impl Attempts {
    /// How long this name has to wait at this address; `None` when it may try.
    pub(super) fn wait(&self, address: IpAddr, name: &str, now: Instant) -> Option<Duration> {
        let wrong = self.0.get(&(network(address), name.to_owned()))?;
        let age = now.saturating_duration_since(wrong.since);
        (wrong.count >= ALLOWED && age < WINDOW).then(|| WINDOW - age)
    }

    /// Counts a wrong password.
    pub(super) fn count(&mut self, address: IpAddr, name: &str, now: Instant) {
        let recent = |wrong: &Wrong| now.saturating_duration_since(wrong.since) < WINDOW;
        if self.0.len() >= MOST {
            self.0.retain(|_, wrong| recent(wrong));
        }
        if self.0.len() >= MOST {
            let oldest = self.0.iter().min_by_key(|(_, wrong)| wrong.since).map(|(key, _)| key.clone());
            oldest.map(|key| self.0.remove(&key));
        }
        let wrong = self.0.entry((network(address), name.to_owned())).or_insert(Wrong { since: now, count: 0 });
        if !recent(wrong) {
            *wrong = Wrong { since: now, count: 0 };
        }
        wrong.count = wrong.count.saturating_add(1);
    }

    /// The right password came.
    pub(super) fn forget(&mut self, address: IpAddr, name: &str) {
        self.0.remove(&(network(address), name.to_owned()));
    }
}

/// Whom an address belongs to: with IPv6, whoever has one has all of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn after(wrong: u32, now: Instant) -> Attempts {
        let mut attempts = Attempts::default();
        (0..wrong).for_each(|_| attempts.count(HERE, "admin", now));
        attempts
    }

    #[test]
    fn the_last_allowed_attempt_is_allowed_and_the_next_waits() {
        let now = Instant::now();
        assert_eq!(after(ALLOWED - 1, now).wait(HERE, "admin", now), None);
        assert_eq!(after(ALLOWED, now).wait(HERE, "admin", now + WINDOW / 4), Some(WINDOW - WINDOW / 4));
        assert_eq!(after(ALLOWED, now).wait(HERE, "admin", now + WINDOW), None);
    }

    #[test]
    fn other_names_and_other_addresses_do_not_wait() {
        let now = Instant::now();
        let attempts = after(ALLOWED, now);
        assert_eq!(attempts.wait(HERE, "other", now), None);
        assert_eq!(attempts.wait("192.0.2.1".parse().unwrap(), "admin", now), None);
        assert!(attempts.wait("::ffff:127.0.0.1".parse().unwrap(), "admin", now).is_some());
    }

    #[test]
    fn a_whole_ipv6_network_counts_as_one() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        (0..ALLOWED).for_each(|n| attempts.count(format!("2001:db8::{n:x}").parse().unwrap(), "admin", now));
        assert!(attempts.wait("2001:db8::ffff:1:2:3".parse().unwrap(), "admin", now).is_some());
        assert_eq!(attempts.wait("2001:db8:0:1::1".parse().unwrap(), "admin", now), None);
    }

    #[test]
    fn the_right_password_makes_up_for_the_wrong_ones() {
        let now = Instant::now();
        let mut attempts = after(ALLOWED, now);
        attempts.forget(HERE, "admin");
        assert_eq!(attempts.wait(HERE, "admin", now), None);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        for number in 0..2 * MOST {
            attempts.count(HERE, &number.to_string(), now + Duration::from_micros(number as u64));
        }
        assert_eq!(attempts.0.len(), MOST);
    }
}
