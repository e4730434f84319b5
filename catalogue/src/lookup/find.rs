//! Where the search for a name ends.

use super::{Removed, View};
use crate::Name;
use crate::zone::RrsetRef;
use zonepulse_dns::RecordType;

/// Where the way from the apex to a name ends.
pub enum Found<'a> {
    /// At this zone cut.
    Cut(RrsetRef<'a>),
    /// At this DNAME above the name.
    Dname(RrsetRef<'a>),
    /// At the name, which may be an empty non-terminal.
    Name,
    /// At the closest encloser, below which there is a wildcard, which may be an empty non-terminal.
    Wildcard { encloser: Name, wildcard: Name },
    /// At the closest encloser, below which there is no wildcard.
    Nothing { encloser: Name },
}

/// RFC 1034 section 4.3.2, step 3, for a name in the zone.
pub fn find<'a>(view: &View<'a>, name: &Name, rtype: RecordType) -> Found<'a> {
    let path = path(view, name);
    // Deepest position in the path that has records; the apex exists without.
    let mut deepest = 0;
    for (depth, wire) in path.iter().enumerate() {
        let is_name = depth + 1 == path.len();
        let mut dname = None;
        for set in view.at(wire) {
            deepest = depth;
            match set.rtype() {
                // Step 3b. DS belongs to the parent's side of the cut (RFC 4035 section 3.1.4.1).
                RecordType::NS if depth > 0 && !(is_name && rtype == RecordType::DS) => return Found::Cut(set),
                RecordType::DNAME if !is_name => dname = Some(set),
                _ => {}
            }
        }
        if let Some(dname) = dname {
            return Found::Dname(dname);
        }
    }
    node(view, &path, deepest)
}

/// The same for the address of a name server in the zone, which may be below a cut.
pub fn find_glue<'a>(view: &View<'a>, name: &Name) -> Found<'a> {
    let path = path(view, name);
    let deepest = path.iter().rposition(|wire| view.at(wire).next().is_some());
    node(view, &path, deepest.unwrap_or(0))
}

/// The names from the apex to `name`.
fn path<'n>(view: &View<'_>, name: &'n Name) -> Vec<&'n [u8]> {
    let apex = view.zone.apex().wire().len();
    let mut path: Vec<&[u8]> = name.ancestors().take_while(|wire| wire.len() >= apex).collect();
    path.reverse();
    path
}

/// The name at the end of a path, or what there is instead; the names up to position `deepest` exist.
fn node<'a>(view: &View<'a>, path: &[&[u8]], deepest: usize) -> Found<'a> {
    let missing = path.iter().enumerate().skip(deepest + 1).find(|(_, wire)| !view.has_below(wire));
    let encloser = missing.and_then(|(depth, _)| path.get(depth - 1)).and_then(|wire| Name::from_wire(wire));
    encloser.map_or(Found::Name, |encloser| at_wildcard(view, encloser))
}

/// RFC 1034 section 4.3.2, step 3c, as RFC 4592 section 3.3.1 clarifies it.
fn at_wildcard<'a>(view: &View<'a>, encloser: Name) -> Found<'a> {
    let wildcard = encloser.wildcard().filter(|name| view.at(name.wire()).next().is_some() || view.has_below(name.wire()));
    match wildcard {
        Some(wildcard) => Found::Wildcard { encloser, wildcard },
        None => Found::Nothing { encloser },
    }
}

impl<'a> View<'a> {
    /// The RRsets of an owner in wire format.
    pub(super) fn at(self, wire: &[u8]) -> impl Iterator<Item = RrsetRef<'a>> + use<'a> {
        self.zone.at_wire(wire).filter(move |set| self.has(set.index()))
    }

    pub(super) fn find(self, wire: &[u8], rtype: RecordType) -> Option<RrsetRef<'a>> {
        self.at(wire).find(|set| set.rtype() == rtype)
    }

    /// Whether any RRset is below a name.
    pub(crate) fn has_below(&self, wire: &[u8]) -> bool {
        match self.removed {
            Removed::Nothing => self.zone.has_at_or_below(wire),
            Removed::Where(removed) => self.zone.below_wire(wire).any(|set| !removed(set.index())),
            Removed::Sorted(removed) => {
                let below = self.zone.below_wire(wire);
                let end = below.len();
                let Some(first) = below.clone().next().map(|set| set.index()) else { return false };
                // Positions are dense: the RRsets below a name are those from the first on.
                let from = removed.partition_point(|index| *index < first);
                removed.get(from..).unwrap_or_default().partition_point(|index| ((index.get() - first.get()) as usize) < end)
                    < end
            }
        }
    }
}
