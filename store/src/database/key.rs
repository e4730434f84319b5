//! Keys, by column family. All numbers are big endian, so byte order is numeric order.
//!
//! | family | key | value |
//! | --- | --- | --- |
//! | `default` | `format`, `last_commit`, `last_server_id` | numbers |
//! | `default` | `written_by` | the version that last wrote the store |
//! | `default` | `server/` id, `user/` name, `settings` | JSON of [`Server`](crate::Server), [`User`](crate::User), [`GlobalSettings`](crate::GlobalSettings) |
//! | `default` | `audit/` number u64 | JSON of an [`AuditEntry`](crate::AuditEntry) |
//! | `default` | `seen/` server u32 | JSON of what the server last reported |
//! | `default` | `horizon/` server u32 | what has left the open blocks, and what has left the disk |
//! | `default` | `dropped/` server u32 | number of reports removed because of their times, u64 |
//! | `default` | `zone/` id, `last_zone_id`, `last_resource_id` | JSON of [`Zone`](crate::Zone), numbers |
//! | `default` | `store_identity`, `restorations` | JSON of [`Identity`](crate::StoreIdentity), and of a list of [`Restoration`](crate::Restoration) |
//! | `default` | `retirement/` id, `last_retirement_id` | JSON that the central defines, a number |
//! | `names` | record id u32 | type u16 · canonical text |
//! | `open` | hour u32 · server u32 · start_s u64 · epoch u64 · seq u64 | a block |
//! | `sealed` | level u8 · hour u32 · server u32 · group u32 | points of 256 records, record by record |
//! | `totals` | server u32 · kind u16 · group u32 | totals of 256 records |
//! | `markers` | server u32 · epoch u64 | the committed `seq`, as runs |
//! | `markers` | server u32 | what remains of forgotten markers |
//! | `reports` | server u32 · start_s u64 · epoch u64 · seq u64 | coverage, counters |
//! | `ledger` | server u32 · 0 u8 · from_ms u64 | a run of covered time: its length, and what may be missing |
//! | `ledger` | server u32 · 1 u8 · from_ms u64 | a range from which the probe evicted batches |
//! | `ledger` | server u32 · 2 u8 · zone's canonical name · 0 u8 · from_ms u64 | a run in which messages of the zone were folded |
//! | `journal` | commit u64 | keys of the blocks that the commit added |
//! | `series` | series id u32 | metric and label of a system series |
//! | `system_open` | as `open` | system metrics of one batch in one hour, a block |
//! | `system` | as `sealed`, groups of 64 series | metrics and their roll-ups, series by series |
//! | `resources` | zone u32 · generation u32 · owner · 0 u8 · type u16 | an RRset of a zone ([`Resource`](crate::Resource)) |
//! | `resource_notes` | `n` · resource id u32 | JSON of a [`ResourceNote`](crate::ResourceNote) |
//! | `resource_notes` | `l` · label · 0 u8 · resource id u32 | nothing |
//! | `usage` | `u` · resource id u32 | a frozen [`Credit`](crate::Credit) |
//! | `usage` | `r` · record id u32 | from when the record's accesses count for the catalogue as it is, u64 |
//! | `usage` | `l` · record id u32 · server u32 · first_ms u64 · kind u16 | [`LateAccess`](crate::LateAccess) |
//!
//! Owners are the labels from right to left, each ended by 0, with octets 0 and 1 as 1 1 and 1 2: their order is the
//! canonical order of names (RFC 4034 section 6.1).
//!
//! Block keys begin with the hour (Unix time / 3600). Keys of sealed values begin with the level (bucket length in
//! minutes, 0 for raw points) followed by the hour. Sealing and retention can thus read and drop whole ranges. System
//! metrics use the same keys in separate families.

use crate::Level;
use std::ops::RangeInclusive;
use zonepulse_model::{Identity, RecordId, ServerId};

