//! The series by number: metric and label, in the order in which they were first told of.
//!
//! All servers share the numbers, because their machines are much alike. The family `series` has
//! number u32 → `version u8 = 2 · server u32 · length of the metric's name u8 · name · label`: the server is the one
//! that introduced it, in whose share (`share.rs`) it counts. Version 1 has no server. The number of
//! a series that nothing is left of has no name any more.

use crate::database::{Database, key};
use crate::lock::{Mutex, ReadGuard};
use crate::share::{Counts, Shares};
use crate::{Error, Store};
use rocksdb::WriteBatch;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use zonepulse_codec::Malformed;
use zonepulse_model::{SeriesId, ServerId};

const VERSION_1: u8 = 1;
const VERSION: u8 = 2;

/// A metric and label.
type Name = (String, String);

/// So many numbers are given at most.
const MAX_NUMBERS: usize = 1 << 30;

/// All series, both ways.
#[derive(Debug, Default)]
pub(crate) struct SeriesNames {
    names: Vec<Option<Name>>,
    /// Who introduced each, by number; nobody where that is not known.
    owners: Vec<Option<ServerId>>,
    numbers: HashMap<Name, SeriesId>,
    /// Which were told of since it was last looked for those that nothing is left of, by number.
    told: Vec<AtomicBool>,
}

/// Series that become known with a write.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    names: Vec<Name>,
    /// Who introduces each.
    owners: Vec<ServerId>,
    numbers: HashMap<Name, SeriesId>,
    /// How many each server introduces.
    pub(crate) added: Counts,
    /// Points of series that found no room in their server's share.
    pub(crate) refused_points: Counts,
}

impl SeriesNames {
    pub(crate) fn load(database: &Database) -> Result<Self, Error> {
        let mut all = SeriesNames::default();
        database.visit(key::SERIES, &[], |found, value| {
            let number = key::u32_at(found, 0).filter(|number| (*number as usize) < MAX_NUMBERS);
            let (owner, name) = decode(value).map_err(|Malformed(what)| Error::damaged(what, found))?;
            all.add(SeriesId::new(number.ok_or_else(|| Error::damaged("series", found))?), owner, name);
            Ok(true)
        })?;
        Ok(all)
    }

    fn add(&mut self, series_id: SeriesId, owner: Option<ServerId>, name: Name) {
        let number = series_id.get() as usize;
        self.numbers.insert(name.clone(), series_id);
        // Those between were swept.
        self.names.resize(number, None);
        self.names.push(Some(name));
        self.owners.resize(number, None);
        self.owners.push(owner);
        self.told.resize_with(self.names.len(), || AtomicBool::new(true));
    }

    /// How many each server introduced.
    pub(crate) fn owned(&self) -> Counts {
        count(self.owners.iter().zip(&self.names).filter(|(_, name)| name.is_some()).map(|(owner, _)| *owner))
    }

