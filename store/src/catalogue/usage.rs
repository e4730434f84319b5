//! Usage that outlives changes of zones.
//!
//! What a query used depends on the zone as it was at the time of the query. Totals only say when a record was asked for
//! first and last, so a change of a zone that affects whom queries for a record credit does two things in the write that
//! makes the change:
//!
//! * it *freezes* what the totals credited until then, per resource ([`Credit`]); and
//! * it notes from when on the totals of the record count for the zone as it is now.
//!
//! Accesses that arrive later, but happened before, are *late* ([`LateAccess`]): the write that stores their batch notes
//! them, and the central *settles* them, after looking them up in the zone as it was.

use super::keys::{self, Late};
use super::{Catalogue, ResourceMap};
use crate::database::{Database, key};
use crate::intake::Intake;
use crate::{Error, Inner, Store};
use rocksdb::WriteBatch;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_model::{RecordId, ResourceId};

const VERSION: u8 = 1;
/// Maximum number of late accesses that wait for the central.
const MAX_LATE: u64 = if cfg!(test) { 20 } else { 1 << 20 };

/// What queries credited a resource with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// Time of the first query, Unix milliseconds.
    pub first_ms: u64,
    /// Time of the last query, Unix milliseconds.
    pub last_ms: u64,
    /// In which roles, a bit for each; the central defines them.
    pub roles: u8,
}

/// A point that was stored after its record's accesses had begun to count for another version of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateAccess {
    /// What it is about.
    pub late: Late,
    /// Time of its last message, Unix milliseconds.
    pub last_ms: u64,
    /// Number of messages.
    pub hits: u64,
}

/// Changes of usage, as a part of another write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageChange {
    /// Credits to freeze; they are merged with those that the resource already has.
    pub credits: Vec<(ResourceId, Credit)>,
    /// From when accesses of a record count, Unix milliseconds. This never moves back.
    pub counts_from: Vec<(RecordId, u64)>,
}

/// Numbers of late accesses.
#[derive(Debug, Default)]
pub(crate) struct LateCounts {
    /// On disk; only the holder of `writer` changes it.
    pub(super) waiting: AtomicU64,
    dropped: AtomicU64,
}

impl Credit {
    /// Both credits in one.
    pub fn merge(self, other: Credit) -> Credit {
        Credit {
            first_ms: self.first_ms.min(other.first_ms),
            last_ms: self.last_ms.max(other.last_ms),
            roles: self.roles | other.roles,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.roles];
        put(&mut out, self.first_ms);
        put(&mut out, self.last_ms.saturating_sub(self.first_ms));
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Credit, Malformed> {
        let Some((&[VERSION, roles], rest)) = value.split_first_chunk::<2>() else { return Err(Malformed("credit version")) };
        let mut reader = Reader::new(rest);
        let first_ms = reader.number("first_ms of a credit")?;
        let last_ms = first_ms.saturating_add(reader.number("last_ms of a credit")?);
        if reader.rest().is_empty() { Ok(Credit { first_ms, last_ms, roles }) } else { Err(Malformed("credit")) }
    }
}

impl LateAccess {
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put(&mut out, self.last_ms.saturating_sub(self.late.first_ms));
        put(&mut out, self.hits);
        out
    }

    pub(crate) fn decode(late: Late, value: &[u8]) -> Result<LateAccess, Malformed> {
        let Some((&VERSION, rest)) = value.split_first() else { return Err(Malformed("late access version")) };
        let mut reader = Reader::new(rest);
        let last_ms = late.first_ms.saturating_add(reader.number("last_ms of a late access")?);
        let hits = reader.number("hits of a late access")?;
        if reader.rest().is_empty() { Ok(LateAccess { late, last_ms, hits }) } else { Err(Malformed("late access")) }
    }
}

impl UsageChange {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.credits.is_empty() && self.counts_from.is_empty()
    }

    /// Makes it visible, now that it is on disk.
    pub(super) fn publish(&self, map: &mut ResourceMap) {
        for (record_id, from_ms) in &self.counts_from {
            let before_ms = map.counts_from_ms(*record_id);
            map.set_counts_from(*record_id, before_ms.max(*from_ms));
        }
    }
}

