//! What a query credits, computed once per version of the catalogue.

use super::Via;
use crate::Name;
use crate::lookup::{Role, Used};
use crate::set::{Slot, ZoneIndex, ZoneSet};
use zonepulse_dns::RecordType;

/// An RRset that a query uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// The zone in which the lookup began.
    pub start: ZoneIndex,
    /// The RRset; `None` says that the lookup in `start` used nothing, so that no higher zone counts in its place.
    pub slot: Option<Slot>,
    /// How the query reaches it.
    pub via: Via,
}

/// The credits of queries that were looked up before.
///
/// What a query uses depends on the zones only. Crediting a million records is a second's work, adding newer times to
/// their credits a tenth of that. So credits are kept by record for as long as the zones stay the same.
#[derive(Debug, Default)]
pub struct Crediting {
    credits: Vec<Credit>,
    /// By record, in pages, because numbers are dense where they are used.
    pages: Vec<Option<Box<[Span; PAGE]>>>,
}

/// Which of the credits belong to a record.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    /// The first, plus 1; 0 for a record that was not looked up yet.
    start: u32,
    /// How many.
    count: u32,
}

const PAGE: usize = 1024;

impl Crediting {
    /// The credits of a record, if they are known.
    pub fn get(&self, record: u32) -> Option<&[Credit]> {
        let page = self.pages.get(record as usize / PAGE)?.as_deref()?;
        let Span { start, count } = *page.get(record as usize % PAGE)?;
        let start = (start as usize).checked_sub(1)?;
        self.credits.get(start..start + count as usize)
    }

    /// The RRsets that a query for `name` and `rtype` uses, for every zone in which a server may look it up, the lowest
    /// zones first. `record` is any number that stands for this name and type, and `zones` must be the same on every
    /// call.
    pub fn credit(&mut self, record: u32, name: &Name, rtype: RecordType, zones: &ZoneSet) -> &[Credit] {
        if self.get(record).is_none() {
            let start = self.credits.len();
            push_credits(zones, name, rtype, &mut self.credits);
            self.note(record, start);
        }
        self.get(record).unwrap_or_default()
    }

    /// Notes that a record, which was not looked up yet, uses nothing.
    pub fn credit_nothing(&mut self, record: u32) {
        self.note(record, self.credits.len());
    }

    /// Notes that the credits from `start` on are those of a record.
    fn note(&mut self, record: u32, start: usize) {
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let at = record as usize / PAGE;
        if self.pages.len() <= at {
            self.pages.resize_with(at + 1, Option::default);
        }
        let Some(page) = self.pages.get_mut(at) else { return };
        let page = page.get_or_insert_with(|| Box::new([Span::default(); PAGE]));
        if let Some(span) = page.get_mut(record as usize % PAGE) {
            *span = Span { start: number(start + 1), count: number(self.credits.len() - start) };
        }
    }

    /// Octets of memory that the credits occupy.
    pub fn size_bytes(&self) -> usize {
        let pages = self.pages.iter().flatten().count() * size_of::<[Span; PAGE]>();
        self.credits.capacity() * size_of::<Credit>() + self.pages.capacity() * size_of::<usize>() + pages
    }
}

fn push_credits(zones: &ZoneSet, name: &Name, rtype: RecordType, credits: &mut Vec<Credit>) {
    // TSIG to MAILA, among them AXFR and IXFR, and OPT, ask for no RRset (RFC 6895 section 3.1).
    if matches!(rtype.value(), 0 | 41 | 249..=254) {
        return;
    }
    for start in zones.enclosing(name, rtype) {
        let before = credits.len();
        zones.follow(start, name, rtype, &mut |slot, used| {
            let credit = Credit { start, slot: Some(slot), via: via(zones, slot, used, name, rtype) };
            if credits.iter().skip(before).all(|other| *other != credit) {
                credits.push(credit);
            }
        });
        if credits.len() == before {
            credits.push(Credit { start, slot: None, via: Via::Denial });
        }
    }
}

fn via(zones: &ZoneSet, slot: Slot, used: Used, name: &Name, rtype: RecordType) -> Via {
    match used.role {
        Role::Referral => return Via::Delegation,
        Role::Glue => return Via::Glue,
        Role::Denial => return Via::Denial,
        Role::Answer => {}
    }
    if rtype.value() == 255 {
        return Via::Any;
    }
    let Some((_, rrset)) = zones.locate(slot) else { return Via::Alias };
    let owner = rrset.owner();
    match owner == *name {
        true if rrset.rtype() == rtype => Via::Asked,
        false if owner.is_wildcard() => Via::Wildcard,
        _ => Via::Alias,
    }
}
