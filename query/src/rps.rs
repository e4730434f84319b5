//! Requests per second: hits on a grid of steps, divided by the time in which they were observed.
//!
//! A step is aligned to the clock, and a whole number of every interval that the probes report, so
//! that each interval lies in one step. For each step and series (a series is one combination of
//! what the rates are split by) the answer has a row: `null` when no probe of the series' servers
//! covered anything of that time, 0 when they did and had no hit.
//!
//! The rate of a step is the sum of the servers' rates, and each of these is the server's hits by the seconds that its probe
//! covered (`observed`). Hits of servers that covered the same time are added before they are divided; mostly that is the
//! whole step, and the scan adds them up. Only where servers covered different times are sums read by server (`rates`).
//!
//! Steps that are no whole buckets of a roll-up are added up from raw points. Where those have
//! expired such a step is `null`, too: what it had is not known any more.

use crate::engine::{Gathered, take_memory};
use crate::groups::Groups;
use crate::levels::Stretches;
use crate::observed::{Lattice, Length, MAX_INTERVAL_S, Marks, Observed};
use crate::rates::{Divisors, fill};
use crate::read::now_ms;
use crate::select::{Counts, Range, selection};
use crate::shape::Shape;
use crate::{Answer, By, Engine, Error, Filter, MAX_LIMIT, Page, TimeRange};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zonepulse_store::{Level, Listened, Selection, Server, Store};

/// The step where no probe reported any interval, seconds.
const DEFAULT_STEP_S: u64 = 60;
/// The finest roll-up's buckets, seconds.
const FINEST_S: u64 = 300;
/// The most rows of a grid.
const MAX_ROWS: u64 = MAX_LIMIT;

/// Sums of a part of the grid.
pub(crate) struct Part {
    pub(crate) sums: Gathered,
    /// Whether they are split by server because servers covered different times.
    pub(crate) apart: bool,
}

impl Engine {
    /// [`Engine::rps`], on the threads of questions.
    pub(crate) async fn rps_apart(
        &self,
        filter: &Filter,
        range: TimeRange,
        step_s: Option<u32>,
        by: By,
        page: &Page,
    ) -> Result<Answer, Error> {
        let now_ms = now_ms();
        let range = Range::at(range, now_ms)?;
        let groups = Groups(by);
        let columns = groups.of_steps(&["time", "rps", "hits"]);
        let ties = [vec!["time"], groups.numbers()].concat();
        let shape = Shape { columns, order: Vec::new(), ties };
        shape.order(page)?;
        let _turn = self.turn().await?;
        let (asked, blind) = (filter.clone(), self.blind());
        let (grid, known, reported, selection) = self
            .blocking(move |store| {
                let known = store.registry().servers()?;
                let mut reported = Reported::new(store, &known, &asked, blind, now_ms)?;
                let (begin_s, end_s) = (range.from_ms / 1000, range.end_s());
                reported.read(store, begin_s.saturating_sub(MAX_INTERVAL_S), end_s)?;
                let grid = Grid::new(&reported, range, step_s)?;
                // The ends of the grid may lie beyond those of the range.
                reported.read(store, grid.begin_s().saturating_sub(MAX_INTERVAL_S), begin_s.saturating_sub(MAX_INTERVAL_S))?;
                reported.read(store, end_s, grid.end_s())?;
                reported.observed.settle();
                let selection = selection(store, &asked, Counts::Sums(by), grid.begin_s(), grid.end_s());
                Ok((grid, known, reported, selection))
            })
            .await?;
        let memory = self.reserve("what was observed");
        memory.try_grow(reported.observed.size_bytes())?;
        let divisors = Divisors::new(&reported.observed, grid, by);
        let parts = self.parts(&selection, grid, by, &divisors.apart()).await?;
        let filter = filter.clone();
        let (batch, reported) = self
            .blocking(move |_| {
                let batch = fill(&known, &filter, by, grid, &reported, divisors, &parts)?;
                Ok((batch, reported))
            })
            .await?;
        let mut memory_of_rows = self.reserve("rows of an answer");
        take_memory(&mut memory_of_rows, &batch)?;
        let (rows, schema) = (batch.num_rows(), batch.schema());
        let sums = Gathered { batches: vec![batch], schema, rows, memory: memory_of_rows };
        let marks = Marks::new(reported.observed, Length::Even(grid.step_s * 1000), 0..u64::MAX, by.server);
        self.page_of_steps(sums, &shape, page, Some(Arc::new(marks))).await
    }

    /// The sums of the grid, those of some stretches of its steps by server.
    async fn parts(&self, selection: &Selection, grid: Grid, by: By, apart: &[std::ops::Range<u64>]) -> Result<Vec<Part>, Error> {
        let mut parts = Vec::new();
        let mut at = 0;
        // Before, between and behind them.
        let ends = apart.iter().flat_map(|stretch| [(stretch.start, false), (stretch.end, true)]);
        for (end, apart) in ends.chain([(grid.steps, false)]) {
            if at < end {
                let selection = Selection { from_s: grid.start_s(at), until_s: grid.start_s(end), ..selection.clone() };
                let groups = Groups(if apart { by.and(By::SERVER) } else { by });
                parts.push(Part { sums: self.sums(selection, grid.stretches(), groups, false).await?, apart });
            }
            at = end;
        }
        Ok(parts)
    }
}

