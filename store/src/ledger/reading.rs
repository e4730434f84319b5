//! Reading the ledger.

use super::lane::{Lane, Of, key_of, run_of, with_ancestors};
use super::reasons::{Reasons, Unobserved};
use super::run::{Run, join, push};
use crate::database::key;
use crate::{Error, Store};
use rocksdb::DBRawIterator;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};
use zonepulse_model::ServerId;

/// Number of runs of a lane read at once.
const MAX_READ: usize = if cfg!(test) { 4 } else { 4096 };

/// A period of a server, Unix milliseconds. It was observed without loss if there is no reason in `why`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Start, inclusive.
    pub from_ms: u64,
    /// End, exclusive.
    pub until_ms: u64,
    /// Why messages may have been missed.
    pub why: Reasons,
}

/// How much of a range was observed, and why the rest was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    /// Length of the range, milliseconds.
    pub total_ms: u64,
    /// Time observed without loss.
    pub observed_ms: u64,
    /// Time that was not observed for each reason. A period with several reasons counts for each.
    pub missed_ms: BTreeMap<Unobserved, u64>,
}

impl Observation {
    /// Adds a period.
    pub fn add(&mut self, period: &Period) {
        let length_ms = period.until_ms.saturating_sub(period.from_ms);
        self.total_ms = self.total_ms.saturating_add(length_ms);
        if period.why.is_empty() {
            self.observed_ms = self.observed_ms.saturating_add(length_ms);
        }
        for reason in period.why.iter() {
            let missed_ms = self.missed_ms.entry(reason).or_default();
            *missed_ms = missed_ms.saturating_add(length_ms);
        }
    }

    /// Whether all of the range was observed.
    pub fn is_complete(&self) -> bool {
        self.observed_ms == self.total_ms
    }

    /// The observed share, 0 to 1; 1 for an empty range.
    pub fn share(&self) -> f64 {
        if self.total_ms == 0 { 1.0 } else { self.observed_ms as f64 / self.total_ms as f64 }
    }
}

/// When the ledger of each server changed.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    last: u64,
    of: BTreeMap<ServerId, u64>,
}

impl Versions {
    /// Notes that changes are on disk.
    pub(crate) fn changed(&mut self, servers: impl IntoIterator<Item = ServerId>) {
        self.last += 1;
        self.of.extend(servers.into_iter().map(|server_id| (server_id, self.last)));
    }
}

impl Store {
    /// How a server was observed: visits consecutive periods that fill the range, Unix milliseconds, from one snapshot.
    /// Neighbours differ in their reasons. Time that no batch covers is a gap, including the future. With a zone, by
    /// canonical name, folds of the zone and of those above it count; otherwise only those that concern all zones.
    pub fn visit_ledger(
        &self,
        server_id: ServerId,
        range_ms: Range<u64>,
        zone: Option<&str>,
        each: &mut dyn FnMut(Period) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let lane = |of| Lane::new(server_id, of);
        let folded: Vec<Lane> = zone.into_iter().flat_map(with_ancestors).map(|zone| lane(Of::Folded(zone.to_owned()))).collect();
        let mut iterator = self.inner.database.leaping_iterator(key::LEDGER);
        let (mut at_ms, mut last) = (range_ms.start, None::<Period>);
        while at_ms < range_ms.end {
            // As far as none of the lanes has too many runs.
            let mut part = Part { range_ms: at_ms..range_ms.end };
            let covered = part.read(&mut iterator, &lane(Of::Covered))?;
            let evicted = part.read(&mut iterator, &lane(Of::Evicted))?;
            let mut folds = Vec::new();
            for lane in &folded {
                folds.extend(part.read(&mut iterator, lane)?);
            }
            for period in combined(&part.range_ms, &covered, &evicted, &join(folds, 0)) {
                match &mut last {
                    Some(last) if last.why == period.why => last.until_ms = period.until_ms,
                    _ => {
                        if let Some(last) = last.replace(period)
                            && each(last).is_break()
                        {
                            return Ok(());
                        }
                    }
                }
            }
            at_ms = part.range_ms.end;
        }
        if let Some(last) = last {
            // It ends here in any case.
            let _ = each(last);
        }
        Ok(())
    }

    /// All periods that [`Store::visit_ledger`] visits: mostly few, but their number has no bound.
    pub fn ledger(&self, server_id: ServerId, range_ms: Range<u64>, zone: Option<&str>) -> Result<Vec<Period>, Error> {
        let mut periods = Vec::new();
        let each = &mut |period: Period| {
            periods.push(period);
            ControlFlow::Continue(())
        };
        self.visit_ledger(server_id, range_ms, zone, each)?;
        Ok(periods)
    }

