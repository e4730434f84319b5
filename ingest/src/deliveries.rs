//! The current state of delivery of a server's batches: whether they are being refused, and what was lost recently.
//!
//! Counters since startup ([`crate::Lost`]) show that something happened; this shows whether it is still happening.
//! DNS and metrics batches are distinguished by the version in their header, because one kind may be refused while
//! the other is accepted. The state is in memory only: after a restart, the next refusal restores it.

use crate::Error;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use zonepulse_model::{Evicted, ServerId};

/// How long batches count as being refused after the last refusal, in milliseconds, unless one of the same kind is
/// accepted first. Longer than the longest interval.
const REFUSED_MS: u64 = 600_000;
/// How long losses are reported, in milliseconds.
const LOST_MS: u64 = 3_600_000;
/// Maximum number of batch kinds distinguished per server.
const MAX_KINDS: usize = 4;
/// The kind of a batch whose kind is unknown. Its refusal ends when a batch of any kind is accepted.
pub(crate) const ANY: u8 = 0;
/// Maximum length of a refusal's detail, in characters.
const MAX_DETAIL: usize = 500;

/// The state of delivery of one server's batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// When a batch was last accepted, in Unix milliseconds; `None` if none was since startup.
    pub accepted_ms: Option<u64>,
    /// Batches currently being refused.
    pub refused: Option<Refused>,
    /// Batches permanently refused within the last hour.
    pub put_aside: Option<PutAside>,
    /// Messages that went to the broker's dead-letter queue within the last hour and claim to be from this server
    /// without proving it.
    pub unproven: Option<PutAside>,
    /// Batches that the probe reported within the last hour as given up.
    pub given_up: Option<GivenUp>,
}

/// Batches currently being refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Start of the current uninterrupted run of refusals, of any kind, in Unix milliseconds.
    pub since_ms: u64,
    /// When the last one was refused.
    pub last_ms: u64,
    /// Number of refusals of any kind since then; retries count again.
    pub count: u64,
    /// A short identifier of the last refusal's cause ([`Error::cause`]).
    pub cause: &'static str,
    /// The last refusal's cause as a sentence.
    pub detail: String,
    /// Whether the central itself is at fault, rather than any server.
    pub of_central: bool,
}

/// Permanently refused batches, which their sender keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutAside {
    /// Number of batches.
    pub batches: u64,
    /// When the first of them was refused, in Unix milliseconds.
    pub first_ms: u64,
    /// When the last of them was refused.
    pub last_ms: u64,
}

impl PutAside {
    fn add(sum: &mut Option<PutAside>, now_ms: u64) {
        let sum = sum.get_or_insert(PutAside { batches: 0, first_ms: now_ms, last_ms: now_ms });
        sum.batches = sum.batches.saturating_add(1);
        sum.last_ms = now_ms;
    }
}

/// Batches that a probe gave up before the central had received them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenUp {
    /// How many batches, and the time they covered.
    pub evicted: Evicted,
    /// When the central first heard about them, in Unix milliseconds.
    pub first_ms: u64,
    /// When the central last heard about them.
    pub last_ms: u64,
}

/// A refusal to record.
pub(crate) struct Refusal<'a> {
    pub cause: &'static str,
    pub detail: &'a dyn std::fmt::Display,
    pub of_central: bool,
}

impl<'a> Refusal<'a> {
    /// `None` for errors that say nothing about the server's batches: they are sent again and accepted then.
    pub(crate) fn of(error: &'a Error) -> Option<Self> {
        let of_central = matches!(error, Error::Behind { .. } | Error::NoSpace { .. } | Error::Store(_));
        match error {
            Error::Busy | Error::Closed | Error::Trust(_) | Error::Broker(_) | Error::Thread(_) => None,
            _ => Some(Refusal { cause: error.cause(), detail: error, of_central }),
        }
    }
}

/// Delivery state per server. Bounded, because only servers in the registry are tracked.
#[derive(Debug, Default)]
pub(crate) struct Deliveries(Mutex<BTreeMap<ServerId, Account>>);

