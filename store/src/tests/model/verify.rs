//! Comparing the store with the model.

use super::plain::{Found, Place, SERVERS, ZONES, is_served, messages, name, number_of};
use super::schedule::Schedule;
use super::splits;
use crate::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use zonepulse_dns::RecordType;
use zonepulse_model::{Identity, ServerId};

impl Schedule {
    pub(super) fn collect(&self, all: &[Points]) -> Found {
        let dictionary = self.driver.store().dictionary();
        let mut found = Found::new();
        for points in all {
            assert!(!points.is_empty());
            for at in 0..points.len() {
                let (name, _) = dictionary.get(points.record_ids[at]).unwrap();
                let number = number_of(name);
                let place = (points.server_id, points.starts_s[at], points.interval_s, number, points.kinds[at].number());
                let last_ms = points.last_ms.get(at).copied().unwrap_or(0);
                assert_eq!(found.insert(place, (points.hits[at], last_ms)), None, "{place:?} came twice");
            }
        }
        found
    }

    /// Compares everything with the model; of the points, these levels.
    pub(super) fn verify(&mut self, levels: &[Level]) {
        for level in levels.iter().copied() {
            let expected = self.model.points(level, self.driver.now_s);
            self.verify_level(level, &Selection::all(), &messages(&expected), true);
            let (from_s, length_s) = (self.driver.now_s - self.driver.random.below(90_000), self.driver.random.below(90_000));
            let number = self.driver.random.below(5) as u32;
            let record = self.driver.store().dictionary().find(&name(number), RecordType::A);
            let selection = Selection {
                servers: self.driver.random.one_in(2).then(|| [self.driver.random.of(&SERVERS)].into()),
                from_s,
                until_s: from_s + length_s,
                kinds: match self.driver.random.below(3) {
                    0 => Kinds::Messages,
                    1 => Kinds::Responses,
                    _ => Kinds::Served,
                },
                records: self.driver.random.one_in(2).then(|| record.into_iter().collect()),
            };
            let kept = |place: &Place| {
                selection.servers.as_ref().is_none_or(|servers| servers.has(place.0))
                    && (selection.from_s..selection.until_s).contains(&place.1)
                    && match selection.kinds {
                        Kinds::Served => is_served(place),
                        Kinds::Responses => place.4 != 0 && !is_served(place),
                        _ => !is_served(place),
                    }
                    && selection.records.as_ref().is_none_or(|_| place.3 == number)
            };
            let selected: Found = expected.into_iter().filter(|(place, _)| kept(place)).collect();
            self.verify_level(level, &selection, &selected, self.driver.random.0.is_multiple_of(2));
        }
        let mut totals = BTreeMap::new();
        let mut ids = Vec::new();
        self.driver.store().totals(None, &mut |total| ids.push(total));
        for total in ids {
            let (name, _) = self.driver.store().dictionary().get(total.record_id).map(|(name, t)| (name.to_owned(), t)).unwrap();
            let number = number_of(&name);
            totals.insert((total.server_id, number, total.kind.number()), (total.hits, total.first_ms, total.last_ms));
        }
        assert_eq!(totals, self.model.totals(), "totals");
        let mut coverage = BTreeSet::new();
        let each = &mut |report: &Report| {
            let identity = Identity { server_id: report.server_id, epoch: report.epoch, seq: report.seq };
            let Report { start_s, interval_s, hits, covered_until_ms, .. } = *report;
            assert!(coverage.insert((identity, start_s, interval_s, hits, covered_until_ms, report.counters.clone())));
            ControlFlow::Continue(())
        };
        self.driver.store().coverage(None, 0, u64::MAX, self.driver.now_s, each).unwrap();
        assert_eq!(coverage, self.model.coverage(self.driver.now_s), "coverage");
        self.verify_ledger();
    }

    fn verify_ledger(&mut self) {
        let random = &mut self.driver.random;
        let (server_id, zones) = (random.of(&SERVERS), random.below(3) as usize);
        let start_ms = if random.one_in(2) { 0 } else { (self.driver.now_s - random.below(90_000)) * 1000 };
        let end_ms = start_ms + 1 + random.below(self.driver.now_s * 2000);
        let zone = zones.checked_sub(1).map(|last| ZONES[last]);
        let told = self.driver.store().ledger(server_id, start_ms..end_ms, zone).unwrap();
        assert_eq!(told, self.model.ledger(server_id, (start_ms, end_ms), zones), "ledger of {server_id}, zone {zone:?}");
    }

    pub(super) fn verify_level(&self, level: Level, selection: &Selection, expected: &Found, last_access: bool) {
        let reading = Reading { level, now_s: self.driver.now_s, last_access };
        let expected: Found =
            expected.iter().map(|(place, (hits, last_ms))| (*place, (*hits, if last_access { *last_ms } else { 0 }))).collect();
        let mut found = Vec::new();
        let each = &mut |points: &Points| {
            found.push(points.clone());
            ControlFlow::Continue(())
        };
        self.driver.store().scan(&reading, selection, each).unwrap();
        let hours: Vec<_> = found.iter().map(|points| (points.starts_s[0] / 3600, points.server_id)).collect();
        assert!(hours.is_sorted(), "{hours:?}");
        assert_eq!(self.collect(&found), expected, "{level:?} of {selection:?}");
        let counted = self.driver.store().count(&reading, selection).unwrap();
        assert_eq!(counted, expected.len() as u64, "{level:?} of {selection:?}");
        let mut sums: BTreeMap<(ServerId, u32, u16), (u64, u64)> = BTreeMap::new();
        for ((server_id, _, _, number, kind), (hits, last_ms)) in &expected {
            let sum = sums.entry((*server_id, *number, *kind)).or_default();
            *sum = (sum.0 + hits, sum.1.max(*last_ms));
        }
        let mut told = BTreeMap::new();
        let mut all = Vec::new();
        let each = &mut |sum: Sum| {
            all.push(sum);
            ControlFlow::Continue(())
        };
        self.driver.store().sums(&reading, selection, &mut |_| ControlFlow::Continue(()), each).unwrap();
        let dictionary = self.driver.store().dictionary();
        for sum in all {
            let (name, _) = dictionary.get(sum.record_id.unwrap()).unwrap();
            let SumKind::Only(kind) = sum.kind else { panic!("{sum:?}") };
            assert_eq!((sum.start_s, sum.last_ms.is_some()), (None, last_access));
            let of = (sum.server_id.unwrap(), number_of(name), kind.number());
            assert_eq!(told.insert(of, (sum.hits, sum.last_ms.unwrap_or(0))), None);
        }
        // Reading takes locks of lower ranks.
        drop(dictionary);
        assert_eq!(told, sums, "sums of {level:?} of {selection:?}");
        for split in splits::ALL {
            self.verify_split(&reading, selection, split, &expected);
        }
    }
}
