//! What verdicts are computed from and changes rarely: the catalogue, what refers to what, what is protected and noted.

use crate::Error;
use crate::zones::Current;
use std::collections::HashMap;
use std::sync::Arc;
use zonepulse_catalogue::protection::{Override, Protected, Rules};
use zonepulse_catalogue::references::References;
use zonepulse_catalogue::set::Slot;
use zonepulse_catalogue::usage::Via;
use zonepulse_catalogue::verdict::{Created, Facts, Window};
use zonepulse_model::ResourceId;
use zonepulse_store::Store;
use zonepulse_store::{Credit, Protection};

/// See the [module](self).
pub(super) struct Basis {
    current: Arc<Current>,
    /// Of the store's resources, notes and frozen credits.
    version: u64,
    pub(super) references: Arc<References>,
    pub(super) protected: Protected,
    /// Ids in other systems.
    pub(super) labels: HashMap<ResourceId, Box<str>>,
    /// What was credited before the zones were as they are.
    pub(super) frozen: Vec<(Slot, Credit)>,
    /// What is known of each RRset, without the TTLs that it had before.
    pub(super) facts: Vec<Facts>,
}

impl Basis {
    /// Reads it. What only depends on the zones is taken over from an earlier one of the same zones.
    pub(super) fn new(
        store: &Store,
        current: Arc<Current>,
        version: u64,
        rules: &Rules,
        before: Option<&Basis>,
    ) -> Result<Self, Error> {
        let references = match before.filter(|before| Arc::ptr_eq(&before.current.set, &current.set)) {
            Some(before) => before.references.clone(),
            None => Arc::new(References::new(&current.set)),
        };
        let (mut overrides, mut labels) = (hashbrown::HashMap::new(), HashMap::new());
        let catalogue = store.catalogue();
        catalogue.notes(&mut |id, note| {
            let said = match note.protection {
                Protection::None => None,
                Protection::Protect if note.note.is_empty() => Some(Override::Protect("declared by the operator".to_owned())),
                Protection::Protect => Some(Override::Protect(note.note.clone())),
                Protection::Allow => Some(Override::Allow),
            };
            if let Some((slot, said)) = current.slot(id).zip(said) {
                overrides.insert(slot, said);
            }
            if !note.label.is_empty() {
                labels.insert(id, note.label.into_boxed_str());
            }
        })?;
        let protected = match before {
            Some(before) if Arc::ptr_eq(&before.current.set, &current.set) => {
                let mut protected = before.protected.clone();
                protected.set_overrides(overrides);
                protected
            }
            before => {
                let before = before.map(|before| (&*before.current.set, &before.protected));
                rules.protect_again(&current.set, overrides, before)
            }
        };
        let mut frozen = Vec::new();
        catalogue.credits(&mut |id, credit| frozen.extend(current.slot(id).map(|slot| (slot, credit))))?;
        let facts = facts(&current);
        Ok(Basis { current, version, references, protected, labels, frozen, facts })
    }

    /// Whether it is of this catalogue, and no note has changed since.
    pub(super) fn is_of(&self, current: &Arc<Current>, version: u64) -> bool {
        Arc::ptr_eq(&self.current.set, &current.set) && self.version == version
    }

    /// What is known of each RRset within a window, if that is more than [`Basis::facts`].
    pub(super) fn facts_within(&self, window: &Window) -> Option<Vec<Facts>> {
        let mut facts: Option<Vec<Facts>> = None;
        for ((index, _), loaded) in self.current.set.zones().zip(&self.current.zones) {
            let first = self.current.set.slots(index).start as usize;
            let within = loaded.contents.earlier_ttls.iter().filter(|(_, _, until_ms)| *until_ms as i64 > window.start_ms());
            for (rrset, ttl, _) in within {
                let facts = facts.get_or_insert_with(|| self.facts.clone());
                if let Some(facts) = facts.get_mut(first + rrset.get() as usize) {
                    facts.largest_ttl = facts.largest_ttl.max(*ttl);
                }
            }
        }
        facts
    }
}

/// What is known of each RRset at any time.
fn facts(current: &Current) -> Vec<Facts> {
    let created = |created_ms: &u64| match *created_ms {
        0 => Created::Before,
        at_ms => Created::At(at_ms as i64),
    };
    let mut facts = Vec::with_capacity(current.set.len());
    for ((index, _), loaded) in current.set.zones().zip(&current.zones) {
        let of_zone = loaded.contents.created_ms.iter().take(current.set.slots(index).len());
        facts.extend(of_zone.map(|created_ms| Facts { created: created(created_ms), largest_ttl: 0 }));
    }
    facts
}

/// The ways in which a frozen credit reached its RRset.
pub(crate) fn ways(roles: u8) -> impl Iterator<Item = Via> {
    zonepulse_catalogue::usage::Vias::ALL.into_iter().filter(move |via| roles & *via as u8 != 0)
}
