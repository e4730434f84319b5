//! What a restored store does not know: time after the backup was made, as far as no batch covers it.
//!
//! Batches that come again cover their time, as late batches do, and what is left is a gap whose reason is known.

use super::adding::{Known, News};
use super::lane::{Lane, Of, key_of, run_of};
use crate::Error;
use crate::database::{Database, key};
use rocksdb::WriteBatch;
use std::ops::Range;
use zonepulse_model::ServerId;

/// Batches of at most this long before the backup may not have arrived when it was made, milliseconds.
const UNDER_WAY_MS: u64 = 3_600_000;

/// Adds the range, Unix milliseconds, from the backup to the restoration to the ledgers of servers.
pub(crate) fn put(
    database: &Database,
    batch: &mut WriteBatch,
    servers: impl IntoIterator<Item = ServerId>,
    range_ms: Range<u64>,
) -> Result<(), Error> {
    let mut news = News::default();
    for server_id in servers {
        let earliest_ms = range_ms.start.saturating_sub(UNDER_WAY_MS);
        let covered_ms = last_covered_ms(database, server_id)?.unwrap_or(range_ms.start);
        news.restored(server_id, covered_ms.clamp(earliest_ms, range_ms.start), range_ms.end);
    }
    news.put(database, batch, &Known::default()).map(|_| ())
}

/// The end of the time that batches of a server cover, Unix milliseconds.
fn last_covered_ms(database: &Database, server_id: ServerId) -> Result<Option<u64>, Error> {
    let prefix = Lane::new(server_id, Of::Covered).prefix();
    let mut iterator = database.leaping_iterator(key::LEDGER);
    iterator.seek_for_prev(key_of(&prefix, u64::MAX));
    let last = match iterator.item() {
        Some((found, value)) => run_of(&prefix, found, value)?,
        None => None,
    };
    iterator.status()?;
    Ok(last.map(|run| run.until_ms))
}