impl Catalogue<'_> {
    /// The frozen credit of a resource.
    pub fn credit(&self, resource_id: ResourceId) -> Result<Option<Credit>, Error> {
        read_credit(&self.inner.database, resource_id)
    }

    /// Visits all frozen credits, by resource.
    pub fn credits(&self, each: &mut dyn FnMut(ResourceId, Credit)) -> Result<(), Error> {
        visit_credits(&self.inner.database, |id, credit| {
            each(id, credit);
            Ok(())
        })
    }

    /// Late accesses that wait to be settled, by record, server and time, at most `limit`.
    pub fn late(&self, limit: usize) -> Result<Vec<LateAccess>, Error> {
        let mut found = Vec::new();
        visit_late(&self.inner.database, |late| {
            found.push(late);
            Ok(found.len() < limit)
        })?;
        Ok(found)
    }

    /// Number of late accesses that wait, and of those dropped since the store was opened because too many did.
    pub fn late_counts(&self) -> (u64, u64) {
        let LateCounts { waiting, dropped } = &self.inner.late;
        (waiting.load(Ordering::Relaxed), dropped.load(Ordering::Relaxed))
    }

    /// Freezes the credits that late accesses turned out to give, and removes the late accesses, in one write. An access
    /// that grew since it was read is kept.
    pub fn settle(&self, credits: &[(ResourceId, Credit)], settled: &[LateAccess]) -> Result<(), Error> {
        let _alone = self.inner.writer.lock();
        let mut batch = WriteBatch::default();
        let usage = UsageChange { credits: credits.to_vec(), counts_from: Vec::new() };
        self.put_usage(&mut batch, &usage)?;
        let settled: BTreeMap<Late, LateAccess> = settled.iter().map(|access| (access.late, *access)).collect();
        let family = self.inner.database.family(key::USAGE);
        let mut removed = 0;
        for (late, access) in settled {
            if read_late(&self.inner.database, late)? == Some(access) {
                batch.delete_cf(family, late.key());
                removed += 1;
            }
        }
        self.inner.database.write(batch, true)?;
        self.inner.late.waiting.fetch_sub(removed, Ordering::Relaxed);
        self.inner.change_resources(|_| ());
        Ok(())
    }

    /// Adds changes of usage to a batch. The caller holds `writer`.
    pub(super) fn put_usage(&self, batch: &mut WriteBatch, usage: &UsageChange) -> Result<(), Error> {
        let family = self.inner.database.family(key::USAGE);
        let map = self.inner.resources.read().clone();
        let mut credits: BTreeMap<ResourceId, Credit> = BTreeMap::new();
        for (id, credit) in usage.credits.iter().filter(|(id, _)| map.place(*id).is_some()) {
            credits.entry(*id).and_modify(|sum| *sum = sum.merge(*credit)).or_insert(*credit);
        }
        for (id, credit) in credits {
            let before = self.credit(id)?;
            batch.put_cf(family, keys::credit(id), before.map_or(credit, |before| before.merge(credit)).encode());
        }
        for (record_id, from_ms) in &usage.counts_from {
            let from_ms = map.counts_from_ms(*record_id).max(*from_ms);
            batch.put_cf(family, keys::from(*record_id), from_ms.to_be_bytes());
        }
        Ok(())
    }

    /// Adds the removal of credits to a batch.
    pub(super) fn remove_credits(&self, batch: &mut WriteBatch, of: &dyn Fn(ResourceId) -> bool) -> Result<(), Error> {
        let family = self.inner.database.family(key::USAGE);
        visit_credits(&self.inner.database, |id, _| {
            if of(id) {
                batch.delete_cf(family, keys::credit(id));
            }
            Ok(())
        })
    }
}

/// Late accesses of a write, merged where a record and server have several that begin together.
#[derive(Debug, Default)]
pub(crate) struct PendingLate(BTreeMap<Late, (u64, u64)>);

impl PendingLate {
    /// Finds the late accesses of a batch.
    pub(crate) fn find(&mut self, inner: &Inner, intake: &Intake) {
        let map = inner.resources.read().clone();
        if map.all_count_from_ms().is_empty() {
            return;
        }
        for row in intake.rows.iter().filter(|row| row.first_ms < map.counts_from_ms(row.record_id)) {
            let (server_id, kind) = (intake.identity.server_id, row.kind.number());
            self.merge(Late { record_id: row.record_id, server_id, first_ms: row.first_ms, kind }, row.last_ms, row.hits);
        }
    }

    fn merge(&mut self, late: Late, last_ms: u64, hits: u64) {
        let sum = self.0.entry(late).or_default();
        *sum = (sum.0.max(last_ms), sum.1.saturating_add(hits));
    }

    /// Adds them to the write of their batches.
    pub(crate) fn put(&mut self, inner: &Inner, batch: &mut WriteBatch) -> Result<NewLate, Error> {
        let mut new = NewLate::default();
        let room = MAX_LATE.saturating_sub(inner.late.waiting.load(Ordering::Relaxed));
        for (late, (last_ms, hits)) in std::mem::take(&mut self.0) {
            let before = read_late(&inner.database, late)?;
            if before.is_none() {
                if new.waiting >= room {
                    new.dropped += 1;
                    continue;
                }
                new.waiting += 1;
            }
            let (last_ms, hits) = before.map_or((last_ms, hits), |before| (last_ms.max(before.last_ms), hits + before.hits));
            batch.put_cf(inner.database.family(key::USAGE), late.key(), LateAccess { late, last_ms, hits }.encode());
        }
        Ok(new)
    }
}

/// What a write adds to [`LateCounts`].
#[derive(Debug, Default)]
pub(crate) struct NewLate {
    waiting: u64,
    dropped: u64,
}

