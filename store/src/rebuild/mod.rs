//! Rebuilding totals from the remaining points, and removing points with impossible times.
//!
//! A batch with a wrong time leaves three things behind: its points, which expire or lie in the future, and,
//! permanently, a first or last access for each of its records. A rebuild changes totals as follows:
//!
//! * **Hits** stay, because they were counted. They are the sum of the points if nothing has expired yet; otherwise
//!   their previous value, minus the hits of dropped points.
//! * **The last access** is that of the latest point. The previous value is kept if it agrees, because it is more
//!   precise.
//! * **The first access** is the start of the earliest point's interval, since points do not store it more precisely.
//!   The previous value is kept if it lies within that interval, or in a believed time whose points have expired.
//! * If all points of a record have expired and a time is not believed, the last access is set to the end of the
//!   expired time, which it cannot be later than, and so is the first access if it is not believed either.
//!
//! Points are dropped by whole hours of a server, along with the reports, roll-ups and metrics of those hours,
//! because the fault lies in the clock that a batch was timed by. Their markers stay, so that a copy of such a batch
//! is still recognised as a duplicate. The number of dropped reports is stored, because every batch otherwise has
//! one, and `check` counts them. In the observation ledger, the time of dropped hours becomes a gap, even if their
//! reports have expired.
//!
//! For each server, all of this is a single write, including its entry in the audit log.

mod kept;

use crate::database::key;
use crate::engine::{DNS, METRICS, sealed};
use crate::ledger::cutting::Cut;
use crate::share::Counts;
use crate::totals::{Entry, Group, GroupKey, Total};
use crate::write::checkpoint::write_totals;
use crate::write::writer::Writer;
use crate::{Error, Inner, Level};
use kept::{Found, Kept, Of, Walk};
use rocksdb::WriteBatch;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Instant;
use zonepulse_dns::MessageKind;
use zonepulse_model::{IdSet, RecordId, ServerId};

/// What to rebuild.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuild {
    /// The server.
    pub server_id: ServerId,
    /// The records whose totals to rebuild, or all. Points are dropped only if it is all.
    pub records: Option<IdSet<RecordId>>,
    /// Drop points of hours that end by this time, Unix seconds.
    pub drop_before_s: Option<u64>,
    /// Drop points of hours that begin at this time or later, Unix seconds.
    pub drop_from_s: Option<u64>,
    /// First and last accesses outside this range are believed only if there are points for them, Unix milliseconds.
    pub believed_ms: Range<u64>,
    /// Plan only, without writing anything.
    pub dry_run: bool,
}

/// What a rebuild changed, or would change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Totals examined.
    pub totals: u64,
    /// Totals changed.
    pub changed: u64,
    /// Totals removed because all their points were dropped.
    pub removed: u64,
    /// Totals that still have points outside the believed time.
    pub unbelieved: u64,
    /// DNS batches whose points and reports were dropped.
    pub dropped_batches: u64,
    /// Hits of those points.
    pub dropped_hits: u64,
    /// Hours of metrics dropped, of the finest level available.
    pub dropped_metric_hours: u64,
    /// Time that the observation ledger has as covered, and that becomes a gap, milliseconds.
    pub uncovered_ms: u64,
    /// The changed totals, before and after, at most [`Rebuilt::MAX_TOLD`].
    pub changes: Vec<(Option<Total>, Option<Total>)>,
}

impl Rebuilt {
    /// Maximum number of changes listed individually.
    pub const MAX_TOLD: usize = 1000;

    /// Whether there is nothing to write.
    pub fn is_nothing(&self) -> bool {
        let batches = self.dropped_batches == 0 && self.dropped_metric_hours == 0 && self.uncovered_ms == 0;
        batches && self.changed == 0 && self.removed == 0
    }
}

impl Rebuild {
    /// Whether points of an hour are dropped.
    fn drops(&self, hour: u32) -> bool {
        let start_s = u64::from(hour) * 3600;
        self.drop_before_s.is_some_and(|time_s| start_s + 3600 <= time_s)
            || self.drop_from_s.is_some_and(|time_s| start_s >= time_s)
    }

