//! Fair shares of a dictionary: how many new entries a server may add.
//!
//! A dictionary is bounded and shared by the whole fleet, so one server must not be able to fill it. Every entry is
//! charged to the server that introduced it. Two bounds apply to each server:
//!
//! * **Its share.** Half of the dictionary is reserved: each registered server is guaranteed an equal part of it. The
//!   other half is common. Beyond its guarantee, a server may take no more of the common half than it leaves free
//!   (the dynamic threshold of Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet
//!   switches", 1998). A single server gets three quarters of the dictionary; several servers that take all they can
//!   each get the same amount; and a server added later still finds its guarantee free.
//! * **Its rate**, a token bucket: a burst for the first start with a large zone, then a fixed number per minute.
//!
//! Only new entries are charged: known ones are free.

use std::collections::BTreeMap;
use std::time::Instant;
use zonepulse_model::ServerId;

/// Minimum interval between warnings about one server, seconds.
const WARN_EVERY_S: u64 = 60;
/// Token units per token. The bucket counts in fractions of a token so that no millisecond's refill is lost.
const MINUTE_MS: u64 = 60_000;

/// Bounds on a dictionary and on what one server may add to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Maximum number of entries.
    pub max: u64,
    /// New entries per minute and server, in the long run.
    pub per_minute: u64,
    /// New entries that one server may add at once after a long quiet period.
    pub burst: u64,
}

/// Entries by server.
pub(crate) type Counts = BTreeMap<ServerId, u64>;

/// How a dictionary is shared among servers.
#[derive(Debug)]
pub(crate) struct Shares {
    bounds: Bounds,
    /// Number of servers that share it, and the registry's generation when they were counted.
    servers: u64,
    generation: Option<u64>,
    /// All entries, including those of removed servers.
    taken: u64,
    accounts: BTreeMap<ServerId, Account>,
}

#[derive(Debug, Default)]
struct Account {
    owned: u64,
    refused: u64,
    /// Remaining fractions of a token, and when that was computed; `None` if the bucket is full.
    bucket: Option<(u64, Instant)>,
    warned: Option<Instant>,
}

/// A server's share of a dictionary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// Entries that the server introduced and that still exist.
    pub owned: u64,
    /// How many entries it may own at present.
    pub limit: u64,
    /// New entries, or points that needed them, refused since the store was opened.
    pub refused: u64,
}

impl Shares {
    /// Shares of a dictionary with `taken` entries, some of them owned by servers.
    pub(crate) fn new(bounds: Bounds, taken: u64, owned: Counts) -> Self {
        let account = |(server_id, owned)| (server_id, Account { owned, ..Account::default() });
        Shares { bounds, servers: 1, generation: None, taken, accounts: owned.into_iter().map(account).collect() }
    }

    /// Whether servers were counted at this generation of the registry.
    pub(crate) fn is_counted_at(&self, generation: u64) -> bool {
        self.generation == Some(generation)
    }

    /// Sets the number of servers.
    pub(crate) fn set_servers(&mut self, servers: u64, generation: u64) {
        (self.servers, self.generation) = (servers.max(1), Some(generation));
    }

    /// How many more entries a server may add, on top of those pending in the current write.
    pub(crate) fn room(&self, server_id: ServerId, pending: &Counts, now: Instant) -> u64 {
        let own_pending = pending.get(&server_id).copied().unwrap_or(0);
        let all_pending = pending.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
        let own = self.accounts.get(&server_id);
        let free = self.bounds.max.saturating_sub(self.taken).saturating_sub(all_pending);
        let owned = own.map_or(0, |account| account.owned).saturating_add(own_pending);
        let left = self.limit(server_id, pending).saturating_sub(owned);
        let tokens = own.map_or(self.bounds.burst, |account| self.tokens(account, now) / MINUTE_MS);
        left.min(free).min(tokens.saturating_sub(own_pending))
    }

