//! Which RRsets a response was made from: what was *served*, beside what was asked.
//!
//! The answer tells more than the question: which CNAMEs a name led through, which wildcard or
//! delegation answered for it, which addresses were glue. A [`Reader`] reads the sections after the
//! question and credits every RRset of the zone that the response was made from, once per response,
//! with a class ([`Served`]). `docs/SERVED.md` has the rules, and why they are as they are.
//!
//! ```text
//! names ──▶ records ──▶ aliases ──▶ rules ──▶ credits ──▶ Credit
//! where     headers,    how far     class of  each RRset
//! they are  targets     it leads    each      once
//! ```
//!
//! Nothing here allocates once its buffers have grown to the largest response, and no octet of a
//! message is trusted: a response that is malformed anywhere is credited to nothing, and counted.

mod aliases;
mod credits;
mod names;
mod records;
mod rules;
mod seen;
mod sets;
#[cfg(test)]
mod tests;
mod zones;

pub use seen::Seen;
pub use zones::{Names, Zones};

use crate::observe::Hit;
use credits::Credits;
use records::Records;
use rules::Targets;
use zonepulse_dns::{MessageKind, RecordType, Served};

/// Length of a message's header.
const HEADER_OCTETS: usize = 12;
/// What changed in a zone (RFC 1995), and all of it, in queries.
const IXFR: RecordType = RecordType::new(251);
const AXFR: RecordType = RecordType::new(252);
/// The flag TC, in the third octet of the header.
const TRUNCATED: u8 = 0x02;

/// An RRset that a response was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit<'a> {
    /// Its owner: uncompressed wire format, in any case. For an answer known to come from a
    /// wildcard, that is the wildcard.
    pub owner: &'a [u8],
    /// Its type.
    pub record_type: RecordType,
    /// Why it is in the response.
    pub class: Served,
    /// Whether the RRset may be that of a wildcard above the owner instead: the answer is not
    /// signed, and the zone's names are not known.
    pub may_be_wildcard: bool,
}

/// What distinguishes the sums of one RRset: the class, and whether it may be a wildcard's.
///
/// Represented as one number, so that it takes two bytes in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// Why the RRset was in responses.
    pub class: Served,
    /// See [`Credit::may_be_wildcard`].
    pub may_be_wildcard: bool,
}

impl Kind {
    /// The number that stands for it.
    pub const fn number(self) -> u16 {
        (self.class as u16) << 1 | self.may_be_wildcard as u16
    }

    /// Converts a number; `None` if it stands for nothing.
    pub fn from_number(number: u16) -> Option<Self> {
        let class = Served::ALL.get(usize::from(number >> 1)).copied()?;
        Some(Kind { class, may_be_wildcard: number & 1 == 1 })
    }
}

impl Credit<'_> {
    /// What distinguishes it from other credits of the RRset.
    pub fn kind(&self) -> Kind {
        Kind { class: self.class, may_be_wildcard: self.may_be_wildcard }
    }
}

/// What a message was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A response, all of whose RRsets were credited.
    Read,
    /// A response that was truncated (TC): nothing was served, the client asks again over TCP.
    Truncated,
    /// A malformed response, or one of which the capture does not have all octets.
    Unreadable,
    /// Nothing that serves records: a request, or a transfer of a whole zone.
    Apart,
}

/// Reads responses.
#[derive(Debug, Default)]
pub struct Reader {
    zones: Zones,
    records: Records,
    targets: Targets,
    credits: Credits,
}

impl Reader {
    /// A reader for a server with these zones.
    pub fn new(zones: Zones) -> Self {
        Reader { zones, ..Reader::default() }
    }

    /// Passes each RRset that a response was made from to `credit`, once.
    ///
    /// A caller that knows which questions are those of our own central (SOA polls, and transfers in
    /// case more than one is running) does not pass on their responses.
    #[inline]
    pub fn read(&mut self, hit: &Hit<'_>, credit: impl FnMut(&Credit<'_>)) -> Outcome {
        if hit.kind == MessageKind::REQUEST || matches!(hit.record_type, AXFR | IXFR) {
            return Outcome::Apart;
        }
        if hit.message.get(2).is_some_and(|flags| flags & TRUNCATED != 0) {
            return Outcome::Truncated;
        }
        match self.read_sections(hit) {
            Some(()) => self.credits.give(hit.message, &self.zones, credit),
            None => return Outcome::Unreadable,
        }
        Outcome::Read
    }

    fn read_sections(&mut self, hit: &Hit<'_>) -> Option<()> {
        // Type and class follow the question's name.
        self.records.read(hit.message, HEADER_OCTETS + hit.name.len() + 4)?;
        self.credits.clear();
        rules::apply(hit, &self.records, &mut self.targets, &mut self.credits)?;
        self.credits.settle(hit.message, &self.records, &self.zones);
        Some(())
    }
}
