//! Requests per second: hits on a grid of steps, with what was not observed told apart from what
//! was not asked for.
//!
//! A step is aligned to the clock, and a whole number of every interval that the probes report, so
//! that each interval lies in one step. For each step and series (a series is one combination of
//! what the rates are split by) the answer has a row: `null` when no probe of the series' servers
//! reported anything in that time, 0 when they reported and had no hit.
//!
//! Steps that are no whole buckets of a roll-up are added up from raw points. Where those have
//! expired such a step is `null`, too: what it had is not known any more.

use crate::engine::take_memory;
use crate::groups::Groups;
use crate::levels::{Stretches, coarsest};
use crate::read::now_s;
use crate::rows::{instants, ms};
use crate::select::{Counts, Range, selection, servers};
use crate::shape::Shape;
use crate::table::field;
use crate::{Answer, By, Engine, Error, Filter, MAX_LIMIT, Page, TimeRange};
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, UInt16Array, UInt32Array};
use arrow::datatypes::{Int64Type, Schema, TimestampMillisecondType, UInt16Type, UInt32Type};
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zonepulse_dns::Action;
use zonepulse_store::{Level, Store};

/// The step where no probe reported any interval, seconds.
const DEFAULT_STEP_S: u64 = 60;
/// No interval is longer, seconds: so much before a range what overlaps it may begin.
const MAX_INTERVAL_S: u64 = 3600;
/// The finest roll-up's buckets, seconds.
const FINEST_S: u64 = 300;
/// The most rows of a grid.
const MAX_ROWS: u64 = MAX_LIMIT;

impl Engine {
    /// [`Engine::rps`], on the threads of questions.
    pub(crate) async fn rps_apart(
        &self,
        filter: &Filter,
        range: TimeRange,
        step_s: Option<u32>,
        by: By,
        page: &Page,
    ) -> Result<Answer, Error> {
        let range = Range::of(range)?;
        let groups = Groups(by);
        let columns = groups.after(&["time", "rps", "hits"]);
        let ties = [vec!["time"], groups.numbers()].concat();
        let shape = Shape { columns, order: Vec::new(), ties };
        shape.order(page)?;
        let _turn = self.turn().await?;
        let asked = filter.clone();
        let (grid, observed, selection) = self
            .blocking(move |store| {
                let mut observed = Observed::new(store, &asked)?;
                let (begin_s, end_s) = (range.from_ms / 1000, range.end_s());
                observed.read(store, begin_s.saturating_sub(MAX_INTERVAL_S), end_s)?;
                let grid = Grid::new(&observed, range, step_s)?;
                // The ends of the grid may lie beyond those of the range.
                observed.read(store, grid.begin_s().saturating_sub(MAX_INTERVAL_S), begin_s.saturating_sub(MAX_INTERVAL_S))?;
                observed.read(store, end_s, grid.end_s())?;
                let selection = selection(store, &asked, Counts::Sums(by), grid.begin_s(), grid.end_s());
                Ok((grid, observed, selection))
            })
            .await?;
        let mut sums = self.sums(selection, grid.stretches(), groups, false).await?;
        let filter = filter.clone();
        let batches = std::mem::take(&mut sums.batches);
        let batch = self.blocking(move |store| fill(store, &filter, by, grid, &observed, &batches)).await?;
        take_memory(&mut sums.memory, &batch)?;
        sums.rows = batch.num_rows();
        sums.schema = batch.schema();
        sums.batches = vec![batch];
        self.page(sums, &shape, page).await
    }
}

/// Consecutive steps, numbered from the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grid {
    step_s: u64,
    first: u64,
    steps: u64,
}

