//! The records of a response: the header of each, and what of its RDATA matters here.
//!
//! A record consists of owner, type, class, TTL, and RDATA preceded by its length (RFC 1035 section
//! 4.1.3). RDATA is read only for types whose target decides what other records in the message are
//! for, and for signatures. The names in RDATA may be compressed wherever a sender might do that,
//! even where it should not (RFC 3597 section 4).
//!
//! Only records of class IN are kept, and only the first of consecutive records that are equal in what
//! is read: nearly always the first of an RRset.

use super::names::Name;
use zonepulse_dns::RecordType;

/// Class IN.
const INTERNET: u16 = 1;
/// A host's processor and operating system.
const HINFO: RecordType = RecordType::new(13);
/// RDATA of a signature before the name of the signer (RFC 4034 section 3.1).
const SIGNATURE_OCTETS: usize = 18;

/// A section of a response with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    Answer,
    Authority,
    Additional,
}

/// A record of class IN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) owner: Name,
    pub(super) record_type: RecordType,
    pub(super) section: Section,
    pub(super) data: Data,
    /// Its number among those that are kept.
    pub(super) place: u16,
}

/// What is read of RDATA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data {
    /// Nothing.
    Unread,
    /// The target of a CNAME, DNAME, NS, MX, SRV, SVCB or HTTPS record.
    Target(Name),
    /// Type covered, and number of labels of an RRSIG.
    Signature(RecordType, u8),
    /// A HINFO that only says that the server does not answer queries for ANY (RFC 8482 section
    /// 4.2).
    Refusal,
}

/// The records of a response, by section.
#[derive(Debug, Default)]
pub(super) struct Records {
    records: Vec<Record>,
    /// Where authority and additional section begin.
    sections: [usize; 2],
    kinds: Kinds,
}

/// Which kinds of records there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kinds {
    /// CNAME or DNAME in the answer section.
    pub(super) aliases: bool,
    /// Any RRSIG.
    pub(super) signatures: bool,
    /// NS in the authority section.
    pub(super) servers: bool,
    /// SOA in the authority section.
    pub(super) denial: bool,
}

impl Records {
    /// Reads the three sections that follow the question, whose end is at this offset. `None` if a
    /// record is malformed or missing.
    pub(super) fn read(&mut self, message: &[u8], question_end: usize) -> Option<()> {
        let [_, _, _, _, _, _, counts @ ..] = *message.first_chunk::<12>()?;
        let [a, b, c, d, e, f] = counts;
        self.records.clear();
        self.kinds = Kinds::default();
        let mut at = question_end;
        at = self.section(message, at, Section::Answer, u16::from_be_bytes([a, b]))?;
        let authority = self.records.len();
        at = self.section(message, at, Section::Authority, u16::from_be_bytes([c, d]))?;
        self.sections = [authority, self.records.len()];
        self.section(message, at, Section::Additional, u16::from_be_bytes([e, f]))?;
        Some(())
    }

    #[inline]
    fn section(&mut self, message: &[u8], mut at: usize, section: Section, count: u16) -> Option<usize> {
        for _ in 0..count {
            let (owner, fixed_at) = Name::read(message, at)?;
            let [type_high, type_low, class_high, class_low, _, _, _, _, length_high, length_low] =
                *message.get(fixed_at..)?.first_chunk()?;
            let data_at = fixed_at + 10;
            let end = data_at + usize::from(u16::from_be_bytes([length_high, length_low]));
            if end > message.len() {
                return None;
            }
            let record_type = RecordType::new(u16::from_be_bytes([type_high, type_low]));
            at = end;
            if u16::from_be_bytes([class_high, class_low]) == INTERNET && is_data(record_type) {
                let data = data(record_type, message.get(..end)?, data_at)?;
                self.add(Record { owner, record_type, section, data, place: 0 });
            }
        }
        Some(at)
    }

