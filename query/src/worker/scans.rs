//! The central's side of a worker's scans: each on a thread, some batches ahead of the worker.
//!
//! A small batch waits until it is known whether it is the last one, and is then sent together with the end: most scans
//! have one batch, and the worker wakes once. A large batch does not wait, so little is held back.

use super::WINDOW;
use super::frame::{Frame, Kind};
use super::threads::Threads;
use crate::Error;
use crate::reading::{Here, Output, Request};
use crate::sql::bad;
use crate::time::Now;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool};
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

/// Maximum number of open scans of a statement.
const MAX_SCANS: usize = 64;
/// The memory for the ids of a larger request is accounted for, bytes.
const LARGE_REQUEST_BYTES: usize = 64 << 10;
/// Up to this many names are looked up without a thread: the dictionary is in memory, and the answer is a small batch.
const FEW_NAMES: usize = 16;
/// A batch of up to this many bytes waits for the next one, or the end.
const SMALL_BATCH_BYTES: usize = 64 << 10;

/// Messages from the thread of a scan.
pub(super) enum Told {
    /// Rows.
    Frame(Frame),
    /// The end of a scan: its last rows, or why it failed.
    Ended(u32, Result<Vec<u8>, Error>),
}

/// The scans of one statement. Dropping them ends their threads.
pub(super) struct Scans {
    here: Here,
    /// The time for the statement. Whatever a worker requests, it gets nothing that had expired by then.
    now: Now,
    threads: Arc<Threads>,
    pool: Arc<dyn MemoryPool>,
    open: HashMap<u32, Arc<Window>>,
    told: Sender<Told>,
}

impl Scans {
    pub(super) fn new(here: Here, now: Now, threads: Arc<Threads>, pool: Arc<dyn MemoryPool>, told: Sender<Told>) -> Self {
        Scans { here, now, threads, pool, open: HashMap::new(), told }
    }

    /// Starts a scan. A few names are answered immediately.
    pub(super) fn begin(&mut self, number: u32, request: &[u8]) -> Result<Option<Frame>, Error> {
        if self.open.len() >= MAX_SCANS {
            return Err(Error::TooLarge(format!("more than {MAX_SCANS} tables or parts of tables are read at the same time")));
        }
        let memory = MemoryConsumer::new("what a scan holds").register(&self.pool);
        if request.len() > LARGE_REQUEST_BYTES {
            memory.try_grow(request.len().saturating_mul(size_of::<u32>()))?;
        }
        let request = Request::decode(request).map_err(|error| bad(error.to_string()))?;
        let encoding = Encoding::new(&request);
        if matches!(&request, Request::Named(names) if names.len() <= FEW_NAMES) {
            let rows = encoding.clone();
            let give = move |batch: RecordBatch| rows.lock().give(&batch, |_| ControlFlow::Break(()));
            self.here.read(&request, self.now, memory, Output::new(give, || false))?;
            return Ok(Some(Frame::new(Kind::RowsEnd, number, encoding.lock().last())));
        }
        let window = Arc::new(Window::default());
        let (here, now, told) = (self.here.clone(), self.now, self.told.clone());
        let output = window.clone().output(number, told.clone(), encoding.clone());
        let read = move || {
            let result = here.read(&request, now, memory, output).map_err(Error::from).map(|()| encoding.lock().last());
            // The receiver is gone if the statement has ended.
            let _ = told.blocking_send(Told::Ended(number, result));
        };
        self.threads.run(read).map_err(|error| Error::Engine(error.into()))?;
        self.open.insert(number, window);
        Ok(None)
    }

    /// A batch was taken.
    pub(super) fn more(&self, number: u32) {
        if let Some(window) = self.open.get(&number) {
            window.change(|state| state.room += 1);
        }
    }

    /// Ends a scan that is cancelled or complete.
    pub(super) fn end(&mut self, number: u32) {
        if let Some(window) = self.open.remove(&number) {
            window.change(|state| state.gone = true);
        }
    }
}

impl Drop for Scans {
    fn drop(&mut self) {
        self.open.values().for_each(|window| window.change(|state| state.gone = true));
    }
}

/// How far a scan may be ahead.
#[derive(Default)]
struct Window {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    room: usize,
    gone: bool,
}

impl Default for State {
    fn default() -> Self {
        State { room: WINDOW, gone: false }
    }
}

impl Window {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }

    /// Waits for room; false once the scan is cancelled.
    fn take_room(&self) -> bool {
        let mut state = self.state.lock();
        while state.room == 0 && !state.gone {
            self.changed.wait(&mut state);
        }
        state.room = state.room.saturating_sub(1);
        !state.gone
    }

    fn output(self: Arc<Self>, number: u32, told: Sender<Told>, encoding: Arc<Mutex<Encoding>>) -> Output {
        let watched = self.clone();
        let give = move |batch: RecordBatch| {
            encoding.lock().give(&batch, |bytes| {
                if !self.take_room() {
                    return ControlFlow::Break(());
                }
                match told.blocking_send(Told::Frame(Frame::new(Kind::Rows, number, bytes))) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            })
        };
        Output::new(give, move || watched.state.lock().gone)
    }
}

/// Encodes the batches of a scan.
struct Encoding {
    schema: SchemaRef,
    writer: Option<StreamWriter<Vec<u8>>>,
    /// A small batch, which may be the last one.
    held: Vec<u8>,
}

