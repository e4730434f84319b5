//! One statement, on the central's side.
//!
//! A task of its own owns the worker and the turn, and watches the deadline and the client: a client that does
//! not read its answer, or is gone, holds neither. Whatever ends a statement early ends its worker.

use super::WINDOW;
use super::frame::{Frame, Kind};
use super::ipc::Pieces;
use super::pool::{Shared, Statements, Turn, Worker};
use super::scans::{Scans, Told};
use super::serve::Failure;
use crate::sql::{bad, parse, size_bytes};
use crate::time::Now;
use crate::{Error, SqlAnswer, SqlLimits};
use arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use futures::StreamExt;
use futures::stream;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until, timeout_at};
use zonepulse_codec::put;

/// How long a client may leave the next piece of its answer unread.
const LONGEST_STALL: Duration = Duration::from_secs(20);
/// Frames that wait to be sent to a worker.
const QUEUE: usize = 4;

impl Statements {
    /// Answers a statement. See [`Engine::sql`](crate::Engine::sql).
    pub(crate) async fn run(&self, caller: Option<&str>, text: &str, now: Now, max_wait: Duration) -> Result<SqlAnswer, Error> {
        if text.len() > crate::MAX_SQL_BYTES {
            // It is rejected without a worker.
            parse(text)?;
        }
        let limits = self.shared.limits;
        let turn = self.turn(caller, max_wait).await?;
        let until = Instant::now() + Duration::from_millis(limits.timeout_ms);
        let worker = timeout_at(until, self.shared.worker()).await.map_err(|_| Error::TooSlow(limits.timeout_ms))??;
        // The columns and the end fit in addition to the window.
        let (answer, pieces) = mpsc::channel(WINDOW + 2);
        let (taken, took) = mpsc::unbounded_channel();
        let shared = self.shared.clone();
        let running = Running { shared, now, until, answer, begun: false, unread: 0, moved: Instant::now() };
        tokio::spawn(running.run(worker, text.to_owned(), took, turn));
        let mut reading = Reading { incoming: pieces, taken, pieces: Pieces::default(), limits, rows: 0, bytes: 0 };
        let schema = loop {
            if let Some(schema) = reading.pieces.schema() {
                break schema;
            }
            if reading.read().await?.is_none() {
                return Err(Error::Worker("a worker for SQL has given no answer".to_owned()));
            }
        };
        let batches = stream::unfold(Some(reading), |reading| async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(None) => None,
                Ok(Some(batch)) => Some((Ok(batch), Some(reading))),
                // Dropping the reader cancels the statement at once.
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(SqlAnswer { schema, batches: batches.boxed() })
    }
}

/// Bytes of an answer, or its end.
type Piece = Result<Option<Vec<u8>>, Error>;

/// A running statement.
struct Running {
    shared: Arc<Shared>,
    /// The time for the statement.
    now: Now,
    until: Instant,
    answer: mpsc::Sender<Piece>,
    /// Whether the columns have been sent.
    begun: bool,
    /// Pieces with rows that the client has not taken.
    unread: usize,
    /// When the client last took one, or was sent the first that it has not taken.
    moved: Instant,
}

/// How a statement ended.
enum Ended {
    /// With its last row, and whether the worker is ready for another.
    Whole { ready: bool },
    /// With an error that the worker reported; it can take another statement.
    Failed(Error),
    /// Early. The worker must not continue.
    Broken(Error),
    /// The worker has closed its socket.
    Lost,
    /// The client is gone.
    Unwanted,
}

impl Running {
    async fn run(mut self, mut worker: Worker, text: String, mut took: mpsc::UnboundedReceiver<()>, turn: Turn) {
        let ended = self.answered(&mut worker, &text, &mut took).await;
        let shared = self.shared.clone();
        match ended {
            Ended::Whole { ready } => {
                // Before its client can send the next statement, which then finds its plan and warm memory.
                if ready {
                    shared.keep(worker)
                } else {
                    self.rest(worker)
                }
                // The channel has room for the end, or an error, in addition to the pieces; the client may be gone.
                let _ = self.answer.try_send(Ok(None));
            }
            Ended::Failed(error) => {
                self.fail(error);
                self.rest(worker);
            }
            Ended::Broken(error) => {
                self.fail(error);
                drop(worker);
            }
            Ended::Lost => {
                let error = worker.end(shared.limits).await;
                self.fail(error);
            }
            Ended::Unwanted => drop(worker),
        }
        // What the client has yet to take is in memory: it keeps its turn until then, up to a limit.
        let stalled = (self.moved + LONGEST_STALL).min(self.until.max(Instant::now()));
        let _ = timeout_at(stalled, self.answer.closed()).await;
        drop(turn);
        drop(self);
        shared.replace().await;
    }

    /// The worker returns its memory in a task of its own: the next statement need not wait for this one's client.
    fn rest(&self, worker: Worker) {
        let shared = self.shared.clone();
        tokio::spawn(async move { shared.rest(worker).await });
    }

    fn fail(&self, error: Error) {
        let _ = self.answer.try_send(Err(error));
    }

