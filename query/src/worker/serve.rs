//! The worker: answers one statement after another.

use super::faults::{is_of_scan, of_statement};
use super::frame::{Frame, Kind};
use super::link::Link;
use super::session::Session;
use super::{MAX_ROW_BYTES, PIECE_BYTES, STACK_BYTES, limits};
use crate::Error;
use crate::runtime::BATCH_ROWS;
use crate::sql::{bad, size_bytes};
use crate::time::Now;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use futures::{FutureExt, StreamExt};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use tokio::sync::mpsc;
use zonepulse_codec::{Malformed, Reader, put};

/// A worker that has grown by more than this and cannot return the memory is replaced, bytes.
const MAX_GROWTH_BYTES: u64 = 48 << 20;

/// The first message to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begin {
    /// Memory for one statement, bytes.
    pub(super) memory_bytes: usize,
    pub(super) threads: usize,
    /// CPU time for one statement, summed over all cores, seconds.
    pub(super) cpu_s: u64,
}

impl Begin {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut out = Vec::new();
        [self.memory_bytes as u64, self.threads as u64, self.cpu_s].into_iter().for_each(|number| put(&mut out, number));
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let memory_bytes = usize::try_from(from.number("memory")?).map_err(|_| Malformed("memory"))?;
        Ok(Begin { memory_bytes, threads: from.below(1 << 10, "threads")?.max(1) as usize, cpu_s: from.number("CPU time")? })
    }
}

/// The kinds of failure that the central distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The statement is wrong.
    Statement,
    /// It needs too much.
    TooLarge,
    /// A scan failed in the central.
    Scan,
    /// A defect.
    Engine,
}

impl Failure {
    pub(super) const ALL: [Failure; 4] = [Failure::Statement, Failure::TooLarge, Failure::Scan, Failure::Engine];
}

/// Runs a worker until its parent closes the socket, which is this process's standard input.
pub fn run() -> io::Result<()> {
    limits::harden()?;
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    serve(socket, true)
}

/// Takes statements from a socket until it is closed. A process of its own (`alone`) limits itself, and exits at once.
pub(super) fn serve(mut socket: UnixStream, alone: bool) -> io::Result<()> {
    let first = Frame::read_from(&mut socket)?;
    let begin = Begin::decode(&first.payload).map_err(io::Error::other)?;
    let link = Arc::new(Link::new(socket.try_clone()?));
    // Exceeding the pool gives a proper error; the remaining memory is for allocations that the pool does not see.
    let pool_bytes = begin.memory_bytes - begin.memory_bytes / 4;
    let session = Session::new(link.clone(), pool_bytes, begin.threads).map_err(io::Error::other)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(begin.threads).max_blocking_threads(begin.threads).thread_stack_size(STACK_BYTES).enable_time();
    let runtime = builder.build()?;
    let (statements, incoming) = mpsc::unbounded_channel();
    let (ends, ended) = channel();
    let gone = ends.clone();
    let input = socket.try_clone()?;
    let receiver = link.clone();
    std::thread::Builder::new().name("link".to_owned()).stack_size(1 << 20).spawn(move || {
        let _ = receiver.receive(input, &statements);
        if alone {
            // Nobody waits for whatever is still being computed.
            // SAFETY: ends the process without running anything of it.
            unsafe { libc::_exit(0) }
        }
        let _ = gone.send(Ok(()));
    })?;
    // Not a task: whenever something arrives for a task, the runtime wakes one more thread to look for others. Only the
    // parallel parts of a plan are tasks.
    let handle = runtime.handle().clone();
    std::thread::Builder::new().name("statement".to_owned()).stack_size(STACK_BYTES).spawn(move || {
        let worker = Worker::new(link, session, begin, alone);
        let _ = ends.send(worker.and_then(|worker| handle.block_on(worker.work(incoming))));
    })?;
    let ended = ended.recv().map_err(io::Error::other)?;
    // Nobody waits for what a cancelled statement still computes.
    runtime.shutdown_background();
    // Threads that may still be computing hold other handles of the socket.
    let _ = socket.shutdown(std::net::Shutdown::Both);
    ended
}

struct Worker {
    link: Arc<Link>,
    session: Session,
    begin: Begin,
    /// For a process of its own.
    own: Option<Own>,
}

