//! A hash index of record numbers, with open addressing, since entries are never removed
//! individually.

use std::hint::select_unpredictable;

/// Numbers by a hash of 32 bits.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// The size is a power of two, and at most three quarters are taken.
    places: Vec<Place>,
    taken: usize,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    hash: u32,
    number: u32,
}

const FREE: Place = Place { hash: 0, number: u32::MAX };
const FIRST_PLACES: usize = 64;
/// Maximum memory per number, just after doubling, bytes.
pub(super) const BYTES_PER_NUMBER: usize = size_of::<Place>() * 8 / 3;

impl Default for Index {
    fn default() -> Self {
        Index { places: vec![FREE; FIRST_PLACES], taken: 0 }
    }
}

impl Index {
    pub(super) fn clear(&mut self) {
        self.places.fill(FREE);
        self.taken = 0;
    }

    /// The number that very likely has this hash, or `u32::MAX` for none. Reads two places without
    /// branching, so that look-ups of many hashes can overlap.
    #[inline]
    pub(super) fn likely(&self, hash: u32) -> u32 {
        let mask = self.places.len() - 1;
        let place = |at: usize| self.places.get(at & mask).copied().unwrap_or(FREE);
        let (first, second) = (place(hash as usize), place(hash as usize + 1));
        select_unpredictable(second.hash == hash, second.number, first.number)
    }

    /// The number with this hash for which `is_it` is true.
    #[inline]
    pub(super) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = hash as usize;
        loop {
            let place = self.places.get(at & (self.places.len() - 1))?;
            if place.number == FREE.number {
                return None;
            }
            if place.hash == hash && is_it(place.number) {
                return Some(place.number);
            }
            at += 1;
        }
    }

    /// Adds a number other than `u32::MAX`.
    pub(super) fn insert(&mut self, hash: u32, number: u32) {
        if (self.taken + 1) * 4 > self.places.len() * 3 {
            let twice = self.places.len() * 2;
            let places = std::mem::replace(&mut self.places, vec![FREE; twice]);
            for place in places.into_iter().filter(|place| place.number != FREE.number) {
                self.put(place);
            }
        }
        self.taken += 1;
        self.put(Place { hash, number });
    }

    fn put(&mut self, place: Place) {
        let mut at = place.hash as usize;
        loop {
            let mask = self.places.len() - 1;
            match self.places.get_mut(at & mask) {
                Some(free) if free.number == FREE.number => {
                    *free = place;
                    return;
                }
                Some(_) => at += 1,
                None => return,
            }
        }
    }
}
