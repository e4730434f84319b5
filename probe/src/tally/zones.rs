//! Zones, learnt from negative responses, and the hits folded into each.
//!
//! Hits without a place in the table are folded into one sum per zone and kind. Zones need no
//! configuration: the server names them in the authority section of every negative response (see
//! `observe/authority.rs`). Only the server's own responses are used, and only zones that contain
//! the queried name.
//!
//! There are at most [`MAX_ZONES`]. None is evicted within an interval, because it may have sums.
//! Between two intervals, if more than three quarters are taken, those with the fewest recently
//! folded hits are evicted. So on a resolver, where anybody can have queries in zones of their own
//! denied, a stream of such zones does not displace those that folding needs.

use super::Sum;
use super::index::Index;
use super::name::{Seeds, labels};
use hashbrown::HashMap;
use zonepulse_dns::name;

/// Maximum number of known zones.
pub(super) const MAX_ZONES: usize = 1024;
/// Maximum total length of their names, octets.
pub(super) const MAX_NAME_OCTETS: usize = 64 << 10;
/// Maximum number of sums of zones; beyond it, the server's own are used.
pub(super) const MAX_SUMS: usize = 4096;
/// Maximum number of labels in a name.
const MAX_LABELS: usize = name::MAX_WIRE / 2;

/// The number of a zone, or [`SERVER`].
pub(super) type Number = u16;
/// Stands for hits that belong to no known zone.
pub(super) const SERVER: Number = Number::MAX;

#[derive(Debug, Clone, Default)]
pub(super) struct Zones {
    index: Index,
    zones: Vec<Zone>,
    /// Lower-case, in wire format.
    names: Vec<u8>,
    /// The largest number of labels in any of them.
    max_labels: usize,
    /// The zone learnt last.
    last: Number,
    /// By zone and number of the kind.
    sums: HashMap<(Number, u16), Sum>,
}

#[derive(Debug, Clone, Copy)]
struct Zone {
    name_at: u32,
    name_length: u8,
    /// Number of hits folded into it, decaying with every interval.
    score: u64,
}

impl Zones {
    /// The number of the zone with this lower-case name: known, or learnt now if there is space.
    pub(super) fn learn(&mut self, seeds: &Seeds, zone: &[u8]) -> Number {
        // A flood nearly always concerns a single zone.
        if self.zones.get(usize::from(self.last)).and_then(|last| self.name_of(last)) == Some(zone) {
            return self.last;
        }
        self.last = self.find_or_insert(seeds, zone);
        self.last
    }

    fn find_or_insert(&mut self, seeds: &Seeds, zone: &[u8]) -> Number {
        let chain = Chain::new(seeds, zone, usize::MAX);
        let hash = chain.links().last().map_or(0, |(_, hash)| hash);
        if let Some(number) = self.find(hash, zone) {
            return number;
        }
        if self.zones.len() >= MAX_ZONES || self.names.len() + zone.len() > MAX_NAME_OCTETS {
            return SERVER;
        }
        self.insert(hash, chain.count, zone, 0)
    }

    /// The longest known zone that contains this lower-case name.
    pub(super) fn find_longest(&self, seeds: &Seeds, name: &[u8]) -> Number {
        if self.zones.is_empty() {
            return SERVER;
        }
        let chain = Chain::new(seeds, name, self.max_labels);
        let known = chain.links().filter_map(|(from, hash)| self.find(hash, name.get(from..)?));
        known.last().unwrap_or(SERVER)
    }

    /// Counts a folded hit.
    #[inline]
    pub(super) fn fold(&mut self, zone: Number, kind: u16, time_ms: u64) {
        let is_full = self.sums.len() >= MAX_SUMS;
        let zone = if is_full && !self.sums.contains_key(&(zone, kind)) { SERVER } else { zone };
        self.sums.entry((zone, kind)).or_insert(Sum::NONE).add(time_ms);
    }

    /// The sums by zone and kind; those of the server last.
    pub(super) fn sums(&self) -> Vec<(Number, u16, Sum)> {
        let mut sums: Vec<_> = self.sums.iter().map(|((zone, kind), sum)| (*zone, *kind, *sum)).collect();
        sums.sort_unstable_by_key(|(zone, kind, _)| (*zone, *kind));
        sums
    }

