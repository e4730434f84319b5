//! Names as words: lower-cased, padded, hashed.
//!
//! A length octet is at most 63 and `A` is 65, so the letters of a name in wire format can be
//! lower-cased without parsing labels, eight octets at a time.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use zonepulse_dns::name::MAX_WIRE;

/// Block size of the hash, octets.
const BLOCK_OCTETS: usize = 32;
/// Number of words for the longest name.
pub(super) const MAX_WORDS: usize = MAX_WIRE.div_ceil(8);

/// Random seeds, so that nobody can prepare colliding names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seeds([u64; 2]);

impl Seeds {
    pub(super) fn random() -> Self {
        let state = RandomState::new();
        Seeds([state.hash_one(1u8), state.hash_one(2u8)])
    }

    /// Writes a name of at most 255 octets in wire format as little-endian words, with ASCII
    /// letters lower-cased and the last word padded with zeros. Returns the number of words, and a
    /// hash of name and type that multiplies words together, as in wyhash.
    #[inline(always)]
    pub(super) fn lower_and_hash(&self, name: &[u8], record_type: u16, words: &mut [u64; MAX_WORDS]) -> (usize, u32) {
        let (Some((start, _)), Some(end), 17..=BLOCK_OCTETS) = (name.split_first_chunk(), name.last_chunk(), name.len()) else {
            return self.lower_and_hash_any(name, record_type, words);
        };
        // The usual length, handled without further branches.
        let (start, end) = (u128::from_le_bytes(*start), u128::from_le_bytes(*end));
        // The last sixteen octets, without those already in earlier words.
        let rest = end >> (8 * (BLOCK_OCTETS - name.len()));
        let block = [start as u64, (start >> 64) as u64, rest as u64, (rest >> 64) as u64].map(lower);
        if let Some(room) = words.first_chunk_mut() {
            *room = block;
        }
        let hash = self.add_block(self.begin(name.len(), record_type), block);
        (name.len().div_ceil(8), self.end(hash))
    }

    #[inline(never)]
    fn lower_and_hash_any(&self, name: &[u8], record_type: u16, words: &mut [u64; MAX_WORDS]) -> (usize, u32) {
        let name = name.get(..MAX_WIRE).unwrap_or(name);
        for (chunk, word) in name.chunks(8).zip(words.iter_mut()) {
            *word = lower(chunk.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet)));
        }
        let count = name.len().div_ceil(8);
        (count, self.hash(words.get(..count).unwrap_or_default(), name.len() as u8, record_type))
    }

    /// The same hash, for a name of this length that is already in words.
    pub(super) fn hash(&self, words: &[u64], name_length: u8, record_type: u16) -> u32 {
        let mut hash = self.begin(usize::from(name_length), record_type);
        for words in words.chunks(4) {
            let mut block = [0; 4];
            block.iter_mut().zip(words).for_each(|(room, word)| *room = *word);
            hash = self.add_block(hash, block);
        }
        self.end(hash)
    }

    #[inline]
    fn begin(&self, name_length: usize, record_type: u16) -> u64 {
        let Seeds([first, second]) = *self;
        first.rotate_left(32) ^ second ^ u64::from(record_type) << 16 ^ name_length as u64
    }

    #[inline]
    fn add_block(&self, hash: u64, [a, b, c, d]: [u64; 4]) -> u64 {
        let Seeds([first, second]) = *self;
        fold(a ^ first, b ^ hash) ^ fold(c ^ second, d ^ hash)
    }

    #[inline]
    fn end(&self, hash: u64) -> u32 {
        let Seeds([first, second]) = *self;
        fold(hash ^ second, first) as u32
    }

    /// The hash of the name that prepends `label` to the name with the hash `above`; the root's
    /// hash is 0.
    pub(super) fn below(&self, above: u64, label: &[u8]) -> u64 {
        let Seeds([first, second]) = *self;
        let octets = |chunk: &[u8]| chunk.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet));
        let hash = above ^ first ^ label.len() as u64;
        fold(label.chunks(8).fold(hash, |hash, chunk| fold(hash ^ octets(chunk), second)), first)
    }
}

