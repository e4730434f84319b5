//! Detects two probes sending for the same server.
//!
//! Every run of a probe is an epoch, and the store detects when a batch covers time that another epoch of its server
//! also covers ([`zonepulse_store::Overlap`]). That alone does not prove that there are two probes: a capture may
//! have been replayed for time that was observed live, or a clock may have been set back between two runs. There are
//! **two live probes** if overlaps recur as time goes on: in [`ROUNDS`] rounds, each at least half an interval after
//! the previous one, with current batches from both epochs since then. A replay arrives all at once or covers the
//! past, and of two runs of one probe the earlier one sends nothing more.
//!
//! A setting (`overlapping_probes`) decides what happens to such batches. By default they count, and their reports
//! state the overlap. With `refuse`, each server's time counts only once: a batch covering time that another epoch
//! already covers is permanently refused, so the sender keeps it. Of two live probes, the one that began first
//! continues to count: the other's batches are refused even if they arrive before its own, until it leaves an
//! interval uncovered. Then the other takes over.

use crate::Error;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use zonepulse_model::{OverlappingProbes, ServerId};
use zonepulse_store::{Overlap, Store, Write};
use zonepulse_wire::{Batch, Coverage};

/// The number of rounds that rules out coincidence.
const ROUNDS: u32 = 3;
/// Coverage that ended longer ago than this is not current, in milliseconds. Allows for late batches and clock
/// differences.
const PRESENT_MS: u64 = 900_000;
/// Two probes no longer count as live once nothing has overlapped for this long, in milliseconds, or for three
/// intervals.
const FORGET_MS: u64 = 120_000;
/// Shorter overlaps are ignored, in milliseconds; for short intervals, those shorter than a quarter of the interval.
/// Clock corrections between two runs of a probe are smaller.
const TOLERANCE_MS: u64 = 2000;
/// Maximum tracked pairs of epochs per server. A new pair does not replace one that is still current, so with many
/// probes the tracked pairs are the ones found to be live.
const MAX_PAIRS: usize = 4;
/// Minimum time before the log repeats itself, in milliseconds.
const LOG_AFTER_MS: u64 = 60_000;

/// Known overlaps, by server.
#[derive(Debug, Default)]
pub(crate) struct Twins(Mutex<BTreeMap<ServerId, OfServer>>);

/// Changes from the batches of a write that is not on disk yet. Later batches in the same write see them; if the
/// write fails, they are discarded.
#[derive(Debug, Default)]
pub(crate) struct Pending(BTreeMap<ServerId, News>);

#[derive(Debug)]
struct News {
    server: OfServer,
    /// What happens to batches whose time another epoch covers, as worded in the log.
    becomes: Option<&'static str>,
}

#[derive(Debug, Default, Clone)]
struct OfServer {
    counted: u64,
    refused: u64,
    pairs: Vec<Pair>,
    logged_ms: u64,
}

/// Two epochs that have overlapped, the one that began first in front.
#[derive(Debug, Clone)]
struct Pair {
    epochs: [u64; 2],
    /// The end of each epoch's known coverage, in Unix milliseconds.
    until_ms: [u64; 2],
    /// Whether each epoch has sent a batch since the last round.
    heard: [bool; 2],
    rounds: u32,
    interval_ms: u64,
    began_ms: u64,
    last_round_ms: u64,
}

/// How the batches of one server overlap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overlaps {
    /// Batches counted since startup although another epoch covers their time.
    pub counted: u64,
    /// Batches refused since startup because another epoch covers their time.
    pub refused: u64,
    /// The two live probes, if any.
    pub live: Option<LiveProbes>,
}

/// Two probes sending for one server at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveProbes {
    /// Their epochs, the one that began first in front.
    pub epochs: [u64; 2],
    /// When the overlap was first observed, in Unix milliseconds.
    pub since_ms: u64,
}

