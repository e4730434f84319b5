//! The rows of rates: sums placed on a grid of steps, and divided.

use super::grid::Grid;
use super::reported::Reported;
use crate::columns::{Column, instants, ms};
use crate::observed::Observed;
use crate::questions::question::{Gathered, size};
use crate::questions::selection::servers;
use crate::time::coarsest;
use crate::{By, Error, Filter};
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, UInt16Array, UInt32Array};
use arrow::datatypes::{Int64Type, Schema, TimestampMillisecondType, UInt16Type, UInt32Type};
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use zonepulse_dns::Action;
use zonepulse_store::{Level, Server};

/// The maximum number of stretches in which sums are read by server: each takes a plan of its own.
const MOST_APART: usize = 8;

/// Sums of a part of the grid.
pub(super) struct Part {
    pub(super) sums: Gathered,
    /// Whether they are split by server because servers covered different times.
    pub(super) apart: bool,
}

/// The divisor of each step's sum.
pub(super) enum Divisors {
    /// Each row is about one server.
    OfEach,
    /// Milliseconds by step, 0 where nothing was covered; and the steps, rising, in which servers covered different times.
    Together { ms: Vec<u64>, apart: Vec<u64> },
}

impl Divisors {
    pub(super) fn new(observed: &Observed, grid: Grid, by: By) -> Self {
        if by.server {
            return Divisors::OfEach;
        }
        let lattice = grid.lattice();
        let mut ms = vec![0u64; size(grid.steps)];
        let mut parts: Vec<(usize, u64)> = Vec::new();
        let whole = &mut |_: u32, steps: Range<usize>| {
            ms.get_mut(steps).into_iter().flatten().for_each(|ms| *ms = lattice.step_ms);
        };
        observed.covered(lattice, whole, &mut |_, step, ms| parts.push((step, ms)));
        parts.sort_unstable();
        let mut apart = Vec::new();
        for (step, part_ms) in parts {
            match ms.get_mut(step) {
                Some(ms) if *ms == 0 => *ms = part_ms,
                Some(ms) if *ms != part_ms && apart.last() != Some(&(step as u64)) => apart.push(step as u64),
                _ => {}
            }
        }
        Divisors::Together { ms, apart }
    }

    /// The stretches of steps in which sums have to be read by server.
    pub(super) fn apart(&self) -> Vec<Range<u64>> {
        match self {
            Divisors::OfEach => Vec::new(),
            Divisors::Together { apart, .. } => stretches(apart, MOST_APART),
        }
    }
}

/// Ascending numbers as at most this many ranges, separated at the largest gaps.
fn stretches(numbers: &[u64], most: usize) -> Vec<Range<u64>> {
    let pairs = numbers.iter().zip(numbers.iter().skip(1));
    let mut gaps: Vec<Range<u64>> = pairs.map(|(one, next)| one + 1..*next).filter(|gap| !gap.is_empty()).collect();
    gaps.sort_unstable_by_key(|gap| Reverse(gap.end - gap.start));
    gaps.truncate(most.saturating_sub(1));
    gaps.sort_unstable_by_key(|gap| gap.start);
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return Vec::new() };
    let begins = std::iter::once(*first).chain(gaps.iter().map(|gap| gap.end));
    let ends = gaps.iter().map(|gap| gap.start).chain([last + 1]);
    begins.zip(ends).map(|(begin, end)| begin..end).collect()
}

/// The identity of a series: server, kind and record, each only if rates are split by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    server_id: Option<u32>,
    kind: Option<u16>,
    record_id: Option<u32>,
}

/// Hits of one server in a step that servers covered for different times: row, divisor, and hits.
type Share = (usize, u64, i64);

/// The rows of the grid, ordered by step and then series.
struct Rows {
    hits: Vec<i64>,
    rates: Vec<f64>,
    /// Milliseconds; 0 where nothing was covered.
    divisors_ms: Vec<u64>,
    step_ms: u64,
}

