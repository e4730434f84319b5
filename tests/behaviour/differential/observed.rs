//! Which part of a step was observed, computed from the individual reports.

use super::answer::Cell;
use super::filters::Filter;
use super::model::{Model, Told};
use std::ops::Range;

/// Reports about steps that ended longer ago than this are not expected any more, seconds.
const DELIVERY_S: u64 = 30;

/// Columns that describe a row's step.
pub const MARKS: [&str; 3] = ["observed_servers", "servers", "open"];

/// Whether steps that end by then are complete: no report about them may still come, and no server
/// is expected to have reported, because all were registered a moment ago.
pub fn is_over(model: &Model, end_s: u64) -> bool {
    end_s.saturating_add(DELIVERY_S) <= model.now_s
}

/// How much of a step a server covered, milliseconds, and whether it observed all of it.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub server_id: u32,
    pub covered_ms: u64,
    pub observed: bool,
}

/// What the servers selected by a filter saw of a step.
pub fn seen(model: &Model, filter: &Filter, step: &Range<u64>) -> Vec<Seen> {
    let selected = model.servers.iter().map(|(id, _)| *id).filter(|id| filter.is_of_server(*id));
    selected.map(|id| of_server(model, id, step)).collect()
}

fn of_server(model: &Model, server_id: u32, step: &Range<u64>) -> Seen {
    let kept = model.told.iter().filter(|told| told.server_id == server_id && told.start_s >= model.rolled_up_from_s());
    let reports: Vec<&Told> = kept.filter(|told| told.start_s * 1000 < step.end && told.end_s() * 1000 > step.start).collect();
    let saw_something = |told: &&&Told| !told.points.is_empty() || told.blind_ms < told.covered_ms.1 - told.covered_ms.0;
    let covered_ms = union(step, reports.iter().filter(saw_something).map(|told| told.covered_ms));
    let clear_ms = union(step, reports.iter().filter(|told| told.blind_ms == 0).map(|told| told.covered_ms));
    Seen { server_id, covered_ms, observed: clear_ms == step.end - step.start }
}

/// How much of a step is covered by these time ranges, milliseconds.
fn union(step: &Range<u64>, stretches: impl Iterator<Item = (u64, u64)>) -> u64 {
    let mut stretches: Vec<(u64, u64)> = stretches.map(|(from, until)| (from.max(step.start), until.min(step.end))).collect();
    stretches.sort_unstable();
    let (mut sum, mut at) = (0, step.start);
    for (from, until) in stretches {
        sum += until.saturating_sub(from.max(at));
        at = at.max(until);
    }
    sum
}

/// The marks of a complete step, for all these servers or one of them.
pub fn marks(seen: &[Seen], only: Option<&Cell>) -> Vec<Cell> {
    let is_meant = |seen: &&Seen| only.is_none_or(|only| *only == Cell::from(u64::from(seen.server_id)));
    let count = |of: fn(&&Seen) -> bool| Cell::from(seen.iter().filter(is_meant).filter(of).count() as u64);
    vec![count(|seen| seen.observed), count(|seen| seen.covered_ms > 0), Cell::from(0u64)]
}