impl Encoding {
    fn new(request: &Request) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Encoding { schema: request.schema(), writer: None, held: Vec::new() }))
    }

    /// Takes a batch, and sends those that cannot be the last one.
    fn give(&mut self, batch: &RecordBatch, mut send: impl FnMut(Vec<u8>) -> ControlFlow<()>) -> ControlFlow<()> {
        if !self.held.is_empty() {
            send(std::mem::take(&mut self.held))?;
        }
        // Encoding a batch with the request's own schema cannot fail.
        let Some(bytes) = self.encoded(batch) else { return ControlFlow::Break(()) };
        if bytes.len() > SMALL_BATCH_BYTES {
            return send(bytes);
        }
        self.held = bytes;
        ControlFlow::Continue(())
    }

    fn encoded(&mut self, batch: &RecordBatch) -> Option<Vec<u8>> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(StreamWriter::try_new(Vec::new(), &self.schema).ok()?),
        };
        writer.write(batch).ok()?;
        Some(std::mem::take(writer.get_mut()))
    }

    /// The remaining bytes after the last batch, possibly none.
    fn last(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ipc::Pieces;
    use super::*;
    use crate::columns::{Column, Table};
    use crate::reading::RowsRequest;
    use crate::tests::{Content, small};
    use crate::time::{Clock, Piece};
    use arrow::array::{ArrayRef, StringArray};
    use tokio::sync::mpsc::{Receiver, channel};
    use zonepulse_dns::RecordType;
    use zonepulse_store::{Level, Selection};

    fn batch(bytes: usize) -> RecordBatch {
        let text: ArrayRef = Arc::new(StringArray::from_iter_values(["x".repeat(bytes)]));
        RecordBatch::try_from_iter([("text", text)]).unwrap()
    }

    /// How many batches had been sent after each of these, and how many bytes came at the end.
    fn sent(sizes: &[usize]) -> (Vec<usize>, usize) {
        let mut encoding = Encoding { schema: batch(0).schema(), writer: None, held: Vec::new() };
        let mut count = 0;
        let mut counts = Vec::new();
        for size in sizes {
            let flow = encoding.give(&batch(*size), |_| {
                count += 1;
                ControlFlow::Continue(())
            });
            assert!(flow.is_continue());
            counts.push(count);
        }
        (counts, encoding.last().len())
    }

    #[test]
    fn a_small_batch_waits_for_the_next_or_the_end() {
        let (counts, last) = sent(&[10, 20, 30]);
        assert_eq!(counts, [0, 1, 2]);
        assert!(last > 0);
    }

    #[test]
    fn a_large_batch_does_not_wait() {
        assert_eq!(sent(&[10, SMALL_BATCH_BYTES]), (vec![0, 2], 0));
    }

    #[test]
    fn a_scan_without_rows_has_no_last_batch() {
        assert_eq!(sent(&[]), (vec![], 0));
    }

    #[test]
    fn nothing_more_is_taken_when_nobody_wants_it() {
        let mut encoding = Encoding { schema: batch(0).schema(), writer: None, held: Vec::new() };
        let flow = encoding.give(&batch(1 << 20), |_| ControlFlow::Break(()));
        assert!(flow.is_break());
    }

    fn scans(content: &Content) -> (Scans, Receiver<Told>) {
        let (told, heard) = channel(4);
        let here = Here { store: content.store.clone(), counters: Arc::default(), catalogue: Arc::default() };
        let memory = crate::runtime::runtime(1 << 20).unwrap().memory_pool.clone();
        (Scans::new(here, Clock::system().now(), Arc::default(), memory, told), heard)
    }

    fn rows(bytes: Vec<u8>) -> usize {
        let mut pieces = Pieces::default();
        pieces.add(bytes).unwrap();
        std::iter::from_fn(|| pieces.next()).map(|batch| batch.num_rows()).sum()
    }

    #[tokio::test]
    async fn the_rows_of_a_small_scan_come_with_its_end() {
        let content = small();
        let (mut scans, mut heard) = scans(&content);
        let piece = Piece { level: Level::Raw, selection: Selection::all() };
        let (table, summed, columns, limit) = (Table::Names, None, vec![Column::RecordId, Column::Host], None);
        let request = Request::Rows(RowsRequest { table, piece, summed, columns, limit, batch_rows: 100 });
        assert!(scans.begin(7, &request.encode()).unwrap().is_none());
        let Some(Told::Ended(7, Ok(bytes))) = heard.recv().await else { panic!("it has not ended at once") };
        assert_eq!(rows(bytes), 5);
    }

    #[tokio::test]
    async fn a_few_names_are_looked_up_at_once_and_many_on_a_thread() {
        let content = small();
        let (mut scans, mut heard) = scans(&content);
        let named = |others: usize| {
            let others = (0..others).map(|n| (format!("{n}.example."), RecordType::A));
            let known = ("www.example.com.".to_owned(), RecordType::A);
            Request::Named(others.chain([known]).collect()).encode()
        };
        let frame = scans.begin(1, &named(FEW_NAMES - 1)).unwrap().unwrap();
        assert_eq!((frame.kind, frame.scan), (Kind::RowsEnd, 1));
        assert_eq!(rows(frame.payload), 1);
        assert!(scans.begin(2, &named(FEW_NAMES)).unwrap().is_none());
        let Some(Told::Ended(2, Ok(bytes))) = heard.recv().await else { panic!("it has not ended") };
        assert_eq!(rows(bytes), 1);
    }

    #[tokio::test]
    async fn names_that_nobody_has_are_an_end_without_rows() {
        let content = small();
        let (mut scans, _heard) = scans(&content);
        let request = Request::Named(vec![("nobody.example.".to_owned(), RecordType::A)]);
        let frame = scans.begin(1, &request.encode()).unwrap().unwrap();
        assert_eq!(frame, Frame::new(Kind::RowsEnd, 1, Vec::new()));
    }
}
