//! Zones to transfer, and a form of records in which those of `kdig` and ours compare.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use zonepulse_catalogue::Record;

/// A zone file of `example.` with about so many records of many types.
pub fn zone(records: usize, serial: u32) -> String {
    let mut text = format!(
        "$ORIGIN example.\n$TTL 3600\n@ SOA ns1 admin {serial} 3600 600 86400 300\n@ NS ns1\n@ NS ns2\n\
         ns1 A 192.0.2.1\nns2 A 192.0.2.2\n@ MX 10 mx\nmx AAAA 2001:db8::1\n@ TXT \"v=spf1 -all\"\n* A 192.0.2.3\n\
         old DNAME new.example.\nunknown TYPE65280 \\# 3 c00001\nRp RP admin.example. txt.example.\n\
         caa CAA 0 issue \"ca.example\"\nloc LOC 52 22 23 N 4 53 32 E -2m\nempty TXT \"\"\n"
    );
    let mut number = 0;
    let mut left = records.saturating_sub(15);
    while left > 0 {
        number += 1;
        let (lines, count) = match number % 8 {
            0 => (format!("host{number} A 192.0.2.7\nhost{number} A 192.0.2.8\n"), 2),
            1 => (format!("Host{number} 60 AAAA 2001:db8::{:x}\n", number % 65_536), 1),
            2 => (format!("mail{number} MX 10 mx\n"), 1),
            3 => (format!("alias{number} CNAME host{number}.example.\n"), 1),
            4 => (format!("text{number} TXT \"a text of some length, number {number}\" \"second\"\n"), 1),
            5 => (format!("_sip._udp.s{number} SRV 1 2 5060 host{number}\n"), 1),
            6 => (format!("sub{number} NS ns1.sub{number}\nns1.sub{number} A 192.0.2.9\n"), 2),
            _ => (format!("n{number} NAPTR 1 2 \"U\" \"SIP+D2U\" \"!^.*$!sip:a@example!\" .\n"), 1),
        };
        text.push_str(&lines);
        left = left.saturating_sub(count);
    }
    text
}

/// A record as `kdig +generic` prints it, with the owner in lower case.
pub fn line(record: &Record) -> String {
    let mut line = format!("{} {} {} {} ", record.owner, record.ttl, record.rtype.value(), record.rdata.len());
    for octet in &record.rdata {
        write!(line, "{octet:02x}").unwrap();
    }
    line
}

/// A line of `kdig +generic` in the same form; `None` for what is no record of a zone.
pub fn line_of_kdig(text: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let (owner, ttl, class, rtype, _mark) = (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    // TSIG records are of class ANY.
    if owner.starts_with(';') || class != "IN" {
        return None;
    }
    let length = words.next()?;
    let rtype = rtype.strip_prefix("TYPE")?;
    let rdata: String = words.collect();
    Some(format!("{} {ttl} {rtype} {length} {}", owner.to_ascii_lowercase(), rdata.to_ascii_lowercase()))
}

/// A multiset of lines in constant space: their number, and the sum of their hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    pub count: u64,
    pub sum: u128,
}

impl Sum {
    pub fn add(&mut self, line: &str) {
        let half = |seed: u8| {
            let mut hasher = DefaultHasher::new();
            (seed, line).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        self.count += 1;
        self.sum = self.sum.wrapping_add(half(1) << 64 | half(2));
    }
}
