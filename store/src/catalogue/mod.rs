//! The catalogue: zones, their resources, what is said about them, and what they were used for.
//!
//! # The concept
//!
//! A **resource** is an RRset of a zone: an owner and a type. It gets an id when it first appears in its zone, and keeps
//! it whatever becomes of its data: it may change, be removed, and return. Ids are never reused. A removed resource stays
//! as a row, with its last data.
//!
//! A zone's resources are rows in the canonical order of their owners. An **import** ([`Catalogue::import`]) merges them
//! with the new ones, which come in the same order, so it needs memory for neither. A few changes are one write. Many are
//! written as a new *generation* of the zone, in bounded writes that nothing refers to, until one write switches the zone
//! to it and removes the old one: the zone is the old one or the new one at any moment, also after a crash.
//!
//! Rows keep what they were before, within bounds, so that a query can be looked up in the zone as it was at the time.
//!
//! Every resource's owner and type is a record of the dictionary. These records are charged to no server, so no flood of
//! names can displace them, and they are not swept. [`ResourceMap`] tells in memory which record is which resource.
//!
//! This module knows nothing of zone files, RDATA or lookups: it keeps sorted rows of octets and gives them back.

mod dense;
mod import;
mod keys;
mod load;
mod map;
mod notes;
mod owner;
mod read;
mod retirement;
mod row;
mod usage;
mod value;
pub(crate) mod verify;
mod zone;

pub use import::{Import, Summary};
pub use keys::Late;
pub use map::{ResourceMap, ResourcesOfServer};
pub use notes::{Labelled, Protection, ResourceNote};
pub use read::{Page, Resource};
pub use retirement::Plan;
pub use row::Row;
pub use usage::{Credit, LateAccess, UsageChange};
pub use value::{Rdatas, Version};
pub(crate) use zone::ZONES;
pub use zone::{Source, Tsig, Zone, ZoneState};

pub(crate) use import::LAST_ID as LAST_RESOURCE_ID;
pub(crate) use load::load;
pub(crate) use retirement::LAST_ID as LAST_PLAN_ID;
pub(crate) use usage::{LateCounts, PendingLate, forget_usage, late_purged, purge_late, usage_forgotten};
pub(crate) use zone::LAST_ID as LAST_ZONE_ID;

use crate::{Actor, Inner, Registry, Store};

/// The catalogue of a store.
pub struct Catalogue<'a> {
    inner: &'a Inner,
    registry: Registry<'a>,
}

impl<'a> Catalogue<'a> {
    /// The same catalogue, with changes logged in the audit log under this actor.
    pub fn by(self, actor: Actor) -> Self {
        Catalogue { registry: self.registry.by(actor), ..self }
    }
}

impl Store {
    /// The zones and their resources.
    pub fn catalogue(&self) -> Catalogue<'_> {
        Catalogue { inner: &self.inner, registry: self.registry() }
    }
}

#[cfg(test)]
mod tests;
