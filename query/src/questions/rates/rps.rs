//! Requests per second: hits on a grid of steps, divided by the time in which they were observed.
//!
//! A step is aligned to the clock, and a multiple of every interval that the probes report, so
//! that each interval lies in one step. The answer has a row for each step and series, which is one combination of
//! the values that rates are split by: `null` if no probe of the series' servers
//! covered any of that time, 0 if they did and saw no hit.
//!
//! The rate of a step is the sum of the servers' rates, each of which is the server's hits divided by the seconds that its
//! probe covered (`observed`). Hits of servers that covered the same time are added before dividing; usually that is the
//! whole step, and the scan adds them up. Only where servers covered different times are sums read by server (`rows`).
//!
//! Steps that are not made of whole buckets of a roll-up are added up from raw points. Where those have
//! expired, such a step is `null` too: its hits are no longer known.

use super::grid::Grid;
use super::reported::Reported;
use super::rows::{Divisors, Part, fill};
use crate::columns::Column;
use crate::observed::{Length, MAX_INTERVAL_S, Marks};
use crate::questions::groups::Groups;
use crate::questions::question::{Gathered, Question, take_memory};
use crate::questions::selection::{Counts, selection};
use crate::questions::shape::Shape;
use crate::time::{Range, TimeRange};
use crate::{Answer, By, Error, Filter, Page};
use zonepulse_store::Selection;

impl Question {
    /// [`Engine::rps`](crate::Engine::rps).
    pub(in crate::questions) async fn rps(
        &self,
        filter: &Filter,
        range: TimeRange,
        step_s: Option<u32>,
        by: By,
        page: &Page,
    ) -> Result<Answer, Error> {
        let now = self.now;
        let range = Range::at(range, now)?;
        let groups = Groups(by);
        let columns = groups.of_steps(&[Column::Time, Column::Rps, Column::Hits]);
        let shape = Shape { columns, order: Vec::new(), ties: groups.numbers_in_steps() };
        shape.order(page)?;
        let _turn = self.engine.turn().await?;
        let (asked, blind) = (filter.clone(), self.engine.blind());
        let (grid, known, reported, selection) = self
            .engine
            .blocking(move |store| {
                let known = store.registry().servers()?;
                let mut reported = Reported::new(store, &known, &asked, blind, now)?;
                let (begin_s, end_s) = (range.from_ms / 1000, range.end_s());
                reported.read(store, begin_s.saturating_sub(MAX_INTERVAL_S), end_s)?;
                let grid = Grid::new(&reported, range, step_s)?;
                // The grid may extend beyond the range.
                reported.read(store, grid.begin_s().saturating_sub(MAX_INTERVAL_S), begin_s.saturating_sub(MAX_INTERVAL_S))?;
                reported.read(store, end_s, grid.end_s())?;
                reported.observed.settle();
                let selection = selection(store, &asked, Counts::Sums(by), grid.begin_s(), grid.end_s());
                Ok((grid, known, reported, selection))
            })
            .await?;
        let memory = self.engine.reserve("what was observed");
        memory.try_grow(reported.observed.size_bytes())?;
        let divisors = Divisors::new(&reported.observed, grid, by);
        let parts = self.parts(&selection, grid, by, &divisors.apart()).await?;
        let filter = filter.clone();
        let (batch, reported) = self
            .engine
            .blocking(move |_| {
                let batch = fill(&known, &filter, by, grid, &reported, divisors, &parts)?;
                Ok((batch, reported))
            })
            .await?;
        let mut memory_of_rows = self.engine.reserve("rows of an answer");
        take_memory(&mut memory_of_rows, &batch)?;
        let (rows, schema) = (batch.num_rows(), batch.schema());
        let sums = Gathered { batches: vec![batch], schema, rows, memory: memory_of_rows };
        let marks = Marks::new(reported.observed, Length::Even(grid.step_s * 1000), 0..u64::MAX, by.server);
        self.page(sums, &shape, page, Some(&marks)).await
    }

    /// The sums of the grid, in some stretches of its steps split by server.
    async fn parts(&self, selection: &Selection, grid: Grid, by: By, apart: &[std::ops::Range<u64>]) -> Result<Vec<Part>, Error> {
        let mut parts = Vec::new();
        let mut at = 0;
        // Before, between and after them.
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
