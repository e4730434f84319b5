//! A pool of idle decoders.

use super::cache::Unpacked;
use super::decode::Decoder;
use crate::Error;
use parking_lot::Mutex;
use std::sync::Arc;
use zonepulse_model::RecordId;

/// Idle decoders. Creating one takes as long as reading a value.
pub(crate) struct Decoders {
    idle: Mutex<Vec<Decoder>>,
    unpacked: Arc<Unpacked>,
}

impl Decoders {
    /// Maximum number of idle decoders.
    const MOST: usize = 16;
    /// Decoders with a larger capacity, as needed for hours with short intervals, are not kept.
    const MOST_POINTS: usize = 1 << 16;

    /// Queries for at most this many records are likely to be repeated.
    const FEW: usize = 8;

    /// Creates a pool that caches up to this many bytes of decompressed columns.
    pub(crate) fn new(bytes: usize) -> Self {
        Decoders { idle: Mutex::default(), unpacked: Arc::new(Unpacked::new(bytes)) }
    }

    /// Runs `work` with a decoder, for a query about these records.
    pub(crate) fn with<T>(
        &self,
        records: Option<&[RecordId]>,
        work: impl FnOnce(&mut Decoder) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let idle = self.idle.lock().pop();
        let mut decoder = idle.map_or_else(Decoder::new, Ok).map_err(Error::Compression)?;
        let few = records.is_some_and(|records| records.len() <= Self::FEW);
        decoder.kept = few.then(|| self.unpacked.clone());
        let done = work(&mut decoder);
        let mut idle = self.idle.lock();
        if idle.len() < Self::MOST && decoder.columns.slots.capacity() <= Self::MOST_POINTS {
            idle.push(decoder);
        }
        done
    }
}