impl Grid {
    fn new(observed: &Observed, range: Range, asked: Option<u32>) -> Result<Self, Error> {
        let (common_s, expired) = observed.common_interval(range);
        let default_s = common_s.unwrap_or(DEFAULT_STEP_S);
        // What raw points say no more, roll-ups still do.
        let default_s = if expired { least_common_multiple(default_s, FINEST_S) } else { default_s };
        let step_s = asked.map_or(default_s, u64::from);
        if step_s == 0 || !step_s.is_multiple_of(common_s.unwrap_or(1)) {
            let unit = common_s.unwrap_or(1);
            return Err(Error::bad("step", format!("it must be a multiple of {unit} s, in which the selected servers report")));
        }
        if step_s > u64::from(u32::MAX) {
            return Err(Error::bad("step", "the selected servers report at intervals without a common step: select one of them"));
        }
        let first = range.from_ms / 1000 / step_s;
        let end = range.until_ms.div_ceil(step_s * 1000);
        let steps = if range.from_ms < range.until_ms { end.saturating_sub(first) } else { 0 };
        let grid = Grid { step_s, first, steps };
        grid.check(1)?;
        Ok(grid)
    }

    /// Refuses more rows than an answer has.
    fn check(self, series: usize) -> Result<usize, Error> {
        let rows = self.steps.checked_mul(series as u64).filter(|rows| *rows <= MAX_ROWS);
        rows.map(crate::engine::size).ok_or_else(|| {
            let Grid { steps, .. } = self;
            let reason =
                format!("{steps} steps of {series} series are more than {MAX_ROWS} rows: use longer steps, or a shorter range");
            Error::bad("step", reason)
        })
    }

    /// The length fits: steps of more seconds than that were refused.
    fn stretches(self) -> Stretches {
        Stretches::of(u32::try_from(self.step_s).unwrap_or(u32::MAX))
    }

    fn begin_s(self) -> u64 {
        self.first * self.step_s
    }

    fn end_s(self) -> u64 {
        (self.first + self.steps) * self.step_s
    }

    /// The steps, counted from the grid's first, that a stretch of time overlaps.
    fn overlapped(self, start_s: u64, end_s: u64) -> std::ops::Range<usize> {
        let from = (start_s / self.step_s).saturating_sub(self.first);
        let until = end_s.div_ceil(self.step_s).saturating_sub(self.first).min(self.steps);
        crate::engine::size(from)..crate::engine::size(until)
    }
}

/// When the selected servers' probes reported, and from when on they have raw points.
struct Observed {
    servers: Option<Vec<u32>>,
    runs: Vec<Run>,
    /// By server, Unix seconds.
    kept_from_s: BTreeMap<u32, u64>,
    now_s: u64,
}

/// Intervals of one server and length that leave no gap, Unix seconds. A day is mostly one run, and not 1,440 intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    server_id: u32,
    interval_s: u32,
    from_s: u64,
    until_s: u64,
}

impl Observed {
    fn new(store: &Store, filter: &Filter) -> Result<Self, Error> {
        let now_s = now_s();
        let known = store.registry().servers()?.into_iter();
        let kept_from_s = known.map(|server| (server.id, store.kept_from_s(server.id, Level::Raw, now_s))).collect();
        Ok(Observed { servers: servers(filter), runs: Vec::new(), kept_from_s, now_s })
    }

    /// Reads what was reported of intervals that start in this time.
    fn read(&mut self, store: &Store, from_s: u64, until_s: u64) -> Result<(), Error> {
        if from_s >= until_s {
            return Ok(());
        }
        let Observed { servers, runs, now_s, .. } = self;
        let each = &mut |server_id, start_s: u64, interval_s: u32| {
            let end_s = start_s.saturating_add(u64::from(interval_s));
            match runs.last_mut() {
                Some(run)
                    if (run.server_id, run.interval_s) == (server_id, interval_s)
                        && (run.from_s..=run.until_s).contains(&start_s) =>
                {
                    run.until_s = run.until_s.max(end_s);
                }
                _ => runs.push(Run { server_id, interval_s, from_s: start_s, until_s: end_s }),
            }
        };
        Ok(store.intervals(servers.as_deref(), from_s, until_s, *now_s, each)?)
    }

    /// The smallest time that every interval reported in the range divides, and whether raw points of a
    /// whole interval have expired.
    fn common_interval(&self, range: Range) -> (Option<u64>, bool) {
        let from_s = range.from_ms / 1000;
        let within = || self.runs.iter().filter(|run| run.until_s > from_s);
        let intervals: BTreeSet<u64> = within().map(|run| u64::from(run.interval_s)).collect();
        let expired = within().any(|run| {
            // The end of the first interval that reaches into the range.
            let before = from_s.saturating_sub(run.from_s) / u64::from(run.interval_s.max(1));
            self.expired(run.server_id, run.from_s + (before + 1) * u64::from(run.interval_s))
        });
        (intervals.into_iter().reduce(least_common_multiple), expired)
    }

