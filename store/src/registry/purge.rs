//! Removing all data that belongs to a single server.
//!
//! Everything is removed in one write: points, roll-ups, totals, reports, markers, ledger, and the server itself. Other
//! servers' data stays unchanged, byte for byte. Upkeep sweeps the records that no server has any more.

use crate::database::key;
use crate::engine;
use crate::share::Counts;
use crate::waiting::Pair;
use crate::write::checkpoint::write_totals;
use crate::write::writer::Writer;
use crate::{Error, Inner, Level, catalogue};
use rocksdb::WriteBatch;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use zonepulse_model::ServerId;

/// Adds the removal of all of a server's data to a batch that removes the server itself, and writes the batch. The
/// caller must keep upkeep out and ensure that no more data arrives.
pub(crate) fn purge(inner: &Inner, writer: &mut Writer, mut batch: WriteBatch, server_id: ServerId) -> Result<(), Error> {
    // The journal lists blocks; without the journal, removed blocks are not missed.
    write_totals(inner, writer)?;
    let database = &inner.database;
    for engine in engine::ALL {
        let (open, sealed) = (database.family(engine.open), database.family(engine.sealed));
        let waiting: Vec<Pair> = engine.waiting(inner).lock().within(0..u32::MAX).collect();
        for (hour, _) in waiting.into_iter().filter(|(_, of)| *of == server_id) {
            batch.delete_range_cf(open, key::open_prefix(hour, server_id, 0), key::after_open(hour, server_id));
        }
        for level in Level::ALL {
            for hour in engine::sealed::hours(database, engine, level, server_id)? {
                let end = key::after_sealed(level, hour, server_id);
                batch.delete_range_cf(sealed, key::sealed(level, hour, server_id, 0), end);
            }
        }
    }
    for family in [key::TOTALS, key::MARKERS, key::REPORTS, key::LEDGER] {
        let from = server_id.to_be_bytes().to_vec();
        // All keys under the largest number are shorter than this.
        let until = server_id.next().map_or_else(|| vec![u8::MAX; 64], |next| next.to_be_bytes().to_vec());
        batch.delete_range_cf(database.family(family), from, until);
    }
    let late = catalogue::purge_late(database, &mut batch, server_id)?;
    batch.delete(key::horizon(server_id));
    batch.delete(key::dropped(server_id));
    let mut expiry = inner.expiry.write();
    database.write(batch, true)?;
    catalogue::late_purged(inner, late);
    inner.kept.lock().forget();
    inner.ledger.lock().changed([server_id]);
    inner.generation.fetch_add(1, Ordering::Release);
    let expiry = Arc::make_mut(&mut expiry);
    expiry.horizons.remove(&server_id);
    expiry.of_server.remove(&server_id);
    forget_totals(inner, server_id);
    inner.names.lock().forget(server_id);
    inner.system.shares.lock().forget(server_id);
    for engine in engine::ALL {
        engine.waiting(inner).lock().forget(server_id);
    }
    writer.forget(server_id);
    Ok(())
}

fn forget_totals(inner: &Inner, server_id: ServerId) {
    let mut totals = inner.totals.write();
    let of_server = totals.groups.range((server_id, 0, 0)..=(server_id, u16::MAX, u32::MAX));
    let keys: Vec<_> = of_server.map(|(key, _)| *key).collect();
    let removed = keys.iter().filter_map(|key| totals.groups.remove(key)).map(|group| group.len()).sum();
    drop(totals);
    let mut shares = inner.total_shares.lock();
    shares.release(removed, &Counts::from([(server_id, removed)]));
    shares.forget(server_id);
}
