//! When probes listened: condensed reports, cached by hour.
//!
//! Every query about rates or buckets needs to know when the probes of its servers listened. A day of one server is
//! 1,440 reports, which almost always add up to a probe that listened all day. So consecutive reports are merged into
//! one, and past hours are cached in that form until a new report for them arrives.

use super::following;
use super::listened::Listened;
use super::report::{Report, SystemReport};
use crate::database::key;
use crate::{Error, Level, Store};
use rocksdb::DBRawIterator;
use std::collections::BTreeMap;
use std::sync::Arc;
use zonepulse_codec::Malformed;
use zonepulse_model::{IdSet, ServerId};

const HOUR_S: u64 = 3600;
/// Maximum size of the cache, counting one for each hour of a server and one for each report, merged or not: about
/// 100 bytes each.
const MOST_KEPT: usize = if cfg!(test) { 12 } else { 1 << 17 };

/// Cache of past hours that were queried, by server.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// By hour and server: the newest hours are requested most.
    hours: BTreeMap<(u64, ServerId), Arc<[Listened]>>,
    size: usize,
    /// The counter that cached entries contain.
    counter: Option<u16>,
    /// Incremented by every change of reports; and its value after each server's last change.
    version: u64,
    changed: BTreeMap<ServerId, u64>,
    /// Data read before this version must not be cached.
    forgotten: u64,
}

impl Kept {
    /// The version of data that is read from now on.
    fn version(&mut self, counter: Option<u16>) -> u64 {
        if self.counter != counter {
            self.forget();
            self.counter = counter;
        }
        self.version
    }

    fn get(&self, hour: u64, server_id: ServerId, counter: Option<u16>) -> Option<Arc<[Listened]>> {
        self.hours.get(&(hour, server_id)).filter(|_| self.counter == counter).cloned()
    }

    /// Caches what was read, unless it may be out of date.
    fn put(&mut self, hour: u64, server_id: ServerId, counter: Option<u16>, version: u64, listened: &[Listened]) {
        let changed = self.changed.get(&server_id).copied().unwrap_or(0).max(self.forgotten);
        if self.counter != counter || version < changed {
            return;
        }
        self.remove(hour, server_id);
        self.hours.insert((hour, server_id), listened.into());
        self.size += 1 + listened.len();
        while self.size > MOST_KEPT {
            let Some((hour, server_id)) = self.hours.first_key_value().map(|(place, _)| *place) else { break };
            self.remove(hour, server_id);
        }
    }

    fn remove(&mut self, hour: u64, server_id: ServerId) {
        if let Some(removed) = self.hours.remove(&(hour, server_id)) {
            self.size -= 1 + removed.len();
        }
    }

    /// Notes that reports for these servers are on disk, on intervals with these starts, Unix seconds.
    pub(crate) fn reported(&mut self, of: &[(ServerId, u64)]) {
        self.version += 1;
        for (server_id, start_s) in of {
            self.changed.insert(*server_id, self.version);
            self.remove(start_s / HOUR_S, *server_id);
        }
    }

    /// Notes that reports were removed.
    pub(crate) fn forget(&mut self) {
        self.version += 1;
        self.forgotten = self.version;
        self.hours.clear();
        self.changed.clear();
        self.size = 0;
    }
}

/// Reads reports server by server; tracks the iterator's position.
struct Reading<'a> {
    store: &'a Store,
    iterator: DBRawIterator<'a>,
    counter: Option<u16>,
    /// Reports read for one hour.
    found: Vec<Listened>,
}

impl Store {
    /// When the probes of these servers, or of all servers, listened: for intervals that start in `from_s..until_s`,
    /// by server, then start, with one of the reports' counters. Consecutive reports may be merged into one. Reports
    /// that have expired at `now_s`, Unix seconds, are omitted, and so are those of batches of metrics.
    pub fn listened(
        &self,
        servers: Option<&IdSet<ServerId>>,
        from_s: u64,
        until_s: u64,
        now_s: u64,
        counter: Option<u16>,
        each: &mut dyn FnMut(&Listened),
    ) -> Result<(), Error> {
        // Everything read below is at least as new as this.
        let version = self.inner.kept.lock().version(counter);
        let (iterator, expiry) = {
            let expiry = self.inner.expiry.read();
            (self.inner.database.iterator(key::REPORTS), expiry.clone())
        };
        let mut reading = Reading { store: self, iterator, counter, found: Vec::new() };
        let mut next_server = servers.map_or(Some(ServerId::MIN), |servers| servers.first().copied());
        while let Some(server_id) = next_server {
            let from_s = from_s.max(expiry.kept_from_s(server_id, Level::H1, now_s));
            reading.iterator.seek(key::report_prefix(server_id, from_s));
            let Some((found, _)) = reading.iterator.item() else { break };
            let (identity, start_s) = key::parse_report(found).ok_or_else(|| Error::damaged("report", found))?;
            if identity.server_id != server_id {
                // This server has no reports: continue at the next one requested.
                next_server = server_id.next().and_then(|next| following(servers, next, identity.server_id));
                continue;
            }
            // Skip leading hours without a report.
            let begin_s = from_s.max(start_s - start_s % HOUR_S);
            reading.server(server_id, begin_s, until_s, now_s, version, each)?;
            next_server = server_id.next().and_then(|next| following(servers, next, next));
        }
        Ok(reading.iterator.status()?)
    }
}

