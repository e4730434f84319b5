//! What of each zone was observed: the ledgers of the servers that serve it.

use crate::Error;
use crate::zones::Current;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};
use zonepulse_catalogue::verdict::{Missing, ServerObservation, Why, Window, ZoneObservation};
use zonepulse_model::ServerId;
use zonepulse_store::{Period, Reasons, Unobserved};
use zonepulse_store::{Server, Store};

/// The ledgers of all servers over a window.
pub(super) struct Observations<'a> {
    store: &'a Store,
    range_ms: Range<u64>,
    servers: BTreeMap<ServerId, OfServer>,
}

struct OfServer {
    server: Server,
    observation: ServerObservation,
    /// Zones of which names were folded at some time.
    folded: BTreeSet<String>,
}

impl<'a> Observations<'a> {
    /// Reads them. Removed servers serve nothing any more.
    pub(super) fn read(store: &'a Store, window: &Window) -> Result<Self, Error> {
        let mut servers = BTreeMap::new();
        let range_ms = window.start_ms().max(0) as u64..window.now_ms.max(0) as u64;
        for server in store.registry().servers()?.into_iter().filter(|server| !server.is_removed()) {
            let observation = observed(store, &server, &range_ms, None)?;
            let folded = store.folded_zones(server.id)?;
            servers.insert(server.id, OfServer { server, observation, folded });
        }
        Ok(Observations { store, range_ms, servers })
    }

    /// What was observed of each zone, in their order.
    pub(super) fn of_zones(&self, current: &Current) -> Result<Vec<ZoneObservation>, Error> {
        let mut observed = Vec::with_capacity(current.zones.len());
        for loaded in &current.zones {
            let row = &loaded.row;
            let serves = |id: &ServerId| row.servers.is_empty() || row.servers.binary_search(id).is_ok();
            let servers = self.servers.iter().filter(|(id, _)| serves(id)).map(|(_, server)| self.of_zone(server, &row.apex));
            observed.push(ZoneObservation {
                servers: servers.collect::<Result<_, _>>()?,
                others_serve_it: row.others_serve_it,
                others_waived: row.others_waived,
            });
        }
        Ok(observed)
    }

    /// With the folds of a zone and those above it.
    fn of_zone(&self, of: &OfServer, apex: &str) -> Result<ServerObservation, Error> {
        if !of.folded.iter().any(|zone| is_at_or_above(zone, apex)) {
            return Ok(of.observation.clone());
        }
        observed(self.store, &of.server, &self.range_ms, Some(apex))
    }
}

fn observed(store: &Store, server: &Server, range_ms: &Range<u64>, zone: Option<&str>) -> Result<ServerObservation, Error> {
    let periods = store.ledger(server.id, range_ms.clone(), zone)?;
    let begins_with_gap = periods.first().is_some_and(|period| is_gap(period.why));
    let is_first = begins_with_gap && !is_known_before(store, server, range_ms.start)?;
    Ok(observation(server, &periods, is_first))
}

/// Whether a server has reported anything about the time before this.
fn is_known_before(store: &Store, server: &Server, time_ms: u64) -> Result<bool, Error> {
    let mut known = false;
    store.visit_ledger(server.id, 0..time_ms, None, &mut |period| {
        known |= !is_gap(period.why);
        if known { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(known)
}

/// Whether a zone is `apex` or above it; both are canonical texts.
fn is_at_or_above(zone: &str, apex: &str) -> bool {
    zone == "." || apex.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// `is_first` says that nothing is known of the server before these periods.
fn observation(server: &Server, periods: &[Period], is_first: bool) -> ServerObservation {
    let reported = periods.iter().rev().find(|period| !is_gap(period.why));
    let reported_until_ms = reported.map(|period| period.until_ms as i64);
    // What lies behind the last report is judged by its age.
    let is_missing =
        |period: &&Period| !period.why.is_empty() && reported_until_ms.is_none_or(|until_ms| (period.from_ms as i64) < until_ms);
    let mut missing: Vec<Missing> = periods.iter().filter(is_missing).map(missing).collect();
    // It may have answered before it was managed; only nobody saw what.
    if is_first
        && let Some(first) = missing.first_mut()
        && periods.first().is_some_and(|period| period.from_ms as i64 == first.from_ms)
    {
        // Also before the earliest time that the ledger could know.
        (first.why, first.from_ms) = (Why::NotYet, i64::MIN);
    }
    // A sample reports nothing any more; it stands for a server to which nothing happened since.
    let reported_until_ms = match periods.last() {
        Some(last) if server.sample => reported_until_ms.map(|_| last.until_ms as i64),
        _ => reported_until_ms,
    };
    ServerObservation { name: server.name.clone(), missing, reported_until_ms }
}

fn is_gap(why: Reasons) -> bool {
    why.has(Unobserved::Gap)
}

fn missing(period: &Period) -> Missing {
    let (from_ms, to_ms) = (period.from_ms as i64, period.until_ms as i64);
    Missing { from_ms, to_ms, why: why(period.why) }
}

/// The first reason: the most serious ones have the lowest numbers.
fn why(reasons: Reasons) -> Why {
    match reasons.iter().next() {
        Some(Unobserved::Gap) | None => Why::Gap,
        Some(Unobserved::KernelDrop) => Why::KernelDrop,
        Some(Unobserved::InterfaceDrop) => Why::InterfaceDrop,
        Some(Unobserved::Evicted) => Why::Evicted,
        Some(Unobserved::Unreadable) => Why::Unreadable,
        Some(Unobserved::Folded) => Why::Folded,
        Some(Unobserved::Restored) => Why::Other("the store was restored from a backup".to_owned()),
        Some(other) => Why::Other(other.as_str().replace('_', " ")),
    }
}
