//! Schedules password checks.
//!
//! A check takes a core for tens of milliseconds, so only a few run at a time and the others wait in a bounded queue.
//! The queue is fair between addresses: those with fewer recent wrong passwords and fewer checks in progress come
//! first. An address that tries thousands of passwords therefore waits behind everyone else. When the queue is full,
//! the entry with the lowest priority is dropped.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use zonepulse_net::network;

/// Maximum number of waiting checks.
const MOST_WAITING: usize = 64;
/// Maximum number of checks running or waiting per address.
const MOST_OF_ADDRESS: usize = 8;

/// Why a password cannot be checked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Too many checks from this address are in progress.
    TooMany,
    /// Too many checks are in progress.
    Busy,
}

/// Running and waiting checks.
pub(super) struct Checks(Arc<Mutex<Line>>);

struct Line {
    free: usize,
    running: Vec<IpAddr>,
    waiting: Vec<Waiting>,
    arrivals: u64,
}

struct Waiting {
    /// Lowest first.
    rank: (u32, u64),
    network: IpAddr,
    turn: oneshot::Sender<Turn>,
}

/// Permission to run a check, held until dropped.
pub(super) struct Turn {
    /// `None` once returned.
    line: Option<Arc<Mutex<Line>>>,
    network: IpAddr,
}

impl Checks {
    /// Limits the number of concurrent checks.
    pub(super) fn new(at_once: usize) -> Self {
        let line = Line { free: at_once, running: Vec::new(), waiting: Vec::new(), arrivals: 0 };
        Checks(Arc::new(Mutex::new(line)))
    }

    /// Waits for permission to check a password from this address, given its number of recent wrong passwords.
    pub(super) async fn turn(&self, address: IpAddr, wrong: u32) -> Result<Turn, Refused> {
        let network = network(address);
        let turn = {
            let mut line = lock(&self.0);
            line.waiting.retain(|waiting| !waiting.turn.is_closed());
            let of_address = line.of(network);
            if of_address >= MOST_OF_ADDRESS {
                return Err(Refused::TooMany);
            }
            let rank = (wrong.saturating_add(of_address as u32), line.arrivals);
            line.arrivals += 1;
            if line.waiting.len() >= MOST_WAITING {
                let last = line.waiting.iter().enumerate().max_by_key(|(_, waiting)| waiting.rank);
                match last.map(|(index, waiting)| (index, waiting.rank)) {
                    // Dropping the sender notifies the waiter.
                    Some((index, last)) if last > rank => drop(line.waiting.swap_remove(index)),
                    _ => return Err(Refused::Busy),
                }
            }
            let (sender, turn) = oneshot::channel();
            line.waiting.push(Waiting { rank, network, turn: sender });
            line.advance(&self.0);
            turn
        };
        turn.await.map_err(|_| Refused::Busy)
    }
}

impl Line {
    fn of(&self, network: IpAddr) -> usize {
        let waiting = self.waiting.iter().filter(|waiting| waiting.network == network).count();
        waiting + self.running.iter().filter(|running| **running == network).count()
    }

    /// Grants free slots to the next waiters.
    fn advance(&mut self, line: &Arc<Mutex<Line>>) {
        while self.free > 0 {
            let next = self.waiting.iter().enumerate().min_by_key(|(_, waiting)| waiting.rank).map(|(index, _)| index);
            let Some(next) = next else { return };
            let Waiting { network, turn, .. } = self.waiting.swap_remove(next);
            self.free -= 1;
            self.running.push(network);
            if let Err(mut turn) = turn.send(Turn { line: Some(line.clone()), network }) {
                // The waiter is gone. Dropping the turn would lock the queue, which is already locked here.
                turn.line = None;
                self.end(network);
            }
        }
    }

