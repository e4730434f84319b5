//! The series by number: metric and label, in the order in which they were first told of.
//!
//! All servers share the numbers, because their machines are much alike. The family `series` has
//! number u32 → `version u8 = 1 · length of the metric's name u8 · name · label`. The number of
//! a series that nothing is left of has no name any more.

use crate::database::Database;
use crate::{Error, Store, key};
use parking_lot::RwLockReadGuard;
use rocksdb::WriteBatch;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use zonepulse_codec::Malformed;

const VERSION: u8 = 1;

/// A metric and label.
type Name = (String, String);

/// So many numbers are given at most.
const MAX_NUMBERS: usize = 1 << 30;

/// All series, both ways.
#[derive(Debug, Default)]
pub(crate) struct SeriesNames {
    names: Vec<Option<Name>>,
    numbers: HashMap<Name, u32>,
    /// Which were told of since it was last looked for those that nothing is left of, by number.
    told: Vec<AtomicBool>,
    most: usize,
}

/// Series that become known with a write.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    names: Vec<Name>,
    numbers: HashMap<Name, u32>,
}

impl SeriesNames {
    pub(crate) fn load(database: &Database, most: usize) -> Result<Self, Error> {
        let mut all = SeriesNames { most, ..SeriesNames::default() };
        database.visit(key::SERIES, &[], |found, value| {
            let number = key::u32_at(found, 0).filter(|number| (*number as usize) < MAX_NUMBERS);
            let name = decode(value).map_err(|Malformed(what)| Error::damaged(what, found))?;
            all.add(number.ok_or_else(|| Error::damaged("series", found))?, name);
            Ok(true)
        })?;
        Ok(all)
    }

    fn add(&mut self, number: u32, name: Name) {
        self.numbers.insert(name.clone(), number);
        // Those between were swept.
        self.names.resize(number as usize, None);
        self.names.push(Some(name));
        self.told.resize_with(self.names.len(), || AtomicBool::new(true));
    }

    /// The number of a series that is known, or becomes known; `None` when there are too many.
    pub(crate) fn resolve(&self, pending: &mut Pending, metric: &str, label: &str) -> Option<u32> {
        let name = (metric.to_owned(), label.to_owned());
        if let Some(number) = self.numbers.get(&name).or_else(|| pending.numbers.get(&name)) {
            if let Some(told) = self.told.get(*number as usize) {
                told.store(true, Ordering::Relaxed);
            }
            return Some(*number);
        }
        let number = self.names.len() + pending.names.len();
        if self.len() + pending.names.len() >= self.most || number >= MAX_NUMBERS {
            return None;
        }
        let number = u32::try_from(number).ok()?;
        pending.numbers.insert(name.clone(), number);
        pending.names.push(name);
        Some(number)
    }

    /// What a write made known.
    pub(crate) fn adopt(&mut self, pending: &mut Pending) {
        for name in std::mem::take(pending).names {
            self.add(self.end() as u32, name);
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

    pub(crate) fn get(&self, number: u32) -> Option<(&str, &str)> {
        let (metric, label) = self.names.get(number as usize)?.as_ref()?;
        Some((metric, label))
    }

    /// None was told of until now; gives [`SeriesNames::end`].
    pub(crate) fn forget_told(&mut self) -> usize {
        self.told.iter_mut().for_each(|told| *told.get_mut() = false);
        self.end()
    }

    /// Those that are neither among these, by number, nor were told of since.
    pub(crate) fn not_told(&self, used: &[bool]) -> Vec<u32> {
        let is_unused = |(number, told): &(u32, &AtomicBool)| {
            let is_used = used.get(*number as usize).copied().unwrap_or(true) || told.load(Ordering::Relaxed);
            !is_used && self.get(*number).is_some()
        };
        (0..).zip(&self.told).filter(is_unused).map(|(number, _)| number).collect()
    }

    /// These have no name any more.
    pub(crate) fn forget(&mut self, numbers: &[u32]) {
        for number in numbers {
            if let Some(name) = self.names.get_mut(*number as usize).and_then(Option::take) {
                self.numbers.remove(&name);
            }
        }
    }
}

impl Pending {
    /// Adds what becomes known to a write; so many are known.
    pub(crate) fn put(&self, database: &Database, batch: &mut WriteBatch, known: usize) {
        for (at, (metric, label)) in self.names.iter().enumerate() {
            let number = (known + at) as u32;
            let value = [&[VERSION, metric.len() as u8], metric.as_bytes(), label.as_bytes()].concat();
            batch.put_cf(database.family(key::SERIES), number.to_be_bytes(), value);
        }
    }
}

fn decode(value: &[u8]) -> Result<Name, Malformed> {
    let [VERSION, length, text @ ..] = value else { return Err(Malformed("series version")) };
    let (metric, label) = text.split_at_checked(usize::from(*length)).ok_or(Malformed("series"))?;
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Malformed("series"));
    Ok((text(metric)?, text(label)?))
}

/// The series while a lock is held that writers need: drop it soon.
pub struct SeriesReader<'a>(RwLockReadGuard<'a, SeriesNames>);

impl SeriesReader<'_> {
    /// Metric and label of a series.
    pub fn get(&self, number: u32) -> Option<(&str, &str)> {
        self.0.get(number)
    }

    /// All, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &str, &str)> + '_ {
        let numbers = 0..self.0.end() as u32;
        numbers.filter_map(|number| self.get(number).map(|(metric, label)| (number, metric, label)))
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
