//! Zones: where they come from, when they are loaded, and what they contain.
//!
//! The store keeps zones and their resources; this service reads zone files and transfers, imports them, and holds the
//! catalogue in memory for lookups ([`Current`]). An import replaces a zone as a whole, or not at all; then the zone's
//! state says why.
//!
//! # The zone as it was
//!
//! A query credits RRsets through the zone as it was when it was asked. Totals only say when a record was first and last
//! asked, so before an import changes what a record credits, its credits so far are **frozen** (`freeze`), and its
//! totals count for the new zone from then on. A batch that arrives later with older queries leaves *late accesses*, which
//! are credited through the earlier zone before the next verdict (`late`).

mod change;
pub(crate) mod columns;
mod current;
mod freeze;
mod import;
mod late;
mod loading;
pub mod notify;
pub mod refresh;
mod resources;
mod source;
mod table;

pub use change::{Origin, ZoneChange};
pub(crate) use current::named;
pub use current::{Contents, Current, Loaded};
pub use import::Imported;
pub use loading::{Loading, Phase};
pub use refresh::Refresher;
pub use resources::{Labels, ResourceChange, ResourceFilter};
pub use source::{Remembered, serial_of_primary};
pub use table::{STATES, Tables, source, state};

use crate::Error;
use crate::rights::Caller;
use crate::time::now_ms;
use loading::Loadings;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Notify, watch};
use zonepulse_catalogue::Name;
use zonepulse_model::ZoneId;
use zonepulse_store::Store;
use zonepulse_store::{Zone, ZoneState};

/// A name as people write it. Labels in Unicode are meant as punycode (RFC 5891), which is what clients ask for; their
/// octets would be another name.
pub fn name_of(text: &str) -> Result<Name, String> {
    let ascii = zonepulse_query::to_ascii(text)?;
    Name::from_text(&ascii).map_err(|error| error.to_string())
}

/// Settings of the zones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The directory with zone files on the central's disk. Without it, files must be uploaded.
    pub directory: Option<PathBuf>,
}

/// The zones of a central.
pub struct Zones {
    store: Store,
    options: Options,
    current: RwLock<Arc<Current>>,
    /// Held while a zone changes; imports are few, and each has the machine for itself.
    changing: Mutex<()>,
    /// Held while an uploaded file is read and imported.
    uploading: Mutex<()>,
    /// Wakes the refresher.
    due: Notify,
    /// Zones that shall be refreshed as soon as possible.
    wanted: Mutex<Vec<ZoneId>>,
    /// Held while a zone is refreshed.
    turns: Mutex<HashMap<ZoneId, Arc<tokio::sync::Mutex<()>>>>,
    /// The zones that are being loaded.
    loadings: Arc<Loadings>,
    /// Whether transfers are given up.
    ending: watch::Sender<bool>,
}

impl Zones {
    /// Reads all zones.
    pub fn open(store: Store, options: Options) -> Result<Self, Error> {
        let current = RwLock::new(Arc::new(Current::load(&store)?));
        let (changing, due, wanted) = (Mutex::default(), Notify::new(), Mutex::default());
        let (turns, ending, uploading) = (Mutex::default(), watch::Sender::new(false), Mutex::default());
        let loadings = Arc::default();
        Ok(Zones { store, options, current, changing, uploading, due, wanted, turns, loadings, ending })
    }

    /// The catalogue as it is.
    pub fn current(&self) -> Arc<Current> {
        self.current.read().clone()
    }

    /// The catalogue as it is, also where zones name no servers and some were added or removed since.
    pub(crate) fn current_for(&self, everyone: Vec<u32>) -> Arc<Current> {
        let current = self.current();
        if current.everyone == everyone || current.zones.is_empty() {
            return current;
        }
        let _changing = self.changing.lock();
        let current = Arc::new(self.current().for_servers(everyone));
        *self.current.write() = current.clone();
        current
    }

    /// All zones, by id.
    pub fn list(&self) -> Result<Vec<Zone>, Error> {
        Ok(self.store.catalogue().zones()?)
    }

    /// A zone.
    pub fn find(&self, id: u32) -> Result<Zone, Error> {
        let zone = self.store.catalogue().zone(ZoneId::new(id))?;
        zone.ok_or_else(|| Error::Missing(format!("there is no zone {id}")))
    }

