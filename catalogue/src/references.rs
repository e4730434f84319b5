//! What refers to what, across all zones.
//!
//! A record that nobody asks for may still be needed, because something that is used leads to it: the address of an MX
//! host, the glue of a delegation, the target of a CNAME. This module knows these references as a graph of RRsets, and
//! finds what is reachable from given roots. Two records that refer to each other do not keep each other alive.
//!
//! | RRset | refers to |
//! | --- | --- |
//! | CNAME | all RRsets of its target |
//! | DNAME (RFC 6672) | all RRsets of its target, and of all names below it |
//! | MX, SRV (RFC 2782) | the addresses of the host |
//! | NS | the addresses of the name server, also as glue; at a cut, the DS (RFC 4035) |
//! | apex NS | the delegation to this zone in the zone above |
//! | SVCB, HTTPS (RFC 9460) | addresses of the target or, if that is ".", of the owner; in AliasMode also SVCB or HTTPS there |
//! | NAPTR (RFC 3403) | by its flags: S the SRV, A the addresses, none the next NAPTR |
//! | PTR | the addresses of the host; outside of in-addr.arpa and ip6.arpa all RRsets of its target (RFC 6763) |
//!
//! A target is looked up as a query would be, so it may also be a wildcard, an alias, a delegation, or in another zone;
//! everything that such a lookup uses is referred to.

mod build;
mod reach;
mod target;

pub use reach::Reached;

use crate::set::Slot;
use std::ops::Range;

/// The RRsets that follow each other in slots, or a subtree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    One(Slot),
    Subtree(u32),
}

/// References between the RRsets of a [`ZoneSet`](crate::ZoneSet).
#[derive(Debug, Default)]
pub struct References {
    /// Where the references of each slot begin in `edges`; one more than there are slots.
    starts: Vec<u32>,
    edges: Vec<Edge>,
    /// What DNAMEs refer to. Many DNAMEs may share a subtree of many RRsets.
    subtrees: Vec<Vec<Range<u32>>>,
}

impl References {
    /// Number of RRsets, referring or not.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there are no RRsets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The RRsets that `slot` refers to, in order.
    pub fn of(&self, slot: Slot) -> Vec<Slot> {
        let mut slots = Vec::new();
        for edge in self.edges(slot) {
            match edge {
                Edge::One(slot) => slots.push(*slot),
                Edge::Subtree(subtree) => slots.extend(self.subtree(*subtree)),
            }
        }
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// Octets of memory that the references occupy.
    pub fn size_bytes(&self) -> usize {
        let ranges: usize = self.subtrees.iter().map(|ranges| ranges.capacity() * size_of::<Range<u32>>()).sum();
        self.starts.capacity() * size_of::<u32>() + self.edges.capacity() * size_of::<Edge>() + ranges
    }

    fn edges(&self, slot: Slot) -> &[Edge] {
        let bound = |at: usize| self.starts.get(at).map(|bound| *bound as usize);
        let range = bound(slot.at()).zip(bound(slot.at() + 1));
        range.and_then(|(start, end)| self.edges.get(start..end)).unwrap_or_default()
    }

    fn subtree(&self, subtree: u32) -> impl Iterator<Item = Slot> {
        let ranges = self.subtrees.get(subtree as usize).map(Vec::as_slice).unwrap_or_default();
        ranges.iter().cloned().flatten().filter_map(Slot::new)
    }
}

#[cfg(test)]
mod tests;
