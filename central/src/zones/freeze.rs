//! Freezing credits before zones change.

use super::{Current, named};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use zonepulse_catalogue::set::{Slot, ZoneIndex, ZoneSet};
use zonepulse_catalogue::usage::{Credit as Way, Crediting, Usage};
use zonepulse_catalogue::{Name, RrsetRef};
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_model::{IdSet, RecordId, ZoneId};
use zonepulse_store::Store;
use zonepulse_store::{Credit, UsageChange};

/// The records that were asked and credit something else after a change, with what they credited before.
pub(super) struct Affected {
    records: IdSet<RecordId>,
    before: Crediting,
}

/// Finds the records whose credits change with the contents of a zone.
pub(super) fn affected(store: &Store, before: &Current, after: &Current, apex: &Name) -> Affected {
    let (apex_text, mut leading) = (apex.to_string(), leading_to(before, apex));
    leading.extend(leading_to(after, apex));
    let mut found = Affected { records: IdSet::from([]), before: Crediting::default() };
    let mut records = Vec::new();
    store.totals_by_record(None, None, &mut |part| {
        let dictionary = store.dictionary();
        let asked = part.iter().filter(|total| total.kind == MessageKind::REQUEST).map(|total| total.record_id);
        let mut last = None;
        for record_id in asked {
            if last.replace(record_id) == Some(record_id) {
                continue;
            }
            let Some(question) = dictionary.get(record_id) else { continue };
            if leading.is_empty() && !question.0.ends_with(&apex_text) {
                continue;
            }
            let Some((name, rtype)) = named(question) else { continue };
            let starts = before.set.enclosing(&name, rtype);
            if starts.is_empty() {
                // A zone that is new to a record had no earlier version to credit.
                continue;
            }
            let leads = |start: &ZoneIndex| id(before, *start).is_some_and(|id| leading.contains(&id));
            if !name.is_at_or_below(apex) && !starts.iter().any(leads) {
                continue;
            }
            if credits(before, &name, rtype) != credits(after, &name, rtype) {
                found.before.credit(record_id.get(), &name, rtype, &before.set);
                records.push(record_id);
            }
        }
        ControlFlow::Continue(())
    });
    found.records = IdSet::from(records);
    found
}

/// The other zones from which aliases lead into the zone with this apex, directly or through others.
fn leading_to(current: &Current, apex: &Name) -> BTreeSet<ZoneId> {
    // Aliases that leave their zone: that zone, the target, and whether it stands for all names below it.
    let mut aliases: Vec<(ZoneIndex, Name, bool)> = Vec::new();
    for (zone, entry) in current.set.zones() {
        for rrset in entry.zone.iter().filter(|rrset| matches!(rrset.rtype(), RecordType::CNAME | RecordType::DNAME)) {
            let is_dname = rrset.rtype() == RecordType::DNAME;
            let targets = rrset.rdatas().filter_map(Name::from_wire);
            let leaves = |target: &Name| is_dname || current.set.enclosing(target, rrset.rtype()).first() != Some(&zone);
            aliases.extend(targets.filter(leaves).map(|target| (zone, target, is_dname)));
        }
    }
    let (mut leading, mut apexes) = (BTreeSet::new(), vec![apex.clone()]);
    while let Some(apex) = apexes.pop() {
        for (zone, target, is_dname) in &aliases {
            let leads = target.is_at_or_below(&apex) || *is_dname && apex.is_at_or_below(target);
            if leads
                && let Some((id, entry)) = id(current, *zone).zip(current.set.entry(*zone))
                && leading.insert(id)
            {
                apexes.push(entry.zone.apex().clone());
            }
        }
    }
    leading
}

fn id(current: &Current, zone: ZoneIndex) -> Option<ZoneId> {
    current.zones.get(zone.0 as usize).map(|loaded| loaded.row.id)
}

/// What to freeze: what the affected records credited so far.
pub(super) fn usage(store: &Store, before: &Current, affected: &Affected, now_ms: u64) -> UsageChange {
    if affected.records.is_empty() {
        return UsageChange::default();
    }
    let resources = store.resources();
    let mut usage = Usage::new(before.set.len());
    store.totals_by_record(None, Some(&affected.records), &mut |part| {
        for total in part.iter().filter(|total| total.kind == MessageKind::REQUEST) {
            let from_ms = resources.counts_from_ms(total.record_id);
            if total.last_ms < from_ms {
                continue;
            }
            let ways = affected.before.get(total.record_id.get()).unwrap_or_default();
            let (first_ms, last_ms) = (total.first_ms.max(from_ms) as i64, total.last_ms as i64);
            usage.add_asked(ways, &before.set, total.server_id.get(), first_ms, last_ms, total.hits);
        }
        ControlFlow::Continue(())
    });
    UsageChange {
        credits: credits_of(&usage, before),
        counts_from: affected.records.iter().map(|record_id| (*record_id, now_ms)).collect(),
    }
}

/// Usage as credits of resources.
pub(super) fn credits_of(usage: &Usage, current: &Current) -> Vec<(zonepulse_model::ResourceId, Credit)> {
    let used = (0..usage.len() as u32).filter_map(Slot::new).filter_map(|slot| Some((slot, usage.get(slot)?)));
    let credit = |(slot, used): (Slot, zonepulse_catalogue::usage::Used)| {
        let (_, _, resource_id) = current.resource(slot)?;
        let roles = used.vias.iter().fold(0, |roles, via| roles | via as u8);
        let time = |time_ms: i64| time_ms.max(0) as u64;
        Some((resource_id, Credit { first_ms: time(used.first_ms), last_ms: time(used.last_ms), roles }))
    };
    used.filter_map(credit).collect()
}

/// RRsets by the zone in which the lookup begins, with the ways in which they are reached; `None` for nothing.
type Credits = BTreeMap<(ZoneId, Option<(ZoneId, Name, RecordType)>), u8>;

/// What a query credits, in terms that do not depend on the version of the zones.
fn credits(current: &Current, name: &Name, rtype: RecordType) -> Credits {
    let mut crediting = Crediting::default();
    let ways = crediting.credit(0, name, rtype, &current.set);
    let mut credits = BTreeMap::new();
    for Way { start, slot, via } in ways {
        let located = slot.and_then(|slot| located(&current.set, slot));
        let place = located.and_then(|(zone, rrset)| Some((id(current, zone)?, rrset.owner(), rrset.rtype())));
        if let Some(start) = id(current, *start) {
            *credits.entry((start, place)).or_insert(0) |= *via as u8;
        }
    }
    credits
}

fn located(set: &ZoneSet, slot: Slot) -> Option<(ZoneIndex, RrsetRef<'_>)> {
    set.locate(slot)
}
