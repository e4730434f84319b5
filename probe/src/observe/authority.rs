//! The zone that a response's authority section names.
//!
//! A negative response (RFC 2308: NXDOMAIN, or NODATA) contains the SOA record of the zone that
//! lacks the name or type, and the owner of that record is the zone's name. It is only read on
//! request ([`Hit::zone_length`]): counting does not need it, only folding does.
//!
//! The owner is nearly always a compression pointer into the question. Decoding is safe: each
//! pointer must point backwards, and no name exceeds 255 octets.

use super::Hit;
use super::message::{HEADER_OCTETS, skip_name};
use zonepulse_dns::{MessageKind, RecordType, ResponseCode, name};

/// Maximum number of authority records examined: a signed denial has a dozen, with the SOA among
/// the first.
const MAX_RECORDS: u16 = 16;

/// The flags AA and RA, in the third and fourth octet of the header.
const AUTHORITATIVE: u8 = 0x04;
const RECURSION_AVAILABLE: u8 = 0x80;

impl<'a> Hit<'a> {
    /// Whether it is a response with an answer or a referral, which random names do not get.
    #[inline]
    pub fn is_positive(&self) -> bool {
        // Half of all messages are requests, so avoid reading their header.
        if self.kind != MessageKind::response(ResponseCode::NOERROR) {
            return false;
        }
        let Some([_, _, high, low, _, _, a, b, ..]) = self.message.first_chunk::<HEADER_OCTETS>() else { return false };
        a | b != 0 || high & AUTHORITATIVE | low & RECURSION_AVAILABLE == 0
    }

    /// For a negative response, the length of the zone's name, as octets at the end of the
    /// question's name. `None` for any other message, and if the SOA's owner is not an ancestor of
    /// the question's name or the name itself.
    pub fn zone_length(&self) -> Option<usize> {
        let denies = matches!(self.kind.response_code()?, ResponseCode::NOERROR | ResponseCode::NXDOMAIN);
        let [_, _, _, _, _, _, answers @ .., a, b, _, _] = self.message.first_chunk::<HEADER_OCTETS>()?;
        if !denies || *answers != [0, 0] {
            return None;
        }
        let mut records = self.message.get(HEADER_OCTETS + self.name.len() + 4..)?;
        for _ in 0..u16::from_be_bytes([*a, *b]).min(MAX_RECORDS) {
            let owner_at = self.message.len() - records.len();
            let (_, rest) = skip_name(records)?;
            let (fixed, rest) = rest.split_first_chunk::<10>()?;
            let [type_high, type_low, _, _, _, _, _, _, length_high, length_low] = *fixed;
            if RecordType::new(u16::from_be_bytes([type_high, type_low])) == RecordType::SOA {
                return self.suffix(owner_at);
            }
            records = rest.get(usize::from(u16::from_be_bytes([length_high, length_low]))..)?;
        }
        None
    }

    /// The length of the name at this position in the message, if the question's name ends with it.
    fn suffix(&self, at: usize) -> Option<usize> {
        self.suffix_by_pointer(at).or_else(|| self.suffix_by_octets(at))
    }

    /// The same for the usual case, a pointer to a label of the question's name.
    #[inline]
    fn suffix_by_pointer(&self, at: usize) -> Option<usize> {
        let [high @ 192..=255, low] = *self.message.get(at..)?.first_chunk::<2>()? else { return None };
        let from = (usize::from(high & 0x3f) << 8 | usize::from(low)).checked_sub(HEADER_OCTETS)?;
        (from < self.name.len() && self.has_label_at(from)).then(|| self.name.len() - from)
    }

    fn suffix_by_octets(&self, mut at: usize) -> Option<usize> {
        let mut owner = [0; name::MAX_WIRE];
        let mut length = 0;
        // Octets before this offset have not been read yet: a pointer that does not go back could
        // loop.
        let mut before = at;
        loop {
            let rest = self.message.get(at..)?;
            let (&label, after) = rest.split_first()?;
            match usize::from(label) {
                0 => break,
                octets @ 1..=name::MAX_LABEL => {
                    owner.get_mut(length..=length + octets)?.copy_from_slice(rest.get(..=octets)?);
                    length += 1 + octets;
                    at += 1 + octets;
                }
                high @ 192.. => {
                    at = (high & 0x3f) << 8 | usize::from(*after.first()?);
                    if at >= before {
                        return None;
                    }
                    before = at;
                }
                _ => return None,
            }
        }
        // The root's octet is already there.
        let owner = owner.get(..=length)?;
        let from = self.name.len().checked_sub(owner.len())?;
        let same = self.name.get(from..)?.eq_ignore_ascii_case(owner);
        (same && self.has_label_at(from)).then_some(owner.len())
    }

