//! Small catalogues for tests.

use crate::set::{Entry, Slot, ZoneIndex, ZoneSet};
use crate::zone::Builder;
use crate::{Name, Record, Zone};
use std::sync::Arc;
use zonepulse_dns::RecordType;

pub(crate) fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

pub(crate) fn rtype(text: &str) -> RecordType {
    text.parse().unwrap()
}

/// A zone of lines such as `www A 192.0.2.1`; owners and names in data are relative to the apex unless they end with a
/// dot, and `@` is the apex.
pub(crate) fn zone(apex: &str, lines: &[&str]) -> Zone {
    let absolute = |text: &str| match text {
        "@" => name(apex),
        text if text.ends_with('.') => name(text),
        text => name(&format!("{text}.{}", apex.trim_start_matches('.'))),
    };
    let mut builder = Builder::new(name(apex));
    for line in lines {
        let mut words = line.splitn(3, ' ');
        let (owner, kind, data) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or(""));
        let target = |prefix: &[u8]| [prefix, absolute(data).wire()].concat();
        let rdata = match kind {
            "A" => data.parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec(),
            "AAAA" => data.parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec(),
            "CNAME" | "DNAME" | "NS" | "PTR" => target(&[]),
            "MX" | "HTTPS" => target(&[0, 10]),
            "SRV" => target(&[0; 6]),
            "SOA" => [&b"\0\0"[..], &[0; 20]].concat(),
            // Strings are separated by bars.
            "TXT" => data.split('|').flat_map(|text| [&[text.len() as u8], text.as_bytes()].concat()).collect(),
            _ => data.as_bytes().to_vec(),
        };
        builder.add(Record { owner: absolute(owner), rtype: rtype(kind), ttl: 3600, rdata: rdata.into() }).unwrap();
    }
    builder.finish().unwrap()
}

/// A zone in view 0, which server 0 serves.
pub(crate) fn entry(apex: &str, lines: &[&str]) -> Entry {
    Entry { zone: Arc::new(zone(apex, lines)), view: 0, servers: vec![0] }
}

pub(crate) fn set(entries: Vec<Entry>) -> ZoneSet {
    ZoneSet::new(entries)
}

/// The slot of `owner type` in any zone, such as `www.example. A`.
pub(crate) fn slot(zones: &ZoneSet, text: &str) -> Slot {
    let (owner, kind) = text.split_once(' ').unwrap();
    let count = zones.zones().count() as u32;
    (0..count).find_map(|zone| zones.find(ZoneIndex(zone), &name(owner), rtype(kind))).unwrap()
}

/// The owner and type in a slot.
pub(crate) fn text(zones: &ZoneSet, slot: Slot) -> String {
    let (_, rrset) = zones.locate(slot).unwrap();
    format!("{} {}", rrset.owner(), rrset.rtype())
}
