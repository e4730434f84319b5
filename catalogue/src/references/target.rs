//! What RDATA refers to.

use crate::{Name, rdata};
use zonepulse_dns::RecordType;

/// A name, and which of its RRsets are referred to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub name: Name,
    /// Types to look up.
    pub types: &'static [RecordType],
}

const ADDRESSES: &[RecordType] = &[RecordType::A, RecordType::AAAA];
const ALL: &[RecordType] = &[RecordType::ANY];

/// Whether RRsets of a type can refer to others.
pub(super) fn refers(rtype: RecordType) -> bool {
    matches!(
        rtype,
        RecordType::NS
            | RecordType::CNAME
            | RecordType::PTR
            | RecordType::MX
            | RecordType::SRV
            | RecordType::NAPTR
            | RecordType::DNAME
            | RecordType::SVCB
            | RecordType::HTTPS
    )
}

/// What one record refers to. Malformed RDATA, and ".", which stands for "nothing" (RFC 7505, RFC 2782), do not refer.
pub(super) fn target(owner: &Name, rtype: RecordType, rdata: &[u8]) -> Option<Target> {
    // Each of these types has exactly one name.
    let name = rdata::names(rtype, rdata).pop()?;
    let types = match rtype {
        RecordType::NS | RecordType::MX | RecordType::SRV => ADDRESSES,
        RecordType::CNAME | RecordType::DNAME => ALL,
        RecordType::PTR => {
            if is_reverse(owner) {
                ADDRESSES
            } else {
                ALL
            }
        }
        RecordType::SVCB | RecordType::HTTPS => return service(owner, rtype, rdata, name),
        RecordType::NAPTR => naptr(rdata)?,
        _ => return None,
    };
    (!name.is_root()).then_some(Target { name, types })
}

fn service(owner: &Name, rtype: RecordType, rdata: &[u8], name: Name) -> Option<Target> {
    let types: &'static [RecordType] = match (rdata.starts_with(&[0, 0]), rtype) {
        // An alias to "." says that the service does not exist (RFC 9460 section 2.5.1).
        (true, _) if name.is_root() => return None,
        (true, RecordType::SVCB) => &[RecordType::A, RecordType::AAAA, RecordType::SVCB],
        (true, _) => &[RecordType::A, RecordType::AAAA, RecordType::HTTPS],
        (false, _) => ADDRESSES,
    };
    let name = if name.is_root() { owner.clone() } else { name };
    Some(Target { name, types })
}

/// The types that the flags of a NAPTR lead to; `None` for a URI (RFC 3404 section 4.3).
fn naptr(rdata: &[u8]) -> Option<&'static [RecordType]> {
    let (flags, _) = character_string(rdata.get(4..)?)?;
    match flags.to_ascii_uppercase().as_slice() {
        b"S" => Some(&[RecordType::SRV]),
        b"A" => Some(ADDRESSES),
        b"U" => None,
        b"" => Some(&[RecordType::NAPTR]),
        _ => Some(ALL),
    }
}

fn character_string(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// Whether a name is in a reverse tree (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn is_reverse(name: &Name) -> bool {
    name.wire().ends_with(b"\x07in-addr\x04arpa\0") || name.wire().ends_with(b"\x03ip6\x04arpa\0")
}
