//! What differs between two versions of a zone.

use super::{RrsetRef, Rrsets, Zone};
use std::cmp::Ordering;
use std::iter::Peekable;

/// How one RRset differs between two versions.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// Only the new version has it.
    Added(RrsetRef<'a>),
    /// Only the old version has it.
    Removed(RrsetRef<'a>),
    /// Both have it, with different TTLs or records.
    Changed {
        /// As it was.
        old: RrsetRef<'a>,
        /// As it is.
        new: RrsetRef<'a>,
    },
}

/// The changes from one version to another; see [`Zone::diff`].
pub struct Diff<'a> {
    old: Peekable<Rrsets<'a>>,
    new: Peekable<Rrsets<'a>>,
    /// Different zones have no RRset in common.
    same_apex: bool,
}

impl<'a> Diff<'a> {
    pub(super) fn new(old: &'a Zone, new: &'a Zone) -> Self {
        Diff { old: old.iter().peekable(), new: new.iter().peekable(), same_apex: old.apex() == new.apex() }
    }

    fn order(&mut self) -> Option<Ordering> {
        Some(match (self.old.peek(), self.new.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), Some(_)) if !self.same_apex => Ordering::Less,
            (Some(old), Some(new)) => (old.key(), old.rtype()).cmp(&(new.key(), new.rtype())),
        })
    }
}

impl<'a> Iterator for Diff<'a> {
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        loop {
            match self.order()? {
                Ordering::Less => return self.old.next().map(Change::Removed),
                Ordering::Greater => return self.new.next().map(Change::Added),
                Ordering::Equal => {
                    let (old, new) = (self.old.next()?, self.new.next()?);
                    if old.row() != new.row() {
                        return Some(Change::Changed { old, new });
                    }
                }
            }
        }
    }
}