    /// The time of the hours that are dropped, Unix milliseconds, in order.
    fn dropped_ms(&self) -> Vec<Range<u64>> {
        let ms = |hour: u64| hour.saturating_mul(3_600_000);
        let before = self.drop_before_s.map(|time_s| 0..ms(time_s / 3600));
        before.into_iter().chain(self.drop_from_s.map(|time_s| ms(time_s.div_ceil(3600))..u64::MAX)).collect()
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let drops = self.drop_before_s.is_some() || self.drop_from_s.is_some();
        if drops && self.records.is_some() {
            return Err(Error::bad_setting("records", "points are removed with those of all records: name none"));
        }
        let order = self.drop_before_s.zip(self.drop_from_s);
        if order.is_some_and(|(before_s, from_s)| before_s >= from_s) || self.believed_ms.is_empty() {
            return Err(Error::bad_setting("time", "nothing would be left: the first time has to lie before the second"));
        }
        Ok(())
    }
}

/// A rebuild that has been planned but not yet written.
pub(crate) struct Plan {
    pub(crate) rebuilt: Rebuilt,
    server_id: ServerId,
    groups: BTreeMap<GroupKey, Group>,
    found: Found,
    reports: Vec<Vec<u8>>,
    metric_hours: BTreeSet<(Level, u32)>,
    open_metric_hours: BTreeSet<u32>,
    cut: Cut,
}

/// Plans a rebuild. The caller must keep upkeep, sweeping and writers out.
pub(crate) fn plan(inner: &Inner, rebuild: &Rebuild) -> Result<Plan, Error> {
    let server_id = rebuild.server_id;
    let horizon = inner.expiry.read().horizon(server_id);
    let records: Option<BTreeSet<RecordId>> = rebuild.records.as_ref().map(|records| records.iter().copied().collect());
    let goes = |hour| rebuild.drops(hour);
    let walk = Walk { inner, server_id, horizon, records: records.as_ref(), goes: &goes, found: Found::default() };
    let found = walk.read()?;
    let mut plan = Plan {
        rebuilt: Rebuilt::default(),
        server_id,
        groups: BTreeMap::new(),
        found,
        reports: Vec::new(),
        metric_hours: BTreeSet::new(),
        open_metric_hours: BTreeSet::new(),
        cut: Cut::default(),
    };
    let gone_until_ms = u64::from(horizon.raw_hour.min(horizon.aggregate_hour)) * 3_600_000;
    plan.totals(inner, &Times { believed_ms: rebuild.believed_ms.clone(), gone_until_ms }, records.as_ref());
    if rebuild.drop_before_s.is_some() || rebuild.drop_from_s.is_some() {
        plan.reports(inner, &goes)?;
        plan.metrics(inner, &goes)?;
        plan.cut = Cut::plan(&inner.database, server_id, &rebuild.dropped_ms())?;
        plan.rebuilt.uncovered_ms = plan.cut.covered_ms;
    }
    Ok(plan)
}

impl Plan {
    fn totals(&mut self, inner: &Inner, times: &Times, records: Option<&BTreeSet<RecordId>>) {
        let server_id = self.server_id;
        let totals = inner.totals.read();
        let mut keys: BTreeSet<GroupKey> =
            totals.groups.range((server_id, 0, 0)..=(server_id, u16::MAX, u32::MAX)).map(|(key, _)| *key).collect();
        keys.extend(self.found.kept.keys().map(|(kind, record_id)| (server_id, *kind, key::group_of(*record_id))));
        for key in keys {
            let (_, kind, number) = key;
            let before: BTreeMap<u8, Entry> = totals.groups.get(&key).map(|group| group.iter().collect()).unwrap_or_default();
            let (first, last) = key::records(number).into_inner();
            let range = (kind, first)..=(kind, last);
            let with_points = self.found.kept.range(range).map(|((_, record_id), _)| key::low_of(*record_id));
            let lows: BTreeSet<u8> = before.keys().copied().chain(with_points).collect();
            let mut after = before.clone();
            for low in lows {
                let record_id = key::record_in(number, low);
                if records.is_none_or(|records| records.contains(&record_id)) {
                    self.total((kind, record_id), before.get(&low).copied(), times, &mut after);
                }
            }
            if after != before {
                self.groups.insert(key, Group::of(after.into_iter()));
            }
        }
    }

