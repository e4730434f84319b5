//! Limits how many batches each server may have in progress.
//!
//! A batch holds a place from before it is decoded until it is on disk. Places are bounded in number and in bytes and
//! shared by the whole fleet. A server may hold no more than it leaves free, so a server that sends as much as it can
//! gets half of the capacity, and every other server still finds room. The size of a batch is known only once it is
//! decoded; until then its encoded size is counted, and each server decodes only a few batches at a time.

use crate::Error;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use zonepulse_model::ServerId;

/// Batches of one server that are decoded at a time.
const DECODED_AT_ONCE: usize = 2;
/// Maximum waiting batches of one server; further ones are turned away immediately.
const MAX_WAITING: usize = 256;
/// A server that holds no place may always submit a batch of up to this size.
const SMALL_BYTES: usize = 64 << 10;

/// Limits on all places together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub batches: usize,
    pub bytes: usize,
}

/// The shared pool of places.
pub(crate) struct Admission {
    bounds: Bounds,
    state: Mutex<State>,
    /// Notified when a place is released.
    freed: Notify,
}

#[derive(Default)]
struct State {
    batches: usize,
    bytes: usize,
    servers: BTreeMap<ServerId, Lane>,
}

/// One server's batches in progress.
struct Lane {
    batches: usize,
    bytes: usize,
    waiting: usize,
    postponed: u64,
    /// Permits for decoding.
    turns: Arc<Semaphore>,
}

impl Default for Lane {
    fn default() -> Self {
        Lane { batches: 0, bytes: 0, waiting: 0, postponed: 0, turns: Arc::new(Semaphore::new(DECODED_AT_ONCE)) }
    }
}

/// A server's batches in progress, and those it was asked to retry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OnTheWay {
    /// Batches being decoded, waiting or being written.
    pub batches: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Batches that found no place since startup, whose sender was asked to retry.
    pub postponed: u64,
}

/// A held place, released on drop.
pub(crate) struct Place {
    admission: Arc<Admission>,
    server_id: ServerId,
    bytes: usize,
    turn: Option<OwnedSemaphorePermit>,
}

impl Admission {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let bounds = Bounds { batches: bounds.batches.max(1), bytes: bounds.bytes.max(1) };
        Admission { bounds, state: Mutex::default(), freed: Notify::new() }
    }

    /// Waits up to `patience` for a place for a server's batch of `bytes` encoded bytes, then fails with
    /// [`Error::Busy`].
    pub(crate) async fn enter(self: &Arc<Self>, server_id: ServerId, bytes: usize, patience: Duration) -> Result<Place, Error> {
        let entered = match Waiting::begin(self, server_id) {
            Some(waiting) => tokio::time::timeout(patience, self.wait(&waiting, bytes)).await.ok().flatten(),
            None => None,
        };
        entered.ok_or_else(|| {
            self.state.lock().servers.entry(server_id).or_default().postponed += 1;
            Error::Busy
        })
    }

    async fn wait(self: &Arc<Self>, waiting: &Waiting<'_>, bytes: usize) -> Option<Place> {
        // First come, first served. The semaphore is never closed.
        let turn = waiting.turns.clone().acquire_owned().await.ok()?;
        loop {
            let mut freed = pin!(self.freed.notified());
            // From here on, no released place goes unnoticed.
            freed.as_mut().enable();
            if self.try_take(waiting.server_id, bytes) {
                return Some(Place { admission: self.clone(), server_id: waiting.server_id, bytes, turn: Some(turn) });
            }
            freed.await;
        }
    }

    /// Takes a place if the server may have one now.
    fn try_take(&self, server_id: ServerId, bytes: usize) -> bool {
        let mut state = self.state.lock();
        let State { batches: all_batches, bytes: all_bytes, servers } = &mut *state;
        let lane = servers.entry(server_id).or_default();
        let free_batches = self.bounds.batches.saturating_sub(*all_batches);
        let free_bytes = self.bounds.bytes.saturating_sub(*all_bytes);
        let shares = lane.batches < free_batches && lane.bytes.saturating_add(bytes) <= free_bytes;
        // A server's first batch is admitted whatever the others hold if it is small, or if the others hold nothing.
        let first = lane.batches == 0 && (bytes <= SMALL_BYTES || *all_batches == 0);
        if shares || first {
            lane.batches += 1;
            lane.bytes += bytes;
            *all_batches += 1;
            *all_bytes += bytes;
        }
        shares || first
    }

    /// The number of batches in progress, and the maximum.
    pub(crate) fn batches(&self) -> (u64, u64) {
        (self.state.lock().batches as u64, self.bounds.batches as u64)
    }

    /// A server's batches in progress.
    pub(crate) fn of(&self, server_id: ServerId) -> OnTheWay {
        let state = self.state.lock();
        let on_the_way =
            |lane: &Lane| OnTheWay { batches: lane.batches as u64, bytes: lane.bytes as u64, postponed: lane.postponed };
        state.servers.get(&server_id).map(on_the_way).unwrap_or_default()
    }
}

