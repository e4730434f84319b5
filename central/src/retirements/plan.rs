//! A plan: its resources, and how far each got.

use crate::Error;
use crate::rights::Caller;
use crate::zones::Current;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashSet;
use zonepulse_catalogue::retirement::{self, Rrset};
use zonepulse_catalogue::{Name, RrsetIndex, RrsetRef};
use zonepulse_dns::RecordType;
use zonepulse_model::ResourceId;
use zonepulse_store::{Plan as Stored, Zone};

/// The TTL that resources are lowered to unless told otherwise, seconds.
const LOWERED_TTL: u32 = 60;
/// Maximum length of a plan's name and note, bytes.
const LONGEST_NAME: usize = 255;
const LONGEST_NOTE: usize = 4096;

/// A retirement plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its id.
    #[serde(skip)]
    pub id: u32,
    /// What it is called.
    pub name: String,
    /// What is to be remembered about it.
    pub note: String,
    /// The zone's id.
    pub zone_id: u32,
    /// The zone's apex.
    pub zone: String,
    /// When it was made, Unix milliseconds.
    pub created_ms: u64,
    /// Who made it.
    pub created_by: String,
    /// The TTL that its resources are lowered to at most, seconds.
    pub lowered_ttl: u32,
    /// Its resources.
    pub items: Vec<Item>,
}

/// A resource of a plan, as it was when it was put into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The resource.
    pub resource_id: u32,
    /// Its owner.
    pub host: String,
    /// Its type.
    pub rtype: String,
    /// Its TTL, seconds.
    pub ttl: u32,
    /// Its RDATAs in base64.
    pub rdatas: Vec<String>,
    /// How far it got.
    pub stage: Stage,
    /// When it was marked, Unix milliseconds: whoever asks for it from then on raises an alert.
    pub marked_ms: u64,
    /// When it reached its stage, Unix milliseconds.
    pub stage_ms: u64,
    /// When an alert about it was last sent: the last access that it was about, Unix milliseconds.
    #[serde(default)]
    pub alerted_ms: Option<u64>,
}

/// How far a resource got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is watched.
    Marked,
    /// Its TTL is low, so that resolvers soon forget it.
    TtlLowered,
    /// It is not in the zone any more.
    Removed,
    /// It is back in the zone.
    Restored,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Stage; 4] = [Stage::Marked, Stage::TtlLowered, Stage::Removed, Stage::Restored];

    /// The stage as exports know it.
    pub const fn exported(self) -> retirement::Stage {
        match self {
            Stage::Marked => retirement::Stage::Marked,
            Stage::TtlLowered => retirement::Stage::TtlLowered,
            Stage::Removed => retirement::Stage::Removed,
            Stage::Restored => retirement::Stage::Restored,
        }
    }

    /// Whether a resource may go from this stage to another.
    fn leads_to(self, next: Stage) -> bool {
        match self {
            Stage::Marked => matches!(next, Stage::TtlLowered | Stage::Removed | Stage::Restored),
            Stage::TtlLowered => matches!(next, Stage::Removed | Stage::Restored),
            Stage::Removed => next == Stage::Restored,
            Stage::Restored => next == Stage::Marked,
        }
    }
}

/// A plan to be made.
#[derive(Debug, Clone, Default)]
pub struct NewPlan {
    /// What it is called.
    pub name: String,
    /// What is to be remembered about it.
    pub note: String,
    /// The resources, of one zone.
    pub resource_ids: Vec<u32>,
    /// The TTL that they are lowered to, seconds.
    pub lowered_ttl: Option<u32>,
}

/// Changes to a plan; absent ones leave the value unchanged.
#[derive(Debug, Clone, Default)]
pub struct PlanChange {
    /// What it is called.
    pub name: Option<String>,
    /// What is to be remembered about it.
    pub note: Option<String>,
    /// Resources that are taken out of it.
    pub remove_resource_ids: Vec<u32>,
    /// Resources of its zone that are put into it, marked.
    pub add_resource_ids: Vec<u32>,
    /// How far its resources got.
    pub stage: Option<Stage>,
    /// Which resources the stage is about; all if not said.
    pub resource_ids: Option<Vec<u32>>,
}

impl Item {
    /// A resource as it is now, marked.
    fn marked(id: u32, rrset: RrsetRef<'_>, now_ms: u64) -> Self {
        Item {
            resource_id: id,
            host: rrset.owner().to_string(),
            rtype: rrset.rtype().to_string(),
            ttl: rrset.ttl(),
            rdatas: encoded(rrset),
            stage: Stage::Marked,
            marked_ms: now_ms,
            stage_ms: now_ms,
            alerted_ms: None,
        }
    }

    /// Whether it is on its way out of the zone.
    pub fn is_open(&self) -> bool {
        self.stage != Stage::Restored
    }

