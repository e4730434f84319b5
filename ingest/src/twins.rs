//! Two probes that send for one server.
//!
//! Every run of a probe is an epoch, and the store says when a batch covers time that another epoch of its server covers
//! ([`zonepulse_store::Overlap`]). That alone is no proof of two probes: a capture may have been replayed for time that
//! was observed live, or a clock set back between two runs. There are **two live probes** when it happens again and
//! again while time goes on: in [`ROUNDS`] rounds, each at least half an interval after the one before, with batches of the
//! present that came from both since then. A replay comes all at once, or tells of the past, and of two runs of one
//! probe the earlier one sends nothing more.
//!
//! What becomes of such batches is a setting (`overlapping_probes`). By default they count, and their reports say how
//! much they overlap. With `refuse` a time counts once for each server: what another epoch covers already is refused
//! for good, so whoever brought it keeps it. Of two live probes the one that began first goes on counting: the
//! other one's batches are refused even when they come before its own, until it leaves an interval uncovered.
//! Then the other one takes over.

use crate::Error;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use zonepulse_model::{OverlappingProbes, ServerId};
use zonepulse_store::{Overlap, Store, Write};
use zonepulse_wire::{Batch, Coverage};

/// So many rounds are no accident.
const ROUNDS: u32 = 3;
/// Coverage that ended longer ago than this is not the present, milliseconds: batches may be late, and clocks differ.
const PRESENT_MS: u64 = 900_000;
/// Two probes are not two any more when so long nothing has overlapped, milliseconds, or three intervals.
const FORGET_MS: u64 = 120_000;
/// A shorter overlap is none, milliseconds; of a short interval a quarter. A clock that is corrected between two runs
/// of a probe is corrected by less.
const TOLERANCE_MS: u64 = 2000;
/// Pairs of epochs of one server that are known. No other takes the place of one that is not over: of many probes, these are
/// seen to be live.
const MAX_PAIRS: usize = 4;
/// The log says so again after this, milliseconds.
const LOG_AFTER_MS: u64 = 60_000;

/// What is known of overlaps, by server.
#[derive(Debug, Default)]
pub(crate) struct Twins(Mutex<BTreeMap<ServerId, OfServer>>);

/// What the batches of a write that is not on disk yet bring. Those that follow in the same write see it; without the
/// write it is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Pending(BTreeMap<ServerId, News>);

#[derive(Debug)]
struct News {
    server: OfServer,
    /// What becomes of batches whose time another epoch covers, in the words of the log.
    becomes: Option<&'static str>,
}

#[derive(Debug, Default, Clone)]
struct OfServer {
    counted: u64,
    refused: u64,
    pairs: Vec<Pair>,
    logged_ms: u64,
}

/// Two epochs that have overlapped, the one that began first before the other.
#[derive(Debug, Clone)]
struct Pair {
    epochs: [u64; 2],
    /// Up to where each is known to cover, Unix milliseconds.
    until_ms: [u64; 2],
    /// Whether a batch of it came since the last round.
    heard: [bool; 2],
    rounds: u32,
    interval_ms: u64,
    began_ms: u64,
    last_round_ms: u64,
}

/// How batches of one server overlap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overlaps {
    /// Batches that were counted since the start though another epoch covers their time.
    pub counted: u64,
    /// Batches that were refused since the start because another epoch covers their time.
    pub refused: u64,
    /// Two live probes, if there are.
    pub live: Option<LiveProbes>,
}

/// Two probes that send for one server at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveProbes {
    /// Their epochs, that of the one that began first before the other.
    pub epochs: [u64; 2],
    /// Since when they have been seen to overlap, Unix milliseconds.
    pub since_ms: u64,
}

impl Twins {
    /// How much of a batch's coverage another epoch covers, milliseconds. What is to be remembered of it is `pending`.
    ///
    /// Fails with [`Error::Overlaps`] when the batch must not count for it.
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

    /// What is known of a server with what the write brings; none of one of which nothing is known, unless there is `more`.
    fn news<'p>(&self, server_id: ServerId, more: bool, pending: &'p mut Pending) -> Option<&'p mut News> {
        match pending.0.entry(server_id) {
            Entry::Occupied(news) => Some(news.into_mut()),
            Entry::Vacant(place) => {
                let server = self.lock().get(&server_id).cloned().or_else(|| more.then(OfServer::default))?;
                Some(place.insert(News { server, becomes: None }))
            }
        }
    }

    /// The write is on disk. There is one writer: nothing else has changed meanwhile.
    pub(crate) fn adopt(&self, pending: Pending, now_ms: u64) {
        let mut all = self.lock();
        for (server_id, News { mut server, becomes }) in pending.0 {
            if let Some(becomes) = becomes {
                server.warn(server_id, becomes, now_ms);
            }
            all.insert(server_id, server);
        }
    }

    /// How batches of a server overlap at this time, Unix milliseconds.
    pub(crate) fn of(&self, server_id: ServerId, now_ms: u64) -> Overlaps {
        let all = self.lock();
        let Some(server) = all.get(&server_id) else { return Overlaps::default() };
        let live = server.live(now_ms).map(|pair| LiveProbes { epochs: pair.epochs, since_ms: pair.began_ms });
        Overlaps { counted: server.counted, refused: server.refused, live }
    }

    /// What this guards is whole after every statement.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ServerId, OfServer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfServer {
    /// The epoch of the other live probe, which began before this one and has covered all up to here: its own batch of what
    /// follows is on its way.
    fn waits_for(&self, epoch: u64, from_ms: u64, now_ms: u64) -> Option<u64> {
        let goes_on = |pair: &&Pair| pair.epochs[1] == epoch && pair.until_ms[0] >= from_ms && pair.is_live(now_ms);
        self.pairs.iter().find(goes_on).map(|pair| pair.epochs[0])
    }

    /// A batch was refused because that one's is on its way.
    fn waited(&mut self, batch: &Batch, now_ms: u64) {
        for pair in self.pairs.iter_mut().filter(|pair| pair.epochs[1] == batch.identity.epoch) {
            pair.round([pair.until_ms[0], batch.coverage.until_ms], batch.interval_ms(), now_ms);
        }
    }

    /// A batch of an epoch came.
    fn hear(&mut self, epoch: u64) {
        for pair in &mut self.pairs {
            for (of, heard) in pair.epochs.iter().zip(&mut pair.heard) {
                *heard |= *of == epoch;
            }
        }
    }

    /// A batch of an epoch counts, and covers up to this.
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

    /// The pair of which both are live.
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
