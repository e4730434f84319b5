//! Adding up inside the scan.
//!
//! The store lies record by record: a sum over a day of one record is a walk over neighbouring bytes,
//! while a row for each of its points, and a group for each row, cost twenty times as much. So where a plan adds up
//! points by what is the same for all points of a server, record and kind, its scan gives the sums of
//! those of these three that the plan looks at, and the plan adds up the few that are left. Names too are then looked up once for each.
//! `EXPLAIN` shows such a scan as `summed`.

use crate::columns::Column;
use crate::tables::{StoreScan, is_same};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Column as ColumnExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use std::sync::Arc;

/// What stands between sums and their scan without changing rows.
const THROUGH: &[&str] = &["CooperativeExec", "CoalesceBatchesExec", "RepartitionExec"];

/// A scan that adds up is in no order any more.
const RECOMPUTED: ReplaceChildrenOptions = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);

/// Has scans add up what their plan adds up.
#[derive(Debug)]
pub(crate) struct SumInScan;

impl PhysicalOptimizerRule for SumInScan {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let changed = plan.transform_down(|plan| {
            let adding = plan.downcast_ref::<AggregateExec>().filter(|aggregate| takes_sums(aggregate));
            match adding.map(|aggregate| with_sums(aggregate.input())).transpose()?.flatten() {
                Some(input) => Ok(Transformed::yes(plan.replace_children(vec![input], RECOMPUTED)?)),
                None => Ok(Transformed::no(plan)),
            }
        });
        changed.map(|changed| changed.data)
    }

    fn name(&self) -> &str {
        "sum_in_scan"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether an aggregate says the same of sums as of the points that they are of.
fn takes_sums(aggregate: &AggregateExec) -> bool {
    let first = matches!(aggregate.mode(), AggregateMode::Partial | AggregateMode::Single | AggregateMode::SinglePartitioned);
    let groups = aggregate.group_expr();
    let same = |expr: &Arc<dyn PhysicalExpr>| {
        collect_columns(expr).iter().all(|column| Column::named(column.name()).is_some_and(is_same))
    };
    first
        && groups.is_single()
        && groups.expr().iter().all(|(expr, _)| same(expr))
        && aggregate.aggr_expr().iter().all(|function| adds_up(function))
        && aggregate.filter_expr().iter().flatten().all(same)
}

/// `sum(hits)`, `max(last_access)`.
fn adds_up(function: &AggregateFunctionExpr) -> bool {
    let arguments = function.expressions();
    let [argument] = arguments.as_slice() else { return false };
    let column = argument.downcast_ref::<ColumnExpr>().and_then(|column| Column::named(column.name()));
    let sums = [("sum", Some(Column::Hits)), ("max", Some(Column::LastAccess))];
    !function.is_distinct() && sums.contains(&(function.fun().name(), column))
}

/// The same input, but its scan adds up; `None` where it is no scan that can.
fn with_sums(input: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(scan) = input.downcast_ref::<StoreScan>() {
        return Ok(scan.summed().map(|scan| Arc::new(scan) as Arc<dyn ExecutionPlan>));
    }
    let children = input.children();
    let [child] = children.as_slice() else { return Ok(None) };
    if !THROUGH.contains(&input.name()) {
        return Ok(None);
    }
    let child = with_sums(child)?;
    child.map(|child| input.clone().replace_children(vec![child], RECOMPUTED)).transpose()
}
