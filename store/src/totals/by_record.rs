//! Totals record by record, in bounded parts.
//!
//! Totals are stored by server and kind, while queries need sums by record. Copying all totals to add them up would
//! need memory for all of them, and visiting them all under a lock would block writers. Instead, the groups of all
//! servers and kinds are merged by number, and the totals are not locked between parts.

use crate::database::key::{from_group, group_of};
use crate::totals::{Totals, visit_group};
use crate::{Store, Total};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use zonepulse_model::{IdSet, RecordId, ServerId};

/// A part contains at most this many groups of totals, but always all groups with the same number.
const PART_GROUPS: usize = if cfg!(test) { 2 } else { 256 };

/// The next group of each server and kind: number, server, kind.
type Next = BinaryHeap<Reverse<(u32, ServerId, u16)>>;

impl Store {
    /// Returns every total of these servers and records, or of all, in parts. Totals are ordered by record, then
    /// server, then kind, and all totals of a record are in the same part.
    ///
    /// Nothing is swept in the meantime, so no hit that existed at the beginning is counted twice or left out.
    pub fn totals_by_record(
        &self,
        servers: Option<&IdSet<ServerId>>,
        records: Option<&IdSet<RecordId>>,
        each: &mut dyn FnMut(&[Total]) -> ControlFlow<()>,
    ) {
        let inner = &self.inner;
        let _no_sweep = inner.sweeping.read();
        let mut next = begin(&inner.totals.read(), servers);
        let mut part = Vec::new();
        while !next.is_empty() {
            part.clear();
            collect(&inner.totals.read(), &mut next, records, &mut part);
            if let Some(records) = records {
                part.retain(|total| records.has(total.record_id));
            }
            part.sort_unstable_by_key(|total| (total.record_id, total.server_id, total.kind));
            if each(&part).is_break() {
                return;
            }
        }
    }
}

fn begin(totals: &Totals, servers: Option<&IdSet<ServerId>>) -> Next {
    let asked = |server_id: &ServerId| servers.is_none_or(|servers| servers.has(*server_id));
    let pairs = totals.pairs().filter(|(server_id, _)| asked(server_id));
    pairs.map(|(server_id, kind)| Reverse((0, server_id, kind))).collect()
}

/// Copies the totals of the next groups, up to the limit.
fn collect(totals: &Totals, next: &mut Next, records: Option<&IdSet<RecordId>>, into: &mut Vec<Total>) {
    let (mut groups, mut last) = (0, None);
    while let Some(Reverse((number, server_id, kind))) = next.peek().copied() {
        if groups >= PART_GROUPS && last != Some(number) {
            return;
        }
        next.pop();
        // The next requested record from here on.
        let from = match records {
            None => Some(number),
            Some(records) => from_group(records, number).first().map(|id| group_of(*id)),
        };
        let Some(from) = from else { continue };
        let Some((key, group)) = totals.groups.range((server_id, kind, from)..=(server_id, kind, u32::MAX)).next() else {
            continue;
        };
        if key.2 > number {
            next.push(Reverse((key.2, server_id, kind)));
            continue;
        }
        visit_group(*key, group, &mut |total| into.push(total));
        (groups, last) = (groups + 1, Some(number));
        if let Some(after) = number.checked_add(1) {
            next.push(Reverse((after, server_id, kind)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Intake, IntakeRow, Options};
    use zonepulse_dns::{MessageKind, RecordType};
    use zonepulse_model::Identity;

    #[test]
    fn totals_by_record_are_all_totals_in_parts_of_whole_records() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options { min_free_bytes: 0, ..Options::default() }).unwrap();
        for (server_id, step) in [(1, 1), (2, 7), (9, 300)] {
            let names: Vec<String> = (0..1500).step_by(step).map(|number| format!("n{number}.")).collect();
            let mut write = store.begin();
            let ids = write.record_ids(ServerId::new(server_id), names.iter().map(|name| (name.as_str(), RecordType::A)));
            let rows = ids.iter().flat_map(|record_id| {
                [0, 1].map(|kind| IntakeRow {
                    record_id: *record_id,
                    kind: MessageKind::from_number(kind).unwrap(),
                    hits: u64::from(server_id),
                    first_ms: 0,
                    last_ms: 5,
                })
            });
            let intake = Intake {
                identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq: 0 },
                start_s: 0,
                interval_s: 60,
                covered_from_ms: 0,
                covered_until_ms: 60_000,
                counters: Vec::new(),
                loss: Default::default(),
                evicted: None,
                rows: rows.collect(),
            };
            write.add(intake).unwrap();
            write.commit().unwrap();
        }
        let asked = IdSet::from([3, 600, 601, 1400, 70_000].map(RecordId::new));
        for servers in [None, Some(IdSet::from([1, 9].map(ServerId::new))), Some(IdSet::from([]))] {
            for records in [None, Some(&asked)] {
                let mut expected = Vec::new();
                store.totals(servers.as_ref(), &mut |total| {
                    expected.extend(records.is_none_or(|ids| ids.has(total.record_id)).then_some(total));
                });
                expected.sort_by_key(|total| (total.record_id, total.server_id, total.kind));
                let (mut found, mut parts) = (Vec::new(), 0);
                store.totals_by_record(servers.as_ref(), records, &mut |part| {
                    parts += 1;
                    found.extend_from_slice(part);
                    ControlFlow::Continue(())
                });
                assert_eq!(found, expected);
                assert!(parts >= expected.len() / 1500, "{parts}");
            }
        }
    }
}