    /// A zone's name in wire format; `None` for the server.
    pub(super) fn name(&self, number: Number) -> Option<&[u8]> {
        self.zones.get(usize::from(number)).and_then(|zone| self.name_of(zone))
    }

    /// Ends an interval: clears the sums, and makes room for new zones.
    pub(super) fn close_interval(&mut self, seeds: &Seeds) {
        for ((zone, _), sum) in self.sums.drain() {
            if let Some(zone) = self.zones.get_mut(usize::from(zone)) {
                zone.score = zone.score.saturating_add(sum.hits);
            }
        }
        self.zones.iter_mut().for_each(|zone| zone.score -= zone.score / 4);
        let is_crowded = |part: usize, whole: usize| part > whole / 4 * 3;
        if is_crowded(self.zones.len(), MAX_ZONES) || is_crowded(self.names.len(), MAX_NAME_OCTETS) {
            self.forget(seeds);
        }
    }

    fn forget(&mut self, seeds: &Seeds) {
        let mut by_score = self.zones.clone();
        by_score.sort_by_key(|zone| std::cmp::Reverse(zone.score));
        let names = std::mem::take(&mut self.names);
        *self = Zones::default();
        for Zone { name_at, name_length, score } in by_score {
            let from = name_at as usize;
            let Some(name) = names.get(from..from + usize::from(name_length)) else { continue };
            if self.zones.len() >= MAX_ZONES / 4 * 3 || self.names.len() + name.len() > MAX_NAME_OCTETS / 4 * 3 {
                return;
            }
            let chain = Chain::new(seeds, name, usize::MAX);
            let hash = chain.links().last().map_or(0, |(_, hash)| hash);
            self.insert(hash, chain.count, name, score);
        }
    }

    fn insert(&mut self, hash: u32, labels: usize, name: &[u8], score: u64) -> Number {
        let number = self.zones.len() as Number;
        self.zones.push(Zone { name_at: self.names.len() as u32, name_length: name.len() as u8, score });
        self.names.extend_from_slice(name);
        self.index.insert(hash, u32::from(number));
        self.max_labels = self.max_labels.max(labels);
        number
    }

    fn find(&self, hash: u32, name: &[u8]) -> Option<Number> {
        let is_it = |number: u32| self.zones.get(number as usize).and_then(|zone| self.name_of(zone)) == Some(name);
        self.index.find(hash, is_it).map(|number| number as Number)
    }

    fn name_of(&self, zone: &Zone) -> Option<&[u8]> {
        self.names.get(zone.name_at as usize..)?.get(..usize::from(zone.name_length))
    }
}

/// The ancestors of a name, as deep as zones may be: each is hashed from the one above, so that
/// many labels cost no more than their octets.
struct Chain<'n> {
    seeds: &'n Seeds,
    name: &'n [u8],
    /// Offset of each label, leftmost first.
    begins: [u8; MAX_LABELS],
    count: usize,
    /// Number of labels of interest, counted from the root.
    wanted: usize,
}

impl<'n> Chain<'n> {
    fn new(seeds: &'n Seeds, name: &'n [u8], wanted: usize) -> Self {
        let (mut begins, mut count) = ([0; MAX_LABELS], 0);
        for ((from, _), begin) in labels(name).zip(&mut begins) {
            *begin = from as u8;
            count += 1;
        }
        Chain { seeds, name, begins, count, wanted: wanted.min(count) }
    }

