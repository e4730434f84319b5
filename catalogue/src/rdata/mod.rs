//! RDATA: the data of a record, between wire format and presentation format.
//!
//! One table ([`layout`]) lists the fields of every type of the IANA registry. Reading a zone file, printing, validating
//! what a transfer brings, lower-casing names for comparison, and listing the names in RDATA all walk that table, so they
//! cannot disagree. RDATA of a type without a layout is opaque, and written as RFC 3597 says: `\# 4 0a000001`.
//!
//! RDATA is kept in wire format, uncompressed, with names in lower case where DNSSEC's canonical form demands it
//! (RFC 4034 section 6.2, as corrected by RFC 6840 section 5.1): a zone file and a transfer of the same zone then give
//! the same octets.

mod basic;
mod layout;
mod loc;
mod mnemonic;
mod parse;
mod print;
mod special;
mod svcb;
#[cfg(test)]
mod tests;
pub(crate) mod text;
mod wire;
pub(crate) mod words;
mod writing;

use crate::Name;
use layout::{Field, layout};
pub(crate) use mnemonic::type_of;
use words::{Entry, Words};
use zonepulse_dns::RecordType;

/// Maximum length of RDATA, octets.
pub const MAX_RDATA: usize = 65_535;

/// Why a text or octets are no RDATA of a type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A word of the text is not what the field demands.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What is valid here.
        expected: &'static str,
        /// What is there instead.
        found: String,
    },
    /// Octets that do not form RDATA of the type.
    #[error("malformed {rtype} RDATA: expected {expected} at octet {at}")]
    Malformed {
        /// The type.
        rtype: RecordType,
        /// Offset of the field in the RDATA, octets.
        at: usize,
        /// What is valid there.
        expected: &'static str,
    },
}

impl Error {
    pub(crate) fn unexpected(expected: &'static str, found: String) -> Self {
        Error::Unexpected { expected, found }
    }
}

/// A field of RDATA: where it is.
struct Part<'a> {
    field: Field,
    before: &'a [u8],
    octets: &'a [u8],
}

/// Calls `each` for every field of the RDATA, which must be valid. Nothing is called for opaque types.
fn walk<'a>(rtype: RecordType, rdata: &'a [u8], mut each: impl FnMut(Part<'a>)) -> Result<(), Error> {
    let Some(fields) = layout(rtype.value()) else { return Ok(()) };
    let mut at = 0;
    let malformed = |at, expected| Error::Malformed { rtype, at, expected };
    for field in fields {
        let (before, rest) = rdata.split_at_checked(at).unwrap_or_default();
        let length = wire::length(*field, before, rest).map_err(|expected| malformed(at, expected))?;
        each(Part { field: *field, before, octets: rest.get(..length).unwrap_or_default() });
        at += length;
    }
    if at == rdata.len() && at <= MAX_RDATA { Ok(()) } else { Err(malformed(at, "the end")) }
}

/// Whether RDATA has the format of its type; always, if the type is opaque.
pub fn validate(rtype: RecordType, rdata: &[u8]) -> Result<(), Error> {
    walk(rtype, rdata, |_| ())
}

/// Presentation format of RDATA (RFC 1035 section 5 and the RFCs of the types) with absolute names. RDATA of an opaque
/// type, or that does not fit its type, is written as RFC 3597 section 5 says.
pub fn to_text(rtype: RecordType, rdata: &[u8]) -> String {
    let mut text = String::new();
    push_text(rtype, rdata, &mut text);
    text
}

/// Appends what [`to_text`] returns.
pub fn push_text(rtype: RecordType, rdata: &[u8], out: &mut String) {
    let start = out.len();
    let mut printed = layout(rtype.value()).is_some();
    let walked = walk(rtype, rdata, |part| {
        let separated = out.len() > start && !part.octets.is_empty();
        if separated || (out.len() > start && part.field == Field::DashBase64) {
            out.push(' ');
        }
        printed &= print::print(part.field, part.octets, out).is_some();
    });
    if walked.is_err() || !printed {
        out.truncate(start);
        push_generic(rdata, out);
    }
}

/// Appends RDATA as RFC 3597 section 5 writes it: `\#`, the number of octets, and hexadecimal digits.
pub fn push_generic(rdata: &[u8], out: &mut String) {
    writing::push(out, format_args!("\\# {}", rdata.len()));
    if !rdata.is_empty() {
        out.push(' ');
        writing::push_hex(rdata, out);
    }
}

/// The names in RDATA, in order.
pub fn names(rtype: RecordType, rdata: &[u8]) -> Vec<Name> {
    let mut names = Vec::new();
    let walked = walk(rtype, rdata, |part| {
        for range in name_ranges(&part) {
            names.extend(part.octets.get(range).and_then(Name::from_wire));
        }
    });
    if walked.is_err() {
        names.clear();
    }
    names
}

