//! Random schedules of metrics against a plain model in memory, as `crate::tests::model` does it for DNS.
//!
//! Batches are new, copied, late, early, across hours, tell slots of others again and differ in the length of
//! slots; the clock moves both ways, retentions change, upkeep does steps, the process ends at writes. After
//! every action raw points and every roll-up must be what the model says.

use crate::database::testing::{End, end_at, use_memory};
use crate::tests::driver::{self, Ages, Driver, add_servers};
use crate::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use zonepulse_model::{IdSet, Identity, ServerId};

const SERVERS: [ServerId; 2] = [ServerId::new(1), ServerId::new(2)];

/// Server, series of the model, start, length.
type Place = (ServerId, u32, u64, u32);
/// Least, greatest, mean and last value, and how many; of raw points the value and nothing.
type Told = ([f64; 4], u32);

#[derive(Default, Clone)]
struct Model {
    /// In thousandths; of a slot that was told twice, the greater.
    points: BTreeMap<Place, i64>,
    committed: BTreeSet<Identity>,
    ages: Ages,
}

impl Model {
    fn expected(&self, level: Level, now_s: u64) -> BTreeMap<Place, Told> {
        let mut buckets: BTreeMap<Place, Vec<(u64, i64)>> = BTreeMap::new();
        for ((server_id, series, start_s, interval_s), value) in &self.points {
            let length_s = level.bucket_s().unwrap_or(*interval_s);
            let bucket = start_s / u64::from(length_s) * u64::from(length_s);
            if bucket >= self.ages.kept_from_s(*server_id, level, now_s) {
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
}

fn name(series: u32) -> (String, String) {
    (format!("m{}", series / 3), ["", "a", "b"][series as usize % 3].to_owned())
}

struct Schedule {
    driver: Driver,
    model: Model,
    /// Points sealed, servers whose horizons moved, slots told twice, points that came behind the horizon.
    done: [u64; 4],
}

impl Schedule {
    fn new(seed: u64) -> Self {
        use_memory();
        let driver = Driver::new(seed, PathBuf::from("/store"), Precision::default());
        add_servers(driver.store(), &SERVERS);
        Schedule { driver, model: Model::default(), done: [0; 4] }
    }

    fn act(&mut self) {
        let action = self.driver.random.below(100);
        self.driver.arm();
        match action {
            0..45 => self.commit(),
            45..60 => self.driver.tick(),
            60..84 => self.upkeep(),
            84..90 => self.driver.change_retention(&SERVERS, &mut self.model.ages),
            90..95 => self.read_while_things_move(),
            _ => {
                self.driver.log.push("open again".into());
                self.driver.open_again();
            }
        }
        end_at(End::Never);
    }

    /// A batch of the model: where, and its points.
    fn batch(&mut self, known: &Model) -> (Identity, u64, u32, u32, BTreeMap<(u32, u32), i64>) {
        let interval_s = self.driver.random.of(&[5u64, 5, 5, 10, 60, 300]);
        let age_s = self.driver.age_s(400);
        let random = &mut self.driver.random;
        let start_s = (self.driver.now_s - age_s) / interval_s * interval_s;
        let slots = 1 + random.below(14) as u32;
        self.driver.seq += 1;
        let mut identity = Identity { server_id: random.of(&SERVERS), epoch: random.below(2), seq: self.driver.seq };
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
                let behind = at_s / 3600 < u64::from(known.ages.horizon(identity.server_id).0);
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
        let store = self.driver.store().clone();
        let mut write = store.begin();
        for _ in 0..1 + self.driver.random.below(3) {
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
        self.driver.log.push(format!("commit: {done:?}"));
        if done.is_err() {
            // Whether it was written before the process ended, its marker says.
            self.driver.open_again();
            let new = after.committed.difference(&self.model.committed).next().copied();
            if !new.is_some_and(|identity| self.driver.store().begin().is_committed(&identity).unwrap()) {
                return;
            }
        }
        self.model = after;
    }

    fn upkeep(&mut self) {
        for _ in 0..1 + self.driver.random.below(8) {
            match self.driver.step(&SERVERS, &mut self.model.ages) {
                Some(Step::Sealed { points, .. }) => self.done[0] += points,
                Some(Step::Expired { servers }) => self.done[1] += servers as u64,
                _ => {}
            }
            if self.driver.random.one_in(3) {
                self.driver.now_s += 70;
            }
        }
    }

    /// A scan that has begun sees nothing of what is sealed, dropped and committed meanwhile.
    fn read_while_things_move(&mut self) {
        end_at(End::Never);
        let level = self.driver.random.of(&Level::ALL);
        let expected = self.model.expected(level, self.driver.now_s);
        let (store, now_s) = (self.driver.store().clone(), self.driver.now_s);
        let mut found = Vec::new();
        let mut moved = false;
        let each = &mut |points: &SystemPoints| {
            if !std::mem::replace(&mut moved, true) {
                for _ in 0..3 {
                    self.driver.now_s += 70;
                    self.commit();
                    self.upkeep();
                }
            }
            found.push(points.clone());
            ControlFlow::Continue(())
        };
        store.system(level, now_s, &SystemSelection::all(), each).unwrap();
        self.driver.log.push("read while things moved".into());
        assert_eq!(self.collect(&found), expected, "a scan that began before");
    }

    fn collect(&self, all: &[SystemPoints]) -> BTreeMap<Place, Told> {
        let names: BTreeMap<_, _> = (0..150).map(|series| (name(series), series)).collect();
        let series = self.driver.store().series();
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
            let expected = self.model.expected(level, self.driver.now_s);
            self.verify_level(level, &SystemSelection::all(), &expected);
            let from_s = self.driver.now_s - self.driver.random.below(90_000);
            let until_s = from_s + self.driver.random.below(90_000);
            let wanted: BTreeSet<u32> = (0..3).map(|_| self.driver.random.below(6) as u32).collect();
            let ids: BTreeMap<_, _> =
                self.driver.store().series().iter().map(|(id, a, b)| ((a.to_owned(), b.to_owned()), id)).collect();
            let series = wanted.iter().filter_map(|series| ids.get(&name(*series)).copied()).collect();
            let servers: IdSet<ServerId> = [self.driver.random.of(&SERVERS)].into();
            let selected = expected
                .into_iter()
                .filter(|((server, series, start_s, _), _)| {
                    servers.has(*server) && wanted.contains(series) && (from_s..until_s).contains(start_s)
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
        self.driver.store().system(level, self.driver.now_s, selection, each).unwrap();
        let places: Vec<_> = found.iter().map(|p| (p.starts_s[0] / 3600, p.server_id, p.series_id, p.interval_s)).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!(&self.collect(&found), expected, "{level:?} of {selection:?}");
        assert_eq!(self.driver.store().system_count(level, self.driver.now_s, selection).unwrap(), expected.len() as u64);
    }
}

fn run(seed: u64) -> [u64; 4] {
    let mut schedule = Schedule::new(seed);
    let actions = 20 + schedule.driver.random.below(40);
    let run = |schedule: &mut Schedule| {
        for _ in 0..actions {
            schedule.act();
            schedule.verify();
        }
        assert_eq!(schedule.driver.store().check().unwrap().faults, Vec::<String>::new());
    };
    driver::run(seed, &mut schedule, |schedule| &schedule.driver.log, run);
    schedule.done
}

#[test]
fn whatever_happens_metrics_are_those_of_a_plain_model() {
    let seeds = driver::seeds(120);
    let count = seeds.end - seeds.start;
    let done = seeds.map(run).fold([0; 4], |sum, done| [0, 1, 2, 3].map(|at| sum[at] + done[at]));
    println!("{count} schedules: {done:?} points sealed, horizons moved, slots told twice, points behind the horizon");
    assert!(count < 100 || done.iter().all(|count| *count > 0), "{done:?}");
}
