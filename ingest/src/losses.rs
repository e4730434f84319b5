//! Batches that probes gave up or that were refused, counted per server and logged.
//!
//! A probe with a full spool gives up its oldest batches, and its next batch reports how many and the time they
//! covered ([`Evicted`]). That data is lost for good, so it is logged as well as stored in a table.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zonepulse_model::{Evicted, ServerId};
use zonepulse_wire::Utc;

/// Minimum time between two log lines about the same server.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// One server's batches that were lost or refused since startup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Batches that its probe gave up before the central had received them.
    pub evicted: u64,
    /// Permanently refused batches.
    pub refused: u64,
}

/// Losses per server. Bounded, because only servers whose token was presented are counted.
#[derive(Debug, Default)]
pub(crate) struct Losses(Mutex<BTreeMap<ServerId, Account>>);

#[derive(Debug, Default)]
struct Account {
    lost: Lost,
    /// Losses not yet logged.
    untold: Option<Evicted>,
    warned: Option<Instant>,
    /// By cause: when refused batches were last logged, and the number since then.
    refusals: BTreeMap<&'static str, (Option<Instant>, u64)>,
}

impl Losses {
    /// Records that a server's probe gave up batches.
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

    /// Counts given-up batches; if a log line is due, returns all that have not been logged yet.
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

    /// Records that a server's batch was permanently refused.
    pub(crate) fn refused(&self, server_id: ServerId) {
        self.accounts().entry(server_id).or_default().lost.refused += 1;
    }

    /// Counts a refusal by its cause. If a log line is due, returns the number of refusals since the last one.
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
