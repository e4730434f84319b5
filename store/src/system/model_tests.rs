//! Random schedules of metrics against a plain model in memory, as `crate::tests::model` does it for DNS.
//!
//! Batches are new, copied, late, early, across hours, tell slots of others again and differ in the length of
//! slots; the clock moves both ways, retentions change, upkeep does steps, the process ends at writes. After
//! every action raw points and every roll-up must be what the model says.

use crate::database::testing::{End, end_at, use_memory};
use crate::tests::random::Random;
use crate::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use zonepulse_model::Identity;

const DEFAULT: Retention = Retention { raw_minutes: 180, aggregated_days: 2 };
const SERVERS: [u32; 2] = [1, 2];
const T0_S: u64 = 490_000 * 3600;

/// Server, series of the model, start, length.
type Place = (u32, u32, u64, u32);
/// Least, greatest, mean and last value, and how many; of raw points the value and nothing.
type Told = ([f64; 4], u32);

#[derive(Default, Clone)]
struct Model {
    /// In thousandths; of a slot that was told twice, the greater.
    points: BTreeMap<Place, i64>,
    committed: BTreeSet<Identity>,
    retention: BTreeMap<u32, Retention>,
    horizons: BTreeMap<u32, (u32, u32)>,
}

impl Model {
    fn retention(&self, server_id: u32) -> Retention {
        self.retention.get(&server_id).copied().unwrap_or(DEFAULT)
    }

    fn horizon(&self, server_id: u32) -> (u32, u32) {
        self.horizons.get(&server_id).copied().unwrap_or_default()
    }

    fn kept_from_s(&self, server_id: u32, level: Level, now_s: u64) -> u64 {
        let Retention { raw_minutes, aggregated_days } = self.retention(server_id);
        let (age_s, hour) = match level {
            Level::Raw => (u64::from(raw_minutes) * 60, self.horizon(server_id).0),
            _ => (u64::from(aggregated_days) * 86_400, self.horizon(server_id).1),
        };
        now_s.saturating_sub(age_s).max(u64::from(hour) * 3600)
    }

    fn expected(&self, level: Level, now_s: u64) -> BTreeMap<Place, Told> {
        let mut buckets: BTreeMap<Place, Vec<(u64, i64)>> = BTreeMap::new();
        for ((server_id, series, start_s, interval_s), value) in &self.points {
            let length_s = level.bucket_s().unwrap_or(*interval_s);
            let bucket = start_s / u64::from(length_s) * u64::from(length_s);
            if bucket >= self.kept_from_s(*server_id, level, now_s) {
                let place = (*server_id, *series, bucket, length_s);
                buckets.entry(place).or_default().push((start_s + u64::from(*interval_s), *value));
            }
        }
        let told = |values: Vec<(u64, i64)>| {
            let all = || values.iter().map(|(_, value)| *value);
            let value = |thousandths: i64| thousandths as f64 / 1000.0;
            let mean = value(all().sum()) / values.len() as f64;
            let last = values.iter().max().unwrap().1;
            ([value(all().min().unwrap()), value(all().max().unwrap()), mean, value(last)], values.len() as u32)
        };
        buckets.into_iter().map(|(place, values)| (place, told(values))).collect()
    }

    fn expire(&mut self, now_s: u64) {
        for server_id in SERVERS {
            let Retention { raw_minutes, aggregated_days } = self.retention(server_id);
            let hour = |age_s: u64| (now_s.saturating_sub(age_s) / 3600) as u32;
            let horizon = self.horizons.entry(server_id).or_default();
            horizon.0 = horizon.0.max(hour(u64::from(raw_minutes) * 60));
            horizon.1 = horizon.1.max(hour(u64::from(aggregated_days) * 86_400));
        }
    }
}

fn name(series: u32) -> (String, String) {
    (format!("m{}", series / 3), ["", "a", "b"][series as usize % 3].to_owned())
}

struct Schedule {
    random: Random,
    store: Option<Store>,
    model: Model,
    now_s: u64,
    seq: u64,
    /// Points sealed, servers whose horizons moved, slots told twice, points that came behind the horizon.
    done: [u64; 4],
    log: Vec<String>,
}

