//! One atomic write of any number of batches.

mod charge;
pub(crate) mod checkpoint;
pub(crate) mod epochs;
mod known;
pub(crate) mod marker;
pub(crate) mod metrics;
pub(crate) mod overlap;
pub(crate) mod writer;

use crate::catalogue::PendingLate;
use crate::database::key;
use crate::dictionary::Pending;
use crate::dns::block::{self, Sections};
use crate::intake::{Intake, IntakeRow, Outcome};
use crate::ledger::adding::News;
use crate::ledger::reasons::Unobserved;
use crate::lock::MutexGuard;
use crate::reports::report::Report;
use crate::share::Counts;
use crate::system::series;
use crate::totals::{self, Group, GroupKey};
use crate::waiting::Pair;
use crate::{Error, Inner};
use checkpoint::{by_number, write_totals};
use marker::{Marker, Number};
use overlap::Covered;
use rocksdb::WriteBatch;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use writer::Writer;
use zonepulse_dns::RecordType;
use zonepulse_model::{Identity, RecordId, ResourceId, ServerId};

/// Number of commits between checkpoints of the totals: the maximum number of blocks to replay when the store is
/// opened.
const CHECKPOINT_AFTER: u64 = if cfg!(test) { 8 } else { 4096 };
/// Number of epochs whose markers are kept in memory.
const MARKERS_KEPT: usize = 4096;

/// Collects batches into one atomic, fsynced write. If it is dropped without [`commit`](Write::commit), it leaves no
/// trace.
pub struct Write<'a> {
    pub(crate) inner: &'a Inner,
    /// When the write began; used to rate-limit new names.
    pub(crate) now: Instant,
    pub(crate) writer: MutexGuard<'a, Writer>,
    pub(crate) batch: WriteBatch,
    pub(crate) names: Pending,
    pub(crate) series: series::Pending,
    /// The blocks, in their compact encoding on disk; their totals are updated once the write is on disk.
    blocks: Vec<NewBlock>,
    /// Rows by block (index in `blocks`) and group of totals, for the groups whose values on disk this write must
    /// update: those with first accesses, which a block does not contain.
    news: BTreeMap<(usize, GroupKey), Vec<IntakeRow>>,
    pub(crate) markers: BTreeMap<(ServerId, u64), Marker>,
    /// The epochs among them that begin with this write.
    pub(crate) begun: BTreeSet<(ServerId, u64)>,
    /// The coverage of its DNS batches.
    pub(crate) covered: Vec<Covered>,
    /// The servers of its reports, and the starts of their intervals.
    reported: Vec<(ServerId, u64)>,
    /// What its batches add to the ledger.
    pub(crate) ledger: News,
    journal: Vec<u8>,
    /// Hours and servers of the blocks.
    hours: Vec<Pair>,
    /// Hours and servers of the blocks of metrics.
    pub(crate) system_hours: Vec<Pair>,
    /// Number of new totals of each server; two batches of one server may count the same ones.
    pub(crate) totals_added: Counts,
    /// Points counted as `<other>` for lack of room for their totals.
    pub(crate) totals_folded: Counts,
    pub(crate) folded_counter: Option<u16>,
    late: PendingLate,
    pub(crate) committed: u64,
    pub(crate) duplicates: u64,
}

/// A block that is part of a write.
struct NewBlock {
    server_id: ServerId,
    start_s: u64,
    value: Vec<u8>,
}

impl<'a> Write<'a> {
    pub(crate) fn begin(inner: &'a Inner, now: impl FnOnce() -> Instant) -> Self {
        let writer = inner.writer.lock();
        inner.count_servers();
        Write {
            inner,
            now: now(),
            writer,
            batch: WriteBatch::default(),
            names: Pending::default(),
            series: series::Pending::default(),
            blocks: Vec::new(),
            news: BTreeMap::new(),
            markers: BTreeMap::new(),
            begun: BTreeSet::new(),
            covered: Vec::new(),
            reported: Vec::new(),
            ledger: News::default(),
            journal: Vec::new(),
            hours: Vec::new(),
            system_hours: Vec::new(),
            totals_added: Counts::new(),
            totals_folded: Counts::new(),
            folded_counter: None,
            late: PendingLate::default(),
            committed: 0,
            duplicates: 0,
        }
    }