impl Rows {
    /// Adds hits to a row. Hits without coverage, whose reports have expired, count as observed during the whole step.
    fn add(&mut self, place: usize, hits: i64) {
        if let Some((sum, divisor_ms)) = self.hits.get_mut(place).zip(self.divisors_ms.get_mut(place)) {
            *sum = sum.saturating_add(hits);
            if *divisor_ms == 0 {
                *divisor_ms = self.step_ms;
            }
        }
    }

    /// Divides all rows except those whose servers covered different times.
    fn divide(&mut self) {
        for ((rate, hits), divisor_ms) in self.rates.iter_mut().zip(&self.hits).zip(&self.divisors_ms) {
            *rate = rate_of(*hits, *divisor_ms);
        }
    }

    /// Divides those rows: hits with equal divisors together, the smallest divisor first, so that a rate does not
    /// depend on the order of the sums.
    fn divide_shares(&mut self, mut shares: Vec<Share>) {
        shares.sort_unstable();
        for of_row in shares.chunk_by(|one, next| one.0 == next.0) {
            let rates = of_row.chunk_by(|one, next| one.1 == next.1).filter_map(|same| {
                let (_, divisor_ms, _) = same.first()?;
                Some(rate_of(same.iter().fold(0, |sum: i64, (.., hits)| sum.saturating_add(*hits)), *divisor_ms))
            });
            let rate: f64 = rates.sum();
            if let Some(row) = of_row.first().and_then(|(place, ..)| self.rates.get_mut(*place)) {
                *row = rate;
            }
        }
    }
}

fn rate_of(hits: i64, divisor_ms: u64) -> f64 {
    if divisor_ms == 0 { 0.0 } else { hits as f64 / (divisor_ms as f64 / 1000.0) }
}

/// Places the sums on the grid and divides them.
pub(super) fn fill(
    known: &[Server],
    filter: &Filter,
    by: By,
    grid: Grid,
    reported: &Reported,
    divisors: Divisors,
    parts: &[Part],
) -> Result<RecordBatch, Error> {
    let mut places: BTreeMap<Series, usize> = known_series(known, filter, by).into_iter().map(|series| (series, 0)).collect();
    for (batch, apart) in batches(parts) {
        let sums = Sums::new(batch, by, apart)?;
        (0..batch.num_rows()).for_each(|row| {
            places.entry(sums.series(row)).or_default();
        });
        grid.check(places.len())?;
    }
    let count = places.len();
    let rows = grid.check(count)?;
    places.values_mut().enumerate().for_each(|(at, place)| *place = at);
    let mut of_server: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (series, place) in &places {
        of_server.entry(series.server_id.unwrap_or(0)).or_default().push(*place);
    }
    let divisors_ms = spread(&reported.observed, grid, divisors, &of_server, count);
    let mut filled = Rows { hits: vec![0; rows], rates: vec![0.0; rows], divisors_ms, step_ms: grid.step_s * 1000 };
    let mut shares: Vec<Share> = Vec::new();
    for (batch, apart) in batches(parts) {
        let sums = Sums::new(batch, by, apart)?;
        for row in 0..batch.num_rows() {
            let step = (sums.start_s(row) / grid.step_s).saturating_sub(grid.first);
            let Some(place) = places.get(&sums.series(row)).map(|place| size(step) * count + place) else { continue };
            filled.add(place, sums.hits(row));
            if let Some(server_id) = sums.server_id(row).filter(|_| apart) {
                let covered_ms = reported.observed.covered_ms(server_id, &grid.lattice().step(size(step)));
                shares.push((place, if covered_ms == 0 { filled.step_ms } else { covered_ms }, sums.hits(row)));
            }
        }
    }
    filled.divide();
    filled.divide_shares(shares);
    forget_expired(&mut filled.divisors_ms, grid, reported, by, &of_server, count);
    table_of(grid, &places, &filled).map_err(Error::from)
}

/// Batches of sums, and whether they are split by server because servers covered different times.
fn batches(parts: &[Part]) -> impl Iterator<Item = (&RecordBatch, bool)> {
    parts.iter().flat_map(|part| part.sums.batches.iter().map(|batch| (batch, part.apart)))
}

