//! The merge of a zone's rows with new ones.

use super::Import;
use super::chunk::{Chunk, Kind, LAST_ID};
use super::stage::Stage;
use super::summary::{Summary, example};
use crate::catalogue::value::Value;
use crate::catalogue::zone::{drop_files, missing, remove_rows, zone_key};
use crate::catalogue::{Catalogue, Row, UsageChange, Zone, ZoneState, keys, owner};
use crate::database::key;
use crate::{Error, Inner};
use rocksdb::DBRawIterator;
use serde_json::Value as Json;
use zonepulse_codec::Malformed;
use zonepulse_dns::RecordType;
use zonepulse_model::ResourceId;

/// Maximum number of changed rows that are one write together with what refers to them.
const FEW_ROWS: usize = if cfg!(test) { 6 } else { 20_000 };
/// Maximum size of these rows, in bytes.
const FEW_BYTES: usize = 8 << 20;
/// Number of rows between two reports of progress.
const PROGRESS_ROWS: u64 = 4096;

/// What becomes of the zone's resources that are not among the new rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    Go,
    Stay,
}

/// An import in progress.
pub(super) struct Merge<'a, 'i> {
    catalogue: &'a Catalogue<'a>,
    inner: &'a Inner,
    import: Import<'i>,
    zone: Zone,
    apex: Vec<u8>,
    old: Old<'a>,
    others: Others,
    last_id: ResourceId,
    /// The changed rows, or with a stage the rows that it does not have yet.
    chunk: Chunk,
    stage: Option<Stage>,
    summary: Summary,
    /// Whether it removes too much, so that it only goes on counting.
    is_blocked: bool,
    /// Whether the write that makes it visible may have reached the disk.
    is_decided: bool,
    value: Vec<u8>,
}

/// The rows of a zone's generation.
struct Old<'a> {
    prefix: [u8; keys::PREFIX_BYTES],
    rows: DBRawIterator<'a>,
}

impl<'a> Old<'a> {
    fn begin(inner: &'a Inner, zone: &Zone) -> Self {
        let prefix = keys::prefix(zone.id, zone.generation);
        let mut rows = inner.database.iterator(key::RESOURCES);
        rows.seek(prefix);
        Old { prefix, rows }
    }

    /// Owner with type, and value of the present row.
    fn item(&self) -> Option<(&[u8], &[u8])> {
        self.rows.item().and_then(|(key, value)| Some((key.strip_prefix(&self.prefix)?, value)))
    }

    fn next(&mut self) {
        self.rows.next();
    }
}

impl<'a, 'i> Merge<'a, 'i> {
    pub(super) fn new(catalogue: &'a Catalogue<'a>, import: Import<'i>, zone: Zone, others: Others) -> Result<Self, Error> {
        let inner = catalogue.inner;
        let last_id = inner.database.get("default", LAST_ID)?.and_then(|value| key::u32_at(&value, 0));
        Ok(Merge {
            catalogue,
            inner,
            import,
            apex: owner::owner_of_text(&zone.apex).unwrap_or_default(),
            old: Old::begin(inner, &zone),
            others,
            zone,
            last_id: ResourceId::new(last_id.unwrap_or_default()),
            chunk: Chunk::default(),
            stage: None,
            summary: Summary::default(),
            is_blocked: false,
            is_decided: false,
            value: Vec::new(),
        })
    }

    /// Reads all rows.
    pub(super) fn run<E: From<Error>>(&mut self, rows: &mut dyn FnMut(&mut Row) -> Result<bool, E>) -> Result<(), E> {
        let (mut row, mut last, mut count) = (Row::default(), Vec::new(), 0u64);
        while rows(&mut row)? {
            row.check()?;
            if !row.place.starts_with(&self.apex) {
                return Err(Error::BadIntake("owner of a resource: it is outside of the zone").into());
            }
            if row.is_gone && self.others == Others::Go {
                return Err(Error::BadIntake("a resource that is gone").into());
            }
            if count > 0 && row.place <= last {
                return Err(Error::BadIntake("order of resources").into());
            }
            last.clone_from(&row.place);
            count += 1;
            self.add(&row)?;
            if count.is_multiple_of(PROGRESS_ROWS) {
                self.progress(count);
            }
        }
        self.drop_until(None)?;
        self.old.rows.status().map_err(Error::from)?;
        self.progress(count);
        Ok(())
    }

