//! Alerts: somebody asks for a record that is being retired.

use super::{Item, Plan, Retirements};
use crate::Error;
use crate::zones::{Current, named};
use std::ops::ControlFlow;
use std::sync::Arc;
use zonepulse_catalogue::usage::Usage;
use zonepulse_catalogue::{Name, Zone};
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_model::{IdSet, RecordId, ResourceId};

/// A record of a plan that was asked for after it was marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The plan.
    pub plan_id: u32,
    /// Its name.
    pub plan: String,
    /// The zone.
    pub zone: String,
    /// The resource.
    pub resource_id: u32,
    /// Its owner.
    pub host: String,
    /// Its type.
    pub rtype: String,
    /// How far it got.
    pub stage: super::Stage,
    /// When it was last asked for, Unix milliseconds.
    pub last_access_ms: u64,
    /// Whether this access was alerted of before.
    pub is_told: bool,
}

impl Retirements {
    /// Everything that was asked for since it was marked, by plan. `usage` is what the zones were used for, as they are.
    pub fn alerts(&self, current: &Current, usage: &Usage) -> Result<Vec<Alert>, Error> {
        let mut alerts = Vec::new();
        let plans = self.list()?;
        let below = self.asked_below(current, &plans)?;
        for plan in plans {
            for item in plan.items.iter().filter(|item| item.is_open()) {
                let used = current.slot(ResourceId::new(item.resource_id)).and_then(|slot| usage.get(slot));
                let used_ms = used.map_or(0, |used| used.last_ms.max(0) as u64);
                // A record that is gone is still asked for by name.
                let below_ms = below.iter().find(|gone| gone.resource_id == item.resource_id).map_or(0, |gone| gone.last_ms);
                let last_access_ms = used_ms.max(self.asked_ms(item)?).max(below_ms);
                if last_access_ms > item.marked_ms {
                    alerts.push(alert(&plan, item, last_access_ms));
                }
            }
        }
        Ok(alerts)
    }

    /// When an owner and type were last asked for, Unix milliseconds; an alias is asked for with any type.
    fn asked_ms(&self, item: &Item) -> Result<u64, Error> {
        let (_, rtype) = item.record()?;
        let records: Vec<RecordId> = {
            let dictionary = self.store.dictionary();
            let types = if rtype == RecordType::CNAME { ASKED_OF_ALIASES } else { &[] };
            let types = types.iter().map(|rtype| RecordType::new(*rtype)).chain([rtype]);
            types.filter_map(|rtype| dictionary.find(&item.host, rtype)).collect()
        };
        let mut last_ms = 0;
        self.store.totals_by_record(None, Some(&IdSet::from(records)), &mut |part| {
            let requests = part.iter().filter(|total| total.kind == MessageKind::REQUEST);
            last_ms = requests.map(|total| total.last_ms).fold(last_ms, u64::max);
            ControlFlow::Continue(())
        });
        Ok(last_ms)
    }

    /// When names were last asked for that a wildcard or DNAME answered while it was in the zone.
    fn asked_below(&self, current: &Current, plans: &[Plan]) -> Result<Vec<Gone>, Error> {
        let mut gone = Vec::new();
        for (plan, item) in plans.iter().flat_map(|plan| plan.items.iter().map(move |item| (plan, item))) {
            if item.is_open() && current.slot(ResourceId::new(item.resource_id)).is_none() {
                gone.extend(Gone::of(current, plan, item)?);
            }
        }
        if gone.is_empty() {
            return Ok(gone);
        }
        self.store.totals_by_record(None, None, &mut |part| {
            let dictionary = self.store.dictionary();
            for total in part.iter().filter(|total| total.kind == MessageKind::REQUEST) {
                let wants = |gone: &&mut Gone| total.last_ms > gone.last_ms.max(gone.marked_ms);
                let mut asked = gone.iter_mut().filter(wants).peekable();
                if asked.peek().is_some()
                    && let Some((name, rtype)) = dictionary.get(total.record_id).and_then(named)
                {
                    asked.filter(|gone| gone.answered(&name, rtype)).for_each(|gone| gone.last_ms = total.last_ms);
                }
            }
            ControlFlow::Continue(())
        });
        Ok(gone)
    }

    /// Notes that these alerts were sent.
    pub fn told(&self, alerts: &[Alert]) -> Result<(), Error> {
        for plan in self.list()? {
            let of_plan: Vec<&Alert> = alerts.iter().filter(|alert| alert.plan_id == plan.id).collect();
            if of_plan.is_empty() {
                continue;
            }
            self.store.catalogue().note_plan(zonepulse_model::RetirementId::new(plan.id), |json| {
                let mut plan: Plan = serde_json::from_value(json.clone())?;
                for item in &mut plan.items {
                    if let Some(alert) = of_plan.iter().find(|alert| alert.resource_id == item.resource_id) {
                        item.alerted_ms = Some(alert.last_access_ms);
                    }
                }
                *json = plan.json()?;
                Ok::<_, Error>(())
            })?;
        }
        Ok(())
    }
}