    /// How much of a range was observed, and why the rest was not.
    pub fn observation(&self, server_id: ServerId, range_ms: Range<u64>, zone: Option<&str>) -> Result<Observation, Error> {
        let mut observation = Observation::default();
        let each = &mut |period: Period| {
            observation.add(&period);
            ControlFlow::Continue(())
        };
        self.visit_ledger(server_id, range_ms, zone, each)?;
        Ok(observation)
    }

    /// The zones of which messages of a server were ever folded, by canonical name, at most 1,024.
    pub fn folded_zones(&self, server_id: ServerId) -> Result<BTreeSet<String>, Error> {
        folded_zones(&mut self.inner.database.leaping_iterator(key::LEDGER), server_id)
    }

    /// A number that differs after every change of a server's ledger. What was read after a number was taken may be
    /// cached until the number changes. Served from memory.
    pub fn ledger_version(&self, server_id: ServerId) -> u64 {
        self.inner.ledger.lock().of.get(&server_id).copied().unwrap_or_default()
    }
}

/// The zones that a server has lanes for.
pub(super) fn folded_zones(iterator: &mut DBRawIterator<'_>, server_id: ServerId) -> Result<BTreeSet<String>, Error> {
    let mut zones = BTreeSet::new();
    iterator.seek(key::ledger_prefix(server_id, key::FOLDED, ""));
    while let Some(found) = iterator.key() {
        let (lane, _) = Lane::parse(found).ok_or_else(|| Error::damaged("run", found))?;
        let end = key_of(&lane.prefix(), u64::MAX);
        match lane {
            Lane { server_id: of, of: Of::Folded(zone) } if of == server_id => zones.insert(zone),
            _ => break,
        };
        iterator.seek(end);
    }
    iterator.status()?;
    Ok(zones)
}

/// A part of the time that is read.
struct Part {
    /// Shortened to where all runs of the lanes read so far are known.
    range_ms: Range<u64>,
}

impl Part {
    /// Reads the runs of a lane within the range.
    fn read(&mut self, iterator: &mut DBRawIterator<'_>, lane: &Lane) -> Result<Vec<Run>, Error> {
        let (prefix, Range { start, end }) = (lane.prefix(), self.range_ms.clone());
        let mut runs = Vec::new();
        // The run before the range may extend into it.
        iterator.seek_for_prev(key_of(&prefix, start));
        let before = match iterator.item() {
            Some((found, value)) => run_of(&prefix, found, value)?,
            None => None,
        };
        if before.is_none() {
            iterator.seek(key_of(&prefix, start));
        }
        while let Some((found, value)) = iterator.item() {
            let Some(run) = run_of(&prefix, found, value)?.filter(|run| run.from_ms < end) else { break };
            if runs.len() == MAX_READ {
                self.range_ms.end = run.from_ms;
                break;
            }
            runs.extend(run.within(start, end));
            iterator.next();
        }
        iterator.status()?;
        Ok(runs)
    }
}

/// Combines the lanes within a range; each is sorted and disjoint.
fn combined(range_ms: &Range<u64>, covered: &[Run], evicted: &[Run], folded: &[Run]) -> Vec<Period> {
    let all = covered.iter().chain(evicted).chain(folded).filter_map(|run| run.within(range_ms.start, range_ms.end));
    let mut edges: Vec<u64> = all.flat_map(|run| [run.from_ms, run.until_ms]).chain([range_ms.start, range_ms.end]).collect();
    edges.sort_unstable();
    edges.dedup();
    let (mut covered, mut evicted, mut folded) = (At::of(covered), At::of(evicted), At::of(folded));
    let mut runs = Vec::new();
    for (from_ms, until_ms) in edges.iter().zip(edges.iter().skip(1)).map(|(from_ms, until_ms)| (*from_ms, *until_ms)) {
        let (evicted, folded) = (evicted.at(from_ms), folded.at(from_ms));
        let why = match covered.at(from_ms) {
            Some(why) => why.union(folded.unwrap_or_default()),
            None => evicted.unwrap_or(Unobserved::Gap.into()),
        };
        push(&mut runs, Run { from_ms, until_ms, why });
    }
    runs.into_iter().map(|Run { from_ms, until_ms, why }| Period { from_ms, until_ms, why }).collect()
}

/// Looks up runs at ascending times.
struct At<'a>(&'a [Run]);

impl<'a> At<'a> {
    fn of(runs: &'a [Run]) -> Self {
        At(runs)
    }

    fn at(&mut self, time_ms: u64) -> Option<Reasons> {
        while let Some((_, rest)) = self.0.split_first().filter(|(first, _)| first.until_ms <= time_ms) {
            self.0 = rest;
        }
        self.0.first().filter(|first| first.from_ms <= time_ms).map(|first| first.why)
    }
}
