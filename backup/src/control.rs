//! Progress of a backup or a restoration, and a way to stop it.

use crate::Error;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells when to stop, and why.
type Stop = dyn Fn() -> Option<String> + Send + Sync;

/// Progress, and a way to stop.
pub struct Control {
    done_bytes: AtomicU64,
    total_bytes: AtomicU64,
    stop: Box<Stop>,
}

impl Control {
    /// `stop` is asked often, and returns why to stop.
    pub fn new(stop: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Control { done_bytes: AtomicU64::new(0), total_bytes: AtomicU64::new(0), stop: Box::new(stop) }
    }

    /// Bytes of files that are done, and that are to be done.
    pub fn progress(&self) -> (u64, u64) {
        (self.done_bytes.load(Ordering::Relaxed), self.total_bytes.load(Ordering::Relaxed))
    }

    pub(crate) fn expect(&self, bytes: u64) {
        self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn did(&self, bytes: u64) {
        self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        (self.stop)().map_or(Ok(()), |why| Err(Error::Stopped(why)))
    }
}

impl Default for Control {
    fn default() -> Self {
        Control::new(|| None)
    }
}

/// Counts what is read through it, and ends with an error when it is to stop.
pub(crate) struct Watched<'c, R> {
    pub(crate) from: R,
    pub(crate) control: &'c Control,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.control.check().map_err(io::Error::other)?;
        let read = self.from.read(into)?;
        self.control.did(read as u64);
        Ok(read)
    }
}