    /// The root, and every name down to the deepest of interest: offset and hash.
    fn links(&self) -> impl Iterator<Item = (usize, u32)> {
        let root = self.name.len().saturating_sub(1);
        let from = self.begins.get(self.count - self.wanted..self.count).unwrap_or_default();
        let below = from.iter().rev().scan(0, |hash, from| {
            let rest = self.name.get(usize::from(*from)..)?;
            let label = rest.get(1..=usize::from(*rest.first()?))?;
            *hash = self.seeds.below(*hash, label);
            Some((usize::from(*from), *hash as u32))
        });
        std::iter::once((root, 0)).chain(below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zonepulse_dns::MessageKind;
    use zonepulse_dns::name::to_wire;

    const REQUEST: u16 = MessageKind::REQUEST.number();

    fn learn(zones: &mut Zones, seeds: &Seeds, name: &str) -> Number {
        zones.learn(seeds, &to_wire(name).unwrap())
    }

    fn longest(zones: &Zones, seeds: &Seeds, name: &str) -> Option<String> {
        let mut text = String::new();
        let number = zones.find_longest(seeds, &to_wire(name).unwrap());
        zones.name(number).map(|zone| {
            assert!(name::push_text(zone, &mut text));
            text
        })
    }

    #[test]
    fn a_name_belongs_to_the_longest_zone_that_it_is_in() {
        let (mut zones, seeds) = (Zones::default(), Seeds::random());
        assert_eq!(longest(&zones, &seeds, "www.example."), None);
        for zone in ["example.", "sub.example.", "test."] {
            learn(&mut zones, &seeds, zone);
        }
        for (name, zone) in [
            ("www.example.", Some("example.")),
            ("example.", Some("example.")),
            ("a.b.sub.example.", Some("sub.example.")),
            ("xsub.example.", Some("example.")),
            ("notexample.", None),
            ("com.", None),
            (".", None),
        ] {
            assert_eq!(longest(&zones, &seeds, name).as_deref(), zone, "{name}");
        }
        learn(&mut zones, &seeds, ".");
        assert_eq!(longest(&zones, &seeds, "com.").as_deref(), Some("."));
    }

    #[test]
    fn a_zone_is_learnt_once() {
        let (mut zones, seeds) = (Zones::default(), Seeds::random());
        assert_eq!(learn(&mut zones, &seeds, "a."), learn(&mut zones, &seeds, "a."));
        assert_eq!(zones.zones.len(), 1);
    }

    #[test]
    fn a_stream_of_zones_displaces_none_that_folding_needs() {
        let (mut zones, seeds) = (Zones::default(), Seeds::random());
        for interval in 0..20 {
            let ours = learn(&mut zones, &seeds, "ours.");
            assert_ne!(ours, SERVER);
            (0..1000).for_each(|_| zones.fold(ours, REQUEST, 0));
            for zone in 0..5000 {
                let theirs = learn(&mut zones, &seeds, &format!("z{interval}x{zone}."));
                zones.fold(theirs, REQUEST, 0);
            }
            assert!(zones.zones.len() <= MAX_ZONES && zones.sums.len() <= MAX_SUMS + 1);
            let folded: u64 = zones.sums().iter().map(|(.., sum)| sum.hits).sum();
            assert_eq!(folded, 6000);
            zones.close_interval(&seeds);
        }
        assert_eq!(longest(&zones, &seeds, "www.ours.").as_deref(), Some("ours."));
    }

    #[test]
    fn memory_of_zones_is_bounded_whatever_their_names() {
        let (mut zones, seeds) = (Zones::default(), Seeds::random());
        for zone in 0..2000 {
            learn(&mut zones, &seeds, &format!("{}{zone:04}.", "a23456789.".repeat(24)));
        }
        assert!(zones.names.len() <= MAX_NAME_OCTETS);
        for kind in 0..MessageKind::COUNT {
            (0..4).for_each(|zone| zones.fold(zone, kind, 0));
        }
        assert!(zones.sums.len() <= MAX_SUMS + usize::from(MessageKind::COUNT));
        assert_eq!(zones.sums().iter().map(|(.., sum)| sum.hits).sum::<u64>(), 4 * u64::from(MessageKind::COUNT));
    }

    proptest! {
        #[test]
        fn the_longest_zone_agrees_with_a_search(
            known in prop::collection::vec("[ab](\\.[ab]{1,2}){0,3}", 0..12),
            name in "[ab](\\.[ab]{1,2}){0,4}",
        ) {
            let (mut zones, seeds) = (Zones::default(), Seeds::random());
            known.iter().for_each(|zone| _ = learn(&mut zones, &seeds, zone));
            let inside = |zone: &&String| format!(".{name}.").ends_with(&format!(".{zone}."));
            let expected = known.iter().filter(inside).max_by_key(|zone| zone.len()).map(|zone| format!("{zone}."));
            prop_assert_eq!(longest(&zones, &seeds, &name), expected);
        }
    }
}
