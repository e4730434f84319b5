//! Responses as text.

use super::{Answer, Answered};
use crate::rdata;
use crate::zone::Zone;
use std::io::{self, Write};

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
        for data in set.rdatas() {
            writeln!(out, "{owner} {} IN {} {}", set.ttl(), set.rtype(), rdata::to_text(set.rtype(), data))?;
        }
    }
    Ok(())
}