pub(crate) const NAMES: &str = "names";
pub(crate) const OPEN: &str = "open";
pub(crate) const SEALED: &str = "sealed";
pub(crate) const TOTALS: &str = "totals";
pub(crate) const MARKERS: &str = "markers";
pub(crate) const REPORTS: &str = "reports";
pub(crate) const JOURNAL: &str = "journal";
pub(crate) const LEDGER: &str = "ledger";
pub(crate) const SERIES: &str = "series";
pub(crate) const SYSTEM_OPEN: &str = "system_open";
pub(crate) const SYSTEM: &str = "system";
pub(crate) const RESOURCES: &str = "resources";
pub(crate) const RESOURCE_NOTES: &str = "resource_notes";
pub(crate) const USAGE: &str = "usage";

/// Number of records whose totals share one value.
pub(crate) const GROUP: u32 = 256;

/// Returns the group that contains a record.
#[inline]
pub(crate) fn group_of(record_id: RecordId) -> u32 {
    record_id.get() / GROUP
}

/// Returns a record's position within its group.
#[inline]
pub(crate) fn low_of(record_id: RecordId) -> u8 {
    (record_id.get() % GROUP) as u8
}

/// Returns the record at a position within a group.
#[inline]
pub(crate) fn record_in(group: u32, low: u8) -> RecordId {
    RecordId::new(group * GROUP + u32::from(low))
}

/// Skips the records before a group. `records` must be sorted in ascending order.
pub(crate) fn from_group(records: &[RecordId], group: u32) -> &[RecordId] {
    records.get(records.partition_point(|record_id| group_of(*record_id) < group)..).unwrap_or_default()
}

/// Returns the range of all records in a group.
pub(crate) fn records(group: u32) -> RangeInclusive<RecordId> {
    record_in(group, u8::MIN)..=record_in(group, u8::MAX)
}

/// Kinds of runs in the ledger.
pub(crate) const COVERED: u8 = 0;
pub(crate) const EVICTED: u8 = 1;
pub(crate) const FOLDED: u8 = 2;

/// Length of a block key, in bytes.
pub(crate) const OPEN_BYTES: usize = 32;

/// Length of a sealed value's key, in bytes.
const SEALED_BYTES: usize = 13;

/// Key prefix for the number of reports removed because of their times.
pub(crate) const DROPPED: &[u8] = b"dropped/";

/// Key prefix for horizons.
pub(crate) const HORIZON: &[u8] = b"horizon/";

/// Returns the hour that contains an instant.
pub(crate) fn hour(start_s: u64) -> u32 {
    u32::try_from(start_s / 3600).unwrap_or(u32::MAX)
}

/// The key of a block.
pub(crate) fn open(identity: &Identity, start_s: u64) -> [u8; OPEN_BYTES] {
    let mut key = [0; OPEN_BYTES];
    let mut at = Cursor(&mut key);
    at.put(&hour(start_s).to_be_bytes());
    at.put(&identity.server_id.to_be_bytes());
    at.put(&start_s.to_be_bytes());
    at.put(&identity.epoch.to_be_bytes());
    at.put(&identity.seq.to_be_bytes());
    key
}

/// Returns the position of the first block of an hour and server at or after a start time.
pub(crate) fn open_prefix(hour: u32, server_id: ServerId, start_s: u64) -> [u8; 16] {
    let mut key = [0; 16];
    let mut at = Cursor(&mut key);
    at.put(&hour.to_be_bytes());
    at.put(&server_id.to_be_bytes());
    at.put(&start_s.to_be_bytes());
    key
}

/// Returns the position of the first block of the next server, or of the next hour.
pub(crate) fn after_open(hour: u32, server_id: ServerId) -> [u8; 16] {
    match server_id.next() {
        Some(next) => open_prefix(hour, next, 0),
        None => open_prefix(hour.saturating_add(1), ServerId::MIN, 0),
    }
}

/// Parses a block key.
pub(crate) fn parse_open(key: &[u8]) -> Option<(u32, Identity, u64)> {
    if key.len() != OPEN_BYTES {
        return None;
    }
    let (hour, server_id) = (u32_at(key, 0)?, server_at(key, 4)?);
    let (start_s, epoch, seq) = (u64_at(key, 8)?, u64_at(key, 16)?, u64_at(key, 24)?);
    Some((hour, Identity { server_id, epoch, seq }, start_s))
}