impl Twins {
    /// Returns how much of a batch's coverage another epoch also covers, in milliseconds. State to remember goes into
    /// `pending`.
    ///
    /// Fails with [`Error::Overlaps`] if the overlap means the batch must not count.
    pub(crate) fn admit(
        &self,
        batch: &Batch,
        store: &Store,
        write: &mut Write<'_>,
        pending: &mut Pending,
        now_ms: u64,
    ) -> Result<u64, Error> {
        let Coverage { from_ms, until_ms } = batch.coverage;
        let identity = batch.identity;
        let tolerance_ms = TOLERANCE_MS.min(batch.interval_ms() / 4);
        let overlap = write.overlap(&identity, from_ms, until_ms, tolerance_ms)?;
        let Some(News { server, becomes }) = self.news(identity.server_id, overlap.is_some(), pending) else { return Ok(0) };
        server.hear(identity.epoch);
        let first = match overlap {
            Some(overlap) => Some(overlap.epoch),
            None => server.waits_for(identity.epoch, from_ms.saturating_sub(tolerance_ms), now_ms),
        };
        let refuses = match first {
            Some(_) => store.registry().effective_settings(identity.server_id)?.overlapping_probes == OverlappingProbes::Refuse,
            None => false,
        };
        if let Some(overlap) = overlap {
            server.note(batch, overlap, now_ms);
        }
        let Some(first) = first.filter(|_| refuses) else {
            server.covers(identity.epoch, until_ms);
            server.counted = server.counted.saturating_add(overlap.map_or(0, |_| 1));
            *becomes = Some("counts twice");
            return Ok(overlap.map_or(0, |overlap| overlap.ms));
        };
        if overlap.is_none() {
            server.waited(batch, now_ms);
        }
        server.refused = server.refused.saturating_add(1);
        *becomes = Some("is refused");
        Err(Error::Overlaps { server_id: identity.server_id, start_s: batch.start_s, epoch: identity.epoch, first })
    }

