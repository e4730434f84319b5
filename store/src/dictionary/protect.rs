//! The names of the catalogue: charged to no server, and never swept.

use super::{CATALOGUE, Dictionary, MAX_NUMBERS, NOBODY, Pending, cost};
use zonepulse_dns::RecordType;
use zonepulse_model::{RecordId, ServerId};

/// What protecting a name took from the share of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Released {
    pub(crate) cost: u64,
    pub(crate) server_id: Option<ServerId>,
}

impl Dictionary {
    /// Whether a record is one of the catalogue.
    pub(crate) fn is_protected(&self, record_id: RecordId) -> bool {
        self.owners.of.get(record_id.get() as usize) == Some(&CATALOGUE)
    }

    /// The cost of all names of the catalogue.
    pub(crate) fn protected_cost(&self) -> u64 {
        self.protected_cost
    }

    /// Makes a record one of the catalogue; `None` if it is already, or has no name.
    pub(crate) fn protect(&mut self, record_id: RecordId) -> Option<Released> {
        let cost = self.name(record_id).map(cost)?;
        let server_id = self.owners.get(record_id);
        let owner = self.owners.of.get_mut(record_id.get() as usize).filter(|owner| **owner != CATALOGUE)?;
        *owner = CATALOGUE;
        self.protected_cost += cost;
        Some(Released { cost, server_id })
    }

    /// Makes a record of the catalogue an ordinary one that belongs to no server. Returns its cost, 0 if it is not one.
    pub(crate) fn unprotect(&mut self, record_id: RecordId) -> u64 {
        if !self.is_protected(record_id) {
            return 0;
        }
        let cost = self.name(record_id).map_or(0, cost);
        self.owners.of.get_mut(record_id.get() as usize).into_iter().for_each(|owner| *owner = NOBODY);
        self.protected_cost = self.protected_cost.saturating_sub(cost);
        cost
    }

    /// Adds names that [`Pending::protected`] numbered, now that they are on disk.
    pub(crate) fn adopt_protected(&mut self, pending: &Pending) {
        for (name, record_type) in pending.iter() {
            self.entries.push(name, record_type);
            self.protected_cost += cost(name);
        }
        self.owners.of.resize(self.entries.len(), CATALOGUE);
    }

    /// The number and type of a name that is known.
    pub(crate) fn find(&self, name: &str, record_type: RecordType) -> Option<RecordId> {
        self.entries.find(name, record_type).map(RecordId::new)
    }

    /// Looks up many records, in order.
    pub(crate) fn each(&self, records: &[(&str, RecordType)], mut each: impl FnMut(&str, RecordType, Option<RecordId>)) {
        self.entries.find_each(records, |name, rtype, number| each(name, rtype, number.map(RecordId::new)));
    }

    pub(crate) fn get(&self, record_id: RecordId) -> Option<(&str, RecordType)> {
        self.entries.get(record_id.get())
    }
}

impl Pending {
    /// The number of a record of the catalogue that the dictionary does not have, whatever the shares of servers. `None`
    /// if there are no numbers left.
    pub(crate) fn protected(&mut self, dictionary: &Dictionary, name: &str, record_type: RecordType) -> Option<RecordId> {
        let base = dictionary.len();
        let number = match self.entries.find(name, record_type) {
            Some(number) => number,
            None if base + self.entries.len() >= MAX_NUMBERS => return None,
            None => self.entries.push(name, record_type),
        };
        Some(RecordId::new(base as u32 + number))
    }
}

/// The cost of a name of the catalogue.
pub(crate) fn cost_of(name: &str) -> u64 {
    cost(name)
}