    async fn answered(&mut self, worker: &mut Worker, text: &str, took: &mut mpsc::UnboundedReceiver<()>) -> Ended {
        let shared = self.shared.clone();
        let (told, mut heard) = mpsc::channel(QUEUE);
        let (here, threads, memory) = (shared.here.clone(), shared.scan_threads.clone(), shared.scan_memory.clone());
        let mut scans = Scans::new(here, self.now, threads, memory, told);
        let mut news = Vec::with_capacity(QUEUE);
        let mut failed = None;
        let mut ending = shared.ending.subscribe();
        let mut until = self.until;
        let mut over = pin!(sleep_until(until));
        let mut statement = Vec::with_capacity(text.len() + 16);
        put(&mut statement, shared.here.store.dictionary().len() as u64);
        put(&mut statement, self.now.ns());
        statement.extend_from_slice(text.as_bytes());
        let mut sending = vec![Frame::new(Kind::Statement, 0, statement)];
        loop {
            if !sending.is_empty() {
                match timeout_at(until, worker.to.send(&sending)).await {
                    Ok(Ok(())) => sending.clear(),
                    Ok(Err(_)) => return Ended::Lost,
                    Err(_) => return Ended::Broken(Error::TooSlow(shared.limits.timeout_ms)),
                }
            }
            // Frames that arrived together are handled without waiting, so yield now and then.
            consume_budget().await;
            let stalled = if self.unread > 0 { self.moved + LONGEST_STALL } else { until };
            tokio::select! {
                frame = worker.frames.next() => match self.heard(frame, &mut scans, &mut failed) {
                    Ok(answer) => sending.extend(answer),
                    Err(ended) => return ended,
                },
                // The scans keep a sender, so the channel stays open.
                1.. = heard.recv_many(&mut news, QUEUE) => for told in news.drain(..) {
                    sending.push(match told {
                        Told::Frame(frame) => frame,
                        Told::Ended(number, result) => {
                            scans.end(number);
                            match result {
                                Ok(last) => Frame::new(Kind::RowsEnd, number, last),
                                Err(error) => {
                                    let why = error.to_string().into_bytes();
                                    failed = Some(error);
                                    Frame::new(Kind::RowsFailed, number, why)
                                }
                            }
                        }
                    });
                },
                Some(()) = took.recv() => {
                    self.unread = self.unread.saturating_sub(1);
                    self.moved = Instant::now();
                    sending.push(Frame::new(Kind::More, 0, Vec::new()));
                }
                () = self.answer.closed() => return Ended::Unwanted,
                () = &mut over => return Ended::Broken(match *ending.borrow() {
                    Some(_) => Error::Busy,
                    None => Error::TooSlow(shared.limits.timeout_ms),
                }),
                () = sleep_until(stalled), if stalled < until => return Ended::Broken(Error::Unread(LONGEST_STALL.as_secs())),
                Ok(()) = ending.changed() => {
                    until = until.min(ending.borrow_and_update().unwrap_or(until));
                    over.as_mut().reset(until);
                }
            }
        }
    }

    /// Handles a worker's frame; returns an immediate reply.
    fn heard(&mut self, frame: io::Result<Frame>, scans: &mut Scans, failed: &mut Option<Error>) -> Result<Option<Frame>, Ended> {
        let Ok(Frame { kind, scan, payload }) = frame else { return Err(Ended::Lost) };
        match kind {
            Kind::Read => return scans.begin(scan, &payload).map_err(Ended::Broken),
            Kind::More => scans.more(scan),
            Kind::Stop => scans.end(scan),
            Kind::Answer => {
                if self.unread == 0 {
                    self.moved = Instant::now();
                }
                // The columns come first, and do not count.
                self.unread += usize::from(std::mem::replace(&mut self.begun, true));
                self.answer.try_send(Ok(Some(payload))).map_err(|_| Ended::Unwanted)?;
            }
            Kind::End => return Err(Ended::Whole { ready: payload.first() == Some(&1) }),
            Kind::Failed => return Err(Ended::Failed(failure(&payload, failed.take()))),
            _ => return Err(Ended::Broken(Error::Worker("a worker for SQL speaks nonsense".to_owned()))),
        }
        Ok(None)
    }
}

/// The error that a worker reported; that of a scan is known here.
fn failure(payload: &[u8], of_scan: Option<Error>) -> Error {
    let (number, text) = payload.split_first().map_or((None, &[][..]), |(number, text)| (Some(*number), text));
    let text = String::from_utf8_lossy(text).into_owned();
    let failure = number.and_then(|number| Failure::ALL.get(usize::from(number)));
    let defect = |text: String| Error::Engine(DataFusionError::Internal(text));
    match failure {
        Some(Failure::Statement) => bad(text),
        Some(Failure::TooLarge) => Error::TooLarge(text),
        Some(Failure::Scan) => of_scan.unwrap_or_else(|| defect(text)),
        Some(Failure::Engine) | None => defect(text),
    }
}

/// An answer being read.
struct Reading {
    incoming: mpsc::Receiver<Piece>,
    taken: mpsc::UnboundedSender<()>,
    pieces: Pieces,
    limits: SqlLimits,
    rows: u64,
    bytes: u64,
}

impl Reading {
    /// Takes a piece; `None` at the end.
    async fn read(&mut self) -> Result<Option<()>, Error> {
        let Some(Some(piece)) = self.incoming.recv().await.transpose()? else { return Ok(None) };
        let has_rows = self.pieces.schema().is_some();
        self.pieces.add(piece).map_err(DataFusionError::from)?;
        if has_rows {
            // The receiver is gone if the statement has ended.
            let _ = self.taken.send(());
        }
        Ok(Some(()))
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>, Error> {
        loop {
            if let Some(batch) = self.pieces.next() {
                return self.count(batch).map(Some);
            }
            if self.read().await?.is_none() {
                return Ok(None);
            }
        }
    }

    fn count(&mut self, batch: RecordBatch) -> Result<RecordBatch, Error> {
        let SqlLimits { max_rows, max_bytes, .. } = self.limits;
        self.rows += batch.num_rows() as u64;
        self.bytes += size_bytes(&batch);
        if self.rows > max_rows {
            return Err(Error::TooLarge(format!("more than {max_rows} rows")));
        }
        if self.bytes > max_bytes {
            return Err(Error::TooLarge(format!("more than {max_bytes} bytes")));
        }
        Ok(batch)
    }
}