    #[inline]
    fn add(&mut self, mut record: Record) {
        if let Some(last) = self.records.last() {
            record.place = last.place;
            if *last == record {
                return;
            }
            // A message has room for less than 2^16 records.
            record.place += 1;
        }
        match (record.record_type, record.section) {
            (RecordType::CNAME | RecordType::DNAME, Section::Answer) => self.kinds.aliases = true,
            (RecordType::NS, Section::Authority) => self.kinds.servers = true,
            (RecordType::SOA, Section::Authority) => self.kinds.denial = true,
            (RecordType::RRSIG, _) => self.kinds.signatures = true,
            _ => {}
        }
        self.records.push(record);
    }

    pub(super) fn kinds(&self) -> Kinds {
        self.kinds
    }

    pub(super) fn all(&self) -> &[Record] {
        &self.records
    }

    pub(super) fn answers(&self) -> &[Record] {
        let [authority, _] = self.sections;
        self.records.get(..authority).unwrap_or_default()
    }

    pub(super) fn authority(&self) -> &[Record] {
        let [authority, additional] = self.sections;
        self.records.get(authority..additional).unwrap_or_default()
    }

    pub(super) fn additional(&self) -> &[Record] {
        let [_, additional] = self.sections;
        self.records.get(additional..).unwrap_or_default()
    }

    /// The records of this type in the authority section, with their targets.
    pub(super) fn servers(&self) -> impl Iterator<Item = (Name, Name)> {
        self.authority().iter().filter_map(|record| match (record.record_type, record.data) {
            (RecordType::NS, Data::Target(target)) => Some((record.owner, target)),
            _ => None,
        })
    }

    /// Number of labels that the signature of an RRset in this section names (RFC 4034 section
    /// 3.1.3); `None` if it has none. Looks for it from this place on, since it nearly always follows.
    pub(super) fn signed_labels(
        &self,
        (section, owner, covered): (Section, Name, RecordType),
        place: u16,
        message: &[u8],
    ) -> Option<usize> {
        let (before, after) = self.records.split_at_checked(usize::from(place))?;
        let mut records = after.iter().chain(before).filter(|record| record.section == section);
        records.find_map(|record| match record.data {
            Data::Signature(by, labels) if by == covered && record.owner.is(owner, message) => Some(usize::from(labels)),
            _ => None,
        })
    }
}

/// Whether a zone may have records of a type: not if it is for queries or about the message (RFC 6895
/// section 3.1).
#[inline]
fn is_data(record_type: RecordType) -> bool {
    record_type != RecordType::OPT && !(128..=255).contains(&record_type.value())
}

/// Reads the RDATA at this offset, which ends where `octets` end. `None` if it is malformed.
#[inline]
fn data(record_type: RecordType, octets: &[u8], at: usize) -> Option<Data> {
    /// A target is followed by nothing, except by parameters in SVCB and HTTPS.
    fn target(octets: &[u8], at: usize, is_last: bool) -> Option<Data> {
        let (name, end) = Name::read(octets, at)?;
        (end == octets.len() || !is_last).then_some(Data::Target(name))
    }
    match record_type {
        // Most records; the first branch costs the least.
        RecordType::A | RecordType::AAAA => Some(Data::Unread),
        RecordType::CNAME | RecordType::DNAME | RecordType::NS => target(octets, at, true),
        RecordType::MX => target(octets, at + 2, true),
        RecordType::SRV => target(octets, at + 6, true),
        RecordType::SVCB | RecordType::HTTPS => target(octets, at + 2, false),
        RecordType::RRSIG => {
            let fixed = octets.get(at..)?.first_chunk::<SIGNATURE_OCTETS>()?;
            let [type_high, type_low, _, labels, ..] = *fixed;
            Some(Data::Signature(RecordType::new(u16::from_be_bytes([type_high, type_low])), labels))
        }
        HINFO if octets.get(at..)?.starts_with(b"\x07RFC8482") => Some(Data::Refusal),
        _ => Some(Data::Unread),
    }
}