    /// Whether a label of the question's name begins at this offset in it.
    fn has_label_at(&self, from: usize) -> bool {
        let mut at = 0;
        while at < from {
            let Some(length) = self.name.get(at) else { return false };
            at += 1 + usize::from(*length);
        }
        at == from
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::testing::{denial, message, query, response};
    use proptest::prelude::*;

    fn hit<'m>(octets: &'m [u8], name_length: usize) -> Hit<'m> {
        let kind = match octets[2] & 0x80 {
            0 => MessageKind::REQUEST,
            _ => MessageKind::response(ResponseCode::from_masked(u16::from(octets[3] & 15))),
        };
        Hit { name: &octets[12..12 + name_length], record_type: RecordType::A, kind, time_ms: 0, message: octets }
    }

    fn zone_of(octets: &[u8], name: &str) -> Option<String> {
        let hit = hit(octets, name::to_wire(name).unwrap().len());
        let zone = &hit.name[hit.name.len() - hit.zone_length()?..];
        let mut text = String::new();
        assert!(name::push_text(zone, &mut text));
        Some(text)
    }

    #[test]
    fn the_zone_is_the_owner_of_the_soa() {
        for code in [0, 3] {
            let octets = denial("a.b.Example.", code, b"\x07eXample\x00");
            assert_eq!(zone_of(&octets, "a.b.Example.").as_deref(), Some("example."), "written out");
            let octets = denial("a.b.Example.", code, &[0xc0, 12 + 4]);
            assert_eq!(zone_of(&octets, "a.b.Example.").as_deref(), Some("example."), "a pointer into the question");
            let octets = denial("a.b.Example.", code, &[1, b'B', 0xc0, 12 + 4]);
            assert_eq!(zone_of(&octets, "a.b.Example.").as_deref(), Some("b.example."), "a label and a pointer");
            assert_eq!(zone_of(&denial("a.", code, b"\x00"), "a.").as_deref(), Some("."), "the root");
        }
    }

    #[test]
    fn only_a_denial_with_an_ancestor_as_owner_names_a_zone() {
        assert_eq!(zone_of(&denial("a.example.", 3, b"\x04test\x00"), "a.example."), None, "another branch");
        assert_eq!(zone_of(&denial("notexample.", 3, b"\x07example\x00"), "notexample."), None, "not a whole label");
        assert_eq!(zone_of(&denial("example.", 3, b"\x01a\xc0\x0c"), "example."), None, "below");
        assert_eq!(zone_of(&denial("a.example.", 2, &[0xc0, 14]), "a.example."), None, "SERVFAIL");
        assert_eq!(zone_of(&query("a.example."), "a.example."), None, "a request");
        assert_eq!(zone_of(&response("a.example.", 3), "a.example."), None, "no SOA");
    }

    #[test]
    fn pointers_that_go_in_circles_or_forward_end() {
        let owner_at = 12 + 11 + 4;
        for pointer in [owner_at, owner_at + 1, owner_at + 2, 0x3fff] {
            let octets = denial("a.example.", 3, &[0xc0 | (pointer >> 8) as u8, pointer as u8]);
            assert_eq!(zone_of(&octets, "a.example."), None, "{pointer}");
        }
    }

    #[test]
    fn a_positive_answer_has_an_answer_or_refers() {
        let with = |flags: u16, answers: u8| {
            let mut octets = message(flags, "a.", 1);
            octets[7] = answers;
            hit(&octets, 3).is_positive()
        };
        assert!(with(0x8400, 1) && with(0x8180, 1), "an answer");
        assert!(with(0x8000, 0), "a referral");
        assert!(!with(0x8400, 0) && !with(0x8180, 0), "no data");
        assert!(!with(0x8403, 1) && !with(0x8002, 0), "another code");
        assert!(!with(0x0100, 1), "a request");
    }

    proptest! {
        #[test]
        fn a_zone_is_always_a_suffix_of_the_name(
            rest in prop::collection::vec(any::<u8>(), 0..80), count in 0u8..4, cut in 0usize..120,
        ) {
            let mut octets = message(0x8183, "a.bb.ccc.", 1);
            octets[9] = count;
            octets.extend(rest);
            octets.truncate(octets.len().min(22 + cut));
            let hit = hit(&octets, 10);
            if let Some(length) = hit.zone_length() {
                prop_assert!([10, 8, 5, 1].contains(&length));
            }
        }
    }
}
