//! What operators say about resources: labels of other systems, notes, protection.

use super::{Catalogue, keys};
use crate::database::key;
use crate::{Error, Inner};
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zonepulse_codec::Malformed;
use zonepulse_dns::RecordType;
use zonepulse_model::{ResourceId, ZoneId};

/// Maximum length of a label, bytes.
const LONGEST_LABEL: usize = 255;
/// Maximum length of a note, bytes.
const LONGEST_NOTE: usize = 4096;
/// Number of labels that are written at once.
const CHUNK: usize = if cfg!(test) { 3 } else { 4096 };

/// What an operator said about a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceNote {
    /// Its id in another system; empty if none. Several resources may share one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Free-form note.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Whether it may be called unused.
    #[serde(default)]
    pub protection: Protection,
}

/// Whether a resource may be called unused, whatever its name and type suggest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// As its name and type suggest.
    #[default]
    None,
    /// It is protected.
    Protect,
    /// It is not protected.
    Allow,
}

/// What became of labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Labelled {
    /// Rows for which there was a resource.
    pub matched: u64,
    /// Rows for which there was none.
    pub unmatched: u64,
    /// Resources whose label changed.
    pub changed: u64,
}

impl ResourceNote {
    fn check(&self) -> Result<(), Error> {
        if self.label.len() > LONGEST_LABEL || self.label.chars().any(char::is_control) {
            return Err(Error::bad_setting("label", "it has at most 255 bytes and no control characters"));
        }
        if self.note.len() > LONGEST_NOTE || self.note.chars().any(|c| c.is_control() && c != '\n') {
            let reason = "it has at most 4096 bytes, and no control characters but ends of lines";
            return Err(Error::bad_setting("note", reason));
        }
        Ok(())
    }
}

