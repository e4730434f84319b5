//! Random imports and changes of zones against a plain model in memory.
//!
//! A schedule imports random sets of resources into zones that overlap (a parent, its child, a view), creates and removes
//! zones, sets labels, stores batches, opens the store again, and ends the process at writes: before the one that makes an
//! import visible, between those of a new generation, or after it without the caller knowing. After every action the zones
//! must be what the model says, now and at all times before, and ids must be those that the resources always had.
//! The variables of `tests/model` select schedules here, too.

use super::*;
use crate::IntakeRow;
use crate::database::testing::{End, copy, end_at, remove, use_memory};
use crate::tests::driver::seeds;
use crate::tests::minute;
use crate::tests::random::Random;
use std::collections::BTreeSet;
use std::path::PathBuf;
use zonepulse_dns::{MessageKind, ResponseCode};
use zonepulse_model::ServerId;

/// Apexes and views of the zones that a schedule may have.
const ZONES: [(&str, &str, u32); 4] =
    [("example.", "default", 0), ("sub.example.", "default", 2), ("example.", "inside", 1), (".", "default", 0)];
const LABELS: [&str; 8] = ["a", "b", "c", "*", "\\000", "\\001", "sub", "zz"];

#[derive(Clone, Default)]
struct Model {
    zones: BTreeMap<ZoneId, Known>,
    /// All ids that were ever assigned.
    ids: BTreeSet<ResourceId>,
    zone_ids: BTreeSet<ZoneId>,
    labels: BTreeMap<ResourceId, String>,
}

#[derive(Clone, Default)]
struct Known {
    number: usize,
    now: Rows,
    /// The ids of all resources it ever had.
    ids: BTreeMap<(String, u16), ResourceId>,
    past: Vec<(u64, Rows)>,
}

struct Schedule {
    random: Random,
    path: PathBuf,
    store: Option<Store>,
    model: Model,
    now_ms: u64,
    seq: u64,
    log: Vec<String>,
    /// Imports that became visible in a new generation, that failed, and whose write succeeded unknown to the caller.
    done: [u64; 3],
}

thread_local! {
    static EMPTY: Store = {
        use_memory();
        open(Path::new("/empty"))
    };
}

impl Schedule {
    fn new(seed: u64) -> Self {
        end_at(End::Never);
        let path = PathBuf::from(format!("/catalogue-{seed}"));
        EMPTY.with(|empty| copy(&empty.inner.database, &path));
        let store = Some(open(&path));
        let (random, model) = (Random(seed), Model::default());
        Schedule { random, path, store, model, now_ms: 1000, seq: 0, log: Vec::new(), done: [0; 3] }
    }

    fn store(&self) -> Store {
        self.store.clone().unwrap()
    }

    fn open_again(&mut self) {
        end_at(End::Never);
        self.store = None;
        self.store = Some(open(&self.path));
    }

    fn arm(&mut self) {
        if self.random.one_in(4) {
            let writes = self.random.below(8) as u32;
            let end = if self.random.one_in(2) { End::Before(writes) } else { End::After(writes) };
            self.log.push(format!("the process will end: {end:?}"));
            end_at(end);
        }
    }

    fn act(&mut self) {
        self.now_ms += 1 + self.random.below(1000);
        match self.random.below(100) {
            0..10 => self.add_zone(),
            10..65 => self.import(),
            65..75 => self.ask(),
            75..85 => self.label(),
            85..89 => self.remove_zone(),
            89..95 => self.sweep(),
            _ => {
                self.log.push("open again".to_owned());
                self.open_again();
            }
        }
        end_at(End::Never);
        self.verify();
    }

    fn add_zone(&mut self) {
        let number = self.random.below(4) as usize;
        let (apex, view, server) = ZONES[number];
        if self.model.zones.values().any(|known| known.number == number) {
            return;
        }
        let fill = |zone: &mut Zone| {
            zone.view = view.to_owned();
            zone.servers = (server > 0).then_some(ServerId::new(server)).into_iter().collect();
            Ok::<_, Error>(())
        };
        let id = self.store().catalogue().add_zone(apex, self.now_ms, fill).unwrap().id;
        self.log.push(format!("zone {id}: {apex} ({view})"));
        assert!(self.model.zone_ids.insert(id), "a zone's id is not reused");
        self.model.zones.insert(id, Known { number, ..Known::default() });
    }

    fn any_zone(&mut self) -> Option<ZoneId> {
        let ids: Vec<ZoneId> = self.model.zones.keys().copied().collect();
        (!ids.is_empty()).then(|| self.random.of(&ids))
    }

