//! DNS messages, written and read independently of the project's own parsers.

use zonepulse_catalogue::Name;

/// A record of a response: owner, type, TTL, RDATA without compression.
pub type Parsed = (Name, u16, u32, Vec<u8>);

/// A response.
#[derive(Debug)]
pub struct Response {
    pub id: u16,
    pub truncated: bool,
    pub rcode: u16,
    pub answer: Vec<Parsed>,
    pub authority: Vec<Parsed>,
    pub additional: Vec<Parsed>,
}

/// A query without RD, with EDNS for long responses.
pub fn query(id: u16, name: &Name, rtype: u16) -> Vec<u8> {
    let mut octets = id.to_be_bytes().to_vec();
    octets.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    octets.extend(name.wire());
    octets.extend(rtype.to_be_bytes());
    octets.extend([0, 1, 0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0]);
    octets
}

pub fn parse(octets: &[u8]) -> Response {
    let short = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
    let mut at = 12;
    for _ in 0..short(4) {
        at = name(octets, at).1 + 4;
    }
    let mut section = |count| (0..count).map(|_| record(octets, &mut at)).filter(|record| record.1 != 41).collect();
    Response {
        id: short(0),
        truncated: octets[2] & 2 != 0,
        rcode: short(2) & 15,
        answer: section(short(6)),
        authority: section(short(8)),
        additional: section(short(10)),
    }
}

fn record(octets: &[u8], at: &mut usize) -> Parsed {
    let (owner, start) = name(octets, *at);
    let short = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
    let rtype = short(start);
    let ttl = u32::from(short(start + 4)) << 16 | u32::from(short(start + 6));
    let data = start + 10;
    *at = data + usize::from(short(start + 8));
    let rdata = match rtype {
        2 | 5 | 12 | 39 => name(octets, data).0.wire().to_vec(),
        15 => [&octets[data..data + 2], name(octets, data + 2).0.wire()].concat(),
        33 => [&octets[data..data + 6], name(octets, data + 6).0.wire()].concat(),
        6 => {
            let (mname, rest) = name(octets, data);
            let (rname, rest) = name(octets, rest);
            [mname.wire(), rname.wire(), &octets[rest..*at]].concat()
        }
        _ => octets[data..*at].to_vec(),
    };
    (owner, rtype, ttl, rdata)
}

/// The name at a position, and the position after it.
fn name(octets: &[u8], mut at: usize) -> (Name, usize) {
    let (mut wire, mut end) = (Vec::new(), None);
    loop {
        let length = usize::from(octets[at]);
        match length {
            0xc0.. => {
                end = end.or(Some(at + 2));
                at = (length & 63) << 8 | usize::from(octets[at + 1]);
            }
            0 => break,
            _ => {
                wire.extend(&octets[at..=at + length]);
                at += length + 1;
            }
        }
    }
    wire.push(0);
    (Name::from_wire(&wire).unwrap(), end.unwrap_or(at + 1))
}