impl Catalogue<'_> {
    /// What was said about a resource.
    pub fn note(&self, resource_id: ResourceId) -> Result<ResourceNote, Error> {
        read(self.inner, resource_id)
    }

    /// Visits everything that was said, by resource.
    pub fn notes(&self, each: &mut dyn FnMut(ResourceId, ResourceNote)) -> Result<(), Error> {
        self.inner.database.visit(key::RESOURCE_NOTES, &[keys::NOTE], |key, value| {
            let Some(id) = keys::parse_tagged(key, keys::NOTE) else { return Ok(false) };
            each(ResourceId::new(id), parse(key, value)?);
            Ok(true)
        })
    }

    /// The resources with a label, by id.
    pub fn labelled(&self, label: &str) -> Result<Vec<ResourceId>, Error> {
        let prefix = keys::label_prefix(label);
        let mut found = Vec::new();
        self.inner.database.visit(key::RESOURCE_NOTES, &prefix, |key, _| {
            let of = keys::parse_label(key).filter(|(of, _)| *of == label);
            found.extend(of.map(|(_, id)| id));
            Ok(of.is_some())
        })?;
        Ok(found)
    }

    /// Changes what is said about a resource, removed or not.
    pub fn change_note<E: From<Error>>(
        &self,
        resource_id: ResourceId,
        change: impl FnOnce(&mut ResourceNote) -> Result<(), E>,
    ) -> Result<ResourceNote, E> {
        let mut work = self.registry.change();
        let place = self.inner.resources.read().place(resource_id);
        let (_, record_id) = place.ok_or_else(|| Error::Missing("resource", resource_id.to_string()))?;
        let before = self.note(resource_id)?;
        let mut after = before.clone();
        change(&mut after)?;
        after.check()?;
        if after == before {
            return Ok(after);
        }
        put(self.inner, &mut work.batch, resource_id, &before, &after)?;
        let title = self.title_of(resource_id, record_id);
        work.audit("resource.change", &title, &before, &after)?;
        let (_alone, batch) = work.into_parts();
        self.inner.database.write(batch, true).map_err(E::from)?;
        self.inner.change_resources(|_| ());
        Ok(after)
    }

    /// Sets the labels of many resources, by canonical owner and type; of all zones, or of one. An empty label removes
    /// it. Written in chunks: an error leaves the labels before it changed.
    pub fn set_labels<'a>(
        &self,
        zone_id: Option<ZoneId>,
        labels: impl IntoIterator<Item = (&'a str, RecordType, &'a str)>,
    ) -> Result<Labelled, Error> {
        let mut labels = labels.into_iter();
        let mut done = Labelled::default();
        loop {
            let chunk: Vec<_> = labels.by_ref().take(CHUNK).collect();
            let is_last = chunk.len() < CHUNK;
            self.set_some_labels(zone_id, chunk, is_last, &mut done)?;
            if is_last {
                return Ok(done);
            }
        }
    }

    fn set_some_labels(
        &self,
        zone_id: Option<ZoneId>,
        chunk: Vec<(&str, RecordType, &str)>,
        is_last: bool,
        done: &mut Labelled,
    ) -> Result<(), Error> {
        let mut work = self.registry.change();
        let map = self.inner.resources.read().clone();
        let mut labels = std::collections::BTreeMap::new();
        {
            let dictionary = self.inner.dictionary.read();
            for (owner, rtype, label) in chunk {
                let record_id = dictionary.find(owner, rtype);
                let all = record_id.into_iter().flat_map(|record_id| map.all(record_id));
                let mut ids = all.filter(|(_, of)| zone_id.is_none_or(|zone_id| zone_id == *of)).peekable();
                *if ids.peek().is_some() { &mut done.matched } else { &mut done.unmatched } += 1;
                // Of a record that is named twice, the last label counts.
                ids.for_each(|(id, _)| {
                    let _ = labels.insert(id, label);
                });
            }
        }
        for (id, label) in labels {
            let before = self.note(id)?;
            let after = ResourceNote { label: label.to_owned(), ..before.clone() };
            after.check()?;
            if after != before {
                put(self.inner, &mut work.batch, id, &before, &after)?;
                done.changed += 1;
            }
        }
        if is_last && done.changed > 0 {
            let told = json!({"matched": done.matched, "unmatched": done.unmatched, "changed": done.changed});
            work.audit("resource.labels", "labels of resources", &Value::Null, &told)?;
        }
        let (_alone, batch) = work.into_parts();
        if batch.is_empty() {
            return Ok(());
        }
        self.inner.database.write(batch, is_last)?;
        self.inner.change_resources(|_| ());
        Ok(())
    }

    /// Adds the removal of notes to a batch.
    pub(super) fn remove_notes(&self, batch: &mut WriteBatch, of: &dyn Fn(ResourceId) -> bool) -> Result<(), Error> {
        let family = self.inner.database.family(key::RESOURCE_NOTES);
        self.notes(&mut |id, note| {
            if of(id) {
                batch.delete_cf(family, keys::note(id));
                if !note.label.is_empty() {
                    batch.delete_cf(family, keys::label(&note.label, id));
                }
            }
        })
    }

    fn title_of(&self, resource_id: ResourceId, record_id: zonepulse_model::RecordId) -> String {
        let dictionary = self.inner.dictionary.read();
        let named = dictionary.get(record_id);
        let (owner, rtype) = named.map(|(owner, rtype)| (owner, rtype.to_string())).unwrap_or_default();
        format!("resource {resource_id}, {owner} {rtype}")
    }
}

fn put(inner: &Inner, batch: &mut WriteBatch, id: ResourceId, before: &ResourceNote, after: &ResourceNote) -> Result<(), Error> {
    let family = inner.database.family(key::RESOURCE_NOTES);
    let place = keys::note(id);
    if *after == ResourceNote::default() {
        batch.delete_cf(family, place);
    } else {
        let json = serde_json::to_vec(after).map_err(|error| Error::damaged(error.to_string(), &place))?;
        batch.put_cf(family, place, json);
    }
    if before.label != after.label {
        if !before.label.is_empty() {
            batch.delete_cf(family, keys::label(&before.label, id));
        }
        if !after.label.is_empty() {
            batch.put_cf(family, keys::label(&after.label, id), []);
        }
    }
    Ok(())
}

fn read(inner: &Inner, resource_id: ResourceId) -> Result<ResourceNote, Error> {
    let place = keys::note(resource_id);
    let value = inner.database.get(key::RESOURCE_NOTES, &place)?;
    value.map_or_else(|| Ok(ResourceNote::default()), |value| parse(&place, &value))
}

fn parse(key: &[u8], value: &[u8]) -> Result<ResourceNote, Error> {
    serde_json::from_slice(value)
        .map_err(|_| Malformed("note of a resource"))
        .map_err(|Malformed(what)| Error::damaged(what, key))
}
