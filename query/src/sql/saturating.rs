//! A `sum` of whole numbers that is exact, and saturates at the limits of BIGINT instead of wrapping around.
//!
//! DataFusion's sums of whole numbers wrap around, so one absurd number from one server would turn the sum over all servers
//! into a small or negative one. The wire's limits keep any likely sum far below (`wire/src/bounds.rs`); totals of
//! years, and what stores accepted before there were limits, may reach it all the same. These sums are kept in 128 bits
//! in groups, in windows and between partitions, and only the result saturates, so it does not depend on the
//! order of rows, whatever their signs. Unsigned numbers are added up as signed ones, so that sums can be subtracted.
//! Sums of fractions, decimals and durations are DataFusion's.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion::common::types::{
    NativeType, logical_float64, logical_int8, logical_int16, logical_int32, logical_int64, logical_uint8, logical_uint16,
    logical_uint32, logical_uint64,
};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Coercion, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature, TypeSignature, TypeSignatureClass, Volatility,
};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::accumulate::NullState;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The state of a sum between partitions: it has room for 2⁶³ of the largest numbers.
const STATE: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);

/// The function, with the name of the one that it replaces.
pub(crate) fn sum() -> Arc<AggregateUDF> {
    static SUM: LazyLock<Arc<AggregateUDF>> =
        LazyLock::new(|| Arc::new(AggregateUDF::from(SaturatingSum { of_others: Sum::new(), signature: signature() })));
    SUM.clone()
}

/// The signature of DataFusion's `sum`, except that all whole numbers become BIGINT.
fn signature() -> Signature {
    let exact = |class| TypeSignature::Coercible(vec![Coercion::new_exact(class)]);
    let whole =
        [logical_int8(), logical_int16(), logical_int32(), logical_uint8(), logical_uint16(), logical_uint32(), logical_uint64()];
    let whole = whole.map(TypeSignatureClass::Native).to_vec();
    let coerced =
        |to, from, native| TypeSignature::Coercible(vec![Coercion::new_implicit(TypeSignatureClass::Native(to), from, native)]);
    let signatures = vec![
        exact(TypeSignatureClass::Decimal),
        coerced(logical_int64(), whole, NativeType::Int64),
        coerced(logical_float64(), vec![TypeSignatureClass::Float], NativeType::Float64),
        exact(TypeSignatureClass::Duration),
        exact(TypeSignatureClass::Interval),
    ];
    Signature::one_of(signatures, Volatility::Immutable)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SaturatingSum {
    /// For all but whole numbers.
    of_others: Sum,
    signature: Signature,
}

fn is_whole(args: &AccumulatorArgs<'_>) -> bool {
    *args.return_field.data_type() == DataType::Int64
}

impl AggregateUDFImpl for SaturatingSum {
    fn name(&self) -> &str {
        self.of_others.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.of_others.return_type(types)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if args.is_distinct || *args.return_field.data_type() != DataType::Int64 {
            return self.of_others.state_fields(args);
        }
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "sum"), STATE, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match (is_whole(&args), args.is_distinct) {
            (true, false) => Ok(Box::<Total>::default()),
            (true, true) => Ok(Box::<Distinct>::default()),
            (false, _) => self.of_others.accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        // Both support retraction.
        if is_whole(&args) { self.accumulator(args) } else { self.of_others.create_sliding_accumulator(args) }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.of_others.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        if is_whole(&args) { Ok(Box::new(Totals::new())) } else { self.of_others.create_groups_accumulator(args) }
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

/// A sum saturated to BIGINT.
fn cut(sum: i128) -> i64 {
    i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
}

/// The only column of an argument or a state.
fn only(columns: &[ArrayRef]) -> Result<&ArrayRef> {
    match columns {
        [column] => Ok(column),
        _ => exec_err!("sum of {} columns", columns.len()),
    }
}

fn numbers<T: ArrowPrimitiveType>(columns: &[ArrayRef]) -> Result<&PrimitiveArray<T>> {
    let column = only(columns)?;
    match column.as_primitive_opt() {
        Some(numbers) => Ok(numbers),
        None => exec_err!("sum of {}", column.data_type()),
    }
}

/// One sum. It is kept exactly, so that a window can retract numbers.
#[derive(Debug, Default)]
struct Total {
    sum: i128,
    /// The number of summands: without any, the sum is null.
    numbers: u64,
}

impl Total {
    /// The sum and the number of a column's values.
    fn of<T: ArrowPrimitiveType<Native: Into<i128>>>(columns: &[ArrayRef]) -> Result<(i128, u64)> {
        let numbers = numbers::<T>(columns)?;
        let sum = numbers.iter().flatten().fold(0, |sum: i128, number| sum.saturating_add(number.into()));
        Ok((sum, (numbers.len() - numbers.null_count()) as u64))
    }

    fn add(&mut self, (sum, numbers): (i128, u64)) {
        self.sum = self.sum.saturating_add(sum);
        self.numbers = self.numbers.saturating_add(numbers);
    }
}

impl Accumulator for Total {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.add(Self::of::<Int64Type>(columns)?);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.add(Self::of::<Decimal128Type>(states)?);
        Ok(())
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let (sum, numbers) = Self::of::<Int64Type>(columns)?;
        self.sum = self.sum.saturating_sub(sum);
        self.numbers = self.numbers.saturating_sub(numbers);
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64((self.numbers > 0).then(|| cut(self.sum))))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Decimal128((self.numbers > 0).then_some(self.sum), DECIMAL128_MAX_PRECISION, 0)])
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// One sum of distinct numbers.
#[derive(Debug, Default)]
struct Distinct {
    /// The number of occurrences of each number.
    counts: HashMap<i64, u64>,
    sum: i128,
}

impl Distinct {
    fn add(&mut self, numbers: &Int64Array) {
        for number in numbers.iter().flatten() {
            let count = self.counts.entry(number).or_default();
            if *count == 0 {
                self.sum = self.sum.saturating_add(number.into());
            }
            *count = count.saturating_add(1);
        }
    }
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.add(numbers::<Int64Type>(columns)?);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let state = only(states)?;
        let Some(lists) = state.as_list_opt::<i32>() else { return exec_err!("sum of distinct {}", state.data_type()) };
        for list in lists.iter().flatten() {
            self.add(numbers::<Int64Type>(&[list])?);
        }
        Ok(())
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        for number in numbers::<Int64Type>(columns)?.iter().flatten() {
            let Some(count) = self.counts.get_mut(&number) else { continue };
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&number);
                self.sum = self.sum.saturating_sub(number.into());
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64((!self.counts.is_empty()).then(|| cut(self.sum))))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let numbers: Vec<ScalarValue> = self.counts.keys().map(|number| ScalarValue::Int64(Some(*number))).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&numbers, &DataType::Int64))])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.capacity() * (size_of::<(i64, u64)>() + 1)
    }
}

