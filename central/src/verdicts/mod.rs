//! Verdicts: which records can be deleted, computed from the newest data for every question.
//!
//! A verdict combines the [catalogue](crate::zones), what was asked (totals, and [credits](zonepulse_store::Credit)
//! frozen when zones changed), what was observed (the ledger), and what operators said (notes, rules). What depends on the
//! catalogue alone is kept until it changes; all else is read anew each time, so no verdict is ever stale.

mod basis;
mod observation;
mod table;
mod usage;

pub use table::{Filter, Order, Rows};

use crate::Error;
use crate::zones::{Current, Zones};
use basis::Basis;
use observation::Observations;
use parking_lot::Mutex;
use std::sync::Arc;
use usage::Crediter;
use zonepulse_catalogue::protection::Rules;
use zonepulse_catalogue::set::Slot;
use zonepulse_catalogue::usage::Usage;
use zonepulse_catalogue::verdict::{Facts, Inputs, Verdicts as All, Window, ZoneObservation};
use zonepulse_store::Store;

/// The period that verdicts cover unless a question says otherwise: 90 days.
pub const DEFAULT_WINDOW_MS: u64 = 90 * 86_400_000;

/// Computes verdicts.
pub struct Verdicts {
    store: Store,
    zones: Arc<Zones>,
    rules: Rules,
    /// One question at a time brings it up to date; none waits for another's rows.
    basis: Mutex<Option<Arc<Basis>>>,
    crediter: Mutex<Crediter>,
}

/// What the zones were used for, and what that was computed from.
struct Used {
    current: Arc<Current>,
    basis: Arc<Basis>,
    usage: Usage,
}

/// The verdicts on all RRsets at one moment, with what they are computed from.
pub struct Judged {
    /// The catalogue.
    pub current: Arc<Current>,
    basis: Arc<Basis>,
    usage: Usage,
    /// If they are more than those of the basis.
    facts: Option<Vec<Facts>>,
    observation: Vec<ZoneObservation>,
    window: Window,
    all: All,
}

impl Verdicts {
    /// Over the zones, with these rules for what is protected.
    pub fn new(store: Store, zones: Arc<Zones>, rules: Rules) -> Self {
        Verdicts { store, zones, rules, basis: Mutex::new(None), crediter: Mutex::default() }
    }

    /// The zones, and what they were used for.
    pub fn usage(&self) -> Result<(Arc<Current>, Usage), Error> {
        let Used { current, usage, .. } = self.used()?;
        Ok((current, usage))
    }

    /// Judges all RRsets.
    pub fn judge(&self, window: Window) -> Result<Judged, Error> {
        let Used { current, basis, usage } = self.used()?;
        let facts = basis.facts_within(&window);
        let observation = Observations::read(&self.store, &window)?.of_zones(&current)?;
        let inputs = Inputs {
            zones: &current.set,
            references: &basis.references,
            protected: &basis.protected,
            usage: &usage,
            facts: facts.as_deref().unwrap_or(&basis.facts),
            observation: &observation,
            window,
        };
        let all = All::new(&inputs);
        Ok(Judged { basis, usage, facts, observation, window, all, current })
    }

    fn used(&self) -> Result<Used, Error> {
        // Late accesses are credited first: they are part of the newest data.
        self.zones.settle()?;
        let everyone = self.store.registry().servers()?;
        let everyone = everyone.iter().filter(|server| !server.is_removed()).map(|server| server.id.get()).collect();
        let current = self.zones.current_for(everyone);
        let basis = self.basis(&current)?;
        let usage = self.crediter.lock().usage(&self.store, &current, &basis)?;
        Ok(Used { current, basis, usage })
    }

    fn basis(&self, current: &Arc<Current>) -> Result<Arc<Basis>, Error> {
        let mut kept = self.basis.lock();
        let version = self.store.resources().version();
        if let Some(basis) = kept.as_ref().filter(|basis| basis.is_of(current, version)) {
            return Ok(basis.clone());
        }
        let basis = Arc::new(Basis::new(&self.store, current.clone(), version, &self.rules, kept.as_deref())?);
        *kept = Some(basis.clone());
        Ok(basis)
    }
}

impl Judged {
    fn inputs(&self) -> Inputs<'_> {
        Inputs {
            zones: &self.current.set,
            references: &self.basis.references,
            protected: &self.basis.protected,
            usage: &self.usage,
            facts: self.facts.as_deref().unwrap_or(&self.basis.facts),
            observation: &self.observation,
            window: self.window,
        }
    }

    /// Why the verdict on an RRset is what it is: sentences, the most important first.
    pub fn reasons(&self, slot: Slot) -> Vec<String> {
        let reasons = self.all.reasons(&self.inputs(), slot);
        reasons.iter().map(|reason| reason.text(self.window.now_ms)).collect()
    }

    /// The verdicts themselves.
    pub fn all(&self) -> &All {
        &self.all
    }
}