impl NewLate {
    /// Counts them, now that they are on disk.
    pub(crate) fn publish(&self, inner: &Inner) {
        if self.waiting + self.dropped == 0 {
            return;
        }
        inner.late.waiting.fetch_add(self.waiting, Ordering::Relaxed);
        if self.dropped > 0 {
            let dropped = inner.late.dropped.fetch_add(self.dropped, Ordering::Relaxed) + self.dropped;
            tracing::warn!(dropped, "too many late accesses wait to be credited: some are not");
        }
        inner.change_resources(|_| ());
    }
}

/// Adds the removal of what is noted of records that are swept.
pub(crate) fn forget_usage(inner: &Inner, batch: &mut WriteBatch, swept: &BTreeSet<RecordId>) -> Result<(), Error> {
    let map = inner.resources.read().clone();
    let family = inner.database.family(key::USAGE);
    for record_id in swept.iter().filter(|record_id| map.counts_from_ms(**record_id) != 0) {
        batch.delete_cf(family, keys::from(*record_id));
        // They wait for nothing: the record is in no zone.
        let mut gone = 0;
        let (from, until) = keys::late_of(*record_id);
        inner.database.visit(key::USAGE, &from, |key, _| {
            let ours = key < &until[..];
            if ours {
                batch.delete_cf(family, key);
                gone += 1;
            }
            Ok(ours)
        })?;
        inner.late.waiting.fetch_sub(gone, Ordering::Relaxed);
    }
    Ok(())
}

/// Forgets, in memory, what is noted of records that were swept.
pub(crate) fn usage_forgotten(inner: &Inner, swept: &BTreeSet<RecordId>) {
    let map = inner.resources.read().clone();
    if swept.iter().any(|record_id| map.counts_from_ms(*record_id) != 0) {
        drop(map);
        inner.change_resources(|map| swept.iter().for_each(|record_id| map.set_counts_from(*record_id, 0)));
    }
}

/// Adds the removal of a server's late accesses to a batch; returns how many.
pub(crate) fn purge_late(
    database: &Database,
    batch: &mut WriteBatch,
    server_id: zonepulse_model::ServerId,
) -> Result<u64, Error> {
    let mut gone = 0;
    visit_late(database, |access| {
        if access.late.server_id == server_id {
            batch.delete_cf(database.family(key::USAGE), access.late.key());
            gone += 1;
        }
        Ok(true)
    })?;
    Ok(gone)
}

/// Subtracts late accesses that were removed.
pub(crate) fn late_purged(inner: &Inner, gone: u64) {
    inner.late.waiting.fetch_sub(gone, Ordering::Relaxed);
}

/// Reads from when accesses of records count, and how many late ones wait.
pub(super) fn load(database: &Database, map: &mut ResourceMap) -> Result<LateCounts, Error> {
    database.visit(key::USAGE, &[keys::FROM], |key, value| {
        let Some(record) = keys::parse_tagged(key, keys::FROM) else { return Ok(false) };
        let from_ms = key::u64_at(value, 0).filter(|_| value.len() == 8).ok_or_else(|| Error::damaged("start of usage", key))?;
        map.set_counts_from(RecordId::new(record), from_ms);
        Ok(true)
    })?;
    let mut waiting = 0;
    visit_late(database, |_| {
        waiting += 1;
        Ok(true)
    })?;
    Ok(LateCounts { waiting: AtomicU64::new(waiting), dropped: AtomicU64::new(0) })
}

fn visit_credits(database: &Database, mut each: impl FnMut(ResourceId, Credit) -> Result<(), Error>) -> Result<(), Error> {
    database.visit(key::USAGE, &[keys::CREDIT], |key, value| {
        let Some(id) = keys::parse_tagged(key, keys::CREDIT) else { return Ok(false) };
        let credit = Credit::decode(value).map_err(|Malformed(what)| Error::damaged(what, key))?;
        each(ResourceId::new(id), credit)?;
        Ok(true)
    })
}

fn visit_late(database: &Database, mut each: impl FnMut(LateAccess) -> Result<bool, Error>) -> Result<(), Error> {
    database.visit(key::USAGE, &[keys::LATE], |key, value| {
        let Some(late) = Late::parse(key) else { return Ok(false) };
        each(LateAccess::decode(late, value).map_err(|Malformed(what)| Error::damaged(what, key))?)
    })
}

fn read_credit(database: &Database, resource_id: ResourceId) -> Result<Option<Credit>, Error> {
    let key = keys::credit(resource_id);
    let value = database.get(key::USAGE, &key)?;
    value.map(|value| Credit::decode(&value).map_err(|Malformed(what)| Error::damaged(what, &key))).transpose()
}

fn read_late(database: &Database, late: Late) -> Result<Option<LateAccess>, Error> {
    let key = late.key();
    let value = database.get(key::USAGE, &key)?;
    value.map(|value| LateAccess::decode(late, &value).map_err(|Malformed(what)| Error::damaged(what, &key))).transpose()
}

impl Store {
    /// The resources by record and by id, at this moment.
    pub fn resources(&self) -> std::sync::Arc<ResourceMap> {
        self.inner.resources.read().clone()
    }
}
