//! Hits of all time, per record.

use crate::groups::{Groups, instant};
use crate::select::{Counts, check, selection};
use crate::shape::Shape;
use crate::table::Table;
use crate::{Answer, By, Engine, Error, Filter, Page, TimeRange};
use datafusion::functions_aggregate::expr_fn::{max, min, sum};
use datafusion::logical_expr::col;

impl Engine {
    /// A row per record: `resource_id, host, type, hits, first_seen, last_access`, and at the end
    /// `server_id, server` and `action` where the sums are split by them.
    ///
    /// `last_access` keeps the rows whose last access lies in it. Without an action only requests
    /// count, unless response codes are named or the sums are split by action. By itself in the order
    /// of most hits first, then host and type.
    pub async fn totals(&self, filter: &Filter, last_access: TimeRange, by: By, page: &Page) -> Result<Answer, Error> {
        check(last_access)?;
        let _turn = self.turn().await?;
        let by = by.and(By::RECORD);
        let filter = filter.clone();
        let selection = self.blocking(move |store| Ok(selection(store, &filter, Counts::Sums(by), 0, u64::MAX))).await?;
        let groups = Groups(by);
        let sums = vec![
            sum(col("hits")).alias("hits"),
            min(col("first_seen")).alias("first_seen"),
            max(col("last_access")).alias("last_access"),
        ];
        let mut frame = self.frame(Table::Records, selection)?.aggregate(groups.keys(), sums)?;
        if let Some(from_ms) = last_access.from_ms {
            frame = frame.filter(col("last_access").gt_eq(instant(from_ms)))?;
        }
        if let Some(until_ms) = last_access.until_ms {
            frame = frame.filter(col("last_access").lt(instant(until_ms)))?;
        }
        let order = vec![("hits", true), ("host", false), ("type", false)];
        let split = Groups(By { record: false, ..by });
        let columns = split.after(&["resource_id", "host", "type", "hits", "first_seen", "last_access"]);
        let shape = Shape { columns, order, ties: groups.numbers() };
        shape.order(page)?;
        let rows = self.gather(frame).await?;
        self.page(rows, &shape, page).await
    }
}
