//! Adding batches to the ledger, in the write that commits them.

use super::lane::{Lane, Of, key_of, run_of};
use super::reading::folded_zones;
use super::reasons::{Loss, Unobserved};
use super::run::{Run, add_up, join};
use crate::Error;
use crate::database::{Database, key};
use rocksdb::{DBRawIterator, WriteBatch};
use std::collections::{BTreeMap, BTreeSet};
use zonepulse_model::{Evicted, ServerId};

/// Maximum number of covered runs that a batch may overlap before they become one.
pub(crate) const MAX_RUNS: usize = 1024;
/// Maximum number of zones per server with lanes for folds.
pub(crate) const MAX_ZONES: usize = if cfg!(test) { 6 } else { 1024 };

/// What the batches of a write add to the ledger.
#[derive(Debug, Default)]
pub(crate) struct News(BTreeMap<Lane, Vec<Run>>);

/// What is known about the ledger between writes, so that an ordinary batch reads nothing.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The last covered run of each server, if it has one.
    last: BTreeMap<ServerId, Option<Run>>,
    /// The zones that a server has lanes for.
    zones: BTreeMap<ServerId, BTreeSet<String>>,
}

/// What becomes known when a write is on disk.
#[derive(Debug, Default)]
pub(crate) struct Learnt(Known);

impl News {
    /// Adds a batch that covers this time, Unix milliseconds.
    pub(crate) fn covered(&mut self, server_id: ServerId, from_ms: u64, until_ms: u64, loss: &Loss) {
        let Some(run) = Run::new(from_ms, until_ms, loss.why) else { return };
        self.add(Lane::new(server_id, Of::Covered), run);
        for zone in &loss.folded {
            self.add(Lane::new(server_id, Of::Folded(zone.clone())), Run { why: Unobserved::Folded.into(), ..run });
        }
    }

    /// Adds an eviction.
    pub(crate) fn evicted(&mut self, server_id: ServerId, evicted: &Evicted) {
        if let Some(run) = Run::of_evicted(evicted) {
            self.add(Lane::new(server_id, Of::Evicted), run);
        }
    }

    /// Adds time of which a restored store may have forgotten batches, Unix milliseconds.
    pub(super) fn restored(&mut self, server_id: ServerId, from_ms: u64, until_ms: u64) {
        if let Some(run) = Run::new(from_ms, until_ms, Unobserved::Restored.into()) {
            self.add(Lane::new(server_id, Of::Evicted), run);
        }
    }

    fn add(&mut self, lane: Lane, run: Run) {
        let runs = self.0.entry(lane).or_default();
        // Ordinary batches of a server follow each other.
        match runs.last_mut() {
            Some(last) if last.until_ms == run.from_ms && last.why == run.why => last.until_ms = run.until_ms,
            _ => runs.push(run),
        }
    }

    /// The servers whose ledger changes.
    pub(crate) fn servers(&self) -> BTreeSet<ServerId> {
        self.0.keys().map(|lane| lane.server_id).collect()
    }

    /// Adds the changes to a write.
    pub(crate) fn put(mut self, database: &Database, batch: &mut WriteBatch, known: &Known) -> Result<Learnt, Error> {
        let mut writing = Writing { database, batch, iterator: None };
        let mut learnt = Learnt::default();
        self.limit_zones(&mut writing, known, &mut learnt)?;
        for (lane, runs) in self.0 {
            match lane.of {
                Of::Covered => {
                    let last = match known.last.get(&lane.server_id) {
                        Some(last) => *last,
                        None => writing.last_of(&lane.prefix())?,
                    };
                    let last = writing.put(&lane, runs, Some(last))?;
                    learnt.0.last.insert(lane.server_id, last);
                }
                Of::Evicted | Of::Folded(_) => {
                    writing.put(&lane, runs, None)?;
                }
            }
        }
        Ok(learnt)
    }

    /// Makes folds of zones beyond the limit concern all zones.
    fn limit_zones(&mut self, writing: &mut Writing<'_>, known: &Known, learnt: &mut Learnt) -> Result<(), Error> {
        let folded = |lane: &Lane| matches!(&lane.of, Of::Folded(_));
        let lanes: Vec<Lane> = self.0.keys().filter(|lane| folded(lane)).cloned().collect();
        for lane in lanes {
            let Of::Folded(zone) = &lane.of else { continue };
            let server_id = lane.server_id;
            let zones = match (learnt.0.zones.get_mut(&server_id), known.zones.get(&server_id)) {
                (Some(zones), _) => zones,
                (None, Some(zones)) if zones.contains(zone) => continue,
                (None, Some(zones)) => learnt.0.zones.entry(server_id).or_insert_with(|| zones.clone()),
                (None, None) => {
                    let zones = folded_zones(writing.iterator(), server_id)?;
                    learnt.0.zones.entry(server_id).or_insert(zones)
                }
            };
            if zones.contains(zone) {
                continue;
            }
            if zones.len() < MAX_ZONES {
                zones.insert(zone.clone());
                continue;
            }
            let runs = self.0.remove(&lane).unwrap_or_default();
            self.0.entry(Lane::new(server_id, Of::Covered)).or_default().extend(runs);
        }
        Ok(())
    }
}

impl Known {
    /// Applies what is now on disk.
    pub(crate) fn adopt(&mut self, Learnt(learnt): Learnt) {
        self.last.extend(learnt.last);
        self.zones.extend(learnt.zones);
    }

    /// Forgets what is known about a server whose ledger was changed otherwise.
    pub(crate) fn forget(&mut self, server_id: ServerId) {
        self.last.remove(&server_id);
        self.zones.remove(&server_id);
    }
}

