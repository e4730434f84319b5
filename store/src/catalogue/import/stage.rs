//! A new generation of a zone, written in parts before anything refers to it.

use super::chunk::Chunk;
use crate::catalogue::map::Delta;
use crate::catalogue::zone::remove_rows;
use crate::catalogue::{Zone, keys};
use crate::database::key;
use crate::{Error, Inner};
use rocksdb::WriteBatch;
use zonepulse_model::{RecordId, ResourceId, ZoneId};

/// Maximum number of rows that are written at once.
const CHUNK_ROWS: usize = if cfg!(test) { 4 } else { 4096 };
/// Maximum size of rows that are written at once, in bytes, but for the last of them.
const CHUNK_BYTES: usize = 1 << 20;

/// A new generation of a zone.
pub(super) struct Stage {
    pub(super) zone_id: ZoneId,
    pub(super) generation: u32,
    /// Records that became the catalogue's for it.
    protected: Vec<RecordId>,
    pub(super) deltas: Vec<Delta>,
}

impl Stage {
    /// Begins the next generation of a zone.
    pub(super) fn begin(inner: &Inner, zone: &Zone) -> Result<Self, Error> {
        let generation = zone.generation.wrapping_add(1);
        let stage = Stage { zone_id: zone.id, generation, protected: Vec::new(), deltas: Vec::new() };
        let prefix = keys::prefix(zone.id, generation);
        let mut iterator = inner.database.leaping_iterator(key::RESOURCES);
        iterator.seek(prefix);
        if iterator.key().is_some_and(|key| key.starts_with(&prefix)) {
            // An import failed, and so did its removal.
            stage.remove(inner)?;
        }
        Ok(stage)
    }

    /// Writes a chunk if it is full.
    pub(super) fn write_if_full(&mut self, inner: &Inner, chunk: &mut Chunk, last_id: &mut ResourceId) -> Result<(), Error> {
        if chunk.len() < CHUNK_ROWS && chunk.size_bytes() < CHUNK_BYTES {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        let alone = inner.writer.lock();
        let numbered = chunk.put(inner, &mut batch, (self.zone_id, self.generation), *last_id)?;
        // The write that makes it the zone's generation is synced, and with it everything before in the log.
        inner.database.write(batch, false)?;
        *last_id = numbered.last_id;
        self.protected.extend(numbered.publish(inner));
        drop(alone);
        self.deltas.extend(chunk.deltas());
        chunk.clear();
        Ok(())
    }

    /// Removes what was written.
    pub(super) fn abandon(self, inner: &Inner) {
        if let Err(error) = self.remove(inner) {
            tracing::warn!(%error, "what a failed import wrote is removed later");
        }
        // Sweeping must find the names that nothing needs any more.
        let mut keeper = inner.keeper.lock();
        let _alone = inner.writer.lock();
        inner.unprotect(self.protected);
        keeper.look_again();
    }

    fn remove(&self, inner: &Inner) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        remove_rows(inner, &mut batch, self.zone_id, Some(self.generation));
        inner.database.write(batch, false)
    }
}
