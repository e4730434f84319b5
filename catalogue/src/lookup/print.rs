//! Responses as text.

use super::{Answer, Answered};
use crate::zone::Zone;
use std::io::{self, Write};
use zonepulse_dns::RecordType;
use zonepulse_dns::name::push_text;

/// Writes the RCODE on a line, then the answer section, one record a line: owner, TTL, class, type, data.
///
/// # Errors
/// Those of `out`.
pub fn print(answer: &Answer, zone: &Zone, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", answer.rcode)?;
    for Answered { owner, index, synthesised } in &answer.answer {
        let Some(set) = zone.rrset(*index) else { continue };
        if let Some(target) = synthesised {
            writeln!(out, "{owner} {} IN CNAME {target}", set.ttl())?;
            continue;
        }
        for rdata in set.rdatas() {
            writeln!(out, "{owner} {} IN {} {}", set.ttl(), set.rtype(), data_to_text(set.rtype(), rdata))?;
        }
    }
    Ok(())
}

/// RDATA in presentation format.
fn data_to_text(rtype: RecordType, rdata: &[u8]) -> String {
    known(rtype, rdata).unwrap_or_else(|| unknown(rdata))
}

/// RFC 3597 section 5.
fn unknown(rdata: &[u8]) -> String {
    let digits: String = rdata.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("\\# {} {digits}", rdata.len()).trim_end().to_owned()
}

fn known(rtype: RecordType, rdata: &[u8]) -> Option<String> {
    Some(match rtype.value() {
        1 => std::net::Ipv4Addr::from(<[u8; 4]>::try_from(rdata).ok()?).to_string(),
        28 => std::net::Ipv6Addr::from(<[u8; 16]>::try_from(rdata).ok()?).to_string(),
        2 | 5 | 12 | 39 => names(rdata)?.0,
        15 => {
            let (preference, name) = rdata.split_first_chunk::<2>()?;
            format!("{} {}", u16::from_be_bytes(*preference), names(name)?.0)
        }
        33 => {
            let (numbers, target) = rdata.split_first_chunk::<6>()?;
            let numbers = numbers.as_chunks::<2>().0.iter().map(|number| format!("{} ", u16::from_be_bytes(*number)));
            format!("{}{}", numbers.collect::<String>(), names(target)?.0)
        }
        6 => {
            let (mname, rest) = names(rdata)?;
            let (rname, numbers) = names(rest)?;
            let numbers = numbers.as_chunks::<4>().0.iter().map(|number| format!(" {}", u32::from_be_bytes(*number)));
            format!("{mname} {rname}{}", numbers.collect::<String>())
        }
        16 => strings(rdata)?,
        _ => return None,
    })
}

/// The name at the beginning, and what follows it.
fn names(rdata: &[u8]) -> Option<(String, &[u8])> {
    let mut end = 0;
    while *rdata.get(end)? > 0 {
        end += usize::from(*rdata.get(end)?) + 1;
    }
    let (name, rest) = rdata.split_at_checked(end + 1)?;
    let mut text = String::new();
    push_text(name, &mut text).then_some((text, rest))
}

fn strings(mut rdata: &[u8]) -> Option<String> {
    let mut text = String::new();
    while let Some((length, rest)) = rdata.split_first() {
        let (octets, rest) = rest.split_at_checked(usize::from(*length))?;
        text.push_str(if text.is_empty() { "\"" } else { " \"" });
        for octet in octets {
            match octet {
                b'"' | b'\\' => text.extend(['\\', char::from(*octet)]),
                0x20..0x7f => text.push(char::from(*octet)),
                _ => text.push_str(&format!("\\{octet:03}")),
            }
        }
        text.push('"');
        rdata = rest;
    }
    Some(text)
}
