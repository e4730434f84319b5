//! Decoders that wait for the next question.

use super::cache::Unpacked;
use super::decode::Decoder;
use crate::Error;
use parking_lot::Mutex;
use std::sync::Arc;
use zonepulse_model::RecordId;

/// Decoders that nobody uses: to make one takes as long as to read a value.
pub(crate) struct Decoders {
    idle: Mutex<Vec<Decoder>>,
    unpacked: Arc<Unpacked>,
}

impl Decoders {
    /// So many are kept.
    const MOST: usize = 16;
    /// One with room for more points, as hours of short intervals need it, is not kept.
    const MOST_POINTS: usize = 1 << 16;

    /// Who asks for at most so many records is likely to ask for them again.
    const FEW: usize = 8;

    /// Keeps so many bytes of columns.
    pub(crate) fn new(bytes: usize) -> Self {
        Decoders { idle: Mutex::default(), unpacked: Arc::new(Unpacked::new(bytes)) }
    }

    /// Does something with one, for a question about these records.
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