fn open() -> Store {
    let options = Options { block_cache_bytes: 1 << 20, write_buffer_bytes: 4 << 20, retention: DEFAULT, ..Options::default() };
    Store::open(Path::new("/store"), &options).unwrap()
}

impl Schedule {
    fn new(seed: u64) -> Self {
        use_memory();
        end_at(End::Never);
        let store = open();
        for server_id in SERVERS {
            store.registry().add_server(&format!("s{server_id}"), false, None, 0).unwrap();
        }
        let (random, log) = (Random(seed), Vec::new());
        Schedule { random, store: Some(store), model: Model::default(), now_s: T0_S + 1800, seq: 0, done: [0; 4], log }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// As after the end of the process.
    fn open_again(&mut self) {
        end_at(End::Never);
        self.store = None;
        self.store = Some(open());
    }

    fn act(&mut self) {
        let action = self.random.below(100);
        if self.random.one_in(8) {
            let writes = self.random.below(3) as u32;
            let end = if self.random.one_in(2) { End::Before(writes) } else { End::After(writes) };
            self.log.push(format!("the process will end: {end:?}"));
            end_at(end);
        }
        match action {
            0..45 => self.commit(),
            45..60 => self.tick(),
            60..84 => self.upkeep(),
            84..90 => self.change_retention(),
            90..95 => self.read_while_things_move(),
            _ => {
                self.log.push("open again".into());
                self.open_again();
            }
        }
        end_at(End::Never);
    }

    fn tick(&mut self) {
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

    /// A batch of the model: where, and its points.
    fn batch(&mut self, known: &Model) -> (Identity, u64, u32, u32, BTreeMap<(u32, u32), i64>) {
        let random = &mut self.random;
        let interval_s = random.of(&[5u64, 5, 5, 10, 60, 300]);
        let age_s = match random.below(10) {
            0..6 => random.below(400),
            6..8 => random.below(3 * 3600),
            8 => random.below(3 * 86_400),
            _ => 0,
        };
        let start_s = (self.now_s - age_s) / interval_s * interval_s;
        let slots = 1 + random.below(14) as u32;
        self.seq += 1;
        let mut identity = Identity { server_id: random.of(&SERVERS), epoch: random.below(2), seq: self.seq };
        // A copy, now and then with another content, which must not count either.
        if !known.committed.is_empty() && random.one_in(6) {
            let at = random.below(known.committed.len() as u64) as usize;
            identity = *known.committed.iter().nth(at).unwrap();
        }
        let mut values = BTreeMap::new();
        for _ in 0..random.below(6) {
            let series = if random.one_in(4) { random.below(150) } else { random.below(4) } as u32;
            let steady = random.below(1000) as i64 * 100;
            for slot in 0..slots {
                if random.one_in(5) {
                    continue;
                }
                let value = match series % 4 {
                    0 => steady,
                    1 => random.below(1000) as i64 * 100,
                    2 => random.below(1 << 20) as i64 * 4_096_000,
                    _ => random.below(1 << 30) as i64 - (1 << 29),
                };
                let at_s = start_s + u64::from(slot) * interval_s;
                let told = known.points.contains_key(&(identity.server_id, series, at_s, interval_s as u32));
                let behind = at_s / 3600 < u64::from(known.horizon(identity.server_id).0);
                // Behind the horizon nobody knows what was told.
                if !(told && behind) {
                    self.done[2] += u64::from(told);
                    self.done[3] += u64::from(behind);
                    values.insert((series, slot), value);
                }
            }
        }
        (identity, start_s, interval_s as u32, slots, values)
    }

    fn commit(&mut self) {
        let mut after = self.model.clone();
        let store = self.store().clone();
        let mut write = store.begin();
        for _ in 0..1 + self.random.below(3) {
            let (identity, start_s, interval_s, slots, values) = self.batch(&after);
            let copy = !after.committed.insert(identity);
            assert_eq!(write.is_committed(&identity).unwrap(), copy);
            let series: BTreeSet<u32> = values.keys().map(|(series, _)| *series).collect();
            let names: Vec<_> = series.iter().map(|series| name(*series)).collect();
            let ids = write.series_ids(identity.server_id, names.iter().map(|(metric, label)| (metric.as_str(), label.as_str())));
            let of =
                |series: u32| (0..slots).map(|slot| values.get(&(series, slot)).map(|value| *value as f64 / 1000.0)).collect();
            let series =
                ids.into_iter().zip(series).map(|(series_id, series)| SeriesIntake { series_id, values: of(series) }).collect();
            let outcome =
                write.add_system(&SystemIntake { identity, start_s, interval_s, slots, evicted: None, series }).unwrap();
            assert_eq!(outcome == Outcome::Duplicate, copy);
            if !copy {
                for ((series, slot), value) in values {
                    let place = (identity.server_id, series, start_s + u64::from(slot * interval_s), interval_s);
                    let told = after.points.entry(place).or_insert(value);
                    *told = value.max(*told);
                }
            }
        }
        let done = write.commit();
        drop(store);
        self.log.push(format!("commit: {done:?}"));
        if done.is_err() {
            // Whether it was written before the process ended, its marker says.
            self.open_again();
            let new = after.committed.difference(&self.model.committed).next().copied();
            if !new.is_some_and(|identity| self.store().begin().is_committed(&identity).unwrap()) {
                return;
            }
        }
        self.model = after;
    }

    fn upkeep(&mut self) {
        for _ in 0..1 + self.random.below(8) {
            let step = self.store().upkeep(self.now_s);
            self.log.push(format!("upkeep: {step:?}"));
            match step {
                Ok(Step::Sealed { points, .. }) => self.done[0] += points,
                Ok(step) => {
                    if let Step::Expired { servers } = step {
                        self.done[1] += servers as u64;
                    }
                    self.model.expire(self.now_s);
                }
                Err(_) => {
                    self.open_again();
                    let mut moved = self.model.clone();
                    moved.expire(self.now_s);
                    let expiry = self.store().inner.expiry.read().clone();
                    let found = |id: &u32| (expiry.horizon(*id).raw_hour, expiry.horizon(*id).aggregate_hour);
                    if SERVERS.iter().all(|id| moved.horizons.get(id).copied() == Some(found(id))) {
                        self.model = moved;
                    }
                }
            }
            if self.random.one_in(3) {
                self.now_s += 70;
            }
        }
    }

    fn change_retention(&mut self) {
        let server_id = self.random.of(&SERVERS);
        let raw_minutes = self.random.of(&[1, 59, 60, 61, 400, 5000]);
        let retention = Retention { raw_minutes, aggregated_days: self.random.of(&[1, 2, 9]) };
        self.log.push(format!("retention of {server_id}: {retention:?}"));
        let mut server = self.store().registry().server(server_id).unwrap().unwrap();
        server.overrides.raw_retention_minutes = Some(raw_minutes);
        server.overrides.aggregated_retention_days = Some(retention.aggregated_days);
        if self.store().registry().put_server(&server).is_err() {
            self.open_again();
        }
        let there = self.store().registry().server(server_id).unwrap().unwrap().overrides;
        if let Some((raw_minutes, aggregated_days)) = there.raw_retention_minutes.zip(there.aggregated_retention_days) {
            self.model.retention.insert(server_id, Retention { raw_minutes, aggregated_days });
        }
    }

    /// A scan that has begun sees nothing of what is sealed, dropped and committed meanwhile.
    fn read_while_things_move(&mut self) {
        end_at(End::Never);
        let level = self.random.of(&Level::ALL);
        let expected = self.model.expected(level, self.now_s);
        let (store, now_s) = (self.store().clone(), self.now_s);
        let mut found = Vec::new();
        let mut moved = false;
        let each = &mut |points: &SystemPoints| {
            if !std::mem::replace(&mut moved, true) {
                for _ in 0..3 {
                    self.now_s += 70;
                    self.commit();
                    self.upkeep();
                }
            }
            found.push(points.clone());
            ControlFlow::Continue(())
        };
        store.system(level, now_s, &SystemSelection::all(), each).unwrap();
        self.log.push("read while things moved".into());
        assert_eq!(self.collect(&found), expected, "a scan that began before");
    }

    fn collect(&self, all: &[SystemPoints]) -> BTreeMap<Place, Told> {
        let names: BTreeMap<_, _> = (0..150).map(|series| (name(series), series)).collect();
        let series = self.store().series();
        let mut found = BTreeMap::new();
        for points in all {
            let (metric, label) = series.get(points.series_id).unwrap();
            let number = names[&(metric.to_owned(), label.to_owned())];
            for (at, start_s) in points.starts_s.iter().enumerate() {
                let told = match points.buckets.get(at) {
                    Some(b) => ([b.min, b.max, b.avg(), b.last], b.count),
                    None => ([points.values[at]; 4], 1),
                };
                let place = (points.server_id, number, *start_s, points.interval_s);
                assert_eq!(found.insert(place, told), None, "{place:?} came twice");
            }
        }
        found
    }

    fn verify(&mut self) {
        for level in Level::ALL {
            let expected = self.model.expected(level, self.now_s);
            self.verify_level(level, &SystemSelection::all(), &expected);
            let from_s = self.now_s - self.random.below(90_000);
            let until_s = from_s + self.random.below(90_000);
            let wanted: BTreeSet<u32> = (0..3).map(|_| self.random.below(6) as u32).collect();
            let ids: BTreeMap<_, _> = self.store().series().iter().map(|(id, a, b)| ((a.to_owned(), b.to_owned()), id)).collect();
            let mut series: Vec<u32> = wanted.iter().filter_map(|series| ids.get(&name(*series)).copied()).collect();
            series.sort_unstable();
            let servers = vec![self.random.of(&SERVERS)];
            let selected = expected
                .into_iter()
                .filter(|((server, series, start_s, _), _)| {
                    servers.contains(server) && wanted.contains(series) && (from_s..until_s).contains(start_s)
                })
                .collect();
            let selection = SystemSelection { servers: Some(servers), from_s, until_s, series: Some(series) };
            self.verify_level(level, &selection, &selected);
        }
    }

    fn verify_level(&self, level: Level, selection: &SystemSelection, expected: &BTreeMap<Place, Told>) {
        let mut found = Vec::new();
        let each = &mut |points: &SystemPoints| {
            found.push(points.clone());
            ControlFlow::Continue(())
        };
        self.store().system(level, self.now_s, selection, each).unwrap();
        let places: Vec<_> = found.iter().map(|p| (p.starts_s[0] / 3600, p.server_id, p.series_id, p.interval_s)).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!(&self.collect(&found), expected, "{level:?} of {selection:?}");
        assert_eq!(self.store().system_count(level, self.now_s, selection).unwrap(), expected.len() as u64);
    }
}

fn run(seed: u64) -> [u64; 4] {
    let mut schedule = Schedule::new(seed);
    let actions = 20 + schedule.random.below(40);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..actions {
            schedule.act();
            schedule.verify();
        }
        assert_eq!(schedule.store().check().unwrap().faults, Vec::<String>::new());
    }));
    if let Err(panic) = outcome {
        eprintln!("ZONEPULSE_TESTS_SEED={seed} fails after:\n  {}", schedule.log.join("\n  "));
        std::panic::resume_unwind(panic);
    }
    schedule.done
}

#[test]
fn whatever_happens_metrics_are_those_of_a_plain_model() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (first, count) = (number("ZONEPULSE_TESTS_SEED", 1), number("ZONEPULSE_TESTS_SCHEDULES", 120));
    let done = (first..first + count).map(run).fold([0; 4], |sum, done| [0, 1, 2, 3].map(|at| sum[at] + done[at]));
    println!("{count} schedules: {done:?} points sealed, horizons moved, slots told twice, points behind the horizon");
    assert!(count < 100 || done.iter().all(|count| *count > 0), "{done:?}");
}