/// The key of a sealed value; also the position at which the values of an hour and server begin.
pub(crate) fn sealed(level: Level, hour: u32, server_id: ServerId, group: u32) -> [u8; SEALED_BYTES] {
    let mut key = [0; SEALED_BYTES];
    let mut at = Cursor(&mut key);
    at.put(&[level.byte()]);
    at.put(&hour.to_be_bytes());
    at.put(&server_id.to_be_bytes());
    at.put(&group.to_be_bytes());
    key
}

/// Parses the key of a sealed value into level, hour, server and group.
pub(crate) fn parse_sealed(key: &[u8]) -> Option<(Level, u32, ServerId, u32)> {
    if key.len() != SEALED_BYTES {
        return None;
    }
    let level = Level::from_byte(*key.first()?)?;
    Some((level, u32_at(key, 1)?, server_at(key, 5)?, u32_at(key, 9)?))
}

/// Returns the position of the first sealed value of the next server, or of the next hour.
pub(crate) fn after_sealed(level: Level, hour: u32, server_id: ServerId) -> [u8; SEALED_BYTES] {
    match server_id.next() {
        Some(next) => sealed(level, hour, next, 0),
        None => sealed(level, hour.saturating_add(1), ServerId::MIN, 0),
    }
}

/// The key of the number of a server's reports that were removed because of their times.
pub(crate) fn dropped(server_id: ServerId) -> Vec<u8> {
    [DROPPED, &server_id.to_be_bytes()[..]].concat()
}

/// The key of a server's horizon.
pub(crate) fn horizon(server_id: ServerId) -> Vec<u8> {
    [HORIZON, &server_id.to_be_bytes()[..]].concat()
}

pub(crate) fn report(identity: &Identity, start_s: u64) -> [u8; 28] {
    let mut key = [0; 28];
    let mut at = Cursor(&mut key);
    at.put(&identity.server_id.to_be_bytes());
    at.put(&start_s.to_be_bytes());
    at.put(&identity.epoch.to_be_bytes());
    at.put(&identity.seq.to_be_bytes());
    key
}

pub(crate) fn report_prefix(server_id: ServerId, start_s: u64) -> [u8; 12] {
    let mut key = [0; 12];
    let mut at = Cursor(&mut key);
    at.put(&server_id.to_be_bytes());
    at.put(&start_s.to_be_bytes());
    key
}

pub(crate) fn parse_report(key: &[u8]) -> Option<(Identity, u64)> {
    if key.len() != 28 {
        return None;
    }
    let (server_id, start_s) = (server_at(key, 0)?, u64_at(key, 4)?);
    Some((Identity { server_id, epoch: u64_at(key, 12)?, seq: u64_at(key, 20)? }, start_s))
}

/// What the keys of a server's runs of one kind begin with; with a zone, those of the zone's folds.
pub(crate) fn ledger_prefix(server_id: ServerId, kind: u8, zone: &str) -> Vec<u8> {
    let end: &[u8] = if zone.is_empty() { &[] } else { &[0] };
    [&server_id.to_be_bytes()[..], &[kind], zone.as_bytes(), end].concat()
}

/// Parses a ledger key into server, kind, zone (empty except for folds) and the start of the run, Unix milliseconds.
pub(crate) fn parse_ledger(key: &[u8]) -> Option<(ServerId, u8, &str, u64)> {
    let (server_id, kind) = (server_at(key, 0)?, *key.get(4)?);
    let rest = key.get(5..)?;
    let (zone, from) = if kind == FOLDED {
        // Canonical names have no octet 0.
        let end = rest.iter().position(|byte| *byte == 0)?;
        (std::str::from_utf8(rest.get(..end)?).ok()?, rest.get(end + 1..)?)
    } else {
        ("", rest)
    };
    if from.len() == 8 { Some((server_id, kind, zone, u64_at(from, 0)?)) } else { None }
}

pub(crate) fn marker(server_id: ServerId, epoch: u64) -> [u8; 12] {
    let mut key = [0; 12];
    let mut at = Cursor(&mut key);
    at.put(&server_id.to_be_bytes());
    at.put(&epoch.to_be_bytes());
    key
}

/// Parses a marker key into server and epoch.
pub(crate) fn parse_marker(key: &[u8]) -> Option<(ServerId, u64)> {
    if key.len() == 12 { Some((server_at(key, 0)?, u64_at(key, 4)?)) } else { None }
}