    fn end(&mut self, network: IpAddr) {
        self.free += 1;
        if let Some(index) = self.running.iter().position(|running| *running == network) {
            self.running.swap_remove(index);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(shared) = self.line.take() else { return };
        let mut line = lock(&shared);
        line.end(self.network);
        line.advance(&shared);
    }
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    // Every change is complete before the lock is released.
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll;

    fn address(last: u16) -> IpAddr {
        let [high, low] = last.to_be_bytes();
        IpAddr::from([10, 0, high, low])
    }

    /// A check that waits for its turn, once it is in the line.
    struct Asked<'a>(std::pin::Pin<Box<dyn Future<Output = Result<Turn, Refused>> + 'a>>);

    fn ask(checks: &Checks, address: IpAddr, wrong: u32) -> Asked<'_> {
        Asked(Box::pin(checks.turn(address, wrong)))
    }

    impl Asked<'_> {
        /// What came of it so far.
        fn look(&mut self) -> Option<Result<Turn, Refused>> {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match self.0.as_mut().poll(&mut context) {
                Poll::Ready(turn) => Some(turn),
                Poll::Pending => None,
            }
        }
    }

    #[test]
    fn as_many_run_as_may_and_the_next_begins_when_one_ends() {
        let checks = Checks::new(2);
        let mut asked: Vec<Asked<'_>> = (0..3).map(|last| ask(&checks, address(last), 0)).collect();
        let first = asked[0].look().unwrap().unwrap_or_else(|_| panic!());
        let _second = asked[1].look().unwrap().unwrap_or_else(|_| panic!());
        assert!(asked[2].look().is_none());
        drop(first);
        assert!(asked[2].look().unwrap().is_ok());
    }

    #[test]
    fn a_clean_address_comes_before_a_guesser_that_came_first() {
        let checks = Checks::new(1);
        let mut running = ask(&checks, address(1), 0);
        let running = running.look().unwrap();
        let mut guesses: Vec<Asked<'_>> = (0..5).map(|_| ask(&checks, address(1), 20)).collect();
        guesses.iter_mut().for_each(|guess| assert!(guess.look().is_none()));
        let mut login = ask(&checks, address(2), 0);
        assert!(login.look().is_none());
        drop(running);
        assert!(login.look().unwrap().is_ok());
        assert!(guesses.iter_mut().all(|guess| guess.look().is_none_or(|turn| turn.is_ok())));
    }

    #[test]
    fn one_address_has_few_in_the_line() {
        let checks = Checks::new(1);
        let mut asked: Vec<Asked<'_>> = (0..20).map(|_| ask(&checks, address(1), 0)).collect();
        let seen: Vec<_> = asked.iter_mut().map(Asked::look).collect();
        let refused = seen.iter().filter(|seen| matches!(seen, Some(Err(Refused::TooMany)))).count();
        assert_eq!((refused, seen.iter().flatten().filter(|seen| seen.is_ok()).count()), (20 - MOST_OF_ADDRESS, 1));
    }

    #[test]
    fn a_full_line_lets_a_clean_address_in_and_the_last_goes() {
        let checks = Checks::new(1);
        let mut asked: Vec<Asked<'_>> = (0..=MOST_WAITING as u16).map(|last| ask(&checks, address(last), 9)).collect();
        let running = asked[0].look().unwrap();
        assert!(asked[1..].iter_mut().all(|asked| asked.look().is_none()));
        assert!(matches!(ask(&checks, address(999), 9).look(), Some(Err(Refused::Busy))));
        let mut clean = ask(&checks, address(1000), 0);
        assert!(clean.look().is_none());
        assert!(matches!(asked[MOST_WAITING].look(), Some(Err(Refused::Busy))));
        drop(running);
        assert!(clean.look().unwrap().is_ok());
    }

    #[test]
    fn whoever_goes_away_takes_no_turn() {
        let checks = Checks::new(1);
        let running = ask(&checks, address(1), 0).look().unwrap();
        let mut gone = ask(&checks, address(2), 0);
        assert!(gone.look().is_none());
        drop(gone);
        let mut next = ask(&checks, address(3), 0);
        assert!(next.look().is_none());
        drop(running);
        assert!(next.look().unwrap().is_ok());
    }
}
