//! Counts wrong passwords, so that guessing is slow and cheap to defend against.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use zonepulse_net::network;

/// Wrong passwords allowed for one name from one address …
const ALLOWED: u32 = 30;
/// … and for all names together from one address …
const ALLOWED_PER_ADDRESS: u32 = 100;
/// … within this window, which starts with the first one.
const WINDOW: Duration = Duration::from_secs(60);
/// Maximum number of names and addresses tracked.
const MOST: usize = 4096;

/// Counts by name *and* address, so that a user cannot be locked out from elsewhere, and by address, so that changing
/// the name does not give more attempts.
#[derive(Default)]
pub(super) struct Attempts {
    names: HashMap<(IpAddr, String), Wrong>,
    addresses: HashMap<IpAddr, Wrong>,
}

#[derive(Clone, Copy)]
struct Wrong {
    since: Instant,
    count: u32,
}

impl Wrong {
    fn recent(&self, now: Instant) -> Option<u32> {
        (now.saturating_duration_since(self.since) < WINDOW).then_some(self.count)
    }

    /// How long to wait once this number is reached.
    fn wait(&self, allowed: u32, now: Instant) -> Option<Duration> {
        let age = now.saturating_duration_since(self.since);
        (self.recent(now)? >= allowed).then(|| WINDOW.saturating_sub(age))
    }
}

impl Attempts {
    /// How long this name must wait at this address; `None` if it may try now.
    pub(super) fn wait(&self, address: IpAddr, name: &str, now: Instant) -> Option<Duration> {
        let network = network(address);
        let of_name = self.names.get(&(network, name.to_owned())).and_then(|wrong| wrong.wait(ALLOWED, now));
        let of_address = self.addresses.get(&network).and_then(|wrong| wrong.wait(ALLOWED_PER_ADDRESS, now));
        of_name.max(of_address)
    }

    /// Number of recent wrong passwords from this address.
    pub(super) fn wrong(&self, address: IpAddr, now: Instant) -> u32 {
        self.addresses.get(&network(address)).and_then(|wrong| wrong.recent(now)).unwrap_or_default()
    }

    /// Counts a wrong password.
    pub(super) fn count(&mut self, address: IpAddr, name: &str, now: Instant) {
        count(&mut self.names, (network(address), name.to_owned()), now);
        count(&mut self.addresses, network(address), now);
    }

    /// Clears the count after a correct password. Counts for other names at this address stay.
    pub(super) fn forget(&mut self, address: IpAddr, name: &str) {
        self.names.remove(&(network(address), name.to_owned()));
    }
}

fn count<K: Eq + Hash + Clone>(counts: &mut HashMap<K, Wrong>, key: K, now: Instant) {
    if counts.len() >= MOST && !counts.contains_key(&key) {
        counts.retain(|_, wrong| wrong.recent(now).is_some());
        if counts.len() >= MOST {
            let oldest = counts.iter().min_by_key(|(_, wrong)| wrong.since).map(|(key, _)| key.clone());
            oldest.map(|key| counts.remove(&key));
        }
    }
    let wrong = counts.entry(key).or_insert(Wrong { since: now, count: 0 });
    if wrong.recent(now).is_none() {
        *wrong = Wrong { since: now, count: 0 };
    }
    wrong.count = wrong.count.saturating_add(1);
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
    fn another_name_each_time_does_not_help() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        (0..ALLOWED_PER_ADDRESS).for_each(|number| attempts.count(HERE, &number.to_string(), now));
        assert_eq!(attempts.wait(HERE, "admin", now), Some(WINDOW));
        assert_eq!(attempts.wrong(HERE, now), ALLOWED_PER_ADDRESS);
        assert_eq!(attempts.wait("192.0.2.1".parse().unwrap(), "admin", now), None);
        assert_eq!((attempts.wait(HERE, "admin", now + WINDOW), attempts.wrong(HERE, now + WINDOW)), (None, 0));
    }

    #[test]
    fn memory_is_bounded() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        for number in 0..2 * MOST {
            attempts.count(HERE, &number.to_string(), now + Duration::from_micros(number as u64));
        }
        assert_eq!(attempts.names.len(), MOST);
    }
}
