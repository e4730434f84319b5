//! Checking the observation ledger: its runs are disjoint and joined, and say what the reports say.
//!
//! Where reports have expired, only what late batches have reported since can be verified. A run whose reasons include
//! a gap has been made of many, so it may say more than the reports.

use crate::database::key;
use crate::ledger::lane::{Lane, Of};
use crate::ledger::reasons::{Reasons, Unobserved};
use crate::ledger::run::{Run, add_up, join};
use crate::reports::report::{Report, SystemReport};
use crate::retention::Expiry;
use crate::{Error, Inner};
use std::collections::{BTreeMap, BTreeSet};
use zonepulse_codec::Malformed;
use zonepulse_model::ServerId;

/// Number of reported runs after which they are added up, to save memory.
const MANY: usize = 1 << 14;
const HOUR_MS: u64 = 3_600_000;

/// The faults found.
#[derive(Default)]
struct Found {
    faults: Vec<String>,
}

type Lanes = BTreeMap<Lane, Vec<Run>>;

pub(super) fn check(inner: &Inner, expiry: &Expiry) -> Result<Vec<String>, Error> {
    let mut found = Found::default();
    let lanes = found.read(inner)?;
    let told = reported(inner, &lanes)?;
    let servers: BTreeSet<ServerId> = lanes.keys().chain(told.keys()).map(|lane| lane.server_id).collect();
    for server_id in servers {
        let horizon_ms = u64::from(expiry.horizon(server_id).aggregate_hour) * HOUR_MS;
        let of = |lanes: &Lanes| lanes.get(&Lane::new(server_id, Of::Covered)).cloned().unwrap_or_default();
        found.covered(server_id, horizon_ms, &of(&told), &of(&lanes));
    }
    for (lane, told) in told.iter().filter(|(lane, _)| lane.of != Of::Covered) {
        found.includes(lane, told, &lanes);
    }
    for (lane, runs) in &lanes {
        if let Of::Folded(zone) = &lane.of {
            let horizon_ms = u64::from(expiry.horizon(lane.server_id).aggregate_hour) * HOUR_MS;
            let told = told.get(lane).map(Vec::as_slice).unwrap_or_default();
            let begins: BTreeSet<u64> = told.iter().map(|run| run.from_ms).collect();
            let ends: BTreeSet<u64> = told.iter().map(|run| run.until_ms).collect();
            // A rebuild may have cut it at an hour.
            let known = |times: &BTreeSet<u64>, time_ms: u64| time_ms.is_multiple_of(HOUR_MS) || times.contains(&time_ms);
            let kept = runs.iter().filter(|run| run.from_ms >= horizon_ms);
            for run in kept.filter(|run| !known(&begins, run.from_ms) || !known(&ends, run.until_ms)) {
                let server_id = lane.server_id;
                found.faults.push(format!("the ledger of server {server_id} has folds of {zone} at {}, no report does", at(run)));
            }
        }
    }
    Ok(found.faults)
}

fn at(run: &Run) -> String {
    format!("{}..{} ms", run.from_ms, run.until_ms)
}

impl Found {
    /// Reads the ledger and checks each run and its distance to the next.
    fn read(&mut self, inner: &Inner) -> Result<Lanes, Error> {
        let mut lanes = Lanes::new();
        inner.database.visit(key::LEDGER, &[], |key, value| {
            let Some((lane, from_ms)) = Lane::parse(key) else {
                self.faults.push(Error::damaged("run", key).to_string());
                return Ok(true);
            };
            match Run::decode(from_ms, value) {
                Ok(run) => {
                    let (server_id, of) = (lane.server_id, lane.of.clone());
                    let runs = lanes.entry(lane).or_default();
                    if let Some(last) = runs.last().filter(|last| !of.are_apart(last, &run)) {
                        let (last, next) = (at(last), at(&run));
                        self.faults.push(format!("the ledger of server {server_id} has {last} and {next} ({of:?}) apart"));
                    }
                    runs.push(run);
                }
                Err(Malformed(what)) => self.faults.push(Error::damaged(what, key).to_string()),
            }
            Ok(true)
        })?;
        Ok(lanes)
    }

