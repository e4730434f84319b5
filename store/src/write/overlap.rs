//! Detecting epochs of one server that cover the same time.
//!
//! A probe begins an epoch whenever it starts to listen, so the epochs of one probe never overlap. If two epochs
//! cover the same time, two probes are sending for one server, a capture was replayed for time that was also observed
//! live, or a clock was set back between two runs. The store only reports the size of the overlap; what to do about
//! it is decided elsewhere.
//!
//! Reports record what each epoch covered, however long ago. An ordinary batch reads none of them: it begins after
//! all other epochs of its server have ended, and how far those extend is kept in memory.

use crate::Error;
use crate::database::{Database, key};
use crate::reports::report::{Report, SystemReport};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use zonepulse_model::{Interval, ServerId};

/// Maximum number of reports read for one batch.
const MAX_READ: usize = if cfg!(test) { 64 } else { 8192 };

/// How much of a batch's coverage overlaps another epoch of the same server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// The other epoch; of several, the one with the largest overlap; on a tie, the one that began first.
    pub epoch: u64,
    /// The overlap, milliseconds.
    pub ms: u64,
    /// The end of that epoch's overlapping reports, Unix milliseconds.
    pub until_ms: u64,
}

/// The coverage of one batch and its epoch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Covered {
    pub(crate) server_id: ServerId,
    pub(crate) epoch: u64,
    pub(crate) from_ms: u64,
    pub(crate) until_ms: u64,
}

/// How far the coverage of each server extends, where known.
#[derive(Debug, Default)]
pub(crate) struct Reaches(BTreeMap<ServerId, Reach>);

#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// The epoch that extends farthest.
    epoch: u64,
    until_ms: u64,
    /// No other epoch extends past this.
    others_until_ms: u64,
}

impl Reach {
    fn note(&mut self, covered: &Covered) {
        if covered.epoch == self.epoch {
            self.until_ms = self.until_ms.max(covered.until_ms);
        } else if covered.until_ms > self.until_ms {
            *self = Reach { epoch: covered.epoch, until_ms: covered.until_ms, others_until_ms: self.until_ms };
        } else {
            self.others_until_ms = self.others_until_ms.max(covered.until_ms);
        }
    }
}

impl Reaches {
    /// The end of the coverage of the server's other epochs; `None` if unknown.
    pub(super) fn others_until_ms(&self, server_id: ServerId, epoch: u64) -> Option<u64> {
        let reach = self.0.get(&server_id)?;
        Some(if reach.epoch == epoch { reach.others_until_ms } else { reach.until_ms })
    }

    /// Records how far a server's reports extend.
    pub(super) fn learn(&mut self, server_id: ServerId, reach: Reach) {
        self.0.insert(server_id, reach);
    }

    /// Notes that batches are on disk.
    pub(crate) fn note(&mut self, all: &[Covered]) {
        for covered in all {
            if let Some(reach) = self.0.get_mut(&covered.server_id) {
                reach.note(covered);
            }
        }
    }

    /// Forgets a removed server.
    pub(crate) fn forget(&mut self, server_id: ServerId) {
        self.0.remove(&server_id);
    }
}

/// The overlap of each other epoch with a span of time.
#[derive(Default)]
pub(super) struct Shared(BTreeMap<u64, (u64, u64)>);

impl Shared {
    pub(super) fn add(&mut self, of: &Covered, other: &Covered) {
        let shared_ms = of.until_ms.min(other.until_ms).saturating_sub(of.from_ms.max(other.from_ms));
        if of.server_id == other.server_id && of.epoch != other.epoch && shared_ms > 0 {
            let (ms, until_ms) = self.0.entry(other.epoch).or_default();
            *ms = ms.saturating_add(shared_ms);
            *until_ms = (*until_ms).max(other.until_ms);
        }
    }

    pub(super) fn most(self) -> Option<Overlap> {
        let overlaps = self.0.into_iter().map(|(epoch, (ms, until_ms))| Overlap { epoch, ms, until_ms });
        overlaps.max_by_key(|overlap| (overlap.ms, Reverse(overlap.epoch)))
    }
}

