//! A thread that asks one service.

use super::rates::Rates;
use super::{Problem, Sample};
use crate::config::Socket;
use crate::system::Reading;
use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Instant;

/// Asks a service when told to. Its thread ends when this is dropped, as soon as it is no longer
/// waiting for an answer.
#[derive(Debug)]
pub(super) struct Poller {
    name: &'static str,
    socket: Socket,
    asking: SyncSender<()>,
    answers: Receiver<Answer>,
    /// Whether an answer is due.
    is_waiting: bool,
    rates: Rates,
    /// The last result; only changes are logged.
    known: Option<Result<(), Problem>>,
}

/// A sample, and when it was taken.
type Answer = (Instant, Result<Sample, Problem>);

impl Poller {
    /// Starts a thread of this name.
    pub(super) fn start(
        name: &'static str,
        socket: Socket,
        sample: impl Fn(&Path) -> Result<Sample, Problem> + Send + 'static,
    ) -> io::Result<Poller> {
        let (asking, asked) = mpsc::sync_channel(1);
        let (answer, answers) = mpsc::sync_channel(1);
        let path = socket.path.clone();
        let work = move || {
            while asked.recv().is_ok() {
                let sample = sample(&path);
                if answer.send((Instant::now(), sample)).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new().name(name.into()).spawn(work)?;
        Ok(Poller { name, socket, asking, answers, is_waiting: false, rates: Rates::default(), known: None })
    }

    /// Asks, unless the last answer is still due.
    pub(super) fn ask(&mut self) {
        if !self.is_waiting {
            self.is_waiting = self.asking.try_send(()).is_ok();
        }
    }

    /// Waits for an answer if one is due; returns its readings.
    pub(super) fn take(&mut self, until: Instant) -> Vec<Reading> {
        if !self.is_waiting {
            return Vec::new();
        }
        let Ok((at, result)) = self.answers.recv_timeout(until.saturating_duration_since(Instant::now())) else {
            return Vec::new();
        };
        self.is_waiting = false;
        self.tell(result.as_ref().map(|_| ()).map_err(Clone::clone));
        match result {
            Ok(sample) => self.rates.follow(at, sample),
            Err(_) => {
                // What the service counts until it answers again belongs to a longer time.
                self.rates.forget();
                Vec::new()
            }
        }
    }

    /// Omits rates from the next sample.
    pub(super) fn forget(&mut self) {
        self.rates.forget();
    }

    /// Logs a result that differs from the last one.
    fn tell(&mut self, result: Result<(), Problem>) {
        if self.known.as_ref() == Some(&result) {
            return;
        }
        let (service, socket) = (self.name, self.socket.path.display());
        match &result {
            Ok(()) => tracing::info!(service, %socket, "sampling the service"),
            // A service that nobody mentioned may well be absent, or be removed.
            Err(Problem::Absent) if !self.socket.is_given => {
                tracing::debug!(service, %socket, "there is no such service")
            }
            Err(error) => tracing::warn!(service, %socket, %error, "cannot sample the service; retrying"),
        }
        self.known = Some(result);
    }
}
