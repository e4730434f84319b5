//! What was read of a response, for comparison with other readers.

use super::records::{Data, Section};
use super::{HEADER_OCTETS, Reader};
use crate::observe::Hit;
use zonepulse_dns::RecordType;
use zonepulse_dns::name::MAX_WIRE;

/// A record, as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'a> {
    /// 0 for the answer section, 1 for the authority section, 2 for the additional section.
    pub section: u8,
    /// Uncompressed wire format, in the case of the message.
    pub owner: &'a [u8],
    /// The type.
    pub record_type: RecordType,
    /// The target of a CNAME, DNAME, NS, MX, SRV, SVCB or HTTPS record, like the owner.
    pub target: Option<&'a [u8]>,
    /// Type covered, and number of labels of an RRSIG record.
    pub signature: Option<(RecordType, u8)>,
}

impl Reader {
    /// Passes the records of a response to `each`, without those that have no meaning here: of other
    /// classes, of types that no zone has, and equal to the one before in all that is read. `None` if
    /// the response is malformed.
    pub fn records(&mut self, hit: &Hit<'_>, mut each: impl FnMut(&Seen<'_>)) -> Option<()> {
        self.records.read(hit.message, HEADER_OCTETS + hit.name.len() + 4)?;
        for record in self.records.all() {
            let (mut owner, mut target) = ([0; MAX_WIRE], [0; MAX_WIRE]);
            each(&Seen {
                section: match record.section {
                    Section::Answer => 0,
                    Section::Authority => 1,
                    Section::Additional => 2,
                },
                owner: record.owner.wire(hit.message, &mut owner),
                record_type: record.record_type,
                target: match record.data {
                    Data::Target(name) => Some(name.wire(hit.message, &mut target)),
                    _ => None,
                },
                signature: match record.data {
                    Data::Signature(covered, labels) => Some((covered, labels)),
                    _ => None,
                },
            });
        }
        Some(())
    }
}
