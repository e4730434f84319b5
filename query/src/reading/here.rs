//! Answering a [`Request`] from the store, on a thread that may block.

use super::metrics;
use super::output::Output;
use super::reports::{self, Counters, Reports};
use super::request::{ListedRequest, Request, RowsRequest};
use super::rows::Rows;
use crate::columns::{Column, Source, Table, external, measure};
use crate::listed::Catalogue;
use crate::time::{Now, Piece};
use arrow::array::{ArrayRef, Int64Array, UInt32Array};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryReservation;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use zonepulse_dns::RecordType;
use zonepulse_model::{IdSet, RecordId};
use zonepulse_store::{Level, Reading, Selection, Split, Store, Total};

/// Batches without columns are this many times larger.
const COUNTED_BATCHES: usize = 8;

/// The store of this process, and what the counters of its reports are called.
#[derive(Clone)]
pub(crate) struct Here {
    pub(crate) store: Store,
    pub(crate) counters: Arc<Counters>,
    /// What has the rows of the tables of the catalogue; without it they are empty.
    pub(crate) catalogue: Arc<OnceLock<Arc<dyn Catalogue>>>,
}

impl Here {
    /// Answers a request as of a moment. What it holds before handing it over is accounted for in `memory`.
    pub(crate) fn read(&self, request: &Request, now: Now, memory: MemoryReservation, output: Output) -> Result<()> {
        match request {
            Request::Rows(rows) => {
                let output = output.limited(rows.limit);
                Reader { of: self, now, rows, memory, output }.read()
            }
            Request::System(rows) => metrics::read(&self.store, now, rows, output.limited(rows.limit)),
            Request::Count(pieces) => self.count(pieces, now, request.schema(), output),
            Request::Named(names) => self.named(names, request.columns(), output),
            Request::Series => self.series(request.schema(), output),
            Request::Listed(rows) => self.listed(rows, now, output.limited(rows.limit)),
        }
    }

    fn listed(&self, rows: &ListedRequest, now: Now, mut output: Output) -> Result<()> {
        let Some(catalogue) = self.catalogue.get() else { return Ok(()) };
        let each = &mut |batch| if output.is_gone() { ControlFlow::Break(()) } else { output.give(batch) };
        catalogue.rows(rows.table, &rows.columns, now.ms(), each).map_err(DataFusionError::External)
    }

    fn count(&self, pieces: &[Piece], now: Now, schema: SchemaRef, mut output: Output) -> Result<()> {
        let mut counted = 0u64;
        for Piece { level, selection } in pieces {
            let reading = Reading { level: *level, now_s: now.s(), last_access: false };
            counted = counted.saturating_add(self.store.count(&reading, selection).map_err(external)?);
        }
        let column: ArrayRef = Arc::new(Int64Array::from(vec![measure(counted)]));
        let _ = output.give(RecordBatch::try_new(schema, vec![column])?);
        Ok(())
    }

