//! The zones of a server: which names are in them, and which name a wildcard expands to.
//!
//! The message says from which RRset an answer was made, with one exception: an unsigned answer made
//! from a wildcard looks like any other (RFC 4592). Whether the owner exists decides, and that only
//! the zone knows. So the probe may be given the [`Names`] of a zone: its wildcards, and a hash of
//! every name that exists, including those that exist only because there are names below them.
//! Without them, an unsigned answer may come from a wildcard, and its credit says so.

use hashbrown::HashSet;
use sha2::{Digest, Sha256};
use zonepulse_dns::name::{MAX_LABEL, MAX_WIRE};

/// Zones by their apex.
#[derive(Debug, Clone, Default)]
pub struct Zones {
    /// Lower-case, in wire format.
    apexes: HashSet<Box<[u8]>>,
    /// With known names.
    named: Vec<Names>,
}

/// The names of a zone, as far as wildcards need them.
#[derive(Debug, Clone)]
pub struct Names {
    /// Lower-case, in wire format, as all names here.
    apex: Box<[u8]>,
    /// The names directly above the label `*` of a wildcard.
    enclosers: HashSet<Box<[u8]>>,
    /// Hashes of all names at or below an encloser, sorted.
    hashes: Vec<u64>,
}

/// Which RRset of a zone an unsigned answer for a name was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// That of the name itself.
    Itself,
    /// That of the wildcard directly below the name with so many labels.
    Wildcard { labels: usize },
    /// One of the two.
    Unknown,
}

impl Zones {
    /// No zones: every name counts, and no wildcard is known.
    pub fn any() -> Self {
        Zones::default()
    }

    /// Adds a zone with this apex, in wire format. Once there is one, only names in zones count.
    pub fn add(&mut self, apex: &[u8]) {
        self.apexes.insert(apex.to_ascii_lowercase().into());
    }

    /// Adds a zone of which all names are known.
    pub fn add_named(&mut self, names: Names) {
        self.apexes.insert(names.apex.clone());
        self.named.retain(|known| known.apex != names.apex);
        self.named.push(names);
    }

    /// Whether every name counts.
    pub(super) fn are_any(&self) -> bool {
        self.apexes.is_empty()
    }

    /// Whether a lower-case name is in a zone.
    pub(super) fn have(&self, name: &[u8]) -> bool {
        self.are_any() || suffixes(name).any(|suffix| self.apexes.contains(suffix))
    }

    /// Whether there is no need to look at names at all.
    pub(super) fn know_nothing(&self) -> bool {
        self.apexes.is_empty() && self.named.is_empty()
    }

    /// Which RRset an unsigned answer for this lower-case name was made from.
    pub(super) fn source(&self, name: &[u8]) -> Source {
        // The deepest zone has it.
        match suffixes(name).find(|suffix| self.apexes.contains(*suffix)) {
            // An apex always exists.
            Some(apex) if apex.len() == name.len() => Source::Itself,
            Some(apex) => {
                self.named.iter().find(|names| &*names.apex == apex).map_or(Source::Unknown, |names| names.source(name))
            }
            None => Source::Unknown,
        }
    }
}

impl Names {
    /// The names of a zone, from its apex and all its owners in wire format. Owners outside of the
    /// zone are ignored.
    pub fn new<'n>(apex: &[u8], owners: impl Iterator<Item = &'n [u8]> + Clone) -> Self {
        let apex: Box<[u8]> = apex.to_ascii_lowercase().into();
        let owners = owners.map(<[u8]>::to_ascii_lowercase).filter(|owner| suffixes(owner).any(|suffix| suffix == &*apex));
        let enclosers: HashSet<Box<[u8]>> =
            owners.clone().filter_map(|owner| owner.strip_prefix(b"\x01*").map(Box::from)).collect();
        let mut hashes = Vec::new();
        for owner in owners {
            let inside = suffixes(&owner).take_while(|suffix| suffix.len() >= apex.len());
            // A name exists if there is one below it (RFC 4592 section 2.2).
            let below_a_wildcard = inside.filter(|suffix| suffixes(suffix).any(|above| enclosers.contains(above)));
            hashes.extend(below_a_wildcard.map(hash));
        }
        hashes.sort_unstable();
        hashes.dedup();
        Names { apex, enclosers, hashes }
    }

    fn exists(&self, name: &[u8]) -> bool {
        self.hashes.binary_search(&hash(name)).is_ok()
    }

    fn source(&self, name: &[u8]) -> Source {
        let above = || suffixes(name).skip(1).take_while(|suffix| suffix.len() >= self.apex.len());
        let Some(encloser) = above().find(|suffix| self.enclosers.contains(*suffix)) else { return Source::Itself };
        if self.exists(name) {
            return Source::Itself;
        }
        // Only the closest encloser's wildcard answers; if there is a closer one, the names are not
        // those that the server has.
        let between = || above().take_while(|suffix| suffix.len() > encloser.len());
        match between().any(|suffix| self.exists(suffix)) {
            true => Source::Unknown,
            false => Source::Wildcard { labels: suffixes(encloser).count() - 1 },
        }
    }
}