    /// Its owner and type.
    pub fn record(&self) -> Result<(Name, RecordType), Error> {
        let damaged = |error: zonepulse_dns::Error| Error::Fault(error.to_string());
        Ok((Name::from_text(&self.host).map_err(damaged)?, self.rtype.parse().map_err(damaged)?))
    }

    /// The RRset, for exports.
    pub(super) fn rrset(&self, label: Option<String>) -> Result<Rrset, Error> {
        let (owner, rtype) = self.record()?;
        let rdata = |text: &String| BASE64_STANDARD.decode(text).map(Vec::into_boxed_slice);
        let rdatas = self.rdatas.iter().map(rdata).collect::<Result<_, _>>().map_err(|error| Error::Fault(error.to_string()))?;
        Ok(Rrset { resource_id: self.resource_id.into(), label, owner, rtype, ttl: self.ttl, rdatas })
    }
}

impl Plan {
    /// A plan as it is stored.
    pub(super) fn of(stored: Stored) -> Result<Self, Error> {
        let plan: Plan = serde_json::from_value(stored.plan)?;
        Ok(Plan { id: stored.id.get(), ..plan })
    }

    pub(super) fn json(&self) -> Result<Value, Error> {
        Ok(serde_json::to_value(self)?)
    }

    /// Applies a change. Returns what the audit log says about it.
    pub(super) fn change(&mut self, current: &Current, change: PlanChange, now_ms: u64) -> Result<Value, Error> {
        let mut told = serde_json::Map::new();
        if let Some(name) = change.name {
            told.insert("name".to_owned(), json!(name));
            self.name = name;
        }
        if let Some(note) = change.note {
            told.insert("note".to_owned(), json!(note));
            self.note = note;
        }
        check_texts(&self.name, &self.note)?;
        if !change.remove_resource_ids.is_empty() {
            told.insert("removed_resource_ids".to_owned(), json!(change.remove_resource_ids));
            self.take_out(&change.remove_resource_ids)?;
        }
        if !change.add_resource_ids.is_empty() {
            told.insert("added_resource_ids".to_owned(), json!(change.add_resource_ids));
            self.put_in(current, &change.add_resource_ids, now_ms)?;
        }
        if self.items.is_empty() {
            return Err(Error::bad_value("remove_resource_ids", "a plan has at least one resource: remove the plan instead"));
        }
        let Some(stage) = change.stage else { return Ok(Value::Object(told)) };
        let chosen = change.resource_ids.as_deref().map(|ids| self.among(ids, "resource_ids")).transpose()?;
        let mut moved = 0;
        for item in &mut self.items {
            if chosen.as_ref().is_some_and(|ids| !ids.contains(&item.resource_id)) || item.stage == stage {
                continue;
            }
            if !item.stage.leads_to(stage) {
                let (is, next) = (item.stage.exported().as_str(), stage.exported().as_str());
                let reason = format!("{} {} is {is}, which is not followed by {next}", item.host, item.rtype);
                return Err(Error::bad_value("stage", reason));
            }
            if stage == Stage::Marked {
                // A resource that is marked again is planned as it is now.
                let (rrset, _) = found(current, item.resource_id, "resource_ids")?;
                (item.ttl, item.rdatas) = (rrset.ttl(), encoded(rrset));
                item.marked_ms = now_ms;
                item.alerted_ms = None;
            }
            (item.stage, item.stage_ms) = (stage, now_ms);
            moved += 1;
        }
        told.insert("stage".to_owned(), json!(stage));
        told.insert("resources".to_owned(), json!(moved));
        Ok(Value::Object(told))
    }

    /// These resources as a set. Fails if one is not in the plan.
    fn among(&self, ids: &[u32], parameter: &'static str) -> Result<HashSet<u32>, Error> {
        let has: HashSet<u32> = self.items.iter().map(|item| item.resource_id).collect();
        match ids.iter().find(|id| !has.contains(id)) {
            None => Ok(ids.iter().copied().collect()),
            Some(unknown) => Err(Error::bad_value(parameter, format_args!("the plan does not have resource {unknown}"))),
        }
    }

    /// Takes resources out of the plan. The way back is only known here, so they must not need it.
    fn take_out(&mut self, ids: &[u32]) -> Result<(), Error> {
        let leaving = self.among(ids, "remove_resource_ids")?;
        let needed =
            |item: &&Item| matches!(item.stage, Stage::TtlLowered | Stage::Removed) && leaving.contains(&item.resource_id);
        if let Some(item) = self.items.iter().find(needed) {
            let stage = item.stage.exported().as_str();
            let reason =
                format!("{} {} is {stage}, and the way back is only in this plan: restore it first", item.host, item.rtype);
            return Err(Error::bad_value("remove_resource_ids", reason));
        }
        self.items.retain(|item| !leaving.contains(&item.resource_id));
        Ok(())
    }