    fn named(&self, names: &[(String, RecordType)], columns: &[Column], mut output: Output) -> Result<()> {
        let found: IdSet<RecordId> = {
            let dictionary = self.store.dictionary();
            names.iter().filter_map(|(host, record_type)| dictionary.find(host, *record_type)).collect()
        };
        let source = Source::of(&self.store, columns)?;
        let mut rows = Rows::new(columns);
        for ids in found.chunks(8192) {
            ids.iter().for_each(|id| rows.push_record(*id));
            if output.give(rows.take(&source)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn series(&self, schema: SchemaRef, mut output: Output) -> Result<()> {
        let (numbers, names) = metrics::series(&self.store)?;
        let numbers: ArrayRef = Arc::new(UInt32Array::from(numbers));
        let columns = std::iter::once(numbers).chain(names.columns().iter().cloned()).collect();
        let _ = output.give(RecordBatch::try_new(schema, columns)?);
        Ok(())
    }
}

/// A partition of a scan that is being read.
struct Reader<'a> {
    of: &'a Here,
    now: Now,
    rows: &'a RowsRequest,
    memory: MemoryReservation,
    output: Output,
}

impl Reader<'_> {
    fn read(mut self) -> Result<()> {
        match (self.rows.table, self.rows.summed) {
            (Table::Dns(_) | Table::Served(_), Some(split)) => self.sums(split),
            (Table::Dns(_) | Table::Served(_), None) if self.rows.columns.is_empty() => self.count(),
            (Table::Dns(_) | Table::Served(_), None) => self.points(),
            (Table::Records | Table::ServedTotal, _) => self.totals(),
            (Table::Coverage, _) => self.coverage(),
            (Table::Servers, _) => self.servers(),
            (Table::Names, _) => self.names(),
        }
    }

    fn level(&self) -> Level {
        self.rows.piece.level
    }

    fn selection(&self) -> &Selection {
        &self.rows.piece.selection
    }

    fn source(&self) -> Result<Source> {
        Source::of(&self.of.store, &self.rows.columns)
    }

    fn points(&mut self) -> Result<()> {
        let source = self.source()?;
        let mut rows = Rows::new(&self.rows.columns);
        let mut failed = None;
        let (reading, selection, batch_rows) = (self.reading(), &self.rows.piece.selection, self.rows.batch_rows);
        let output = &mut self.output;
        self.of
            .store
            .scan(&reading, selection, &mut |points| {
                let mut at = 0;
                while at < points.record_ids.len() {
                    at += rows.push_points(points, at, batch_rows - rows.len());
                    if rows.len() < batch_rows {
                        continue;
                    }
                    match rows.take(&source) {
                        Ok(batch) => output.give(batch)?,
                        Err(error) => {
                            failed = Some(error);
                            return ControlFlow::Break(());
                        }
                    }
                }
                if output.is_gone() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .map_err(external)?;
        if let Some(error) = failed {
            return Err(error);
        }
        let _ = output.give(rows.take(&source)?);
        Ok(())
    }

    fn reading(&self) -> Reading {
        let last_access = self.rows.columns.iter().any(|column| matches!(column, Column::LastAccess | Column::LastServed));
        Reading { level: self.level(), now_s: self.now.s(), last_access }
    }

    /// No row is ready before all are added up, so cancellation is checked meanwhile.
    fn sums(&mut self, split: Split) -> Result<()> {
        let source = self.source()?;
        let mut rows = Rows::new(&self.rows.columns);
        let (mut room, mut flow) = (Ok(()), Ok(ControlFlow::Continue(())));
        let (reading, selection, batch_rows) = (self.reading(), self.selection().clone(), self.rows.batch_rows);
        let Reader { output, memory, .. } = self;
        let gone = output.gone.clone();
        let go_on = &mut |more_bytes: usize| {
            if more_bytes > 0 {
                room = memory.try_grow(more_bytes);
            }
            if room.is_err() || gone() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let each = &mut |sum| {
            rows.push_sum(&sum);
            if rows.len() < batch_rows {
                return ControlFlow::Continue(());
            }
            flow = rows.take(&source).map(|batch| output.give(batch));
            if matches!(flow, Ok(ControlFlow::Continue(()))) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        self.of.store.sums_by(&[(reading, selection)], split, go_on, each).map_err(external)?;
        room?;
        if flow?.is_continue() && !output.is_gone() {
            let _ = output.give(rows.take(&source)?);
        }
        Ok(())
    }

    /// Rows without columns are counted, not read.
    fn count(&mut self) -> Result<()> {
        let points = self.of.store.count(&self.reading(), self.selection()).map_err(external)?;
        let mut left = usize::try_from(points).unwrap_or(usize::MAX);
        let schema = Column::schema(&self.rows.columns);
        while left > 0 {
            let rows = left.min(self.rows.batch_rows * COUNTED_BATCHES);
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let batch = RecordBatch::try_new_with_options(schema.clone(), Vec::new(), &options)?;
            if self.output.give(batch).is_break() {
                break;
            }
            left -= rows;
        }
        Ok(())
    }

    /// The store holds a lock while it reports its totals, so they are collected first.
    fn totals(&mut self) -> Result<()> {
        let source = self.source()?;
        let mut totals: Vec<Total> = Vec::new();
        let mut room = Ok(());
        let Selection { servers, kinds, records, .. } = &self.rows.piece.selection;
        let memory = &mut self.memory;
        self.of.store.totals(servers.as_ref(), &mut |total| {
            let wanted = kinds.includes(total.kind) && records.as_ref().is_none_or(|ids| ids.has(total.record_id));
            if !wanted || room.is_err() {
                return;
            }
            if totals.len() == totals.capacity() {
                let more = totals.len().max(1024);
                room = memory.try_grow(more * size_of::<Total>());
                if room.is_ok() {
                    totals.reserve_exact(more);
                }
            }
            if room.is_ok() {
                totals.push(total);
            }
        });
        room?;
        let mut rows = Rows::new(&self.rows.columns);
        for totals in totals.chunks(self.rows.batch_rows) {
            totals.iter().for_each(|total| rows.push_total(total));
            if self.output.give(rows.take(&source)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn coverage(&mut self) -> Result<()> {
        let source = self.source()?;
        let mut reports = Reports::new(&self.rows.columns, self.of.counters.clone());
        let mut failed = None;
        let (selection, batch_rows) = (&self.rows.piece.selection, self.rows.batch_rows);
        let output = &mut self.output;
        self.of
            .store
            .coverage(selection.servers.as_ref(), selection.from_s, selection.until_s, self.now.s(), &mut |report| {
                reports.push(report);
                if reports.len() < batch_rows {
                    return ControlFlow::Continue(());
                }
                match reports.take(&source) {
                    Ok(batch) => output.give(batch),
                    Err(error) => {
                        failed = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })
            .map_err(external)?;
        if let Some(error) = failed {
            return Err(error);
        }
        let _ = output.give(reports.take(&source)?);
        Ok(())
    }

    fn servers(&mut self) -> Result<()> {
        let servers = self.of.store.registry().servers().map_err(external)?;
        let batch = reports::servers(&self.rows.columns, &servers)?;
        let _ = self.output.give(batch);
        Ok(())
    }

    fn names(&mut self) -> Result<()> {
        let store = &self.of.store;
        let source = self.source()?;
        let mut rows = Rows::new(&self.rows.columns);
        let count = u32::try_from(store.dictionary().len()).unwrap_or(u32::MAX);
        let mut ids: Box<dyn Iterator<Item = RecordId>> = match &self.rows.piece.selection.records {
            Some(ids) => Box::new(ids.iter().copied().filter(move |id| id.get() < count)),
            None => Box::new((0..count).map(RecordId::new)),
        };
        loop {
            // Locked for one batch at a time, because writers need it too. Numbers of removed records have no name.
            let dictionary = store.dictionary();
            let wanted = ids.by_ref().take(self.rows.batch_rows).map(|id| (id, dictionary.get(id).is_some()));
            let mut asked = 0;
            for (id, known) in wanted {
                asked += 1;
                if known {
                    rows.push_record(id);
                }
            }
            drop(dictionary);
            if self.output.give(rows.take(&source)?).is_break() || asked < self.rows.batch_rows {
                return Ok(());
            }
        }
    }
}
