//! Hits of all time, per record.
//!
//! There may be millions of records, and a page shows a few. So sums are made record by record, as the store yields
//! them, and only the rows up to the end of the page are kept: memory is bounded by the page, not by the dictionary.
//! All rows are counted on the way.

use super::groups::Groups;
use super::question::{Question, size};
use super::selection::Counts;
use super::shape::{Key, Shape};
use crate::columns::{Column, Dimension, Source};
use crate::reading::{Rows, TotalSum};
use crate::runtime::BATCH_ROWS;
use crate::time::{TimeRange, check_named};
use crate::{Answer, By, Error, Filter, Kept, Page};
use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::MemoryReservation;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};
use zonepulse_dns::{MessageKind, RecordType, ResponseCode};
use zonepulse_store::{DictionaryReader, Selection, ServerNames, Store, Total, is_folded};

/// The measures of a row.
const MEASURES: [Column; 3] = [Column::Hits, Column::FirstSeen, Column::LastAccess];
/// How many rows more than needed are kept, at least, before the superfluous ones are dropped.
const SPARE_ROWS: usize = 4096;

impl Question {
    /// [`Engine::totals`](crate::Engine::totals).
    pub(super) async fn totals(&self, filter: &Filter, kept: Kept, by: By, page: &Page) -> Result<Answer, Error> {
        check_named(kept.last_access, ["accessed_from", "accessed_to"])?;
        let _turn = self.engine.turn().await?;
        let by = by.and(By::RECORD);
        let selection = self.selected(filter, Counts::Sums(by), 0, u64::MAX).await?;
        let keys = Groups(by).numbers();
        let split = Groups(By { record: false, ..by });
        let columns = split.after(&[Dimension::Record.columns(), &MEASURES].concat());
        let order = vec![(Column::Hits, true), (Column::Host, false), (Column::Type, false)];
        let shape = Shape { columns, order, ties: keys.clone() };
        let order = shape.order(page)?;
        let source = self.source(&[&shape.columns[..], &[Column::Server]].concat())?;
        let wanted = Wanted { selection, kept, by, order, skip: size(page.offset), limit: size(page.limit) };
        // Dropped together with this future, which tells the thread that the question was cancelled.
        let waits = Arc::new(());
        let waiting = Arc::downgrade(&waits);
        let memory = self.engine.reserve("rows of an answer");
        let answer = self.engine.blocking(move |store| {
            let sums = Best::new(store, wanted, source.servers().clone(), memory, waiting).run()?;
            // The columns of a row before it gets texts.
            let batches = sums.batches(&[&keys[..], &MEASURES].concat(), &source)?;
            let finished = batches.iter().map(|batch| shape.finish(batch, &source, None)).collect::<Result<_, _>>()?;
            Ok(Answer { batches: finished, schema: shape.schema(), total: sums.total })
        });
        answer.await
    }
}

/// What is wanted.
struct Wanted {
    selection: Selection,
    kept: Kept,
    by: By,
    order: Vec<Key>,
    skip: usize,
    limit: usize,
}

/// The first rows among those seen so far.
struct Best<'a> {
    store: &'a Store,
    wanted: Wanted,
    servers: ServerNames,
    memory: MemoryReservation,
    waiting: Weak<()>,
    /// The needed rows, and those added since superfluous ones were last dropped.
    rows: Vec<TotalSum>,
    /// Only rows before this one are needed.
    last: Option<TotalSum>,
    total: u64,
}

impl<'a> Best<'a> {
    fn new(store: &'a Store, wanted: Wanted, servers: ServerNames, memory: MemoryReservation, waiting: Weak<()>) -> Self {
        Best { store, wanted, servers, memory, waiting, rows: Vec::new(), last: None, total: 0 }
    }

    /// Goes through all sums.
    fn run(mut self) -> Result<Self, Error> {
        let store = self.store;
        let (servers, records) = (self.wanted.selection.servers.clone(), self.wanted.selection.records.clone());
        let mut room = Ok(());
        store.totals_by_record(servers.as_ref(), records.as_ref(), &mut |part| {
            if self.waiting.strong_count() == 0 {
                return ControlFlow::Break(());
            }
            // Locked for one part at a time, because writers need it too.
            let dictionary = store.dictionary();
            for of_record in part.chunk_by(|a, b| a.record_id == b.record_id) {
                for sum in self.sums(of_record) {
                    room = self.take(sum, &dictionary);
                    if room.is_err() {
                        return ControlFlow::Break(());
                    }
                }
            }
            ControlFlow::Continue(())
        });
        room?;
        let dictionary = store.dictionary();
        let Best { rows, wanted, servers, .. } = &mut self;
        rows.sort_unstable_by(|a, b| compare(a, b, &wanted.order, servers, &dictionary));
        rows.truncate(wanted.skip.saturating_add(wanted.limit));
        drop(dictionary);
        Ok(self)
    }

