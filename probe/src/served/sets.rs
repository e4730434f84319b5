//! Names to find other names in.

use super::names::Name;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use zonepulse_dns::name::MAX_LABEL;

/// A set of names in a message, to find other names in.
#[derive(Debug, Default)]
pub(super) struct NameSet {
    names: Vec<Name>,
    /// Of all names, sorted; only if there are many.
    hashes: Vec<u64>,
    hashing: Hashing,
}

impl NameSet {
    /// Up to this many names are compared one by one.
    const FEW: usize = 16;

    /// Replaces the names.
    pub(super) fn fill(&mut self, names: impl Iterator<Item = Name>, message: &[u8]) {
        self.names.clear();
        self.names.extend(names);
        self.hashes.clear();
        if self.names.len() > Self::FEW {
            self.hashes.extend(self.names.iter().map(|name| self.hashing.name(name.labels(message))));
            self.hashes.sort_unstable();
        }
    }

    /// Whether a name is in it.
    pub(super) fn has(&self, name: Name, message: &[u8]) -> bool {
        match self.hashes.is_empty() {
            true => self.names.iter().any(|known| known.is(name, message)),
            false => self.hashes.binary_search(&self.hashing.name(name.labels(message))).is_ok(),
        }
    }
}

/// Hashes names, so that comparing many of them does not take the square of their number. Random, so
/// that nobody can prepare names that collide.
#[derive(Debug, Default)]
pub(super) struct Hashing(RandomState);

impl Hashing {
    /// The hash of a name with these labels, in any case.
    pub(super) fn name<'l>(&self, labels: impl Iterator<Item = &'l [u8]>) -> u64 {
        let mut hasher = self.0.build_hasher();
        let mut lower = [0; MAX_LABEL];
        for label in labels {
            let Some(lower) = lower.get_mut(..label.len()) else { continue };
            lower.copy_from_slice(label);
            lower.make_ascii_lowercase();
            hasher.write_u8(label.len() as u8);
            hasher.write(lower);
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_among_few_and_among_many() {
        let mut body = Vec::new();
        let host = |number: u8| [b'h', b'0' + number / 10, b'0' + number % 10];
        for number in 0..40 {
            body.extend([&[3][..], &host(number), &[0]].concat());
        }
        body.extend(b"\x03H07\x00");
        let message = [&[0; 12], &body[..]].concat();
        let name = |number: usize| Name::read(&message, 12 + 5 * number).unwrap().0;
        for count in [8, 16, 17, 40] {
            let mut set = NameSet::default();
            set.fill((0..count).map(name), &message);
            assert!(set.has(name(40), &message), "{count}");
            assert_eq!((0..40).filter(|number| set.has(name(*number), &message)).count(), count);
            set.fill(std::iter::empty(), &message);
            assert!(!set.has(name(7), &message));
        }
    }
}