    fn progress(&mut self, count: u64) {
        if let Some(progress) = &mut self.import.progress {
            progress(count);
        }
    }

    /// Merges one new row.
    fn add(&mut self, row: &Row) -> Result<(), Error> {
        self.drop_until(Some(row.place.as_slice()))?;
        let mut value = std::mem::take(&mut self.value);
        value.clear();
        let Import { now_ms, history_ms, .. } = self.import;
        let kind = match self.old.item().filter(|(place, _)| *place == row.place) {
            _ if row.is_gone => {
                self.value = value;
                return self.drop_one(&row.place);
            }
            None => {
                row.check_owner()?;
                Value::new(now_ms, &row.data).encode(&mut value);
                Kind::New
            }
            Some((place, bytes)) => {
                let old = decode(place, bytes)?;
                let kind = match (old.removed_ms, old.data == row.data) {
                    (Some(_), _) => Kind::Returned,
                    (None, false) => Kind::Changed,
                    (None, true) => Kind::Kept,
                };
                if kind == Kind::Kept {
                    value.extend_from_slice(bytes);
                } else {
                    let replaced = old.replace(&row.data, now_ms, history_ms, &mut value);
                    replaced.map_err(|Malformed(what)| Error::damaged(what, place))?;
                }
                self.old.next();
                kind
            }
        };
        self.count(kind, row);
        let owner = if kind == Kind::New { row.owner.as_str() } else { "" };
        self.push(kind, &row.place, &value, owner, row.rtype)?;
        self.value = value;
        Ok(())
    }

    fn count(&mut self, kind: Kind, row: &Row) {
        let summary = &mut self.summary;
        let named = || Some((row.owner.clone(), row.rtype));
        match kind {
            Kind::Kept => summary.unchanged += 1,
            Kind::Changed => {
                summary.changed += 1;
                example(&mut summary.examples_changed, named);
            }
            _ => {
                summary.added += 1;
                summary.returned += u64::from(kind == Kind::Returned);
                example(&mut summary.examples_added, named);
            }
        }
    }

    /// Removes the resource at a place, if there is one.
    fn drop_one(&mut self, place: &[u8]) -> Result<(), Error> {
        if self.old.item().is_some_and(|(old, _)| old == place) {
            self.others = Others::Go;
            let done = self.drop_until(Some(&[place, &[0]].concat()));
            self.others = Others::Stay;
            return done;
        }
        Ok(())
    }

    /// Removes the zone's rows before a place, or all that are left, or keeps them.
    fn drop_until(&mut self, place: Option<&[u8]>) -> Result<(), Error> {
        if self.others == Others::Stay && self.stage.is_none() {
            // They stay where they are.
            if let Some(place) = place {
                self.old.rows.seek([&self.old.prefix[..], place].concat());
            }
            return Ok(());
        }
        let mut gone = Vec::new();
        while let Some((old, bytes)) = self.old.item().filter(|(old, _)| place.is_none_or(|place| *old < place)) {
            gone.clear();
            gone.extend_from_slice(old);
            let value = decode(old, bytes)?;
            let mut written = std::mem::take(&mut self.value);
            written.clear();
            let kind = if value.removed_ms.is_some() || self.others == Others::Stay {
                written.extend_from_slice(bytes);
                Kind::Kept
            } else {
                value.remove(self.import.now_ms, &mut written);
                self.summary.removed += 1;
                let dictionary = &self.inner.dictionary;
                let record_id = value.head.record_id;
                example(&mut self.summary.examples_removed, || {
                    dictionary.read().get(record_id).map(|(name, rtype)| (name.to_owned(), rtype))
                });
                Kind::Removed
            };
            self.old.next();
            self.push(kind, &gone, &written, "", RecordType::new(0))?;
            self.value = written;
        }
        Ok(())
    }

    fn push(&mut self, kind: Kind, place: &[u8], value: &[u8], owner: &str, rtype: RecordType) -> Result<(), Error> {
        self.is_blocked |= !self.import.confirmed && self.summary.is_mass_removal(self.zone.resources);
        if self.is_blocked || (kind == Kind::Kept && self.stage.is_none()) {
            return Ok(());
        }
        self.chunk.push(kind, place, value, owner, rtype);
        if let Some(stage) = &mut self.stage {
            return stage.write_if_full(self.inner, &mut self.chunk, &mut self.last_id);
        }
        if self.chunk.len() > FEW_ROWS || self.chunk.size_bytes() > FEW_BYTES {
            self.begin_stage()?;
        }
        Ok(())
    }