/// The key of what remains of a server's forgotten markers. It sorts before the markers themselves.
pub(crate) fn floor(server_id: ServerId) -> [u8; 4] {
    server_id.to_be_bytes()
}

/// Parses a key made by [`floor`].
pub(crate) fn parse_floor(key: &[u8]) -> Option<ServerId> {
    if key.len() == 4 { server_at(key, 0) } else { None }
}

pub(crate) fn total(server_id: ServerId, kind: u16, group: u32) -> [u8; 10] {
    let mut key = [0; 10];
    let mut at = Cursor(&mut key);
    at.put(&server_id.to_be_bytes());
    at.put(&kind.to_be_bytes());
    at.put(&group.to_be_bytes());
    key
}

pub(crate) fn parse_total(key: &[u8]) -> Option<(ServerId, u16, u32)> {
    if key.len() != 10 {
        return None;
    }
    let kind = u16::from_be_bytes(*key.get(4..)?.first_chunk()?);
    Some((server_at(key, 0)?, kind, u32_at(key, 6)?))
}

/// Reads the server id at an offset in a key.
pub(crate) fn server_at(bytes: &[u8], at: usize) -> Option<ServerId> {
    u32_at(bytes, at).map(ServerId::new)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Fills a key from the front. Anything that does not fit is dropped, which the tests of every key would catch.
struct Cursor<'a>(&'a mut [u8]);

impl Cursor<'_> {
    fn put(&mut self, bytes: &[u8]) {
        if let Some((place, rest)) = std::mem::take(&mut self.0).split_at_mut_checked(bytes.len()) {
            place.copy_from_slice(bytes);
            self.0 = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: ServerId = ServerId::new(7);
    const IDENTITY: Identity = Identity { server_id: SERVER, epoch: 0x0102_0304_0506_0708, seq: 9 };

    #[test]
    fn a_blocks_key_is_laid_out_byte_for_byte_as_written_down() {
        let key = open(&IDENTITY, 7265);
        assert_eq!(key[..], *b"\0\0\0\x02\0\0\0\x07\0\0\0\0\0\0\x1c\x61\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\0\x09");
        assert_eq!(parse_open(&key), Some((2, IDENTITY, 7265)));
        assert!(key.starts_with(&open_prefix(2, SERVER, 7265)));
    }

    #[test]
    fn a_sealed_values_key_is_laid_out_byte_for_byte_as_written_down() {
        let key = sealed(Level::M15, 2, SERVER, 258);
        assert_eq!(key[..], *b"\x0f\0\0\0\x02\0\0\0\x07\0\0\x01\x02");
        assert_eq!(parse_sealed(&key), Some((Level::M15, 2, SERVER, 258)));
        assert_eq!(parse_sealed(b"\x01\0\0\0\x02\0\0\0\x07\0\0\x01\x02"), None);
    }

    #[test]
    fn the_other_keys_give_back_what_they_were_made_of() {
        assert_eq!(parse_report(&report(&IDENTITY, 60)), Some((IDENTITY, 60)));
        assert!(report(&IDENTITY, 60).starts_with(&report_prefix(SERVER, 60)));
        assert_eq!(parse_total(&total(SERVER, 2, 3)), Some((SERVER, 2, 3)));
        for (kind, zone) in [(COVERED, ""), (EVICTED, ""), (FOLDED, "."), (FOLDED, "example.org.")] {
            let key = [&ledger_prefix(SERVER, kind, zone)[..], &5u64.to_be_bytes()].concat();
            assert_eq!(parse_ledger(&key), Some((SERVER, kind, zone, 5)));
            assert_eq!(parse_ledger(&key[..key.len() - 1]), None);
        }
        assert_eq!(marker(ServerId::new(1), 2), *b"\0\0\0\x01\0\0\0\0\0\0\0\x02");
        assert_eq!((parse_marker(&marker(SERVER, 2)), parse_floor(&marker(SERVER, 2))), (Some((SERVER, 2)), None));
        assert_eq!((parse_marker(&floor(SERVER)), parse_floor(&floor(SERVER))), (None, Some(SERVER)));
    }
}