    /// Whether raw points of this start are there no more.
    fn expired(&self, server_id: u32, start_s: u64) -> bool {
        self.kept_from_s.get(&server_id).is_some_and(|kept_from_s| start_s < *kept_from_s)
    }
}

fn least_common_multiple(a: u64, b: u64) -> u64 {
    let (mut divisor, mut rest) = (a.max(1), b);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (a / divisor).saturating_mul(b)
}

/// What tells a series from another: server, kind and record, each only where rates are split by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    server_id: Option<u32>,
    kind: Option<u16>,
    record_id: Option<u32>,
}

/// The sums, put onto the grid.
fn fill(
    store: &Store,
    filter: &Filter,
    by: By,
    grid: Grid,
    reported: &Observed,
    sums: &[RecordBatch],
) -> Result<RecordBatch, Error> {
    let mut places: BTreeMap<Series, usize> = known_series(store, filter, by)?.into_iter().map(|series| (series, 0)).collect();
    for batch in sums {
        let sums = Sums::new(batch, by)?;
        (0..batch.num_rows()).for_each(|row| {
            places.entry(sums.series(row)).or_default();
        });
        grid.check(places.len())?;
    }
    let count = places.len();
    let rows = grid.check(count)?;
    places.values_mut().enumerate().for_each(|(at, place)| *place = at);
    // Step by step, and the series in each.
    let mut hits: Vec<i64> = vec![0; rows];
    let mut observed: Vec<bool> = vec![false; rows];
    for batch in sums {
        let sums = Sums::new(batch, by)?;
        for row in 0..batch.num_rows() {
            let step = (sums.start_s(row) / grid.step_s).saturating_sub(grid.first);
            let place = places.get(&sums.series(row)).map(|place| crate::engine::size(step) * count + place);
            if let Some((hits, observed)) = place.and_then(|place| hits.get_mut(place).zip(observed.get_mut(place))) {
                *hits = hits.saturating_add(sums.hits(row));
                *observed = true;
            }
        }
    }
    let mut of_server: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (series, place) in &places {
        of_server.entry(series.server_id.unwrap_or(0)).or_default().push(*place);
    }
    let raw = coarsest(grid.stretches()) == Level::Raw;
    let mut expired: Vec<usize> = Vec::new();
    for run in &reported.runs {
        let server = if by.server { run.server_id } else { 0 };
        for step in grid.overlapped(run.from_s, run.until_s) {
            let gone = raw && reported.expired(run.server_id, (grid.first + step as u64) * grid.step_s);
            for place in of_server.get(&server).into_iter().flatten() {
                let place = step * count + place;
                if gone {
                    expired.push(place);
                } else if let Some(observed) = observed.get_mut(place) {
                    *observed = true;
                }
            }
        }
    }
    // Some of what was reported of such a step is there no more: its sum is not known.
    for place in expired {
        if let Some(observed) = observed.get_mut(place) {
            *observed = false;
        }
    }
    rates(grid, &places, &hits, &observed).map_err(Error::from)
}

/// The series that there are whether or not they had a hit. Records are too many for that.
fn known_series(store: &Store, filter: &Filter, by: By) -> Result<Vec<Series>, Error> {
    if by.record {
        return Ok(Vec::new());
    }
    let asked = servers(filter);
    let servers: Vec<Option<u32>> = if by.server {
        let known = store.registry().servers()?.into_iter().map(|server| server.id);
        known.filter(|id| asked.as_ref().is_none_or(|asked| asked.contains(id))).map(Some).collect()
    } else {
        vec![None]
    };
    let kinds: &[Option<u16>] = match (by.action, filter.action, filter.rcodes.is_empty()) {
        (false, _, _) => &[None],
        (true, Some(Action::Request), _) => &[Some(0)],
        (true, None, true) => &[Some(0), Some(1)],
        (true, _, _) => &[Some(1)],
    };
    Ok(servers
        .iter()
        .flat_map(|server_id| kinds.iter().map(|kind| Series { server_id: *server_id, kind: *kind, record_id: None }))
        .collect())
}