    /// There are more changes than one write can take: copies the zone up to here into a new generation.
    fn begin_stage(&mut self) -> Result<(), Error> {
        let changed = std::mem::take(&mut self.chunk);
        let stage = self.stage.insert(Stage::begin(self.inner, &self.zone)?);
        let mut old = Old::begin(self.inner, &self.zone);
        for (kind, place, value, owner, rtype) in changed.each() {
            while let Some((kept, value)) = old.item().filter(|(old, _)| *old <= place) {
                if kept != place {
                    self.chunk.push(Kind::Kept, kept, value, "", RecordType::new(0));
                    stage.write_if_full(self.inner, &mut self.chunk, &mut self.last_id)?;
                }
                old.next();
            }
            old.rows.status()?;
            self.chunk.push(kind, place, value, owner, rtype);
            stage.write_if_full(self.inner, &mut self.chunk, &mut self.last_id)?;
        }
        Ok(())
    }

    /// Makes the new rows the zone's, in one write.
    pub(super) fn finish(&mut self) -> Result<Summary, Error> {
        let removed = self.summary.removed;
        if self.is_blocked {
            let Zone { apex, resources, .. } = self.zone.clone();
            let examples = self.summary.examples_removed.iter().map(|(owner, rtype)| format!("{owner} {rtype}"));
            let examples = examples.collect::<Vec<_>>().join(", ");
            return Err(Error::MassRemoval { zone: apex, removed, resources, examples });
        }
        let (inner, zone_id) = (self.inner, self.zone.id);
        let mut work = self.catalogue.registry.change();
        // Its settings may have changed in the meantime.
        let mut zone = self.catalogue.zone(zone_id)?.ok_or_else(|| missing(zone_id))?;
        let before = zone.generation;
        if let Some(stage) = &self.stage {
            remove_rows(inner, &mut work.batch, zone_id, Some(before));
            zone.generation = stage.generation;
        }
        let numbered = self.chunk.put(inner, &mut work.batch, (zone_id, zone.generation), self.last_id)?;
        let usage = self.import.usage.as_mut().map_or_else(UsageChange::default, |usage| usage());
        self.catalogue.put_usage(&mut work.batch, &usage)?;
        self.describe(&mut zone);
        work.put(&zone_key(zone_id), &zone)?;
        let title = format!("zone {zone_id}, {} ({})", zone.apex, zone.view);
        work.audit("zone.import", &title, &Json::Null, &self.summary.counts())?;
        let (alone, batch) = work.into_parts();
        self.is_decided = true;
        inner.database.write(batch, true)?;
        numbered.publish(inner);
        let staged = self.stage.take();
        if self.summary.is_change() || !usage.is_empty() {
            let deltas = staged.iter().flat_map(|stage| stage.deltas.iter().copied()).chain(self.chunk.deltas());
            inner.change_resources(|map| {
                deltas.for_each(|delta| map.apply(zone_id, delta));
                usage.publish(map);
            });
        }
        drop(alone);
        if staged.is_some() {
            drop_files(inner, zone_id, Some(before));
        }
        Ok(std::mem::take(&mut self.summary))
    }

    /// Notes the outcome in the zone.
    fn describe(&mut self, zone: &mut Zone) {
        let Summary { added, returned, removed, .. } = self.summary;
        zone.resources = (zone.resources + added).saturating_sub(removed);
        zone.removed = (zone.removed + removed).saturating_sub(returned);
        zone.revision += u64::from(self.summary.is_change());
        zone.serial = self.import.serial;
        zone.loaded_ms = Some(self.import.now_ms);
        zone.checked_ms = zone.loaded_ms;
        (zone.state, zone.error) = (ZoneState::Loaded, None);
        if let Some(edit) = &mut self.import.zone {
            zone.edit(&mut **edit);
        }
    }

    /// Removes everything that was written, unless it may be visible.
    pub(super) fn abandon(&mut self) {
        if let Some(stage) = self.stage.take().filter(|_| !self.is_decided) {
            stage.abandon(self.inner);
        }
    }
}

fn decode<'v>(place: &[u8], value: &'v [u8]) -> Result<Value<'v>, Error> {
    Value::decode(value).map_err(|Malformed(what)| Error::damaged(what, place))
}
