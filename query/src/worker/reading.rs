//! The central's side of a worker's scans: each on a thread of its own, some batches ahead of the worker.

use super::frame::{Frame, Kind};
use super::{WINDOW, limits};
use crate::read::{Here, Output};
use crate::request::Request;
use crate::{Error, statement::bad};
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool};
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

/// How many scans of a statement may be open at the same time.
const MAX_SCANS: usize = 64;
/// A request of more bytes than this takes memory that is accounted for: of the ids that it lists.
const LARGE_REQUEST_BYTES: usize = 64 << 10;

/// What a scan's thread sends.
pub(super) enum Told {
    /// Rows.
    Frame(Frame),
    /// A scan has ended; why, where it failed.
    Ended(u32, Result<(), Error>),
}

/// The scans of one statement. Dropping them ends their threads.
pub(super) struct Scans {
    here: Here,
    pool: Arc<dyn MemoryPool>,
    open: HashMap<u32, Arc<Window>>,
    told: Sender<Told>,
}

impl Scans {
    pub(super) fn new(here: Here, pool: Arc<dyn MemoryPool>, told: Sender<Told>) -> Self {
        Scans { here, pool, open: HashMap::new(), told }
    }

    /// Begins a scan.
    pub(super) fn begin(&mut self, number: u32, request: &[u8]) -> Result<(), Error> {
        if self.open.len() >= MAX_SCANS {
            return Err(Error::TooLarge(format!("more than {MAX_SCANS} tables or parts of tables are read at the same time")));
        }
        let memory = MemoryConsumer::new("what a scan holds").register(&self.pool);
        if request.len() > LARGE_REQUEST_BYTES {
            memory.try_grow(request.len().saturating_mul(size_of::<u32>()))?;
        }
        let request = Request::decode(request).map_err(|error| bad(error.to_string()))?;
        let window = Arc::new(Window::default());
        let (here, told) = (self.here.clone(), self.told.clone());
        let output = window.clone().output(number, told.clone(), &request);
        let read = move || {
            limits::go_behind();
            let result = here.read(&request, memory, output).map_err(Error::from);
            // Nobody listens when the statement has ended.
            let _ = told.blocking_send(Told::Ended(number, result));
        };
        let thread = std::thread::Builder::new().name("sql-scan".to_owned()).spawn(read);
        thread.map_err(|error| Error::Engine(error.into()))?;
        self.open.insert(number, window);
        Ok(())
    }

    /// A batch was taken.
    pub(super) fn more(&self, number: u32) {
        if let Some(window) = self.open.get(&number) {
            window.change(|state| state.room += 1);
        }
    }

    /// Nobody wants more of a scan, or there is no more.
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

    /// Waits for room; false when nobody wants more.
    fn take_room(&self) -> bool {
        let mut state = self.state.lock();
        while state.room == 0 && !state.gone {
            self.changed.wait(&mut state);
        }
        state.room = state.room.saturating_sub(1);
        !state.gone
    }

    fn output(self: Arc<Self>, number: u32, told: Sender<Told>, request: &Request) -> Output {
        let schema = request.schema();
        let mut writer = None;
        let mut encoded = move |batch: &RecordBatch| {
            let writer = match &mut writer {
                Some(writer) => writer,
                none => none.insert(StreamWriter::try_new(Vec::new(), schema.as_ref()?).ok()?),
            };
            writer.write(batch).ok()?;
            Some(std::mem::take(writer.get_mut()))
        };
        let watched = self.clone();
        let give = move |batch: RecordBatch| {
            if !self.take_room() {
                return ControlFlow::Break(());
            }
            // A batch of the request's own schema is always written.
            let Some(bytes) = encoded(&batch) else { return ControlFlow::Break(()) };
            match told.blocking_send(Told::Frame(Frame::new(Kind::Rows, number, bytes))) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        };
        Output::new(give, move || watched.state.lock().gone)
    }
}