    fn owner(&mut self, apex: &str) -> String {
        let mut owner = if apex == "." { String::new() } else { apex.to_owned() };
        for _ in 0..self.random.below(3) {
            owner = format!("{}.{owner}", self.random.of(&LABELS));
        }
        if owner.is_empty() { ".".to_owned() } else { owner }
    }

    /// The next content of a zone: the present one with a few changes, or another one.
    fn rows(&mut self, id: ZoneId) -> Rows {
        let apex = ZONES[self.model.zones[&id].number].0;
        let mut rows = if self.random.one_in(5) { Rows::new() } else { self.model.zones[&id].now.clone() };
        let most = if self.random.one_in(2) { 4 } else { 40 };
        for _ in 0..self.random.below(most) {
            let owner = self.owner(apex);
            let of = (owner, self.random.of(&[A, NS, 28]));
            if self.random.one_in(3) {
                rows.remove(&of);
            } else {
                let rdatas = (0..1 + self.random.below(3)).map(|at| vec![at as u8, self.random.below(3) as u8]).collect();
                rows.insert(of, (self.random.of(&[60, 300]), rdatas));
            }
        }
        rows
    }

    fn import(&mut self) {
        let Some(id) = self.any_zone() else { return };
        let rows = self.rows(id);
        let generation = self.store().catalogue().zone(id).unwrap().unwrap().generation;
        self.arm();
        let is_whole = self.random.one_in(2);
        let done = match is_whole {
            true => import_at(&self.store(), id, &rows, self.now_ms),
            false => change_at(&self.store(), id, &self.model.zones[&id].now, &rows, self.now_ms),
        };
        self.log.push(format!("import {} rows into {id}, whole: {is_whole}: {done:?}", rows.len()));
        let was_written = match done {
            Ok(_) => true,
            Err(_) => {
                self.open_again();
                let zone = self.store().catalogue().zone(id).unwrap().unwrap();
                zone.loaded_ms == Some(self.now_ms)
            }
        };
        let zone = self.store().catalogue().zone(id).unwrap().unwrap();
        self.done[0] += u64::from(zone.generation != generation);
        self.done[if was_written { 2 } else { 1 }] += u64::from(done.is_err());
        if was_written {
            let known = self.model.zones.get_mut(&id).unwrap();
            known.now = rows.clone();
            known.past.push((self.now_ms, rows));
        }
    }

    fn ask(&mut self) {
        self.seq += 1;
        let owner = if self.random.one_in(2) { self.owner("example.") } else { format!("r{}.", self.random.below(1000)) };
        let kind = MessageKind::response(if self.random.one_in(2) { ResponseCode::NXDOMAIN } else { ResponseCode::NOERROR });
        let row = |record_id| IntakeRow { record_id, kind, hits: 1, first_ms: 60_000, last_ms: 60_000 };
        minute::commit(&self.store(), 1, self.seq, 60, &[&owner], row).unwrap();
    }

    fn label(&mut self) {
        let Some(id) = self.any_zone() else { return };
        let Some(((owner, rtype), _)) = self.model.zones[&id].now.iter().next() else { return };
        let label = self.random.of(&["one", "two", ""]);
        let labels = [(owner.as_str(), RecordType::new(*rtype), label)];
        let done = self.store().catalogue().set_labels(Some(id), labels).unwrap();
        assert_eq!((done.matched, done.unmatched), (1, 0));
        let resource_id = self.model.zones[&id].ids[&(owner.clone(), *rtype)];
        self.model.labels.insert(resource_id, label.to_owned());
    }

    fn remove_zone(&mut self) {
        let Some(id) = self.any_zone() else { return };
        self.arm();
        let done = self.store().catalogue().remove_zone(id, &mut UsageChange::default);
        self.log.push(format!("remove zone {id}: {:?}", done.as_ref().map(|_| ())));
        if done.is_err() {
            self.open_again();
        }
        if self.store().catalogue().zone(id).unwrap().is_none() {
            let known = self.model.zones.remove(&id).unwrap();
            known.ids.values().for_each(|id| drop(self.model.labels.remove(id)));
        }
    }

    fn sweep(&mut self) {
        let mut server = match self.store().registry().server(ServerId::new(1)).unwrap() {
            Some(server) => server,
            None => self.store().registry().add_server("one", false, None, 0).unwrap(),
        };
        (server.overrides.raw_retention_minutes, server.overrides.aggregated_retention_days) = (Some(60), Some(1));
        self.store().registry().put_server(&server).unwrap();
        for round in 0..3 {
            while self.store().upkeep(100 * 86_400 + round * 4000).unwrap() != crate::Step::Idle {}
        }
    }

