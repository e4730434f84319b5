//! Hits of all time, per record.

use crate::groups::Groups;
use crate::plan::Plan;
use crate::select::{Counts, check};
use crate::shape::Shape;
use crate::table::Table;
use crate::{Answer, By, Engine, Error, Filter, Page, TimeRange};
use datafusion::logical_expr::Operator;

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
        let selection = self.selected(filter, Counts::Sums(by), 0, u64::MAX).await?;
        let groups = Groups(by);
        let keys = groups.numbers();
        let scan = self.scan(Table::Records, selection, &[&keys[..], &["hits", "first_seen", "last_access"]].concat(), 1)?;
        let mut plan = Plan::of(scan).summed_by(&keys)?;
        if let Some(from_ms) = last_access.from_ms {
            plan = plan.filtered("last_access", Operator::GtEq, from_ms)?;
        }
        if let Some(until_ms) = last_access.until_ms {
            plan = plan.filtered("last_access", Operator::Lt, until_ms)?;
        }
        let order = vec![("hits", true), ("host", false), ("type", false)];
        let split = Groups(By { record: false, ..by });
        let columns = split.after(&["resource_id", "host", "type", "hits", "first_seen", "last_access"]);
        let shape = Shape { columns, order, ties: keys };
        shape.order(page)?;
        let rows = self.gather(plan).await?;
        self.page(rows, &shape, page).await
    }
}
