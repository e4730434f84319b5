//! Totals made anew of the points that are kept, and points with impossible times taken out.
//!
//! A batch with a false time leaves three things behind: its points, which expire or lie in the future, and, for ever, a
//! first or a last access of each of its records. What a rebuild makes of a total:
//!
//! * **Hits** stay, because they were counted. They are the sum of the points where nothing has expired yet; else what
//!   they were, without those of points that go.
//! * **A last access** is that of the latest point. The total's own is kept where it is the same one, more exactly.
//! * **A first access** is the start of the earliest point's interval, which is all that points keep of it. The total's own
//!   is kept where it lies in that interval, or in time of which the points have expired and that is believed.
//! * Where all points of a record have expired and a time is not believed, the last access is put at the end of what has
//!   expired, which it cannot have been after, and the first one, if that is not believed either, there too.
//!
//! Points go by whole hours of a server, with their reports, roll-ups and metrics of the same hours, because what is wrong is the clock
//! that a batch was made by. Their markers stay: a copy of such a batch is a copy. How many reports went is
//! written down, since every batch has one otherwise, and `check` counts them.
//!
//! All of it is one write for a server, with its entry in the audit log.

mod kept;

use crate::database::key;
use crate::engine::{DNS, METRICS, sealed};
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

/// What is to be rebuilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuild {
    /// Of this server.
    pub server_id: ServerId,
    /// The totals of these records, or of all. Points go only for all of them.
    pub records: Option<IdSet<RecordId>>,
    /// Points of hours that end by this time go, Unix seconds.
    pub drop_before_s: Option<u64>,
    /// Points of hours that begin at this time or later go, Unix seconds.
    pub drop_from_s: Option<u64>,
    /// First and last accesses outside of this range are believed only where there are points of them, Unix milliseconds.
    pub believed_ms: Range<u64>,
    /// Whether nothing is written.
    pub dry_run: bool,
}

/// What a rebuild changed, or would change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// How many totals were looked at.
    pub totals: u64,
    /// How many of them are others now.
    pub changed: u64,
    /// How many are gone: all their points went.
    pub removed: u64,
    /// Totals that still have points outside of the time that is believed.
    pub unbelieved: u64,
    /// Batches of DNS whose points and reports went.
    pub dropped_batches: u64,
    /// Hits of those points.
    pub dropped_hits: u64,
    /// Hours of metrics that went, of the finest level that was there.
    pub dropped_metric_hours: u64,
    /// The totals that are others, as they were and as they are, at most [`Rebuilt::MAX_TOLD`].
    pub changes: Vec<(Option<Total>, Option<Total>)>,
}

impl Rebuilt {
    /// No more changes than these are told one by one.
    pub const MAX_TOLD: usize = 1000;

    /// Whether anything is to be written.
    pub fn is_nothing(&self) -> bool {
        (self.changed, self.removed, self.dropped_batches, self.dropped_metric_hours) == (0, 0, 0, 0)
    }
}

impl Rebuild {
    /// Whether points of an hour go.
    fn drops(&self, hour: u32) -> bool {
        let start_s = u64::from(hour) * 3600;
        self.drop_before_s.is_some_and(|time_s| start_s + 3600 <= time_s)
            || self.drop_from_s.is_some_and(|time_s| start_s >= time_s)
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

/// A rebuild that is worked out and not written yet.
pub(crate) struct Plan {
    pub(crate) rebuilt: Rebuilt,
    server_id: ServerId,
    groups: BTreeMap<GroupKey, Group>,
    found: Found,
    reports: Vec<Vec<u8>>,
    metric_hours: BTreeSet<(Level, u32)>,
    open_metric_hours: BTreeSet<u32>,
}

/// Works out what a rebuild changes. Who calls this keeps upkeep, sweeping and writers out.
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
    };
    let gone_until_ms = u64::from(horizon.raw_hour.min(horizon.aggregate_hour)) * 3_600_000;
    plan.totals(inner, &Times { believed_ms: rebuild.believed_ms.clone(), gone_until_ms }, records.as_ref());
    if rebuild.drop_before_s.is_some() || rebuild.drop_from_s.is_some() {
        plan.reports(inner, &goes)?;
        plan.metrics(inner, &goes)?;
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

    /// Reports of DNS of hours that go. Those of metrics stay: they cover no time, and say what was given up.
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

    /// Writes it, with what is in a batch already. The journal must be empty: it names blocks that go.
    pub(crate) fn apply(self, inner: &Inner, writer: &Writer, mut batch: WriteBatch, now: Instant) -> Result<Rebuilt, Error> {
        let Plan { rebuilt, server_id, groups, found, reports, metric_hours, open_metric_hours } = self;
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
        {
            // Readers look at open and sealed points before or after this, not between.
            let _moving = inner.expiry.write();
            database.write(batch, true)?;
            inner.kept.lock().forget();
        }
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

/// Takes over the totals that are on disk now, and what the server has of the room for them.
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

/// Reports of all servers that were removed because of their times.
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

/// Makes everything that is only in memory durable: what is planned next refers to it.
pub(crate) fn prepare(inner: &Inner, writer: &mut Writer) -> Result<(), Error> {
    write_totals(inner, writer)
}

/// Which times a total may have.
#[derive(Debug, Clone)]
struct Times {
    believed_ms: Range<u64>,
    /// Points before this time have expired; 0 where all are there.
    gone_until_ms: u64,
}

impl Times {
    /// Whether a time may be right although there is no point of it.
    fn may_have_expired(&self, time_ms: u64) -> bool {
        time_ms < self.gone_until_ms && self.believed_ms.contains(&time_ms)
    }
}

/// What a total is, of what it was and of its points; none where nothing is left of it.
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
