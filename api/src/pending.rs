//! Memory for batches that are being received, in fair shares.
//!
//! Bytes are counted as they arrive, whatever was announced: a request that says 16 MiB and sends nothing holds
//! nothing. A server may hold at most as much as is free at that moment. One that sends all it can gets half of the
//! memory; with k of them each gets a part in k + 1, and as much is always left for the others, who hold little.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The memory. Clones share it.
#[derive(Debug, Clone)]
pub struct Pending {
    most: u64,
    shares: Arc<Mutex<Shares>>,
}

#[derive(Debug, Default)]
struct Shares {
    total: u64,
    held: BTreeMap<u32, u64>,
    /// Requests that found no room, by server.
    refused: BTreeMap<u32, u64>,
}

/// There is no room: the server holds its share, or too many servers send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom {
    /// Bytes of all requests of this server.
    pub held_bytes: u64,
}

impl Pending {
    /// So many bytes.
    pub fn new(most: u64) -> Self {
        Pending { most, shares: Arc::default() }
    }

    /// For a request of this server, which holds nothing yet.
    pub fn of(&self, server_id: u32) -> Held {
        Held { pending: self.clone(), server_id, bytes: 0 }
    }

    /// Bytes that are held.
    pub fn held(&self) -> u64 {
        self.shares().total
    }

    /// Bytes that may be held.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// Requests that found no room since the start, by server.
    pub fn refused(&self) -> Vec<(u32, u64)> {
        self.shares().refused.iter().map(|(server_id, count)| (*server_id, *count)).collect()
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        // Every change is whole before the lock is given back.
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one request holds, until it is dropped.
#[derive(Debug)]
pub struct Held {
    pending: Pending,
    server_id: u32,
    bytes: u64,
}

impl Held {
    /// Takes so many bytes more.
    pub fn take(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let bytes = bytes as u64;
        let mut shares = self.pending.shares();
        let held = shares.held.get(&self.server_id).copied().unwrap_or_default();
        let wanted = held.saturating_add(bytes);
        let free = self.pending.most.saturating_sub(shares.total);
        if wanted > free {
            *shares.refused.entry(self.server_id).or_default() += 1;
            return Err(NoRoom { held_bytes: held });
        }
        shares.held.insert(self.server_id, wanted);
        shares.total += bytes;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut shares = self.pending.shares();
        shares.total = shares.total.saturating_sub(self.bytes);
        let left = shares.held.get(&self.server_id).copied().unwrap_or_default().saturating_sub(self.bytes);
        match left {
            0 => shares.held.remove(&self.server_id),
            left => shares.held.insert(self.server_id, left),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes ten bytes again and again until there is no room.
    fn fill(held: &mut Held) -> u64 {
        while held.take(10).is_ok() {}
        held.bytes
    }

    #[test]
    fn one_server_gets_half_and_leaves_room_for_the_others() {
        let pending = Pending::new(1000);
        let mut greedy: Vec<Held> = (0..20).map(|_| pending.of(1)).collect();
        let held: u64 = greedy.iter_mut().map(fill).sum();
        assert_eq!((held, pending.held()), (500, 500));
        let mut other = pending.of(2);
        assert_eq!(other.take(250), Ok(()));
        assert_eq!(pending.refused().iter().map(|(server_id, _)| *server_id).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn many_servers_leave_room_for_one_more() {
        let pending = Pending::new(10_000);
        let mut greedy: Vec<Held> = (0..9).map(|server_id| pending.of(server_id)).collect();
        for _ in 0..200 {
            greedy.iter_mut().for_each(|held| _ = held.take(10));
        }
        assert!(pending.most() - pending.held() >= 900, "{}", pending.held());
        assert_eq!(pending.of(99).take(900), Ok(()));
    }

    #[test]
    fn what_a_request_held_is_free_when_it_is_over() {
        let pending = Pending::new(100);
        let mut first = pending.of(1);
        assert_eq!(first.take(50), Ok(()));
        assert_eq!(first.take(1), Err(NoRoom { held_bytes: 50 }));
        drop(first);
        assert_eq!((pending.held(), pending.refused()), (0, vec![(1, 1)]));
        assert_eq!(pending.of(1).take(50), Ok(()));
        assert!(pending.shares().held.is_empty());
    }
}