/// The columns of a batch of sums.
struct Sums<'a> {
    starts_ms: &'a [i64],
    hits: &'a [i64],
    server_ids: Option<&'a [u32]>,
    kinds: Option<&'a [u16]>,
    record_ids: Option<&'a [u32]>,
}

impl<'a> Sums<'a> {
    fn new(batch: &'a RecordBatch, by: By) -> Result<Self, Error> {
        let column = |name: &'static str| -> Result<&'a ArrayRef, Error> {
            batch.column_by_name(name).ok_or_else(|| Error::Engine(DataFusionError::Internal(format!("no {name} in the sums"))))
        };
        let u32s = |wanted: bool, name| -> Result<Option<&'a [u32]>, Error> {
            if wanted { column(name).map(|column| Some(&**column.as_primitive::<UInt32Type>().values())) } else { Ok(None) }
        };
        Ok(Sums {
            starts_ms: column("time")?.as_primitive::<TimestampMillisecondType>().values(),
            hits: column("hits")?.as_primitive::<Int64Type>().values(),
            server_ids: u32s(by.server, "server_id")?,
            kinds: if by.action { Some(column("kind")?.as_primitive::<UInt16Type>().values()) } else { None },
            record_ids: u32s(by.record, "record_id")?,
        })
    }

    fn series(&self, row: usize) -> Series {
        Series {
            server_id: self.server_ids.and_then(|ids| ids.get(row)).copied(),
            kind: self.kinds.and_then(|kinds| kinds.get(row)).copied(),
            record_id: self.record_ids.and_then(|ids| ids.get(row)).copied(),
        }
    }

    fn start_s(&self, row: usize) -> u64 {
        self.starts_ms.get(row).and_then(|start_ms| u64::try_from(*start_ms).ok()).unwrap_or(0) / 1000
    }

    fn hits(&self, row: usize) -> i64 {
        self.hits.get(row).copied().unwrap_or(0)
    }
}

/// The grid's rows as columns.
fn rates(grid: Grid, places: &BTreeMap<Series, usize>, hits: &[i64], observed: &[bool]) -> Result<RecordBatch, DataFusionError> {
    let steps = crate::engine::size(grid.steps);
    let starts = (grid.first..grid.first + grid.steps).map(|step| ms(step * grid.step_s * 1000));
    let times: Vec<i64> = starts.flat_map(|start| std::iter::repeat_n(start, places.len())).collect();
    let seen = || hits.iter().zip(observed).map(|(hits, observed)| observed.then_some(*hits));
    let rate = |hits: i64| hits as f64 / grid.step_s as f64;
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("time", instants(times)),
        ("rps", Arc::new(seen().map(|hits| hits.map(rate)).collect::<Float64Array>())),
        ("hits", Arc::new(seen().collect::<Int64Array>())),
    ];
    let first = places.keys().next();
    if first.is_some_and(|series| series.server_id.is_some()) {
        let ids = places.keys().map(|series| series.server_id.unwrap_or(0));
        columns.push(("server_id", Arc::new(UInt32Array::from(ids.collect::<Vec<_>>().repeat(steps)))));
    }
    if first.is_some_and(|series| series.kind.is_some()) {
        let kinds = places.keys().map(|series| series.kind.unwrap_or(0));
        columns.push(("kind", Arc::new(UInt16Array::from(kinds.collect::<Vec<_>>().repeat(steps)))));
    }
    if first.is_some_and(|series| series.record_id.is_some()) {
        let ids = places.keys().map(|series| series.record_id.unwrap_or(0));
        columns.push(("record_id", Arc::new(UInt32Array::from(ids.collect::<Vec<_>>().repeat(steps)))));
    }
    let fields = columns.iter().map(|(name, array)| field(name).with_nullable(array.is_nullable()));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    Ok(RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect())?)
}
