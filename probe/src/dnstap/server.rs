//! Sockets for DNS servers, and the connections to them.
//!
//! A single thread serves all of them: it waits for activity, accepts connections, and reads one
//! buffer from each connection that has data, so that none can starve the others. The number of
//! connections is bounded (`places.rs`), and so are the size and age of what each may hold back.

use super::connection::{Connection, HANDSHAKE, Standing};
use super::places::{Bounds, Guest, Verdict, verdict};
use super::socket::{Listening, SocketFile};
use crate::Error;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Where to listen, and the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The Unix socket.
    pub socket: Option<SocketFile>,
    /// The TCP address.
    pub listen: Option<SocketAddr>,
    /// Limits on connections.
    pub bounds: Bounds,
}

/// The sockets and their connections.
pub struct Server {
    settings: Settings,
    unix: Option<Listening>,
    tcp: Option<Listening>,
    /// Oldest first, with the peer's address over TCP.
    connections: Vec<(Connection, Option<IpAddr>)>,
    /// After a failed accept, when to accept again.
    accept_after: Option<Instant>,
}

/// The outcome of one turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// Connections refused at a limit.
    pub refused: u64,
    /// Connections without START that were closed to make room.
    pub displaced: u64,
    /// Connections that failed, violated the protocol or stalled, each with the reason.
    pub broken: Vec<String>,
}

/// Pause after a failed accept (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Maximum connections accepted per turn, so that existing ones are served too.
const MAX_ACCEPTED: usize = 16;

impl Server {
    /// Creates a server that does not listen yet: see [`Self::open`].
    pub fn new(settings: Settings) -> Self {
        Server { settings, unix: None, tcp: None, connections: Vec::new(), accept_after: None }
    }

    /// Opens the sockets that are not open yet; returns an error for each that fails.
    pub fn open(&mut self) -> Vec<Error> {
        let mut errors = Vec::new();
        let mut open = |socket: &mut Option<Listening>, opened: Result<Listening, Error>| match opened {
            Ok(listening) => *socket = Some(listening),
            Err(error) => errors.push(error),
        };
        if let (None, Some(file)) = (&self.unix, &self.settings.socket) {
            open(&mut self.unix, Listening::unix(file));
        }
        if let (None, Some(address)) = (&self.tcp, self.settings.listen) {
            open(&mut self.tcp, Listening::tcp(address));
        }
        errors
    }

    /// Number of connected servers that have sent START.
    pub fn connected(&self) -> usize {
        self.connections.iter().filter(|(connection, _)| connection.is_started()).count()
    }

    /// Waits for activity, at most for `patience`, and passes the content of every received data
    /// frame to `each`.
    ///
    /// Fails when the system cannot wait.
    pub fn turn(&mut self, patience: Duration, mut each: impl FnMut(&[u8])) -> io::Result<Turn> {
        let mut now = Instant::now();
        self.accept_after = self.accept_after.filter(|after| *after > now);
        let listening: Vec<_> = match self.accept_after {
            None => [&self.unix, &self.tcp].into_iter().flatten().map(Listening::descriptor).collect(),
            Some(_) => Vec::new(),
        };
        let descriptors = listening.iter().copied().chain(self.connections.iter().map(|(connection, _)| connection.descriptor()));
        let mut polled: Vec<_> = descriptors.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
        wait(&mut polled, patience)?;
        now = now.max(Instant::now());
        let mut turn = Turn::default();
        let ready = polled.iter().skip(listening.len()).map(|polled| polled.revents != 0);
        let mut standings = Vec::with_capacity(self.connections.len());
        for ((connection, _), ready) in self.connections.iter_mut().zip(ready) {
            let standing = if ready { connection.read(now, &mut each) } else { Standing::Open };
            standings.push(match standing {
                Standing::Open if connection.is_overdue(now) => Standing::Broken(match connection.is_started() {
                    true => "stalled in the middle of a frame".to_owned(),
                    false => format!("no START within {} s", HANDSHAKE.as_secs()),
                }),
                standing => standing,
            });
        }
        let mut standings = standings.into_iter();
        self.connections.retain(|_| match standings.next() {
            Some(Standing::Broken(why)) => {
                turn.broken.push(why);
                false
            }
            Some(Standing::Ended) => false,
            Some(Standing::Open) | None => true,
        });
        if polled.iter().take(listening.len()).any(|polled| polled.revents != 0) {
            self.take_in(now, &mut turn);
        }
        Ok(turn)
    }

    fn take_in(&mut self, now: Instant, turn: &mut Turn) {
        for listening in [&self.unix, &self.tcp].into_iter().flatten() {
            for _ in 0..MAX_ACCEPTED {
                match listening.accept() {
                    Ok((peer, from)) => {
                        let guest =
                            |(connection, from): &(Connection, _)| Guest { from: *from, is_started: connection.is_started() };
                        let guests: Vec<_> = self.connections.iter().map(guest).collect();
                        match verdict(&guests, from, &self.settings.bounds) {
                            Verdict::Take => {}
                            Verdict::Instead(oldest) => {
                                self.connections.remove(oldest);
                                turn.displaced += 1;
                            }
                            Verdict::Refuse => {
                                turn.refused += 1;
                                continue;
                            }
                        }
                        self.connections.push((Connection::new(peer, now), from));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                    Err(error) => {
                        self.accept_after = Some(now + ACCEPT_PAUSE);
                        turn.broken.push(format!("cannot accept connections: {error}"));
                        break;
                    }
                }
            }
        }
    }
}

/// Waits for activity on one of the descriptors, or for the timeout.
fn wait(polled: &mut [libc::pollfd], patience: Duration) -> io::Result<()> {
    let timeout_ms = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: a pointer to valid values, and their number.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout_ms) };
    match io::Error::last_os_error() {
        error if ready < 0 && error.kind() != ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
