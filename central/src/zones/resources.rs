//! Resources: what operators say of them, and their rows.

use super::Zones;
use super::columns::{batch, instants, numbers, of_zones, texts};
use crate::Error;
use crate::rights::Caller;
use crate::time::now_ms;
use arrow::record_batch::RecordBatch;
use std::ops::ControlFlow;
use zonepulse_catalogue::{Name, rdata};
use zonepulse_dns::RecordType;
use zonepulse_model::ResourceId;
use zonepulse_query::{Answer, Column, HostPattern, Listed};
use zonepulse_store::{Labelled, Protection, Resource, ResourceNote, Zone};

/// Rows of a batch.
const BATCH_ROWS: usize = 4096;

/// Changes to what is said of a resource; absent ones leave the value unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceChange {
    /// Its id in another system.
    pub label: Option<String>,
    /// What is to be remembered about it.
    pub note: Option<String>,
    /// Whether it may be called unused.
    pub protection: Option<Protection>,
}

/// Labels by owner and type.
pub type Labels = Vec<(String, RecordType, String)>;

/// Which resources a question is about. The parts are joined by *and*, the values of a part by *or*.
#[derive(Debug, Clone, Default)]
pub struct ResourceFilter {
    /// Zones by apex, in all views.
    pub zones: Vec<Name>,
    /// Owners, exact or with `*`.
    pub hosts: Vec<HostPattern>,
    /// Types.
    pub types: Vec<RecordType>,
    /// Labels.
    pub labels: Vec<String>,
    /// Only removed ones, or only those that are present; both if not said.
    pub removed: Option<bool>,
    /// By id.
    pub resource_ids: Vec<u64>,
}

/// A resource as a row.
struct Row {
    zone: usize,
    resource_id: ResourceId,
    owner: String,
    rtype: RecordType,
    ttl: u32,
    data: String,
    created_ms: Option<u64>,
    removed_ms: Option<u64>,
    note: ResourceNote,
}

impl Zones {
    /// Changes what is said of a resource.
    pub fn change_resource(&self, caller: &Caller, id: u32, change: ResourceChange) -> Result<(), Error> {
        let catalogue = self.store.catalogue().by(caller.actor(now_ms()));
        catalogue.change_note(ResourceId::new(id), |note| {
            let ResourceChange { label, note: text, protection } = change;
            label.into_iter().for_each(|label| note.label = label);
            text.into_iter().for_each(|text| note.note = text);
            protection.into_iter().for_each(|protection| note.protection = protection);
            Ok::<_, Error>(())
        })?;
        Ok(())
    }

    /// Sets labels by owner and type, in all zones that have them.
    pub fn set_labels(&self, caller: &Caller, labels: &Labels) -> Result<Labelled, Error> {
        let catalogue = self.store.catalogue().by(caller.actor(now_ms()));
        let rows = labels.iter().map(|(owner, rtype, label)| (owner.as_str(), *rtype, label.as_str()));
        Ok(catalogue.set_labels(None, rows)?)
    }

    /// A page of the resources, by zone, then in canonical order.
    pub fn resources(&self, filter: &ResourceFilter, offset: u64, limit: u64) -> Result<Answer, Error> {
        let columns = Listed::Resources.columns();
        let (mut batches, mut total) = (Vec::new(), 0u64);
        let mut rows = Vec::new();
        let zones = self.list()?;
        self.visit(&zones, filter, &mut |row| {
            if total >= offset && total - offset < limit {
                rows.push(row());
            }
            total += 1;
            ControlFlow::Continue(())
        })?;
        for rows in rows.chunks(BATCH_ROWS) {
            batches.push(rows_of(columns, &zones, rows)?);
        }
        Ok(Answer { batches, schema: Listed::Resources.schema_of(columns), total })
    }

