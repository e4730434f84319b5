//! A schedule: random actions on a store and the model.

use super::plain::{Batch, Model, NAMES, SERVERS, SWEPT, ZONES, messages, name};
use crate::database::testing::{End, copy, end_at, use_memory};
use crate::tests::driver::{Driver, add_servers, open};
use crate::write::epochs::MAX_EPOCHS;
use crate::*;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_model::{Evicted, Identity, RecordId, ServerId};

/// What was served, in some class.
const SERVED: u16 = MessageKind::MESSAGES + 2;
/// The servers of a schedule with many epochs: mostly the first one.
const FLOODED: [ServerId; 4] = [SERVERS[0], SERVERS[0], SERVERS[0], SERVERS[1]];

pub(super) struct Schedule {
    pub(super) driver: Driver,
    pub(super) model: Model,
    /// Whether it has many epochs.
    flood: bool,
    /// Points sealed, servers whose horizons moved, records swept.
    pub(super) done: [u64; 3],
}

/// With the servers, and nothing else in it.
fn empty() -> Store {
    use_memory();
    let store = open(Path::new("/empty"), Precision::Seconds);
    add_servers(&store, &SERVERS);
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
            driver: Driver::new(seed, path, precision),
            model: Model { precision, ..Model::default() },
            flood: seed.is_multiple_of(5),
            done: [0; 3],
        }
    }

    pub(super) fn act(&mut self) {
        let action = self.driver.random.below(100);
        self.driver.arm();
        match action {
            0..45 => self.commit(),
            45..60 => self.driver.tick(),
            60..84 => self.upkeep(),
            84..90 => self.driver.change_retention(&SERVERS, &mut self.model.ages),
            90..94 => self.read_while_things_move(),
            94..97 => {
                self.driver.log.push("close".into());
                let closed = self.driver.store().close().is_ok();
                self.driver.log.push(format!("open again, closed: {closed}"));
                self.driver.open_again();
            }
            _ => {
                self.driver.log.push("open again".into());
                self.driver.open_again();
            }
        }
        end_at(End::Never);
    }

    pub(super) fn batch(&mut self) -> Batch {
        let interval_s = self.driver.random.of(&[60, 60, 60, 60, 30, 300, 5]);
        let age_s = self.driver.age_s(120);
        let start_s = (self.driver.now_s - age_s) / interval_s * interval_s;
        let random = &mut self.driver.random;
        let start_ms = start_s * 1000;
        let mut rows: Vec<(u32, IntakeRow)> = Vec::new();
        for _ in 0..random.below(12) {
            let number = if random.one_in(4) { random.below(u64::from(NAMES)) } else { random.below(5) } as u32;
            let kind = MessageKind::from_number(random.of(&[0, 0, 1, 4, SERVED])).unwrap();
            if rows.iter().any(|(other, row)| (*other, row.kind) == (number, kind)) {
                continue;
            }
            let first_ms = start_ms + random.below(interval_s * 1000);
            let last_ms = first_ms + random.below(start_ms + interval_s * 1000 - first_ms);
            rows.push((number, IntakeRow { record_id: RecordId::OTHER, kind, hits: 1 + random.below(300), first_ms, last_ms }));
        }
        self.driver.seq += 1;
        let covered_until_ms = start_ms + random.below(interval_s * 1000);
        let covered_from_ms = if random.one_in(3) { start_ms + random.below(covered_until_ms - start_ms + 1) } else { start_ms };
        let reason = random.of(&[Unobserved::KernelDrop, Unobserved::Blind, Unobserved::Folded]);
        let zone = random.of(&ZONES).to_owned();
        let folded = random.one_in(8).then_some(zone).into_iter().collect();
        let loss = Loss { why: random.one_in(3).then_some(reason).into_iter().collect(), folded };
        let from_s = start_s - random.below(900);
        let evicted = random.one_in(8).then_some(Evicted { batches: 1, from_s, until_s: start_s });
        let intake = Intake {
            identity: Identity {
                server_id: random.of(if self.flood { &FLOODED[..] } else { &SERVERS[..] }),
                epoch: random.below(if self.flood { 40 } else { 2 }),
                seq: self.driver.seq,
            },
            start_s,
            interval_s: interval_s as u32,
            covered_from_ms,
            covered_until_ms,
            counters: vec![(2, random.below(9))],
            loss,
            evicted,
            rows: rows.iter().map(|(_, row)| *row).collect(),
        };
        Batch { intake, names: rows.iter().map(|(number, _)| *number).collect() }
    }

    pub(super) fn commit(&mut self) {
        let mut new = Vec::new();
        for _ in 0..1 + self.driver.random.below(if self.flood { 12 } else { 3 }) {
            let mut batch = self.batch();
            // A copy, now and then with another content, which must not count either.
            let known = self.model.committed.len();
            if known > 0 && self.driver.random.one_in(5) {
                let at = self.driver.random.below(known as u64) as usize;
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
        let store = self.driver.store().clone();
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
        self.driver.log.push(format!("commit {before} batches: {done:?}"));
        match done {
            Ok(()) => self.model = after,
            Err(_) => {
                // Whether it was written before the process ended, its marker says.
                self.driver.open_again();
                let new = after.committed.difference(&self.model.committed).next().copied();
                if new.is_some_and(|identity| self.driver.store().begin().is_committed(&identity).unwrap()) {
                    self.model = after;
                }
            }
        }
    }

    pub(super) fn upkeep(&mut self) {
        for _ in 0..1 + self.driver.random.below(6) {
            match self.driver.step(&SERVERS, &mut self.model.ages) {
                Some(Step::Sealed { points, .. }) => self.done[0] += points,
                step => {
                    match step {
                        Some(Step::Expired { servers }) => self.done[1] += servers as u64,
                        Some(Step::Swept { records }) => self.done[2] += records as u64,
                        _ => {}
                    }
                    self.sweep();
                }
            }
            if self.driver.random.one_in(3) {
                self.driver.now_s += 70;
            }
        }
    }

    /// Names that are not there any more must have vanished.
    pub(super) fn sweep(&mut self) {
        let store = self.driver.store().clone();
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

    /// A scan that has begun sees nothing of what is sealed, dropped and committed meanwhile.
    pub(super) fn read_while_things_move(&mut self) {
        end_at(End::Never);
        let level = self.driver.random.of(&Level::ALL);
        let reading = Reading { level, now_s: self.driver.now_s, last_access: true };
        let expected = messages(&self.model.points(level, self.driver.now_s));
        let store = self.driver.store().clone();
        let mut found = Vec::new();
        let mut moved = false;
        let each = &mut |points: &Points| {
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
        store.scan(&reading, &Selection::all(), each).unwrap();
        self.driver.log.push("read while things moved".into());
        assert_eq!(self.collect(&found), expected, "a scan that began before");
    }
}
