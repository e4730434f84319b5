//! Cache of recently verified passwords.

use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a password is remembered.
const AGE: Duration = Duration::from_secs(60);
/// Maximum number of entries.
const MOST: usize = 1024;

/// Stores name and password only as a hash keyed with a key of this process, so that neither memory nor a dump contains
/// them.
pub(super) struct Verified {
    key: [u8; 32],
    known: HashMap<[u8; 32], Entry>,
}

struct Entry {
    /// The stored hash that the password matched: the entry is invalid once the password changes.
    hash: String,
    until: Instant,
}

impl Verified {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Verified { key, known: HashMap::new() }
    }

    pub(super) fn remember(&mut self, name: &str, password: &str, hash: String, now: Instant) {
        if self.known.len() >= MOST {
            self.known.retain(|_, entry| entry.until > now);
        }
        if self.known.len() >= MOST {
            let oldest = self.known.iter().min_by_key(|(_, entry)| entry.until).map(|(digest, _)| *digest);
            oldest.map(|digest| self.known.remove(&digest));
        }
        self.known.insert(self.digest(name, password), Entry { hash, until: now + AGE });
    }

    pub(super) fn knows(&self, name: &str, password: &str, hash: &str, now: Instant) -> bool {
        self.known.get(&self.digest(name, password)).is_some_and(|entry| entry.hash == hash && entry.until > now)
    }

    fn digest(&self, name: &str, password: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.key);
        // Hash the length too, or "ab" and "c" would collide with "a" and "bc".
        digest.update((name.len() as u64).to_le_bytes());
        digest.update(name);
        digest.update(password);
        digest.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_for_a_minute() {
        let (mut verified, now) = (Verified::new([7; 32]), Instant::now());
        assert!(!verified.knows("a", "b", "hash", now));
        verified.remember("a", "b", "hash".to_owned(), now);
        assert!(verified.knows("a", "b", "hash", now + AGE / 2));
        assert!(!verified.knows("a", "b", "hash", now + AGE));
    }

    #[test]
    fn it_is_known_for_that_name_password_and_hash_only() {
        let (mut verified, now) = (Verified::new([7; 32]), Instant::now());
        verified.remember("ab", "c", "hash".to_owned(), now);
        for (name, password, hash) in [("a", "bc", "hash"), ("ab", "", "hash"), ("ab", "c", "other")] {
            assert!(!verified.knows(name, password, hash, now));
        }
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let (mut verified, now) = (Verified::new([7; 32]), Instant::now());
        for number in 0..=MOST {
            verified.remember(&number.to_string(), "", String::new(), now + Duration::from_millis(number as u64));
        }
        assert_eq!(verified.known.len(), MOST);
        assert!(!verified.knows("0", "", "", now));
        assert!(verified.knows("1", "", "", now));
    }
}
