//! Sums, differences and products of whole numbers that are correct, or an error.
//!
//! DataFusion's integer arithmetic wraps around: `sum(hits) + 1` of a sum at the maximum would be the minimum.
//! So `+`, `-` and `*` of whole numbers are planned as functions of our own, which fail on overflow. This applies wherever
//! expressions occur: in projections, filters, joins and arguments. Constants are still folded; if that fails, so does the
//! statement when it runs.
//!
//! Planners look up a function's arguments and name again and again, at a cost in proportion to its nesting. So consecutive
//! operators become arguments of one function where they would nest too deeply.
//!
//! All measures of the tables are signed, but some of DataFusion's functions return unsigned numbers (`row_number`,
//! `approx_distinct`), and ids are unsigned. A difference of two of them is computed with signed numbers.

use arrow::array::{ArrayRef, Datum};
use arrow::compute::kernels::numeric::{add, div, mul, rem, sub};
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::error::ArrowError;
use datafusion::common::{DFSchema, DataFusionError, Result, exec_datafusion_err, internal_err};
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, cast,
};
use datafusion::physical_expr_common::datum::apply;
use datafusion::sql::sqlparser::ast::BinaryOperator;
use std::fmt::Write;
use std::sync::Arc;

/// The depth of nesting beyond which further operands become arguments: `GROUP BY a + 1` must still match in `a + 1 + 2`.
const MAX_DEPTH: usize = 8;

/// Plans arithmetic of whole numbers.
#[derive(Debug)]
pub(crate) struct WholeNumbers;

impl ExprPlanner for WholeNumbers {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let Some(operation) = Operation::of(&expr.op) else { return Ok(PlannerResult::Original(expr)) };
        let depth = checked(&expr.left).map_or(0, |left| left.depth);
        if operation.is_within() && depth == 0 {
            return Ok(PlannerResult::Original(expr));
        }
        // An expression without a type is reported later, with its position.
        let (Ok(left), Ok(right)) = (expr.left.get_type(schema), expr.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(expr));
        };
        let Some(common) = operation.type_of(&left, &right) else { return Ok(PlannerResult::Original(expr)) };
        let cast_from = |data_type: &DataType, expr| if *data_type == common { expr } else { cast(expr, common.clone()) };
        let (before, after) = (cast_from(&left, expr.left), cast_from(&right, expr.right));
        Ok(PlannerResult::Planned(operation.planned(before, after, depth)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Plus,
    Minus,
    Times,
    Divide,
    Modulo,
}

impl Operation {
    fn of(operator: &BinaryOperator) -> Option<Self> {
        match operator {
            BinaryOperator::Plus => Some(Operation::Plus),
            BinaryOperator::Minus => Some(Operation::Minus),
            BinaryOperator::Multiply => Some(Operation::Times),
            BinaryOperator::Divide => Some(Operation::Divide),
            BinaryOperator::Modulo => Some(Operation::Modulo),
            _ => None,
        }
    }

    fn operator(self) -> Operator {
        match self {
            Operation::Plus => Operator::Plus,
            Operation::Minus => Operator::Minus,
            Operation::Times => Operator::Multiply,
            Operation::Divide => Operator::Divide,
            Operation::Modulo => Operator::Modulo,
        }
    }

    /// Whether DataFusion checks it itself: it becomes a function only after one of ours.
    fn is_within(self) -> bool {
        matches!(self, Operation::Divide | Operation::Modulo)
    }

    /// The common type of two whole numbers; `None` if they are not, or are not to be computed as such.
    fn type_of(self, left: &DataType, right: &DataType) -> Option<DataType> {
        if !left.is_integer() || !right.is_integer() {
            return None;
        }
        if self == Operation::Minus && left.is_unsigned_integer() && right.is_unsigned_integer() {
            return Some(DataType::Int64);
        }
        let (common, other) = BinaryTypeCoercer::new(left, &self.operator(), right).get_input_types().ok()?;
        (common == other && common.is_integer()).then_some(common)
    }

    /// The operation on two numbers of one type.
    fn planned(self, left: Expr, right: Expr, depth: usize) -> Expr {
        match left {
            Expr::ScalarFunction(ScalarFunction { func, mut args }) if depth >= MAX_DEPTH => {
                let mut operations = func.inner().downcast_ref::<Checked>().map_or(Vec::new(), |left| left.operations.clone());
                operations.push(self);
                args.push(right);
                Checked::new(operations, depth).call(args)
            }
            left => Checked::new(vec![self], depth + 1).call(vec![left, right]),
        }
    }

    fn compute(self, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        match self {
            Operation::Plus => add(left, right),
            Operation::Minus => sub(left, right),
            Operation::Times => mul(left, right),
            Operation::Divide => div(left, right),
            Operation::Modulo => rem(left, right),
        }
    }
}

/// An expression as one of these functions.
fn checked(expr: &Expr) -> Option<&Checked> {
    match expr {
        Expr::ScalarFunction(function) => function.func.inner().downcast_ref(),
        _ => None,
    }
}

/// Operations on whole numbers of one type, from left to right, that fail on overflow.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    name: String,
    operations: Vec<Operation>,
    /// The depth of nesting on the left, including this one.
    depth: usize,
    signature: Signature,
}

impl Checked {
    #[expect(clippy::new_ret_no_self, reason = "it is used as what it is made for")]
    fn new(operations: Vec<Operation>, depth: usize) -> ScalarUDF {
        let operators: String = operations.iter().map(|operation| operation.operator().to_string()).collect();
        let signature = Signature::any(operations.len() + 1, Volatility::Immutable);
        ScalarUDF::from(Checked { name: format!("checked {operators}"), operations, depth, signature })
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        &self.name
    }

    /// The same as for operators, since it becomes the name of the column.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let Some((first, rest)) = args.split_first() else { return internal_err!("{} of nothing", self.name) };
        let mut name = first.schema_name().to_string();
        for (operation, arg) in self.operations.iter().zip(rest) {
            // Writing into memory cannot fail.
            let _ = write!(name, " {} {}", operation.operator(), arg.schema_name());
        }
        Ok(name)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [first, rest @ ..] if first.is_integer() && rest.iter().all(|other| other == first) => Ok(first.clone()),
            _ => internal_err!("{} of {types:?}", self.name),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(&self.name, self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut rest = args.args.into_iter();
        let Some(mut result) = rest.next() else { return internal_err!("{} of nothing", self.name) };
        for (operation, arg) in self.operations.iter().zip(rest) {
            let computed = apply(&result, &arg, |left, right| operation.compute(left, right));
            result = computed.map_err(|error| match &error {
                DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
                    ArrowError::ArithmeticOverflow(text) => beyond(text, args.return_field.data_type()),
                    _ => error,
                },
                _ => error,
            })?;
        }
        Ok(result)
    }
}

/// Arrow's error for an overflow, with advice.
fn beyond(text: &str, data_type: &DataType) -> DataFusionError {
    let numbers = text.strip_prefix("Overflow happened on: ").unwrap_or(text);
    exec_datafusion_err!("{numbers} is beyond what {data_type} has: CAST one of them to DECIMAL(38, 0), or to DOUBLE")
}
