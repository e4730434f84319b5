//! A numbered, searchable list of names, in memory.

use crate::prefetch::prefetch;
use hashbrown::DefaultHashBuilder;
use std::hash::BuildHasher;
use std::ops::Range;
use zonepulse_dns::RecordType;

/// Flag in an end: the record has been removed. Its text is garbage until a `Compaction`.
pub(crate) const GONE: u64 = 1 << 63;

/// A numbered, searchable list; names are stored back to back in one string.
#[derive(Default)]
pub(crate) struct Entries {
    pub(crate) text: String,
    /// For each number, the end of its name (47 bits, below [`GONE`]) and its type. They share a word so that a lookup
    /// touches one place.
    pub(crate) ends: Vec<u64>,
    slots: Slots,
    hasher: DefaultHashBuilder,
    /// Size of the names of removed records in `text`, in bytes.
    pub(crate) garbage_bytes: usize,
}

/// A hash table of numbers, with a part of the name's hash as a tag that rules out nearly every mismatch without
/// looking at the name.
///
/// The table is our own because bulk lookups need to know in advance where each entry will be found, in order to
/// prefetch that memory.
#[derive(Default)]
struct Slots {
    /// The tag, and the number plus one; 0 if empty. The length is a power of two, with at most seven eighths in use.
    slots: Vec<u64>,
    taken: usize,
}

impl Slots {
    /// Returns the position at which the search for a tag begins.
    fn begin(&self, tag: u32) -> usize {
        tag as usize & self.slots.len().wrapping_sub(1)
    }

    /// Returns the first number with this tag that satisfies the predicate.
    fn find(&self, tag: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let begin = self.begin(tag);
        let from_begin = self.slots.iter().skip(begin).chain(&self.slots);
        for slot in from_begin {
            let number = (*slot as u32).checked_sub(1)?;
            if (slot >> 32) as u32 == tag && is_it(number) {
                return Some(number);
            }
        }
        None
    }

    fn insert(&mut self, tag: u32, number: u32) {
        if (self.taken + 1) * 8 > self.slots.len() * 7 {
            let larger = vec![0; (self.slots.len() * 2).max(16)];
            let before = std::mem::replace(&mut self.slots, larger);
            before.into_iter().filter(|slot| *slot != 0).for_each(|slot| self.put(slot));
        }
        self.put(u64::from(tag) << 32 | u64::from(number + 1));
        self.taken += 1;
    }

    /// Removes a number and moves back later entries that its slot had displaced from their home position.
    fn remove(&mut self, tag: u32, number: u32) {
        let wanted = u64::from(tag) << 32 | u64::from(number + 1);
        let mask = self.slots.len().wrapping_sub(1);
        let mut hole = self.begin(tag);
        loop {
            match self.slots.get(hole) {
                Some(slot) if *slot == wanted => break,
                Some(slot) if *slot != 0 => hole = (hole + 1) & mask,
                _ => return,
            }
        }
        let mut next = hole;
        loop {
            next = (next + 1) & mask;
            let Some(slot) = self.slots.get(next).copied().filter(|slot| *slot != 0) else { break };
            let home = self.begin((slot >> 32) as u32);
            // The distances from its home position and from the hole.
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(hole) & mask {
                if let Some(place) = self.slots.get_mut(hole) {
                    *place = slot;
                }
                hole = next;
            }
        }
        if let Some(place) = self.slots.get_mut(hole) {
            *place = 0;
        }
        self.taken -= 1;
    }

    fn put(&mut self, new: u64) {
        let begin = self.begin((new >> 32) as u32);
        let (before, after) = self.slots.split_at_mut(begin);
        if let Some(room) = after.iter_mut().chain(before).find(|slot| **slot == 0) {
            *room = new;
        }
    }
}

/// Number of names looked up at a time, so that their memory accesses overlap.
const AT_A_TIME: usize = 64;

/// Returns the location of a number's name, and its type.
fn place(ends: &[u64], number: u32) -> Option<(Range<usize>, RecordType)> {
    let at = number as usize;
    let end = *ends.get(at)?;
    let begin = at.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |before| (before & !GONE) >> 16);
    (end & GONE == 0).then_some((begin as usize..(end >> 16) as usize, RecordType::new(end as u16)))
}

