//! `sum` that stops at the largest number instead of beginning again at 0.
//!
//! DataFusion adds up unsigned numbers modulo 2⁶⁴, so one absurd number of one server would turn the
//! sum over all servers into a small one. What the wire takes keeps any likely sum far below
//! (`wire/src/bounds.rs`); totals of years, and what stores took before there were bounds, may come to it all the
//! same. The store's own sums stop at 2⁶⁴ - 1, and so do these. Everything else is DataFusion's `sum`.

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef, UInt64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;
use std::sync::{Arc, LazyLock};

/// The function, under the name of the one that it replaces.
pub(crate) fn sum() -> Arc<AggregateUDF> {
    static SUM: LazyLock<Arc<AggregateUDF>> =
        LazyLock::new(|| Arc::new(AggregateUDF::from(SaturatingSum { of_others: Sum::new() })));
    SUM.clone()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SaturatingSum {
    /// Adds up what is not unsigned.
    of_others: Sum,
}

fn is_unsigned(args: &AccumulatorArgs<'_>) -> bool {
    !args.is_distinct && *args.return_field.data_type() == DataType::UInt64
}

impl AggregateUDFImpl for SaturatingSum {
    fn name(&self) -> &str {
        self.of_others.name()
    }

    fn signature(&self) -> &Signature {
        self.of_others.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.of_others.return_type(types)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.of_others.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if is_unsigned(&args) { Ok(Box::<Total>::default()) } else { self.of_others.accumulator(args) }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if is_unsigned(&args) { Ok(Box::<Total>::default()) } else { self.of_others.create_sliding_accumulator(args) }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.of_others.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        if !is_unsigned(&args) {
            return self.of_others.create_groups_accumulator(args);
        }
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        Ok(Box::new(PrimitiveGroupsAccumulator::<UInt64Type, _>::new(&DataType::UInt64, add)))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.of_others.reverse_expr()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.of_others.order_sensitivity()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.of_others.set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.of_others.documentation()
    }
}

/// One sum. It is kept whole, so that what a window takes out of it again is there.
#[derive(Debug, Default)]
struct Total {
    /// 2⁶⁴ of the largest numbers fit.
    sum: u128,
    /// How many numbers are in it: of none, the sum is null.
    numbers: u64,
}

impl Total {
    /// The sum of a column's numbers, and how many there are.
    fn of(columns: &[ArrayRef]) -> Result<(u128, u64)> {
        let Some(column) = columns.first() else { return exec_err!("sum of no column") };
        let mut found = (0, 0);
        for number in column.as_primitive::<UInt64Type>().iter().flatten() {
            found = (found.0 + u128::from(number), found.1 + 1);
        }
        Ok(found)
    }
}

impl Accumulator for Total {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let (sum, numbers) = Self::of(columns)?;
        self.sum = self.sum.saturating_add(sum);
        self.numbers = self.numbers.saturating_add(numbers);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let (sum, numbers) = Self::of(columns)?;
        self.sum = self.sum.saturating_sub(sum);
        self.numbers = self.numbers.saturating_sub(numbers);
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = u64::try_from(self.sum).unwrap_or(u64::MAX);
        Ok(ScalarValue::UInt64((self.numbers > 0).then_some(sum)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