    fn total(&mut self, of: Of, before: Option<Entry>, times: &Times, group: &mut BTreeMap<u8, Entry>) {
        let kept = self.found.kept.get(&of);
        let dropped = self.found.dropped.get(&of).copied().unwrap_or(0);
        let after = rebuilt(before, kept, dropped, times);
        let rebuilt = &mut self.rebuilt;
        rebuilt.totals += 1;
        rebuilt.dropped_hits = rebuilt.dropped_hits.saturating_add(dropped);
        let believed = &times.believed_ms;
        let outside = |kept: &Kept| kept.first_ms.start < believed.start || *kept.last_ms.start() >= believed.end;
        rebuilt.unbelieved += u64::from(kept.is_some_and(outside));
        if after == before {
            return;
        }
        let low = key::low_of(of.1);
        match after {
            Some(entry) => {
                rebuilt.changed += 1;
                group.insert(low, entry);
            }
            None => {
                rebuilt.removed += 1;
                group.remove(&low);
            }
        }
        if rebuilt.changes.len() < Rebuilt::MAX_TOLD
            && let Some(kind) = MessageKind::from_number(of.0)
        {
            let (server_id, record_id) = (self.server_id, of.1);
            let total = |Entry { hits, first_ms, last_ms }| Total { server_id, record_id, kind, hits, first_ms, last_ms };
            rebuilt.changes.push((before.map(total), after.map(total)));
        }
    }

    /// Drops DNS reports of dropped hours. Reports of metrics stay: they cover no time and report evictions.
    fn reports(&mut self, inner: &Inner, goes: &dyn Fn(u32) -> bool) -> Result<(), Error> {
        let server_id = self.server_id;
        inner.database.visit(key::REPORTS, &key::report_prefix(server_id, 0), |found, value| {
            let (identity, start_s) = key::parse_report(found).ok_or_else(|| Error::damaged("report", found))?;
            let ours = identity.server_id == server_id;
            if ours && goes(key::hour(start_s)) && !crate::reports::report::SystemReport::is(value) {
                self.reports.push(found.to_vec());
            }
            Ok(ours)
        })?;
        self.rebuilt.dropped_batches = self.reports.len() as u64;
        Ok(())
    }

    fn metrics(&mut self, inner: &Inner, goes: &dyn Fn(u32) -> bool) -> Result<(), Error> {
        let server_id = self.server_id;
        for level in Level::ALL {
            let hours = sealed::hours(&inner.database, &METRICS, level, server_id)?;
            self.metric_hours.extend(hours.into_iter().filter(|hour| goes(*hour)).map(|hour| (level, hour)));
        }
        let waiting = inner.system.waiting.lock();
        let open = waiting.within(0..u32::MAX).filter(|(hour, of)| *of == server_id && goes(*hour));
        self.open_metric_hours = open.map(|(hour, _)| hour).collect();
        let hours: BTreeSet<u32> =
            self.metric_hours.iter().map(|(_, hour)| *hour).chain(self.open_metric_hours.iter().copied()).collect();
        self.rebuilt.dropped_metric_hours = hours.len() as u64;
        Ok(())
    }

    /// Writes the plan, along with the contents of `batch`. The journal must be empty: it lists blocks that are
    /// dropped.
    pub(crate) fn apply(self, inner: &Inner, writer: &mut Writer, mut batch: WriteBatch, now: Instant) -> Result<Rebuilt, Error> {
        let Plan { rebuilt, server_id, groups, found, reports, metric_hours, open_metric_hours, cut } = self;
        let (database, as_of) = (&inner.database, writer.last_commit());
        let totals = database.family(key::TOTALS);
        for ((_, kind, number), group) in &groups {
            let place = key::total(server_id, *kind, *number);
            if group.is_empty() {
                batch.delete_cf(totals, place);
            } else {
                batch.put_cf(totals, place, group.encode(as_of));
            }
        }
        let hours_of = [(&DNS, &found.open_hours, &found.sealed_hours), (&METRICS, &open_metric_hours, &metric_hours)];
        for (engine, open, sealed) in hours_of {
            for hour in open {
                let (from, until) = (key::open_prefix(*hour, server_id, 0), key::after_open(*hour, server_id));
                batch.delete_range_cf(database.family(engine.open), from, until);
            }
            for (level, hour) in sealed {
                let (from, until) = (key::sealed(*level, *hour, server_id, 0), key::after_sealed(*level, *hour, server_id));
                batch.delete_range_cf(database.family(engine.sealed), from, until);
            }
        }
        reports.iter().for_each(|report| batch.delete_cf(database.family(key::REPORTS), report));
        if !reports.is_empty() {
            let before = read_dropped(inner, server_id)?;
            batch.put(key::dropped(server_id), before.saturating_add(reports.len() as u64).to_be_bytes());
        }
        cut.put(database, &mut batch);
        {
            // Readers see open and sealed points from before or after this, never a mix.
            let _moving = inner.expiry.write();
            database.write(batch, true)?;
            inner.kept.lock().forget();
            inner.ledger.lock().changed([server_id]);
        }
        writer.ledger.forget(server_id);
        replace(inner, groups, as_of, now);
        for (engine, open, _) in hours_of {
            let mut waiting = engine.waiting(inner).lock();
            for hour in open {
                let count = waiting.count((*hour, server_id));
                waiting.taken((*hour, server_id), count);
            }
        }
        Ok(rebuilt)
    }
}