impl Entries {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the number of numbers that have a name.
    pub(crate) fn count(&self) -> usize {
        self.slots.taken
    }

    pub(crate) fn get(&self, number: u32) -> Option<(&str, RecordType)> {
        let (range, record_type) = place(&self.ends, number)?;
        let name = self.text.get(range)?;
        // Canonical names are never empty.
        (!name.is_empty()).then_some((name, record_type))
    }

    fn tag(&self, name: &str, record_type: RecordType) -> u32 {
        (self.hasher.hash_one((name, record_type.value())) >> 32) as u32
    }

    fn is(&self, number: u32, name: &str, record_type: RecordType) -> bool {
        place(&self.ends, number)
            .is_some_and(|(range, found)| found == record_type && self.text.as_bytes().get(range) == Some(name.as_bytes()))
    }

    pub(crate) fn find(&self, name: &str, record_type: RecordType) -> Option<u32> {
        let tag = self.tag(name, record_type);
        self.slots.find(tag, |number| self.is(number, name, record_type))
    }

    /// Looks up many records. Each step is done for all of them before the next one, so that its memory has been
    /// prefetched.
    pub(crate) fn find_each(&self, records: &[(&str, RecordType)], mut each: impl FnMut(&str, RecordType, Option<u32>)) {
        let mut likely = [(0, None); AT_A_TIME];
        for records in records.chunks(AT_A_TIME) {
            for ((name, record_type), (tag, _)) in records.iter().zip(&mut likely) {
                *tag = self.tag(name, *record_type);
                prefetch(&self.slots.slots, self.slots.begin(*tag));
            }
            for (_, (tag, found)) in records.iter().zip(&mut likely) {
                *found = self.slots.find(*tag, |_| true);
                prefetch(&self.ends, found.unwrap_or_default() as usize);
            }
            for (_, (_, found)) in records.iter().zip(&likely) {
                if let Some((range, _)) = found.and_then(|number| place(&self.ends, number)) {
                    prefetch(self.text.as_bytes(), range.start);
                    prefetch(self.text.as_bytes(), range.end.saturating_sub(1));
                }
            }
            for ((name, record_type), (_, found)) in records.iter().zip(&likely) {
                let found = found.and_then(|number| match self.is(number, name, *record_type) {
                    true => Some(number),
                    // Two names share a tag.
                    false => self.find(name, *record_type),
                });
                each(name, *record_type, found);
            }
        }
    }

    /// Appends an unused number.
    pub(crate) fn push_nobody(&mut self) {
        self.push_end(RecordType::new(0));
    }

    fn push_end(&mut self, record_type: RecordType) {
        self.ends.push((self.text.len() as u64) << 16 | u64::from(record_type.value()));
    }

    /// Removes the record of a number; its text remains in place.
    pub(crate) fn remove(&mut self, number: u32) {
        let Some((name, record_type)) = self.get(number) else { return };
        let (tag, bytes) = (self.tag(name, record_type), name.len());
        self.slots.remove(tag, number);
        self.garbage_bytes += bytes;
        if let Some(end) = self.ends.get_mut(number as usize) {
            *end |= GONE;
        }
    }

    pub(crate) fn push(&mut self, name: &str, record_type: RecordType) -> u32 {
        let number = self.len() as u32;
        let tag = self.tag(name, record_type);
        self.text.push_str(name);
        self.push_end(record_type);
        self.slots.insert(tag, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn of_so_many_names_that_tags_are_shared_each_is_found() {
        let mut entries = Entries::default();
        let (mut names, mut tags, mut shared) = (Vec::new(), BTreeSet::new(), 0);
        while shared < 2 {
            let name = format!("host-{}.example.", names.len());
            shared += u32::from(!tags.insert(entries.tag(&name, RecordType::A)));
            entries.push(&name, RecordType::A);
            names.push(name);
        }
        let asked: Vec<_> = names.iter().flat_map(|name| [(name.as_str(), RecordType::A), (name, RecordType::new(28))]).collect();
        let mut found = Vec::new();
        entries.find_each(&asked, |_, _, number| found.push(number));
        let expected: Vec<_> = (0..names.len() as u32).flat_map(|number| [Some(number), None]).collect();
        assert_eq!(found, expected);
    }
}
