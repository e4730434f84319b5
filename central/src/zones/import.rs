//! Importing a zone that was read.

use super::loading::Progress;
use super::source::{self, Remembered};
use super::{Contents, Current, Loaded, Zones, freeze};
use crate::Error;
use crate::rights::Caller;
use crate::time::now_ms;
use bytes::Bytes;
use std::sync::Arc;
use zonepulse_catalogue::{Name, Zone as Read};
use zonepulse_model::ZoneId;
use zonepulse_store::{Actor, Import, Source, Summary, Zone, ZoneState};

/// What an import did.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The zone as it is now.
    pub zone: Zone,
    /// What was added, changed and removed.
    pub summary: Summary,
}

impl Zones {
    /// Imports an uploaded zone file. `confirmed` lets it remove much of the zone.
    pub fn upload(&self, caller: &Caller, id: u32, file: Bytes, confirmed: bool) -> Result<Imported, Error> {
        let row = self.find(id)?;
        if row.source != Source::Upload {
            let reason = "this zone is loaded from another source: set its source to upload first";
            return Err(Error::bad_value("source", reason));
        }
        // Files are parsed one at a time: each takes memory until it is imported.
        let _uploading = self.uploading.lock();
        let progress = self.loadings.begin(row.id, now_ms());
        let zone = source::read(&apex(&row)?, &mut file.as_ref(), "the file", None, &progress)?;
        // It is not needed while the zone is imported, which takes memory of its own.
        drop(file);
        self.import(row.id, &Arc::new(zone), confirmed, caller.actor(now_ms()), &progress)
    }

    /// Replaces the contents of a zone.
    pub(super) fn import(
        &self,
        id: ZoneId,
        zone: &Arc<Read>,
        confirmed: bool,
        actor: Actor,
        progress: &Progress,
    ) -> Result<Imported, Error> {
        progress.imports();
        if zone.soa().is_none() {
            return Err(Error::bad_value("zone file", format_args!("it has no SOA record for {}", zone.apex())));
        }
        let _changing = self.changing.lock();
        let before = self.current();
        let (_, loaded) = before.zone(id).ok_or_else(|| Error::Missing(format!("there is no zone {id}")))?;
        let now_ms = actor.now_ms;
        let mut remembered = Remembered::of(&loaded.row);
        let changed = zone.rows().ne(loaded.contents.zone.rows());
        remembered.imported(now_ms, changed);
        remembered.confirmed_ms = Some(now_ms);
        remembered.primary = match &loaded.row.source {
            Source::Transfer { primary, .. } => Some(primary.clone()),
            _ => None,
        };
        let affected = match loaded.row.loaded_ms {
            // What was asked before a zone was first loaded is judged by what is loaded now.
            Some(_) if changed => Some(freeze::affected(&self.store, &before, &tentative(&before, loaded, zone), zone.apex())),
            _ => None,
        };
        let mut usage = || {
            let affected = affected.as_ref();
            affected.map(|affected| freeze::usage(&self.store, &before, affected, now_ms)).unwrap_or_default()
        };
        let mut edit = |row: &mut Zone| {
            remembered.keep(row);
            (row.state, row.error, row.checked_ms) = (ZoneState::Loaded, None, Some(now_ms));
        };
        let import =
            Import { confirmed, usage: Some(&mut usage), zone: Some(&mut edit), ..Import::new(id, zone.serial(), now_ms) };
        let apex_key = zone.apex().key();
        let (mut rrsets, mut key, mut last) = (zone.iter(), Vec::new(), None);
        let catalogue = self.store.catalogue().by(actor);
        let summary = catalogue.import(import, &mut |row| {
            let Some(rrset) = rrsets.next() else { return Ok(false) };
            let owner = rrset.owner();
            if last.as_ref() != Some(&owner) {
                key.clear();
                key.extend_from_slice(&apex_key);
                key.extend_from_slice(rrset.row().key);
                row.set_owner(&key, &owner.to_string());
                last = Some(owner);
            }
            row.set(rrset.rtype(), rrset.ttl(), rrset.rdatas());
            progress.add();
            Ok::<_, Error>(true)
        })?;
        let is_new = changed || loaded.row.loaded_ms.is_none();
        self.reload_with(id, |row| match is_new {
            true => Ok(Arc::new(Contents::imported(&self.store.catalogue(), row, zone.clone())?)),
            false => Ok(loaded.contents.clone()),
        })?;
        let (_, loaded) = self
            .current()
            .zone(id)
            .map(|(at, loaded)| (at, loaded.clone()))
            .ok_or_else(|| Error::Fault(format!("zone {id} vanished while it was imported")))?;
        Ok(Imported { zone: loaded.row.clone(), summary })
    }
}

/// The apex of a zone.
pub(super) fn apex(row: &Zone) -> Result<Name, Error> {
    Name::from_text(&row.apex).map_err(|error| Error::Fault(error.to_string()))
}

/// The catalogue after an import, as far as lookups are concerned.
fn tentative(before: &Current, loaded: &Loaded, zone: &Arc<Read>) -> Current {
    let zone = zone.clone();
    let contents = Contents { zone, ids: Vec::new(), created_ms: Vec::new(), earlier_ttls: Vec::new() };
    before.with(Loaded { row: loaded.row.clone(), contents: Arc::new(contents) })
}
