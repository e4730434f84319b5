//! Records that work by their presence, or are queried too rarely to judge by queries.
//!
//! A null MX stops mail that would otherwise be tried; CAA is read when a certificate is issued, once a year or less; a
//! verification TXT is checked when its service pleases. None of them may look unused because nobody asked for a while.
//! Such records are described by [`Rule`]s: a built-in table, which operators extend with rules of their own, and override
//! per record ([`Override`]).

mod rule;
mod table;

pub use rule::{Data, Labels, Rule};

use crate::set::{Slot, ZoneSet};
use crate::zone::{RrsetRef, Zone};
use hashbrown::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

/// What an operator decided for one RRset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Override {
    /// Protect it, for a reason in the operator's words.
    Protect(String),
    /// Judge it by its queries, whatever the rules say.
    Allow,
}

/// Rules, the most important first.
#[derive(Debug, Clone)]
pub struct Rules {
    rules: Vec<Rule>,
    /// Rules that require a certain label, by this label.
    by_label: HashMap<Box<[u8]>, Vec<u32>>,
    /// Rules that require no label but a type, by this type.
    by_type: HashMap<u16, Vec<u32>>,
    /// All others.
    others: Vec<u32>,
}

impl Default for Rules {
    fn default() -> Self {
        Rules::new(Vec::new())
    }
}

impl Rules {
    /// The built-in rules, after those of the operator.
    pub fn new(own: Vec<Rule>) -> Self {
        Rules::only(own.into_iter().chain(table::rules()).collect())
    }

    /// Just these rules.
    pub fn only(rules: Vec<Rule>) -> Self {
        let mut all = Rules { rules, by_label: HashMap::new(), by_type: HashMap::new(), others: Vec::new() };
        for (at, rule) in all.rules.iter().enumerate() {
            let at = at as u32;
            if let Some(label) = rule.owner.rarest_label() {
                all.by_label.entry(label.into()).or_default().push(at);
            } else if rule.types.is_empty() {
                all.others.push(at);
            } else {
                for rtype in &rule.types {
                    all.by_type.entry(rtype.value()).or_default().push(at);
                }
            }
        }
        all
    }

    /// The rules, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// The first rule that an RRset matches.
    pub fn find(&self, rrset: RrsetRef<'_>) -> Option<&Rule> {
        self.position(rrset).and_then(|at| self.rules.get(at as usize))
    }

    fn position(&self, rrset: RrsetRef<'_>) -> Option<u32> {
        let owner = rrset.owner();
        let by_label = owner.labels().filter_map(|label| self.by_label.get(label));
        let lists = by_label.chain(self.by_type.get(&rrset.rtype().value())).chain([&self.others]);
        let matches = |at: &u32| self.rules.get(*at as usize).is_some_and(|rule| rule.matches(&owner, rrset));
        // Each list is in order, so its first match is its most important one.
        lists.filter_map(|list| list.iter().copied().find(matches)).min()
    }

    /// Applies the rules and what the operator decided to all RRsets.
    pub fn protect(&self, zones: &ZoneSet, overrides: HashMap<Slot, Override>) -> Protected {
        self.protect_again(zones, overrides, None)
    }

    /// The same. Zones that did not change since these rules were applied to an earlier version are taken from there.
    pub fn protect_again(
        &self,
        zones: &ZoneSet,
        overrides: HashMap<Slot, Override>,
        before: Option<(&ZoneSet, &Protected)>,
    ) -> Protected {
        let mut known: HashMap<*const Zone, &[Option<NonZeroU32>]> = HashMap::new();
        if let Some((set, protected)) = before {
            for (zone, entry) in set.zones() {
                let slots = set.slots(zone);
                let of_zone = protected.by_rule.get(slots.start as usize..slots.end as usize);
                known.extend(of_zone.map(|of_zone| (Arc::as_ptr(&entry.zone), of_zone)));
            }
        }
        let mut by_rule = Vec::with_capacity(zones.len());
        for (zone, entry) in zones.zones() {
            match known.get(&Arc::as_ptr(&entry.zone)) {
                Some(known) => by_rule.extend_from_slice(known),
                None => {
                    let rrsets = entry.zone.iter().take(zones.slots(zone).len());
                    by_rule.extend(rrsets.map(|rrset| self.position(rrset).and_then(|at| NonZeroU32::new(at + 1))));
                }
            }
        }
        Protected { rules: self.rules.clone(), by_rule, overrides }
    }
}

/// Why an RRset is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection<'a> {
    /// By a rule.
    Rule(&'a Rule),
    /// By the operator, for this reason.
    Operator(&'a str),
}

/// The protected RRsets of a [`ZoneSet`].
#[derive(Debug, Clone, Default)]
pub struct Protected {
    rules: Vec<Rule>,
    /// Position of the rule, plus 1, per slot.
    by_rule: Vec<Option<NonZeroU32>>,
    overrides: HashMap<Slot, Override>,
}

impl Protected {
    /// Whether an RRset is protected.
    pub fn contains(&self, slot: Slot) -> bool {
        match self.overrides.is_empty() {
            true => self.by_rule.get(slot.at()).is_some_and(Option::is_some),
            false => self.get(slot).is_some(),
        }
    }

    /// Why an RRset is protected, if it is.
    pub fn get(&self, slot: Slot) -> Option<Protection<'_>> {
        match self.overrides.get(&slot) {
            Some(Override::Protect(reason)) => Some(Protection::Operator(reason)),
            Some(Override::Allow) => None,
            None => self.rule(slot).map(Protection::Rule),
        }
    }

    /// The rule whose protection the operator lifted.
    pub fn allowed(&self, slot: Slot) -> Option<&Rule> {
        self.rule(slot).filter(|_| self.overrides.get(&slot) == Some(&Override::Allow))
    }

    /// Replaces what the operator decided, without applying the rules again.
    pub fn set_overrides(&mut self, overrides: HashMap<Slot, Override>) {
        self.overrides = overrides;
    }

    fn rule(&self, slot: Slot) -> Option<&Rule> {
        let at = self.by_rule.get(slot.at()).copied().flatten()?;
        self.rules.get(at.get() as usize - 1)
    }
}

#[cfg(test)]
mod tests;
