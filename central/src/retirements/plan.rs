//! A plan: its resources, and how far each got.

use crate::Error;
use crate::rights::Caller;
use crate::zones::Current;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zonepulse_catalogue::retirement::{self, Rrset};
use zonepulse_catalogue::{Name, RrsetIndex};
use zonepulse_dns::RecordType;
use zonepulse_model::ResourceId;
use zonepulse_store::Plan as Stored;

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
    /// How far its resources got.
    pub stage: Option<Stage>,
    /// Which resources the stage is about; all if not said.
    pub resource_ids: Option<Vec<u32>>,
}

impl Item {
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
        let Some(stage) = change.stage else { return Ok(Value::Object(told)) };
        if let Some(ids) = &change.resource_ids
            && let Some(unknown) = ids.iter().find(|id| self.items.iter().all(|item| item.resource_id != **id))
        {
            return Err(Error::bad_value("resource_ids", format_args!("the plan does not have resource {unknown}")));
        }
        let mut moved = 0;
        for item in &mut self.items {
            if change.resource_ids.as_ref().is_some_and(|ids| !ids.contains(&item.resource_id)) || item.stage == stage {
                continue;
            }
            if !item.stage.leads_to(stage) {
                let (is, next) = (item.stage.exported().as_str(), stage.exported().as_str());
                let reason = format!("{} {} is {is}, which is not followed by {next}", item.host, item.rtype);
                return Err(Error::bad_value("stage", reason));
            }
            if stage == Stage::Marked {
                // A resource that is marked again is planned as it is now.
                let (rrset, _) = found(current, item.resource_id)?;
                (item.ttl, item.rdatas) = (rrset.ttl(), rrset.rdatas().map(|rdata| BASE64_STANDARD.encode(rdata)).collect());
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
}

/// Makes a plan.
pub(super) fn made(current: &Current, new: NewPlan, caller: &Caller, now_ms: u64) -> Result<Plan, Error> {
    check_texts(&new.name, &new.note)?;
    if new.resource_ids.is_empty() {
        return Err(Error::bad_value("resource_ids", "a plan has at least one resource"));
    }
    if new.resource_ids.len() > super::MOST_ITEMS {
        return Err(Error::bad_value("resource_ids", format_args!("a plan has at most {} resources", super::MOST_ITEMS)));
    }
    let lowered_ttl = new.lowered_ttl.unwrap_or(LOWERED_TTL);
    let (mut items, mut zone) = (Vec::new(), None);
    for id in &new.resource_ids {
        let (rrset, row) = found(current, *id)?;
        let (zone_id, apex) = zone.get_or_insert_with(|| (row.id.get(), row.apex.clone()));
        if *zone_id != row.id.get() {
            let reason = format!("resource {id} is in {} and not in {apex}: a plan is about one zone", row.apex);
            return Err(Error::bad_value("resource_ids", reason));
        }
        items.push(Item {
            resource_id: *id,
            host: rrset.owner().to_string(),
            rtype: rrset.rtype().to_string(),
            ttl: rrset.ttl(),
            rdatas: rrset.rdatas().map(|rdata| BASE64_STANDARD.encode(rdata)).collect(),
            stage: Stage::Marked,
            marked_ms: now_ms,
            stage_ms: now_ms,
            alerted_ms: None,
        });
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

fn found(current: &Current, id: u32) -> Result<(zonepulse_catalogue::RrsetRef<'_>, &zonepulse_store::Zone), Error> {
    let missing = || Error::bad_value("resource_ids", format_args!("there is no resource {id}, or it is not in its zone now"));
    let slot = current.slot(ResourceId::new(id)).ok_or_else(missing)?;
    let (loaded, index, _): (_, RrsetIndex, _) = current.resource(slot).ok_or_else(missing)?;
    Ok((loaded.contents.zone.rrset(index).ok_or_else(missing)?, &loaded.row))
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
    let zone = Name::from_text(&plan.zone).map_err(|error| Error::Fault(error.to_string()))?;
    let rrsets = plan.items.iter().map(|item| item.rrset(label(item.resource_id))).collect::<Result<_, _>>()?;
    retirement::Plan::new(zone, rrsets, plan.lowered_ttl).map_err(|error| Error::bad_value("resource_ids", error))
}
