//! What probes gave up, and what of theirs was refused: counted per server, and told in the log.
//!
//! A probe whose spool is full gives up its oldest batches, and its next batch says how many and of which time
//! ([`Evicted`]). That time is lost for good, which somebody should learn from the log and not only from a table.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zonepulse_model::{Evicted, ServerId};
use zonepulse_wire::Utc;

/// A line in the log about a server is followed by another one after so long.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Batches of one server that are lost or were not taken, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Batches that its probe gave up before the central had them.
    pub evicted: u64,
    /// Batches that were refused for good.
    pub refused: u64,
}

/// The same of every server. A server is in it only if its token was shown, which bounds it.
#[derive(Debug, Default)]
pub(crate) struct Losses(Mutex<BTreeMap<ServerId, Account>>);

#[derive(Debug, Default)]
struct Account {
    lost: Lost,
    /// What the log has not told yet.
    untold: Option<Evicted>,
    warned: Option<Instant>,
    /// By cause, when the log last told of refused batches, and how many there were since.
    refusals: BTreeMap<&'static str, (Option<Instant>, u64)>,
}

impl Losses {
    /// A server's probe gave up batches.
    pub(crate) fn evicted(&self, server_id: ServerId, evicted: Evicted, now: Instant) {
        if let Some(Evicted { batches, from_s, until_s }) = self.tell(server_id, evicted, now) {
            tracing::warn!(
                server_id = server_id.get(),
                batches,
                from = %Utc(from_s),
                until = %Utc(until_s),
                "the probe gave up batches before the central had them: this time is not fully observed; is its spool too small?"
            );
        }
    }

    /// Counts them; returns all that the log has not told yet, when it is time for a line.
    fn tell(&self, server_id: ServerId, evicted: Evicted, now: Instant) -> Option<Evicted> {
        let mut accounts = self.accounts();
        let account = accounts.entry(server_id).or_default();
        account.lost.evicted = account.lost.evicted.saturating_add(evicted.batches);
        let sum = account.untold.get_or_insert(Evicted { batches: 0, ..evicted });
        sum.batches = sum.batches.saturating_add(evicted.batches);
        sum.from_s = sum.from_s.min(evicted.from_s);
        sum.until_s = sum.until_s.max(evicted.until_s);
        if account.warned.is_some_and(|warned| now.saturating_duration_since(warned) < WARN_EVERY) {
            return None;
        }
        account.warned = Some(now);
        account.untold.take()
    }

    /// A batch of a server was refused for good.
    pub(crate) fn refused(&self, server_id: ServerId) {
        self.accounts().entry(server_id).or_default().lost.refused += 1;
    }

    /// One more refusal for this cause. Returns how many there were since the last line about it, when it is time for one.
    pub(crate) fn refusal_is_due(&self, server_id: ServerId, cause: &'static str, now: Instant) -> Option<u64> {
        let mut accounts = self.accounts();
        let (warned, since) = accounts.entry(server_id).or_default().refusals.entry(cause).or_default();
        *since += 1;
        if warned.is_some_and(|warned| now.saturating_duration_since(warned) < WARN_EVERY) {
            return None;
        }
        *warned = Some(now);
        Some(std::mem::take(since))
    }

    pub(crate) fn of(&self, server_id: ServerId) -> Lost {
        self.accounts().get(&server_id).map(|account| account.lost).unwrap_or_default()
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<ServerId, Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_once_a_minute_for_each_server_and_cause() {
        let losses = Losses::default();
        let now = Instant::now();
        let due = |server_id, cause, now| losses.refusal_is_due(server_id, cause, now);
        assert_eq!(
            (
                due(ServerId::new(1), "too_old", now),
                due(ServerId::new(1), "malformed", now),
                due(ServerId::new(2), "too_old", now)
            ),
            (Some(1), Some(1), Some(1))
        );
        assert_eq!((0..1000).filter_map(|_| due(ServerId::new(1), "too_old", now)).count(), 0);
        assert_eq!(due(ServerId::new(1), "too_old", now + WARN_EVERY), Some(1001));
    }

    #[test]
    fn evicted_batches_are_told_once_a_minute_with_all_of_their_time() {
        let losses = Losses::default();
        let now = Instant::now();
        let evicted = |batches, from_s, until_s| Evicted { batches, from_s, until_s };
        assert_eq!(losses.tell(ServerId::new(1), evicted(13, 600, 1380), now), Some(evicted(13, 600, 1380)));
        assert_eq!(losses.tell(ServerId::new(1), evicted(2, 1380, 1500), now), None);
        assert_eq!(losses.tell(ServerId::new(2), evicted(1, 0, 60), now), Some(evicted(1, 0, 60)));
        assert_eq!(losses.tell(ServerId::new(1), evicted(1, 540, 600), now + WARN_EVERY), Some(evicted(3, 540, 1500)));
        assert_eq!(losses.of(ServerId::new(1)), Lost { evicted: 16, refused: 0 });
    }
}
