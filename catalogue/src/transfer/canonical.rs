//! RDATA out of a message: names uncompressed, and in lower case in the types of RFC 4034 section 6.2 (3).
//!
//! RFC 3597 section 4 lists the types whose names may be compressed on the wire. RDATA of any other type is opaque.

use domain::base::iana::Rtype;
use domain::base::name::ParsedName;
use domain::base::rdata::{ParseRecordData, RecordData};
use domain::base::wire::ParseError;
use domain::dep::octseq::Parser;

/// A part of RDATA.
#[derive(Clone, Copy)]
enum Part {
    /// A name, in lower case in canonical form.
    Name,
    /// A name that keeps its case (RFC 6840 section 5.1).
    NameAsIs,
    /// Octets of this length.
    Octets(usize),
    /// A character string: a length octet and so many octets.
    Text,
    /// Whatever is left.
    Rest,
}

/// How the RDATA of a type is composed.
fn layout(rtype: u16) -> &'static [Part] {
    use Part::{Name, NameAsIs, Octets, Rest, Text};
    match rtype {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, DNAME
        2..=5 | 7..=9 | 12 | 39 => &[Name],
        // SOA
        6 => &[Name, Name, Octets(20)],
        // MINFO, RP
        14 | 17 => &[Name, Name],
        // MX, AFSDB, RT, KX
        15 | 18 | 21 | 36 => &[Octets(2), Name],
        // SIG, RRSIG
        24 | 46 => &[Octets(18), Name, Rest],
        // PX
        26 => &[Octets(2), Name, Name],
        // NXT
        30 => &[Name, Rest],
        // SRV
        33 => &[Octets(6), Name],
        // NAPTR
        35 => &[Octets(4), Text, Text, Text, Name],
        // NSEC
        47 => &[NameAsIs, Rest],
        _ => &[Rest],
    }
}

/// RDATA of any type in the form in which [`Record`](crate::Record) keeps it.
#[derive(Debug)]
pub(super) struct Canonical {
    rtype: Rtype,
    pub(super) rdata: Box<[u8]>,
}

impl RecordData for Canonical {
    fn rtype(&self) -> Rtype {
        self.rtype
    }
}

impl<'a> ParseRecordData<'a, [u8]> for Canonical {
    fn parse_rdata(rtype: Rtype, parser: &mut Parser<'a, [u8]>) -> Result<Option<Self>, ParseError> {
        let parts = layout(rtype.to_int());
        if let [Part::Rest] = parts {
            let rdata = parser.parse_octets(parser.remaining())?.into();
            return Ok(Some(Canonical { rtype, rdata }));
        }
        let mut rdata = Vec::with_capacity(parser.remaining() + 64);
        for part in parts {
            match part {
                Part::Name => push_name(parser, &mut rdata, true)?,
                Part::NameAsIs => push_name(parser, &mut rdata, false)?,
                Part::Octets(length) => rdata.extend_from_slice(parser.parse_octets(*length)?),
                Part::Text => {
                    let length = parser.parse_u8()?;
                    rdata.push(length);
                    rdata.extend_from_slice(parser.parse_octets(usize::from(length))?);
                }
                Part::Rest => rdata.extend_from_slice(parser.parse_octets(parser.remaining())?),
            }
        }
        Ok(Some(Canonical { rtype, rdata: rdata.into() }))
    }
}

fn push_name(parser: &mut Parser<'_, [u8]>, rdata: &mut Vec<u8>, lower: bool) -> Result<(), ParseError> {
    let begin = rdata.len();
    push_labels(&ParsedName::parse_ref(parser)?, rdata);
    if lower && let Some(name) = rdata.get_mut(begin..) {
        // No octet of a length is an upper-case letter: 63 is the highest.
        name.make_ascii_lowercase();
    }
    Ok(())
}

/// Appends a name, uncompressed.
pub(super) fn push_labels<Octets: AsRef<[u8]>>(name: &ParsedName<Octets>, octets: &mut Vec<u8>) {
    for label in name.iter() {
        // At most 63 octets.
        octets.push(label.len() as u8);
        octets.extend_from_slice(label.as_slice());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The RDATA at the end of octets that begin with the name `Ab.` at offset 0.
    fn parse(rtype: u16, rdata: &[u8]) -> Option<Vec<u8>> {
        let message = [b"\x02Ab\x00", rdata].concat();
        let mut parser = Parser::from_ref(&message[..]);
        parser.advance(4).unwrap();
        let parsed = Canonical::parse_rdata(Rtype::from_int(rtype), &mut parser).ok()??;
        (parser.remaining() == 0).then(|| parsed.rdata.into())
    }

    #[test]
    fn compressed_names_are_expanded_in_lower_case() {
        assert_eq!(parse(15, b"\x00\x0a\x02Mx\xc0\x00").unwrap(), b"\x00\x0a\x02mx\x02ab\x00");
        assert_eq!(parse(17, b"\xc0\x00\xc0\x00").unwrap(), b"\x02ab\x00\x02ab\x00");
        assert_eq!(parse(35, b"\x00\x01\x00\x02\x01U\x00\x02Re\xc0\x00").unwrap(), b"\x00\x01\x00\x02\x01U\x00\x02Re\x02ab\x00");
    }

    #[test]
    fn the_next_name_of_nsec_keeps_its_case() {
        assert_eq!(parse(47, b"\x02Zz\x00\x00\x01\x40").unwrap(), b"\x02Zz\x00\x00\x01\x40");
    }

    #[test]
    fn rdata_of_other_types_is_opaque() {
        assert_eq!(parse(16, b"\x02Ab").unwrap(), b"\x02Ab");
        assert_eq!(parse(65280, b"\xc0\x00").unwrap(), b"\xc0\x00");
        assert_eq!(parse(1, b"").unwrap(), b"");
    }

    #[test]
    fn rdata_that_does_not_fit_its_type_is_an_error() {
        assert_eq!(parse(15, b"\x00\x0a"), None);
        assert_eq!(parse(2, b"\xc0\x04"), None);
        assert_eq!(parse(6, b"\xc0\x00\xc0\x00\x00"), None);
        assert_eq!(parse(2, b"\xc0\x00\x00"), None);
    }
}
