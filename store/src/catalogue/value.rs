//! What is stored of a resource: who it is, its present data, and what they were before.
//!
//! A value is
//!
//! | octets | |
//! | --- | --- |
//! | 1 | version, 1 |
//! | 1 | flags; bit 0: the resource is removed, and its data are the last ones it had |
//! | 4 | number of its record (owner and type) in the dictionary |
//! | 4 | its id |
//! | varints | `created_ms`, `since_ms` (from when its data are these), `removed_ms` if it is removed |
//! | length, data | TTL, number of RDATAs, and each with its length |
//! | earlier versions, newest first | `until_ms`, how long before that it began, length, data |
//!
//! The head has a fixed size, so that opening a store reads nothing else of a value, and data can be compared as octets.
//! A time between two versions is one at which the resource was absent.

use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_model::{RecordId, ResourceId};

const VERSION: u8 = 1;
const REMOVED: u8 = 1;
pub(crate) const HEAD_BYTES: usize = 10;
/// Maximum number of earlier versions kept.
const MAX_VERSIONS: usize = 16;
/// Maximum size of the earlier versions kept, in bytes.
const MAX_VERSIONS_BYTES: usize = 64 << 10;
/// Maximum number of RDATAs.
const MAX_RDATAS: usize = 1 << 20;

/// The part of a value with a fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) removed: bool,
    pub(crate) record_id: RecordId,
    pub(crate) resource_id: ResourceId,
}

/// A decoded value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'a> {
    pub(crate) head: Head,
    pub(crate) created_ms: u64,
    pub(crate) since_ms: u64,
    pub(crate) removed_ms: Option<u64>,
    pub(crate) data: &'a [u8],
    versions: &'a [u8],
}

/// What an RRset was for some time.
#[derive(Debug, Clone)]
pub struct Version<'a> {
    /// When it began, Unix milliseconds.
    pub from_ms: u64,
    /// When it ended, Unix milliseconds.
    pub until_ms: u64,
    /// TTL, seconds.
    pub ttl: u32,
    /// Its RDATAs.
    pub rdatas: Rdatas<'a>,
}

/// RDATAs in wire format, in the order in which they were imported.
#[derive(Debug, Clone)]
pub struct Rdatas<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Iterator for Rdatas<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        // Checked when the data were decoded.
        let length = self.reader.number("RDATA").ok()?;
        self.reader.bytes(usize::try_from(length).ok()?, "RDATA").ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Rdatas<'_> {}

/// Encodes TTL and RDATAs. `rdatas` contains `count` of them, each after its length.
pub(crate) fn put_data(out: &mut Vec<u8>, ttl: u32, count: usize, rdatas: &[u8]) {
    put(out, u64::from(ttl));
    put(out, count as u64);
    out.extend_from_slice(rdatas);
}

/// Decodes TTL and RDATAs, and checks them to the end.
pub(crate) fn data(bytes: &[u8]) -> Result<(u32, Rdatas<'_>), Malformed> {
    let mut reader = Reader::new(bytes);
    let ttl = u32::try_from(reader.number("ttl")?).map_err(|_| Malformed("ttl"))?;
    let left = reader.count(MAX_RDATAS, "number of RDATAs")?;
    let rdatas = Rdatas { reader: reader.clone(), left };
    for _ in 0..left {
        let length = reader.count(usize::from(u16::MAX), "length of RDATA")?;
        reader.bytes(length, "RDATA")?;
    }
    if reader.rest().is_empty() { Ok((ttl, rdatas)) } else { Err(Malformed("data of a resource")) }
}

impl Head {
    /// Reads only the head of a value.
    pub(crate) fn decode(value: &[u8]) -> Result<Head, Malformed> {
        let head: &[u8; HEAD_BYTES] = value.first_chunk().ok_or(Malformed("resource"))?;
        let [version, flags, a, b, c, d, e, f, g, h] = *head;
        if version != VERSION || flags & !REMOVED != 0 {
            return Err(Malformed("resource version"));
        }
        let record_id = RecordId::new(u32::from_be_bytes([a, b, c, d]));
        let resource_id = ResourceId::new(u32::from_be_bytes([e, f, g, h]));
        Ok(Head { removed: flags == REMOVED, record_id, resource_id })
    }

