//! Hits over time: in buckets of a roll-up, in days, or as one total.

use super::groups::Groups;
use super::question::{Gathered, Question};
use super::selection::{Counts, selection, widened};
use super::shape::Shape;
use crate::columns::Column;
use crate::observed::{Length, MAX_INTERVAL_S, Marks, Observed};
use crate::time::{Interval, Range, Stretches, TimeRange};
use crate::{Answer, By, Error, Filter, Page};
use arrow::array::AsArray;
use arrow::datatypes::TimestampMillisecondType;
use zonepulse_store::{Selection, Server};

/// The longest step, seconds: a day on which clocks are put back.
const LONGEST_STEP_S: u64 = 26 * 3600;
/// One stretch that contains all points up to the year 2106 and fits all roll-ups.
const WHOLE_S: u32 = u32::MAX - u32::MAX % 3600;

impl Question {
    /// [`Engine::series`](crate::Engine::series).
    pub(super) async fn series(
        &self,
        filter: &Filter,
        range: TimeRange,
        interval: Interval,
        by: By,
        page: &Page,
    ) -> Result<Answer, Error> {
        let now = self.now;
        let (range, length) = match interval {
            Interval::Bucket(bucket) => {
                let length_s = bucket.length_s();
                (Range::of_buckets(range, length_s, now)?, Length::Even(u64::from(length_s) * 1000))
            }
            Interval::Day(zone) => (Range::of_days(range, zone, now)?, Length::Day(zone)),
        };
        let groups = Groups(by);
        let columns = groups.of_steps(&[Column::Time, Column::Hits, Column::LastAccess]);
        let shape = Shape { columns, order: Vec::new(), ties: groups.numbers_in_steps() };
        shape.order(page)?;
        let _turn = self.engine.turn().await?;
        let asked = filter.clone();
        let (known, selection) = self
            .engine
            .blocking(move |store| {
                let known = store.registry().servers()?;
                let (begin_s, end_s) = widened(range, store, &asked, &known, now);
                Ok((known, selection(store, &asked, Counts::Sums(by), begin_s, end_s)))
            })
            .await?;
        let within = selection.from_s.saturating_mul(1000)..selection.until_s.saturating_mul(1000);
        let rows = match interval {
            Interval::Bucket(bucket) => self.sums(selection, Stretches::of(bucket.length_s()), groups, true).await?,
            Interval::Day(zone) => self.sums_of_days(selection, zone, groups).await?,
        };
        let memory = self.engine.reserve("what was observed");
        let observed = self.observed_of(&rows, filter, known, &within).await?;
        memory.try_grow(observed.size_bytes())?;
        let marks = Marks::new(observed, length, within, by.server);
        self.page(rows, &shape, page, Some(&marks)).await
    }

    /// What was observed in the steps of these rows.
    async fn observed_of(
        &self,
        rows: &Gathered,
        filter: &Filter,
        known: Vec<Server>,
        within: &std::ops::Range<u64>,
    ) -> Result<Observed, Error> {
        let times = rows.batches.iter().filter_map(|batch| batch.column_by_name(Column::Time.name()));
        let times = times.filter_map(|times| times.as_primitive_opt::<TimestampMillisecondType>());
        let (first_ms, last_ms) = times
            .flat_map(|times| times.values())
            .fold((i64::MAX, 0i64), |(first_ms, last_ms), time_ms| (first_ms.min(*time_ms), last_ms.max(*time_ms)));
        let second = |ms: i64| u64::try_from(ms).unwrap_or(0) / 1000;
        let from_s = second(first_ms).max(within.start / 1000).saturating_sub(MAX_INTERVAL_S);
        let until_s = (second(last_ms) + LONGEST_STEP_S).min(within.end.div_ceil(1000));
        let (filter, blind, now) = (filter.clone(), self.engine.blind(), self.now);
        self.engine
            .blocking(move |store| {
                let mut observed = Observed::new(store, &known, &filter, blind, now)?;
                observed.read(store, from_s, until_s, &mut |_| {})?;
                observed.settle();
                Ok(observed)
            })
            .await
    }

    /// [`Engine::totals_over`](crate::Engine::totals_over).
    pub(super) async fn totals_over(&self, filter: &Filter, range: TimeRange, by: By, page: &Page) -> Result<Answer, Error> {
        let now = self.now;
        let range = Range::at(range, now)?;
        let groups = Groups(by);
        let record: &[_] = if by.record { &[(Column::Host, false), (Column::Type, false)] } else { &[] };
        let order = [&[(Column::Hits, true)], record].concat();
        let shape = Shape { columns: groups.after(&[Column::Hits, Column::LastAccess]), order, ties: groups.numbers() };
        shape.order(page)?;
        let _turn = self.engine.turn().await?;
        let filter = filter.clone();
        let selection = self
            .engine
            .blocking(move |store| {
                let (begin_s, end_s) = widened(range, store, &filter, &store.registry().servers()?, now);
                Ok(selection(store, &filter, Counts::Sums(by), begin_s, end_s))
            })
            .await?;
        let selection = self.begun_at_first_point(selection).await?;
        let selection = Selection { until_s: selection.until_s.min(u64::from(WHOLE_S)), ..selection };
        let rows = self.sums(selection, Stretches::of(WHOLE_S), groups, true).await?;
        self.page(rows, &shape, page, None).await
    }
}