/// Changes on their way into a write. All reads see the state before the write.
struct Writing<'a> {
    database: &'a Database,
    batch: &'a mut WriteBatch,
    iterator: Option<DBRawIterator<'a>>,
}

impl<'a> Writing<'a> {
    /// An ordinary write needs none.
    fn iterator(&mut self) -> &mut DBRawIterator<'a> {
        let database = self.database;
        self.iterator.get_or_insert_with(|| database.leaping_iterator(key::LEDGER))
    }

    /// The last run of a lane.
    fn last_of(&mut self, prefix: &[u8]) -> Result<Option<Run>, Error> {
        self.iterator().seek_for_prev(key_of(prefix, u64::MAX));
        self.current(prefix)
    }

    /// The run at the iterator's position, if it belongs to the lane.
    fn current(&mut self, prefix: &[u8]) -> Result<Option<Run>, Error> {
        let iterator = self.iterator();
        let Some((found, value)) = iterator.item() else {
            iterator.status()?;
            return Ok(None);
        };
        run_of(prefix, found, value)
    }

    /// Adds runs to a lane. `last` is the lane's last run if that is known. Returns the last run of the lane after that.
    fn put(&mut self, lane: &Lane, mut added: Vec<Run>, last: Option<Option<Run>>) -> Result<Option<Run>, Error> {
        let (prefix, slack_ms) = (lane.prefix(), lane.of.slack_ms());
        added.sort_unstable_by_key(|run| run.from_ms);
        let mut added = added.into_iter().peekable();
        let mut end = last.flatten();
        while let Some(first) = added.next() {
            let cluster = self.cluster(&prefix, first, &mut added, slack_ms.unwrap_or(0), last)?;
            let Cluster { stored, mut runs, reach_ms } = cluster;
            if lane.of == Of::Covered && stored.len() > MAX_RUNS {
                let mut why = Unobserved::Gap.into();
                runs.iter().for_each(|run: &Run| why = run.why.union(why));
                runs.push(Run { from_ms: first.from_ms, until_ms: reach_ms, why });
            }
            let sums = match slack_ms {
                None => add_up(&runs),
                Some(slack_ms) => join(runs, slack_ms),
            };
            self.replace(&prefix, &stored, &sums);
            // Of two that end at the same time, the new one: it may be what is left of the old one.
            end = end.into_iter().chain(sums.last().copied()).max_by_key(|run| run.until_ms);
        }
        Ok(end)
    }

    /// Takes the added runs that may share stored runs with the first one, and reads those stored runs.
    fn cluster(
        &mut self,
        prefix: &[u8],
        first: Run,
        added: &mut std::iter::Peekable<std::vec::IntoIter<Run>>,
        slack_ms: u64,
        last: Option<Option<Run>>,
    ) -> Result<Cluster, Error> {
        let mut cluster = Cluster { stored: Vec::new(), runs: vec![first], reach_ms: first.until_ms };
        // Nothing begins after the last run, and what ends where it begins is no neighbour of the first one.
        let is_last = last.is_some_and(|last| last.is_none_or(|last| last.from_ms < first.from_ms));
        let mut next = match last.flatten() {
            last if is_last => last.filter(|last| last.until_ms.saturating_add(slack_ms) >= first.from_ms),
            _ => self.first_at(prefix, first.from_ms, slack_ms)?,
        };
        let mut until_ms = first.until_ms;
        loop {
            while let Some(run) = added.next_if(|run| run.from_ms <= until_ms.saturating_add(slack_ms)) {
                cluster.reach_ms = cluster.reach_ms.max(run.until_ms);
                until_ms = until_ms.max(run.until_ms);
                cluster.runs.push(run);
            }
            let Some(run) = next.filter(|run| run.from_ms <= cluster.reach_ms.saturating_add(slack_ms)) else {
                return Ok(cluster);
            };
            cluster.stored.push(run);
            cluster.runs.push(run);
            until_ms = until_ms.max(run.until_ms);
            next = None;
            if !is_last {
                self.iterator().next();
                next = self.current(prefix)?;
            }
        }
    }

    /// The first stored run that ends at a time or later, or up to `slack_ms` earlier; the iterator stays there. It may be
    /// the neighbour of one that begins at that time.
    fn first_at(&mut self, prefix: &[u8], from_ms: u64, slack_ms: u64) -> Result<Option<Run>, Error> {
        self.iterator().seek_for_prev(key_of(prefix, from_ms.saturating_sub(1)));
        match self.current(prefix)? {
            Some(run) if run.until_ms.saturating_add(slack_ms) >= from_ms => return Ok(Some(run)),
            Some(_) => self.iterator().next(),
            None => self.iterator().seek(key_of(prefix, from_ms)),
        }
        self.current(prefix)
    }

    /// Replaces stored runs of a lane.
    fn replace(&mut self, prefix: &[u8], stored: &[Run], sums: &[Run]) {
        let family = self.database.family(key::LEDGER);
        let mut kept = sums.iter().peekable();
        for run in stored {
            while kept.next_if(|sum| sum.from_ms < run.from_ms).is_some() {}
            if kept.peek().is_none_or(|sum| sum.from_ms != run.from_ms) {
                self.batch.delete_cf(family, key_of(prefix, run.from_ms));
            }
        }
        let mut before = stored.iter().peekable();
        for sum in sums {
            while before.next_if(|run| run.from_ms < sum.from_ms).is_some() {}
            if before.peek().is_none_or(|run| *run != sum) {
                self.batch.put_cf(family, key_of(prefix, sum.from_ms), sum.encode());
            }
        }
    }
}

/// Runs of a lane that affect each other.
struct Cluster {
    /// The stored runs, in order.
    stored: Vec<Run>,
    /// All runs, stored and added.
    runs: Vec<Run>,
    /// The end of the added runs.
    reach_ms: u64,
}