/// The memory of a process of its own.
struct Own {
    memory: limits::Memory,
    /// Resident memory before the first statement, bytes.
    born_bytes: u64,
}

impl Own {
    fn is_small(&self) -> io::Result<bool> {
        Ok(self.memory.now()?.1 <= self.born_bytes + MAX_GROWTH_BYTES)
    }
}

impl Worker {
    fn new(link: Arc<Link>, session: Session, begin: Begin, alone: bool) -> io::Result<Self> {
        let mut own = None;
        if alone {
            limits::bound_memory(begin.memory_bytes)?;
            let memory = limits::Memory::open()?;
            let (_, born_bytes) = memory.now()?;
            own = Some(Own { memory, born_bytes });
        }
        Ok(Worker { link, session, begin, own })
    }

    async fn work(self, mut incoming: mpsc::UnboundedReceiver<Vec<u8>>) -> io::Result<()> {
        self.link.send(Kind::Ready, 0, Vec::new())?;
        while let Some(payload) = incoming.recv().await {
            if self.own.is_some() {
                limits::bound_cpu(self.begin.cpu_s)?;
            }
            let answered = AssertUnwindSafe(self.answer(&payload)).catch_unwind().await;
            let (error, panicked) = match answered {
                Ok(Ok(last)) => {
                    let ready = self.own.as_ref().map_or(Ok(true), Own::is_small)?;
                    let mut frames = Vec::with_capacity(2);
                    if !last.is_empty() {
                        frames.push(Frame::new(Kind::Answer, 0, last));
                    }
                    frames.push(Frame::new(Kind::End, 0, vec![u8::from(ready)]));
                    self.link.send_together(frames)?;
                    if ready {
                        continue;
                    }
                    (None, false)
                }
                Ok(Err(error)) => (Some(error), false),
                Err(panic) => (Some(of_panic(panic.as_ref())), true),
            };
            if let Some(error) = error {
                self.link.send(Kind::Failed, 0, failure(error))?;
            }
            if self.own.is_some() && panicked || !self.gives_back()? {
                break;
            }
            self.link.send(Kind::Ready, 0, Vec::new())?;
        }
        Ok(())
    }

    /// Returns memory to the system; false if that was not possible.
    fn gives_back(&self) -> io::Result<bool> {
        let Some(own) = &self.own else { return Ok(true) };
        if own.is_small()? {
            return Ok(true);
        }
        limits::trim();
        own.is_small()
    }

    /// Answers a statement. The last piece is returned, to be sent together with the end.
    async fn answer(&self, payload: &[u8]) -> Result<Vec<u8>, Error> {
        let mut from = Reader::new(payload);
        let records = from.number("records").map_err(|error| bad(error.to_string()))?;
        let now = from.number("now").map_err(|error| bad(error.to_string()))?;
        let now = Now::since_epoch(Duration::from_nanos(now));
        self.link.begin(usize::try_from(records).unwrap_or(usize::MAX));
        let text = str::from_utf8(from.rest()).map_err(|error| bad(error.to_string()))?;
        let mut rows = self.session.rows(text, now).await?;
        let schema = rows.schema();
        let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(of_arrow)?;
        // The columns are sent with the first request, or with the first rows if they are available at once.
        self.link.hold(Frame::new(Kind::Answer, 0, std::mem::take(writer.get_mut())));
        let mut ahead = rows.next().now_or_never();
        if ahead.is_none() {
            self.link.send_together(Vec::new()).map_err(|error| of_statement(error.into()))?;
        }
        loop {
            let next = match ahead.take() {
                Some(next) => next,
                None => rows.next().await,
            };
            let Some(batch) = next.transpose().map_err(of_statement)? else { break };
            // A batch that is not full is usually the last one, and then the end is available too.
            if batch.num_rows() < BATCH_ROWS && size_bytes(&batch) <= PIECE_BYTES {
                ahead = rows.next().now_or_never();
            }
            let is_last = matches!(ahead, Some(None));
            let mut rest = vec![batch];
            while let Some(batch) = rest.pop() {
                let parts = parts(&batch)?;
                if parts > 1 {
                    // Popped from the end, so the first part must be last.
                    rest.extend(cut(&batch, parts).into_iter().rev());
                    continue;
                }
                // Only closed when the worker ends.
                if let Ok(permit) = self.link.room.acquire().await {
                    permit.forget();
                }
                writer.write(&batch).map_err(of_arrow)?;
                if !is_last || !rest.is_empty() {
                    self.send(&mut writer)?;
                }
            }
        }
        Ok(std::mem::take(writer.get_mut()))
    }