impl Reading<'_> {
    fn server(
        &mut self,
        server_id: ServerId,
        begin_s: u64,
        until_s: u64,
        now_s: u64,
        version: u64,
        each: &mut dyn FnMut(&Listened),
    ) -> Result<(), Error> {
        // The current hour changes with every report.
        let over_s = until_s.min(now_s - now_s % HOUR_S);
        let (mut at_s, mut stands) = (begin_s, true);
        while at_s < until_s {
            let (hour, end_s) = (at_s / HOUR_S, (at_s - at_s % HOUR_S).saturating_add(HOUR_S));
            let is_kept = at_s.is_multiple_of(HOUR_S) && end_s <= over_s;
            let kept = if is_kept { self.store.inner.kept.lock().get(hour, server_id, self.counter) } else { None };
            if let Some(kept) = kept {
                kept.iter().for_each(&mut *each);
                (at_s, stands) = (end_s, false);
                continue;
            }
            // Read everything after the last past hour in one go.
            let end_s = if end_s <= over_s { end_s } else { until_s };
            if !stands {
                self.iterator.seek(key::report_prefix(server_id, at_s));
            }
            self.stretch(server_id, end_s)?;
            self.found.iter().for_each(&mut *each);
            if is_kept {
                self.store.inner.kept.lock().put(hour, server_id, self.counter, version, &self.found);
            }
            (at_s, stands) = (end_s, true);
        }
        Ok(())
    }

    /// Reads the server's reports on intervals that start before `end_s`, from the iterator's current position.
    fn stretch(&mut self, server_id: ServerId, end_s: u64) -> Result<(), Error> {
        self.found.clear();
        while let Some((key, value)) = self.iterator.item() {
            let (identity, start_s) = key::parse_report(key).ok_or_else(|| Error::damaged("report", key))?;
            if identity.server_id != server_id || start_s >= end_s {
                break;
            }
            if !SystemReport::is(value) {
                let listened = Report::listened(server_id, start_s, value, self.counter);
                let listened = listened.map_err(|Malformed(what)| Error::damaged(what, key))?;
                if !self.found.last_mut().is_some_and(|last| last.takes(&listened)) {
                    self.found.push(listened);
                }
            }
            self.iterator.next();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Intake, Options};
    use proptest::prelude::*;
    use std::ops::ControlFlow;
    use zonepulse_model::Identity;

    /// Long after anything the tests report.
    const NOW_S: u64 = 20 * HOUR_S;
    const COUNTER: u16 = 66;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { min_free_bytes: 0, retention: crate::Retention::FOREVER, ..Options::default() };
        let store = Store::open(dir.path(), &options).unwrap();
        (dir, store)
    }

    /// What a probe covered of a minute: server, minute, from and until, seconds, whether it was blind.
    type Told = (u32, u64, (u64, u64), bool);

    fn commit(store: &Store, seq: u64, (server_id, minute, (from_s, until_s), blind): Told) {
        let mut write = store.begin();
        let intake = Intake {
            identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq },
            start_s: minute * 60,
            interval_s: 60,
            covered_from_ms: (minute * 60 + from_s) * 1000,
            covered_until_ms: (minute * 60 + until_s) * 1000,
            counters: if blind { vec![(COUNTER, 1000)] } else { Vec::new() },
            loss: Default::default(),
            evicted: None,
            rows: Vec::new(),
        };
        write.add(intake).unwrap();
        write.commit().unwrap();
    }

    /// A single interval: server, start, when the probe listened, and the counter.
    type Interval = (ServerId, u64, u64, u64, u64);

    fn told(store: &Store, servers: Option<&IdSet<ServerId>>, from_s: u64, until_s: u64, now_s: u64) -> Vec<Interval> {
        let mut found = Vec::new();
        let each = &mut |listened: &Listened| {
            let Listened { server_id, start_s, end_s, interval_s, covered_from_ms, covered_until_ms, counted, .. } = *listened;
            if end_s - start_s == u64::from(interval_s) {
                found.push((server_id, start_s, covered_from_ms, covered_until_ms, counted));
                return;
            }
            assert_eq!((covered_from_ms, covered_until_ms, counted), (start_s * 1000, end_s * 1000, 0));
            let starts = (start_s..end_s).step_by(interval_s as usize);
            found.extend(starts.map(|at| (server_id, at, at * 1000, (at + u64::from(interval_s)) * 1000, 0)));
        };
        store.listened(servers, from_s, until_s, now_s, Some(COUNTER), each).unwrap();
        found
    }

    fn reported(store: &Store, servers: Option<&IdSet<ServerId>>, from_s: u64, until_s: u64, now_s: u64) -> Vec<Interval> {
        let mut found = Vec::new();
        let each = &mut |report: &crate::Report| {
            let counted = report.counters.iter().find(|(number, _)| *number == COUNTER).map_or(0, |(_, value)| *value);
            found.push((report.server_id, report.start_s, report.covered_from_ms, report.covered_until_ms, counted));
            ControlFlow::Continue(())
        };
        store.coverage(servers, from_s, until_s, now_s, each).unwrap();
        found
    }

    #[test]
    fn an_hour_without_a_gap_is_told_as_one() {
        let (_dir, store) = store();
        (0..60).for_each(|minute| commit(&store, minute, (1, minute, (0, 60), false)));
        for _ in 0..2 {
            let mut found = Vec::new();
            store.listened(None, 0, HOUR_S, NOW_S, Some(COUNTER), &mut |listened| found.push(*listened)).unwrap();
            assert_eq!(found.iter().map(|listened| (listened.start_s, listened.end_s)).collect::<Vec<_>>(), [(0, HOUR_S)]);
        }
    }

    #[test]
    fn a_late_report_of_an_hour_that_is_kept_is_told() {
        let (_dir, store) = store();
        commit(&store, 0, (1, 0, (0, 60), false));
        assert_eq!(told(&store, None, 0, HOUR_S, NOW_S).len(), 1);
        commit(&store, 1, (1, 30, (0, 60), false));
        assert_eq!(told(&store, None, 0, HOUR_S, NOW_S).len(), 2);
    }

    #[test]
    fn what_was_read_before_a_report_came_is_not_kept() {
        let mut kept = Kept::default();
        let version = kept.version(None);
        kept.reported(&[(ServerId::new(1), 0)]);
        kept.put(0, ServerId::new(1), None, version, &[]);
        kept.put(0, ServerId::new(2), None, version, &[]);
        assert!(kept.get(0, ServerId::new(1), None).is_none());
        assert!(kept.get(0, ServerId::new(2), None).is_some(), "nothing was reported of this server");
        kept.forget();
        kept.put(0, ServerId::new(3), None, version, &[]);
        assert!(kept.get(0, ServerId::new(2), None).is_none() && kept.get(0, ServerId::new(3), None).is_none());
    }

    #[test]
    fn of_more_hours_than_can_be_kept_the_newest_are() {
        let mut kept = Kept::default();
        let version = kept.version(None);
        for hour in (0..2 * MOST_KEPT as u64).rev() {
            kept.put(hour, ServerId::new(1), None, version, &[]);
        }
        assert_eq!((kept.hours.len(), kept.size), (MOST_KEPT, MOST_KEPT));
        assert!(kept.get(2 * MOST_KEPT as u64 - 1, ServerId::new(1), None).is_some());
    }

    fn any_told() -> impl Strategy<Value = Told> {
        let part = prop_oneof![4 => Just((0u64, 60u64)), 1 => (0u64..60, 0u64..=60)];
        let part = part.prop_map(|(a, b): (u64, u64)| (a.min(b), a.max(b)));
        (1u32..4, 0u64..240, part, prop::bool::weighted(0.1))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn they_say_what_the_reports_say_whatever_is_kept(rounds in prop::collection::vec((prop::collection::vec(any_told(), 0..40), prop::collection::vec((0u64..5 * 3600, 0u64..5 * 3600, 0u64..6 * 3600, prop::bool::ANY), 1..5)), 1..5)) {
            let (_dir, store) = store();
            let mut seq = 0;
            for (told_now, questions) in rounds {
                for told in told_now {
                    commit(&store, seq, told);
                    seq += 1;
                }
                for (a, b, now_s, all) in questions.into_iter().chain([(0, 5 * 3600, NOW_S, true)]) {
                    let some = IdSet::from([1, 3].map(ServerId::new));
                    let servers = if all { None } else { Some(&some) };
                    let (from_s, until_s) = (a.min(b) / 60 * 60, a.max(b));
                    prop_assert_eq!(told(&store, servers, from_s, until_s, now_s), reported(&store, servers, from_s, until_s, now_s));
                }
            }
        }
    }
}