    /// Puts resources of its zone into the plan, as they are now.
    fn put_in(&mut self, current: &Current, ids: &[u32], now_ms: u64) -> Result<(), Error> {
        const PARAMETER: &str = "add_resource_ids";
        check_number(self.items.len().saturating_add(ids.len()), PARAMETER)?;
        for id in ids {
            let (rrset, row) = found(current, *id, PARAMETER)?;
            check_zone(*id, row, self.zone_id, &self.zone, PARAMETER)?;
            self.items.push(Item::marked(*id, rrset, now_ms));
        }
        // What must not be removed, or is in the plan already, is refused.
        prepared_for(self, &|_| None, PARAMETER).map(drop)
    }
}

/// Makes a plan.
pub(super) fn made(current: &Current, new: NewPlan, caller: &Caller, now_ms: u64) -> Result<Plan, Error> {
    check_texts(&new.name, &new.note)?;
    if new.resource_ids.is_empty() {
        return Err(Error::bad_value("resource_ids", "a plan has at least one resource"));
    }
    check_number(new.resource_ids.len(), "resource_ids")?;
    let lowered_ttl = new.lowered_ttl.unwrap_or(LOWERED_TTL);
    let (mut items, mut zone) = (Vec::new(), None);
    for id in &new.resource_ids {
        let (rrset, row) = found(current, *id, "resource_ids")?;
        let (zone_id, apex) = zone.get_or_insert_with(|| (row.id.get(), row.apex.clone()));
        check_zone(*id, row, *zone_id, apex, "resource_ids")?;
        items.push(Item::marked(*id, rrset, now_ms));
    }
    let (zone_id, zone) = zone.unwrap_or_default();
    let plan = Plan {
        id: 0,
        name: new.name,
        note: new.note,
        zone_id,
        zone,
        created_ms: now_ms,
        created_by: caller.actor(now_ms).who,
        lowered_ttl,
        items,
    };
    // What must not be removed, or is listed twice, is refused before anything is planned.
    prepared(&plan, &|_| None)?;
    Ok(plan)
}

fn found<'a>(current: &'a Current, id: u32, parameter: &'static str) -> Result<(RrsetRef<'a>, &'a Zone), Error> {
    let missing = || Error::bad_value(parameter, format_args!("there is no resource {id}, or it is not in its zone now"));
    let slot = current.slot(ResourceId::new(id)).ok_or_else(missing)?;
    let (loaded, index, _): (_, RrsetIndex, _) = current.resource(slot).ok_or_else(missing)?;
    Ok((loaded.contents.zone.rrset(index).ok_or_else(missing)?, &loaded.row))
}

fn encoded(rrset: RrsetRef<'_>) -> Vec<String> {
    rrset.rdatas().map(|rdata| BASE64_STANDARD.encode(rdata)).collect()
}

fn check_number(resources: usize, parameter: &'static str) -> Result<(), Error> {
    if resources <= super::MOST_ITEMS {
        return Ok(());
    }
    Err(Error::bad_value(parameter, format_args!("a plan has at most {} resources", super::MOST_ITEMS)))
}

fn check_zone(id: u32, zone: &Zone, zone_id: u32, apex: &str, parameter: &'static str) -> Result<(), Error> {
    if zone.id.get() == zone_id {
        return Ok(());
    }
    let reason = format!("resource {id} is in {} and not in {apex}: a plan is about one zone", zone.apex);
    Err(Error::bad_value(parameter, reason))
}

fn check_texts(name: &str, note: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(Error::bad_value("name", "it has 1 to 255 bytes and no control characters"));
    }
    if note.len() > LONGEST_NOTE || note.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Error::bad_value("note", "it has at most 4096 bytes, and no control characters but ends of lines"));
    }
    Ok(())
}

/// The plan as exports need it. Fails if something in it must not be removed.
pub(super) fn prepared(plan: &Plan, label: &dyn Fn(u32) -> Option<String>) -> Result<retirement::Plan, Error> {
    prepared_for(plan, label, "resource_ids")
}

/// The same, with the parameter that is at fault if it fails.
fn prepared_for(plan: &Plan, label: &dyn Fn(u32) -> Option<String>, parameter: &'static str) -> Result<retirement::Plan, Error> {
    let zone = Name::from_text(&plan.zone).map_err(|error| Error::Fault(error.to_string()))?;
    let rrsets = plan.items.iter().map(|item| item.rrset(label(item.resource_id))).collect::<Result<_, _>>()?;
    retirement::Plan::new(zone, rrsets, plan.lowered_ttl).map_err(|error| Error::bad_value(parameter, error))
}
