//! The grid of steps for rates.

use super::reported::{Reported, least_common_multiple};
use crate::observed::Lattice;
use crate::questions::question::size;
use crate::time::{Range, Stretches};
use crate::{Error, MAX_LIMIT};

/// The step if no probe has reported, seconds.
const DEFAULT_STEP_S: u64 = 60;
/// The finest roll-up's buckets, seconds.
const FINEST_S: u64 = 300;
/// Maximum number of rows of a grid.
const MAX_ROWS: u64 = MAX_LIMIT;

/// Consecutive steps, numbered from the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) step_s: u64,
    pub(super) first: u64,
    pub(super) steps: u64,
}

impl Grid {
    pub(super) fn new(reported: &Reported, range: Range, asked: Option<u32>) -> Result<Self, Error> {
        let (common_s, expired) = reported.common_interval(range);
        let default_s = common_s.unwrap_or(DEFAULT_STEP_S);
        // Roll-ups outlive raw points.
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

    /// Rejects more rows than an answer may have.
    pub(super) fn check(self, series: usize) -> Result<usize, Error> {
        let rows = self.steps.checked_mul(series as u64).filter(|rows| *rows <= MAX_ROWS);
        rows.map(size).ok_or_else(|| {
            let Grid { steps, .. } = self;
            let reason =
                format!("{steps} steps of {series} series are more than {MAX_ROWS} rows: use longer steps, or a shorter range");
            Error::bad("step", reason)
        })
    }

    /// The steps. Their length fits, because longer ones were rejected.
    pub(super) fn stretches(self) -> Stretches {
        Stretches::of(u32::try_from(self.step_s).unwrap_or(u32::MAX))
    }

    /// The start of a step, counted from the grid's first.
    pub(super) fn start_s(self, step: u64) -> u64 {
        (self.first + step) * self.step_s
    }

    pub(super) fn begin_s(self) -> u64 {
        self.start_s(0)
    }

    pub(super) fn end_s(self) -> u64 {
        self.start_s(self.steps)
    }

    pub(super) fn lattice(self) -> Lattice {
        Lattice { begin_ms: self.begin_s() * 1000, step_ms: self.step_s * 1000, steps: self.steps }
    }

    /// The steps, counted from the grid's first, that overlap a time range.
    pub(super) fn overlapped(self, start_s: u64, end_s: u64) -> std::ops::Range<usize> {
        let from = (start_s / self.step_s).saturating_sub(self.first);
        let until = end_s.div_ceil(self.step_s).saturating_sub(self.first).min(self.steps);
        size(from)..size(until)
    }
}