/// The octets of words made by [`Seeds::lower_and_hash`].
pub(super) fn octets(words: &[u64]) -> [u8; MAX_WORDS * 8] {
    let mut octets = [0; MAX_WORDS * 8];
    for (room, word) in octets.as_chunks_mut().0.iter_mut().zip(words) {
        *room = word.to_le_bytes();
    }
    octets
}

/// Upper bound on the length of such a name as text: four octets for each that may need escaping.
pub(super) fn text_octets(words: &[u64], name_length: u8) -> usize {
    let octets = octets(words);
    let name = octets.get(..usize::from(name_length)).unwrap_or_default();
    let is_plain = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let octet_text = |octet: &u8| if is_plain(*octet) { 1 } else { 4 };
    // Each label is followed by a dot, and the root is a dot.
    1 + labels(name).map(|(_, label)| label.iter().map(octet_text).sum::<usize>() + 1).sum::<usize>()
}

/// The labels of a name in wire format, except the root's, with their offsets.
pub(super) fn labels(name: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let length = usize::from(*name.get(at)?);
        let label = name.get(at + 1..at + 1 + length).filter(|label| !label.is_empty())?;
        let begins = at;
        at += 1 + length;
        Some((begins, label))
    })
}

/// Lower-cases the ASCII letters of eight octets at once.
#[inline]
fn lower(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    let low = word & !HIGH;
    // The highest bit of each octet says whether it is at least `A`, and whether it is beyond `Z`.
    // No sum carries into the next octet, since both terms are below 128.
    let from_a = low.wrapping_add(ONES * (0x80 - b'A' as u64));
    let past_z = low.wrapping_add(ONES * (0x80 - b'Z' as u64 - 1));
    let upper = from_a & !past_z & !word & HIGH;
    word | upper >> 2
}

/// Combines both halves of the 128-bit product.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a).wrapping_mul(u128::from(b));
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_letters_are_lower_cased(octets in any::<[u8; 8]>()) {
            let lowered = octets.map(|octet| octet.to_ascii_lowercase());
            prop_assert_eq!(lower(u64::from_le_bytes(octets)).to_le_bytes(), lowered);
        }

        #[test]
        fn the_words_are_the_name_and_the_hash_is_theirs(name in prop::collection::vec(any::<u8>(), 0..=MAX_WIRE), case in any::<bool>()) {
            let seeds = Seeds::random();
            let mut words = [0; MAX_WORDS];
            let (count, hash) = seeds.lower_and_hash(&name, 1, &mut words);
            let mut octets: Vec<u8> = words[..count].iter().flat_map(|word| word.to_le_bytes()).collect();
            prop_assert!(octets.len() - name.len() < 8);
            prop_assert!(octets.split_off(name.len()).iter().all(|octet| *octet == 0));
            prop_assert_eq!(octets, name.to_ascii_lowercase());
            let other_case = if case { name.to_ascii_uppercase() } else { name.to_ascii_lowercase() };
            prop_assert_eq!(seeds.lower_and_hash(&other_case, 1, &mut words), (count, hash));
        }
    }

    #[test]
    fn the_bound_on_a_text_is_never_too_small() {
        for name in
            [".", "www.example.", "a-b_c.example.", "\\000\\.\\255*.x.", "0.45.0.", &"a234567.".repeat(31), &"\\001.".repeat(120)]
        {
            let (wire, mut words) = (zonepulse_dns::name::to_wire(name).unwrap(), [0; MAX_WORDS]);
            let (count, _) = Seeds::random().lower_and_hash(&wire, 1, &mut words);
            let room = text_octets(&words[..count], wire.len() as u8);
            assert!((name.len()..=name.len() + 3 * name.matches('\\').count() + 3).contains(&room), "{name}: {room}");
        }
    }

    #[test]
    fn every_octet_is_lower_cased_as_ascii() {
        for octet in 0..=u8::MAX {
            assert_eq!(lower(u64::from(octet)), u64::from(octet.to_ascii_lowercase()));
            assert_eq!(lower(u64::from(octet) << 56), u64::from(octet.to_ascii_lowercase()) << 56);
        }
    }
}