    /// Sets the ids in an encoded value.
    pub(crate) fn set_ids(value: &mut [u8], record_id: RecordId, resource_id: ResourceId) {
        let ids = record_id.to_be_bytes().into_iter().chain(resource_id.to_be_bytes());
        value.iter_mut().skip(2).zip(ids).for_each(|(place, octet)| *place = octet);
    }
}

impl<'a> Value<'a> {
    pub(crate) fn decode(value: &'a [u8]) -> Result<Self, Malformed> {
        let head = Head::decode(value)?;
        let mut reader = Reader::new(value.get(HEAD_BYTES..).unwrap_or_default());
        let created_ms = reader.number("created_ms")?;
        let since_ms = reader.number("since_ms")?;
        let removed_ms = if head.removed { Some(reader.number("removed_ms")?) } else { None };
        let length = reader.number("length of data")?;
        let data = reader.bytes(usize::try_from(length).map_err(|_| Malformed("length of data"))?, "data")?;
        Ok(Value { head, created_ms, since_ms, removed_ms, data, versions: reader.rest() })
    }

    /// A value without earlier versions.
    pub(crate) fn new(created_ms: u64, data: &'a [u8]) -> Self {
        let head = Head { removed: false, record_id: RecordId::OTHER, resource_id: ResourceId::NONE };
        Value { head, created_ms, since_ms: created_ms, removed_ms: None, data, versions: &[] }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.push(if self.removed_ms.is_some() { REMOVED } else { 0 });
        out.extend_from_slice(&self.head.record_id.to_be_bytes());
        out.extend_from_slice(&self.head.resource_id.to_be_bytes());
        put(out, self.created_ms);
        put(out, self.since_ms);
        self.removed_ms.into_iter().for_each(|removed_ms| put(out, removed_ms));
        put(out, self.data.len() as u64);
        out.extend_from_slice(self.data);
        out.extend_from_slice(self.versions);
    }

    /// Encodes the value as it is from now on, removed.
    pub(crate) fn remove(&self, now_ms: u64, out: &mut Vec<u8>) {
        Value { removed_ms: Some(now_ms.max(self.since_ms)), ..*self }.encode(out);
    }

    /// Encodes the value with data that it has from now on; the present ones become an earlier version. Forgets versions
    /// that ended longer ago than `history_ms`, or exceed the bounds.
    pub(crate) fn replace(&self, data: &[u8], now_ms: u64, history_ms: u64, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let until_ms = self.removed_ms.unwrap_or(now_ms).max(self.since_ms);
        let mut versions = Vec::new();
        put_version(&mut versions, self.since_ms, until_ms, self.data);
        let mut rest = Reader::new(self.versions);
        for _ in 1..MAX_VERSIONS {
            let Some((from_ms, until_ms, data)) = next_version(&mut rest)? else { break };
            if until_ms < now_ms.saturating_sub(history_ms) || versions.len() + data.len() > MAX_VERSIONS_BYTES {
                break;
            }
            put_version(&mut versions, from_ms, until_ms, data);
        }
        Value { removed_ms: None, since_ms: now_ms.max(until_ms), data, versions: &versions, ..*self }.encode(out);
        Ok(())
    }

    /// Earlier versions, newest first.
    pub(crate) fn versions(&self) -> impl Iterator<Item = Result<Version<'a>, Malformed>> + use<'a> {
        let mut reader = Reader::new(self.versions);
        std::iter::from_fn(move || {
            let next = next_version(&mut reader).transpose()?;
            let version = next.and_then(|(from_ms, until_ms, bytes)| {
                let (ttl, rdatas) = data(bytes)?;
                Ok(Version { from_ms, until_ms, ttl, rdatas })
            });
            if version.is_err() {
                reader = Reader::new(&[]);
            }
            Some(version)
        })
    }