    fn send(&self, writer: &mut StreamWriter<Vec<u8>>) -> Result<(), Error> {
        let bytes = std::mem::take(writer.get_mut());
        self.link.send(Kind::Answer, 0, bytes).map_err(|error| of_statement(error.into()))
    }
}

/// The number of parts that a batch has to be cut into.
fn parts(batch: &RecordBatch) -> Result<usize, Error> {
    let bytes = size_bytes(batch);
    if batch.num_rows() > 1 {
        let parts = usize::try_from(bytes / PIECE_BYTES).unwrap_or(usize::MAX).saturating_add(1);
        return Ok(parts.min(batch.num_rows()));
    }
    if bytes > MAX_ROW_BYTES {
        return Err(Error::TooLarge(format!("a row of {bytes} bytes, more than {MAX_ROW_BYTES}")));
    }
    Ok(1)
}

fn cut(batch: &RecordBatch, parts: usize) -> Vec<RecordBatch> {
    let length = batch.num_rows().div_ceil(parts).max(1);
    (0..batch.num_rows()).step_by(length).map(|at| batch.slice(at, length.min(batch.num_rows() - at))).collect()
}

fn of_arrow(error: arrow::error::ArrowError) -> Error {
    of_statement(DataFusionError::from(error))
}

fn of_panic(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Error::Engine(DataFusionError::Internal(format!("a panic: {text}")))
}

fn failure(error: Error) -> Vec<u8> {
    let (failure, text) = match &error {
        Error::BadArgument { reason, .. } => (Failure::Statement, reason.clone()),
        Error::TooLarge(what) => (Failure::TooLarge, what.clone()),
        error if is_of_scan(error) => (Failure::Scan, error.to_string()),
        Error::Engine(inner) => match inner.to_string() {
            // A text or list, or a column of them, that exceeds the maximum length makes its constructor panic.
            text if text.contains("capacity overflow") || text.contains("offset overflow") => {
                (Failure::TooLarge, "a value, or the values of a column together, are longer than they can be".to_owned())
            }
            text => (Failure::Engine, text),
        },
        other => (Failure::Engine, other.to_string()),
    };
    let number = Failure::ALL.iter().position(|known| *known == failure).unwrap_or_default() as u8;
    [&[number], text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringArray};

    fn batch(lengths: &[usize]) -> RecordBatch {
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(lengths.iter().map(|length| "x".repeat(*length))));
        RecordBatch::try_from_iter([("text", texts)]).unwrap()
    }

    #[test]
    fn a_batch_is_cut_until_its_parts_are_small_and_no_row_is_lost() {
        let lengths: Vec<usize> = (0..100).map(|at| if at == 7 { 3 << 20 } else { 100 * at }).collect();
        let (mut rest, mut rows) = (vec![batch(&lengths)], Vec::new());
        while let Some(batch) = rest.pop() {
            let parts = parts(&batch).unwrap();
            if parts > 1 {
                rest.extend(cut(&batch, parts).into_iter().rev());
                continue;
            }
            let texts = batch.column(0);
            let texts = arrow::array::AsArray::as_string::<i32>(texts);
            rows.extend(texts.iter().map(|text| text.unwrap().len()));
            assert!(size_bytes(&batch) <= PIECE_BYTES || batch.num_rows() == 1);
        }
        assert_eq!(rows, lengths);
    }

    #[test]
    fn a_row_that_is_too_large_is_refused() {
        assert!(matches!(parts(&batch(&[17 << 20])), Err(Error::TooLarge(_))));
    }

    #[test]
    fn what_a_worker_is_told_survives() {
        let begin = Begin { memory_bytes: 1 << 40, threads: 7, cpu_s: 62 };
        assert_eq!(Begin::decode(&begin.encode()), Ok(begin));
    }
}