    /// The rows of one record.
    fn sums(&self, of_record: &[Total]) -> Vec<TotalSum> {
        let Wanted { selection, kept, by, .. } = &self.wanted;
        if kept.exists.is_some_and(|wanted| exists(of_record) != wanted) {
            return Vec::new();
        }
        let mut sums: Vec<TotalSum> = Vec::new();
        for total in of_record.iter().filter(|total| selection.kinds.includes(total.kind)) {
            let server_id = by.server.then_some(total.server_id);
            let action = by.action.then(|| total.kind.action()).flatten();
            match sums.iter_mut().find(|sum| (sum.server_id, sum.action) == (server_id, action)) {
                Some(sum) => {
                    sum.hits = sum.hits.saturating_add(total.hits);
                    sum.first_ms = sum.first_ms.min(total.first_ms);
                    sum.last_ms = sum.last_ms.max(total.last_ms);
                }
                None => {
                    let Total { record_id, hits, first_ms, last_ms, .. } = *total;
                    sums.push(TotalSum { record_id, server_id, action, hits, first_ms, last_ms });
                }
            }
        }
        let TimeRange { from_ms, until_ms } = kept.last_access;
        sums.retain(|sum| from_ms.is_none_or(|from| sum.last_ms >= from) && until_ms.is_none_or(|until| sum.last_ms < until));
        sums
    }

    /// Counts a row, and keeps it if it may be needed.
    fn take(&mut self, row: TotalSum, dictionary: &DictionaryReader<'_>) -> Result<(), Error> {
        self.total += 1;
        let Wanted { order, skip, limit, .. } = &self.wanted;
        let needed = if *limit == 0 { 0 } else { skip.saturating_add(*limit) };
        let is_late = |last: &TotalSum| compare(&row, last, order, &self.servers, dictionary).is_ge();
        if needed == 0 || self.last.as_ref().is_some_and(is_late) {
            return Ok(());
        }
        if self.rows.len() == self.rows.capacity() {
            let more = self.rows.len().clamp(1024, 1 << 18);
            self.memory.try_grow(more * size_of::<TotalSum>())?;
            self.rows.reserve_exact(more);
        }
        self.rows.push(row);
        if self.rows.len() >= needed.saturating_add(SPARE_ROWS.max(needed / 4)) {
            let (_, last, _) =
                self.rows.select_nth_unstable_by(needed - 1, |a, b| compare(a, b, order, &self.servers, dictionary));
            self.last = Some(*last);
            self.rows.truncate(needed);
        }
        Ok(())
    }

    /// The rows of the page, in order.
    fn batches(&self, columns: &[Column], source: &Source) -> Result<Vec<RecordBatch>, Error> {
        let mut rows = Rows::new(columns);
        let page = self.rows.get(self.wanted.skip..).unwrap_or_default();
        let batch = |of: &[TotalSum]| -> Result<RecordBatch, Error> {
            of.iter().for_each(|row| rows.push_total_sum(row));
            Ok(rows.take(source)?)
        };
        page.chunks(BATCH_ROWS).map(batch).collect()
    }
}

/// Whether a name exists, judging by the answers for one of its records. Other codes, such as REFUSED, say nothing about it.
fn exists(of_record: &[Total]) -> bool {
    let answered = |code| of_record.iter().any(|total| total.kind == MessageKind::response(code));
    answered(ResponseCode::NOERROR) || !answered(ResponseCode::NXDOMAIN)
}

/// Which of two rows comes first.
fn compare(a: &TotalSum, b: &TotalSum, order: &[Key], servers: &ServerNames, dictionary: &DictionaryReader<'_>) -> Ordering {
    for (column, descending) in order {
        let ordering = match *column {
            Column::Hits => a.hits.cmp(&b.hits),
            Column::FirstSeen => a.first_ms.cmp(&b.first_ms),
            Column::LastAccess => a.last_ms.cmp(&b.last_ms),
            Column::RecordId => a.record_id.cmp(&b.record_id),
            Column::ServerId => a.server_id.cmp(&b.server_id),
            Column::Kind | Column::Action => a.action.cmp(&b.action),
            Column::Host | Column::Type | Column::Folded if a.record_id == b.record_id => Ordering::Equal,
            Column::Host => host(a, dictionary).cmp(host(b, dictionary)),
            Column::Type => type_text(a, dictionary).cmp(&type_text(b, dictionary)),
            Column::Folded => is_folded(host(a, dictionary)).cmp(&is_folded(host(b, dictionary))),
            Column::Server => match (server(a, servers), server(b, servers)) {
                (Some(a), Some(b)) => a.cmp(b),
                // Nulls come last in either order.
                (a, b) if *descending => a.is_some().cmp(&b.is_some()),
                (a, b) => b.is_some().cmp(&a.is_some()),
            },
            // There are no resources yet: all rows are equal.
            _ => Ordering::Equal,
        };
        let ordering = if *descending { ordering.reverse() } else { ordering };
        if ordering.is_ne() {
            return ordering;
        }
    }
    Ordering::Equal
}

/// The display name of a row's server; a server that was purged has none.
fn server<'a>(row: &TotalSum, servers: &'a ServerNames) -> Option<&'a str> {
    servers.get(&row.server_id?).map(String::as_str)
}

fn host<'a>(row: &TotalSum, dictionary: &'a DictionaryReader<'_>) -> &'a str {
    dictionary.get(row.record_id).map_or("", |(name, _)| name)
}

fn type_text(row: &TotalSum, dictionary: &DictionaryReader<'_>) -> Cow<'static, str> {
    let record_type = dictionary.get(row.record_id).map_or(RecordType::new(0), |(_, record_type)| record_type);
    record_type.mnemonic().map_or_else(|| Cow::Owned(record_type.to_string()), Cow::Borrowed)
}
