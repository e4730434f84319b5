//! Hits over time: in buckets of a roll-up's length, in days, or in all.

use crate::engine::Gathered;
use crate::groups::Groups;
use crate::levels::Stretches;
use crate::observed::{Length, MAX_INTERVAL_S, Marks, Observed};
use crate::read::now_ms;
use crate::select::{Counts, Range, selection};
use crate::shape::Shape;
use crate::{Answer, By, Engine, Error, Filter, Interval, Page, TimeRange};
use arrow::array::AsArray;
use arrow::datatypes::TimestampMillisecondType;
use std::sync::Arc;
use zonepulse_store::{Selection, Server};

/// No step is longer, seconds: a day on which clocks are put back.
const LONGEST_STEP_S: u64 = 26 * 3600;
/// One stretch that has all points until the year 2106, and in which all roll-ups fit.
const WHOLE_S: u32 = u32::MAX - u32::MAX % 3600;

impl Engine {
    /// [`Engine::series`], on the threads of questions.
    pub(crate) async fn series_apart(
        &self,
        filter: &Filter,
        range: TimeRange,
        interval: impl Into<Interval>,
        by: By,
        page: &Page,
    ) -> Result<Answer, Error> {
        let interval = interval.into();
        let now_ms = now_ms();
        let (range, length) = match interval {
            Interval::Bucket(bucket) => {
                let length_s = bucket.length_s();
                (Range::of_buckets(range, length_s, now_ms)?, Length::Even(u64::from(length_s) * 1000))
            }
            Interval::Day(zone) => (Range::of_days(range, zone, now_ms)?, Length::Day(zone)),
        };
        let groups = Groups(by);
        let columns = groups.of_steps(&["time", "hits", "last_access"]);
        let ties = [vec!["time"], groups.numbers()].concat();
        let shape = Shape { columns, order: Vec::new(), ties };
        shape.order(page)?;
        let _turn = self.turn().await?;
        let asked = filter.clone();
        let (known, selection) = self
            .blocking(move |store| {
                let known = store.registry().servers()?;
                let (begin_s, end_s) = range.widened(store, &asked, &known);
                Ok((known, selection(store, &asked, Counts::Sums(by), begin_s, end_s)))
            })
            .await?;
        let within = selection.from_s.saturating_mul(1000)..selection.until_s.saturating_mul(1000);
        let rows = match interval {
            Interval::Bucket(bucket) => self.sums(selection, Stretches::of(bucket.length_s()), groups, true).await?,
            Interval::Day(zone) => self.sums_of_days(selection, zone, groups).await?,
        };
        let memory = self.reserve("what was observed");
        let observed = self.observed_of(&rows, filter, known, &within, now_ms).await?;
        memory.try_grow(observed.size_bytes())?;
        let marks = Marks::new(observed, length, within, by.server);
        self.page_of_steps(rows, &shape, page, Some(Arc::new(marks))).await
    }

    /// What was observed in the steps of these rows.
    async fn observed_of(
        &self,
        rows: &Gathered,
        filter: &Filter,
        known: Vec<Server>,
        within: &std::ops::Range<u64>,
        now_ms: u64,
    ) -> Result<Observed, Error> {
        let times = rows.batches.iter().filter_map(|batch| batch.column_by_name("time"));
        let times = times.filter_map(|times| times.as_primitive_opt::<TimestampMillisecondType>());
        let (first_ms, last_ms) = times
            .flat_map(|times| times.values())
            .fold((i64::MAX, 0i64), |(first_ms, last_ms), time_ms| (first_ms.min(*time_ms), last_ms.max(*time_ms)));
        let second = |ms: i64| u64::try_from(ms).unwrap_or(0) / 1000;
        let from_s = second(first_ms).max(within.start / 1000).saturating_sub(MAX_INTERVAL_S);
        let until_s = (second(last_ms) + LONGEST_STEP_S).min(within.end.div_ceil(1000));
        let (filter, blind) = (filter.clone(), self.blind());
        self.blocking(move |store| {
            let mut observed = Observed::new(store, &known, &filter, blind, now_ms)?;
            observed.read(store, from_s, until_s, &mut |_| {})?;
            observed.settle();
            Ok(observed)
        })
        .await
    }

    /// [`Engine::totals_over`], on the threads of questions.
    pub(crate) async fn totals_over_apart(
        &self,
        filter: &Filter,
        range: TimeRange,
        by: By,
        page: &Page,
    ) -> Result<Answer, Error> {
        let range = Range::of(range)?;
        let groups = Groups(by);
        let record: &[_] = if by.record { &[("host", false), ("type", false)] } else { &[] };
        let order = [&[("hits", true)], record].concat();
        let shape = Shape { columns: groups.after(&["hits", "last_access"]), order, ties: groups.numbers() };
        shape.order(page)?;
        let _turn = self.turn().await?;
        let filter = filter.clone();
        let selection = self
            .blocking(move |store| {
                let (begin_s, end_s) = range.widened(store, &filter, &store.registry().servers()?);
                Ok(selection(store, &filter, Counts::Sums(by), begin_s, end_s))
            })
            .await?;
        let selection = self.begun_at_first_point(selection).await?;
        let selection = Selection { until_s: selection.until_s.min(u64::from(WHOLE_S)), ..selection };
        let rows = self.sums(selection, Stretches::of(WHOLE_S), groups, true).await?;
        self.page(rows, &shape, page).await
    }
}