/// Applies the totals that are now on disk, and updates the server's share of them.
fn replace(inner: &Inner, groups: BTreeMap<GroupKey, Group>, as_of: u64, now: Instant) {
    let mut totals = inner.totals.write();
    let (mut less, mut more) = (Counts::new(), Counts::new());
    for (key, group) in &groups {
        let before = totals.groups.get(key).map_or(0, Group::len);
        *less.entry(key.0).or_default() += before.saturating_sub(group.len());
        *more.entry(key.0).or_default() += group.len().saturating_sub(before);
    }
    totals.replace(groups, as_of);
    drop(totals);
    let mut shares = inner.total_shares.lock();
    shares.release(less.values().sum(), &less);
    if more.values().any(|count| *count > 0) {
        shares.charge(&more, now);
    }
}

/// The number of reports of all servers that were dropped because of their times.
pub(crate) fn dropped_reports(inner: &Inner) -> Result<u64, Error> {
    let mut sum = 0u64;
    inner.database.visit("default", key::DROPPED, |found, value| {
        let ours = found.starts_with(key::DROPPED);
        if ours {
            sum = sum.saturating_add(key::u64_at(value, 0).ok_or_else(|| Error::damaged("dropped reports", found))?);
        }
        Ok(ours)
    })?;
    Ok(sum)
}

fn read_dropped(inner: &Inner, server_id: ServerId) -> Result<u64, Error> {
    let place = key::dropped(server_id);
    let value = inner.database.get("default", &place)?;
    value.map_or(Ok(0), |value| key::u64_at(&value, 0).ok_or_else(|| Error::damaged("dropped reports", &place)))
}

/// Makes everything that is only in memory durable, because the plan refers to it.
pub(crate) fn prepare(inner: &Inner, writer: &mut Writer) -> Result<(), Error> {
    write_totals(inner, writer)
}

/// Which times a total may have.
#[derive(Debug, Clone)]
struct Times {
    believed_ms: Range<u64>,
    /// Points before this time have expired; 0 if none have.
    gone_until_ms: u64,
}

impl Times {
    /// Whether a time may be right although no point supports it.
    fn may_have_expired(&self, time_ms: u64) -> bool {
        time_ms < self.gone_until_ms && self.believed_ms.contains(&time_ms)
    }
}

/// Rebuilds a total from its previous value and its points; `None` if nothing is left of it.
fn rebuilt(before: Option<Entry>, kept: Option<&Kept>, dropped_hits: u64, times: &Times) -> Option<Entry> {
    let kept_hits = kept.map_or(0, |kept| kept.hits);
    let hits = match before {
        Some(before) if times.gone_until_ms > 0 => before.hits.saturating_sub(dropped_hits).max(kept_hits),
        _ => kept_hits,
    };
    if hits == 0 {
        return None;
    }
    let (first_ms, last_ms) = match kept {
        Some(Kept { first_ms, last_ms, .. }) => {
            let first = before.map(|before| before.first_ms);
            let is_right =
                |time_ms: &u64| first_ms.contains(time_ms) || (*time_ms < first_ms.start && times.may_have_expired(*time_ms));
            let last = before.map(|before| before.last_ms).filter(|time_ms| last_ms.contains(time_ms));
            (first.filter(is_right).unwrap_or(first_ms.start), last.unwrap_or(*last_ms.start()))
        }
        None => {
            let Entry { first_ms, last_ms, .. } = before?;
            let latest_ms = times.gone_until_ms.min(times.believed_ms.end).saturating_sub(1).max(times.believed_ms.start);
            let last_ms = if times.may_have_expired(last_ms) { last_ms } else { latest_ms };
            (if times.may_have_expired(first_ms) { first_ms } else { last_ms }, last_ms)
        }
    };
    Some(Entry { hits, first_ms: first_ms.min(last_ms), last_ms })
}

#[cfg(test)]
mod tests;
