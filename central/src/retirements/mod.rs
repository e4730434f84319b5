//! Retirement: plans for deleting records, simulated first, step by step, with a way back at each.
//!
//! Nothing here changes a zone. A plan is a set of RRsets of one zone as they were when they were put into it. The operator
//! runs what a plan exports, and says how far they got: `marked` → `ttl_lowered` → `removed` → `restored`. If one of them is
//! asked for, that is an alert ([`alerts`]).

pub mod alerts;
mod export;
mod plan;
mod simulate;
pub mod webhook;

pub use export::{ExportFormat, Exported};
pub use plan::{Item, NewPlan, Plan, PlanChange, Stage};
pub use simulate::Simulated;

use crate::Error;
use crate::rights::Caller;
use crate::time::now_ms;
use crate::zones::Zones;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use zonepulse_model::{ResourceId, RetirementId};
use zonepulse_store::{Plan as Stored, Store};

/// Maximum number of RRsets of a plan.
const MOST_ITEMS: usize = 100_000;

/// The retirement plans of a central.
pub struct Retirements {
    store: Store,
    zones: Arc<Zones>,
    /// Number of alerts when they were last looked for.
    standing: AtomicU64,
}

impl Retirements {
    /// Over the zones.
    pub fn new(store: Store, zones: Arc<Zones>) -> Self {
        Retirements { store, zones, standing: AtomicU64::new(0) }
    }

    /// Number of alerts when they were last looked for.
    pub fn standing_alerts(&self) -> u64 {
        self.standing.load(Ordering::Relaxed)
    }

    /// All plans, by id.
    pub fn list(&self) -> Result<Vec<Plan>, Error> {
        self.store.catalogue().plans()?.into_iter().map(Plan::of).collect()
    }

    /// A plan.
    pub fn find(&self, id: u32) -> Result<Plan, Error> {
        let stored = self.store.catalogue().plan(RetirementId::new(id))?;
        Plan::of(stored.ok_or_else(|| missing(id))?)
    }

    /// Makes a plan of resources of one zone, as they are now. They are marked.
    pub fn create(&self, caller: &Caller, new: NewPlan) -> Result<Plan, Error> {
        let now_ms = now_ms();
        let plan = plan::made(&self.zones.current(), new, caller, now_ms)?;
        let told = json!({"name": plan.name, "zone": plan.zone, "resources": plan.items.len()});
        let catalogue = self.store.catalogue().by(caller.actor(now_ms));
        Plan::of(catalogue.add_plan(&plan.json()?, &told)?)
    }

    /// Changes a plan, or says how far its resources got.
    pub fn change(&self, caller: &Caller, id: u32, change: PlanChange) -> Result<Plan, Error> {
        let now_ms = now_ms();
        let current = self.zones.current();
        let catalogue = self.store.catalogue().by(caller.actor(now_ms));
        let stored = catalogue.change_plan(RetirementId::new(id), "retirement.change", |json| {
            let mut plan = Plan::of(Stored { id: RetirementId::new(id), plan: json.clone() })?;
            let told = plan.change(&current, change, now_ms)?;
            *json = plan.json()?;
            Ok::<_, Error>(told)
        })?;
        Plan::of(stored)
    }

    /// Removes a plan. The zone is not changed.
    pub fn remove(&self, caller: &Caller, id: u32) -> Result<(), Error> {
        let plan = self.find(id)?;
        let told = json!({"name": plan.name, "zone": plan.zone, "resources": plan.items.len()});
        let catalogue = self.store.catalogue().by(caller.actor(now_ms()));
        Ok(catalogue.remove_plan(RetirementId::new(id), &told)?)
    }

    /// Which plan a resource is in, if it is marked, lowered or removed.
    pub fn plan_of(&self, resource_id: ResourceId) -> Result<Option<u32>, Error> {
        let plans = self.list()?;
        let has = |plan: &&Plan| plan.items.iter().any(|item| item.resource_id == resource_id.get() && item.is_open());
        Ok(plans.iter().find(has).map(|plan| plan.id))
    }
}

fn missing(id: u32) -> Error {
    Error::Missing(format!("there is no retirement plan {id}"))
}