/// Where in a field the names are.
fn name_ranges(part: &Part<'_>) -> Vec<std::ops::Range<usize>> {
    let end = part.octets.len();
    let mut start = match part.field {
        Field::Name | Field::NameAsIs => Some(0),
        Field::Gateway => special::target_name(part.octets, 2),
        Field::Relay => special::target_name(part.octets, 1),
        Field::A6 => special::a6_name(part.octets).ok(),
        Field::Hip => special::hip_servers(part.octets),
        _ => None,
    }
    .unwrap_or(end);
    let mut ranges = Vec::new();
    while let Some(rest) = part.octets.get(start..).filter(|rest| !rest.is_empty()) {
        let Ok(length) = text::name_length(rest) else { break };
        ranges.push(start..start + length);
        start += length;
    }
    ranges
}

/// Canonical RDATA: checked against the format of its type, and with the names of the types of RFC 4034 section 6.2 in
/// lower case (as corrected by RFC 6840 section 5.1, that is, without NSEC). Names must not be compressed.
pub fn canonical(rtype: RecordType, rdata: &[u8]) -> Result<Box<[u8]>, Error> {
    let mut canonical = Vec::from(rdata);
    lower_names(rtype, &mut canonical)?;
    Ok(canonical.into())
}

fn lower_names(rtype: RecordType, rdata: &mut [u8]) -> Result<(), Error> {
    let mut ranges = Vec::new();
    walk(rtype, rdata, |part| {
        if matches!(part.field, Field::Name | Field::A6) {
            ranges.extend(
                name_ranges(&part).into_iter().map(|range| part.before.len() + range.start..part.before.len() + range.end),
            );
        }
    })?;
    for range in ranges {
        if let Some(name) = rdata.get_mut(range) {
            name.make_ascii_lowercase();
        }
    }
    Ok(())
}

/// RDATA in presentation format, or as RFC 3597 writes it, on one line or several in parentheses. Relative names are
/// below the origin.
pub fn from_text(rtype: RecordType, text: &str, origin: Option<&Name>) -> Result<Box<[u8]>, Error> {
    let mut entry = Entry::default();
    for (number, line) in (1..).zip(text.lines()) {
        let from = entry.buffer().len();
        entry.buffer().extend_from_slice(line.as_bytes());
        entry.split(from, number).map_err(|unsplit| unsplit.error)?;
    }
    if !entry.is_complete() {
        return Err(entry.unfinished().error);
    }
    let mut rdata = Vec::new();
    from_words(rtype, &mut entry.words(), origin, &mut rdata)?;
    Ok(rdata.into())
}

/// Replaces `rdata` with what all words that are left say. After an error, the position is at the word that is wrong.
pub(crate) fn from_words(
    rtype: RecordType,
    words: &mut Words<'_>,
    origin: Option<&Name>,
    rdata: &mut Vec<u8>,
) -> Result<(), Error> {
    rdata.clear();
    if words.peek().is_some_and(|word| word.text == b"\\#" && !word.quoted) {
        words.next();
        from_generic(words, rdata)?;
        return lower_names(rtype, rdata);
    }
    let opaque =
        || Error::unexpected("RDATA as \\#, number of octets and hexadecimal, because the type has no text", found(words));
    let fields = layout(rtype.value()).ok_or_else(opaque)?;
    for field in fields {
        parse::parse(*field, words, origin, rdata)?;
        if rdata.len() > MAX_RDATA {
            return Err(Error::unexpected("at most 65535 octets of RDATA", "more".to_owned()));
        }
    }
    if let Some(word) = words.next() {
        return Err(Error::unexpected("the end of the record", word.shown()));
    }
    validate(rtype, rdata)
}

fn found(words: &Words<'_>) -> String {
    words.peek().map_or_else(|| "the end of the record".to_owned(), |word| word.shown())
}

/// RFC 3597 section 5, after `\#`.
fn from_generic(words: &mut Words<'_>, rdata: &mut Vec<u8>) -> Result<(), Error> {
    const EXPECTED: &str = "the number of octets, up to 65535";
    let word = words.plain(EXPECTED)?;
    let length = text::decimal(word.text).filter(|length| *length <= MAX_RDATA as u64);
    let length = length.ok_or_else(|| Error::unexpected(EXPECTED, word.shown()))?;
    text::push_hex_rest(words, rdata)?;
    if rdata.len() as u64 != length {
        return Err(Error::unexpected("as many octets as the number before them says", rdata.len().to_string()));
    }
    Ok(())
}
