//! Sums by parts of time, servers, records and kinds against the model.

use super::plain::{Found, number_of};
use super::schedule::Schedule;
use crate::tests::driver::T0_S;
use crate::*;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use zonepulse_dns::MessageKind;
use zonepulse_model::ServerId;

/// How sums are split.
pub(super) const ALL: [Split; 6] = [
    Split { server: false, record: false, kind: SplitKind::Together, length_s: Some(900), shift_s: 0 },
    Split { server: true, record: false, kind: SplitKind::ByAction, length_s: Some(7200), shift_s: 0 },
    Split { server: true, record: false, kind: SplitKind::Together, length_s: Some(86_400), shift_s: 7200 },
    Split { server: false, record: true, kind: SplitKind::ByAction, length_s: Some(86_400), shift_s: 20_700 },
    Split { server: false, record: true, kind: SplitKind::Each, length_s: Some(5400), shift_s: 0 },
    Split { server: false, record: false, kind: SplitKind::ByAction, length_s: None, shift_s: 0 },
];

/// Of what a sum is: start of the stretch, server, messages, name; `None` where sums are not split by it.
type Of = (Option<u64>, Option<ServerId>, SumKind, Option<u32>);

impl Schedule {
    pub(super) fn verify_split(&self, reading: &Reading, selection: &Selection, split: Split, expected: &Found) {
        let mut sums: BTreeMap<Of, (u64, u64)> = BTreeMap::new();
        for ((server_id, start_s, _, number, kind), (hits, last_ms)) in expected {
            let shift_s = u64::from(split.shift_s);
            let start_s = split.length_s.map(|length_s| start_s - (start_s + shift_s) % u64::from(length_s));
            let kind = match split.kind {
                SplitKind::Together => SumKind::Any,
                SplitKind::ByAction if *kind == 0 => SumKind::Requests,
                SplitKind::ByAction if *kind < MessageKind::MESSAGES => SumKind::Responses,
                SplitKind::ByAction => SumKind::Served,
                SplitKind::Each => SumKind::Only(MessageKind::from_number(*kind).unwrap()),
            };
            let (server_id, number) = (split.server.then_some(*server_id), split.record.then_some(*number));
            let sum = sums.entry((start_s, server_id, kind, number)).or_default();
            *sum = (sum.0 + hits, sum.1.max(*last_ms));
        }
        let mut all = Vec::new();
        let each = &mut |sum: Sum| {
            all.push(sum);
            ControlFlow::Continue(())
        };
        // Two halves together say what the whole does.
        let middle_s = T0_S.clamp(selection.from_s, selection.until_s);
        let halves = [(selection.from_s, middle_s), (middle_s, selection.until_s)];
        let halves = halves.map(|(from_s, until_s)| (*reading, Selection { from_s, until_s, ..selection.clone() }));
        self.driver.store().sums_by(&halves, split, &mut |_| ControlFlow::Continue(()), each).unwrap();
        let dictionary = self.driver.store().dictionary();
        let mut told = BTreeMap::new();
        for sum in all {
            let number = sum.record_id.map(|record_id| number_of(dictionary.get(record_id).unwrap().0));
            assert_eq!(sum.last_ms.is_some(), reading.last_access);
            let of = (sum.start_s, sum.server_id, sum.kind, number);
            assert_eq!(told.insert(of, (sum.hits, sum.last_ms.unwrap_or(0))), None);
        }
        assert_eq!(told, sums, "sums of {:?} of {selection:?} by {split:?}", reading.level);
    }
}
