//! Purging removed servers once retention has taken all their points.

use crate::registry::{self, purge};
use crate::{Error, Inner, Level};
use rocksdb::WriteBatch;
use zonepulse_model::ServerId;

/// Purges removed servers once retention has taken all their points; returns how many. Totals outlive points, but not
/// a server that has been removed.
pub(super) fn forget(inner: &Inner, now_s: u64) -> Result<usize, Error> {
    let expiry = inner.expiry.read().clone();
    let removed = registry::removed(&inner.database)?;
    let over = |(server_id, removed_ms): &(ServerId, u64)| {
        let kept = [Level::Raw, Level::H1].map(|level| expiry.retention(*server_id).kept_from_s(level, now_s));
        // The last interval before the server was removed began earlier.
        kept.into_iter().all(|from_s| from_s > removed_ms / 1000)
    };
    let due: Vec<ServerId> = removed.iter().filter(|server| over(server)).map(|(server_id, _)| *server_id).collect();
    for server_id in &due {
        let mut batch = WriteBatch::default();
        batch.delete(registry::server_key(*server_id));
        purge::purge(inner, &mut inner.writer.lock(), batch, *server_id)?;
    }
    Ok(due.len())
}
