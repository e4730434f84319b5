//! Charging servers for what a write adds to their shares, and for what exceeds them.

use crate::database::key::group_of;
use crate::intake::{Intake, IntakeRow};
use crate::share::{Counts, Share};
use crate::totals::{Group, GroupKey, Totals};
use crate::write::{Write, by_group};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use zonepulse_model::RecordId;

impl Write<'_> {
    /// The rows for groups of totals that must be written with the batch, as far as the server has room for the new
    /// totals; the rest is counted as `<other>`.
    pub(crate) fn take_news(&mut self, intake: &mut Intake) -> Vec<(GroupKey, Vec<IntakeRow>)> {
        let server_id = intake.identity.server_id;
        let totals = self.inner.totals.read();
        let (mut news, mut new) = find_news(&totals, intake);
        if new > 0 {
            let room = self.inner.total_shares.lock().room(server_id, &self.totals_added, self.now);
            if new > room {
                let (points, hits) = fold(&totals, intake, room);
                *self.totals_folded.entry(server_id).or_default() += points;
                self.folded_counter.into_iter().for_each(|counter| intake.count(counter, hits));
                (news, new) = find_news(&totals, intake);
            }
            *self.totals_added.entry(server_id).or_default() += new;
        }
        news
    }

    /// The number of new totals of each server in the groups that were written.
    fn count_added(&self, written: &BTreeMap<GroupKey, Group>) -> Counts {
        let totals = self.inner.totals.read();
        let mut added = Counts::new();
        for (key, group) in written {
            let before = totals.groups.get(key).map_or(0, Group::len);
            *added.entry(key.0).or_default() += group.len().saturating_sub(before);
        }
        added
    }

    /// Charges servers for what the write added, and counts what was refused.
    pub(crate) fn charge(&self, written: &BTreeMap<GroupKey, Group>) {
        let now = self.now;
        if !self.totals_added.is_empty() {
            let added = self.count_added(written);
            let mut shares = self.inner.total_shares.lock();
            shares.charge(&added, now);
            for (server_id, folded) in shares.refuse(&self.totals_folded, now) {
                let Share { owned: totals, limit, .. } = shares.of(server_id);
                tracing::warn!(
                    server_id = server_id.get(),
                    folded,
                    totals,
                    limit,
                    "new totals exceed the server's share: their points are counted as <other>"
                );
            }
        }
        let (names, series) = (&self.names, &self.series);
        if !names.added.is_empty() || !names.folded.is_empty() {
            let mut shares = self.inner.names.lock();
            shares.charge(&names.added, now);
            for (server_id, folded) in shares.refuse(&names.folded, now) {
                let Share { owned: names, limit, .. } = shares.of(server_id);
                tracing::warn!(
                    server_id = server_id.get(),
                    folded,
                    names,
                    limit,
                    "new names exceed the server's share or rate and are counted as <other>"
                );
            }
        }
        if !series.added.is_empty() || !series.refused_points.is_empty() {
            let refused = series.refused_points.values().fold(0, |sum: u64, points| sum.saturating_add(*points));
            self.inner.system.refused_points.fetch_add(refused, Ordering::Relaxed);
            let mut shares = self.inner.system.shares.lock();
            shares.charge(&series.added, now);
            for (server_id, refused_points) in shares.refuse(&series.refused_points, now) {
                let Share { owned: series, limit, .. } = shares.of(server_id);
                tracing::warn!(
                    server_id = server_id.get(),
                    refused_points,
                    series,
                    limit,
                    "new series of metrics exceed the server's share and are not taken"
                );
            }
        }
    }
}

/// The rows for groups of totals that must be written with the batch, and the number of new totals among them.
fn find_news(totals: &Totals, intake: &Intake) -> (Vec<(GroupKey, Vec<IntakeRow>)>, u64) {
    let (mut news, mut new) = (Vec::new(), 0);
    for (key, rows) in by_group(intake.identity.server_id, &intake.rows) {
        let group = totals.groups.get(&key);
        if group.is_none_or(|group| group.needs_disk(rows)) {
            new += group.map_or(rows.len() as u64, |group| group.count_new(rows));
            news.push((key, rows.to_vec()));
        }
    }
    (news, new)
}

/// Counts points that would create new totals as `<other>`, except the first `room` of them. Returns the number of
/// points and hits.
fn fold(totals: &Totals, intake: &mut Intake, mut room: u64) -> (u64, u64) {
    let (server_id, mut points, mut hits) = (intake.identity.server_id, 0, 0u64);
    for row in intake.rows.iter_mut().filter(|row| row.record_id != RecordId::OTHER) {
        let key = (server_id, row.kind.number(), group_of(row.record_id));
        if totals.groups.get(&key).is_some_and(|group| group.has(row.record_id)) {
            continue;
        }
        match room.checked_sub(1) {
            Some(left) => room = left,
            None => {
                (points, hits) = (points + 1, hits.saturating_add(row.hits));
                row.record_id = RecordId::OTHER;
            }
        }
    }
    intake.arrange();
    (points, hits)
}
