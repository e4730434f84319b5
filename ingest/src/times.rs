//! Whether a batch tells of a time that can be right.
//!
//! A probe's clock may be wrong, and so may the central's. What a batch says of a time becomes a first or a last
//! access for ever, so both directions have a bound:
//!
//! * **Ahead** ([`Error::Ahead`]): not taken and not refused for good. It can be right, and waiting cures it,
//!   whichever clock is set. Past the year 9999 nothing does; the wire format ends there.
//! * **Too old** ([`Error::TooOld`]): refused for good, because waiting makes it older. Whoever brought it keeps it. Captures of
//!   years ago are replayed on purpose, and count in totals only when they are older than retention; a clock that lost
//!   its time shows 1970, 1980 or 2000. The default lies between the two.
//!
//! The committer asks, after it has looked for the batch's marker: a copy of a batch that is in is confirmed, whatever
//! the clock and the bounds say by then.

use crate::Error;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use zonepulse_model::{Evicted, ServerId};
use zonepulse_store::Server;
use zonepulse_wire::Message;

/// How far ahead of the central's clock a batch may be unless it is set, seconds: clocks without NTP drift by a
/// second a day.
pub(crate) const DEFAULT_MAX_AHEAD_S: u64 = 600;
/// How old a batch may be unless it is set, days: 25 years.
pub(crate) const DEFAULT_MAX_AGE_DAYS: u32 = 25 * 365;

const DAY_S: u64 = 86_400;
/// The beginning of 2025, Unix seconds: no central ran before.
const FIRST_RELEASE_S: u64 = 1_735_689_600;
/// A line in the log about a server is followed by another one after so long.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Which times batches may tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub max_ahead_s: u64,
    pub max_age_days: u32,
}

impl Bounds {
    /// Fails when a message tells of a time that is too far from `now_s`, Unix seconds.
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

    /// Cuts what a batch says of when others were evicted to the times that batches may tell of. Its own time was checked, and
    /// when those were is of no account for a total: it is no reason to refuse it.
    pub(crate) fn cut(&self, evicted: &mut Evicted, now_s: u64) {
        let earliest_s = now_s.saturating_sub(u64::from(self.max_age_days) * DAY_S);
        let latest_s = now_s.saturating_add(self.max_ahead_s).max(earliest_s);
        evicted.from_s = evicted.from_s.clamp(earliest_s, latest_s);
        evicted.until_s = evicted.until_s.clamp(earliest_s, latest_s);
    }

    /// Fails with [`Error::Behind`] while the central's own clock must be wrong: it shows a time before there was a central, or
    /// before the first of its servers was added. A clock that is behind by less cannot be told from probes that are ahead.
    pub(crate) fn check_clock(&self, servers: &[Server], now_s: u64) -> Result<(), Error> {
        let first_s = servers.iter().filter(|server| !server.is_removed()).map(|server| server.created_ms / 1000).min();
        let least_s = first_s.unwrap_or(0).max(FIRST_RELEASE_S);
        let behind_s = least_s.saturating_sub(now_s);
        if behind_s > self.max_ahead_s { Err(Error::Behind { behind_s }) } else { Ok(()) }
    }
}

/// Now, Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Batches of one server that were not taken because of their times since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BadTimes {
    /// Those that were ahead of the clock, counted whenever they came.
    pub ahead: u64,
    /// Those that were too old, and refused for good.
    pub too_old: u64,
}

/// The same of every server. A server is in it only if the registry knows it, which bounds it.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<BTreeMap<ServerId, Account>>);

#[derive(Debug, Default)]
struct Account {
    counts: BadTimes,
    warned: Option<Instant>,
}

impl Tally {
    /// Counts an error that is about times, and tells the log now and then.
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
