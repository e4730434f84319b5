//! The model: what a store should contain, in plain collections.

use crate::tests::driver::Ages;
use crate::{Intake, Level, OTHER, Period, Precision, Reasons, Unobserved};
use std::collections::{BTreeMap, BTreeSet};
use zonepulse_dns::MessageKind;
use zonepulse_model::{Identity, ServerId};

/// A point as it is told: server, start, length, name, kind.
pub(super) type Place = (ServerId, u64, u32, u32, u16);
/// A report: identity, start, length, hits, end of the coverage, counters.
pub(super) type Told = (Identity, u64, u32, u64, u64, Vec<(u16, u64)>);
pub(super) type Found = BTreeMap<Place, (u64, u64)>;

#[derive(Clone)]
pub(super) struct Batch {
    pub(super) intake: Intake,
    /// Names of the rows' records, by number of the model.
    pub(super) names: Vec<u32>,
}

#[derive(Default, Clone)]
pub(super) struct Model {
    pub(super) batches: Vec<Batch>,
    pub(super) committed: BTreeSet<Identity>,
    pub(super) ages: Ages,
    pub(super) precision: Precision,
}

pub(super) const SERVERS: [ServerId; 3] = [ServerId::new(1), ServerId::new(2), ServerId::new(3)];
pub(super) const NAMES: u32 = 300;
/// The zones that fold, each above the next.
pub(super) const ZONES: [&str; 2] = ["a.", "b.a."];
/// How far apart folds of a zone are one.
const FOLD_SLACK_MS: u64 = 600_000;

pub(super) fn name(number: u32) -> String {
    format!("n{number}.example.")
}

/// Whether a point is of what was served.
pub(super) fn is_served(place: &Place) -> bool {
    place.4 >= MessageKind::MESSAGES
}

/// The points of messages.
pub(super) fn messages(found: &Found) -> Found {
    found.iter().filter(|(place, _)| !is_served(place)).map(|(place, sum)| (*place, *sum)).collect()
}

/// The number of what was swept.
pub(super) const SWEPT: u32 = u32::MAX;

pub(super) fn number_of(name: &str) -> u32 {
    if name == OTHER { SWEPT } else { name[1..name.find('.').unwrap()].parse().unwrap() }
}

impl Model {
    pub(super) fn points(&self, level: Level, now_s: u64) -> Found {
        let mut found = Found::new();
        for Batch { intake, names } in &self.batches {
            let length_s = level.bucket_s().unwrap_or(intake.interval_s);
            let start_s = intake.start_s / u64::from(length_s) * u64::from(length_s);
            if start_s < self.ages.kept_from_s(intake.identity.server_id, level, now_s) {
                continue;
            }
            for (row, name) in intake.rows.iter().zip(names) {
                let place = (intake.identity.server_id, start_s, length_s, *name, row.kind.number());
                let point = found.entry(place).or_default();
                point.0 += row.hits;
                point.1 = point.1.max(self.precision.kept(row.last_ms));
            }
        }
        found
    }

    pub(super) fn totals(&self) -> BTreeMap<(ServerId, u32, u16), (u64, u64, u64)> {
        let mut totals = BTreeMap::new();
        for Batch { intake, names } in &self.batches {
            for (row, name) in intake.rows.iter().zip(names) {
                let total = totals.entry((intake.identity.server_id, *name, row.kind.number())).or_insert((0, u64::MAX, 0));
                *total = (total.0 + row.hits, total.1.min(row.first_ms), total.2.max(row.last_ms));
            }
        }
        totals
    }

    pub(super) fn coverage(&self, now_s: u64) -> BTreeSet<Told> {
        let kept = |intake: &&Intake| intake.start_s >= self.ages.kept_from_s(intake.identity.server_id, Level::H1, now_s);
        let report = |intake: &Intake| {
            let hits = intake.rows.iter().filter(|row| row.kind.number() < MessageKind::MESSAGES).map(|row| row.hits).sum();
            (intake.identity, intake.start_s, intake.interval_s, hits, intake.covered_until_ms, intake.counters.clone())
        };
        self.batches.iter().map(|batch| &batch.intake).filter(kept).map(report).collect()
    }

    /// How a server was observed within a range, with the folds of the first so many zones.
    pub(super) fn ledger(&self, server_id: ServerId, (start, end): (u64, u64), zones: usize) -> Vec<Period> {
        let of_server = self.batches.iter().map(|batch| &batch.intake).filter(|intake| intake.identity.server_id == server_id);
        let intakes: Vec<&Intake> = of_server.collect();
        let evictions: Vec<_> = intakes
            .iter()
            .filter_map(|intake| intake.evicted)
            .map(|evicted| evicted.from_s * 1000..evicted.until_s * 1000)
            .collect();
        let covered = |intake: &Intake| intake.covered_from_ms..intake.covered_until_ms;
        let mut edges = BTreeSet::from([start, end]);
        for range in evictions.iter().cloned().chain(intakes.iter().map(|intake| covered(intake))) {
            edges.extend([range.start, range.end].into_iter().filter(|ms| (start..end).contains(ms)));
        }
        let folded = |zone: &str, ms: u64| {
            let folds = intakes
                .iter()
                .filter(|intake| !covered(intake).is_empty() && intake.loss.folded.iter().any(|folded| folded == zone));
            let before = folds.clone().filter(|fold| fold.covered_from_ms <= ms).map(|fold| fold.covered_until_ms).max();
            let after = folds.map(|fold| fold.covered_from_ms).filter(|from_ms| *from_ms > ms).min();
            before.is_some_and(|until_ms| until_ms > ms || after.is_some_and(|from_ms| from_ms - until_ms <= FOLD_SLACK_MS))
        };
        let mut periods: Vec<Period> = Vec::new();
        let edges: Vec<u64> = edges.into_iter().collect();
        for pair in edges.windows(2) {
            let (from_ms, until_ms) = (pair[0], pair[1]);
            let reports: Vec<_> = intakes.iter().filter(|intake| covered(intake).contains(&from_ms)).collect();
            let mut why = reports.iter().fold(Reasons::NONE, |why, intake| why.union(intake.loss.why));
            if reports.is_empty() {
                let is_evicted = evictions.iter().any(|range| range.contains(&from_ms));
                why.insert(if is_evicted { Unobserved::Evicted } else { Unobserved::Gap });
            } else if ZONES.iter().take(zones).any(|zone| folded(zone, from_ms)) {
                why.insert(Unobserved::Folded);
            }
            match periods.last_mut() {
                Some(last) if last.why == why => last.until_ms = until_ms,
                _ => periods.push(Period { from_ms, until_ms, why }),
            }
        }
        periods
    }

    /// Whether a name does not exist, and all of it lies behind the horizons.
    pub(super) fn has_vanished(&self, number: u32) -> bool {
        let mut answered = false;
        for Batch { intake, names } in &self.batches {
            for (row, _) in intake.rows.iter().zip(names).filter(|(_, name)| **name == number) {
                let (raw_hour, aggregate_hour) = self.ages.horizon(intake.identity.server_id);
                if ![0, 4].contains(&row.kind.number()) || row.last_ms / 3_600_000 >= u64::from(raw_hour.min(aggregate_hour)) {
                    return false;
                }
                answered |= row.kind.number() == 4;
            }
        }
        answered
    }
}