    /// Whether a batch is stored or part of this write.
    pub fn is_committed(&mut self, identity: &Identity) -> Result<bool, Error> {
        Ok(self.marker(identity)?.is_some_and(|marker| marker.look_up_number(identity.seq) == Number::Taken))
    }

    /// The numbers of a server's records, by canonical name and type; unknown records are added with this write.
    /// [`RecordId::OTHER`] where the server may not add a record.
    pub fn record_ids<'n>(&mut self, server_id: ServerId, records: impl Iterator<Item = (&'n str, RecordType)>) -> Vec<RecordId> {
        let dictionary = self.inner.dictionary.read();
        let records: Vec<_> = records.collect();
        self.names.resolve(&dictionary, &self.inner.names, server_id, &records, self.now)
    }

    /// The numbers of those of these records that belong to zones of the catalogue that this server serves; `None` for
    /// the others. Adds no record.
    pub fn resource_record_ids<'n>(
        &self,
        server_id: ServerId,
        records: impl Iterator<Item = (&'n str, RecordType)>,
    ) -> Vec<Option<RecordId>> {
        let resources = self.inner.resources.read().clone();
        let of_server = resources.of_server(server_id);
        let dictionary = self.inner.dictionary.read();
        let known = records.map(|(name, record_type)| dictionary.find(name, record_type));
        known.map(|known| known.filter(|record_id| of_server.get(*record_id) != ResourceId::NONE)).collect()
    }

    /// Adds a batch, unless it is already stored.
    pub fn add(&mut self, mut intake: Intake) -> Result<Outcome, Error> {
        if let Some(field) = intake.broken_promise() {
            return Err(Error::BadIntake(field));
        }
        if self.writer.forbidden.contains(&intake.identity.server_id) {
            return Err(Error::Missing("server", intake.identity.server_id.to_string()));
        }
        if !self.mark(&intake.identity, intake.start_s)? {
            self.duplicates += 1;
            return Ok(Outcome::Duplicate);
        }
        intake.arrange();
        let news = self.take_news(&mut intake);
        self.late.find(self.inner, &intake);
        if intake.rows.iter().any(|row| row.record_id == RecordId::OTHER) {
            intake.loss.why.insert(Unobserved::Folded);
        }
        let database = &self.inner.database;
        let Identity { server_id, epoch, .. } = intake.identity;
        let (from_ms, until_ms) = (intake.covered_from_ms, intake.covered_until_ms);
        self.covered.push(Covered { server_id, epoch, from_ms, until_ms });
        self.reported.push((server_id, intake.start_s));
        self.ledger.covered(server_id, from_ms, until_ms, &intake.loss);
        intake.evicted.iter().for_each(|evicted| self.ledger.evicted(server_id, evicted));
        let report = key::report(&intake.identity, intake.start_s);
        self.batch.put_cf(database.family(key::REPORTS), report, Report::encode(&intake));
        if !intake.rows.is_empty() {
            self.news.extend(news.into_iter().map(|(key, rows)| ((self.blocks.len(), key), rows)));
            let key = key::open(&intake.identity, intake.start_s);
            let value = block::encode(&intake);
            self.batch.put_cf(database.family(key::OPEN), key, &value);
            self.blocks.push(NewBlock { server_id, start_s: intake.start_s, value });
            self.journal.extend_from_slice(&key);
            self.hours.push((key::hour(intake.start_s), server_id));
        }
        self.committed += 1;
        Ok(Outcome::Committed)
    }

    /// From here on, hits that the write counts as [`OTHER`](crate::OTHER) because their server has no room for more
    /// totals are added to this counter of their report.
    pub fn count_folded_as(&mut self, counter: u16) {
        self.folded_counter = Some(counter);
    }

    /// Makes everything that was added durable, and only then visible. On an error nothing was written.
    pub fn commit(mut self) -> Result<(), Error> {
        if self.committed == 0 {
            self.writer.duplicates += self.duplicates;
            return Ok(());
        }
        let database = &self.inner.database;
        database.has_room(self.now)?;
        let commit = self.writer.last_commit + 1;
        let known = self.inner.dictionary.read().len();
        self.names.put(database, &mut self.batch, known);
        self.series.put(database, &mut self.batch, self.inner.system.series.read().end());
        let late = self.late.put(self.inner, &mut self.batch)?;
        let epochs = self.writer.epochs.put(database, &mut self.batch, &self.markers, &self.begun)?;
        let observed = self.ledger.servers();
        let ledger = std::mem::take(&mut self.ledger).put(database, &mut self.batch, &self.writer.ledger)?;
        let mut written = self.new_groups();
        for (key, group) in &mut written {
            totals::disk::put_group(database, &mut self.batch, *key, group, commit);
        }
        self.batch.put_cf(database.family(key::JOURNAL), commit.to_be_bytes(), &self.journal);
        {
            let mut waiting = self.inner.waiting.lock();
            self.hours.drain(..).for_each(|pair| waiting.arrives(pair));
            let mut waiting = self.inner.system.waiting.lock();
            self.system_hours.drain(..).for_each(|pair| waiting.arrives(pair));
        }
        database.write(std::mem::take(&mut self.batch), true)?;
        self.inner.kept.lock().reported(&self.reported);
        self.inner.ledger.lock().changed(observed);
        self.writer.ledger.adopt(ledger);
        self.publish(commit, written);
        late.publish(self.inner);
        for forgotten in self.writer.epochs.adopt(epochs) {
            self.writer.markers.remove(&forgotten);
        }
        if commit - self.writer.last_checkpoint >= CHECKPOINT_AFTER
            && let Err(error) = write_totals(self.inner, &mut self.writer)
        {
            // The batches are stored regardless: the journal still lists them.
            tracing::warn!(%error, "could not write the totals down");
        }
        Ok(())
    }

    /// The groups to be written with this write, in their new state. Other groups are not changed until the write is
    /// on disk.
    fn new_groups(&self) -> BTreeMap<GroupKey, Group> {
        let totals = self.inner.totals.read();
        let now = |(_, key): &(usize, GroupKey)| (*key, totals.groups.get(key).cloned().unwrap_or_default());
        let mut written: BTreeMap<GroupKey, Group> = self.news.keys().map(now).collect();
        drop(totals);
        if !written.is_empty() {
            for ((_, key), rows) in &self.news {
                written.entry(*key).or_default().add(rows);
            }
            self.replay(|block, key, rows| {
                if !self.news.contains_key(&(block, key))
                    && let Some(group) = written.get_mut(&key)
                {
                    group.replay(rows);
                }
            });
        }
        written
    }

    /// Visits the rows of the blocks by group of totals, with the index of the block.
    fn replay(&self, mut each: impl FnMut(usize, GroupKey, &[block::Row])) {
        let mut rows = Vec::new();
        for (at, NewBlock { server_id, start_s, value }) in self.blocks.iter().enumerate() {
            // Produced by `encode`, so it is always valid.
            let Ok(mut sections) = Sections::new(value, *start_s) else { continue };
            while let Ok(Some(section)) = sections.next() {
                rows.clear();
                if section.rows(&mut rows).is_ok() {
                    let number = section.kind.number();
                    by_number(&rows).for_each(|(group, rows)| each(at, (*server_id, number, group), rows));
                }
            }
        }
    }

    fn publish(&mut self, commit: u64, written: BTreeMap<GroupKey, Group>) {
        self.inner.dictionary.write().adopt(&self.names);
        self.inner.system.series.write().adopt(&mut self.series);
        self.charge(&written);
        let mut totals = self.inner.totals.write();
        self.replay(|_, key, rows| {
            if !written.contains_key(&key)
                && let Some(group) = totals.groups.get_mut(&key)
            {
                group.replay(rows);
            }
        });
        totals.groups.extend(written);
        drop(totals);
        // Not `append`, which rebuilds the whole map.
        self.writer.markers.extend(std::mem::take(&mut self.markers));
        while self.writer.markers.len() > MARKERS_KEPT {
            self.writer.markers.pop_first();
        }
        self.writer.reaches.note(&self.covered);
        self.writer.last_commit = commit;
        self.writer.committed += self.committed;
        self.writer.duplicates += self.duplicates;
    }
}

/// Splits arranged rows by the group of totals they belong to.
pub(crate) fn by_group(server_id: ServerId, rows: &[IntakeRow]) -> impl Iterator<Item = (GroupKey, &[IntakeRow])> {
    let of = |row: &IntakeRow| (row.kind.number(), key::group_of(row.record_id));
    rows.chunk_by(move |a, b| of(a) == of(b)).filter_map(move |rows| {
        let (kind, number) = of(rows.first()?);
        Some(((server_id, kind, number), rows))
    })
}

#[cfg(test)]
mod tests;