    /// All resources, removed ones included.
    pub(crate) fn all_resources(
        &self,
        columns: &[Column],
        each: &mut dyn FnMut(RecordBatch) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let zones = self.list()?;
        let (mut rows, mut failed) = (Vec::new(), None);
        self.visit(&zones, &ResourceFilter::default(), &mut |row| {
            rows.push(row());
            if rows.len() < BATCH_ROWS {
                return ControlFlow::Continue(());
            }
            match rows_of(columns, &zones, &std::mem::take(&mut rows)) {
                Ok(batch) => each(batch),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        let _ = each(rows_of(columns, &zones, &rows)?);
        Ok(())
    }

    /// Visits resources; `each` makes the row if it wants it.
    fn visit(
        &self,
        zones: &[Zone],
        filter: &ResourceFilter,
        each: &mut dyn FnMut(&dyn Fn() -> Row) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let catalogue = self.store.catalogue();
        let mut notes = std::collections::HashMap::new();
        catalogue.notes(&mut |id, note| drop(notes.insert(id, note)))?;
        let mut ids = filter.resource_ids.clone();
        ids.sort_unstable();
        let (mut scratch, mut gone) = (Vec::new(), false);
        for (at, zone) in zones.iter().enumerate() {
            let apex = super::import::apex(zone)?;
            if gone || !filter.zones.is_empty() && !filter.zones.contains(&apex) {
                continue;
            }
            let first_ms = super::Remembered::of(zone).first_loaded_ms.unwrap_or(0);
            catalogue.visit_from(zone.id, None, &mut |resource| {
                let owner = Name::from_key(resource.owner).unwrap_or_else(Name::root).to_string();
                let note = notes.get(&resource.resource_id);
                let label = note.map_or("", |note| note.label.as_str());
                let is_wanted = filter.removed.is_none_or(|removed| resource.removed_ms.is_some() == removed)
                    && (filter.types.is_empty() || filter.types.contains(&resource.rtype))
                    && (filter.labels.is_empty() || filter.labels.iter().any(|wanted| wanted == label))
                    && (ids.is_empty() || ids.binary_search(&resource.resource_id.get().into()).is_ok())
                    && (filter.hosts.is_empty() || filter.hosts.iter().any(|host| host.matches(&owner, &mut scratch)));
                if !is_wanted {
                    return ControlFlow::Continue(());
                }
                let flow = each(&|| row(at, resource, owner.clone(), note.cloned().unwrap_or_default(), first_ms));
                gone = flow.is_break();
                flow
            })?;
        }
        Ok(())
    }
}

fn row(zone: usize, resource: &Resource<'_>, owner: String, note: ResourceNote, first_ms: u64) -> Row {
    let data: Vec<String> = resource.rdatas.clone().map(|rdata| rdata::to_text(resource.rtype, rdata)).collect();
    Row {
        zone,
        resource_id: resource.resource_id,
        owner,
        rtype: resource.rtype,
        ttl: resource.ttl,
        data: data.join("\n"),
        created_ms: (resource.created_ms > first_ms).then_some(resource.created_ms),
        removed_ms: resource.removed_ms,
        note,
    }
}

fn rows_of(columns: &[Column], zones: &[Zone], rows: &[Row]) -> Result<RecordBatch, Error> {
    batch(Listed::Resources, columns, rows.len(), |column| {
        Some(match column {
            Column::ResourceId => numbers(rows.iter().map(|row| Some(row.resource_id.get().into()))),
            Column::Label => texts(rows.iter().map(|row| Some(row.note.label.clone()))),
            Column::ZoneId | Column::Zone | Column::View => of_zones(column, rows.iter().map(|row| zones.get(row.zone)))?,
            Column::Host => texts(rows.iter().map(|row| Some(row.owner.clone()))),
            Column::Type => texts(rows.iter().map(|row| Some(row.rtype.to_string()))),
            Column::Ttl => numbers(rows.iter().map(|row| Some(row.ttl.into()))),
            Column::Data => texts(rows.iter().map(|row| Some(row.data.clone()))),
            Column::Created => instants(rows.iter().map(|row| row.created_ms.map(|at_ms| at_ms as i64))),
            Column::Removed => instants(rows.iter().map(|row| row.removed_ms.map(|at_ms| at_ms as i64))),
            Column::Protection => texts(rows.iter().map(|row| match row.note.protection {
                Protection::None => None,
                Protection::Protect => Some("protect".to_owned()),
                Protection::Allow => Some("allow".to_owned()),
            })),
            Column::Note => texts(rows.iter().map(|row| Some(row.note.note.clone()).filter(|note| !note.is_empty()))),
            _ => return None,
        })
    })
}
