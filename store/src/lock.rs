//! Locks that know in which order they may be taken.
//!
//! Two threads that take two locks in different orders may wait for each other for ever. So the locks of
//! [`Inner`](crate::Inner) have ranks, and a thread takes only locks that come after all that it holds. Debug builds and
//! this crate's tests check that wherever a lock is taken, whether or not another thread is in the way; other builds
//! keep nothing of it.

use parking_lot::{RwLockReadGuard, RwLockWriteGuard};
use std::ops::{Deref, DerefMut};

/// Where a lock stands, the first one first. What each is for is said in [`Inner`](crate::Inner).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
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
}

/// A mutex with a rank.
#[derive(Debug)]
pub(crate) struct Mutex<T> {
    rank: Rank,
    lock: parking_lot::Mutex<T>,
}

/// A lock for many readers or one writer, with a rank. Nobody reads it twice at a time: a writer that waits between
/// the two would never get in.
#[derive(Debug)]
pub(crate) struct RwLock<T> {
    rank: Rank,
    lock: parking_lot::RwLock<T>,
}

/// What a lock guards, while it is held.
#[derive(Debug)]
pub(crate) struct Guard<G> {
    // Fields are dropped in this order: the lock is free before it is noted to be.
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
        /// What this thread holds, rising.
        static HELD: RefCell<Vec<Rank>> = const { RefCell::new(Vec::new()) };
    }

    #[derive(Debug)]
    pub(super) struct Held(Rank);

    #[track_caller]
    pub(super) fn enter(rank: Rank) -> Held {
        HELD.with_borrow_mut(|held| {
            let last = held.last().copied();
            assert!(last.is_none_or(|last| last < rank), "{rank:?} is locked while {held:?} are held: see Inner for the order");
            held.push(rank);
        });
        Held(rank)
    }

    impl Drop for Held {
        fn drop(&mut self) {
            // Gone already where a thread ends with what it holds.
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
    fn locks_are_taken_in_their_order_and_freed_in_any() {
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
    #[should_panic(expected = "Writer is locked while [Totals] are held")]
    fn a_lock_that_comes_before_one_that_is_held_is_not_taken() {
        let (writer, totals) = (Mutex::new(Rank::Writer, ()), RwLock::new(Rank::Totals, ()));
        let _totals = totals.read();
        let _writer = writer.lock();
    }

    #[test]
    #[should_panic(expected = "Totals is locked while [Totals] are held")]
    fn a_lock_is_not_read_twice_at_a_time() {
        let totals = RwLock::new(Rank::Totals, ());
        let (_one, _other) = (totals.read(), totals.read());
    }

    #[test]
    fn what_another_thread_holds_says_nothing_of_this_one() {
        let (writer, totals) = (Mutex::new(Rank::Writer, ()), RwLock::new(Rank::Totals, ()));
        let _totals = totals.read();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(writer.lock()));
        });
    }

    /// A commit needs the dictionary, so whoever holds the dictionary must not wait for a commit.
    #[test]
    #[should_panic(expected = "Writer is locked while [Dictionary] are held")]
    fn a_write_is_not_begun_by_one_who_holds_the_dictionary() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        let _names = store.dictionary();
        let _write = store.begin();
    }
}
