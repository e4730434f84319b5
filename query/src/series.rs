//! Hits over time: in buckets of a roll-up's length, in days, or in all.

use crate::groups::Groups;
use crate::levels::Stretches;
use crate::select::{Counts, Range, selection};
use crate::shape::Shape;
use crate::{Answer, By, Engine, Error, Filter, Interval, Page, TimeRange};
use zonepulse_store::Selection;

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
        let range = match interval {
            Interval::Bucket(bucket) => Range::of_buckets(range, bucket.length_s())?,
            Interval::Day(zone) => Range::of_days(range, zone)?,
        };
        let groups = Groups(by);
        let columns = groups.after(&["time", "hits", "last_access"]);
        let ties = [vec!["time"], groups.numbers()].concat();
        let shape = Shape { columns, order: Vec::new(), ties };
        shape.order(page)?;
        let _turn = self.turn().await?;
        let filter = filter.clone();
        let selection = self
            .blocking(move |store| {
                let (begin_s, end_s) = range.widened(store, &filter)?;
                Ok(selection(store, &filter, Counts::Sums(by), begin_s, end_s))
            })
            .await?;
        let rows = match interval {
            Interval::Bucket(bucket) => self.sums(selection, Stretches::of(bucket.length_s()), groups, true).await?,
            Interval::Day(zone) => self.sums_of_days(selection, zone, groups).await?,
        };
        self.page(rows, &shape, page).await
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
                let (begin_s, end_s) = range.widened(store, &filter)?;
                Ok(selection(store, &filter, Counts::Sums(by), begin_s, end_s))
            })
            .await?;
        let selection = self.begun_at_first_point(selection).await?;
        let selection = Selection { until_s: selection.until_s.min(u64::from(WHOLE_S)), ..selection };
        let rows = self.sums(selection, Stretches::of(WHOLE_S), groups, true).await?;
        self.page(rows, &shape, page).await
    }
}
