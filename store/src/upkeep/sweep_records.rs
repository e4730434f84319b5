//! Reclaiming the names of records that have vanished.
//!
//! Totals are kept forever, and so are the names of records that exist: "last requested in March" is what totals are
//! for. But a flood of random names would fill the dictionary forever, too. So a record is swept if
//!
//! * it was answered, and only ever with NXDOMAIN, by any server: it is not a record of a zone; and
//! * on every server that knows it, all its points are behind the horizons: no time-limited data refers to it.
//!
//! Names of the catalogue are never swept, whatever servers answer, nor are those that use a record of it: a CNAME or
//! DNAME may lead to a name that does not exist.
//!
//! A name is also swept if nothing of it is left because every server that had it was purged.
//!
//! Its totals are added to those of [`OTHER`](crate::OTHER), per server and kind, in the same write that removes its
//! name, so sums do not change. If the name is requested again, it becomes a new record.
//!
//! The numbers of swept records are not reused while the process runs, because a query in progress may still hold
//! them.
//!
//! A pass through all records consists of many small steps, each covering a few groups of records: writers never wait
//! for more than one of them, however many records have vanished. The duration of a step depends on how much it
//! scans, not on the size of the store.

use crate::database::key::{self, GROUP};
use crate::share::Counts;
use crate::totals::{Group, GroupKey, Totals, visit_group};
use crate::{Error, Inner, catalogue, is_folded};
use rocksdb::WriteBatch;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use zonepulse_dns::{MessageKind, ResponseCode};
use zonepulse_model::{RecordId, ServerId};

/// Maximum number of records swept per step.
const STEP_RECORDS: usize = if cfg!(test) { 3 } else { 4096 };
/// Maximum number of groups of totals per look; a look always covers at least one group of records.
const LOOK_GROUPS: usize = 4096;
/// Maximum number of groups of records per look.
const LOOK_NUMBERS: u32 = 64;
/// Maximum number of looks per step before it gives up finding anything.
const LOOKS: usize = 8;

