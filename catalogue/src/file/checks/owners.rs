//! Whether a name is one that its records can have.

use super::super::Severity;
use super::{Item, Node};
use crate::Name;

const A: u16 = 1;
const MX: u16 = 15;
const AAAA: u16 = 28;
const NSEC3: u16 = 50;
/// The only hash algorithm of NSEC3, and the length of its hashes.
const SHA1: u8 = 1;
const SHA1_BYTES: usize = 20;

pub(super) fn check(node: &Node<'_>, mut report: impl FnMut(Severity, &Item, String)) {
    for item in node.of_type(NSEC3) {
        nsec3(node, item, &mut report);
    }
    let host = [A, AAAA, MX].into_iter().find_map(|rtype| node.first(rtype));
    if let Some(item) = host
        && !is_host(&node.name)
    {
        let message = format!("expected the name of a host for {} (RFC 952, RFC 1123), found {}", item.rtype, node.name);
        report(Severity::Warning, item, message);
    }
}

/// The first label of the owner is a hash, as the next owner in the RDATA is (RFC 5155 section 3).
fn nsec3(node: &Node<'_>, item: &Item, report: &mut impl FnMut(Severity, &Item, String)) {
    let owner = &node.name;
    let digit = |octet: &u8| octet.is_ascii_digit() || (b'a'..=b'v').contains(octet);
    let label = owner.labels().next().unwrap_or_default();
    if !label.iter().all(digit) {
        let message = format!("expected a hash in Base32 as the first label of the NSEC3 owner {owner}, found something else");
        return report(Severity::Error, item, message);
    }
    let salt = item.rdata.get(4).map_or(0, |length| usize::from(*length));
    let next = item.rdata.get(5 + salt).map_or(0, |length| usize::from(*length));
    if item.rdata.first() == Some(&SHA1) && next != SHA1_BYTES {
        // An owner of the right length means that the record was made to deny something.
        let severity = if label.len() == SHA1_BYTES * 8 / 5 { Severity::Error } else { Severity::Warning };
        report(severity, item, format!("expected a next owner of {SHA1_BYTES} octets for SHA-1, found {next}"));
    }
}

/// Labels of letters, digits and hyphens, except where software uses others by convention, as BIND permits them.
fn is_host(name: &Name) -> bool {
    const CONVENTIONS: [&[u8]; 4] = [b"_msdcs", b"_spf", b"_spf_rate", b"_spf_verify"];
    let plain = |label: &[u8]| {
        let inside = label.iter().all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-');
        inside && label.first() != Some(&b'-') && label.last() != Some(&b'-')
    };
    let wildcard = usize::from(name.is_wildcard());
    name.labels().skip(wildcard).all(|label| plain(label) || CONVENTIONS.contains(&label))
}

/// Whether a name looks like an IPv4 address: four numbers at its start.
pub(super) fn is_address(name: &Name) -> bool {
    let number = |label: &[u8]| std::str::from_utf8(label).is_ok_and(|text| text.parse::<u8>().is_ok());
    name.label_count() >= 4 && name.labels().take(4).all(number)
}