    /// The numbers of series that a server tells of: known, or new; `None` where the server may not add it.
    pub(crate) fn resolve<'n>(
        &self,
        pending: &mut Pending,
        shares: &Mutex<Shares>,
        server_id: ServerId,
        names: impl Iterator<Item = (&'n str, &'n str)>,
        now: Instant,
    ) -> Vec<Option<SeriesId>> {
        let mut room = None;
        let number = |(metric, label): (&str, &str)| {
            let name = (metric.to_owned(), label.to_owned());
            if let Some(series_id) = self.numbers.get(&name).or_else(|| pending.numbers.get(&name)) {
                if let Some(told) = self.told.get(series_id.get() as usize) {
                    told.store(true, Ordering::Relaxed);
                }
                return Some(*series_id);
            }
            let room = room.get_or_insert_with(|| shares.lock().room(server_id, &pending.added, now));
            let number = self.names.len() + pending.names.len();
            if *room == 0 || number >= MAX_NUMBERS {
                return None;
            }
            let series_id = SeriesId::new(u32::try_from(number).ok()?);
            *room -= 1;
            *pending.added.entry(server_id).or_default() += 1;
            pending.owners.push(server_id);
            pending.numbers.insert(name.clone(), series_id);
            pending.names.push(name);
            Some(series_id)
        };
        names.map(number).collect()
    }

    /// What a write made known.
    pub(crate) fn adopt(&mut self, pending: &mut Pending) {
        for (name, owner) in std::mem::take(&mut pending.names).into_iter().zip(&pending.owners) {
            self.add(SeriesId::new(self.end() as u32), Some(*owner), name);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Every number is below this; not every number is a series' any more.
    pub(crate) fn end(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn get(&self, series_id: SeriesId) -> Option<(&str, &str)> {
        let (metric, label) = self.names.get(series_id.get() as usize)?.as_ref()?;
        Some((metric, label))
    }

    /// None was told of until now; gives [`SeriesNames::end`].
    pub(crate) fn forget_told(&mut self) -> usize {
        self.told.iter_mut().for_each(|told| *told.get_mut() = false);
        self.end()
    }

    /// Those that are neither among these, by number, nor were told of since; the first ones.
    pub(crate) fn not_told(&self, used: &[bool], at_most: usize) -> Vec<SeriesId> {
        let is_unused = |(series_id, told): &(SeriesId, &AtomicBool)| {
            let is_used = used.get(series_id.get() as usize).copied().unwrap_or(true) || told.load(Ordering::Relaxed);
            !is_used && self.get(*series_id).is_some()
        };
        let ids = (0..).map(SeriesId::new);
        ids.zip(&self.told).filter(is_unused).map(|(series_id, _)| series_id).take(at_most).collect()
    }

    /// These have no name any more. Gives whose they were.
    pub(crate) fn forget(&mut self, ids: &[SeriesId]) -> Counts {
        let owned = count(ids.iter().filter_map(|id| self.owners.get(id.get() as usize)).copied());
        for id in ids {
            if let Some(name) = self.names.get_mut(id.get() as usize).and_then(Option::take) {
                self.numbers.remove(&name);
            }
        }
        owned
    }
}

/// How many are each owner's.
fn count(owners: impl Iterator<Item = Option<ServerId>>) -> Counts {
    let mut owned = Counts::new();
    owners.flatten().for_each(|server_id| *owned.entry(server_id).or_default() += 1);
    owned
}

impl Pending {
    /// Adds what becomes known to a write; so many are known.
    pub(crate) fn put(&self, database: &Database, batch: &mut WriteBatch, known: usize) {
        for ((at, (metric, label)), owner) in self.names.iter().enumerate().zip(&self.owners) {
            let number = (known + at) as u32;
            batch.put_cf(database.family(key::SERIES), number.to_be_bytes(), encode(*owner, metric, label));
        }
    }
}

fn encode(owner: ServerId, metric: &str, label: &str) -> Vec<u8> {
    [&[VERSION], &owner.to_be_bytes()[..], &[metric.len() as u8], metric.as_bytes(), label.as_bytes()].concat()
}

fn decode(value: &[u8]) -> Result<(Option<ServerId>, Name), Malformed> {
    let (owner, length, text) = match value {
        [VERSION_1, length, text @ ..] => (None, length, text),
        [VERSION, a, b, c, d, length, text @ ..] => (Some(ServerId::new(u32::from_be_bytes([*a, *b, *c, *d]))), length, text),
        _ => return Err(Malformed("series version")),
    };
    let (metric, label) = text.split_at_checked(usize::from(*length)).ok_or(Malformed("series"))?;
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Malformed("series"));
    Ok((owner, (text(metric)?, text(label)?)))
}

/// The series while a lock is held that writers need: drop it soon.
pub struct SeriesReader<'a>(ReadGuard<'a, SeriesNames>);

impl SeriesReader<'_> {
    /// Metric and label of a series.
    pub fn get(&self, series_id: SeriesId) -> Option<(&str, &str)> {
        self.0.get(series_id)
    }

    /// All, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (SeriesId, &str, &str)> + '_ {
        let ids = (0..self.0.end() as u32).map(SeriesId::new);
        ids.filter_map(|series_id| self.get(series_id).map(|(metric, label)| (series_id, metric, label)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }
}

impl Store {
    /// The series that points of the system are of.
    pub fn series(&self) -> SeriesReader<'_> {
        SeriesReader(self.inner.system.series.read())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_1_and_2_stay_as_they_are_byte_for_byte() {
        assert_eq!(encode(ServerId::new(258), "cpu", "0"), *b"\x02\0\0\x01\x02\x03cpu0");
        let name = ("cpu".to_owned(), "0".to_owned());
        assert_eq!(decode(b"\x02\0\0\x01\x02\x03cpu0"), Ok((Some(ServerId::new(258)), name.clone())));
        assert_eq!(decode(b"\x01\x03cpu0"), Ok((None, name)));
        for broken in [&b""[..], b"\x03\x03cpu0", b"\x02\0\0\x01\x02", b"\x01\x05cpu0"] {
            assert!(decode(broken).is_err(), "{broken:?}");
        }
    }
}