/// A sum for each group.
struct Totals {
    sums: Vec<i128>,
    nulls: NullState,
}

impl Totals {
    fn new() -> Self {
        Totals { sums: Vec::new(), nulls: NullState::new() }
    }

    fn add<T: ArrowPrimitiveType<Native: Into<i128>> + Send>(
        &mut self,
        columns: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        let numbers = numbers::<T>(columns)?;
        self.sums.resize(total, 0);
        self.nulls.accumulate(groups, numbers, filter, total, |group, number| {
            if let Some(sum) = self.sums.get_mut(group) {
                *sum = sum.wrapping_add(number.into());
            }
        });
        Ok(())
    }
}

impl GroupsAccumulator for Totals {
    fn update_batch(
        &mut self,
        columns: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.add::<Int64Type>(columns, groups, filter, total)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.add::<Decimal128Type>(states, groups, None, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums: Vec<i64> = emit_to.take_needed(&mut self.sums).into_iter().map(cut).collect();
        Ok(Arc::new(Int64Array::new(sums.into(), self.nulls.build(emit_to))))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let sums = emit_to.take_needed(&mut self.sums);
        let state = Decimal128Array::new(sums.into(), self.nulls.build(emit_to)).with_data_type(STATE);
        Ok(vec![Arc::new(state)])
    }

    fn convert_to_state(&self, columns: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let numbers = numbers::<Int64Type>(columns)?;
        let passes = filter.map(|filter| match filter.nulls() {
            Some(known) => NullBuffer::new(known.inner() & filter.values()),
            None => NullBuffer::new(filter.values().clone()),
        });
        let sums: Vec<i128> = numbers.values().iter().map(|number| i128::from(*number)).collect();
        let state = Decimal128Array::new(sums.into(), NullBuffer::union(numbers.nulls(), passes.as_ref()));
        Ok(vec![Arc::new(state.with_data_type(STATE))])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i128>() + self.nulls.size()
    }
}