impl Place {
    /// Records the decoded size of the batch.
    pub(crate) fn decoded(&mut self, bytes: usize) {
        let mut state = self.admission.state.lock();
        let before = std::mem::replace(&mut self.bytes, bytes);
        state.bytes = (state.bytes - before).saturating_add(bytes);
        if let Some(lane) = state.servers.get_mut(&self.server_id) {
            lane.bytes = (lane.bytes - before).saturating_add(bytes);
        }
        drop(state);
        drop(self.turn.take());
        if bytes < before {
            self.admission.freed.notify_waiters();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.state.lock();
        state.batches -= 1;
        state.bytes -= self.bytes;
        if let Some(lane) = state.servers.get_mut(&self.server_id) {
            lane.batches -= 1;
            lane.bytes -= self.bytes;
        }
        state.forget_idle(self.server_id);
        drop(state);
        self.admission.freed.notify_waiters();
    }
}

impl State {
    /// Drops the entry of a server that has nothing in progress and was never refused a place.
    fn forget_idle(&mut self, server_id: ServerId) {
        let idle = |lane: &Lane| lane.batches == 0 && lane.waiting == 0 && lane.postponed == 0;
        if self.servers.get(&server_id).is_some_and(idle) {
            self.servers.remove(&server_id);
        }
    }
}

/// A batch waiting for its turn and for a place.
struct Waiting<'a> {
    admission: &'a Admission,
    server_id: ServerId,
    turns: Arc<Semaphore>,
}

impl<'a> Waiting<'a> {
    /// `None` if too many of the server's batches are already waiting.
    fn begin(admission: &'a Admission, server_id: ServerId) -> Option<Self> {
        let mut state = admission.state.lock();
        let lane = state.servers.entry(server_id).or_default();
        if lane.waiting >= MAX_WAITING {
            return None;
        }
        lane.waiting += 1;
        Some(Waiting { admission, server_id, turns: lane.turns.clone() })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.admission.state.lock();
        if let Some(lane) = state.servers.get_mut(&self.server_id) {
            lane.waiting -= 1;
        }
        state.forget_idle(self.server_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(batches: usize, bytes: usize) -> Arc<Admission> {
        Arc::new(Admission::new(Bounds { batches, bytes }))
    }

    fn try_enter(admission: &Arc<Admission>, server_id: u32, bytes: usize) -> Option<Place> {
        let admission = admission.clone();
        admission.try_take(ServerId::new(server_id), bytes).then(|| Place {
            admission,
            server_id: ServerId::new(server_id),
            bytes,
            turn: None,
        })
    }

    /// All places that a server can get at once, each decoded to so many bytes.
    fn take(admission: &Arc<Admission>, server_id: u32, encoded: usize, bytes: usize) -> Vec<Place> {
        let place = || {
            let mut place = try_enter(admission, server_id, encoded)?;
            place.decoded(bytes);
            Some(place)
        };
        std::iter::from_fn(place).collect()
    }

    #[test]
    fn one_server_leaves_half_of_the_places_to_the_others() {
        let admission = admission(64, 1 << 30);
        let held = take(&admission, 1, 10, 10);
        assert_eq!(held.len(), 32);
        assert_eq!(take(&admission, 2, 10, 10).len(), 16);
        drop(held);
        assert_eq!(admission.batches(), (0, 64));
    }

    #[test]
    fn bytes_are_shared_as_they_are_after_decoding() {
        let admission = admission(1000, 1000 << 20);
        let held = take(&admission, 1, 1 << 20, 100 << 20);
        assert_eq!(held.len(), 5, "a server may hold as much as is free");
        assert_eq!(admission.of(ServerId::new(1)), OnTheWay { batches: 5, bytes: 500 << 20, postponed: 0 });
        assert_eq!(take(&admission, 2, 1 << 20, 100 << 20).len(), 3);
    }

    #[test]
    fn a_small_batch_of_a_server_that_holds_nothing_is_let_in_even_when_all_is_taken() {
        let admission = admission(2, 100);
        let _large = try_enter(&admission, 1, 500).unwrap();
        let _small = try_enter(&admission, 2, 5).unwrap();
        let _third = try_enter(&admission, 3, SMALL_BYTES).unwrap();
        assert!(try_enter(&admission, 2, 5).is_none() && try_enter(&admission, 4, SMALL_BYTES + 1).is_none());
    }

    #[tokio::test]
    async fn a_server_decodes_two_at_a_time_and_in_order() {
        let admission = admission(100, 1 << 20);
        let enter = async |server_id| admission.enter(server_id, 1, Duration::from_millis(20)).await;
        let mut first = enter(ServerId::new(1)).await.unwrap();
        let _second = enter(ServerId::new(1)).await.unwrap();
        assert!(matches!(enter(ServerId::new(1)).await, Err(Error::Busy)));
        assert!(enter(ServerId::new(2)).await.is_ok());
        first.decoded(1);
        assert!(enter(ServerId::new(1)).await.is_ok());
    }

    #[tokio::test]
    async fn who_waits_gets_the_place_that_is_given_back() {
        let admission = admission(2, 1 << 20);
        let held = try_enter(&admission, 1, 1).unwrap();
        let patience = Duration::from_secs(10);
        let waiting = tokio::spawn({
            let admission = admission.clone();
            async move { admission.enter(ServerId::new(1), 1, patience).await.map(drop) }
        });
        tokio::task::yield_now().await;
        drop(held);
        assert!(waiting.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn who_finds_no_place_is_told_so_and_it_is_counted_for_the_server() {
        let admission = admission(2, 1 << 20);
        let held = try_enter(&admission, 1, 1).unwrap();
        let late = admission.enter(ServerId::new(1), 1, Duration::from_millis(5)).await;
        assert!(matches!(late, Err(Error::Busy)));
        assert_eq!((admission.of(ServerId::new(1)).postponed, admission.of(ServerId::new(2)).postponed), (1, 0));
        // The queue of those who wait is bounded, too.
        let waiting: Vec<_> = (0..MAX_WAITING).map(|_| Waiting::begin(&admission, ServerId::new(1)).unwrap()).collect();
        let begun = std::time::Instant::now();
        assert!(matches!(admission.enter(ServerId::new(1), 1, Duration::from_secs(60)).await, Err(Error::Busy)));
        assert!(begun.elapsed() < Duration::from_secs(5));
        drop(waiting);
        drop(held);
    }
}
