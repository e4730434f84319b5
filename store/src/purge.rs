//! Removing everything that only one server has.
//!
//! One write takes all of it: points, roll-ups, totals, reports, markers, and
//! the server itself. What other servers have stays, byte for byte. Records that
//! then nobody has are swept by upkeep.

use crate::share::Counts;
use crate::write::{self, Writer};
use crate::{Error, Inner, Level, key, registry};
use rocksdb::WriteBatch;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Purges servers that were removed and of which retention has taken all points;
/// gives how many. Totals outlive points, but not the server that nobody can name.
pub(crate) fn forgotten(inner: &Inner, now_s: u64) -> Result<usize, Error> {
    let expiry = inner.expiry.read().clone();
    let removed = registry::removed(&inner.database)?;
    let over = |(server_id, removed_ms): &(u32, u64)| {
        let kept = [Level::Raw, Level::H1].map(|level| expiry.retention(*server_id).kept_from_s(level, now_s));
        // An interval that ended with the server began earlier.
        kept.into_iter().all(|from_s| from_s > removed_ms / 1000)
    };
    let due: Vec<u32> = removed.iter().filter(|server| over(server)).map(|(server_id, _)| *server_id).collect();
    for server_id in &due {
        purge(inner, &mut inner.writer.lock(), WriteBatch::default(), *server_id)?;
    }
    Ok(due.len())
}

/// Adds to a batch the removal of all that a server has, and writes it. Who
/// calls this keeps upkeep out, and has taken care that nothing more comes.
pub(crate) fn purge(inner: &Inner, writer: &mut Writer, mut batch: WriteBatch, server_id: u32) -> Result<(), Error> {
    // The journal names blocks; without it, nobody misses them.
    write::write_totals(inner, writer)?;
    let database = &inner.database;
    for (family, waiting) in [(key::OPEN, &inner.waiting), (key::SYSTEM_OPEN, &inner.system.waiting)] {
        let hours: Vec<u32> =
            waiting.lock().within(0..u32::MAX).filter(|(_, of)| *of == server_id).map(|(hour, _)| hour).collect();
        for hour in hours {
            let range = (key::open_prefix(hour, server_id, 0), key::after_open(hour, server_id));
            batch.delete_range_cf(database.family(family), range.0, range.1);
        }
    }
    for family in [key::SEALED, key::SYSTEM] {
        remove_sealed(inner, &mut batch, family, server_id)?;
    }
    for family in [key::TOTALS, key::MARKERS, key::REPORTS] {
        let from = server_id.to_be_bytes().to_vec();
        // Past the last number there are longer keys than any of these.
        let until = server_id.checked_add(1).map_or_else(|| vec![u8::MAX; 64], |next| next.to_be_bytes().to_vec());
        batch.delete_range_cf(database.family(family), from, until);
    }
    batch.delete(key::horizon(server_id));
    batch.delete(key::dropped(server_id));
    batch.delete(registry::server_key(server_id));
    let mut expiry = inner.expiry.write();
    database.write(batch, true)?;
    inner.kept.lock().forget();
    inner.generation.fetch_add(1, Ordering::Release);
    let expiry = Arc::make_mut(&mut expiry);
    expiry.horizons.remove(&server_id);
    expiry.of_server.remove(&server_id);
    forget_totals(inner, server_id);
    inner.names.lock().forget(server_id);
    inner.system.shares.lock().forget(server_id);
    inner.waiting.lock().forget(server_id);
    inner.system.waiting.lock().forget(server_id);
    writer.forget(server_id);
    Ok(())
}

fn forget_totals(inner: &Inner, server_id: u32) {
    let mut totals = inner.totals.write();
    let of_server = totals.groups.range((server_id, 0, 0)..=(server_id, u16::MAX, u32::MAX));
    let keys: Vec<_> = of_server.map(|(key, _)| *key).collect();
    let removed = keys.iter().filter_map(|key| totals.groups.remove(key)).map(|group| group.len()).sum();
    drop(totals);
    let mut shares = inner.total_shares.lock();
    shares.release(removed, &Counts::from([(server_id, removed)]));
    shares.forget(server_id);
}

/// Values whose keys are level · hour · server · …: a range for each hour in which the server has some.
fn remove_sealed(inner: &Inner, batch: &mut WriteBatch, family: &str, server_id: u32) -> Result<(), Error> {
    let mut iterator = inner.database.iterator(family);
    for level in Level::ALL {
        let mut hour = 0;
        loop {
            iterator.seek(key::sealed(level, hour, server_id, 0));
            let Some(found) = iterator.key() else { break };
            let of = found.first().copied().and_then(Level::from_byte);
            let (Some(of), Some(at), Some(server)) = (of, key::u32_at(found, 1), key::u32_at(found, 5)) else {
                return Err(Error::damaged("sealed value", found));
            };
            if of != level {
                break;
            }
            if (at, server) == (hour, server_id) {
                let end = key::after_sealed(level, hour, server_id);
                batch.delete_range_cf(inner.database.family(family), key::sealed(level, hour, server_id, 0), end);
            }
            // The next hour in which this server may have something.
            let passed = server > server_id || (at, server) == (hour, server_id);
            hour = if passed { at.saturating_add(1) } else { at };
            if hour == u32::MAX {
                break;
            }
        }
    }
    Ok(iterator.status()?)
}
