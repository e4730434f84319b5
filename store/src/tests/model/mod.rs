//! Random schedules against a plain model in memory.
//!
//! A schedule commits batches (new, copied, late, early, of several epochs and
//! lengths of interval), moves the clock both ways, changes retentions, does
//! steps of upkeep, opens the store again, and ends the process at writes.
//! In one of five a server has more epochs than are remembered, so what comes late of those is refused.
//! Two schedules of three keep the second of a last access in points, the third all of it.
//! After every action the points of a level, sums, totals and coverage must be
//! what the model says, and those of every level at the end. The disk is one in
//! memory: nothing is waited for, and an end of the process at a write leaves
//! what a real one would. `ZONEPULSE_SCHEDULES` says how many schedules (2,000),
//! `ZONEPULSE_SEED` where to begin; a schedule that fails tells its seed.

mod splits;

use crate::database::testing::{End, copy, end_at, remove, use_memory};
use crate::write::epochs::MAX_EPOCHS;
use crate::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use zonepulse_dns::{MessageKind, RecordType};

/// SplitMix64: the choices of a schedule, the same for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// A point as it is told: server, start, length, name, kind.
type Place = (u32, u64, u32, u32, u16);
/// A report: identity, start, length, hits, end of the coverage, counters.
type Told = (Identity, u64, u32, u64, u64, Vec<(u16, u64)>);
type Found = BTreeMap<Place, (u64, u64)>;

#[derive(Clone)]
struct Batch {
    intake: Intake,
    /// Names of the rows' records, by number of the model.
    names: Vec<u32>,
}

#[derive(Default, Clone)]
struct Model {
    batches: Vec<Batch>,
    committed: BTreeSet<Identity>,
    retention: BTreeMap<u32, Retention>,
    horizons: BTreeMap<u32, (u32, u32)>,
    precision: Precision,
}

const DEFAULT: Retention = Retention { raw_minutes: 180, aggregated_days: 2 };
const SERVERS: [u32; 3] = [1, 2, 3];
const T0_S: u64 = 490_000 * 3600;
const NAMES: u32 = 300;

fn name(number: u32) -> String {
    format!("n{number}.example.")
}

/// The number of what was swept.
const SWEPT: u32 = u32::MAX;

fn number_of(name: &str) -> u32 {
    if name == OTHER { SWEPT } else { name[1..name.find('.').unwrap()].parse().unwrap() }
}

impl Model {
    fn retention(&self, server_id: u32) -> Retention {
        self.retention.get(&server_id).copied().unwrap_or(DEFAULT)
    }

    fn kept_from_s(&self, server_id: u32, level: Level, now_s: u64) -> u64 {
        let Retention { raw_minutes, aggregated_days } = self.retention(server_id);
        let (raw_hour, aggregate_hour) = self.horizons.get(&server_id).copied().unwrap_or_default();
        let (age_s, hour) = match level {
            Level::Raw => (u64::from(raw_minutes) * 60, raw_hour),
            _ => (u64::from(aggregated_days) * 86_400, aggregate_hour),
        };
        now_s.saturating_sub(age_s).max(u64::from(hour) * 3600)
    }