    fn verify(&mut self) {
        let store = self.store();
        for (zone_id, known) in &mut self.model.zones {
            let found = read(&store, *zone_id);
            let data: Rows = found.iter().map(|(of, (_, ttl, rdatas))| (of.clone(), (*ttl, rdatas.clone()))).collect();
            assert_eq!(data, known.now, "zone {zone_id}");
            for (of, (id, ..)) in found {
                match known.ids.get(&of) {
                    Some(before) => assert_eq!(*before, id, "{of:?} keeps its id"),
                    None => {
                        assert!(!id.is_none() && self.model.ids.insert(id), "the id of {of:?} was assigned before");
                        known.ids.insert(of, id);
                    }
                }
            }
        }
        self.verify_map(&store);
        self.verify_past(&store);
        for label in ["one", "two"] {
            let expected: Vec<_> = self.model.labels.iter().filter(|(_, of)| *of == label).map(|(id, _)| *id).collect();
            assert_eq!(store.catalogue().labelled(label).unwrap(), expected);
        }
        sound(&store);
    }

    /// Every record's resource, on every server.
    fn verify_map(&mut self, store: &Store) {
        let map = store.resources();
        let all: BTreeSet<_> = self.model.zones.values().flat_map(|known| known.ids.keys().cloned()).collect();
        for of in all {
            let record_id = store.dictionary().find(&of.0, RecordType::new(of.1)).unwrap();
            for server in 1..4 {
                let served = |known: &&(ZoneId, &Known)| [0, server].contains(&ZONES[known.1.number].2);
                let zones: Vec<_> = self.model.zones.iter().map(|(id, known)| (*id, known)).collect();
                let mut with = zones.iter().filter(|(_, known)| known.now.contains_key(&of)).filter(served).collect::<Vec<_>>();
                with.sort_by_key(|(id, known)| (std::cmp::Reverse(ZONES[known.number].0.len()), *id));
                let expected = with.first().map_or(ResourceId::NONE, |(_, known)| known.ids[&of]);
                assert_eq!(map.get(record_id, ServerId::new(server)), expected, "{of:?} on server {server}");
            }
            for (zone_id, known) in &self.model.zones {
                let Some(id) = known.ids.get(&of) else { continue };
                assert_eq!((map.place(*id), map.is_present(*id)), (Some((*zone_id, record_id)), known.now.contains_key(&of)));
                let removed = store.catalogue().resource(*id, |resource| resource.removed_ms.is_some()).unwrap();
                assert_eq!(removed, Some(!known.now.contains_key(&of)));
            }
        }
    }

    /// Of each zone one random time before.
    fn verify_past(&mut self, store: &Store) {
        for (zone_id, known) in &self.model.zones {
            // A resource has at most 16 earlier versions.
            let recent = &known.past[known.past.len().saturating_sub(10)..];
            if recent.is_empty() {
                continue;
            }
            let (at_ms, expected) = &recent[self.random.below(recent.len() as u64) as usize];
            let mut found = Rows::new();
            let each = &mut |resource: &Resource<'_>, ttl, rdatas: Rdatas<'_>| {
                found.insert(name_of(store, resource.record_id), (ttl, rdatas.map(<[u8]>::to_vec).collect()));
                ControlFlow::Continue(())
            };
            store.catalogue().visit_at(*zone_id, *at_ms, each).unwrap();
            assert_eq!(found, *expected, "zone {zone_id} at {at_ms}");
        }
    }
}

fn run(seed: u64) -> [u64; 3] {
    let mut schedule = Schedule::new(seed);
    let actions = 10 + schedule.random.below(30);
    let all = |schedule: &mut Schedule| {
        (0..actions).for_each(|_| schedule.act());
        schedule.open_again();
        schedule.verify();
    };
    crate::tests::driver::run(seed, &mut schedule, |schedule| &schedule.log, all);
    schedule.store = None;
    remove(&schedule.path);
    schedule.done
}

#[test]
fn whatever_happens_zones_and_ids_are_those_of_a_plain_model() {
    let seeds = seeds(150);
    let count = seeds.end - seeds.start;
    let done = seeds.map(run).fold([0; 3], |sum, done| [0, 1, 2].map(|at| sum[at] + done[at]));
    println!("{count} schedules: {done:?} new generations, imports that failed, and that succeeded unknown to the caller");
    assert!(count < 100 || done.iter().all(|count| *count > 0), "{done:?}");
}