/// The first 64 bits of the SHA-256 of a lower-case name in wire format: the same everywhere, and
/// nobody can find a name with the hash of another one.
fn hash(name: &[u8]) -> u64 {
    Sha256::digest(name).first_chunk().copied().map_or(0, u64::from_be_bytes)
}

/// A name in wire format and every name above it, down to the root.
fn suffixes(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(name).filter(|name| name.len() <= MAX_WIRE);
    std::iter::from_fn(move || {
        let this = rest?;
        let length = usize::from(*this.first()?);
        rest = if (1..=MAX_LABEL).contains(&length) { this.get(1 + length..) } else { None };
        Some(this)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_dns::name::to_wire;

    fn names(apex: &str, owners: &[&str]) -> Names {
        let owners: Vec<_> = owners.iter().map(|owner| to_wire(owner).unwrap()).collect();
        Names::new(&to_wire(apex).unwrap(), owners.iter().map(Vec::as_slice))
    }

    fn source(zones: &Zones, name: &str) -> Source {
        zones.source(&to_wire(name).unwrap())
    }

    #[test]
    fn a_wildcard_answers_for_names_that_do_not_exist_below_its_encloser() {
        let mut zones = Zones::any();
        let owners = ["example.", "*.Example.", "host.example.", "a.b.example.", "*.w.x.example.", "else.test."];
        zones.add_named(names("example.", &owners));
        let at = |labels| Source::Wildcard { labels };
        for (name, expected) in [
            ("example.", Source::Itself),
            ("host.example.", Source::Itself),
            ("*.example.", Source::Itself),
            ("any.example.", at(1)),
            ("far.below.any.example.", at(1)),
            ("x.*.example.", Source::Unknown),
            ("y.host.example.", Source::Unknown),
            ("b.example.", Source::Itself),
            ("c.b.example.", Source::Unknown),
            ("q.w.x.example.", at(3)),
            ("w.x.example.", Source::Itself),
            ("v.x.example.", Source::Unknown),
            ("else.test.", Source::Unknown),
        ] {
            assert_eq!(source(&zones, name), expected, "{name}");
        }
    }

    #[test]
    fn a_zone_without_wildcards_needs_no_hashes() {
        let mut zones = Zones::any();
        zones.add_named(names("example.", &["example.", "host.example."]));
        assert_eq!(source(&zones, "any.example."), Source::Itself);
        assert!(zones.named.iter().all(|names| names.hashes.is_empty()));
    }

    #[test]
    fn names_are_those_of_the_deepest_zone() {
        let mut zones = Zones::any();
        zones.add_named(names("example.", &["example.", "*.example."]));
        zones.add(&to_wire("sub.example.").unwrap());
        assert_eq!(source(&zones, "a.example."), Source::Wildcard { labels: 1 });
        assert_eq!(source(&zones, "a.sub.example."), Source::Unknown);
        assert_eq!(source(&zones, "sub.example."), Source::Itself);
    }

    #[test]
    fn without_zones_every_name_counts_and_with_zones_only_theirs() {
        let mut zones = Zones::any();
        let have = |zones: &Zones, name: &str| zones.have(&to_wire(name).unwrap());
        assert!(have(&zones, "a.test.") && have(&zones, "."));
        zones.add(&to_wire("Example.").unwrap());
        assert!(have(&zones, "a.example.") && have(&zones, "example."));
        assert!(!have(&zones, "a.test.") && !have(&zones, "notexample.") && !have(&zones, "."));
        zones.add(&to_wire(".").unwrap());
        assert!(have(&zones, "a.test."));
    }

    #[test]
    fn the_hash_is_the_same_everywhere() {
        assert_eq!(hash(b"\x07example\x00"), u64::from_be_bytes(*Sha256::digest(b"\x07example\x00").first_chunk().unwrap()));
        assert_eq!(hash(b"\x00"), 0x6e34_0b9c_ffb3_7a98);
    }
}