/// A wildcard or DNAME that is not in its zone any more: it is asked for under the names that it answered.
struct Gone {
    resource_id: u32,
    marked_ms: u64,
    /// The name below which they are.
    above: Name,
    /// The type that it answered; `None` for all.
    rtype: Option<RecordType>,
    /// Its zone, as it is.
    zone: Option<Arc<Zone>>,
    last_ms: u64,
}

impl Gone {
    /// `None` for a record that is asked for by its own name only.
    fn of(current: &Current, plan: &Plan, item: &Item) -> Result<Option<Self>, Error> {
        let (owner, rtype) = item.record()?;
        let below = if owner.is_wildcard() { owner.parent() } else { None };
        let (above, answers) = match (below, rtype) {
            (Some(above), RecordType::CNAME | RecordType::DNAME) => (above, None),
            (Some(above), _) => (above, Some(rtype)),
            (None, RecordType::DNAME) => (owner, None),
            (None, _) => return Ok(None),
        };
        let mut zones = current.set.zones().zip(&current.zones);
        let zone = zones.find(|(_, loaded)| loaded.row.id.get() == plan.zone_id).map(|((_, entry), _)| entry.zone.clone());
        let Item { resource_id, marked_ms, .. } = *item;
        Ok(Some(Gone { resource_id, marked_ms, above, rtype: answers, zone, last_ms: 0 }))
    }

    /// Whether it answered this question while it was in the zone: a wildcard does not answer for names that exist, or are
    /// below another name that exists (RFC 4592 section 3.3.1).
    fn answered(&self, name: &Name, rtype: RecordType) -> bool {
        if self.rtype.is_some_and(|answered| answered != rtype) || !name.is_at_or_below(&self.above) || *name == self.above {
            return false;
        }
        let Some(zone) = &self.zone else { return true };
        let mut between = std::iter::successors(Some(name.clone()), Name::parent).take_while(|name| *name != self.above);
        let exists = |name: &Name| zone.at(name).len() > 0 || zone.below(name).len() > 0;
        !between.any(|name| exists(&name))
    }
}

/// The types that clients mostly ask of an alias: A, NS, SOA, PTR, MX, TXT, AAAA, SRV, NAPTR, TLSA, SVCB, HTTPS, CAA.
const ASKED_OF_ALIASES: &[u16] = &[1, 2, 6, 12, 15, 16, 28, 33, 35, 52, 64, 65, 257];

fn alert(plan: &Plan, item: &Item, last_access_ms: u64) -> Alert {
    Alert {
        plan_id: plan.id,
        plan: plan.name.clone(),
        zone: plan.zone.clone(),
        resource_id: item.resource_id,
        host: item.host.clone(),
        rtype: item.rtype.clone(),
        stage: item.stage,
        last_access_ms,
        is_told: item.alerted_ms.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_catalogue::{Builder, file};

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap()
    }

    /// A wildcard for addresses that was at `*.example.`, and the zone as it is now.
    fn gone() -> Gone {
        let text = "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns.other.\nhere 60 TXT x\na.deep 60 TXT x\n";
        let options = file::Options { origin: Some(name("example.")), ..file::Options::default() };
        let mut builder = Builder::new(name("example."));
        for located in file::Reader::new(text.as_bytes(), "z", options) {
            builder.add(located.unwrap().record).unwrap();
        }
        let zone = Some(Arc::new(builder.finish().unwrap()));
        Gone { resource_id: 1, marked_ms: 0, above: name("example."), rtype: Some(RecordType::A), zone, last_ms: 0 }
    }

    #[test]
    fn a_wildcard_answered_for_names_that_do_not_exist() {
        assert!(gone().answered(&name("x.example."), RecordType::A));
        assert!(gone().answered(&name("x.y.example."), RecordType::A));
        assert!(!gone().answered(&name("x.example."), RecordType::AAAA));
        assert!(!gone().answered(&name("x.other."), RecordType::A));
        assert!(!gone().answered(&name("example."), RecordType::A));
    }

    #[test]
    fn a_wildcard_did_not_answer_for_names_that_exist_or_are_below_such() {
        for taken in ["here.example.", "x.here.example.", "deep.example.", "x.deep.example.", "a.deep.example."] {
            assert!(!gone().answered(&name(taken), RecordType::A), "{taken}");
        }
    }
}
