//! Adding up inside the scan.
//!
//! The store is laid out record by record: a sum over a day of one record walks over neighbouring bytes,
//! while a row and a group look-up for each point cost twenty times as much. So where a plan adds up
//! points by columns that are the same for all points of a server, record and kind, its scan returns sums by
//! those of the three that the plan uses, and the plan adds up the few that remain. Names are then looked up only once per sum.
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

/// Plan nodes between an aggregate and its scan that do not change rows.
const THROUGH: &[&str] = &["CooperativeExec", "CoalesceBatchesExec", "RepartitionExec"];

/// A scan that adds up has lost its order.
const RECOMPUTED: ReplaceChildrenOptions = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);

/// Moves sums into scans.
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

/// Whether an aggregate has the same result over sums as over their points.
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

/// `sum(hits)`, `max(last_access)`, and the same of what was served.
fn adds_up(function: &AggregateFunctionExpr) -> bool {
    let arguments = function.expressions();
    let [argument] = arguments.as_slice() else { return false };
    let column = argument.downcast_ref::<ColumnExpr>().and_then(|column| Column::named(column.name()));
    let sums = match function.fun().name() {
        "sum" => [Column::Hits, Column::Served],
        "max" => [Column::LastAccess, Column::LastServed],
        _ => return false,
    };
    !function.is_distinct() && column.is_some_and(|column| sums.contains(&column))
}

/// The same input with a scan that adds up; `None` if there is no such scan.
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