    fn points(&self, level: Level, now_s: u64) -> Found {
        let mut found = Found::new();
        for Batch { intake, names } in &self.batches {
            let length_s = level.bucket_s().unwrap_or(intake.interval_s);
            let start_s = intake.start_s / u64::from(length_s) * u64::from(length_s);
            if start_s < self.kept_from_s(intake.identity.server_id, level, now_s) {
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

    fn totals(&self) -> BTreeMap<(u32, u32, u16), (u64, u64, u64)> {
        let mut totals = BTreeMap::new();
        for Batch { intake, names } in &self.batches {
            for (row, name) in intake.rows.iter().zip(names) {
                let total = totals.entry((intake.identity.server_id, *name, row.kind.number())).or_insert((0, u64::MAX, 0));
                *total = (total.0 + row.hits, total.1.min(row.first_ms), total.2.max(row.last_ms));
            }
        }
        totals
    }

    fn coverage(&self, now_s: u64) -> BTreeSet<Told> {
        let kept = |intake: &&Intake| intake.start_s >= self.kept_from_s(intake.identity.server_id, Level::H1, now_s);
        let report = |intake: &Intake| {
            let hits = intake.rows.iter().map(|row| row.hits).sum();
            (intake.identity, intake.start_s, intake.interval_s, hits, intake.covered_until_ms, intake.counters.clone())
        };
        self.batches.iter().map(|batch| &batch.intake).filter(kept).map(report).collect()
    }

    /// All servers' horizons are where upkeep moves them to.
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

impl Model {
    /// Whether a name does not exist, and all of it lies behind the horizons.
    fn has_vanished(&self, number: u32) -> bool {
        let mut answered = false;
        for Batch { intake, names } in &self.batches {
            for (row, _) in intake.rows.iter().zip(names).filter(|(_, name)| **name == number) {
                let (raw_hour, aggregate_hour) = self.horizons.get(&intake.identity.server_id).copied().unwrap_or_default();
                if row.kind.number() == 1 || row.last_ms / 3_600_000 >= u64::from(raw_hour.min(aggregate_hour)) {
                    return false;
                }
                answered |= row.kind.number() == 4;
            }
        }
        answered
    }
}

struct Schedule {
    random: Random,
    store: Option<Store>,
    path: PathBuf,
    model: Model,
    now_s: u64,
    seq: u64,
    /// Whether it has many epochs.
    flood: bool,
    /// Points sealed, servers whose horizons moved, records swept.
    done: [u64; 3],
    log: Vec<String>,
}

fn open(path: &Path, precision: Precision) -> Store {
    let sizes = Options { block_cache_bytes: 1 << 20, write_buffer_bytes: 4 << 20, ..Options::default() };
    let options = Options { retention: DEFAULT, raw_last_access: precision, ..sizes };
    Store::open(path, &options).unwrap()
}

/// With the servers, and nothing else in it.
fn empty() -> Store {
    use_memory();
    let store = open(Path::new("/empty"), Precision::Seconds);
    for server_id in SERVERS {
        assert_eq!(store.registry().add_server(&format!("s{server_id}"), false, String::new(), 0).unwrap().id, server_id);
    }
    store
}

thread_local! {
    static EMPTY: Store = empty();
}

impl Schedule {
    fn new(seed: u64) -> Self {
        end_at(End::Never);
        let precision = if seed.is_multiple_of(3) { Precision::Milliseconds } else { Precision::Seconds };
        let path = PathBuf::from(format!("/{seed}"));
        EMPTY.with(|empty| copy(&empty.inner.database, &path));
        Schedule {
            random: Random(seed),
            store: Some(open(&path, precision)),
            path,
            model: Model { precision, ..Model::default() },
            now_s: T0_S + 1800,
            seq: 0,
            flood: seed.is_multiple_of(5),
            done: [0; 3],
            log: Vec::new(),
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// As after the end of the process.
    fn open_again(&mut self) {
        end_at(End::Never);
        self.store = None;
        self.store = Some(open(&self.path, self.model.precision));
    }

    fn act(&mut self) {
        let action = self.random.below(100);
        let armed = self.random.one_in(8);
        if armed {
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
            90..94 => self.read_while_things_move(),
            94..97 => {
                self.log.push("close".into());
                let closed = self.store().close().is_ok();
                self.log.push(format!("open again, closed: {closed}"));
                self.open_again();
            }
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

    fn batch(&mut self) -> Batch {
        let random = &mut self.random;
        let interval_s = random.of(&[60, 60, 60, 60, 30, 300, 5]);
        let age_s = match random.below(10) {
            0..6 => random.below(120),
            6..8 => random.below(3 * 3600),
            8 => random.below(3 * 86_400),
            _ => 0,
        };
        let start_s = (self.now_s - age_s) / interval_s * interval_s;
        let start_ms = start_s * 1000;
        let mut rows: Vec<(u32, IntakeRow)> = Vec::new();
        for _ in 0..random.below(12) {
            let number = if random.one_in(4) { random.below(u64::from(NAMES)) } else { random.below(5) } as u32;
            let kind = MessageKind::from_number(random.of(&[0, 0, 1, 4])).unwrap();
            if rows.iter().any(|(other, row)| (*other, row.kind) == (number, kind)) {
                continue;
            }
            let first_ms = start_ms + random.below(interval_s * 1000);
            let last_ms = first_ms + random.below(start_ms + interval_s * 1000 - first_ms);
            rows.push((number, IntakeRow { record_id: 0, kind, hits: 1 + random.below(300), first_ms, last_ms }));
        }
        self.seq += 1;
        let intake = Intake {
            identity: Identity {
                server_id: random.of(if self.flood { &[1, 1, 1, 2][..] } else { &SERVERS[..] }),
                epoch: random.below(if self.flood { 40 } else { 2 }),
                seq: self.seq,
            },
            start_s,
            interval_s: interval_s as u32,
            covered_from_ms: start_ms,
            covered_until_ms: start_ms + random.below(interval_s * 1000),
            counters: vec![(2, random.below(9))],
            evicted: None,
            rows: rows.iter().map(|(_, row)| *row).collect(),
        };
        Batch { intake, names: rows.iter().map(|(number, _)| *number).collect() }
    }

    fn commit(&mut self) {
        let mut new = Vec::new();
        for _ in 0..1 + self.random.below(if self.flood { 12 } else { 3 }) {
            let mut batch = self.batch();
            // A copy, now and then with another content, which must not count either.
            let known = self.model.committed.len();
            if known > 0 && self.random.one_in(5) {
                let at = self.random.below(known as u64) as usize;
                if self.flood {
                    // The same: with another time it may be taken once more when it is forgotten.
                    let Intake { identity, start_s, .. } = self.model.batches[at].intake;
                    (batch.intake.identity, batch.intake.start_s) = (identity, start_s);
                } else {
                    batch.intake.identity = *self.model.committed.iter().nth(at).unwrap();
                }
            }
            new.push(batch);
        }
        let mut after = self.model.clone();
        let store = self.store().clone();
        let mut write = store.begin();
        for batch in new {
            let names: Vec<String> = batch.names.iter().map(|number| name(*number)).collect();
            let identity = batch.intake.identity;
            let copy = !after.committed.insert(identity);
            match write.is_known(&identity, batch.intake.start_s) {
                Ok(known) => assert_eq!(known, copy),
                Err(Error::TooLate { .. }) => {
                    let epochs: BTreeSet<_> = after.committed.iter().map(|known| (known.server_id, known.epoch)).collect();
                    assert!(epochs.iter().filter(|(of, _)| *of == identity.server_id).count() > MAX_EPOCHS);
                    if !copy {
                        after.committed.remove(&identity);
                    }
                    continue;
                }
                Err(error) => panic!("{error}"),
            }
            if self.flood && copy {
                continue;
            }
            assert_eq!(write.is_committed(&identity).unwrap(), copy);
            let ids = write.record_ids(batch.intake.identity.server_id, names.iter().map(|name| (name.as_str(), RecordType::A)));
            let mut intake = batch.intake.clone();
            intake.rows.iter_mut().zip(ids).for_each(|(row, id)| row.record_id = id);
            let outcome = write.add(intake).unwrap();
            assert_eq!(outcome == Outcome::Duplicate, copy);
            if !copy {
                after.batches.push(batch);
            }
        }
        let before = after.batches.len() - self.model.batches.len();
        let done = write.commit();
        drop(store);
        self.log.push(format!("commit {before} batches: {done:?}"));
        match done {
            Ok(()) => self.model = after,
            Err(_) => {
                // Whether it was written before the process ended, its marker says.
                self.open_again();
                let new = after.committed.difference(&self.model.committed).next().copied();
                if new.is_some_and(|identity| self.store().begin().is_committed(&identity).unwrap()) {
                    self.model = after;
                }
            }
        }
    }

    fn upkeep(&mut self) {
        for _ in 0..1 + self.random.below(6) {
            let step = self.store().upkeep(self.now_s);
            self.log.push(format!("upkeep: {step:?}"));
            match step {
                Ok(Step::Sealed { points, .. }) => self.done[0] += points,
                Ok(step) => {
                    match step {
                        Step::Expired { servers } => self.done[1] += servers as u64,
                        Step::Swept { records } => self.done[2] += records as u64,
                        _ => {}
                    }
                    self.model.expire(self.now_s);
                    self.sweep();
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
                    self.sweep();
                }
            }
            if self.random.one_in(3) {
                self.now_s += 70;
            }
        }
    }

    /// Names that are not there any more must have vanished.
    fn sweep(&mut self) {
        let store = self.store().clone();
        let dictionary = store.dictionary();
        let told: BTreeSet<u32> = self.model.batches.iter().flat_map(|batch| batch.names.iter().copied()).collect();
        for number in told.into_iter().filter(|number| *number != SWEPT) {
            if dictionary.find(&name(number), RecordType::A).is_some() {
                continue;
            }
            assert!(self.model.has_vanished(number), "{} was swept", name(number));
            let names = self.model.batches.iter_mut().flat_map(|batch| &mut batch.names);
            names.filter(|name| **name == number).for_each(|name| *name = SWEPT);
        }
    }

    fn change_retention(&mut self) {
        let server_id = self.random.of(&SERVERS);
        let retention = match self.random.below(4) {
            0 => None,
            _ => {
                let raw_minutes = self.random.of(&[1, 59, 60, 61, 400, 5000]);
                Some(Retention { raw_minutes, aggregated_days: self.random.of(&[1, 2, 9]) })
            }
        };
        self.log.push(format!("retention of {server_id}: {retention:?}"));
        let mut server = self.store().registry().server(server_id).unwrap().unwrap();
        server.overrides.raw_retention_minutes = retention.map(|retention| retention.raw_minutes);
        server.overrides.aggregated_retention_days = retention.map(|retention| retention.aggregated_days);
        let done = self.store().registry().put_server(&server);
        if done.is_err() {
            self.open_again();
        }
        let there = self.store().registry().server(server_id).unwrap().unwrap().overrides;
        match there.raw_retention_minutes.zip(there.aggregated_retention_days) {
            Some((raw_minutes, aggregated_days)) => {
                self.model.retention.insert(server_id, Retention { raw_minutes, aggregated_days })
            }
            None => self.model.retention.remove(&server_id),
        };
    }

    /// A scan that has begun sees nothing of what is sealed, dropped and committed meanwhile.
    fn read_while_things_move(&mut self) {
        end_at(End::Never);
        let level = self.random.of(&Level::ALL);
        let reading = Reading { level, now_s: self.now_s, last_access: true };
        let expected = self.model.points(level, self.now_s);
        let store = self.store().clone();
        let mut found = Vec::new();
        let mut moved = false;
        let each = &mut |points: &Points| {
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
        store.scan(&reading, &Selection::all(), each).unwrap();
        self.log.push("read while things moved".into());
        assert_eq!(self.collect(&found), expected, "a scan that began before");
    }

    fn collect(&self, all: &[Points]) -> Found {
        let dictionary = self.store().dictionary();
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
    fn verify(&mut self, levels: &[Level]) {
        for level in levels.iter().copied() {
            let expected = self.model.points(level, self.now_s);
            self.verify_level(level, &Selection::all(), &expected, true);
            let (from_s, length_s) = (self.now_s - self.random.below(90_000), self.random.below(90_000));
            let number = self.random.below(5) as u32;
            let record = self.store().dictionary().find(&name(number), RecordType::A);
            let selection = Selection {
                servers: self.random.one_in(2).then(|| vec![self.random.of(&SERVERS)]),
                from_s,
                until_s: from_s + length_s,
                kinds: if self.random.one_in(2) { Kinds::All } else { Kinds::Responses },
                records: self.random.one_in(2).then(|| record.into_iter().collect()),
            };
            let kept = |place: &Place| {
                selection.servers.as_ref().is_none_or(|servers| servers.contains(&place.0))
                    && (selection.from_s..selection.until_s).contains(&place.1)
                    && (selection.kinds == Kinds::All || place.4 != 0)
                    && selection.records.as_ref().is_none_or(|_| place.3 == number)
            };
            let selected: Found = expected.into_iter().filter(|(place, _)| kept(place)).collect();
            self.verify_level(level, &selection, &selected, self.random.0.is_multiple_of(2));
        }
        let mut totals = BTreeMap::new();
        let mut ids = Vec::new();
        self.store().totals(None, &mut |total| ids.push(total));
        for total in ids {
            let (name, _) = self.store().dictionary().get(total.record_id).map(|(name, t)| (name.to_owned(), t)).unwrap();
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
        self.store().coverage(None, 0, u64::MAX, self.now_s, each).unwrap();
        assert_eq!(coverage, self.model.coverage(self.now_s), "coverage");
    }

    fn verify_level(&self, level: Level, selection: &Selection, expected: &Found, last_access: bool) {
        let reading = Reading { level, now_s: self.now_s, last_access };
        let expected: Found =
            expected.iter().map(|(place, (hits, last_ms))| (*place, (*hits, if last_access { *last_ms } else { 0 }))).collect();
        let mut found = Vec::new();
        let each = &mut |points: &Points| {
            found.push(points.clone());
            ControlFlow::Continue(())
        };
        self.store().scan(&reading, selection, each).unwrap();
        let hours: Vec<_> = found.iter().map(|points| (points.starts_s[0] / 3600, points.server_id)).collect();
        assert!(hours.is_sorted(), "{hours:?}");
        assert_eq!(self.collect(&found), expected, "{level:?} of {selection:?}");
        let counted = self.store().count(&reading, selection).unwrap();
        assert_eq!(counted, expected.len() as u64, "{level:?} of {selection:?}");
        let mut sums: BTreeMap<(u32, u32, u16), (u64, u64)> = BTreeMap::new();
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
        self.store().sums(&reading, selection, &mut |_| ControlFlow::Continue(()), each).unwrap();
        let dictionary = self.store().dictionary();
        for sum in all {
            let (name, _) = dictionary.get(sum.record_id).unwrap();
            let number = number_of(name);
            assert_eq!(told.insert((sum.server_id, number, sum.kind.number()), (sum.hits, sum.last_ms)), None);
        }
        assert_eq!(told, sums, "sums of {level:?} of {selection:?}");
        for split in splits::ALL {
            self.verify_split(&reading, selection, split, &expected);
        }
    }
}

fn run(seed: u64) -> [u64; 3] {
    let mut schedule = Schedule::new(seed);
    let actions = 10 + schedule.random.below(30);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..actions {
            schedule.act();
            // What is wrong stays wrong: the levels take turns until the end.
            let level = schedule.random.of(&Level::ALL);
            schedule.verify(&[level]);
        }
        schedule.open_again();
        schedule.verify(&Level::ALL);
        assert_eq!(schedule.store().check().unwrap().faults, Vec::<String>::new());
    }));
    if let Err(panic) = outcome {
        eprintln!("ZONEPULSE_SEED={seed} fails after:\n  {}", schedule.log.join("\n  "));
        std::panic::resume_unwind(panic);
    }
    schedule.store = None;
    remove(&schedule.path);
    schedule.done
}

fn add(sum: [u64; 3], done: [u64; 3]) -> [u64; 3] {
    [0, 1, 2].map(|at| sum[at] + done[at])
}

#[test]
fn whatever_happens_answers_are_those_of_a_plain_model() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (first, count) = (number("ZONEPULSE_SEED", 1), number("ZONEPULSE_SCHEDULES", 2000));
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let done = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || (first + thread..first + count).step_by(threads as usize).map(run).fold([0; 3], add))
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).fold([0; 3], add)
    });
    println!("{count} schedules: {done:?} points sealed, horizons moved, records swept");
    assert!(count < 100 || done.iter().all(|count| *count > 0), "{done:?}");
}