    /// A server's state including the changes from this write; `None` if nothing is known about the server, unless
    /// there is `more`.
    fn news<'p>(&self, server_id: ServerId, more: bool, pending: &'p mut Pending) -> Option<&'p mut News> {
        match pending.0.entry(server_id) {
            Entry::Occupied(news) => Some(news.into_mut()),
            Entry::Vacant(place) => {
                let server = self.lock().get(&server_id).cloned().or_else(|| more.then(OfServer::default))?;
                Some(place.insert(News { server, becomes: None }))
            }
        }
    }

    /// Applies the changes once the write is on disk. There is only one writer, so nothing else has changed in the
    /// meantime.
    pub(crate) fn adopt(&self, pending: Pending, now_ms: u64) {
        let mut all = self.lock();
        for (server_id, News { mut server, becomes }) in pending.0 {
            if let Some(becomes) = becomes {
                server.warn(server_id, becomes, now_ms);
            }
            all.insert(server_id, server);
        }
    }

    /// How a server's batches overlap at `now_ms`, in Unix milliseconds.
    pub(crate) fn of(&self, server_id: ServerId, now_ms: u64) -> Overlaps {
        let all = self.lock();
        let Some(server) = all.get(&server_id) else { return Overlaps::default() };
        let live = server.live(now_ms).map(|pair| LiveProbes { epochs: pair.epochs, since_ms: pair.began_ms });
        Overlaps { counted: server.counted, refused: server.refused, live }
    }

    /// The guarded state is consistent after every statement.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ServerId, OfServer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfServer {
    /// The epoch of the other live probe, if it began before this one and has covered everything up to `from_ms`: its
    /// own batch for the time that follows is on its way.
    fn waits_for(&self, epoch: u64, from_ms: u64, now_ms: u64) -> Option<u64> {
        let goes_on = |pair: &&Pair| pair.epochs[1] == epoch && pair.until_ms[0] >= from_ms && pair.is_live(now_ms);
        self.pairs.iter().find(goes_on).map(|pair| pair.epochs[0])
    }

    /// Records that a batch was refused because the other probe's batch is on its way.
    fn waited(&mut self, batch: &Batch, now_ms: u64) {
        for pair in self.pairs.iter_mut().filter(|pair| pair.epochs[1] == batch.identity.epoch) {
            pair.round([pair.until_ms[0], batch.coverage.until_ms], batch.interval_ms(), now_ms);
        }
    }

    /// Records that a batch of an epoch arrived.
    fn hear(&mut self, epoch: u64) {
        for pair in &mut self.pairs {
            for (of, heard) in pair.epochs.iter().zip(&mut pair.heard) {
                *heard |= *of == epoch;
            }
        }
    }

    /// Records that a batch of an epoch counts and covers time up to `until_ms`.
    fn covers(&mut self, epoch: u64, until_ms: u64) {
        for pair in &mut self.pairs {
            for (of, reached_ms) in pair.epochs.iter().zip(&mut pair.until_ms) {
                if *of == epoch {
                    *reached_ms = (*reached_ms).max(until_ms);
                }
            }
        }
    }

    fn note(&mut self, batch: &Batch, overlap: Overlap, now_ms: u64) {
        let (epoch, until_ms) = (batch.identity.epoch, batch.coverage.until_ms);
        let (epochs, reached_ms) = match epoch < overlap.epoch {
            true => ([epoch, overlap.epoch], [until_ms, overlap.until_ms]),
            false => ([overlap.epoch, epoch], [overlap.until_ms, until_ms]),
        };
        if !self.pairs.iter().any(|pair| pair.epochs == epochs) {
            if self.pairs.len() >= MAX_PAIRS {
                self.pairs.retain(|pair| !pair.is_over(now_ms));
            }
            if self.pairs.len() < MAX_PAIRS {
                self.pairs.push(Pair {
                    epochs,
                    until_ms: [0; 2],
                    heard: [true; 2],
                    rounds: 0,
                    interval_ms: batch.interval_ms(),
                    began_ms: now_ms,
                    last_round_ms: now_ms,
                });
            }
        }
        if let Some(pair) = self.pairs.iter_mut().find(|pair| pair.epochs == epochs) {
            pair.round(reached_ms, batch.interval_ms(), now_ms);
        }
        self.covers(overlap.epoch, overlap.until_ms);
    }

    /// The pair whose epochs are both live.
    fn live(&self, now_ms: u64) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.is_live(now_ms))
    }

    fn warn(&mut self, server_id: ServerId, becomes: &str, now_ms: u64) {
        let Some([first, second]) = self.live(now_ms).map(|pair| pair.epochs) else { return };
        if now_ms.abs_diff(self.logged_ms) < LOG_AFTER_MS {
            return;
        }
        self.logged_ms = now_ms;
        let (first, second) = (format!("{first:016x}"), format!("{second:016x}"));
        tracing::warn!(
            server_id = server_id.get(),
            first,
            second,
            "two probes use this server's token at the same time: what both cover {becomes} (the setting overlapping_probes); \
             give each a server of its own"
        );
    }
}

impl Pair {
    fn round(&mut self, reached_ms: [u64; 2], interval_ms: u64, now_ms: u64) {
        let present = reached_ms.iter().all(|until_ms| now_ms.abs_diff(*until_ms) <= PRESENT_MS);
        let later = self.rounds == 0 || now_ms.abs_diff(self.last_round_ms) >= interval_ms / 2;
        if !(present && later && self.heard == [true; 2]) {
            return;
        }
        if self.rounds > 0 && self.is_over(now_ms) {
            (self.rounds, self.began_ms) = (0, now_ms);
        }
        self.rounds = self.rounds.saturating_add(1);
        (self.heard, self.interval_ms, self.last_round_ms) = ([false; 2], interval_ms, now_ms);
    }

    fn is_over(&self, now_ms: u64) -> bool {
        now_ms.abs_diff(self.last_round_ms) > FORGET_MS.max(3 * self.interval_ms)
    }

    fn is_live(&self, now_ms: u64) -> bool {
        self.rounds >= ROUNDS && !self.is_over(now_ms)
    }
}

#[cfg(test)]
#[path = "twins_tests.rs"]
mod tests;