/// The divisor of each row.
fn spread(observed: &Observed, grid: Grid, divisors: Divisors, of_server: &BTreeMap<u32, Vec<usize>>, count: usize) -> Vec<u64> {
    if let Divisors::Together { ms, .. } = divisors {
        return if count == 1 { ms } else { ms.into_iter().flat_map(|ms| std::iter::repeat_n(ms, count)).collect() };
    }
    let lattice = grid.lattice();
    let mut all = vec![0u64; size(grid.steps).saturating_mul(count)];
    let mut parts: Vec<(u32, usize, u64)> = Vec::new();
    let mut set = |server_id: u32, step: usize, divisor_ms: u64| {
        for place in of_server.get(&server_id).into_iter().flatten() {
            all.get_mut(step * count + place).into_iter().for_each(|ms| *ms = divisor_ms);
        }
    };
    let whole = &mut |server_id: u32, steps: Range<usize>| steps.for_each(|step| set(server_id, step, lattice.step_ms));
    observed.covered(lattice, whole, &mut |server_id, step, part_ms| parts.push((server_id, step, part_ms)));
    parts.into_iter().for_each(|(server_id, step, part_ms)| set(server_id, step, part_ms));
    all
}

/// The sum of a step is unknown if some of its raw points have expired.
fn forget_expired(
    divisors_ms: &mut [u64],
    grid: Grid,
    reported: &Reported,
    by: By,
    of_server: &BTreeMap<u32, Vec<usize>>,
    count: usize,
) {
    if coarsest(grid.stretches()) != Level::Raw {
        return;
    }
    for run in &reported.runs {
        let places = of_server.get(if by.server { &run.server_id } else { &0 });
        for step in grid.overlapped(run.from_s, run.until_s) {
            if !reported.expired(run.server_id, grid.start_s(step as u64)) {
                break;
            }
            for place in places.into_iter().flatten() {
                divisors_ms.get_mut(step * count + place).into_iter().for_each(|ms| *ms = 0);
            }
        }
    }
}

/// The series that exist even without hits. There are too many records for that.
fn known_series(known: &[Server], filter: &Filter, by: By) -> Vec<Series> {
    if by.record {
        return Vec::new();
    }
    let asked = servers(filter);
    let servers: Vec<Option<u32>> = if by.server {
        let known = known.iter().map(|server| server.id);
        known.filter(|id| asked.as_ref().is_none_or(|asked| asked.has(*id))).map(|id| Some(id.get())).collect()
    } else {
        vec![None]
    };
    let kinds: &[Option<u16>] = match (by.action, filter.action, filter.rcodes.is_empty()) {
        (false, _, _) => &[None],
        (true, Some(Action::Request), _) => &[Some(0)],
        (true, None, true) => &[Some(0), Some(1)],
        (true, _, _) => &[Some(1)],
    };
    servers
        .iter()
        .flat_map(|server_id| kinds.iter().map(|kind| Series { server_id: *server_id, kind: *kind, record_id: None }))
        .collect()
}

/// The columns of a batch of sums.
struct Sums<'a> {
    starts_ms: &'a [i64],
    hits: &'a [i64],
    server_ids: Option<&'a [u32]>,
    /// Whether rates are split by server.
    by_server: bool,
    kinds: Option<&'a [u16]>,
    record_ids: Option<&'a [u32]>,
}

