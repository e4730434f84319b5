//! A worker's end of the socket: scans that read in the central.

use super::WINDOW;
use super::frame::{self, Frame, Kind};
use super::ipc::Pieces;
use crate::reading::{Away, Request};
use arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedSender};

/// The socket to the central, which always reads it, so writing does not block for long.
pub(super) struct Link {
    to: Mutex<To>,
    scans: Mutex<HashMap<u32, Sender<Part>>>,
    last_scan: AtomicU32,
    records: AtomicUsize,
    /// The number of pieces of the answer that may be sent now.
    pub(super) room: Semaphore,
}

struct To {
    socket: UnixStream,
    /// Frames to be sent together with the next ones.
    held: Vec<Frame>,
}

/// A part of a scan's answer.
enum Part {
    Rows(Vec<u8>),
    /// The last rows, or nothing.
    End(Vec<u8>),
    Failed(String),
}

/// A scan failed in the central, which knows why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ScanFailed(pub(super) String);

impl Link {
    pub(super) fn new(to: UnixStream) -> Self {
        Link {
            to: Mutex::new(To { socket: to, held: Vec::new() }),
            scans: Mutex::default(),
            last_scan: AtomicU32::new(0),
            records: AtomicUsize::new(0),
            room: Semaphore::new(WINDOW),
        }
    }

    /// Starts a statement, with a full window again.
    pub(super) fn begin(&self, records: usize) {
        self.records.store(records, Ordering::Relaxed);
        self.room.forget_permits(usize::MAX >> 4);
        self.room.add_permits(WINDOW);
    }

    pub(super) fn send(&self, kind: Kind, scan: u32, payload: Vec<u8>) -> io::Result<()> {
        self.send_together(vec![Frame::new(kind, scan, payload)])
    }

    /// Sends held frames and these together, so that the central wakes once.
    pub(super) fn send_together(&self, mut frames: Vec<Frame>) -> io::Result<()> {
        let To { socket, held } = &mut *self.to.lock();
        held.append(&mut frames);
        let sent = frame::write_all(held, socket);
        held.clear();
        sent
    }

    /// Holds a frame back, to be sent together with the next ones.
    pub(super) fn hold(&self, frame: Frame) {
        self.to.lock().held.push(frame);
    }

    /// Passes on what arrives, until the central closes the socket. Blocks the thread.
    pub(super) fn receive(&self, input: UnixStream, statements: &UnboundedSender<Vec<u8>>) -> io::Result<()> {
        let mut input = io::BufReader::with_capacity(frame::READ_BYTES, input);
        loop {
            let Frame { kind, scan, payload } = Frame::read_from(&mut input)?;
            let part = match kind {
                Kind::Statement => {
                    let _ = statements.send(payload);
                    continue;
                }
                Kind::More => {
                    self.room.add_permits(1);
                    continue;
                }
                Kind::Rows => Part::Rows(payload),
                Kind::RowsEnd => Part::End(payload),
                Kind::RowsFailed => Part::Failed(String::from_utf8_lossy(&payload).into_owned()),
                _ => return Err(io::Error::other("a frame that is not for a worker")),
            };
            // A cancelled scan is gone; a channel has room for a whole window.
            if let Some(sender) = self.scans.lock().get(&scan) {
                let _ = sender.try_send(part);
            }
        }
    }
}

impl Away for Link {
    fn records(&self) -> usize {
        self.records.load(Ordering::Relaxed)
    }

    /// Starts a scan.
    fn read(self: Arc<Self>, request: &Request) -> Result<SendableRecordBatchStream> {
        let number = self.last_scan.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let (sender, parts) = mpsc::channel(WINDOW + 1);
        self.scans.lock().insert(number, sender);
        let scan = Scan { link: self, number, parts, pieces: Pieces::default(), ended: false };
        scan.link.send(Kind::Read, number, request.encode())?;
        let batches = stream::try_unfold(scan, |mut scan| async move { Ok(scan.next().await?.map(|batch| (batch, scan))) });
        Ok(Box::pin(RecordBatchStreamAdapter::new(request.schema(), batches)))
    }
}

/// A running scan.
struct Scan {
    link: Arc<Link>,
    number: u32,
    parts: Receiver<Part>,
    pieces: Pieces,
    ended: bool,
}

impl Scan {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.pieces.next() {
                return Ok(Some(batch));
            }
            if self.ended {
                return Ok(None);
            }
            match self.parts.recv().await {
                Some(Part::Rows(bytes)) => {
                    self.pieces.add(bytes)?;
                    self.link.send(Kind::More, self.number, Vec::new())?;
                }
                Some(Part::End(bytes)) => {
                    self.ended = true;
                    if !bytes.is_empty() {
                        self.pieces.add(bytes)?;
                    }
                }
                Some(Part::Failed(why)) => {
                    self.ended = true;
                    return Err(DataFusionError::External(Box::new(ScanFailed(why))));
                }
                None => return Err(DataFusionError::Execution("the central has gone".into())),
            }
        }
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        self.link.scans.lock().remove(&self.number);
        if !self.ended {
            // If this cannot be sent, the central is gone.
            let _ = self.link.send(Kind::Stop, self.number, Vec::new());
        }
    }
}
