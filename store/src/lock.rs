//! Ranked locks.
//!
//! Two threads that take two locks in opposite orders can deadlock. The locks of [`Inner`](crate::Inner) therefore
//! have ranks, and a thread may take a lock only if its rank is higher than that of every lock it holds. Debug builds
//! and this crate's tests assert this whenever a lock is taken, even if no other thread is involved. In other builds
//! the check costs nothing.

use parking_lot::{RwLockReadGuard, RwLockWriteGuard};
use std::ops::{Deref, DerefMut};

/// The locks in the order in which they may be taken. [`Inner`](crate::Inner) explains them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Importing,
    Keeper,
    Sweeping,
    Writer,
    Expiry,
    Waiting,
    SystemWaiting,
    Dictionary,
    Series,
    Totals,
    NameShares,
    TotalShares,
    SeriesShares,
    ServerNames,
    Kept,
    Resources,
    Ledger,
}

/// A mutex with a rank.
#[derive(Debug)]
pub(crate) struct Mutex<T> {
    rank: Rank,
    lock: parking_lot::Mutex<T>,
}

/// A reader-writer lock with a rank. A thread must not hold two read locks on it at a time: a writer that waits
/// between the two would deadlock with it.
#[derive(Debug)]
pub(crate) struct RwLock<T> {
    rank: Rank,
    lock: parking_lot::RwLock<T>,
}

/// A held lock.
#[derive(Debug)]
pub(crate) struct Guard<G> {
    // Dropped in this order: the lock is released before its rank is.
    guard: G,
    _held: order::Held,
}

pub(crate) type MutexGuard<'a, T> = Guard<parking_lot::MutexGuard<'a, T>>;
pub(crate) type ReadGuard<'a, T> = Guard<RwLockReadGuard<'a, T>>;
pub(crate) type WriteGuard<'a, T> = Guard<RwLockWriteGuard<'a, T>>;

impl<T> Mutex<T> {
    pub(crate) const fn new(rank: Rank, value: T) -> Self {
        Mutex { rank, lock: parking_lot::Mutex::new(value) }
    }

    #[track_caller]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let held = order::enter(self.rank);
        Guard { guard: self.lock.lock(), _held: held }
    }
}

impl<T> RwLock<T> {
    pub(crate) const fn new(rank: Rank, value: T) -> Self {
        RwLock { rank, lock: parking_lot::RwLock::new(value) }
    }

    #[track_caller]
    pub(crate) fn read(&self) -> ReadGuard<'_, T> {
        let held = order::enter(self.rank);
        Guard { guard: self.lock.read(), _held: held }
    }

    #[track_caller]
    pub(crate) fn write(&self) -> WriteGuard<'_, T> {
        let held = order::enter(self.rank);
        Guard { guard: self.lock.write(), _held: held }
    }
}

impl<G: Deref> Deref for Guard<G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        &self.guard
    }
}

impl<G: DerefMut> DerefMut for Guard<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.guard
    }
}

#[cfg(any(test, debug_assertions))]
mod order {
    use super::Rank;
    use std::cell::RefCell;

    thread_local! {
        /// Ranks held by this thread, ascending.
        static HELD: RefCell<Vec<Rank>> = const { RefCell::new(Vec::new()) };
    }

    #[derive(Debug)]
    pub(super) struct Held(Rank);

    #[track_caller]
    pub(super) fn enter(rank: Rank) -> Held {
        HELD.with_borrow_mut(|held| {
            let last = held.last().copied();
            assert!(
                last.is_none_or(|last| last < rank),
                "{rank:?} must not be locked while {held:?} are held (see Inner for the lock order)"
            );
            held.push(rank);
        });
        Held(rank)
    }

    impl Drop for Held {
        fn drop(&mut self) {
            // Fails only if the thread is ending.
            let _ = HELD.try_with(|held| held.borrow_mut().retain(|rank| *rank != self.0));
        }
    }
}

#[cfg(not(any(test, debug_assertions)))]
mod order {
    use super::Rank;

    #[derive(Debug)]
    pub(super) struct Held;

    #[inline(always)]
    pub(super) fn enter(_: Rank) -> Held {
        Held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Store};

    #[test]
    fn locks_are_taken_in_order_and_released_in_any_order() {
        let (writer, totals) = (Mutex::new(Rank::Writer, 1), RwLock::new(Rank::Totals, 2));
        for _ in 0..2 {
            let held = writer.lock();
            let mut sum = totals.write();
            *sum += *held;
            drop(held);
            drop(sum);
        }
        assert_eq!(*totals.read(), 4);
    }

    #[test]
    #[should_panic(expected = "Writer must not be locked while [Totals] are held")]
    fn taking_a_lock_of_a_lower_rank_panics() {
        let (writer, totals) = (Mutex::new(Rank::Writer, ()), RwLock::new(Rank::Totals, ()));
        let _totals = totals.read();
        let _writer = writer.lock();
    }

    #[test]
    #[should_panic(expected = "Totals must not be locked while [Totals] are held")]
    fn reading_a_lock_twice_at_a_time_panics() {
        let totals = RwLock::new(Rank::Totals, ());
        let (_one, _other) = (totals.read(), totals.read());
    }

    #[test]
    fn locks_held_by_another_thread_do_not_matter() {
        let (writer, totals) = (Mutex::new(Rank::Writer, ()), RwLock::new(Rank::Totals, ()));
        let _totals = totals.read();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(writer.lock()));
        });
    }

    /// A commit takes the dictionary, so waiting for a commit while holding the dictionary can deadlock.
    #[test]
    #[should_panic(expected = "Writer must not be locked while [Dictionary] are held")]
    fn beginning_a_write_while_holding_the_dictionary_panics() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        let _names = store.dictionary();
        let _write = store.begin();
    }
}
