//! What several tests need: zones of text, and the corpus.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[allow(dead_code)]
pub mod generate;
#[allow(dead_code)]
pub mod knot;
#[allow(dead_code)]
pub mod message;

#[allow(dead_code)]
pub mod random;
#[allow(dead_code)]
pub mod server;

use std::path::PathBuf;
use zonepulse_catalogue::zone::Builder;
use zonepulse_catalogue::{Name, Record, Zone};
use zonepulse_dns::RecordType;

/// A file of the corpus, or why it cannot be read.
#[allow(dead_code)]
pub fn corpus(file: &str) -> Result<PathBuf, String> {
    let project = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    let folder = std::env::var_os("ZONEPULSE_CORPUS").map_or_else(|| project.join("../shared"), PathBuf::from);
    let path = folder.join(file);
    if path.is_file() { Ok(path) } else { Err(format!("no {file} in {}: set ZONEPULSE_CORPUS", folder.display())) }
}

pub fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

#[allow(dead_code)]
/// The zone of a text with one record a line: owner, TTL, `IN`, type, data. The first line is the SOA.
pub fn zone(text: &str) -> Zone {
    let records: Vec<Record> = text.lines().filter(|line| !line.trim().is_empty()).map(record).collect();
    let mut builder = Builder::new(records[0].owner.clone());
    records.into_iter().for_each(|record| builder.add(record).unwrap());
    builder.finish().unwrap()
}

fn record(line: &str) -> Record {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [owner, ttl, "IN", rtype, data @ ..] = &fields[..] else { panic!("not a record: {line}") };
    let rtype: RecordType = rtype.parse().unwrap();
    Record { owner: name(owner), rtype, ttl: ttl.parse().unwrap(), rdata: rdata(rtype, data).into() }
}

/// RDATA of the few types that the tests' zones have.
fn rdata(rtype: RecordType, data: &[&str]) -> Vec<u8> {
    let wire = |text: &str| name(text).wire().to_vec();
    let short = |text: &str| text.parse::<u16>().unwrap().to_be_bytes().to_vec();
    match rtype.to_string().as_str() {
        "A" => data[0].parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec(),
        "AAAA" => data[0].parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec(),
        "NS" | "CNAME" | "DNAME" | "PTR" => wire(data[0]),
        "MX" => [short(data[0]), wire(data[1])].concat(),
        "SRV" => [short(data[0]), short(data[1]), short(data[2]), wire(data[3])].concat(),
        "SOA" => {
            let numbers = data[2..].iter().flat_map(|number| number.parse::<u32>().unwrap().to_be_bytes());
            [wire(data[0]), wire(data[1]), numbers.collect()].concat()
        }
        "TXT" => {
            let text = data[0].trim_matches('"').as_bytes();
            [&[text.len() as u8], text].concat()
        }
        "DS" => {
            let digest = (0..data[3].len()).step_by(2).map(|at| u8::from_str_radix(&data[3][at..at + 2], 16).unwrap());
            [short(data[0]), vec![data[1].parse().unwrap(), data[2].parse().unwrap()], digest.collect()].concat()
        }
        other => panic!("no RDATA of type {other} here"),
    }
}
