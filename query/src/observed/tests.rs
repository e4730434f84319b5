//! Marks against a model that looks at every millisecond.

use super::*;
use proptest::prelude::*;

/// A report of a server: when its interval starts and how long it is, seconds; when the probe began to listen and ceased,
/// milliseconds after that start; hits, and how long it was blind.
#[derive(Debug, Clone, Copy)]
struct Told {
    server_id: u32,
    start_s: u64,
    interval_s: u32,
    from_ms: u64,
    until_ms: u64,
    hits: u64,
    blind_ms: u64,
}

impl Told {
    fn listened(&self) -> Listened {
        Listened {
            server_id: ServerId::new(self.server_id),
            start_s: self.start_s,
            end_s: self.start_s + u64::from(self.interval_s),
            interval_s: self.interval_s,
            covered_from_ms: self.start_s * 1000 + self.from_ms,
            covered_until_ms: self.start_s * 1000 + self.until_ms,
            hits: self.hits,
            counted: self.blind_ms,
        }
    }

    /// What its hits, or their absence, are about.
    fn covered(&self) -> Range<u64> {
        let Listened { covered_from_ms, covered_until_ms, .. } = self.listened();
        if self.from_ms == self.until_ms && self.hits > 0 {
            return self.start_s * 1000..(self.start_s + u64::from(self.interval_s)) * 1000;
        }
        let saw_something = self.hits > 0 || self.blind_ms < self.until_ms - self.from_ms;
        if saw_something { covered_from_ms..covered_until_ms } else { 0..0 }
    }
}

fn any_told() -> impl Strategy<Value = Told> {
    let hits = prop_oneof![Just(0u64), 1u64..9];
    let blind = prop_oneof![4 => Just(None), 1 => Just(Some(2000u64)), 1 => (1u64..2000).prop_map(Some)];
    let coverage = prop_oneof![3 => Just((0u64, 2000u64)), 1 => (0u64..2000, 0u64..2000)];
    (1u32..4, 0u64..12, any::<bool>(), coverage, hits, blind).prop_map(|(server_id, at, long, (a, b), hits, blind)| {
        let interval_s = if long { 2 } else { 1 };
        let most_ms = u64::from(interval_s) * 1000;
        let (from_ms, until_ms) = (a.min(b).min(most_ms), a.max(b).min(most_ms));
        let blind_ms = blind.map_or(0, |blind_ms| blind_ms.min(until_ms - from_ms));
        Told {
            server_id,
            start_s: at / u64::from(interval_s) * u64::from(interval_s),
            interval_s,
            from_ms,
            until_ms,
            hits,
            blind_ms,
        }
    })
}

/// Servers 1 to 3: one that is expected to report all the time, one that was registered and removed, one that never is.
fn observed(told: &[Told], due_ms: u64) -> Observed {
    let exists = |exists: Range<u64>| Watched { exists, ..Watched::default() };
    let servers = vec![(1, exists(0..u64::MAX)), (2, exists(3500..9000)), (3, exists(0..0))];
    let mut observed = Observed::of(None, servers, Some(66), due_ms + DELIVERY_MS);
    told.iter().for_each(|told| observed.add(&told.listened()));
    observed.settle();
    observed
}

fn exists(server_id: u32, ms: u64) -> bool {
    server_id == 1 || server_id == 2 && (3500..9000).contains(&ms)
}

/// What is said of a step of one server, and whether its reports reach the step's end.
fn model(told: &[Told], server_id: u32, step: &Range<u64>, due_ms: u64) -> (Mark, bool) {
    let mine: Vec<&Told> = told.iter().filter(|told| told.server_id == server_id).collect();
    let covered = |ms: u64| mine.iter().any(|told| told.covered().contains(&ms));
    let clear = |ms: u64| {
        mine.iter()
            .map(|told| (told.listened(), told.blind_ms))
            .any(|(listened, blind_ms)| blind_ms == 0 && (listened.covered_from_ms..listened.covered_until_ms).contains(&ms))
    };
    let counts = step.clone().any(|ms| exists(server_id, ms) || covered(ms));
    let last = mine.iter().max_by_key(|told| told.listened().covered_until_ms);
    let reach_ms = last.map_or(0, |told| told.listened().covered_until_ms);
    let interval_ms = last.map_or(1, |told| u64::from(told.interval_s) * 1000);
    let may_come = step.end > due_ms && reach_ms < step.end;
    let until_ms = if may_come { step.end.min(reach_ms.max(due_ms / interval_ms * interval_ms)) } else { step.end };
    let observed = until_ms > step.start && (step.start..until_ms).all(clear);
    let reached = reach_ms >= step.end;
    let open = step.end > due_ms && !(counts && reached);
    (Mark { observed_servers: observed.into(), servers: counts.into(), open }, reached)
}

proptest! {
    #[test]
    fn marks_are_those_of_a_model_that_looks_at_every_millisecond(
        told in prop::collection::vec(any_told(), 0..14), step_ms in prop_oneof![Just(1000u64), Just(2000), Just(4000), 1u64..5000],
        begin in 0u64..4, steps in 0u64..9, due_ms in 0u64..16_000,
    ) {
        let observed = observed(&told, due_ms);
        let steps: Vec<Range<u64>> = (begin..begin + steps).map(|at| at * step_ms..(at + 1) * step_ms).collect();
        let together = observed.marks(&steps);
        prop_assert_eq!(together.len(), steps.len());
        for (step, together) in steps.iter().zip(together) {
            let mut expected = Mark::default();
            let mut missing = 0;
            for server_id in 1..=3 {
                let (mark, reached) = model(&told, server_id, step, due_ms);
                prop_assert_eq!(observed.mark_of_server(server_id, step), mark, "server {} in {:?}", server_id, step);
                expected.observed_servers += mark.observed_servers;
                expected.servers += mark.servers;
                missing += u32::from(mark.servers == 1 && !reached);
                let covered = step.clone().filter(|ms| told.iter().any(|told| told.server_id == server_id && told.covered().contains(ms)));
                prop_assert_eq!(observed.covered_ms(server_id, step), covered.count() as u64);
            }
            expected.open = step.end > due_ms && (expected.servers == 0 || missing > 0);
            prop_assert_eq!(together, expected, "{:?}", step);
        }
    }
}

fn whole(server_id: u32, start_s: u64) -> Told {
    Told { server_id, start_s, interval_s: 2, from_ms: 0, until_ms: 2000, hits: 1, blind_ms: 0 }
}

#[test]
fn a_step_is_open_until_all_servers_have_reported_of_it_or_no_report_is_due_any_more() {
    let step = 10_000..12_000;
    let open = |told: &[Told], due_ms: u64| observed(told, due_ms).mark_of_server(1, &step).open;
    assert!(open(&[whole(1, 8)], 11_999));
    assert!(!open(&[whole(1, 8), whole(1, 10)], 11_999));
    assert!(!open(&[whole(1, 8)], 12_000));
}

#[test]
fn of_an_open_step_a_server_has_to_have_covered_what_it_can_have_reported() {
    let step = 0..8000;
    let observed_servers = |told: &[Told], due_ms: u64| observed(told, due_ms).mark_of_server(1, &step).observed_servers;
    assert_eq!(observed_servers(&[whole(1, 0), whole(1, 2)], 5500), 1);
    assert_eq!(observed_servers(&[whole(1, 0), whole(1, 2)], 6000), 0, "a report has not come");
    assert_eq!(observed_servers(&[whole(1, 0), whole(1, 4)], 5500), 0, "there is a gap");
    assert_eq!(observed_servers(&[whole(1, 0), whole(1, 2)], 8000), 0, "no more is due");
}