/// Consecutive steps, numbered from the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) step_s: u64,
    pub(crate) first: u64,
    pub(crate) steps: u64,
}

impl Grid {
    fn new(reported: &Reported, range: Range, asked: Option<u32>) -> Result<Self, Error> {
        let (common_s, expired) = reported.common_interval(range);
        let default_s = common_s.unwrap_or(DEFAULT_STEP_S);
        // What raw points say no more, roll-ups still do.
        let default_s = if expired { least_common_multiple(default_s, FINEST_S) } else { default_s };
        let step_s = asked.map_or(default_s, u64::from);
        if step_s == 0 || !step_s.is_multiple_of(common_s.unwrap_or(1)) {
            let unit = common_s.unwrap_or(1);
            return Err(Error::bad("step", format!("it must be a multiple of {unit} s, in which the selected servers report")));
        }
        if step_s > u64::from(u32::MAX) {
            return Err(Error::bad("step", "the selected servers report at intervals without a common step: select one of them"));
        }
        let first = range.from_ms / 1000 / step_s;
        let end = range.until_ms.div_ceil(step_s * 1000);
        let steps = if range.from_ms < range.until_ms { end.saturating_sub(first) } else { 0 };
        let grid = Grid { step_s, first, steps };
        grid.check(1)?;
        Ok(grid)
    }

    /// Refuses more rows than an answer has.
    pub(crate) fn check(self, series: usize) -> Result<usize, Error> {
        let rows = self.steps.checked_mul(series as u64).filter(|rows| *rows <= MAX_ROWS);
        rows.map(crate::engine::size).ok_or_else(|| {
            let Grid { steps, .. } = self;
            let reason =
                format!("{steps} steps of {series} series are more than {MAX_ROWS} rows: use longer steps, or a shorter range");
            Error::bad("step", reason)
        })
    }

    /// The length fits: steps of more seconds than that were refused.
    pub(crate) fn stretches(self) -> Stretches {
        Stretches::of(u32::try_from(self.step_s).unwrap_or(u32::MAX))
    }

    /// When a step begins, counted from the grid's first.
    pub(crate) fn start_s(self, step: u64) -> u64 {
        (self.first + step) * self.step_s
    }

    pub(crate) fn begin_s(self) -> u64 {
        self.start_s(0)
    }

    fn end_s(self) -> u64 {
        self.start_s(self.steps)
    }

    pub(crate) fn lattice(self) -> Lattice {
        Lattice { begin_ms: self.begin_s() * 1000, step_ms: self.step_s * 1000, steps: self.steps }
    }

    /// The steps, counted from the grid's first, that a stretch of time overlaps.
    pub(crate) fn overlapped(self, start_s: u64, end_s: u64) -> std::ops::Range<usize> {
        let from = (start_s / self.step_s).saturating_sub(self.first);
        let until = end_s.div_ceil(self.step_s).saturating_sub(self.first).min(self.steps);
        crate::engine::size(from)..crate::engine::size(until)
    }
}

/// When the selected servers' probes reported, and from when on they have raw points.
pub(crate) struct Reported {
    pub(crate) observed: Observed,
    pub(crate) runs: Vec<Run>,
    /// By server, Unix seconds.
    kept_from_s: BTreeMap<u32, u64>,
}

/// Intervals of one server and length that leave no gap, Unix seconds. A day is mostly one run, and not 1,440 intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) server_id: u32,
    interval_s: u32,
    pub(crate) from_s: u64,
    pub(crate) until_s: u64,
}

impl Reported {
    fn new(store: &Store, known: &[Server], filter: &Filter, blind: Option<u16>, now_ms: u64) -> Result<Self, Error> {
        let kept_from_s = known.iter().map(|server| (server.id, store.kept_from_s(server.id, Level::Raw, now_ms / 1000)));
        let observed = Observed::new(store, known, filter, blind, now_ms)?;
        Ok(Reported { observed, runs: Vec::new(), kept_from_s: kept_from_s.collect() })
    }

    /// Reads what was reported of intervals that start in this time.
    fn read(&mut self, store: &Store, from_s: u64, until_s: u64) -> Result<(), Error> {
        let runs = &mut self.runs;
        self.observed.read(store, from_s, until_s, &mut |listened| {
            let Listened { server_id, start_s, end_s, interval_s, .. } = *listened;
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

    /// The smallest time that every interval reported in the range divides, and whether raw points of a
    /// whole interval have expired.
    fn common_interval(&self, range: Range) -> (Option<u64>, bool) {
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

    /// Whether raw points of this start are there no more.
    pub(crate) fn expired(&self, server_id: u32, start_s: u64) -> bool {
        self.kept_from_s.get(&server_id).is_some_and(|kept_from_s| start_s < *kept_from_s)
    }
}

fn least_common_multiple(a: u64, b: u64) -> u64 {
    let (mut divisor, mut rest) = (a.max(1), b);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (a / divisor).saturating_mul(b)
}
