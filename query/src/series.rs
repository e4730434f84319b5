//! Hits over time, in buckets of a roll-up's length or in days.

use crate::groups::Groups;
use crate::levels::Stretches;
use crate::select::{Counts, Range, selection};
use crate::shape::Shape;
use crate::{Answer, By, Engine, Error, Filter, Interval, Page, TimeRange};

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
}
