//! The arguments of calls about the catalogue.

use super::groups::{
    Confirmation, Escaping, ExportSelection, OptionalSlice, Range, ResourceSelection, ServerSelection, Slice, VerdictSelection,
};
use super::parameters::past;
use super::query_string::Pairs;
use crate::http::answer::problem::Problem;
use axum::http::Uri;
use zonepulse_catalogue::verdict::Window;
use zonepulse_central::verdicts::{DEFAULT_WINDOW_MS, Filter, Order};
use zonepulse_central::zones::ResourceFilter;
use zonepulse_query::Now;

/// The arguments of `GET /monitoring/dns/verdicts`.
#[derive(Debug)]
pub struct Verdicts {
    /// The period, and the constants of the rules.
    pub window: Window,
    /// Which verdicts.
    pub filter: Filter,
    /// In which order.
    pub order: Order,
    /// Which rows.
    pub slice: OptionalSlice,
}

impl Verdicts {
    /// Reads a request's URI. The window ends at `now`.
    pub fn read(uri: &Uri, now: Now) -> Result<Self, Problem> {
        let pairs = Pairs::read(uri, &[VerdictSelection::NAMES, OptionalSlice::NAMES, Escaping::NAMES])?;
        let selection = VerdictSelection::read(&pairs)?;
        let length_ms = selection.not_accessed_for.unwrap_or(DEFAULT_WINDOW_MS);
        let mut window = Window::new(now.ms() as i64, length_ms as i64);
        window.grace_ms = selection.grace.map_or(window.grace_ms, |grace_ms| grace_ms as i64);
        window.margin_ms = selection.margin.map_or(window.margin_ms, |margin_ms| margin_ms as i64);
        let VerdictSelection { zone, host, record_type, verdict, resource_id, order, .. } = selection;
        let filter = Filter { zones: zone, hosts: host, types: record_type, verdicts: verdict, resource_ids: resource_id };
        Ok(Verdicts { window, filter, order, slice: OptionalSlice::read(&pairs)? })
    }
}

/// The arguments of `GET /monitoring/dns/observation`.
#[derive(Debug)]
pub struct Observation {
    /// Which servers; empty for all.
    pub servers: Vec<u32>,
    /// The time range, Unix milliseconds.
    pub range_ms: (u64, u64),
    /// Which rows.
    pub slice: Slice,
}

impl Observation {
    /// Reads a request's URI. Times are relative to `now`.
    pub fn read(uri: &Uri, now: Now) -> Result<Self, Problem> {
        let pairs = Pairs::read(uri, &[ServerSelection::NAMES, Range::NAMES, Slice::NAMES, Escaping::NAMES])?;
        let range = past(&pairs, now)?;
        let until_ms = range.until_ms.unwrap_or_else(|| now.ms());
        Ok(Observation {
            servers: ServerSelection::read(&pairs)?.server_id,
            range_ms: (range.from_ms.unwrap_or_else(|| until_ms.saturating_sub(DEFAULT_WINDOW_MS)), until_ms),
            slice: Slice::read(&pairs)?,
        })
    }
}

/// The arguments of `GET /resources`.
pub fn resources(uri: &Uri) -> Result<(ResourceFilter, Slice), Problem> {
    let pairs = Pairs::read(uri, &[ResourceSelection::NAMES, Slice::NAMES, Escaping::NAMES])?;
    let ResourceSelection { zone, host, record_type, label, resource_id, removed } = ResourceSelection::read(&pairs)?;
    let filter = ResourceFilter {
        zones: zone,
        hosts: host,
        types: record_type,
        labels: label,
        removed: Some(removed),
        resource_ids: resource_id,
    };
    Ok((filter, Slice::read(&pairs)?))
}

/// Whether much may be removed.
pub fn confirmation(uri: &Uri) -> Result<bool, Problem> {
    Ok(Confirmation::read(&Pairs::read(uri, &[Confirmation::NAMES])?)?.confirm)
}

/// What is exported of a plan.
pub fn export(uri: &Uri) -> Result<ExportSelection, Problem> {
    ExportSelection::read(&Pairs::read(uri, &[ExportSelection::NAMES])?)
}
