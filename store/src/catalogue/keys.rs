//! Keys of resources, notes and usage; `database/key.rs` lists them.

use crate::database::key::{server_at, u32_at, u64_at};
use zonepulse_model::{RecordId, ResourceId, ServerId, ZoneId};

/// Length of the part of a resource's key before its owner.
pub(super) const PREFIX_BYTES: usize = 8;

pub(super) const NOTE: u8 = b'n';
pub(super) const LABEL: u8 = b'l';
pub(super) const CREDIT: u8 = b'u';
pub(super) const FROM: u8 = b'r';
pub(super) const LATE: u8 = b'l';

/// What the keys of a zone's generation begin with.
pub(super) fn prefix(zone_id: ZoneId, generation: u32) -> [u8; PREFIX_BYTES] {
    let [a, b, c, d] = zone_id.to_be_bytes();
    let [e, f, g, h] = generation.to_be_bytes();
    [a, b, c, d, e, f, g, h]
}

/// The range of the keys of a zone's generation, or of all its generations.
pub(super) fn range(zone_id: ZoneId, generation: Option<u32>) -> (Vec<u8>, Vec<u8>) {
    let from = prefix(zone_id, generation.unwrap_or(0)).to_vec();
    let of_next_zone = || zone_id.next().map_or_else(|| vec![u8::MAX; 16], |next| prefix(next, 0).to_vec());
    let until = generation.and_then(|generation| generation.checked_add(1)).map(|next| prefix(zone_id, next).to_vec());
    (from, until.unwrap_or_else(of_next_zone))
}

/// Splits a resource's key into zone, generation, and owner with type.
pub(super) fn parse(key: &[u8]) -> Option<(ZoneId, u32, &[u8])> {
    Some((ZoneId::new(u32_at(key, 0)?), u32_at(key, 4)?, key.get(PREFIX_BYTES..)?))
}

fn tagged(tag: u8, id: [u8; 4]) -> [u8; 5] {
    let [a, b, c, d] = id;
    [tag, a, b, c, d]
}

pub(super) fn note(id: ResourceId) -> [u8; 5] {
    tagged(NOTE, id.to_be_bytes())
}

pub(super) fn credit(id: ResourceId) -> [u8; 5] {
    tagged(CREDIT, id.to_be_bytes())
}

pub(super) fn from(id: RecordId) -> [u8; 5] {
    tagged(FROM, id.to_be_bytes())
}

/// Parses a key made of a tag and a number.
pub(super) fn parse_tagged(key: &[u8], tag: u8) -> Option<u32> {
    (key.len() == 5 && key.first() == Some(&tag)).then(|| u32_at(key, 1))?
}

pub(super) fn label_prefix(label: &str) -> Vec<u8> {
    [&[LABEL], label.as_bytes(), &[0]].concat()
}

pub(super) fn label(label: &str, id: ResourceId) -> Vec<u8> {
    [&label_prefix(label)[..], &id.to_be_bytes()].concat()
}

/// Parses a label's key into label and resource.
pub(super) fn parse_label(key: &[u8]) -> Option<(&str, ResourceId)> {
    let (label, id) = key.strip_prefix(&[LABEL])?.split_last_chunk::<4>()?;
    let label = std::str::from_utf8(label.strip_suffix(&[0])?).ok()?;
    Some((label, ResourceId::new(u32::from_be_bytes(*id))))
}

/// What identifies a late access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Late {
    /// The record.
    pub record_id: RecordId,
    /// The server that reported it.
    pub server_id: ServerId,
    /// Time of its first message, Unix milliseconds.
    pub first_ms: u64,
    /// Number of the kind of message; see [`MessageKind`](zonepulse_dns::MessageKind).
    pub kind: u16,
}

impl Late {
    pub(super) fn key(&self) -> Vec<u8> {
        let numbers = [self.record_id.to_be_bytes(), self.server_id.to_be_bytes()].concat();
        [&[LATE][..], &numbers, &self.first_ms.to_be_bytes(), &self.kind.to_be_bytes()].concat()
    }

    pub(super) fn parse(key: &[u8]) -> Option<Late> {
        if key.len() != 19 || key.first() != Some(&LATE) {
            return None;
        }
        let kind = u16::from_be_bytes(*key.get(17..)?.first_chunk()?);
        Some(Late { record_id: RecordId::new(u32_at(key, 1)?), server_id: server_at(key, 5)?, first_ms: u64_at(key, 9)?, kind })
    }
}

/// The range of the late accesses of a record.
pub(super) fn late_of(id: RecordId) -> ([u8; 5], Vec<u8>) {
    let next = id.next().map_or_else(|| vec![LATE + 1], |next| tagged(LATE, next.to_be_bytes()).to_vec());
    (tagged(LATE, id.to_be_bytes()), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_laid_out_byte_for_byte_as_written_down() {
        assert_eq!(prefix(ZoneId::new(258), 3), *b"\0\0\x01\x02\0\0\0\x03");
        assert_eq!(note(ResourceId::new(7)), *b"n\0\0\0\x07");
        assert_eq!(credit(ResourceId::new(7)), *b"u\0\0\0\x07");
        assert_eq!(from(RecordId::new(7)), *b"r\0\0\0\x07");
        assert_eq!(label("a-1", ResourceId::new(7)), b"la-1\0\0\0\0\x07");
        assert_eq!(parse_label(b"la-1\0\0\0\0\x07"), Some(("a-1", ResourceId::new(7))));
        let late = Late { record_id: RecordId::new(1), server_id: ServerId::new(2), first_ms: 3, kind: 4 };
        assert_eq!(late.key(), b"l\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0\x03\0\x04");
        assert_eq!(Late::parse(&late.key()), Some(late));
    }

    #[test]
    fn a_range_is_that_of_one_generation_or_of_all() {
        let (from, until) = range(ZoneId::new(1), Some(2));
        assert_eq!((from, until), (prefix(ZoneId::new(1), 2).to_vec(), prefix(ZoneId::new(1), 3).to_vec()));
        let (from, until) = range(ZoneId::new(1), None);
        assert_eq!((from, until), (prefix(ZoneId::new(1), 0).to_vec(), prefix(ZoneId::new(2), 0).to_vec()));
        assert_eq!(range(ZoneId::MAX, Some(u32::MAX)).1, [u8::MAX; 16]);
    }
}
