//! The observation ledger: when each server was observed without loss, and for all other time why not, forever.
//!
//! Reports are kept as long as roll-ups, so they cannot prove that nobody asked for a record in the last 90 days. The
//! ledger can, because its size depends on the number of *periods*, not of intervals: neighbouring intervals with the
//! same [`Reasons`](reasons::Reasons) are one [`Run`](run::Run). A server that is observed without interruption has a
//! single run, which grows with every batch.
//!
//! A server has three kinds of **lanes**, each a sequence of disjoint runs ([`Lane`](lane::Lane)):
//!
//! * **Covered**: the time that batches cover. A run without reasons was observed; all other runs say what may be
//!   missing. The loss that a batch reports concerns all the time it covers, since it does not say when it occurred.
//!   Time without a run is a *gap*. Where several batches cover the same time (two probes, a replay), their reasons
//!   unite: one of them may have seen what the other one lost, but nothing says that they see the same messages.
//! * **Evicted**: the ranges from which a probe evicted batches, and those of which a restored store may have forgotten
//!   batches. They tell of time that no batch covers why it is a gap.
//!   A batch of that time that arrives after all (from a resend or a dead-letter queue) covers it, and thereby replaces
//!   `evicted` without touching this lane.
//! * **Folded**, one lane for each zone: when messages of the zone were counted under `<other> zone.` Separate lanes keep
//!   the covered runs long during a flood on one zone. A probe attributes a name to the longest zone that it has learnt,
//!   so a fold concerns the zone and every zone below it. Folds at most ten minutes apart are joined. What is folded
//!   without a known zone is a reason in the covered lane, because it may concern any zone. A server has lanes for
//!   [`MAX_ZONES`](adding::MAX_ZONES) zones; folds of further zones concern all zones.
//!
//! What a lane contains depends only on which batches were committed, not on their order: late batches correct it. The
//! write that commits a batch updates the lanes; an ordinary batch extends the last run, which is kept in memory, so it
//! reads nothing. A late batch takes one seek, and so does each zone that it folds.
//!
//! If more than [`MAX_RUNS`](adding::MAX_RUNS) runs overlap one batch, its time becomes a single run with all their
//! reasons and a gap: a probe that invents epochs must not make every further batch read them all. Nothing that is not
//! observed ever becomes observed this way.

pub(crate) mod adding;
pub(crate) mod building;
pub(crate) mod cutting;
pub(crate) mod lane;
pub(crate) mod reading;
pub(crate) mod reasons;
pub(crate) mod restored;
pub(crate) mod run;
#[cfg(test)]
mod tests;
