//! The queue of batches for the committer, which takes them from each server in turn.
//!
//! Deficit round robin (Shreedhar and Varghese, 1995): at its turn, a server receives a credit of points and gives
//! batches as far as its credit reaches; unused credit carries over to its next turn. Thousands of small batches, or
//! a few of maximum size, therefore delay other servers by no more than one write. Within a server, batches keep
//! their order of arrival.

use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, VecDeque};
use zonepulse_model::ServerId;

/// Credit per turn, in points.
const QUANTUM: u64 = 16 << 10;
/// Minimum cost of a batch, so that one server does not get a hundred small ones in for another's large one.
const LEAST_COST: u64 = 1 << 10;

/// Limits on what is taken at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    /// Maximum batches.
    pub batches: usize,
    /// Maximum points: only the first batch taken may exceed it.
    pub points: u64,
}

/// The queue. Its size is bounded by admission (`admission.rs`).
pub(crate) struct Turns<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
}

struct State<T> {
    lanes: BTreeMap<ServerId, Lane<T>>,
    /// Servers with waiting batches, the next one first.
    order: VecDeque<ServerId>,
    closed: bool,
}

struct Lane<T> {
    /// Points and batches.
    waiting: VecDeque<(u64, T)>,
    credit: u64,
}

impl<T> Turns<T> {
    pub(crate) fn new() -> Self {
        let state = State { lanes: BTreeMap::new(), order: VecDeque::new(), closed: false };
        Turns { state: Mutex::new(state), arrived: Condvar::new() }
    }

    /// Appends a batch to a server's queue, or returns it if the queue is closed.
    pub(crate) fn push(&self, server_id: ServerId, points: u64, batch: T) -> Result<(), T> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(batch);
        }
        let State { lanes, order, .. } = &mut *state;
        let lane = lanes.entry(server_id).or_insert_with(|| {
            order.push_back(server_id);
            Lane { waiting: VecDeque::new(), credit: 0 }
        });
        lane.waiting.push_back((points, batch));
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits until there are batches and takes those that go into one write. Returns none if the queue is closed and
    /// empty.
    pub(crate) fn take(&self, most: Group) -> Vec<T> {
        let mut state = self.state.lock();
        while state.order.is_empty() && !state.closed {
            self.arrived.wait(&mut state);
        }
        state.take(most)
    }

    /// Closes the queue to further batches.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.arrived.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

impl<T> State<T> {
    fn take(&mut self, most: Group) -> Vec<T> {
        let mut taken = Vec::new();
        let mut left = most;
        while let Some(server_id) = self.order.front().copied() {
            let Some(lane) = self.lanes.get_mut(&server_id) else {
                self.order.pop_front();
                continue;
            };
            let Some((points, _)) = lane.waiting.front() else {
                self.lanes.remove(&server_id);
                self.order.pop_front();
                continue;
            };
            if left.batches == 0 || (*points > left.points && !taken.is_empty()) {
                // The server's turn is not over.
                break;
            }
            let cost = (*points).max(LEAST_COST);
            if lane.credit < cost {
                lane.credit += QUANTUM;
                self.order.rotate_left(1);
                continue;
            }
            lane.credit -= cost;
            left = Group { batches: left.batches - 1, points: left.points.saturating_sub(*points) };
            taken.extend(lane.waiting.pop_front().map(|(_, batch)| batch));
            if lane.waiting.is_empty() {
                // A server with nothing waiting does not accumulate credit.
                self.lanes.remove(&server_id);
                self.order.pop_front();
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Group = Group { batches: 8, points: 1 << 20 };

    /// What the writes take, as servers, until nothing is left.
    fn writes(turns: &Turns<u32>) -> Vec<Vec<u32>> {
        turns.close();
        std::iter::from_fn(|| Some(turns.take(MOST)).filter(|taken| !taken.is_empty())).collect()
    }

    #[test]
    fn one_batch_of_a_server_does_not_wait_for_thousands_of_another() {
        let turns = Turns::new();
        (0..3000).for_each(|_| turns.push(ServerId::new(1), 5, 1).unwrap());
        (2..6).for_each(|server_id| turns.push(ServerId::new(server_id), 2000, server_id).unwrap());
        let writes = writes(&turns);
        let waited = |server_id| writes.iter().position(|write| write.contains(&server_id)).unwrap();
        // A turn of the first server is sixteen small batches, two writes.
        assert!((2..6).all(|server_id| waited(server_id) <= 2), "{:?}", &writes[..4]);
        assert_eq!(writes.iter().flatten().count(), 3004);
    }

    #[test]
    fn batches_as_large_as_can_be_let_small_ones_pass() {
        let turns = Turns::new();
        (0..9).for_each(|_| turns.push(ServerId::new(1), 4 << 20, 1).unwrap());
        (0..5).for_each(|_| turns.push(ServerId::new(2), 2000, 2).unwrap());
        let writes = writes(&turns);
        assert_eq!(writes.first(), Some(&vec![2; 5]));
        assert!(writes.iter().skip(1).all(|write| *write == [1]), "each in a write of its own: {writes:?}");
        assert_eq!(writes.len(), 10);
    }

    #[test]
    fn servers_that_send_alike_get_alike() {
        let turns = Turns::new();
        for _ in 0..100 {
            (1..=4).for_each(|server_id| turns.push(ServerId::new(server_id), 10_000, server_id).unwrap());
        }
        let first: Vec<u32> = writes(&turns).into_iter().flatten().take(200).collect();
        for server_id in 1..=4 {
            assert!((48..=52).contains(&first.iter().filter(|of| **of == server_id).count()));
        }
    }

    #[test]
    fn one_alone_waits_for_nobody() {
        let turns = Turns::new();
        (0..20).for_each(|at| turns.push(ServerId::new(1), 100_000, at).unwrap());
        let writes = writes(&turns);
        assert_eq!(writes.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 4]);
        assert!(writes.iter().flatten().is_sorted(), "in the order in which they came");
        assert_eq!(turns.push(ServerId::new(1), 1, 7), Err(7));
    }
}
