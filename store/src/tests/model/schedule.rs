//! A schedule: random actions on a store and the model.

use super::plain::{Batch, DEFAULT, Model, NAMES, SERVERS, SWEPT, T0_S, name};
use crate::database::testing::{End, copy, end_at, use_memory};
use crate::tests::random::Random;
use crate::write::epochs::MAX_EPOCHS;
use crate::*;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_model::Identity;

pub(super) struct Schedule {
    pub(super) random: Random,
    pub(super) store: Option<Store>,
    pub(super) path: PathBuf,
    pub(super) model: Model,
    pub(super) now_s: u64,
    seq: u64,
    /// Whether it has many epochs.
    flood: bool,
    /// Points sealed, servers whose horizons moved, records swept.
    pub(super) done: [u64; 3],
    pub(super) log: Vec<String>,
}

pub(super) fn open(path: &Path, precision: Precision) -> Store {
    let sizes = Options { block_cache_bytes: 1 << 20, write_buffer_bytes: 4 << 20, ..Options::default() };
    let options = Options { retention: DEFAULT, raw_last_access: precision, ..sizes };
    Store::open(path, &options).unwrap()
}

/// With the servers, and nothing else in it.
pub(super) fn empty() -> Store {
    use_memory();
    let store = open(Path::new("/empty"), Precision::Seconds);
    for server_id in SERVERS {
        assert_eq!(store.registry().add_server(&format!("s{server_id}"), false, None, 0).unwrap().id, server_id);
    }
    store
}

thread_local! {
    static EMPTY: Store = empty();
}

impl Schedule {
    pub(super) fn new(seed: u64) -> Self {
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

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// As after the end of the process.
    pub(super) fn open_again(&mut self) {
        end_at(End::Never);
        self.store = None;
        self.store = Some(open(&self.path, self.model.precision));
    }

    pub(super) fn act(&mut self) {
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

    pub(super) fn tick(&mut self) {
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

    pub(super) fn batch(&mut self) -> Batch {
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

    pub(super) fn commit(&mut self) {
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

    pub(super) fn upkeep(&mut self) {
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
    pub(super) fn sweep(&mut self) {
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

    pub(super) fn change_retention(&mut self) {
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
    pub(super) fn read_while_things_move(&mut self) {
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
}
