//! Retirement plans: JSON that the central defines.

use super::Catalogue;
use crate::Error;
use crate::database::key;
use serde_json::Value;
use zonepulse_model::RetirementId;

pub(super) const PLANS: &[u8] = b"retirement/";
/// The largest number ever assigned to a plan.
pub(crate) const LAST_ID: &[u8] = b"last_retirement_id";
/// Maximum number of plans.
const MOST_PLANS: usize = if cfg!(test) { 5 } else { 10_000 };
/// Maximum size of a plan, in bytes.
const MAX_PLAN_BYTES: usize = 32 << 20;

/// A retirement plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Its number; not 0.
    pub id: RetirementId,
    /// What it says.
    pub plan: Value,
}

impl Catalogue<'_> {
    /// All plans, by id.
    pub fn plans(&self) -> Result<Vec<Plan>, Error> {
        let mut found = Vec::new();
        crate::registry::all(&self.inner.database, PLANS, |key, value| {
            let id = key.get(PLANS.len()..).and_then(|id| key::u32_at(id, 0)).ok_or_else(|| Error::damaged("plan", key))?;
            found.push(Plan { id: RetirementId::new(id), plan: crate::registry::parse(key, value)? });
            Ok(())
        })?;
        Ok(found)
    }

    /// A plan by its id.
    pub fn plan(&self, id: RetirementId) -> Result<Option<Plan>, Error> {
        Ok(self.registry.one(&plan_key(id))?.map(|plan| Plan { id, plan }))
    }

    /// Stores a plan under the next id. `told` is what the audit log says about it.
    pub fn add_plan(&self, plan: &Value, told: &Value) -> Result<Plan, Error> {
        let mut work = self.registry.change();
        let (count, highest) = self.count_plans()?;
        if count >= MOST_PLANS {
            return Err(Error::TooMany("retirement plans", MOST_PLANS));
        }
        let given = self.inner.database.get("default", LAST_ID)?.and_then(|value| key::u32_at(&value, 0)).unwrap_or_default();
        let last = RetirementId::new(given).max(highest);
        let id = last.next().ok_or(Error::TooMany("numbers of plans", u32::MAX as usize))?;
        check_size(plan)?;
        work.batch.put(LAST_ID, id.to_be_bytes());
        work.put(&plan_key(id), plan)?;
        work.audit("retirement.create", &title(id), &Value::Null, told)?;
        let (_alone, batch) = work.into_parts();
        self.inner.database.write(batch, true)?;
        self.inner.change_resources(|_| ());
        Ok(Plan { id, plan: plan.clone() })
    }

    /// Changes a plan; `action` is its name in the audit log, which says what `change` returns.
    pub fn change_plan<E: From<Error>>(
        &self,
        id: RetirementId,
        action: &str,
        change: impl FnOnce(&mut Value) -> Result<Value, E>,
    ) -> Result<Plan, E> {
        let mut work = self.registry.change();
        let before = self.plan(id)?.ok_or_else(|| missing(id))?;
        let mut after = before.clone();
        let told = change(&mut after.plan)?;
        if after == before {
            return Ok(after);
        }
        check_size(&after.plan)?;
        work.put(&plan_key(id), &after.plan)?;
        work.audit(action, &title(id), &Value::Null, &told)?;
        let (_alone, batch) = work.into_parts();
        self.inner.database.write(batch, true).map_err(E::from)?;
        self.inner.change_resources(|_| ());
        Ok(after)
    }

    /// Notes something in a plan that is no operator's change, so the audit log says nothing of it.
    pub fn note_plan<E: From<Error>>(&self, id: RetirementId, edit: impl FnOnce(&mut Value) -> Result<(), E>) -> Result<(), E> {
        let mut work = self.registry.change();
        let mut plan = self.plan(id)?.ok_or_else(|| missing(id))?;
        edit(&mut plan.plan)?;
        check_size(&plan.plan)?;
        work.put(&plan_key(id), &plan.plan)?;
        let (_alone, batch) = work.into_parts();
        self.inner.database.write(batch, true).map_err(E::from)
    }

    /// Removes a plan. `told` is what the audit log says about it.
    pub fn remove_plan(&self, id: RetirementId, told: &Value) -> Result<(), Error> {
        let mut work = self.registry.change();
        self.plan(id)?.ok_or_else(|| missing(id))?;
        work.batch.delete(plan_key(id));
        work.audit("retirement.remove", &title(id), told, &Value::Null)?;
        let (_alone, batch) = work.into_parts();
        self.inner.database.write(batch, true)?;
        self.inner.change_resources(|_| ());
        Ok(())
    }

    /// Number of plans, and the highest id, without reading the plans.
    fn count_plans(&self) -> Result<(usize, RetirementId), Error> {
        let (mut count, mut highest) = (0, RetirementId::MIN);
        crate::registry::all(&self.inner.database, PLANS, |key, _| {
            count += 1;
            highest = key.get(PLANS.len()..).and_then(|id| key::u32_at(id, 0)).map_or(highest, RetirementId::new);
            Ok(())
        })?;
        Ok((count, highest))
    }
}

fn check_size(plan: &Value) -> Result<(), Error> {
    let size_bytes = serde_json::to_vec(plan).map_or(usize::MAX, |json| json.len());
    if size_bytes > MAX_PLAN_BYTES {
        return Err(Error::bad_setting("plan", format!("it has at most {MAX_PLAN_BYTES} bytes")));
    }
    Ok(())
}

fn title(id: RetirementId) -> String {
    format!("retirement plan {id}")
}

fn missing(id: RetirementId) -> Error {
    Error::Missing("retirement plan", id.to_string())
}

fn plan_key(id: RetirementId) -> Vec<u8> {
    [PLANS, &id.to_be_bytes()[..]].concat()
}
