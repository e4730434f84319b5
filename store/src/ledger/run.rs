//! Runs: periods with the same reasons, and how they add up.

use super::reasons::{Reasons, Unobserved};
use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_model::Evicted;

const VERSION: u8 = 1;
/// No batch covers later times, milliseconds.
const END_MS: u64 = 1 << 50;

/// A period in which the same reasons hold throughout, Unix milliseconds. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub from_ms: u64,
    pub until_ms: u64,
    pub why: Reasons,
}

impl Run {
    /// `None` if the period is empty.
    pub(crate) fn new(from_ms: u64, until_ms: u64, why: Reasons) -> Option<Run> {
        (from_ms < until_ms).then_some(Run { from_ms, until_ms, why })
    }

    /// The range of an eviction. Its times are not bounded elsewhere.
    pub(crate) fn of_evicted(evicted: &Evicted) -> Option<Run> {
        let [from_ms, until_ms] = [evicted.from_s, evicted.until_s].map(|time_s| time_s.saturating_mul(1000).min(END_MS));
        Run::new(from_ms, until_ms, Unobserved::Evicted.into())
    }

    /// The part of the run within a range, if any.
    pub(crate) fn within(self, from_ms: u64, until_ms: u64) -> Option<Run> {
        Run::new(self.from_ms.max(from_ms), self.until_ms.min(until_ms), self.why)
    }

    /// The value on disk: `version u8 = 1 · length, milliseconds · reasons`.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(9);
        out.push(VERSION);
        put(&mut out, self.until_ms - self.from_ms);
        put(&mut out, u64::from(self.why.bits()));
        out
    }

    pub(crate) fn decode(from_ms: u64, value: &[u8]) -> Result<Run, Malformed> {
        let Some((&VERSION, rest)) = value.split_first() else { return Err(Malformed("run version")) };
        let mut reader = Reader::new(rest);
        let until_ms = from_ms.checked_add(reader.number("run length")?).ok_or(Malformed("run length"))?;
        let why = Reasons::from_bits(reader.below(1 << 32, "reasons")? as u32);
        match Run::new(from_ms, until_ms, why) {
            Some(run) if reader.is_empty() => Ok(run),
            _ => Err(Malformed("run length")),
        }
    }
}

/// Adds up runs in any order: where they overlap, their reasons unite; neighbours with the same reasons become one. The
/// result is sorted and disjoint, and does not depend on how the runs were grouped before.
pub(crate) fn add_up(runs: &[Run]) -> Vec<Run> {
    // At each edge: how many runs begin or end, and how many of those give each reason.
    let mut edges: Vec<(u64, i32, u32)> = Vec::with_capacity(runs.len() * 2);
    for run in runs {
        edges.push((run.from_ms, 1, run.why.bits()));
        edges.push((run.until_ms, -1, run.why.bits()));
    }
    edges.sort_unstable_by_key(|(at_ms, ..)| *at_ms);
    let (mut open, mut by_bit, mut since_ms) = (0, [0i32; u32::BITS as usize], 0);
    let mut sums: Vec<Run> = Vec::new();
    for (at_ms, step, bits) in edges {
        if open > 0 && since_ms < at_ms {
            let bits = (0..).zip(&by_bit).filter(|(_, count)| **count > 0).fold(0, |bits, (bit, _)| bits | 1u32 << bit);
            push(&mut sums, Run { from_ms: since_ms, until_ms: at_ms, why: Reasons::from_bits(bits) });
        }
        open += step;
        since_ms = at_ms;
        for (bit, count) in by_bit.iter_mut().enumerate() {
            *count += if bits >> bit & 1 == 1 { step } else { 0 };
        }
    }
    sums
}

/// Appends a run, or extends the last one if they are neighbours with the same reasons.
pub(crate) fn push(runs: &mut Vec<Run>, run: Run) {
    match runs.last_mut() {
        Some(last) if last.until_ms == run.from_ms && last.why == run.why => last.until_ms = run.until_ms,
        _ => runs.push(run),
    }
}

/// Joins runs in any order that overlap, touch, or are at most `slack_ms` apart, with the reasons of all.
pub(crate) fn join(mut runs: Vec<Run>, slack_ms: u64) -> Vec<Run> {
    runs.sort_unstable_by_key(|run| run.from_ms);
    let mut joined: Vec<Run> = Vec::new();
    for run in runs {
        match joined.last_mut() {
            Some(last) if run.from_ms <= last.until_ms.saturating_add(slack_ms) => {
                last.until_ms = last.until_ms.max(run.until_ms);
                last.why = last.why.union(run.why);
            }
            _ => joined.push(run),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_run() -> impl Strategy<Value = Run> {
        (0..60u64, 1..20u64, 0..8u32).prop_map(|(from_ms, length, bits)| Run {
            from_ms,
            until_ms: from_ms + length,
            why: Reasons::from_bits(bits),
        })
    }

    /// For each millisecond, the reasons, or `None` outside of all runs.
    fn each_ms(runs: &[Run]) -> Vec<Option<Reasons>> {
        let at = |ms: u64| {
            let there = runs.iter().filter(|run| (run.from_ms..run.until_ms).contains(&ms));
            there.map(|run| run.why).reduce(Reasons::union)
        };
        (0..100).map(at).collect()
    }

    proptest! {
        #[test]
        fn sums_say_for_each_instant_what_the_runs_say(runs in prop::collection::vec(any_run(), 0..12)) {
            let sums = add_up(&runs);
            prop_assert_eq!(each_ms(&sums), each_ms(&runs));
            for pair in sums.windows(2) {
                prop_assert!(pair[0].until_ms < pair[1].from_ms || (pair[0].until_ms == pair[1].from_ms && pair[0].why != pair[1].why));
            }
        }

        #[test]
        fn the_order_and_grouping_of_runs_do_not_matter(runs in prop::collection::vec(any_run(), 0..12), at in 0..12usize) {
            let (a, b) = runs.split_at(at.min(runs.len()));
            let mut parts = add_up(b);
            parts.extend(a);
            prop_assert_eq!(add_up(&parts), add_up(&runs));
            let mut parts = join(b.to_vec(), 5);
            parts.extend(a);
            let (parts, runs) = (join(parts, 5), join(runs, 5));
            prop_assert_eq!(parts, runs);
        }

        #[test]
        fn any_run_survives_its_bytes(from_ms in 0..1u64 << 50, length in 1..1u64 << 50, bits in any::<u32>()) {
            let run = Run { from_ms, until_ms: from_ms + length, why: Reasons::from_bits(bits) };
            prop_assert_eq!(Run::decode(from_ms, &run.encode()), Ok(run));
        }

        #[test]
        fn bytes_of_any_kind_never_panic(from_ms in any::<u64>(), bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let _ = Run::decode(from_ms, &[&[VERSION][..], &bytes].concat());
        }
    }
}
