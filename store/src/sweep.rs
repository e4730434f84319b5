//! Giving back the names of records that have vanished.
//!
//! Totals are for ever, and so are the names of records that exist: "last asked
//! for in March" is what people keep the totals for. But a flood of random names
//! would fill the dictionary for ever, too. So a record is swept when
//!
//! * it was answered, and never with anything but NXDOMAIN, by any server: it is
//!   no record of a zone;
//! * on every server that knows it, all its points lie behind the horizons:
//!   nothing that is kept by time names it.
//!
//! So is a name of which nothing at all is left, because every server that had
//! it was purged.
//!
//! Its totals are added to those of [`OTHER`](crate::OTHER), per server and
//! kind, in the write that removes its name, so that sums stay what they were.
//! Should the name be asked for again, it is a new record.
//!
//! Numbers of swept records are not given to others while the process runs,
//! because a question that is under way may still hold them.

use crate::{Error, Inner, OTHER, key};
use rocksdb::WriteBatch;
use std::collections::BTreeSet;
use zonepulse_dns::{MessageKind, ResponseCode};

/// A step sweeps no more records than this.
const STEP_RECORDS: usize = if cfg!(test) { 3 } else { 20_000 };

/// Sweeps records that have vanished; gives how many.
pub(crate) fn sweep(inner: &Inner) -> Result<usize, Error> {
    let alone = inner.writer.lock();
    let swept = vanished(inner);
    if swept.is_empty() {
        return Ok(0);
    }
    let as_of = alone.last_commit();
    let mut batch = WriteBatch::default();
    let names = inner.database.family(key::NAMES);
    swept.iter().for_each(|record_id| batch.delete_cf(names, record_id.to_be_bytes()));
    let folded = inner.totals.read().without(&swept);
    let totals = inner.database.family(key::TOTALS);
    for ((server, kind, number), group) in &folded {
        let place = key::total(*server, *kind, *number);
        if group.is_empty() {
            batch.delete_cf(totals, place);
        } else {
            batch.put_cf(totals, place, group.encode(as_of));
        }
    }
    // Like sealing, it need not be synced: what comes later is later in the log.
    inner.database.write(batch, false)?;
    inner.totals.write().replace(folded, as_of);
    inner.dictionary.write().forget(&swept);
    Ok(swept.len())
}

/// What is known of a record.
#[derive(Clone, Copy, Default)]
struct Known {
    counted: bool,
    does_not_exist: bool,
    stays: bool,
}

fn vanished(inner: &Inner) -> BTreeSet<u32> {
    let expiry = inner.expiry.read().clone();
    let waiting = inner.waiting.lock().first_hours();
    let dictionary = inner.dictionary.read();
    let mut known = vec![Known::default(); dictionary.len()];
    inner.totals.read().visit(None, &mut |total| {
        let Some(known) = known.get_mut(total.record_id as usize) else { return };
        let horizon = expiry.horizon(total.server_id);
        let first_kept = horizon.raw_hour.min(horizon.aggregate_hour);
        // What is open of an hour may name records that were last asked for in it, or later.
        let first_kept = waiting.get(&total.server_id).map_or(first_kept, |hour| first_kept.min(*hour));
        known.counted = true;
        known.stays |= key::hour(total.last_ms / 1000) >= first_kept;
        known.does_not_exist |= total.kind == MessageKind::response(ResponseCode::NXDOMAIN);
        known.stays |= ![MessageKind::REQUEST, MessageKind::response(ResponseCode::NXDOMAIN)].contains(&total.kind);
    });
    let is_gone = |known: &Known| !known.counted || (known.does_not_exist && !known.stays);
    let gone = (0u32..).zip(&known).filter(|(_, known)| is_gone(known)).map(|(record_id, _)| record_id);
    // What a probe could not tell apart is not a name that does not exist.
    gone.filter(|record_id| dictionary.name(*record_id).is_some_and(|name| !name.starts_with(OTHER))).take(STEP_RECORDS).collect()
}
