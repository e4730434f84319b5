//! Checks whether the times in a batch are plausible.
//!
//! Either the probe's clock or the central's may be wrong. Since times from a batch become permanent first and last
//! access times, both directions are bounded:
//!
//! * **Ahead** ([`Error::Ahead`]): not accepted, but not permanently refused either. The batch may be right, and
//!   waiting resolves it, whichever clock gets corrected. Beyond the year 9999 nothing does; the wire format ends
//!   there.
//! * **Too old** ([`Error::TooOld`]): permanently refused, because waiting only makes the batch older. The sender
//!   keeps it. Captures that are years old are replayed on purpose; if they are older than retention, they count
//!   only in totals. A clock that lost its time shows 1970, 1980 or 2000. The default lies between the two.
//!
//! The committer runs these checks after looking for the batch's marker: a copy of a batch that is already stored is
//! confirmed regardless of the clock and the bounds.

use crate::Error;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use zonepulse_model::{Evicted, ServerId};
use zonepulse_store::Server;
use zonepulse_wire::Message;

/// Default for how far ahead of the central's clock a batch may be, in seconds: clocks without NTP drift by about a
/// second a day.
pub(crate) const DEFAULT_MAX_AHEAD_S: u64 = 600;
/// Default maximum age of a batch, in days: 25 years.
pub(crate) const DEFAULT_MAX_AGE_DAYS: u32 = 25 * 365;

const DAY_S: u64 = 86_400;
/// The beginning of 2025 in Unix seconds: no central ran before that.
const FIRST_RELEASE_S: u64 = 1_735_689_600;
/// Minimum time between two log lines about the same server.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// The range of times that batches may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub max_ahead_s: u64,
    pub max_age_days: u32,
}

impl Bounds {
    /// Fails if a message contains a time too far from `now_s`, in Unix seconds.
    pub(crate) fn check(&self, message: &Message, now_s: u64) -> Result<(), Error> {
        let Bounds { max_ahead_s, max_age_days } = *self;
        let ahead_s = message.latest_start_s().saturating_sub(now_s);
        if ahead_s > max_ahead_s {
            return Err(Error::Ahead { ahead_s, max_ahead_s });
        }
        let age_s = now_s.saturating_sub(message.start_s());
        if age_s > u64::from(max_age_days) * DAY_S {
            return Err(Error::TooOld { start_s: message.start_s(), age_days: age_s / DAY_S, max_age_days });
        }
        Ok(())
    }

    /// Clamps the time range of evicted batches, as reported by a batch, to the accepted range. The batch's own time
    /// has been checked, and the eviction times do not affect totals, so they are no reason to refuse it.
    pub(crate) fn cut(&self, evicted: &mut Evicted, now_s: u64) {
        let earliest_s = now_s.saturating_sub(u64::from(self.max_age_days) * DAY_S);
        let latest_s = now_s.saturating_add(self.max_ahead_s).max(earliest_s);
        evicted.from_s = evicted.from_s.clamp(earliest_s, latest_s);
        evicted.until_s = evicted.until_s.clamp(earliest_s, latest_s);
    }

    /// Fails with [`Error::Behind`] while the central's own clock must be wrong: it shows a time before the first
    /// release, or before the first of its servers was added. A clock that is behind by less cannot be distinguished
    /// from probes that are ahead.
    pub(crate) fn check_clock(&self, servers: &[Server], now_s: u64) -> Result<(), Error> {
        let first_s = servers.iter().filter(|server| !server.is_removed()).map(|server| server.created_ms / 1000).min();
        let least_s = first_s.unwrap_or(0).max(FIRST_RELEASE_S);
        let behind_s = least_s.saturating_sub(now_s);
        if behind_s > self.max_ahead_s { Err(Error::Behind { behind_s }) } else { Ok(()) }
    }
}

/// The current time in Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// One server's batches rejected because of their times since startup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BadTimes {
    /// Batches ahead of the clock; every attempt counts.
    pub ahead: u64,
    /// Batches that were too old and permanently refused.
    pub too_old: u64,
}

/// Counts per server. Bounded, because only servers in the registry are counted.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<BTreeMap<ServerId, Account>>);

#[derive(Debug, Default)]
struct Account {
    counts: BadTimes,
    warned: Option<Instant>,
}

impl Tally {
    /// Counts an error if it concerns times, and logs it at most once per [`WARN_EVERY`].
    pub(crate) fn add(&self, server_id: ServerId, error: &Error, now: Instant) {
        let mut accounts = self.accounts();
        let account = match error {
            Error::Ahead { .. } => {
                let account = accounts.entry(server_id).or_default();
                account.counts.ahead += 1;
                account
            }
            Error::TooOld { .. } => {
                let account = accounts.entry(server_id).or_default();
                account.counts.too_old += 1;
                account
            }
            _ => return,
        };
        if account.warned.is_none_or(|warned| now.saturating_duration_since(warned) >= WARN_EVERY) {
            account.warned = Some(now);
            let BadTimes { ahead, too_old } = account.counts;
            tracing::warn!(server_id = server_id.get(), %error, ahead, too_old, "batches with impossible times are not taken");
        }
    }

    pub(crate) fn of(&self, server_id: ServerId) -> BadTimes {
        self.accounts().get(&server_id).map(|account| account.counts).unwrap_or_default()
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<ServerId, Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
