//! Warnings about refused requests: one line per cause and minute, with a count, the sender and the reason.
//!
//! Every request is also logged individually; those lines say what happened, these say what needs attention.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use zonepulse_ingest::Error;
use zonepulse_net::Throttle;

/// How long refusals are remembered, milliseconds: several heartbeats.
const RECENT_MS: u64 = 600_000;
/// Maximum length of a remembered reason, characters.
const MAX_DETAIL: usize = 500;
/// Maximum number of addresses remembered for refused credentials; the one refused longest ago is dropped.
const MAX_ADDRESSES: usize = 256;

/// Refusals since the start, and which of them have been logged.
#[derive(Debug, Default)]
pub struct Refusals {
    credentials: Throttle<String>,
    /// Probe requests whose credentials were refused: their server is unknown, only their source address.
    probes: Mutex<BTreeMap<IpAddr, Recent>>,
    /// Rejected heartbeats, by server. Only of servers whose token was presented.
    heartbeats: Mutex<BTreeMap<u32, Recent>>,
    unauthenticated: AtomicU64,
    wrong_credentials: AtomicU64,
    /// By cause, and by server if the server itself is at fault.
    batches: Throttle<(Option<u32>, &'static str)>,
}

/// A request whose credentials are not valid, or were wrong too often.
#[derive(Debug, Clone, Copy)]
pub struct RefusedRequest<'a> {
    /// Its source address.
    pub peer: IpAddr,
    /// What it asked for, in the endpoint's terms: over HTTP, the path.
    pub path: &'a str,
    /// Whether only probes ask for that.
    pub by_probe: bool,
    /// Whether it had any credentials.
    pub has_some: bool,
    /// Why they were refused.
    pub cause: &'a str,
}

/// Consecutive refusals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recent {
    /// When the first one occurred, Unix milliseconds.
    pub since_ms: u64,
    /// When the last one occurred, Unix milliseconds.
    pub last_ms: u64,
    /// Their number.
    pub count: u64,
    /// Why the last one was refused.
    pub detail: String,
}

impl Recent {
    fn is_recent(&self, now_ms: u64) -> bool {
        now_ms.abs_diff(self.last_ms) < RECENT_MS
    }

    /// Adds one refusal to those in `before`.
    fn after(before: Option<&Recent>, detail: &str, now_ms: u64) -> Self {
        let before = before.filter(|before| before.is_recent(now_ms));
        let (since_ms, count) = before.map_or((now_ms, 0), |before| (before.since_ms, before.count));
        Recent { since_ms, last_ms: now_ms, count: count.saturating_add(1), detail: detail.chars().take(MAX_DETAIL).collect() }
    }
}

impl Refusals {
    /// Records that a server's heartbeat was rejected, and why.
    pub fn heartbeat(&self, server_id: u32, detail: &str, now_ms: u64) {
        let mut heartbeats = self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = Recent::after(heartbeats.get(&server_id), detail, now_ms);
        heartbeats.insert(server_id, recent);
    }