/// Adds the overlap of reports with a batch. With `learn`, continues to the last report to find out how far they
/// extend; if there are too many, they count as extending to the end of time, and the reports are read for each
/// batch.
pub(super) fn read(database: &Database, batch: &Covered, learn: bool, shared: &mut Shared) -> Result<Option<Reach>, Error> {
    let first_s = (batch.from_ms / 1000).saturating_sub(Interval::MAX_S.into());
    // Reports that begin earlier also end before the batch begins.
    let mut reach = Reach { epoch: batch.epoch, until_ms: batch.from_ms, others_until_ms: batch.from_ms };
    let mut left = MAX_READ;
    let mut iterator = database.leaping_iterator(key::REPORTS);
    iterator.seek(key::report_prefix(batch.server_id, first_s));
    while let Some((found, value)) = iterator.item() {
        let (identity, start_s) = key::parse_report(found).ok_or_else(|| Error::damaged("report", found))?;
        let beyond = start_s.saturating_mul(1000) >= batch.until_ms;
        if identity.server_id != batch.server_id || (beyond && !learn) {
            break;
        }
        if left == 0 {
            // Do not try to learn this again for every batch: a backfill has thousands.
            let unknown = Reach { epoch: batch.epoch, until_ms: u64::MAX, others_until_ms: u64::MAX };
            return Ok(learn.then_some(unknown));
        }
        left -= 1;
        // Unreadable reports are left to `check`; they must not block a batch.
        if !SystemReport::is(value)
            && let Ok(report) = Report::decode(&identity, start_s, value)
        {
            let Report { epoch, covered_from_ms: from_ms, covered_until_ms: until_ms, .. } = report;
            let other = Covered { server_id: batch.server_id, epoch, from_ms, until_ms };
            reach.note(&other);
            shared.add(batch, &other);
        }
        iterator.next();
    }
    iterator.status()?;
    Ok(learn.then_some(reach))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Intake, Options, Store, Write};
    use zonepulse_model::Identity;

    const TOLERANCE_MS: u64 = 2000;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        (dir, store)
    }

    fn open_again(dir: &tempfile::TempDir, store: Store) -> Store {
        store.close().unwrap();
        // The store is in use until then.
        drop(store);
        Store::open(dir.path(), &Options::default()).unwrap()
    }

    fn intake(epoch: u64, seq: u64, minute: u64, from_ms: u64, until_ms: u64) -> Intake {
        Intake {
            identity: Identity { server_id: ServerId::new(1), epoch, seq },
            start_s: minute * 60,
            interval_s: 60,
            covered_from_ms: minute * 60_000 + from_ms,
            covered_until_ms: minute * 60_000 + until_ms,
            counters: Vec::new(),
            loss: Default::default(),
            evicted: None,
            rows: Vec::new(),
        }
    }

    fn overlap(write: &mut Write<'_>, intake: &Intake) -> Option<Overlap> {
        write.overlap(&intake.identity, intake.covered_from_ms, intake.covered_until_ms, TOLERANCE_MS).unwrap()
    }

    /// Commits a batch, and returns its overlap.
    fn commit(store: &Store, intake: Intake) -> Option<(u64, u64)> {
        let mut write = store.begin();
        let found = overlap(&mut write, &intake);
        write.add(intake).unwrap();
        write.commit().unwrap();
        found.map(|overlap| (overlap.epoch, overlap.ms))
    }

    #[test]
    fn two_epochs_that_cover_the_same_interval_overlap_whichever_comes_first() {
        let (_dir, store) = store();
        for minute in 10..15 {
            assert_eq!(commit(&store, intake(1, minute, minute, 0, 60_000)), None);
            assert_eq!(commit(&store, intake(2, minute, minute, 0, 60_000)), Some((1, 60_000)));
        }
        assert_eq!(commit(&store, intake(2, 15, 15, 0, 60_000)), None);
        assert_eq!(commit(&store, intake(1, 15, 15, 0, 45_000)), Some((2, 45_000)));
    }

    #[test]
    fn epochs_of_one_probe_that_was_restarted_do_not_overlap() {
        let (_dir, store) = store();
        commit(&store, intake(1, 0, 10, 0, 60_000));
        assert_eq!(commit(&store, intake(1, 1, 11, 0, 30_000)), None);
        assert_eq!(commit(&store, intake(2, 0, 11, 31_000, 60_000)), None);
        assert_eq!(commit(&store, intake(2, 1, 12, 0, 60_000)), None);
    }

    #[test]
    fn an_overlap_within_the_tolerance_is_none() {
        let (_dir, store) = store();
        commit(&store, intake(1, 0, 10, 0, 32_000));
        assert_eq!(commit(&store, intake(2, 0, 10, 30_000, 60_000)), None);
        assert_eq!(commit(&store, intake(3, 0, 10, 29_999, 31_999)), None);
    }

    #[test]
    fn late_batches_of_an_earlier_epoch_do_not_overlap_with_what_came_after_it() {
        let (_dir, store) = store();
        commit(&store, intake(1, 0, 10, 0, 60_000));
        commit(&store, intake(2, 0, 20, 0, 60_000));
        assert_eq!(commit(&store, intake(1, 1, 11, 0, 60_000)), None);
        assert_eq!(commit(&store, intake(1, 2, 19, 0, 60_000)), None);
    }

    #[test]
    fn a_batch_long_past_is_compared_with_what_was_covered_then() {
        let (_dir, store) = store();
        (0..50).for_each(|minute| assert_eq!(commit(&store, intake(1, minute, minute, 0, 60_000)), None));
        assert_eq!(commit(&store, intake(9, 0, 3, 0, 60_000)), Some((1, 60_000)));
    }

    #[test]
    fn two_batches_of_one_write_are_compared() {
        let (_dir, store) = store();
        let mut write = store.begin();
        let (one, other) = (intake(1, 0, 10, 0, 60_000), intake(2, 0, 10, 0, 60_000));
        assert_eq!(overlap(&mut write, &one), None);
        write.add(one).unwrap();
        let found = overlap(&mut write, &other);
        assert_eq!(found, Some(Overlap { epoch: 1, ms: 60_000, until_ms: 660_000 }));
    }

    #[test]
    fn what_was_covered_is_known_after_a_restart_of_the_central() {
        let (dir, store) = store();
        (10..13).for_each(|minute| assert_eq!(commit(&store, intake(1, minute, minute, 0, 60_000)), None));
        let store = open_again(&dir, store);
        assert_eq!(commit(&store, intake(2, 1, 11, 0, 60_000)), Some((1, 60_000)));
        assert_eq!(commit(&store, intake(2, 2, 12, 0, 60_000)), Some((1, 60_000)));
        assert_eq!(commit(&store, intake(2, 3, 13, 0, 60_000)), None);
    }

    #[test]
    fn a_backfill_after_a_restart_learns_once_and_its_overlaps_are_known() {
        let (dir, store) = store();
        let observed = 10 + 2 * MAX_READ as u64;
        (10..observed).for_each(|minute| assert_eq!(commit(&store, intake(1, minute, minute, 0, 60_000)), None));
        let store = open_again(&dir, store);
        let reach_ms = |epoch| store.inner.writer.lock().reaches.others_until_ms(ServerId::new(1), epoch);
        assert_eq!(reach_ms(9), None, "nothing is known yet");
        // More reports follow than are read for one batch.
        assert_eq!(commit(&store, intake(9, 0, 20, 0, 60_000)), Some((1, 60_000)));
        assert_eq!([1, 9, 10].map(reach_ms), [Some(u64::MAX); 3], "it is known that they are too many");
        for minute in 21..30 {
            assert_eq!(commit(&store, intake(9, minute, minute, 0, 60_000)), Some((1, 60_000)));
        }
        assert_eq!(commit(&store, intake(1, observed, observed, 0, 60_000)), None);
        assert_eq!(commit(&store, intake(9, observed, observed, 0, 60_000)), Some((1, 60_000)));
        assert_eq!(commit(&store, intake(9, observed + 1, observed + 1, 0, 60_000)), None);
        assert_eq!([1, 9, 10].map(reach_ms), [Some(u64::MAX); 3], "no batch makes it known");
    }

    #[test]
    fn of_several_epochs_that_cover_the_same_the_one_that_began_first_is_told() {
        let (_dir, store) = store();
        commit(&store, intake(3, 0, 10, 0, 60_000));
        assert_eq!(commit(&store, intake(2, 0, 10, 0, 60_000)), Some((3, 60_000)));
        assert_eq!(commit(&store, intake(4, 0, 10, 0, 60_000)), Some((2, 60_000)));
        assert_eq!(commit(&store, intake(1, 0, 10, 0, 50_000)), Some((2, 50_000)));
    }

    #[test]
    fn another_servers_coverage_is_no_overlap() {
        let (_dir, store) = store();
        commit(&store, intake(1, 0, 10, 0, 60_000));
        let mut other = intake(2, 0, 10, 0, 60_000);
        other.identity.server_id = ServerId::new(2);
        assert_eq!(commit(&store, other), None);
    }
}
