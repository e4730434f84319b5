//! Threads that read the store for statements, and then wait for the next scan.
//!
//! Starting and ending a thread takes longer than many a scan. They run at a lower priority, and there are never
//! more than scans at the same time.

use parking_lot::Mutex;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::{self, ThreadId};
use std::time::Duration;
use zonepulse_priority::Priority;

/// How long an idle thread waits for work.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce() + Send>;

/// The threads. Idle ones end when this is dropped.
#[derive(Default)]
pub(super) struct Threads {
    waiting: Arc<Waiting>,
}

/// The idle threads, the most recently used last.
type Waiting = Mutex<Vec<(ThreadId, Sender<Work>)>>;

impl Threads {
    /// Runs something that may block.
    pub(super) fn run(&self, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut work: Work = Box::new(work);
        let waiting = self.waiting.lock().pop();
        if let Some((_, thread)) = waiting {
            match thread.send(work) {
                Ok(()) => return Ok(()),
                Err(back) => work = back.0,
            }
        }
        let among = Arc::downgrade(&self.waiting);
        thread::Builder::new().name("sql-scan".to_owned()).spawn(move || live(&among, work))?;
        Ok(())
    }
}

fn live(among: &Weak<Waiting>, first: Work) {
    Priority::Question.take();
    let mut work = first;
    loop {
        work();
        let (sender, receiver) = channel();
        match among.upgrade() {
            Some(waiting) => waiting.lock().push((thread::current().id(), sender)),
            None => return,
        }
        match next(among, &receiver) {
            Some(next) => work = next,
            None => return,
        }
    }
}

/// The next work; `None` if none arrived in time.
fn next(among: &Weak<Waiting>, receiver: &Receiver<Work>) -> Option<Work> {
    match receiver.recv_timeout(LONGEST_WAIT) {
        Ok(work) => Some(work),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => {
            let waiting = among.upgrade()?;
            let mut waiting = waiting.lock();
            match waiting.iter().position(|(waits, _)| *waits == thread::current().id()) {
                Some(at) => {
                    waiting.remove(at);
                    None
                }
                // It was chosen, and its work is about to arrive.
                None => {
                    drop(waiting);
                    receiver.recv().ok()
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn who(threads: &Threads) -> ThreadId {
        let (sender, receiver) = channel();
        threads.run(move || sender.send(thread::current().id()).unwrap()).unwrap();
        receiver.recv().unwrap()
    }

    fn wait_until_one_waits(threads: &Threads) {
        while threads.waiting.lock().is_empty() {
            thread::yield_now();
        }
    }

    #[test]
    fn a_thread_that_has_done_its_work_does_the_next() {
        let threads = Threads::default();
        let first = who(&threads);
        wait_until_one_waits(&threads);
        assert_eq!(who(&threads), first);
    }

    #[test]
    fn work_that_blocks_keeps_no_other_work_waiting() {
        let threads = Threads::default();
        let (go_on, wait) = channel::<()>();
        let (done, is_done) = channel();
        threads
            .run(move || {
                wait.recv().unwrap();
                done.send(()).unwrap();
            })
            .unwrap();
        let other = who(&threads);
        wait_until_one_waits(&threads);
        assert_eq!(who(&threads), other);
        go_on.send(()).unwrap();
        is_done.recv().unwrap();
    }

    /// Tells when its thread ends.
    struct AtTheEnd(Sender<()>);

    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }

    thread_local! {
        static AT_THE_END: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
    }

    #[test]
    fn threads_that_wait_end_when_nobody_can_need_them() {
        let threads = Threads::default();
        let (ends, ended) = channel();
        threads.run(move || AT_THE_END.set(Some(AtTheEnd(ends)))).unwrap();
        wait_until_one_waits(&threads);
        drop(threads);
        ended.recv_timeout(LONGEST_WAIT / 2).unwrap();
    }
}