/// A pass through all records, in progress.
#[derive(Default)]
pub(crate) struct Pass {
    /// The number of the next group of records.
    next: u32,
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Swept {
    /// Swept this many records; the pass continues.
    Some(usize),
    /// The pass is complete.
    Over,
}

impl Pass {
    /// Sweeps the next records that have vanished.
    pub(crate) fn step(&mut self, inner: &Inner) -> Result<Swept, Error> {
        for _ in 0..LOOKS {
            let (range, gone) = look(inner, self.next, LOOK_NUMBERS);
            if range.is_empty() {
                return Ok(Swept::Over);
            }
            if gone.is_empty() {
                self.next = range.end;
                continue;
            }
            let (all, swept) = sweep(inner, &range)?;
            if all {
                self.next = range.end;
            }
            return Ok(Swept::Some(swept));
        }
        Ok(Swept::Some(0))
    }
}

/// Sweeps records that have vanished from some groups; returns whether those were all of them, and how many.
fn sweep(inner: &Inner, range: &Range<u32>) -> Result<(bool, usize), Error> {
    // Readers that add up totals part by part must not miss hits that move from one part to another.
    let _no_sums = inner.sweeping.write();
    let alone = inner.writer.lock();
    // Checked again, because they may have received points in the meantime.
    let (_, mut swept) = look(inner, range.start, range.end - range.start);
    let all = swept.len() <= STEP_RECORDS;
    if !all {
        swept = swept.into_iter().take(STEP_RECORDS).collect();
    }
    if swept.is_empty() {
        return Ok((all, 0));
    }
    let as_of = alone.last_commit();
    let mut batch = WriteBatch::default();
    let names = inner.database.family(key::NAMES);
    swept.iter().for_each(|record_id| batch.delete_cf(names, record_id.to_be_bytes()));
    catalogue::forget_usage(inner, &mut batch, &swept)?;
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
    // As with sealing, no sync is needed: later writes are later in the log.
    inner.database.write(batch, false)?;
    catalogue::usage_forgotten(inner, &swept);
    let removed = replace(inner, folded, as_of);
    inner.total_shares.lock().release(removed.values().sum(), &removed);
    let (records, owned) = inner.dictionary.write().forget(&swept);
    inner.names.lock().release(records, &owned);
    Ok((all, swept.len()))
}

/// Applies the remaining totals; returns by how many each server's number of totals decreased.
fn replace(inner: &Inner, folded: BTreeMap<GroupKey, Group>, as_of: u64) -> Counts {
    let mut totals = inner.totals.write();
    let (mut before, mut after) = (Counts::new(), Counts::new());
    for (key, group) in &folded {
        *before.entry(key.0).or_default() += totals.groups.get(key).map_or(0, Group::len);
        *after.entry(key.0).or_default() += group.len();
    }
    totals.replace(folded, as_of);
    let left = |server_id: &ServerId| after.get(server_id).copied().unwrap_or(0);
    before.into_iter().map(|(server_id, count)| (server_id, count.saturating_sub(left(&server_id)))).collect()
}

/// What is known about a record.
#[derive(Clone, Copy, Default)]
struct Known {
    counted: bool,
    does_not_exist: bool,
    stays: bool,
}

/// Scans some groups of records, from `first` on; returns their range, empty past the last one, and the records in
/// them that have vanished.
fn look(inner: &Inner, first: u32, at_most: u32) -> (Range<u32>, BTreeSet<RecordId>) {
    let expiry = inner.expiry.read().clone();
    let waiting = inner.waiting.lock().first_hours();
    let dictionary = inner.dictionary.read();
    let totals = inner.totals.read();
    let range = first..first.saturating_add(affordable(&totals, at_most)).min((dictionary.len() as u32).div_ceil(GROUP));
    if range.is_empty() {
        return (range, BTreeSet::new());
    }
    let first_record = range.start * GROUP;
    let mut known = vec![Known::default(); range.len() * GROUP as usize];
    for (key, group) in totals.of_numbers(range.clone()) {
        let horizon = expiry.horizon(key.0);
        let first_kept = horizon.raw_hour.min(horizon.aggregate_hour);
        // Open blocks of an hour may refer to records that were last requested in that hour or later.
        let first_kept = waiting.get(&key.0).map_or(first_kept, |hour| first_kept.min(*hour));
        visit_group(*key, group, &mut |total| {
            let Some(known) = known.get_mut((total.record_id.get() - first_record) as usize) else { return };
            known.counted = true;
            known.stays |= key::hour(total.last_ms / 1000) >= first_kept;
            known.does_not_exist |= total.kind == MessageKind::response(ResponseCode::NXDOMAIN);
            known.stays |= ![MessageKind::REQUEST, MessageKind::response(ResponseCode::NXDOMAIN)].contains(&total.kind);
        });
    }
    let is_gone = |known: &Known| !known.counted || (known.does_not_exist && !known.stays);
    let gone = (first_record..).zip(&known).filter(|(_, known)| is_gone(known)).map(|(number, _)| RecordId::new(number));
    // Names that a probe could not tell apart do not count as nonexistent.
    let named = gone
        .filter(|record_id| dictionary.name(*record_id).is_some_and(|name| !is_folded(name)))
        .filter(|record_id| !dictionary.is_protected(*record_id));
    let is_in_use = |record_id: &RecordId| {
        let question = dictionary.get(*record_id);
        inner.in_use.get().zip(question).is_some_and(|(in_use, (name, rtype))| in_use(name, rtype))
    };
    let named = named.filter(|record_id| !is_in_use(record_id));
    (range, named.collect())
}

/// How many groups of records a look can afford: each may have totals for every server and kind.
fn affordable(totals: &Totals, at_most: u32) -> u32 {
    let pairs = totals.pairs().take(LOOK_GROUPS).count().max(1);
    u32::try_from(LOOK_GROUPS / pairs).unwrap_or(1).clamp(1, at_most.max(1))
}
