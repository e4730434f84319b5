//! The credits of one response: each RRset once, under the name that it has in the zone.

use super::Credit;
use super::names::{Labels, Name};
use super::records::{Record, Records, Section};
use super::sets::Hashing;
use super::zones::{Source, Zones};
use zonepulse_dns::name::MAX_WIRE;
use zonepulse_dns::{RecordType, Served};

/// Up to this many credits are compared with each other; more are sorted.
const FEW: usize = 8;

/// The credits of a response.
#[derive(Debug, Default)]
pub(super) struct Credits {
    found: Vec<Found>,
    hashing: Hashing,
}

/// A credited RRset.
#[derive(Debug, Clone, Copy)]
struct Found {
    owner: Name,
    record_type: RecordType,
    class: Served,
    section: Section,
    place: u16,
    source: Source,
    /// Of the name that it has in the zone; only if there are many.
    hash: u64,
}

impl Credits {
    pub(super) fn clear(&mut self) {
        self.found.clear();
    }

    /// Credits a record's RRset.
    #[inline]
    pub(super) fn add(&mut self, record: &Record, class: Served) {
        let Record { owner, record_type, section, place, .. } = *record;
        // The other records of an RRset follow its first one.
        let is_again = |last: &Found| last.owner == owner && last.record_type == record_type && last.class == class;
        if !self.found.last().is_some_and(is_again) {
            self.found.push(Found { owner, record_type, class, section, place, source: Source::Itself, hash: 0 });
        }
    }

    /// Finds out from which RRset each was made, and leaves each once, with its strongest class.
    #[inline]
    pub(super) fn settle(&mut self, message: &[u8], records: &Records, zones: &Zones) {
        let signed = records.kinds().signatures;
        for found in self.found.iter_mut().filter(|found| found.may_be_expanded()) {
            let labels = match signed {
                true => {
                    let rrset = (found.section, found.owner, found.record_type);
                    records.signed_labels(rrset, found.place, message)
                }
                false => None,
            };
            found.source = match labels {
                Some(labels) => found.signed_source(labels, message),
                None => found.unsigned_source(message, zones),
            };
        }
        match self.found.len() {
            0 | 1 => {}
            2..=FEW => self.leave_once_of_few(message),
            _ => self.leave_once_of_many(message),
        }
    }

    fn leave_once_of_few(&mut self, message: &[u8]) {
        let mut at = 1;
        while let Some(found) = self.found.get(at).copied() {
            let before = self.found.iter_mut().take(at).find(|earlier| earlier.is(&found, message));
            match before {
                Some(earlier) => {
                    earlier.class = earlier.class.min(found.class);
                    self.found.remove(at);
                }
                None => at += 1,
            }
        }
    }

    fn leave_once_of_many(&mut self, message: &[u8]) {
        for found in &mut self.found {
            found.hash = self.hashing.name(found.labels(message)) ^ u64::from(found.record_type.value());
        }
        self.found.sort_unstable_by_key(|found| (found.hash, found.class));
        self.found.dedup_by(|found, earlier| found.hash == earlier.hash && earlier.is(found, message));
    }

    /// Passes on the credits of RRsets that are in the zones.
    #[inline]
    pub(super) fn give(&self, message: &[u8], zones: &Zones, mut credit: impl FnMut(&Credit<'_>)) {
        let mut room = [0; MAX_WIRE];
        for found in &self.found {
            let owner = found.wire(message, &mut room);
            if !zones.are_any() && !zones.have(lower(owner, &mut [0; MAX_WIRE])) {
                continue;
            }
            let may_be_wildcard = found.source == Source::Unknown;
            credit(&Credit { owner, record_type: found.record_type, class: found.class, may_be_wildcard });
        }
    }
}

/// The octets of a name in lower case.
fn lower<'r>(name: &[u8], room: &'r mut [u8; MAX_WIRE]) -> &'r [u8] {
    let Some(target) = room.get_mut(..name.len()) else { return &[] };
    target.copy_from_slice(name);
    target.make_ascii_lowercase();
    target
}

impl Found {
    /// Whether a server could make it from a wildcard.
    fn may_be_expanded(&self) -> bool {
        match self.class {
            Served::Answer | Served::Any => self.record_type != RecordType::SOA,
            Served::Carried => self.section == Section::Additional,
            Served::Referral | Served::Glue | Served::Denial => false,
        }
    }

    /// A signature names the number of labels of the name in the zone, without a leading asterisk
    /// (RFC 4034 section 3.1.3).
    fn signed_source(&self, labels: usize, message: &[u8]) -> Source {
        let is_wildcard = self.owner.labels(message).next() == Some(b"*");
        match self.owner.label_count(message).checked_sub(usize::from(is_wildcard)) {
            Some(count) if labels < count => Source::Wildcard { labels },
            Some(count) if labels == count => Source::Itself,
            // Such a signature is not valid.
            _ => Source::Unknown,
        }
    }

    fn unsigned_source(&self, message: &[u8], zones: &Zones) -> Source {
        if zones.know_nothing() {
            return Source::Unknown;
        }
        let (mut room, mut lowered) = ([0; MAX_WIRE], [0; MAX_WIRE]);
        zones.source(lower(self.owner.wire(message, &mut room), &mut lowered))
    }

    /// The labels of the name that it has in the zone.
    fn labels<'m>(&self, message: &'m [u8]) -> impl Iterator<Item = &'m [u8]> + use<'m> {
        let asterisk = matches!(self.source, Source::Wildcard { .. }).then_some(&b"*"[..]);
        asterisk.into_iter().chain(self.own_labels(message))
    }

    /// The labels of its owner, or those directly above the asterisk of the wildcard.
    fn own_labels<'m>(&self, message: &'m [u8]) -> Labels<'m> {
        let labels = self.owner.labels(message);
        match self.source {
            Source::Wildcard { labels: rest } => labels.without(self.owner.label_count(message).saturating_sub(rest)),
            Source::Itself | Source::Unknown => labels,
        }
    }

    /// Whether it is the same RRset.
    fn is(&self, other: &Found, message: &[u8]) -> bool {
        if self.record_type != other.record_type {
            return false;
        }
        if self.owner == other.owner && self.source == other.source {
            return true;
        }
        let (mut ours, mut theirs) = (self.labels(message), other.labels(message));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) if a.eq_ignore_ascii_case(b) => {}
                _ => return false,
            }
        }
    }

    /// The name that it has in the zone, in wire format.
    #[inline]
    fn wire<'a>(&self, message: &'a [u8], room: &'a mut [u8; MAX_WIRE]) -> &'a [u8] {
        match self.source {
            Source::Wildcard { .. } => self.own_labels(message).wildcard_wire(room),
            Source::Itself | Source::Unknown => self.owner.wire(message, room),
        }
    }
}
