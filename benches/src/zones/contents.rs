//! Made-up zones, and which of their names are asked for.
//!
//! Every host has five RRsets, so that verdicts have aliases and references to follow. The numbers
//! in names do not rise, as nothing sorts zone files.

use crate::workload::{self, Shape};
use std::fmt::Write;
use zonepulse_dns::RecordType;

/// RRsets of every zone: SOA, NS, and the address of the name server.
const FIXED: u64 = 3;
/// RRsets of a host.
const OF_HOST: u64 = 5;
/// One host of so many is asked for.
const ONE_OF: u64 = 5;

/// The apex of the n-th zone.
pub fn apex(zone: u64) -> String {
    format!("zone-{zone}.example.")
}

/// The file of the n-th zone, with so many RRsets.
pub fn file(zone: u64, rrsets: u64) -> String {
    let mut text = head(zone);
    fill(&mut text, rrsets - FIXED);
    text
}

/// The names and types that are asked for in that zone: a fifth, each in a way that uses its RRset.
pub fn asked(zone: u64, rrsets: u64) -> impl Iterator<Item = (String, RecordType)> {
    let wanted = (0..rrsets - FIXED).filter(move |at| (zone + at / OF_HOST).is_multiple_of(ONE_OF));
    wanted.map(move |at| {
        let Rrset { owner, asked, .. } = Rrset::new(at);
        (format!("{owner}.{}", apex(zone)), asked)
    })
}

/// The file of a zone with the [`known`] records of a server, and others, so many RRsets in all.
pub fn file_with_known(server_id: u32, rrsets: u64) -> String {
    let mut text = head(server_id.into());
    let mut left = rrsets - FIXED;
    for (name, record_type) in known(server_id) {
        let data = if record_type == RecordType::A { "192.0.2.80" } else { "2001:db8::80" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name} {record_type} {data}");
        left -= 1;
    }
    fill(&mut text, left);
    text
}

/// The records of a server's batches that are resources: every other one.
pub fn known(server_id: u32) -> impl Iterator<Item = (String, RecordType)> {
    (0..Shape::STANDARD.records).step_by(2).map(move |number| workload::record(number, server_id))
}

fn head(zone: u64) -> String {
    let apex = apex(zone);
    format!("$ORIGIN {apex}\n$TTL 3600\n@ SOA ns1 hostmaster 1 7200 900 1209600 300\n@ NS ns1\nns1 A 192.0.2.53\n")
}

fn fill(text: &mut String, rrsets: u64) {
    for at in 0..rrsets {
        let Rrset { owner, rtype, data, .. } = Rrset::new(at);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{owner} {rtype} {data}");
    }
}

/// An RRset of any zone.
struct Rrset {
    /// Relative to the apex.
    owner: String,
    rtype: &'static str,
    data: String,
    /// The type of a query for it.
    asked: RecordType,
}

impl Rrset {
    fn new(at: u64) -> Self {
        // No two are equal: the factor is a prime that does not divide the modulus.
        let number = at / OF_HOST * 999_983 % 10_000_000;
        let (owner, rtype, data, asked) = match at % OF_HOST {
            0 => ("host", "A", format!("10.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255), 1),
            1 => ("host", "AAAA", format!("2001:db8::{:x}:{:x}", number >> 16, number & 0xffff), 28),
            2 => ("host", "TXT", format!("\"rack {}, unit {}\"", number % 97, number % 41), 16),
            3 => ("alias", "CNAME", format!("host-{number:07}"), 1),
            _ => ("mail", "MX", format!("10 host-{number:07}"), 15),
        };
        Rrset { owner: format!("{owner}-{number:07}"), rtype, data, asked: RecordType::new(asked) }
    }
}
