//! When the selected servers' probes reported.

use crate::observed::Observed;
use crate::time::{Now, Range};
use crate::{Error, Filter};
use std::collections::{BTreeMap, BTreeSet};
use zonepulse_store::{Level, Listened, Server, Store};

/// When the selected servers' probes reported, and since when raw points are kept.
pub(super) struct Reported {
    pub(super) observed: Observed,
    pub(super) runs: Vec<Run>,
    /// By server, Unix seconds.
    kept_from_s: BTreeMap<u32, u64>,
}

/// Intervals of one server and length without a gap, Unix seconds. A day is usually one run instead of 1,440 intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) server_id: u32,
    interval_s: u32,
    pub(super) from_s: u64,
    pub(super) until_s: u64,
}

impl Reported {
    pub(super) fn new(store: &Store, known: &[Server], filter: &Filter, blind: Option<u16>, now: Now) -> Result<Self, Error> {
        let kept_from_s = known.iter().map(|server| (server.id.get(), store.kept_from_s(server.id, Level::Raw, now.s())));
        let observed = Observed::new(store, known, filter, blind, now)?;
        Ok(Reported { observed, runs: Vec::new(), kept_from_s: kept_from_s.collect() })
    }

    /// Reads the reports of intervals that start in this range.
    pub(super) fn read(&mut self, store: &Store, from_s: u64, until_s: u64) -> Result<(), Error> {
        let runs = &mut self.runs;
        self.observed.read(store, from_s, until_s, &mut |listened| {
            let Listened { start_s, end_s, interval_s, .. } = *listened;
            let server_id = listened.server_id.get();
            match runs.last_mut() {
                Some(run)
                    if (run.server_id, run.interval_s) == (server_id, interval_s)
                        && (run.from_s..=run.until_s).contains(&start_s) =>
                {
                    run.until_s = run.until_s.max(end_s);
                }
                _ => runs.push(Run { server_id, interval_s, from_s: start_s, until_s: end_s }),
            }
        })
    }

    /// The least common multiple of the intervals reported in the range, and whether raw points of a
    /// whole interval have expired.
    pub(super) fn common_interval(&self, range: Range) -> (Option<u64>, bool) {
        let from_s = range.from_ms / 1000;
        let within = || self.runs.iter().filter(|run| run.until_s > from_s);
        let intervals: BTreeSet<u64> = within().map(|run| u64::from(run.interval_s)).collect();
        let expired = within().any(|run| {
            // The end of the first interval that reaches into the range.
            let before = from_s.saturating_sub(run.from_s) / u64::from(run.interval_s.max(1));
            self.expired(run.server_id, run.from_s + (before + 1) * u64::from(run.interval_s))
        });
        (intervals.into_iter().reduce(least_common_multiple), expired)
    }

    /// Whether raw points with this start have expired.
    pub(super) fn expired(&self, server_id: u32, start_s: u64) -> bool {
        self.kept_from_s.get(&server_id).is_some_and(|kept_from_s| start_s < *kept_from_s)
    }
}

pub(super) fn least_common_multiple(a: u64, b: u64) -> u64 {
    let (mut divisor, mut rest) = (a.max(1), b);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (a / divisor).saturating_mul(b)
}
