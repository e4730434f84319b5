//! Differences of unsigned numbers.
//!
//! Every measure of the tables is signed, but some of DataFusion's functions give unsigned numbers (`row_number`,
//! `approx_distinct`), ids are unsigned, and DataFusion subtracts unsigned numbers modulo 2⁶⁴. So a difference of two of
//! them is taken as one of signed numbers. A number that BIGINT does not have is then an error, and no wrong difference.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, binary_expr, cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// Plans differences of unsigned numbers.
#[derive(Debug)]
pub(crate) struct SignedDifferences;

impl ExprPlanner for SignedDifferences {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        // What has no type is told of later, with its place.
        let unsigned = |expr: &Expr| expr.get_type(schema).is_ok_and(|data_type| data_type.is_unsigned_integer());
        if expr.op != BinaryOperator::Minus || !unsigned(&expr.left) || !unsigned(&expr.right) {
            return Ok(PlannerResult::Original(expr));
        }
        let signed = |expr| cast(expr, DataType::Int64);
        Ok(PlannerResult::Planned(binary_expr(signed(expr.left), Operator::Minus, signed(expr.right))))
    }
}