    /// Since when the resource has been there without interruption, as far as versions are kept, Unix milliseconds.
    pub(crate) fn present_since_ms(&self) -> u64 {
        let mut since_ms = self.since_ms;
        for version in self.versions().map_while(Result::ok) {
            if version.until_ms < since_ms {
                return since_ms;
            }
            since_ms = version.from_ms;
        }
        // Versions are forgotten from the oldest on.
        since_ms.min(self.created_ms)
    }

    /// The data at a time, Unix milliseconds; `None` if the resource was absent. A time before all that is known of the
    /// data, but after the resource was created, has the earliest that are known.
    pub(crate) fn at(&self, at_ms: u64) -> Result<Option<(u32, Rdatas<'a>)>, Malformed> {
        if at_ms >= self.since_ms {
            return if self.removed_ms.is_some_and(|removed_ms| at_ms >= removed_ms) {
                Ok(None)
            } else {
                data(self.data).map(Some)
            };
        }
        if at_ms < self.created_ms {
            return Ok(None);
        }
        let mut earliest = self.data;
        let mut reader = Reader::new(self.versions);
        while let Some((from_ms, until_ms, bytes)) = next_version(&mut reader)? {
            if at_ms >= until_ms {
                return Ok(None);
            }
            if at_ms >= from_ms {
                return data(bytes).map(Some);
            }
            earliest = bytes;
        }
        data(earliest).map(Some)
    }
}

fn put_version(out: &mut Vec<u8>, from_ms: u64, until_ms: u64, data: &[u8]) {
    put(out, until_ms);
    put(out, until_ms.saturating_sub(from_ms));
    put(out, data.len() as u64);
    out.extend_from_slice(data);
}

/// A version as it is stored: from when, until when, TTL and RDATAs.
type RawVersion<'a> = (u64, u64, &'a [u8]);

