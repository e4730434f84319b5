//! The rules: why each RRset is in a response.
//!
//! They follow from the lookup of RFC 1034 section 4.3.2, and do not depend on what a server adds to
//! it by taste: apex NS, addresses of sibling name servers, one RRset or all for ANY.

use super::aliases::Aliases;
use super::credits::Credits;
use super::names::Name;
use super::records::{Data, Record, Records, Section};
use super::sets::NameSet;
use crate::observe::Hit;
use zonepulse_dns::{RecordType, ResponseCode, Served};

/// The flag AA, in the third octet of the header.
const AUTHORITATIVE: u8 = 0x04;

/// Credits what a response was made from. `None` if it is malformed.
#[inline]
pub(super) fn apply(hit: &Hit<'_>, records: &Records, targets: &mut Targets, credits: &mut Credits) -> Option<()> {
    let response = Response { hit, records, aliases: Aliases::new(hit.message, records.answers())? };
    response.answers(credits);
    let delegation = response.delegation();
    response.authority(delegation, credits);
    response.additional(delegation, targets, credits);
    Some(())
}

/// Names that records of the response lead to. They are kept only for their memory.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// Name servers of the delegated zone.
    servers: NameSet,
    /// All of which a server may add addresses.
    all: NameSet,
}

struct Response<'r> {
    hit: &'r Hit<'r>,
    records: &'r Records,
    aliases: Aliases<'r>,
}

impl Response<'_> {
    fn message(&self) -> &[u8] {
        self.hit.message
    }

    /// Everything in the answer section was asked for, or leads there.
    #[inline]
    fn answers(&self, credits: &mut Credits) {
        let class = if self.hit.record_type == RecordType::ANY { Served::Any } else { Served::Answer };
        for record in self.records.answers() {
            let is_of_no_zone = record.data == Data::Refusal && class == Served::Any || self.aliases.is_synthetic(record);
            if record.record_type != RecordType::RRSIG && !is_of_no_zone {
                credits.add(record, class);
            }
        }
    }

    /// The owner of the NS records in the authority section, if they are a referral: the response
    /// denies nothing, and leaves the name that the question leads to to the name servers of a zone
    /// which contains it.
    fn delegation(&self) -> Option<Name> {
        let kinds = self.records.kinds();
        if !kinds.servers || kinds.denial || self.hit.kind.response_code() != Some(ResponseCode::NOERROR) {
            return None;
        }
        let message = self.message();
        let answers = self.records.answers();
        let is_authoritative = message.get(2).is_some_and(|flags| flags & AUTHORITATIVE != 0);
        // If the question leads elsewhere, the flag is about the first alias (RFC 1035 section 4.1.1).
        if answers.is_empty() && is_authoritative {
            return None;
        }
        let are_meant = matches!(self.hit.record_type, RecordType::CNAME | RecordType::ANY);
        let end = self.aliases.end(are_meant);
        let is_cut = |owner: &Name| {
            // What was answered from a zone is not below one of its cuts: then this is its apex.
            end.is_within(*owner, message) && !answers.iter().any(|record| record.owner.is_within(*owner, message))
        };
        self.records.servers().map(|(owner, _)| owner).find(is_cut)
    }

    fn authority(&self, delegation: Option<Name>, credits: &mut Credits) {
        let denies = matches!(self.hit.kind.response_code(), Some(ResponseCode::NOERROR | ResponseCode::NXDOMAIN));
        let message = self.message();
        for record in self.records.authority() {
            let refers = delegation.is_some_and(|cut| record.owner.is(cut, message));
            match record.record_type {
                RecordType::SOA if denies => credits.add(record, Served::Denial),
                RecordType::NS | RecordType::DS if refers => credits.add(record, Served::Referral),
                RecordType::NS => credits.add(record, Served::Carried),
                _ => {}
            }
        }
    }

    fn additional(&self, delegation: Option<Name>, targets: &mut Targets, credits: &mut Credits) {
        let message = self.message();
        let is_address = |record: &&Record| matches!(record.record_type, RecordType::A | RecordType::AAAA);
        let mut addresses = self.records.additional().iter().filter(is_address).peekable();
        if addresses.peek().is_none() {
            return;
        }
        targets.all.fill(self.records.all().iter().filter_map(|record| self.target(record)), message);
        let of_cut = |(owner, target): (Name, Name)| delegation.filter(|cut| owner.is(*cut, message)).map(|_| target);
        targets.servers.fill(self.records.servers().filter_map(of_cut), message);
        for record in addresses {
            // The address of a name server inside the delegated zone, without which nobody could find it (RFC 9471). Those
            // of sibling name servers are an extra that some servers add.
            let is_inside = delegation.is_some_and(|cut| record.owner.is_within(cut, message));
            if is_inside && targets.servers.has(record.owner, message) {
                credits.add(record, Served::Glue);
            } else if targets.all.has(record.owner, message) {
                credits.add(record, Served::Carried);
            }
        }
    }

    /// The name of which a server may add addresses for a record.
    fn target(&self, record: &Record) -> Option<Name> {
        let Data::Target(target) = record.data else { return None };
        match record.record_type {
            RecordType::NS | RecordType::MX | RecordType::SRV => Some(target),
            // The target of a service that is its own host is the root (RFC 9460 section 2.5.2).
            RecordType::SVCB | RecordType::HTTPS if target.is_root(self.message()) => Some(record.owner),
            RecordType::SVCB | RecordType::HTTPS => Some(target),
            // Where such a target is an alias, its addresses are behind it.
            RecordType::CNAME if record.section == Section::Additional => Some(target),
            _ => None,
        }
    }
}
