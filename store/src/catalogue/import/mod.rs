//! Importing a zone: merging its rows with the new ones.

mod chunk;
mod merge;
mod stage;
mod summary;

pub use summary::Summary;

pub(crate) use chunk::LAST_ID;

use super::{Catalogue, Row, UsageChange, Zone, zone};
use crate::Error;
use merge::{Merge, Others};
use std::time::Instant;
use zonepulse_model::ZoneId;

/// How long earlier versions of a resource are kept unless told otherwise, milliseconds.
const HISTORY_MS: u64 = 30 * 24 * 3600 * 1000;

/// An import of a zone.
pub struct Import<'a> {
    /// The zone.
    pub zone_id: ZoneId,
    /// Serial of its SOA.
    pub serial: Option<u32>,
    /// The time, Unix milliseconds.
    pub now_ms: u64,
    /// How long earlier versions of changed resources are kept, milliseconds; at most 16 of each.
    pub history_ms: u64,
    /// Whether it may remove more than 30 % of the zone's resources.
    pub confirmed: bool,
    /// Is told from time to time how many rows were read.
    pub progress: Option<&'a mut dyn FnMut(u64)>,
    /// Is asked what to freeze just before the write, and while no batch can be stored: what it finds in totals is all
    /// there is. It may read totals, the dictionary and resources, but nothing else of the store.
    pub usage: Option<&'a mut dyn FnMut() -> UsageChange>,
    /// Changes the zone in the same write: its state, `checked_ms`, and what the central remembers of refreshes.
    pub zone: Option<&'a mut dyn FnMut(&mut Zone)>,
}

impl Import<'_> {
    /// An import that is not confirmed, freezes nothing, and keeps earlier versions for 30 days.
    pub fn new(zone_id: ZoneId, serial: Option<u32>, now_ms: u64) -> Self {
        let history_ms = HISTORY_MS;
        Import { zone_id, serial, now_ms, history_ms, confirmed: false, progress: None, usage: None, zone: None }
    }
}

impl Catalogue<'_> {
    /// Makes these rows the resources of a zone, all of them or none. `rows` fills the next row, in the order of
    /// [`Row::set_owner`]'s keys, then by type; `false` ends them.
    ///
    /// Fails with [`Error::MassRemoval`] if more than 30 % of the zone's resources and more than 20 would be removed,
    /// unless that is confirmed. On any error the zone is what it was.
    ///
    /// Blocks the thread, and other imports; batches wait for single writes only.
    pub fn import<E: From<Error>>(
        &self,
        import: Import<'_>,
        rows: &mut dyn FnMut(&mut Row) -> Result<bool, E>,
    ) -> Result<Summary, E> {
        self.merge(import, rows, Others::Go)
    }

    /// Changes only the resources that `rows` fills, all of them or none; the others stay. [`Row::set_gone`] removes one.
    /// Otherwise as [`Catalogue::import`], but few changes of a large zone cost little.
    pub fn change<E: From<Error>>(
        &self,
        import: Import<'_>,
        rows: &mut dyn FnMut(&mut Row) -> Result<bool, E>,
    ) -> Result<Summary, E> {
        self.merge(import, rows, Others::Stay)
    }

    fn merge<E: From<Error>>(
        &self,
        import: Import<'_>,
        rows: &mut dyn FnMut(&mut Row) -> Result<bool, E>,
        others: Others,
    ) -> Result<Summary, E> {
        let _importing = self.inner.importing.lock();
        self.inner.database.has_room(Instant::now()).map_err(E::from)?;
        let zone = self.zone(import.zone_id).map_err(E::from)?.ok_or_else(|| zone::missing(import.zone_id))?;
        let mut merge = Merge::new(self, import, zone, others).map_err(E::from)?;
        let done = merge.run(rows).and_then(|()| merge.finish().map_err(E::from));
        if done.is_err() {
            merge.abandon();
        }
        done
    }
}