#[derive(Debug, Default)]
struct Account {
    accepted_ms: Option<u64>,
    /// The last refusal of each kind.
    refused: BTreeMap<u8, Last>,
    /// The current run of refusals, of all kinds.
    run: Option<Run>,
    put_aside: Option<PutAside>,
    unproven: Option<PutAside>,
    given_up: Option<GivenUp>,
}

/// The last refusal of a kind.
#[derive(Debug)]
struct Last {
    at_ms: u64,
    cause: &'static str,
    detail: String,
    of_central: bool,
}

/// A run of refusals during which batches of at least one kind were being refused. Its figures never go backwards
/// when one kind is accepted again while another is not.
#[derive(Debug, Clone, Copy)]
struct Run {
    since_ms: u64,
    count: u64,
}

impl Deliveries {
    /// Records that a batch of a kind was accepted.
    pub(crate) fn accepted(&self, server_id: ServerId, kind: u8, now_ms: u64) {
        let mut accounts = self.accounts();
        let account = accounts.entry(server_id).or_default();
        account.accepted_ms = Some(now_ms);
        account.retain(|refused, _| refused != kind && refused != ANY);
    }

    /// Records that a batch of a kind was refused.
    pub(crate) fn refused(&self, server_id: ServerId, kind: u8, refusal: &Refusal<'_>, now_ms: u64) {
        let Refusal { cause, detail, of_central } = *refusal;
        let mut accounts = self.accounts();
        let account = accounts.entry(server_id).or_default();
        account.drop_old(now_ms);
        if account.refused.len() >= MAX_KINDS && !account.refused.contains_key(&kind) {
            let oldest = account.refused.iter().min_by_key(|(_, last)| last.at_ms).map(|(kind, _)| *kind);
            oldest.and_then(|oldest| account.refused.remove(&oldest));
        }
        let detail: String = detail.to_string().chars().take(MAX_DETAIL).collect();
        account.refused.insert(kind, Last { at_ms: now_ms, cause, detail, of_central });
        let run = account.run.get_or_insert(Run { since_ms: now_ms, count: 0 });
        run.count = run.count.saturating_add(1);
    }

    /// Records that a batch was permanently refused and that its sender put it aside.
    pub(crate) fn put_aside(&self, server_id: ServerId, now_ms: u64) {
        let mut accounts = self.accounts();
        let account = accounts.entry(server_id).or_default();
        account.drop_old(now_ms);
        PutAside::add(&mut account.put_aside, now_ms);
    }

    /// Records that a message went to the dead-letter queue that claims to be from this server without proving it.
    pub(crate) fn put_aside_unproven(&self, server_id: ServerId, now_ms: u64) {
        let mut accounts = self.accounts();
        let account = accounts.entry(server_id).or_default();
        account.drop_old(now_ms);
        PutAside::add(&mut account.unproven, now_ms);
    }

    /// Records that a server's probe gave up batches.
    pub(crate) fn given_up(&self, server_id: ServerId, evicted: Evicted, now_ms: u64) {
        let mut accounts = self.accounts();
        let account = accounts.entry(server_id).or_default();
        account.drop_old(now_ms);
        let none = GivenUp { evicted: Evicted { batches: 0, ..evicted }, first_ms: now_ms, last_ms: now_ms };
        let sum = account.given_up.get_or_insert(none);
        sum.evicted.batches = sum.evicted.batches.saturating_add(evicted.batches);
        sum.evicted.from_s = sum.evicted.from_s.min(evicted.from_s);
        sum.evicted.until_s = sum.evicted.until_s.max(evicted.until_s);
        sum.last_ms = now_ms;
    }

