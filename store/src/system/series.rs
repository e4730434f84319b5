//! Series by number: metric and label, in the order in which they were first reported.
//!
//! All servers share the numbers, since their machines have much in common. The family `series` maps number u32 →
//! `version u8 = 2 · server u32 · length of the metric's name u8 · name · label`. The server is the one that introduced
//! the series and whose share (`share.rs`) it counts against. Version 1 has no server. Numbers of series without any
//! remaining data no longer have a name.

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

/// Maximum number of series numbers.
const MAX_NUMBERS: usize = 1 << 30;

/// All series, searchable in both directions.
#[derive(Debug, Default)]
pub(crate) struct SeriesNames {
    names: Vec<Option<Name>>,
    /// The server that introduced each series, by number; `None` if unknown.
    owners: Vec<Option<ServerId>>,
    numbers: HashMap<Name, SeriesId>,
    /// Whether each series, by number, has been reported since the last search for unused ones began.
    told: Vec<AtomicBool>,
}

/// Series introduced by a pending write.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    names: Vec<Name>,
    /// The server that introduces each series.
    owners: Vec<ServerId>,
    numbers: HashMap<Name, SeriesId>,
    /// Number of series introduced by each server.
    pub(crate) added: Counts,
    /// Number of points rejected because their server's share of series was full.
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
        // The numbers in between have been swept.
        self.names.resize(number, None);
        self.names.push(Some(name));
        self.owners.resize(number, None);
        self.owners.push(owner);
        self.told.resize_with(self.names.len(), || AtomicBool::new(true));
    }

    /// Returns the number of series introduced by each server.
    pub(crate) fn owned(&self) -> Counts {
        count(self.owners.iter().zip(&self.names).filter(|(_, name)| name.is_some()).map(|(owner, _)| *owner))
    }

    /// Returns the numbers of the series that a server reports, both known and new; `None` where the server may not add
    /// a series.
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

    /// Adds the series introduced by a write.
    pub(crate) fn adopt(&mut self, pending: &mut Pending) {
        for (name, owner) in std::mem::take(&mut pending.names).into_iter().zip(&pending.owners) {
            self.add(SeriesId::new(self.end() as u32), Some(*owner), name);
        }
    }

    /// Returns the number of series.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Upper bound of all numbers (exclusive). Not every number still belongs to a series.
    pub(crate) fn end(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn get(&self, series_id: SeriesId) -> Option<(&str, &str)> {
        let (metric, label) = self.names.get(series_id.get() as usize)?.as_ref()?;
        Some((metric, label))
    }

    /// Marks all series as not reported. Returns [`SeriesNames::end`].
    pub(crate) fn forget_told(&mut self) -> usize {
        self.told.iter_mut().for_each(|told| *told.get_mut() = false);
        self.end()
    }

    /// Returns the first `at_most` series that are neither marked in `used`, by number, nor have been reported since.
    pub(crate) fn not_told(&self, used: &[bool], at_most: usize) -> Vec<SeriesId> {
        let is_unused = |(series_id, told): &(SeriesId, &AtomicBool)| {
            let is_used = used.get(series_id.get() as usize).copied().unwrap_or(true) || told.load(Ordering::Relaxed);
            !is_used && self.get(*series_id).is_some()
        };
        let ids = (0..).map(SeriesId::new);
        ids.zip(&self.told).filter(is_unused).map(|(series_id, _)| series_id).take(at_most).collect()
    }

    /// Removes the names of these series. Returns the number removed for each owner.
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

/// Counts the series of each owner.
fn count(owners: impl Iterator<Item = Option<ServerId>>) -> Counts {
    let mut owned = Counts::new();
    owners.flatten().for_each(|server_id| *owned.entry(server_id).or_default() += 1);
    owned
}

impl Pending {
    /// Adds the new series to a write; `known` is the number of existing ones.
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

/// Read access to the series. It holds a lock that writers need, so drop it soon.
pub struct SeriesReader<'a>(ReadGuard<'a, SeriesNames>);

impl SeriesReader<'_> {
    /// Returns the metric and label of a series.
    pub fn get(&self, series_id: SeriesId) -> Option<(&str, &str)> {
        self.0.get(series_id)
    }

    /// Returns all series in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (SeriesId, &str, &str)> + '_ {
        let ids = (0..self.0.end() as u32).map(SeriesId::new);
        ids.filter_map(|series_id| self.get(series_id).map(|(metric, label)| (series_id, metric, label)))
    }

    /// Returns the number of series.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no series.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }
}

impl Store {
    /// Returns the series of system metrics.
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