    /// How many entries a server may own, given what the others own.
    fn limit(&self, server_id: ServerId, pending: &Counts) -> u64 {
        let guaranteed = self.guaranteed();
        let common = self.bounds.max - guaranteed * self.servers;
        let of = |id: &ServerId, owned: u64| owned.saturating_add(pending.get(id).copied().unwrap_or(0));
        let beyond = |owned: u64| owned.saturating_sub(guaranteed);
        let known = self.accounts.iter().map(|(id, account)| (*id, of(id, account.owned)));
        let new = pending.iter().filter(|(id, _)| !self.accounts.contains_key(id)).map(|(id, count)| (*id, *count));
        let others: u64 = known.chain(new).filter(|(id, _)| *id != server_id).map(|(_, owned)| beyond(owned)).sum();
        let accounted: u64 = self.accounts.values().map(|account| account.owned).sum();
        let of_nobody = self.taken.saturating_sub(accounted);
        // As much as it leaves free.
        guaranteed + common.saturating_sub(others).saturating_sub(of_nobody).div_ceil(2)
    }

    /// The guaranteed entries of each server, whatever the others own.
    fn guaranteed(&self) -> u64 {
        self.bounds.max / 2 / self.servers
    }

    /// Fractions of a token that a server has available.
    fn tokens(&self, account: &Account, now: Instant) -> u64 {
        let full = self.bounds.burst.saturating_mul(MINUTE_MS);
        account.bucket.map_or(full, |(left, since)| {
            let elapsed_ms = u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX);
            left.saturating_add(elapsed_ms.saturating_mul(self.bounds.per_minute)).min(full)
        })
    }

    /// Charges servers for the entries that a write added.
    pub(crate) fn charge(&mut self, added: &Counts, now: Instant) {
        for (server_id, count) in added {
            let left = self.accounts.get(server_id).map_or(self.bounds.burst.saturating_mul(MINUTE_MS), |a| self.tokens(a, now));
            let account = self.accounts.entry(*server_id).or_default();
            account.owned = account.owned.saturating_add(*count);
            account.bucket = Some((left.saturating_sub(count.saturating_mul(MINUTE_MS)), now));
            self.taken = self.taken.saturating_add(*count);
        }
    }

    /// Releases `entries` entries, of which `owned` belonged to servers.
    pub(crate) fn release(&mut self, entries: u64, owned: &Counts) {
        self.taken = self.taken.saturating_sub(entries);
        for (server_id, count) in owned {
            if let Some(account) = self.accounts.get_mut(server_id) {
                account.owned = account.owned.saturating_sub(*count);
            }
        }
    }

    /// Counts refused entries. Returns the servers that are due for a warning, with their refused counts.
    pub(crate) fn refuse(&mut self, refused: &Counts, now: Instant) -> Vec<(ServerId, u64)> {
        let mut warn = Vec::new();
        for (server_id, count) in refused.iter().filter(|(_, count)| **count > 0) {
            let account = self.accounts.entry(*server_id).or_default();
            account.refused = account.refused.saturating_add(*count);
            if account.warned.is_none_or(|warned| now.saturating_duration_since(warned).as_secs() >= WARN_EVERY_S) {
                account.warned = Some(now);
                warn.push((*server_id, account.refused));
            }
        }
        warn
    }

    /// Adds entries that belong to no server.
    pub(crate) fn keep(&mut self, entries: u64) {
        self.taken = self.taken.saturating_add(entries);
    }

    /// Forgets a removed server; its remaining entries have no owner.
    pub(crate) fn forget(&mut self, server_id: ServerId) {
        self.accounts.remove(&server_id);
    }

    /// A server's share.
    pub(crate) fn of(&self, server_id: ServerId) -> Share {
        let account = self.accounts.get(&server_id);
        let limit = self.limit(server_id, &Counts::new());
        Share { owned: account.map_or(0, |a| a.owned), limit, refused: account.map_or(0, |a| a.refused) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MAX: u64 = 8 << 20;

    fn shares(servers: u64) -> Shares {
        let mut shares = Shares::new(Bounds { max: MAX, per_minute: 1000, burst: u64::MAX }, 0, Counts::new());
        shares.set_servers(servers, 1);
        shares
    }

    /// Lets a server take all it may, up to `most`.
    fn take(shares: &mut Shares, server_id: u32, most: u64) -> u64 {
        let (server_id, now) = (ServerId::new(server_id), Instant::now());
        let count = shares.room(server_id, &Counts::new(), now).min(most);
        shares.charge(&Counts::from([(server_id, count)]), now);
        count
    }

    #[test]
    fn no_server_takes_what_the_others_are_guaranteed() {
        for servers in [2, 3, 10, 100] {
            let mut shares = shares(servers);
            let guaranteed = MAX / 2 / servers;
            for hostile in 1..servers as u32 {
                take(&mut shares, hostile, u64::MAX);
            }
            assert!(take(&mut shares, servers as u32, u64::MAX) >= guaranteed, "{servers} servers");
            assert!(shares.taken <= MAX);
        }
    }

    #[test]
    fn one_that_takes_all_it_can_leaves_a_quarter_to_one_that_is_added() {
        let mut shares = shares(1);
        assert_eq!(take(&mut shares, 1, u64::MAX), MAX / 4 * 3);
        shares.set_servers(2, 2);
        assert_eq!(take(&mut shares, 2, u64::MAX), MAX / 4);
    }

    #[test]
    fn a_million_real_records_get_in_however_large_the_fleet_and_beside_a_flood() {
        for servers in [1, 2, 10, 1000] {
            let mut shares = shares(servers);
            if servers > 1 {
                take(&mut shares, 1, u64::MAX);
            }
            assert_eq!(take(&mut shares, 2, 1_000_000), 1_000_000, "{servers} servers");
        }
        let mut fleet = shares(100);
        let taken: u64 = (1..=100).map(|server_id| take(&mut fleet, server_id, 50_000)).sum();
        assert_eq!(taken, 100 * 50_000, "the first start of a fleet");
    }

    #[test]
    fn what_is_given_back_may_be_taken_again() {
        let mut shares = shares(2);
        let taken = take(&mut shares, 1, u64::MAX);
        assert_eq!(take(&mut shares, 1, 1), 0);
        shares.release(taken, &Counts::from([(ServerId::new(1), taken)]));
        assert_eq!(take(&mut shares, 1, u64::MAX), taken);
    }

    #[test]
    fn what_a_write_under_way_adds_counts() {
        let shares = shares(2);
        let now = Instant::now();
        let all = shares.room(ServerId::new(1), &Counts::new(), now);
        assert_eq!(shares.room(ServerId::new(1), &Counts::from([(ServerId::new(1), all)]), now), 0);
        assert!(shares.room(ServerId::new(2), &Counts::from([(ServerId::new(1), all)]), now) < all);
    }

    #[test]
    fn new_entries_come_at_a_rate_after_a_burst() {
        let mut shares = Shares::new(Bounds { max: MAX, per_minute: 60, burst: 100 }, 0, Counts::new());
        let begun = Instant::now();
        let room = |shares: &Shares, after_s| shares.room(ServerId::new(1), &Counts::new(), begun + Duration::from_secs(after_s));
        assert_eq!(room(&shares, 0), 100);
        shares.charge(&Counts::from([(ServerId::new(1), 100)]), begun);
        assert_eq!((room(&shares, 0), room(&shares, 7), room(&shares, 60), room(&shares, 3600)), (0, 7, 60, 100));
        assert_eq!(shares.room(ServerId::new(2), &Counts::new(), begun), 100, "another's bucket is its own");
    }

    #[test]
    fn a_server_is_warned_about_once_a_minute_and_everything_is_counted() {
        let mut shares = shares(2);
        let begun = Instant::now();
        let mut refuse = |after_s| shares.refuse(&Counts::from([(ServerId::new(1), 5)]), begun + Duration::from_secs(after_s));
        assert_eq!([refuse(0), refuse(59), refuse(60)], [vec![(ServerId::new(1), 5)], vec![], vec![(ServerId::new(1), 15)]]);
        assert_eq!(shares.of(ServerId::new(1)).refused, 15);
        shares.forget(ServerId::new(1));
        assert_eq!(shares.of(ServerId::new(1)).refused, 0);
    }
}
