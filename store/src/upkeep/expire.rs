//! Reclaiming the space of expired data.
//!
//! Nothing here changes the result of a query: expired data is not returned anyway. A server's horizon moves forward
//! by whole hours; the ranges behind it are removed in the same write. Where all servers are past an hour, a single
//! range covers it, and whole files are deleted from disk; what then remains in files that also contain later hours
//! is rewritten once that is worthwhile.

use crate::database::key;
use crate::engine::{self, Engine};
use crate::retention::Horizon;
use crate::{Error, Inner, Level};
use rocksdb::WriteBatch;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use zonepulse_model::ServerId;

/// Files are rewritten once this much of them has expired, bytes.
const WORTH_REWRITING_BYTES: u64 = if cfg!(test) { 1 << 10 } else { 16 << 20 };

/// Moves the horizons of all servers as far as they may go; returns how many moved.
pub(crate) fn expire(inner: &Inner, now_s: u64) -> Result<usize, Error> {
    let before = inner.expiry.read().clone();
    let registered = crate::registry::server_ids(&inner.database)?;
    let known = before.horizons.keys().chain(&registered);
    let known: BTreeMap<ServerId, Horizon> = known.map(|server_id| (*server_id, before.due(*server_id, now_s))).collect();
    let moved: BTreeMap<ServerId, Horizon> =
        known.iter().filter(|(server_id, due)| before.horizon(**server_id) != **due).map(|(id, due)| (*id, *due)).collect();
    if moved.is_empty() {
        return Ok(0);
    }
    let mut batch = WriteBatch::default();
    let mut everywhere = Vec::new();
    for level in Level::ALL {
        // No server has points of this level before this hour.
        let all = known.values().map(|due| due.hour(level)).min().unwrap_or(0);
        let [begin, end] = [0, all].map(|hour| key::sealed(level, hour, ServerId::MIN, 0));
        let range = begin..end;
        for engine in engine::ALL {
            if known.keys().any(|server_id| before.horizon(*server_id).hour(level) < all) {
                batch.delete_range_cf(inner.database.family(engine.sealed), range.start, range.end);
                everywhere.push((engine.sealed, range.clone()));
            }
            let before = |server_id| before.horizon(server_id).hour(level);
            remove_of_servers(inner, &mut batch, engine, level, all, &moved, before)?;
        }
    }
    for (server_id, due) in &moved {
        batch.put(key::horizon(*server_id), due.encode());
        let reports = |hour: u32| key::report_prefix(*server_id, u64::from(hour) * 3600);
        if before.horizon(*server_id).aggregate_hour < due.aggregate_hour {
            batch.delete_range_cf(inner.database.family(key::REPORTS), reports(0), reports(due.aggregate_hour));
        }
    }
    {
        let _alone = inner.writer.lock();
        let mut expiry = inner.expiry.write();
        // Must be on disk before files are deleted: otherwise they would be missing after a crash.
        inner.database.write(batch, true)?;
        Arc::make_mut(&mut expiry).horizons.extend(moved.iter().map(|(server_id, due)| (*server_id, *due)));
    }
    for (family, range) in everywhere {
        give_back(inner, family, range)?;
    }
    Ok(moved.len())
}

/// Removes hours from `all` on for servers that keep points for a shorter time than others.
fn remove_of_servers(
    inner: &Inner,
    batch: &mut WriteBatch,
    engine: &Engine,
    level: Level,
    all: u32,
    moved: &BTreeMap<ServerId, Horizon>,
    before: impl Fn(ServerId) -> u32,
) -> Result<(), Error> {
    let last = moved.values().map(|due| due.hour(level)).max().unwrap_or(0);
    let mut iterator = inner.database.iterator(engine.sealed);
    iterator.seek(key::sealed(level, all, ServerId::MIN, 0));
    while let Some(found) = iterator.key() {
        let (of_level, hour, server_id, _) = key::parse_sealed(found).ok_or_else(|| Error::damaged(engine.value, found))?;
        if of_level != level || hour >= last {
            break;
        }
        let end = key::after_sealed(level, hour, server_id);
        if moved.get(&server_id).is_some_and(|due| (before(server_id)..due.hour(level)).contains(&hour)) {
            batch.delete_range_cf(inner.database.family(engine.sealed), key::sealed(level, hour, server_id, 0), end);
        }
        iterator.seek(end);
    }
    Ok(iterator.status()?)
}

/// Deletes the files within a range from disk, and rewrites what remains where that is worthwhile.
fn give_back<const N: usize>(inner: &Inner, family: &str, range: Range<[u8; N]>) -> Result<(), Error> {
    inner.database.delete_files(family, &range.start, &range.end)?;
    if inner.database.approximate_bytes(family, &range.start, &range.end) >= WORTH_REWRITING_BYTES {
        inner.database.compact(family, &range.start, &range.end);
    }
    Ok(())
}
