//! Names as words: lower-cased, padded, hashed.
//!
//! A length octet is at most 63 and `A` is 65, so the letters of a name in wire
//! format can be lowered without a look at its labels.

use zonepulse_dns::name::MAX_WIRE;

/// Words that the longest name takes.
const MAX_WORDS: usize = MAX_WIRE.div_ceil(8);

/// A name in wire format, ASCII letters lowered, as little-endian words, the last
/// one padded with zeros.
pub(super) struct Lowered {
    words: [u64; MAX_WORDS],
    length: usize,
}

impl Lowered {
    /// A name of at most 255 octets; of a longer one, the first 255.
    #[inline]
    pub(super) fn new(name: &[u8]) -> Self {
        let name = name.get(..MAX_WIRE).unwrap_or(name);
        let mut words = [0; MAX_WORDS];
        let (whole, rest) = name.as_chunks();
        for (word, chunk) in words.iter_mut().zip(whole) {
            *word = lower(u64::from_le_bytes(*chunk));
        }
        if let Some(word) = words.get_mut(whole.len())
            && !rest.is_empty()
        {
            let last = match name.last_chunk() {
                // The last eight octets, those that the word before has shifted out.
                Some(chunk) => u64::from_le_bytes(*chunk) >> (64 - 8 * rest.len()),
                None => rest.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet)),
            };
            *word = lower(last);
        }
        Lowered { words, length: name.len() }
    }

    #[inline]
    pub(super) fn words(&self) -> &[u64] {
        self.words.get(..self.length.div_ceil(8)).unwrap_or_default()
    }

    /// Octets.
    #[inline]
    pub(super) fn length(&self) -> usize {
        self.length
    }
}

/// Lowers the ASCII letters of eight octets at once.
#[inline]
fn lower(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    let low = word & !HIGH;
    // The highest bit of each octet: whether it is at least `A`, and past `Z`. No sum carries
    // into the next octet, for both terms are below 128.
    let from_a = low + ONES * (0x80 - b'A' as u64);
    let past_z = low + ONES * (0x80 - b'Z' as u64 - 1);
    let upper = from_a & !past_z & !word & HIGH;
    word | upper >> 2
}

/// What makes a table's hashes differ from every other's, so that no one can
/// prepare names that collide.
#[derive(Debug)]
pub(super) struct Seeds([u64; 2]);

impl Seeds {
    pub(super) fn random() -> Self {
        use std::hash::BuildHasher;
        let state = std::collections::hash_map::RandomState::new();
        Seeds([state.hash_one(1u8), state.hash_one(2u8)])
    }

    /// A hash of a name and a type: words folded in by multiplication, as in wyhash.
    #[inline]
    pub(super) fn hash(&self, name: &Lowered, record_type: u16) -> u64 {
        let Seeds([first, second]) = *self;
        let mut hash = first ^ u64::from(record_type) << 16 ^ name.length as u64;
        for word in name.words() {
            hash = fold(hash ^ word, second);
        }
        Seeds::spread(fold(hash, first) as u32)
    }

    /// A hash of 64 bits from 32 of it.
    #[inline]
    pub(super) fn spread(hash: u32) -> u64 {
        u64::from(hash) << 32 | u64::from(hash)
    }
}

/// Both halves of the product of 128 bits.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn letters_are_lowered_and_nothing_else_is(octets in any::<[u8; 8]>()) {
            let lowered = octets.map(|octet| octet.to_ascii_lowercase());
            prop_assert_eq!(lower(u64::from_le_bytes(octets)).to_le_bytes(), lowered);
        }

        #[test]
        fn the_words_are_the_name(name in prop::collection::vec(any::<u8>(), 0..=MAX_WIRE)) {
            let lowered = Lowered::new(&name);
            let mut octets: Vec<u8> = lowered.words().iter().flat_map(|word| word.to_le_bytes()).collect();
            prop_assert!(octets.len() - name.len() < 8);
            prop_assert!(octets.split_off(name.len()).iter().all(|octet| *octet == 0));
            prop_assert_eq!(octets, name.to_ascii_lowercase());
        }
    }

    #[test]
    fn every_octet_alone_is_lowered_as_ascii_says() {
        for octet in 0..=u8::MAX {
            assert_eq!(lower(u64::from(octet)), u64::from(octet.to_ascii_lowercase()));
            assert_eq!(lower(u64::from(octet) << 56), u64::from(octet.to_ascii_lowercase()) << 56);
        }
    }
}
