//! Warnings about what was refused: one line per cause and minute, with a count, who sent it and why.
//!
//! Every request has a line of its own as well; those tell what happened, and these what somebody should look at.

use crate::problem::Problem;
use axum::http::StatusCode;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use zonepulse_ingest::Error;
use zonepulse_net::Throttle;

/// What was refused since the start, and what of it the log has told.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    credentials: Throttle<String>,
    unauthenticated: AtomicU64,
    /// By server, where it is the server's own fault, and cause.
    batches: Throttle<(Option<u32>, &'static str)>,
}

impl Refusals {
    /// A request was refused for its credentials. One without any is what every browser sends first: it is counted only.
    pub(crate) fn credentials(&self, peer: IpAddr, path: &str, has_some: bool, problem: &Problem) {
        if !matches!(problem.status(), StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS) {
            return;
        }
        self.unauthenticated.fetch_add(1, Ordering::Relaxed);
        let cause = problem.detail();
        if has_some && let Some(count) = self.credentials.add(cause.to_owned(), Instant::now()) {
            tracing::warn!(%peer, path, cause, count, "credentials were refused; count since the last line about this cause");
        }
    }

    /// Requests that were refused for their credentials.
    pub(crate) fn unauthenticated(&self) -> u64 {
        self.unauthenticated.load(Ordering::Relaxed)
    }

    /// A server's batch was not taken. What is no server's fault, such as a full disk, has one line for all servers.
    pub(crate) fn batch(&self, peer: IpAddr, server_id: u32, error: &Error) {
        let cause = error.cause();
        let Some(count) = self.batches.add((error.is_final().then_some(server_id), cause), Instant::now()) else { return };
        if error.is_final() {
            tracing::warn!(%peer, server_id, cause, %error, count, "batches were refused for good; count since the last line about this cause");
        } else {
            tracing::warn!(%peer, server_id, cause, %error, count, "batches were not taken, and probes keep them; count since the last line about this cause, of all servers");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Case;
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that are logged meanwhile.
    fn logged(doing: impl FnOnce(&Refusals)) -> Vec<String> {
        let log = Log::default();
        let to = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || to.clone()).finish();
        tracing::subscriber::with_default(subscriber, || doing(&Refusals::default()));
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    #[test]
    fn refused_credentials_are_warned_of_once_with_peer_and_cause() {
        let unknown = Problem::new(Case::NoCredentials, "this token is unknown, revoked or expired");
        let lines = logged(|refusals| {
            (0..500).for_each(|_| refusals.credentials(PEER, "/api/v2/batches", true, &unknown));
            assert_eq!(refusals.unauthenticated(), 500);
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in ["WARN", "peer=192.0.2.7", "/api/v2/batches", "this token is unknown, revoked or expired", "count=1"] {
            assert!(lines[0].contains(part), "{part}: {}", lines[0]);
        }
    }

    #[test]
    fn a_request_without_credentials_is_counted_and_no_warning() {
        let missing = Problem::new(Case::NoCredentials, "send a user's name and password (Basic), or a token (Bearer)");
        let lines = logged(|refusals| {
            refusals.credentials(PEER, "/", false, &missing);
            assert_eq!(refusals.unauthenticated(), 1);
        });
        assert_eq!(lines, Vec::<String>::new());
    }

    #[test]
    fn refused_batches_are_warned_of_by_server_and_cause() {
        let lines = logged(|refusals| {
            for server_id in [1, 2, 1, 2] {
                refusals.batch(PEER, server_id, &Error::Interval(7));
            }
            refusals.batch(PEER, 1, &Error::UnknownServer(1));
        });
        assert_eq!(lines.len(), 3, "{lines:?}");
        for part in ["WARN", "peer=192.0.2.7", "server_id=1", "interval of 7 s", "refused for good"] {
            assert!(lines[0].contains(part), "{part}: {}", lines[0]);
        }
    }

    #[test]
    fn a_full_disk_makes_one_line_however_many_servers_send() {
        let full = Error::NoSpace { free_bytes: 5, min_free_bytes: 1024 };
        let lines = logged(|refusals| (1..200).for_each(|server_id| refusals.batch(PEER, server_id, &full)));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("5 bytes are free, 1024 are needed"), "{}", lines[0]);
    }
}
