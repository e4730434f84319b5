//! What random schedules against a model in memory have in common, whatever kind of points they are about: a store whose
//! process ends at writes and begins again, a clock that moves both ways, retentions that change, steps of upkeep.

use crate::database::testing::{End, end_at};
use crate::tests::random::Random;
use crate::{Level, Options, Precision, Retention, Step, Store};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use zonepulse_model::ServerId;

pub(crate) const T0_S: u64 = 490_000 * 3600;
pub(crate) const DEFAULT: Retention = Retention { raw_minutes: 180, aggregated_days: 2 };

/// For how long a model keeps points.
#[derive(Default, Clone)]
pub(crate) struct Ages {
    retention: BTreeMap<ServerId, Retention>,
    /// Hours before these have no raw points, and no roll-ups.
    horizons: BTreeMap<ServerId, (u32, u32)>,
}

/// A store in a schedule.
pub(crate) struct Driver {
    pub(crate) random: Random,
    pub(crate) now_s: u64,
    /// The number of the last batch.
    pub(crate) seq: u64,
    /// What was done.
    pub(crate) log: Vec<String>,
    path: PathBuf,
    precision: Precision,
    store: Option<Store>,
}

impl Ages {
    fn retention(&self, server_id: ServerId) -> Retention {
        self.retention.get(&server_id).copied().unwrap_or(DEFAULT)
    }

    pub(crate) fn horizon(&self, server_id: ServerId) -> (u32, u32) {
        self.horizons.get(&server_id).copied().unwrap_or_default()
    }

    pub(crate) fn kept_from_s(&self, server_id: ServerId, level: Level, now_s: u64) -> u64 {
        let Retention { raw_minutes, aggregated_days } = self.retention(server_id);
        let (raw_hour, aggregate_hour) = self.horizon(server_id);
        let (age_s, hour) = match level {
            Level::Raw => (u64::from(raw_minutes) * 60, raw_hour),
            _ => (u64::from(aggregated_days) * 86_400, aggregate_hour),
        };
        now_s.saturating_sub(age_s).max(u64::from(hour) * 3600)
    }

    /// All servers' horizons are where upkeep moves them to.
    fn expire(&mut self, servers: &[ServerId], now_s: u64) {
        for server_id in servers {
            let Retention { raw_minutes, aggregated_days } = self.retention(*server_id);
            let hour = |age_s: u64| (now_s.saturating_sub(age_s) / 3600) as u32;
            let horizon = self.horizons.entry(*server_id).or_default();
            horizon.0 = horizon.0.max(hour(u64::from(raw_minutes) * 60));
            horizon.1 = horizon.1.max(hour(u64::from(aggregated_days) * 86_400));
        }
    }
}

pub(crate) fn open(path: &Path, precision: Precision) -> Store {
    let sizes = Options { block_cache_bytes: 1 << 20, write_buffer_bytes: 4 << 20, ..Options::default() };
    Store::open(path, &Options { retention: DEFAULT, raw_last_access: precision, ..sizes }).unwrap()
}

/// Makes the servers that a schedule is about.
pub(crate) fn add_servers(store: &Store, servers: &[ServerId]) {
    for server_id in servers {
        assert_eq!(store.registry().add_server(&format!("s{server_id}"), false, None, 0).unwrap().id, *server_id);
    }
}