    /// The state at `now_ms`. If several kinds are being refused, the cause is that of the most recent refusal.
    pub(crate) fn of(&self, server_id: ServerId, now_ms: u64) -> Delivery {
        let mut accounts = self.accounts();
        let Some(account) = accounts.get_mut(&server_id) else { return Delivery::default() };
        account.drop_old(now_ms);
        let Account { accepted_ms, put_aside, unproven, given_up, .. } = *account;
        Delivery { accepted_ms, refused: account.refused(), put_aside, unproven, given_up }
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<ServerId, Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn refused(&self) -> Option<Refused> {
        let Run { since_ms, count } = self.run?;
        let Last { at_ms: last_ms, cause, detail, of_central } = self.refused.values().max_by_key(|last| last.at_ms)?;
        Some(Refused { since_ms, last_ms: *last_ms, count, cause, detail: detail.clone(), of_central: *of_central })
    }

    /// Keeps only the refusals that still apply.
    fn retain(&mut self, holds: impl Fn(u8, &Last) -> bool) {
        self.refused.retain(|kind, last| holds(*kind, last));
        self.run.take_if(|_| self.refused.is_empty());
    }

    fn drop_old(&mut self, now_ms: u64) {
        let is_recent = |at_ms: u64, within_ms: u64| now_ms.abs_diff(at_ms) < within_ms;
        self.retain(|_, last| is_recent(last.at_ms, REFUSED_MS));
        for aside in [&mut self.put_aside, &mut self.unproven] {
            aside.take_if(|aside| !is_recent(aside.last_ms, LOST_MS));
        }
        self.given_up.take_if(|given_up| !is_recent(given_up.last_ms, LOST_MS));
    }
}

#[cfg(test)]
#[path = "deliveries_tests.rs"]
mod way_in_tests;

#[cfg(test)]
mod tests {
    use super::*;

    const DNS: u8 = 1;
    const SYSTEM: u8 = 2;

    fn refuse(deliveries: &Deliveries, kind: u8, error: &Error, now_ms: u64) {
        deliveries.refused(ServerId::new(1), kind, &Refusal::of(error).unwrap(), now_ms);
    }

    fn refused(deliveries: &Deliveries, now_ms: u64) -> Option<(u64, u64, &'static str)> {
        deliveries.of(ServerId::new(1), now_ms).refused.map(|refused| (refused.since_ms, refused.count, refused.cause))
    }

    #[test]
    fn batches_are_refused_until_one_of_their_kind_is_taken() {
        let deliveries = Deliveries::default();
        refuse(&deliveries, DNS, &Error::Interval(7), 1000);
        refuse(&deliveries, DNS, &Error::Interval(7), 61_000);
        deliveries.accepted(ServerId::new(1), SYSTEM, 62_000);
        assert_eq!(refused(&deliveries, 63_000), Some((1000, 2, "interval")), "metrics are taken all the while");
        deliveries.accepted(ServerId::new(1), DNS, 121_000);
        assert_eq!((refused(&deliveries, 121_000), deliveries.of(ServerId::new(1), 121_000).accepted_ms), (None, Some(121_000)));
    }

    #[test]
    fn the_count_does_not_run_backwards_when_one_kind_is_taken_and_another_is_not() {
        let deliveries = Deliveries::default();
        for n in 0..7 {
            refuse(&deliveries, DNS, &Error::Interval(7), 1000 + n);
        }
        refuse(&deliveries, SYSTEM, &Error::UnknownServer(ServerId::new(1)), 2000);
        assert_eq!(refused(&deliveries, 2000), Some((1000, 8, "unknown_server")), "whichever kind was the last");
        deliveries.accepted(ServerId::new(1), DNS, 3000);
        refuse(&deliveries, SYSTEM, &Error::UnknownServer(ServerId::new(1)), 4000);
        assert_eq!(refused(&deliveries, 4000), Some((1000, 9, "unknown_server")));
    }

    #[test]
    fn the_count_begins_anew_when_no_kind_was_refused_any_more() {
        let deliveries = Deliveries::default();
        refuse(&deliveries, DNS, &Error::Interval(7), 1000);
        deliveries.accepted(ServerId::new(1), DNS, 2000);
        refuse(&deliveries, DNS, &Error::Interval(7), 3000);
        assert_eq!(refused(&deliveries, 3000), Some((3000, 1, "interval")));
        refuse(&deliveries, DNS, &Error::Interval(7), 3000 + REFUSED_MS);
        assert_eq!(refused(&deliveries, 3000 + REFUSED_MS), Some((3000 + REFUSED_MS, 1, "interval")));
    }

