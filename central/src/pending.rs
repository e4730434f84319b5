//! Fair sharing of memory: for batches being received and for answers being read.
//!
//! The bytes of a batch are counted as they arrive, whatever length was announced: a request that announces 16 MiB and
//! sends nothing holds nothing. A party (a server or a caller) may hold at most as much as is currently free. A party
//! that takes all it can gets half of the memory; with k of them each gets a share of 1 / (k + 1), and the same amount
//! is always left for the others, who hold little.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The memory pool; `P` identifies the party that holds a part of it. Clones share the pool.
#[derive(Debug, Clone)]
pub struct Pending<P> {
    most: u64,
    shares: Arc<Mutex<Shares<P>>>,
}

#[derive(Debug)]
struct Shares<P> {
    total: u64,
    held: BTreeMap<P, u64>,
    /// Requests refused for lack of room, by party.
    refused: BTreeMap<P, u64>,
}

/// No room: the party holds its full share, or too many parties hold theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom {
    /// Bytes held by all requests of this party.
    pub held_bytes: u64,
}

impl<P: Ord + Copy> Pending<P> {
    /// A pool of this size in bytes.
    pub fn new(most: u64) -> Self {
        let shares = Shares { total: 0, held: BTreeMap::new(), refused: BTreeMap::new() };
        Pending { most, shares: Arc::new(Mutex::new(shares)) }
    }

    /// Starts accounting for a request of this party, which holds nothing yet.
    pub fn of(&self, party: P) -> Held<P> {
        Held { pending: self.clone(), party, bytes: 0 }
    }

    /// Bytes currently held.
    pub fn held(&self) -> u64 {
        self.shares().total
    }

    /// Size of the pool, bytes.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// Requests refused for lack of room since the start, by party.
    pub fn refused(&self) -> Vec<(P, u64)> {
        self.shares().refused.iter().map(|(party, count)| (*party, *count)).collect()
    }

    fn shares(&self) -> MutexGuard<'_, Shares<P>> {
        // Every change is complete before the lock is released.
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory held by one request, released on drop.
#[derive(Debug)]
pub struct Held<P: Ord + Copy> {
    pending: Pending<P>,
    party: P,
    bytes: u64,
}

impl<P: Ord + Copy> Held<P> {
    /// Reserves this many more bytes.
    pub fn take(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let bytes = bytes as u64;
        let mut shares = self.pending.shares();
        let held = shares.held.get(&self.party).copied().unwrap_or_default();
        let wanted = held.saturating_add(bytes);
        let free = self.pending.most.saturating_sub(shares.total);
        if wanted > free {
            *shares.refused.entry(self.party).or_default() += 1;
            return Err(NoRoom { held_bytes: held });
        }
        shares.held.insert(self.party, wanted);
        shares.total += bytes;
        self.bytes += bytes;
        Ok(())
    }
}

impl<P: Ord + Copy> Drop for Held<P> {
    fn drop(&mut self) {
        let mut shares = self.pending.shares();
        shares.total = shares.total.saturating_sub(self.bytes);
        let left = shares.held.get(&self.party).copied().unwrap_or_default().saturating_sub(self.bytes);
        match left {
            0 => shares.held.remove(&self.party),
            left => shares.held.insert(self.party, left),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes ten bytes again and again until there is no room.
    fn fill(held: &mut Held<u32>) -> u64 {
        while held.take(10).is_ok() {}
        held.bytes
    }

    #[test]
    fn one_server_gets_half_and_leaves_room_for_the_others() {
        let pending = Pending::<u32>::new(1000);
        let mut greedy: Vec<Held<u32>> = (0..20).map(|_| pending.of(1)).collect();
        let held: u64 = greedy.iter_mut().map(fill).sum();
        assert_eq!((held, pending.held()), (500, 500));
        let mut other = pending.of(2);
        assert_eq!(other.take(250), Ok(()));
        assert_eq!(pending.refused().iter().map(|(server_id, _)| *server_id).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn many_servers_leave_room_for_one_more() {
        let pending = Pending::<u32>::new(10_000);
        let mut greedy: Vec<Held<u32>> = (0..9).map(|server_id| pending.of(server_id)).collect();
        for _ in 0..200 {
            greedy.iter_mut().for_each(|held| _ = held.take(10));
        }
        assert!(pending.most() - pending.held() >= 900, "{}", pending.held());
        assert_eq!(pending.of(99).take(900), Ok(()));
    }

    #[test]
    fn what_a_request_held_is_free_when_it_is_over() {
        let pending = Pending::<u32>::new(100);
        let mut first = pending.of(1);
        assert_eq!(first.take(50), Ok(()));
        assert_eq!(first.take(1), Err(NoRoom { held_bytes: 50 }));
        drop(first);
        assert_eq!((pending.held(), pending.refused()), (0, vec![(1, 1)]));
        assert_eq!(pending.of(1).take(50), Ok(()));
        assert!(pending.shares().held.is_empty());
    }
}