fn next_version<'a>(reader: &mut Reader<'a>) -> Result<Option<RawVersion<'a>>, Malformed> {
    if reader.rest().is_empty() {
        return Ok(None);
    }
    let until_ms = reader.number("until_ms of a version")?;
    let from_ms = until_ms.checked_sub(reader.number("length of a version")?).ok_or(Malformed("length of a version"))?;
    let length = reader.number("length of data")?;
    let data = reader.bytes(usize::try_from(length).map_err(|_| Malformed("length of data"))?, "data")?;
    Ok(Some((from_ms, until_ms, data)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HISTORY_MS: u64 = 1_000_000;

    fn of(ttl: u32) -> Vec<u8> {
        let mut data = Vec::new();
        put_data(&mut data, ttl, 1, b"\x04\x7f\0\0\x01");
        data
    }

    fn ttl_at(value: &[u8], at_ms: u64) -> Option<u32> {
        Value::decode(value).unwrap().at(at_ms).unwrap().map(|(ttl, _)| ttl)
    }

    #[test]
    fn what_returns_has_been_there_since_then() {
        let since = |value: &[u8]| Value::decode(value).unwrap().present_since_ms();
        let (mut first, mut changed, mut removed, mut back, mut again) = Default::default();
        Value::new(5, &of(60)).encode(&mut first);
        Value::decode(&first).unwrap().replace(&of(61), 9, HISTORY_MS, &mut changed).unwrap();
        Value::decode(&changed).unwrap().remove(20, &mut removed);
        Value::decode(&removed).unwrap().replace(&of(61), 30, HISTORY_MS, &mut back).unwrap();
        Value::decode(&back).unwrap().replace(&of(62), 40, HISTORY_MS, &mut again).unwrap();
        assert_eq!([&first, &changed, &back, &again].map(|value| since(value)), [5, 5, 30, 30]);
    }

    #[test]
    fn a_value_is_laid_out_byte_for_byte_as_written_down() {
        let (mut first, mut second, mut removed) = (Vec::new(), Vec::new(), Vec::new());
        Value::new(5, &of(60)).encode(&mut first);
        Head::set_ids(&mut first, RecordId::new(258), ResourceId::new(3));
        assert_eq!(first, b"\x01\0\0\0\x01\x02\0\0\0\x03\x05\x05\x07\x3c\x01\x04\x7f\0\0\x01");
        Value::decode(&first).unwrap().replace(&of(61), 9, HISTORY_MS, &mut second).unwrap();
        let expected = b"\x01\0\0\0\x01\x02\0\0\0\x03\x05\x09\x07\x3d\x01\x04\x7f\0\0\x01\x09\x04\x07\x3c\x01\x04\x7f\0\0\x01";
        assert_eq!(second, expected);
        Value::decode(&first).unwrap().remove(8, &mut removed);
        assert_eq!(removed, b"\x01\x01\0\0\x01\x02\0\0\0\x03\x05\x05\x08\x07\x3c\x01\x04\x7f\0\0\x01");
    }

    #[test]
    fn a_value_tells_what_it_was_at_any_time() {
        let (mut a, mut b, mut gone, mut back) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Value::new(10, &of(1)).encode(&mut a);
        Value::decode(&a).unwrap().replace(&of(2), 20, HISTORY_MS, &mut b).unwrap();
        Value::decode(&b).unwrap().remove(30, &mut gone);
        Value::decode(&gone).unwrap().replace(&of(3), 40, HISTORY_MS, &mut back).unwrap();
        let at = |value: &[u8]| [9, 10, 19, 20, 29, 30, 39, 40].map(|at_ms| ttl_at(value, at_ms));
        assert_eq!(at(&gone), [None, Some(1), Some(1), Some(2), Some(2), None, None, None]);
        assert_eq!(at(&back), [None, Some(1), Some(1), Some(2), Some(2), None, None, Some(3)]);
    }

    #[test]
    fn versions_are_bounded_in_number_age_and_size() {
        let mut value = Vec::new();
        Value::new(0, &of(0)).encode(&mut value);
        let mut replace = |data: &[u8], now_ms, history_ms| {
            let mut next = Vec::new();
            Value::decode(&value).unwrap().replace(data, now_ms, history_ms, &mut next).unwrap();
            value = next;
            Value::decode(&value).unwrap().versions().map(|version| version.unwrap().ttl).collect::<Vec<_>>()
        };
        let of_40: Vec<_> = (1..=40).map(|ttl| replace(&of(ttl), u64::from(ttl), HISTORY_MS)).collect();
        assert_eq!(of_40[39], (24..40).rev().collect::<Vec<_>>());
        assert_eq!(replace(&of(41), 41, 2), [40, 39, 38]);
        let mut large = Vec::new();
        let rdata = [&b"\x80\x80\x02"[..], &[0; 32 << 10]].concat();
        put_data(&mut large, 7, 1, &rdata);
        let sizes: Vec<_> = (50..55).map(|now_ms| replace(&large, now_ms, HISTORY_MS).len()).collect();
        assert!(sizes[4] <= 3, "{sizes:?}");
    }

    #[test]
    fn a_clock_that_goes_back_leaves_versions_in_order() {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        Value::new(100, &of(1)).encode(&mut a);
        Value::decode(&a).unwrap().replace(&of(2), 50, HISTORY_MS, &mut b).unwrap();
        assert_eq!((ttl_at(&b, 99), ttl_at(&b, 100)), (None, Some(2)));
    }

    proptest! {
        #[test]
        fn octets_of_any_kind_never_panic(octets in prop::collection::vec(any::<u8>(), 0..60), at_ms in 0..300u64) {
            let value = [&[VERSION, 0, 0, 0, 0, 1, 0, 0, 0, 1], &octets[..]].concat();
            if let Ok(value) = Value::decode(&value) {
                let _ = (value.at(at_ms), value.versions().count(), data(value.data).map(|(_, rdatas)| rdatas.count()));
            }
        }
    }
}
