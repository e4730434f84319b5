//! Hits over time, in buckets of a roll-up's length or in days.

use crate::groups::Groups;
use crate::levels::Stretches;
use crate::select::{Counts, Range, selection};
use crate::shape::Shape;
use crate::{Answer, By, Engine, Error, Filter, Interval, Page, TimeRange};

impl Engine {
    /// A row per bucket in which there were hits: `time, hits, last_access`, and at the end the columns
    /// of what the sums are split by: `resource_id, host, type, folded`, `server_id, server`, `action`.
    ///
    /// `time` is the start of the bucket or day. The range is about the starts of the intervals that are added up,
    /// so a bucket at its ends may be partial; without it, the last 24 hours, from a bucket's start on. An end
    /// where raw points have expired is that of five minutes, the finest that is left. The
    /// newest, unfinished bucket is there. Without an action only requests count, unless response codes are named or the
    /// sums are split by action. By itself in the order of time.
    pub async fn series(
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