    /// How far a zone is that is being loaded.
    pub fn loading(&self, id: ZoneId) -> Option<Loading> {
        self.loadings.of(id)
    }

    /// Adds a zone. It is empty until it is loaded.
    pub fn create(&self, caller: &Caller, apex: &str, change: ZoneChange) -> Result<Zone, Error> {
        let apex = name_of(apex).map_err(|reason| Error::bad_value("zone", reason))?;
        change.check(self)?;
        let now_ms = now_ms();
        let _changing = self.changing.lock();
        let catalogue = self.store.catalogue().by(caller.actor(now_ms));
        let zone = catalogue.add_zone(&apex.to_string(), now_ms, |zone| change.apply(zone))?;
        self.reload(zone.id)?;
        self.want(zone.id);
        Ok(zone)
    }

    /// Changes where a zone comes from, or who serves it.
    pub fn change(&self, caller: &Caller, id: u32, change: ZoneChange) -> Result<Zone, Error> {
        change.check(self)?;
        let moves = change.origin.is_some();
        let _changing = self.changing.lock();
        let catalogue = self.store.catalogue().by(caller.actor(now_ms()));
        let zone = catalogue.change_zone(ZoneId::new(id), "zone.change", |zone| change.apply(zone))?;
        self.reload(zone.id)?;
        if moves {
            self.want(zone.id);
        }
        Ok(zone)
    }

    /// Removes a zone with its resources. Their ids are never used again.
    pub fn remove(&self, caller: &Caller, id: u32) -> Result<(), Error> {
        let id = ZoneId::new(id);
        let _changing = self.changing.lock();
        let before = self.current();
        let after = Arc::new(before.without(id));
        let apex = before.zone(id).map(|(_, loaded)| loaded.contents.zone.apex().clone());
        let apex = apex.ok_or_else(|| Error::Missing(format!("there is no zone {id}")))?;
        let affected = freeze::affected(&self.store, &before, &after, &apex);
        let catalogue = self.store.catalogue().by(caller.actor(now_ms()));
        catalogue.remove_zone(id, &mut || freeze::usage(&self.store, &before, &affected, now_ms()))?;
        *self.current.write() = after;
        Ok(())
    }

    /// Asks for a refresh as soon as possible.
    pub fn want(&self, id: ZoneId) {
        let mut wanted = self.wanted.lock();
        if !wanted.contains(&id) {
            wanted.push(id);
        }
        drop(wanted);
        self.due.notify_one();
    }

    /// Reads a zone again after it changed in the store. The caller holds `changing`.
    fn reload(&self, id: ZoneId) -> Result<(), Error> {
        let before = self.current();
        self.reload_with(id, |row| {
            let revision = (row.generation, row.revision);
            match before.zone(id).filter(|(_, loaded)| (loaded.row.generation, loaded.row.revision) == revision) {
                Some((_, loaded)) => Ok(loaded.contents.clone()),
                None => Ok(Arc::new(Contents::load(&self.store.catalogue(), row)?)),
            }
        })
    }

    /// The same, where the contents are known.
    fn reload_with(&self, id: ZoneId, contents: impl FnOnce(&Zone) -> Result<Arc<Contents>, Error>) -> Result<(), Error> {
        let row = self.find(id.get())?;
        let contents = contents(&row)?;
        let after = Arc::new(self.current().with(Loaded { row, contents }));
        *self.current.write() = after;
        Ok(())
    }

    /// Sets what became of checking a zone's source, without an import.
    fn note(&self, id: ZoneId, edit: impl FnMut(&mut Zone)) -> Result<Zone, Error> {
        let _changing = self.changing.lock();
        let zone = self.store.catalogue().note_zone(id, edit)?;
        self.reload(id)?;
        Ok(zone)
    }

    /// Whether anything is wrong with a zone: its state and why, for health checks.
    pub fn troubles(&self) -> Vec<(String, ZoneState, String)> {
        let current = self.current();
        let rows = current.zones.iter().map(|loaded| &loaded.row);
        let bad = rows.filter(|row| !matches!(row.state, ZoneState::Loaded | ZoneState::Empty));
        bad.map(|row| (row.apex.clone(), row.state, row.error.clone().unwrap_or_default())).collect()
    }
}