    /// Compares covered time with the reports.
    fn covered(&mut self, server_id: ServerId, horizon_ms: u64, told: &[Run], runs: &[Run]) {
        let mut edges: Vec<u64> =
            told.iter().chain(runs).flat_map(|run| [run.from_ms, run.until_ms]).chain([horizon_ms]).collect();
        edges.sort_unstable();
        edges.dedup();
        let (mut told, mut runs) = (told.iter().peekable(), runs.iter().peekable());
        for from_ms in edges {
            let [reported, observed] = [&mut told, &mut runs].map(|runs| {
                while runs.next_if(|run| run.until_ms <= from_ms).is_some() {}
                runs.peek().filter(|run| run.from_ms <= from_ms).map(|run| run.why)
            });
            let good = match (reported, observed) {
                (None, None) => true,
                (None, Some(_)) => from_ms < horizon_ms,
                (Some(_), None) => false,
                (Some(reported), Some(why)) => {
                    reported == why || (why.includes(reported) && (why.has(Unobserved::Gap) || from_ms < horizon_ms))
                }
            };
            if !good {
                let of = |why: Option<Reasons>| why.map_or("nothing".to_owned(), |why| format!("{why:?}"));
                let (reported, observed) = (of(reported), of(observed));
                self.faults
                    .push(format!("server {server_id} from {from_ms} ms: the ledger says {observed}, the reports {reported}"));
            }
        }
    }

    /// Checks that evictions and folds are in their lanes. Folds may concern all zones instead.
    fn includes(&mut self, lane: &Lane, told: &[Run], lanes: &Lanes) {
        let of = |lane: &Lane| lanes.get(lane).map(Vec::as_slice).unwrap_or_default();
        let of_all = of(&Lane::new(lane.server_id, Of::Covered)).iter().filter(|run| run.why.has(Unobserved::Folded));
        let of_all = of_all.filter(|_| lane.of != Of::Evicted);
        let there = join(of(lane).iter().chain(of_all).copied().collect(), 0);
        for run in told {
            let at_or_after = there.partition_point(|other| other.until_ms < run.until_ms);
            if there.get(at_or_after).is_none_or(|other| other.from_ms > run.from_ms) {
                let Lane { server_id, of } = lane;
                self.faults.push(format!("the ledger of server {server_id} lacks {} ({of:?}), which a report has", at(run)));
            }
        }
    }
}

/// What the reports say, by lane.
fn reported(inner: &Inner, lanes: &Lanes) -> Result<Lanes, Error> {
    let mut told = Lanes::new();
    let mut add = |lane: Lane, run: Option<Run>| {
        let Some(run) = run else { return };
        let runs = told.entry(lane).or_default();
        runs.push(run);
        if runs.len().is_multiple_of(MANY) {
            *runs = add_up(runs);
        }
    };
    inner.database.visit(key::REPORTS, &[], |found, value| {
        let Some((identity, start_s)) = key::parse_report(found) else { return Ok(true) };
        let report = match SystemReport::is(value) {
            true => SystemReport::decode(value).map(|report| report.of_loss(&identity, start_s)),
            false => Report::decode(&identity, start_s, value).map(Some),
        };
        // What cannot be read is reported with the other faults of reports.
        let Ok(Some(report)) = report else { return Ok(true) };
        let server_id = report.server_id;
        let lane = |of| Lane::new(server_id, of);
        let mut why = report.loss.why;
        for zone in report.loss.folded {
            let lane = lane(Of::Folded(zone));
            if lanes.contains_key(&lane) {
                add(lane, Run::new(report.covered_from_ms, report.covered_until_ms, Unobserved::Folded.into()));
            } else {
                why.insert(Unobserved::Folded);
            }
        }
        if !report.of_metrics {
            add(lane(Of::Covered), Run::new(report.covered_from_ms, report.covered_until_ms, why));
        }
        if let Some(evicted) = report.evicted {
            add(lane(Of::Evicted), Run::of_evicted(&evicted));
        }
        Ok(true)
    })?;
    told.values_mut().for_each(|runs| *runs = add_up(runs));
    Ok(told)
}