    #[test]
    fn batches_that_no_longer_come_are_no_longer_refused() {
        let deliveries = Deliveries::default();
        refuse(&deliveries, DNS, &Error::Interval(7), 1000);
        assert!(refused(&deliveries, 1000 + REFUSED_MS - 1).is_some());
        assert_eq!(refused(&deliveries, 1000 + REFUSED_MS), None);
    }

    #[test]
    fn a_busy_central_refuses_nothing_and_a_full_disk_is_its_own_fault() {
        assert!(Refusal::of(&Error::Busy).is_none() && Refusal::of(&Error::Closed).is_none());
        let full = Error::NoSpace { free_bytes: 5, min_free_bytes: 1024 };
        let deliveries = Deliveries::default();
        refuse(&deliveries, DNS, &full, 1000);
        let Delivery { refused: Some(refused), put_aside: None, .. } = deliveries.of(ServerId::new(1), 1000) else {
            panic!("{deliveries:?}")
        };
        assert!(refused.of_central && refused.detail.contains("5 bytes are free"), "{refused:?}");
    }

    #[test]
    fn what_was_refused_for_good_is_told_for_an_hour() {
        let deliveries = Deliveries::default();
        refuse(&deliveries, DNS, &Error::Interval(7), 1000);
        deliveries.put_aside(ServerId::new(1), 1000);
        deliveries.accepted(ServerId::new(1), DNS, 3000);
        let aside = Some(PutAside { batches: 1, first_ms: 1000, last_ms: 1000 });
        assert_eq!(deliveries.of(ServerId::new(1), 1000 + LOST_MS - 1).put_aside, aside);
        assert_eq!(deliveries.of(ServerId::new(1), 1000 + LOST_MS).put_aside, None);
    }

    #[test]
    fn what_claims_to_be_of_a_server_and_is_dead_lettered_is_told_for_an_hour_after_the_last() {
        let deliveries = Deliveries::default();
        deliveries.put_aside_unproven(ServerId::new(1), 1000);
        deliveries.put_aside_unproven(ServerId::new(1), 5000);
        deliveries.accepted(ServerId::new(1), DNS, 6000);
        let Delivery { unproven, put_aside, .. } = deliveries.of(ServerId::new(1), 5000 + LOST_MS - 1);
        assert_eq!((unproven, put_aside), (Some(PutAside { batches: 2, first_ms: 1000, last_ms: 5000 }), None));
        assert_eq!(deliveries.of(ServerId::new(1), 5000 + LOST_MS).unproven, None);
    }

    #[test]
    fn what_a_probe_gave_up_is_told_for_an_hour_with_all_of_its_time() {
        let deliveries = Deliveries::default();
        let evicted = |batches, from_s, until_s| Evicted { batches, from_s, until_s };
        deliveries.given_up(ServerId::new(1), evicted(13, 600, 1380), 2_000_000);
        deliveries.given_up(ServerId::new(1), evicted(2, 1380, 1500), 2_060_000);
        let sum = GivenUp { evicted: evicted(15, 600, 1500), first_ms: 2_000_000, last_ms: 2_060_000 };
        assert_eq!(deliveries.of(ServerId::new(1), 2_060_000).given_up, Some(sum));
        assert_eq!(deliveries.of(ServerId::new(1), 2_060_000 + LOST_MS).given_up, None);
    }

    #[test]
    fn kinds_without_number_take_no_memory() {
        let deliveries = Deliveries::default();
        (0..=u8::MAX).for_each(|kind| refuse(&deliveries, kind, &Error::Interval(7), 1000 + u64::from(kind)));
        assert_eq!(deliveries.accounts().get(&ServerId::new(1)).unwrap().refused.len(), MAX_KINDS);
        assert_eq!(refused(&deliveries, 2000), Some((1000, 256, "interval")));
    }
}
