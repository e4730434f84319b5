//! Writing totals to disk.

use super::{Group, GroupKey};
use crate::Inner;
use crate::database::{Database, key};
use rocksdb::WriteBatch;
use std::ops::RangeInclusive;
use zonepulse_model::ServerId;

/// Adds a group to a batch. Its value on disk is then complete up to commit `as_of`.
#[inline]
pub(crate) fn put_group(database: &Database, batch: &mut WriteBatch, key: GroupKey, group: &mut Group, as_of: u64) {
    let (server, kind, number) = key;
    batch.put_cf(database.family(key::TOTALS), key::total(server, kind, number), group.encode(as_of));
    group.as_of = as_of;
    group.dirty = false;
}

/// Adds to a batch all totals of a server that exist only in memory.
pub(crate) fn put_of_server(inner: &Inner, batch: &mut WriteBatch, server_id: ServerId, as_of: u64) -> Vec<GroupKey> {
    put_dirty(inner, batch, (server_id, 0, 0)..=(server_id, u16::MAX, u32::MAX), as_of)
}

/// Adds to a batch all totals that exist only in memory.
pub(crate) fn put_all(inner: &Inner, batch: &mut WriteBatch, as_of: u64) -> Vec<GroupKey> {
    put_dirty(inner, batch, (ServerId::MIN, 0, 0)..=(ServerId::MAX, u16::MAX, u32::MAX), as_of)
}

fn put_dirty(inner: &Inner, batch: &mut WriteBatch, range: RangeInclusive<GroupKey>, as_of: u64) -> Vec<GroupKey> {
    let totals = inner.totals.read();
    let family = inner.database.family(key::TOTALS);
    let mut put = Vec::new();
    for (key, group) in totals.groups.range(range).filter(|(_, group)| group.dirty) {
        let (server, kind, number) = *key;
        batch.put_cf(family, key::total(server, kind, number), group.encode(as_of));
        put.push(*key);
    }
    put
}

/// Marks these groups as identical on disk and in memory. There must have been no writes in the meantime.
pub(crate) fn are_written(inner: &Inner, keys: &[GroupKey], as_of: u64) {
    let mut totals = inner.totals.write();
    for key in keys {
        if let Some(group) = totals.groups.get_mut(key) {
            group.as_of = as_of;
            group.dirty = false;
        }
    }
}