    /// Records that a server's heartbeat was accepted.
    pub(crate) fn heard(&self, server_id: u32) {
        self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner).remove(&server_id);
    }

    /// A server's heartbeats that are being refused.
    pub(super) fn heartbeats_of(&self, server_id: u32, now_ms: u64) -> Option<Recent> {
        let heartbeats = self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner);
        heartbeats.get(&server_id).filter(|recent| recent.is_recent(now_ms)).cloned()
    }

    /// Probe requests from an address that are being refused for their credentials.
    pub(super) fn probes_at(&self, address: IpAddr, now_ms: u64) -> Option<Recent> {
        let probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        probes.get(&address.to_canonical()).filter(|recent| recent.is_recent(now_ms)).cloned()
    }

    fn probe(&self, address: IpAddr, detail: &str, now_ms: u64) {
        let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        let address = address.to_canonical();
        if probes.len() >= MAX_ADDRESSES && !probes.contains_key(&address) {
            let oldest = probes.iter().min_by_key(|(_, recent)| recent.last_ms).map(|(address, _)| *address);
            oldest.and_then(|oldest| probes.remove(&oldest));
        }
        let recent = Recent::after(probes.get(&address), detail, now_ms);
        probes.insert(address, recent);
    }

    /// Records a request refused for its credentials. One without any is what every browser sends first: it is only
    /// counted. If a probe sent it, `server_at` returns the only server whose probe was last heard from that address: a
    /// hint.
    pub fn credentials(&self, request: &RefusedRequest<'_>, now_ms: u64, server_at: impl FnOnce(IpAddr) -> Option<u32>) {
        let RefusedRequest { peer, path, by_probe, has_some, cause } = *request;
        self.unauthenticated.fetch_add(1, Ordering::Relaxed);
        if has_some {
            self.wrong_credentials.fetch_add(1, Ordering::Relaxed);
        }
        if has_some && by_probe {
            self.probe(peer, cause, now_ms);
        }
        if has_some && let Some(count) = self.credentials.add(cause.to_owned(), Instant::now()) {
            let maybe_server_id = by_probe.then(|| server_at(peer)).flatten();
            tracing::warn!(%peer, path, maybe_server_id, cause, count, "credentials were refused; count since the last line about this cause");
        }
    }

    /// Number of requests refused because they had no credentials, or wrong ones.
    pub fn unauthenticated(&self) -> u64 {
        self.unauthenticated.load(Ordering::Relaxed)
    }

    /// How many of them had some.
    pub fn wrong_credentials(&self) -> u64 {
        self.wrong_credentials.load(Ordering::Relaxed)
    }

    /// Records that a server's batch was refused. Causes that are not a server's fault, such as a full disk, share one
    /// line for all servers.
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

    const UNKNOWN: &str = "this token is unknown, revoked or expired";

    /// The lines logged while `doing` runs.
    fn logged(doing: impl FnOnce(&Refusals)) -> Vec<String> {
        crate::logged::logged(|| doing(&Refusals::default()))
    }

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    /// A request for this path that is refused for this cause.
    fn refused<'a>(path: &'a str, has_some: bool, cause: &'a str) -> RefusedRequest<'a> {
        let by_probe = ["/api/v2/batches", "/api/v2/monitoring/heartbeat"].contains(&path);
        RefusedRequest { peer: PEER, path, by_probe, has_some, cause }
    }

    fn nobody(_: IpAddr) -> Option<u32> {
        None
    }

    #[test]
    fn refused_credentials_of_a_probe_name_the_server_that_it_may_be() {
        let lines = |path: &str, server: Option<u32>| {
            logged(|refusals| refusals.credentials(&refused(path, true, UNKNOWN), 1000, |_| server)).join("\n")
        };
        assert!(lines("/api/v2/batches", Some(7)).contains("maybe_server_id=7"));
        for (path, server) in [("/api/v2/batches", None), ("/api/v2/servers", Some(7))] {
            assert!(!lines(path, server).contains("maybe_server_id"), "{path}");
        }
    }

    #[test]
    fn refused_credentials_are_warned_of_once_with_peer_and_cause() {
        let lines = logged(|refusals| {
            (0..500).for_each(|n| refusals.credentials(&refused("/api/v2/batches", true, UNKNOWN), 1000 + n, nobody));
            assert_eq!((refusals.unauthenticated(), refusals.wrong_credentials()), (500, 500));
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in ["WARN", "peer=192.0.2.7", "/api/v2/batches", "this token is unknown, revoked or expired", "count=1"] {
            assert!(lines[0].contains(part), "{part}: {}", lines[0]);
        }
    }

    #[test]
    fn a_probe_whose_token_is_refused_is_remembered_by_its_address_for_a_while() {
        let refusals = Refusals::default();
        for (path, now_ms) in [("/api/v2/batches", 1000), ("/api/v2/servers", 2000), ("/api/v2/monitoring/heartbeat", 3000)] {
            refusals.credentials(&refused(path, true, UNKNOWN), now_ms, nobody);
        }
        let at = |now_ms| refusals.probes_at(PEER, now_ms).map(|recent| (recent.since_ms, recent.count));
        assert_eq!((at(3000), at(3000 + RECENT_MS)), (Some((1000, 2)), None));
        assert_eq!(refusals.probes_at(IpAddr::from([192, 0, 2, 8]), 3000), None);
    }

    #[test]
    fn addresses_without_number_take_no_memory() {
        let refusals = Refusals::default();
        (0..1000u32).for_each(|n| refusals.probe(IpAddr::from(n.to_be_bytes()), "unknown", 1000 + u64::from(n)));
        assert_eq!(refusals.probes.lock().unwrap().len(), MAX_ADDRESSES);
        assert!(refusals.probes_at(IpAddr::from(999u32.to_be_bytes()), 2000).is_some());
    }

    #[test]
    fn heartbeats_are_refused_until_one_is_taken() {
        let refusals = Refusals::default();
        refusals.heartbeat(1, "body: hostname: is missing", 1000);
        refusals.heartbeat(1, "body: hostname: is missing", 31_000);
        let Recent { since_ms, count, detail, .. } = refusals.heartbeats_of(1, 32_000).unwrap();
        assert!((since_ms, count) == (1000, 2) && detail.contains("hostname"), "{since_ms} {count} {detail}");
        refusals.heard(1);
        assert_eq!(refusals.heartbeats_of(1, 32_000), None);
    }

    #[test]
    fn a_request_without_credentials_is_counted_and_no_warning() {
        let missing = "send a user's name and password (Basic), or a token (Bearer)";
        let lines = logged(|refusals| {
            refusals.credentials(&refused("/", false, missing), 1000, nobody);
            assert_eq!((refusals.unauthenticated(), refusals.wrong_credentials()), (1, 0));
        });
        assert_eq!(lines, Vec::<String>::new());
    }

    #[test]
    fn refused_batches_are_warned_of_by_server_and_cause() {
        let lines = logged(|refusals| {
            for server_id in [1, 2, 1, 2] {
                refusals.batch(PEER, server_id, &Error::Interval(7));
            }
            refusals.batch(PEER, 1, &Error::UnknownServer(zonepulse_model::ServerId::new(1)));
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
