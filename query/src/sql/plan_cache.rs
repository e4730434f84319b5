//! A cache of plans, by the text of their statements.
//!
//! Dashboards ask for the same figures in the same words again and again. What the words mean, and how the plan is
//! simplified, depends on nothing else: the tables are always the same, and what is in them is looked at
//! later, whenever the plan is given its scans. So this half of planning is done once. A statement with `now()`
//! or the like means something else each time, and its plan is not kept.

use crate::listed::CatalogueTable;
use crate::system::SystemTable;
use crate::tables::StoreTable;
use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Maximum number of plans.
const MAX_PLANS: usize = 64;
/// Maximum length of a statement whose plan is kept, bytes: plans are some tens of times larger.
const MAX_TEXT_BYTES: usize = 4096;

/// Plans by statement text, least recently used first.
#[derive(Default)]
pub(crate) struct PlanCache(Mutex<Vec<(String, Arc<LogicalPlan>)>>);

impl PlanCache {
    /// The plan of a statement.
    pub(crate) fn of(&self, text: &str) -> Option<Arc<LogicalPlan>> {
        let mut kept = self.kept();
        let at = kept.iter().position(|(known, _)| known == text)?;
        if let Some(rest) = kept.get_mut(at..) {
            rest.rotate_left(1);
        }
        kept.last().map(|(_, plan)| plan.clone())
    }

    /// Keeps the plan of a statement.
    pub(crate) fn keep(&self, text: &str, plan: Arc<LogicalPlan>) {
        if text.len() > MAX_TEXT_BYTES {
            return;
        }
        let mut kept = self.kept();
        kept.retain(|(known, _)| known != text);
        if kept.len() >= MAX_PLANS {
            kept.remove(0);
        }
        kept.push((text.to_owned(), plan));
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(String, Arc<LogicalPlan>)>> {
        // A panic cannot leave a partial entry.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a plan can be reused: it reads only our tables, and calls nothing that depends on the time.
pub(crate) fn lasts(plan: &LogicalPlan) -> Result<bool> {
    let mut lasts = true;
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::TableScan(scan) => {
                let provider = source_as_provider(&scan.source)?;
                lasts &= provider.is::<StoreTable>() || provider.is::<SystemTable>() || provider.is::<CatalogueTable>();
            }
            LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_) => lasts = false,
            _ => {}
        }
        node.apply_expressions(|expr| {
            lasts &= !expr.exists(|expr| Ok(changes(expr)))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if lasts { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(lasts)
}

fn changes(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable)
}
