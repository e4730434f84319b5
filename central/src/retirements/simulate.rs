//! What a plan would change.

use super::Retirements;
use crate::Error;
use zonepulse_catalogue::Zone;
use zonepulse_catalogue::removal::{Effects, Limits, Removal};
use zonepulse_model::{ResourceId, ZoneId};

/// A simulation, and which resources could not be part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// The zone's serial.
    pub serial: Option<u32>,
    /// What changes for clients when all resources of the plan are removed together.
    pub effects: Effects,
    /// Resources of the plan that are not in the zone now.
    pub absent: Vec<u32>,
    /// Resources of the plan that changed since they were put into it: exports stop at them.
    pub changed: Vec<u32>,
}

impl Retirements {
    /// Simulates the removal of all resources of a plan from its zone as it is.
    pub fn simulate(&self, id: u32, limits: Limits) -> Result<Simulated, Error> {
        let plan = self.find(id)?;
        let current = self.zones.current();
        let zone_id = ZoneId::new(plan.zone_id);
        let (_, loaded) =
            current.zone(zone_id).ok_or_else(|| Error::Missing(format!("the zone {} of this plan is gone", plan.zone)))?;
        let zone = &loaded.contents.zone;
        let (mut removed, mut absent, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        for item in &plan.items {
            let slot = current.slot(ResourceId::new(item.resource_id));
            let Some((of, index, _)) = slot.and_then(|slot| current.resource(slot)).filter(|(of, ..)| of.row.id == zone_id)
            else {
                absent.push(item.resource_id);
                continue;
            };
            let planned = item.rrset(None)?;
            let is_same =
                of.contents.zone.rrset(index).is_some_and(|rrset| rrset.rdatas().eq(planned.rdatas.iter().map(|rdata| &**rdata)));
            if !is_same {
                changed.push(item.resource_id);
            }
            removed.push(index);
        }
        let others: Vec<&Zone> =
            current.zones.iter().filter(|other| other.row.id != zone_id).map(|other| &*other.contents.zone).collect();
        let effects = Removal::new(zone, removed).effects(&others, limits);
        Ok(Simulated { serial: zone.serial(), effects, absent, changed })
    }
}