impl Driver {
    pub(crate) fn new(seed: u64, path: PathBuf, precision: Precision) -> Self {
        end_at(End::Never);
        let (random, store) = (Random(seed), Some(open(&path, precision)));
        Driver { random, now_s: T0_S + 1800, seq: 0, log: Vec::new(), path, precision, store }
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// Ends the process; gives where the store is.
    pub(crate) fn close(&mut self) -> &Path {
        self.store = None;
        &self.path
    }

    /// As after the end of the process.
    pub(crate) fn open_again(&mut self) {
        end_at(End::Never);
        self.store = None;
        self.store = Some(open(&self.path, self.precision));
    }

    /// Now and then, the process will end at one of the next writes.
    pub(crate) fn arm(&mut self) {
        if self.random.one_in(8) {
            let writes = self.random.below(3) as u32;
            let end = if self.random.one_in(2) { End::Before(writes) } else { End::After(writes) };
            self.log.push(format!("the process will end: {end:?}"));
            end_at(end);
        }
    }

    pub(crate) fn tick(&mut self) {
        let minutes = match self.random.below(10) {
            0..6 => 1 + self.random.below(10),
            6..8 => 20 + self.random.below(100),
            8 => 60 * self.random.below(60),
            _ => {
                self.now_s = (self.now_s - 60 * self.random.below(300)).max(T0_S);
                0
            }
        };
        self.now_s += minutes * 60 + self.random.below(60);
        self.log.push(format!("it is {} s", self.now_s - T0_S));
    }

    /// How long ago a batch began, seconds: mostly less than `little_s`, now and then hours or days.
    pub(crate) fn age_s(&mut self, little_s: u64) -> u64 {
        match self.random.below(10) {
            0..6 => self.random.below(little_s),
            6..8 => self.random.below(3 * 3600),
            8 => self.random.below(3 * 86_400),
            _ => 0,
        }
    }

    /// Does a step of upkeep; `None` when the process ended. Where it expires, so do the ages.
    pub(crate) fn step(&mut self, servers: &[ServerId], ages: &mut Ages) -> Option<Step> {
        let step = self.store().upkeep(self.now_s);
        self.log.push(format!("upkeep: {step:?}"));
        let Ok(step) = step else {
            self.open_again();
            let mut moved = ages.clone();
            moved.expire(servers, self.now_s);
            let expiry = self.store().inner.expiry.read().clone();
            let found = |id: &ServerId| (expiry.horizon(*id).raw_hour, expiry.horizon(*id).aggregate_hour);
            if servers.iter().all(|id| moved.horizons.get(id).copied() == Some(found(id))) {
                *ages = moved;
            }
            return None;
        };
        if !matches!(step, Step::Sealed { .. }) {
            ages.expire(servers, self.now_s);
        }
        Some(step)
    }

    pub(crate) fn change_retention(&mut self, servers: &[ServerId], ages: &mut Ages) {
        let server_id = self.random.of(servers);
        let retention = (!self.random.one_in(4)).then(|| {
            let raw_minutes = self.random.of(&[1, 59, 60, 61, 400, 5000]);
            Retention { raw_minutes, aggregated_days: self.random.of(&[1, 2, 9]) }
        });
        self.log.push(format!("retention of {server_id}: {retention:?}"));
        let mut server = self.store().registry().server(server_id).unwrap().unwrap();
        server.overrides.raw_retention_minutes = retention.map(|retention| retention.raw_minutes);
        server.overrides.aggregated_retention_days = retention.map(|retention| retention.aggregated_days);
        if self.store().registry().put_server(&server).is_err() {
            self.open_again();
        }
        let there = self.store().registry().server(server_id).unwrap().unwrap().overrides;
        match there.raw_retention_minutes.zip(there.aggregated_retention_days) {
            Some((raw_minutes, aggregated_days)) => ages.retention.insert(server_id, Retention { raw_minutes, aggregated_days }),
            None => ages.retention.remove(&server_id),
        };
    }
}

/// The seeds of the schedules to run, so many unless the environment says otherwise.
pub(crate) fn seeds(count: u64) -> Range<u64> {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (first, count) = (number("ZONEPULSE_TESTS_SEED", 1), number("ZONEPULSE_TESTS_SCHEDULES", count));
    first..first + count
}

/// Runs a schedule; where it fails, tells what it did until then.
pub(crate) fn run<S>(seed: u64, schedule: &mut S, log: impl Fn(&S) -> &[String], run: impl FnOnce(&mut S)) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(schedule)));
    if let Err(panic) = outcome {
        eprintln!("ZONEPULSE_TESTS_SEED={seed} fails after:\n  {}", log(schedule).join("\n  "));
        std::panic::resume_unwind(panic);
    }
}