impl<'a> Sums<'a> {
    fn new(batch: &'a RecordBatch, by: By, apart: bool) -> Result<Self, Error> {
        let array = |column: Column| -> Result<&'a ArrayRef, Error> {
            let array = batch.column_by_name(column.name());
            array.ok_or_else(|| Error::Engine(DataFusionError::Internal(format!("no {column} in the sums"))))
        };
        let u32s = |wanted: bool, column| -> Result<Option<&'a [u32]>, Error> {
            if wanted { array(column).map(|column| Some(&**column.as_primitive::<UInt32Type>().values())) } else { Ok(None) }
        };
        Ok(Sums {
            starts_ms: array(Column::Time)?.as_primitive::<TimestampMillisecondType>().values(),
            hits: array(Column::Hits)?.as_primitive::<Int64Type>().values(),
            server_ids: u32s(by.server || apart, Column::ServerId)?,
            by_server: by.server,
            kinds: if by.action { Some(array(Column::Kind)?.as_primitive::<UInt16Type>().values()) } else { None },
            record_ids: u32s(by.record, Column::RecordId)?,
        })
    }

    fn series(&self, row: usize) -> Series {
        Series {
            server_id: self.server_id(row).filter(|_| self.by_server),
            kind: self.kinds.and_then(|kinds| kinds.get(row)).copied(),
            record_id: self.record_ids.and_then(|ids| ids.get(row)).copied(),
        }
    }

    fn server_id(&self, row: usize) -> Option<u32> {
        self.server_ids.and_then(|ids| ids.get(row)).copied()
    }

    fn start_s(&self, row: usize) -> u64 {
        self.starts_ms.get(row).and_then(|start_ms| u64::try_from(*start_ms).ok()).unwrap_or(0) / 1000
    }

    fn hits(&self, row: usize) -> i64 {
        self.hits.get(row).copied().unwrap_or(0)
    }
}

/// The grid's rows as columns.
fn table_of(grid: Grid, places: &BTreeMap<Series, usize>, rows: &Rows) -> Result<RecordBatch, DataFusionError> {
    let steps = size(grid.steps);
    let starts = (grid.first..grid.first + grid.steps).map(|step| ms(step * grid.step_s * 1000));
    let times: Vec<i64> = starts.flat_map(|start| std::iter::repeat_n(start, places.len())).collect();
    let rates = rows.rates.iter().zip(&rows.divisors_ms).map(|(rate, divisor_ms)| (*divisor_ms > 0).then_some(*rate));
    let hits = rows.hits.iter().zip(&rows.divisors_ms).map(|(hits, divisor_ms)| (*divisor_ms > 0).then_some(*hits));
    let mut columns: Vec<(Column, ArrayRef)> = vec![
        (Column::Time, instants(times)),
        (Column::Rps, Arc::new(rates.collect::<Float64Array>())),
        (Column::Hits, Arc::new(hits.collect::<Int64Array>())),
    ];
    let first = places.keys().next();
    if first.is_some_and(|series| series.server_id.is_some()) {
        let ids = places.keys().map(|series| series.server_id.unwrap_or(0));
        columns.push((Column::ServerId, Arc::new(UInt32Array::from(ids.collect::<Vec<_>>().repeat(steps)))));
    }
    if first.is_some_and(|series| series.kind.is_some()) {
        let kinds = places.keys().map(|series| series.kind.unwrap_or(0));
        columns.push((Column::Kind, Arc::new(UInt16Array::from(kinds.collect::<Vec<_>>().repeat(steps)))));
    }
    if first.is_some_and(|series| series.record_id.is_some()) {
        let ids = places.keys().map(|series| series.record_id.unwrap_or(0));
        columns.push((Column::RecordId, Arc::new(UInt32Array::from(ids.collect::<Vec<_>>().repeat(steps)))));
    }
    let fields = columns.iter().map(|(column, array)| column.field().with_nullable(array.is_nullable()));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    Ok(RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stretches_are_parted_where_the_largest_gaps_are() {
        assert_eq!(stretches(&[1, 2, 5, 20, 21], 2), [1..6, 20..22]);
        assert_eq!(stretches(&[1, 2, 5, 20, 21], 3), [1..3, 5..6, 20..22]);
        assert_eq!(stretches(&[7, 30], 8), [7..8, 30..31]);
        assert_eq!(stretches(&[], 8), []);
    }

    proptest! {
        #[test]
        fn stretches_have_all_numbers_and_follow_each_other(numbers in prop::collection::btree_set(0u64..60, 0..20), most in 1usize..9) {
            let numbers: Vec<u64> = numbers.into_iter().collect();
            let found = stretches(&numbers, most);
            prop_assert!(found.len() <= most);
            prop_assert!(found.is_sorted_by(|one, next| one.end < next.start) && found.iter().all(|stretch| !stretch.is_empty()));
            for number in &numbers {
                prop_assert!(found.iter().any(|stretch| stretch.contains(number)));
            }
        }
    }
}
