//! Storing metrics: open blocks, in the same write as everything else in their batch.

use crate::Error;
use crate::database::key;
use crate::intake::Outcome;
use crate::reports::report::SystemReport;
use crate::system::System;
use crate::system::value::{Encoder, Raw};
use crate::write::Write;
use std::collections::BTreeMap;
use zonepulse_model::{Evicted, Identity, Interval, SeriesId, ServerId};

const HOUR_S: u64 = 3600;

/// The metrics of one server over some slots, before they are stored.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemIntake {
    /// The batch they belong to.
    pub identity: Identity,
    /// Start of the first slot, Unix seconds, a multiple of a slot's length.
    pub start_s: u64,
    /// Length of a slot, seconds; see [`Interval`].
    pub interval_s: u32,
    /// Number of slots, at most [`SystemIntake::MAX_SLOTS`].
    pub slots: u32,
    /// What the probe evicted before this batch.
    pub evicted: Option<Evicted>,
    /// The series, each once.
    pub series: Vec<SeriesIntake>,
}

/// The values of one series, before they are stored.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesIntake {
    /// The series, from [`Write::series_ids`]; if `None`, the series is skipped and its points are counted as
    /// refused.
    pub series_id: Option<SeriesId>,
    /// One value for each slot, finite; `None` where nothing was measured.
    pub values: Vec<Option<f64>>,
}

impl SystemIntake {
    /// Maximum number of slots in a batch.
    pub const MAX_SLOTS: u32 = 4096;

    /// The first invariant that the fields violate, if any.
    fn broken_promise(&self) -> Option<&'static str> {
        if Interval::new(self.interval_s).is_err() {
            return Some("interval_s");
        }
        if self.start_s >= 1 << 40 || !self.start_s.is_multiple_of(u64::from(self.interval_s)) {
            return Some("start_s");
        }
        if self.slots == 0 || self.slots > Self::MAX_SLOTS {
            return Some("slots");
        }
        let mut ids: Vec<SeriesId> = self.series.iter().filter_map(|series| series.series_id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair.first() == pair.last()) {
            return Some("series_id");
        }
        let good = |series: &SeriesIntake| {
            series.values.len() == self.slots as usize && series.values.iter().flatten().all(|value| value.is_finite())
        };
        if self.series.iter().all(good) { None } else { Some("values") }
    }

    /// The points by hour, and the number of points without a series.
    fn by_hour(&self) -> (BTreeMap<u32, Raw>, u64) {
        let (mut hours, mut refused) = (BTreeMap::<u32, Raw>::new(), 0);
        for series in &self.series {
            let there = (0u64..).zip(&series.values).filter_map(|(at, value)| value.map(|value| (at, value)));
            let Some(series_id) = series.series_id else {
                refused += there.count() as u64;
                continue;
            };
            for (at, value) in there {
                let start_s = self.start_s + at * u64::from(self.interval_s);
                let slot = (start_s % HOUR_S / u64::from(self.interval_s)) as u16;
                let raw = hours.entry(key::hour(start_s)).or_default();
                raw.entry((series_id, self.interval_s)).or_default().push((slot, value));
            }
        }
        (hours, refused)
    }
}

impl Write<'_> {
    /// The numbers of a server's series, by metric and label; unknown series are added with this write. `None` where
    /// the server may not add a series.
    pub fn series_ids<'n>(
        &mut self,
        server_id: ServerId,
        names: impl Iterator<Item = (&'n str, &'n str)>,
    ) -> Vec<Option<SeriesId>> {
        let System { series, shares, .. } = &self.inner.system;
        series.read().resolve(&mut self.series, shares, server_id, names, self.now)
    }

    /// Adds a batch of metrics, unless it is already stored.
    pub fn add_system(&mut self, intake: &SystemIntake) -> Result<Outcome, Error> {
        if let Some(field) = intake.broken_promise() {
            return Err(Error::BadIntake(field));
        }
        let mut encoder = Encoder::new()?;
        if !self.mark(&intake.identity, intake.start_s)? {
            self.duplicates += 1;
            return Ok(Outcome::Duplicate);
        }
        let database = &self.inner.database;
        let (hours, refused) = intake.by_hour();
        let mut points = 0;
        for (hour, raw) in &hours {
            let key = key::open(&intake.identity, intake.start_s.max(u64::from(*hour) * HOUR_S));
            self.batch.put_cf(database.family(key::SYSTEM_OPEN), key, encoder.raw(0, raw));
            self.system_hours.push((*hour, intake.identity.server_id));
            points += raw.values().map(|values| values.len() as u64).sum::<u64>();
        }
        let report = SystemReport { interval_s: intake.interval_s, slots: intake.slots, points, evicted: intake.evicted };
        self.batch.put_cf(database.family(key::REPORTS), key::report(&intake.identity, intake.start_s), report.encode());
        intake.evicted.iter().for_each(|evicted| self.ledger.evicted(intake.identity.server_id, evicted));
        if refused > 0 {
            *self.series.refused_points.entry(intake.identity.server_id).or_default() += refused;
        }
        self.committed += 1;
        Ok(Outcome::Committed)
    }
}
