//! Presentation format that every tool reads.

use super::Rrset;
use crate::{Name, rdata};
use std::fmt::Write;
use zonepulse_dns::RecordType;

/// Types that servers and tools have known by their mnemonic for years. The others are written as RFC 3597 says.
const KNOWN: [u16; 45] = [
    1, 2, 5, 6, 12, 13, 14, 15, 16, 17, 18, 21, 25, 28, 29, 33, 35, 36, 37, 39, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53,
    59, 60, 61, 62, 64, 65, 99, 104, 105, 106, 107, 256, 257,
];

/// The type as both `nsupdate` and `knotc` read it.
pub fn rtype(rtype: RecordType) -> String {
    if KNOWN.contains(&rtype.value()) { rtype.to_string() } else { format!("TYPE{}", rtype.value()) }
}

/// Whether every tool reads this octet of a label without an escape. Those of Knot DNS read few others, not even `'`.
fn is_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'*' | b'/')
}

/// A name as every tool reads it: the octets that are not plain are escaped by number (RFC 1035 section 5.1).
pub fn name(name: &Name) -> String {
    let mut text = String::with_capacity(name.wire().len());
    for label in name.labels() {
        for octet in label {
            if is_plain(*octet) {
                text.push(char::from(*octet));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\{octet:03}");
            }
        }
        text.push('.');
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

/// The RRset's records in presentation format, without owner, TTL and type.
pub fn values(rrset: &Rrset) -> impl Iterator<Item = String> {
    rrset.rdatas.iter().map(|rdata| value(rrset.rtype, rdata))
}

/// RDATA in presentation format: printable ASCII on one line, whatever it contains.
pub fn value(rtype: RecordType, rdata: &[u8]) -> String {
    if !KNOWN.contains(&rtype.value()) {
        return generic(rdata);
    }
    let has_plain_names = rdata::names(rtype, rdata).iter().all(|name| name.labels().flatten().all(|octet| is_plain(*octet)));
    let text = rdata::to_text(rtype, rdata);
    // A control character would end the command early.
    if has_plain_names && text.bytes().all(|octet| (b' '..=b'~').contains(&octet)) { text } else { generic(rdata) }
}

/// RDATA of a type nobody knows (RFC 3597 section 5).
pub fn generic(rdata: &[u8]) -> String {
    let mut text = String::with_capacity(rdata.len() * 2 + 8);
    // Writing to a String cannot fail.
    let _ = write!(text, "\\# {}", rdata.len());
    for (at, octet) in rdata.iter().enumerate() {
        let space = if at == 0 { " " } else { "" };
        let _ = write!(text, "{space}{octet:02x}");
    }
    text
}
