//! Which server a message from the broker belongs to, and what happens to refused messages.
//!
//! The broker admits anyone with its password, which all probes share. Every message is therefore signed with its
//! server's token ([`zonepulse_wire::MacKey`]), and nothing in a batch except its identity is read before the
//! signature has been verified against the server's current token. A replaced token, or the token of another server,
//! does not produce a valid signature.

use crate::Error;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use zonepulse_model::ServerId;
use zonepulse_store::Store;
use zonepulse_wire::{MAC_HEADER, MacKey, peek_identity};

/// Minimum time between two log lines about the same reason.
const WARN_EVERY: Duration = Duration::from_secs(10);
/// Longer texts are not considered as signatures, in bytes.
pub(super) const LONGEST_MAC: usize = 128;

/// Why messages are refused, as named in metrics.
const REASONS: [&str; 12] = [
    "unsigned",
    "wrong_signature",
    "no_token",
    "unknown_server",
    "malformed",
    "unknown_version",
    "interval",
    "ahead",
    "too_old",
    "too_late",
    "overlaps",
    "other",
];

/// Why a message was not accepted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// It has no signature.
    #[error("it is not signed ({MAC_HEADER}): a probe signs what it sends through a broker with the token of its server")]
    Unsigned,
    /// Its signature was not made with the server's token.
    #[error(
        "it is not signed with the token of server {0}: somebody else made it, or it was signed before the server got another token"
    )]
    WrongSignature(ServerId),
    /// The server has no token to sign with.
    #[error("server {0} has no token that it could be signed with: give it one")]
    NoToken(ServerId),
    /// Any cause other than the signature.
    #[error(transparent)]
    Batch(#[from] Error),
}

/// Why a message was not accepted, and which server it belongs to.
#[derive(Debug)]
pub(super) struct Untaken {
    pub fault: Fault,
    /// The server whose token signed it; `None` if that was not proven.
    pub signed_by: Option<ServerId>,
    /// The server it claims to belong to, if that was not proven.
    pub claimed: Option<ServerId>,
}

impl Fault {
    /// Whether consuming the message again is pointless.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Fault::Batch(error) => is_final(error),
            Fault::Unsigned | Fault::WrongSignature(_) | Fault::NoToken(_) => true,
        }
    }

    /// The registered server that the message claims to belong to without proving it.
    pub(super) fn claimed(&self, bytes: &[u8]) -> Option<ServerId> {
        match self {
            Fault::WrongSignature(server_id) | Fault::NoToken(server_id) => Some(*server_id),
            Fault::Unsigned => peek_identity(bytes).ok().map(|identity| identity.server_id),
            Fault::Batch(_) => None,
        }
    }

    /// One of [`REASONS`].
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Fault::Unsigned => "unsigned",
            Fault::WrongSignature(_) => "wrong_signature",
            Fault::NoToken(_) => "no_token",
            Fault::Batch(Error::UnknownServer(_)) => "unknown_server",
            Fault::Batch(Error::Malformed(_)) => "malformed",
            Fault::Batch(Error::UnknownVersion(_)) => "unknown_version",
            Fault::Batch(Error::Interval(_)) => "interval",
            Fault::Batch(Error::Ahead { .. }) => "ahead",
            Fault::Batch(Error::TooOld { .. }) => "too_old",
            Fault::Batch(Error::TooLate(_)) => "too_late",
            Fault::Batch(Error::Overlaps { .. }) => "overlaps",
            Fault::Batch(_) => "other",
        }
    }
}

/// Whether consuming a message again is pointless after its batch failed with this error.
///
/// The broker cannot ask anyone to add the server or set a probe's clock first; a person can, and then move the
/// message back. In the queue, the message would block those behind it. The central's own clock is a different matter
/// ([`Error::Behind`]).
pub(crate) fn is_final(error: &Error) -> bool {
    error.is_final() || matches!(error, Error::UnknownServer(_) | Error::Ahead { .. })
}

/// The server that the batch belongs to, as proven by its signature. This is the only time the registry is read
/// during ingestion.
pub(super) fn sender(store: &Store, bytes: &[u8], mac: Option<&str>) -> Result<ServerId, Fault> {
    let server_id = peek_identity(bytes).map_err(Error::from)?.server_id;
    let server = store.registry().server(server_id).map_err(Error::from)?;
    let server = server.filter(|server| !server.is_removed()).ok_or(Error::UnknownServer(server_id))?;
    let key = server.token_hash.as_deref().and_then(MacKey::of_token_hash).ok_or(Fault::NoToken(server_id))?;
    let mac = mac.ok_or(Fault::Unsigned)?;
    if key.verifies(bytes, mac) { Ok(server_id) } else { Err(Fault::WrongSignature(server_id)) }
}

/// Messages since startup, by the reason why they were refused or why the broker removed them from the queue.
#[derive(Debug)]
pub(crate) struct Refusals(Mutex<BTreeMap<&'static str, Refused>>);

#[derive(Debug, Default)]
struct Refused {
    messages: u64,
    /// When the reason was last logged, and how many messages came since.
    told: Option<Instant>,
    silent: u64,
}

impl Default for Refusals {
    fn default() -> Self {
        Self::with(&REASONS)
    }
}

impl Refusals {
    /// Starts at zero for each of these reasons.
    pub(super) fn with(reasons: &[&'static str]) -> Self {
        Refusals(Mutex::new(reasons.iter().map(|reason| (*reason, Refused::default())).collect()))
    }

    /// Counts a message. If a log line is due, returns the number of messages since the last one.
    pub(super) fn add(&self, reason: &'static str, now: Instant) -> Option<u64> {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = reasons.entry(reason).or_default();
        refused.messages += 1;
        refused.silent += 1;
        if refused.told.is_some_and(|told| now.saturating_duration_since(told) < WARN_EVERY) {
            return None;
        }
        refused.told = Some(now);
        Some(std::mem::take(&mut refused.silent))
    }

    /// Number of messages by reason.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.iter().map(|(reason, refused)| (*reason, refused.messages)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_model::Identity;
    use zonepulse_store::{Options, Server};
    use zonepulse_wire::{Batch, Counters, Coverage, Records};

    /// SHA-256 in hexadecimal of `token of 1` and `token of 2`.
    const HASHES: [&str; 2] = [
        "f938361cbcdc680c8d0428a6ac5f8269b79c36bcc2712dfd8929d67fa1900b70",
        "9f0c2e72c1c4152288c41251b0377efc4893a0f340040da38e829a0eb6300f57",
    ];

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        for (name, hash) in ["one", "two"].into_iter().zip(HASHES) {
            store.registry().add_server(name, false, Some(hash.to_owned()), 0).unwrap();
        }
        (dir, store)
    }

    fn batch(server_id: u32) -> Vec<u8> {
        let batch = Batch {
            identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq: 0 },
            start_s: 600,
            interval_s: 60,
            coverage: Coverage { from_ms: 600_000, until_ms: 660_000 },
            counters: Counters::new(),
            evicted: None,
            records: Records::new(),
            rows: Vec::new(),
        };
        batch.encode().unwrap()
    }

    fn sign(token: &str, batch: &[u8]) -> String {
        MacKey::of_token(token).sign(batch).unwrap()
    }

    /// What is said of a batch of this server that was signed with this token.
    fn judged(store: &Store, server_id: u32, token: &str) -> Result<u32, &'static str> {
        let bytes = batch(server_id);
        sender(store, &bytes, Some(&sign(token, &bytes))).map(ServerId::get).map_err(|fault| fault.reason())
    }

    fn change(store: &Store, change: impl FnOnce(&mut Server)) {
        let registry = store.registry();
        let changed = registry.change_server(ServerId::new(1), "changed", |server| {
            change(server);
            Ok::<_, zonepulse_store::Error>(())
        });
        changed.unwrap();
    }

    #[test]
    fn a_batch_is_its_server_s_when_the_server_s_token_signed_it() {
        let (_dir, store) = store();
        assert_eq!(judged(&store, 1, "token of 1"), Ok(1));
        assert_eq!(judged(&store, 2, "token of 2"), Ok(2));
    }

    #[test]
    fn no_server_s_token_signs_for_another_server() {
        let (_dir, store) = store();
        assert_eq!(judged(&store, 1, "token of 2"), Err("wrong_signature"));
        assert_eq!(judged(&store, 2, "token of 1"), Err("wrong_signature"));
        assert_eq!(judged(&store, 9, "token of 1"), Err("unknown_server"));
    }

    #[test]
    fn a_token_that_was_replaced_or_taken_back_signs_nothing() {
        let (_dir, store) = store();
        change(&store, |server| server.token_hash = Some(HASHES[1].to_owned()));
        assert_eq!(judged(&store, 1, "token of 1"), Err("wrong_signature"));
        assert_eq!(judged(&store, 1, "token of 2"), Ok(1));
        change(&store, |server| server.token_hash = None);
        assert_eq!(judged(&store, 1, ""), Err("no_token"));
        store.registry().remove_server(ServerId::new(2), 1, false).unwrap();
        assert_eq!(judged(&store, 2, "token of 2"), Err("unknown_server"));
    }

    #[test]
    fn a_batch_without_a_signature_or_with_another_batch_s_is_refused() {
        let (_dir, store) = store();
        let (one, mut other) = (batch(1), batch(1));
        let mac = sign("token of 1", &one);
        let last = other.len() - 1;
        other[last] ^= 1;
        for (bytes, mac, expected) in [
            (&one, None, "unsigned"),
            (&one, Some(""), "wrong_signature"),
            (&other, Some(mac.as_str()), "wrong_signature"),
            (&b"rubbish".to_vec(), Some(mac.as_str()), "malformed"),
        ] {
            let fault = sender(&store, bytes, mac).unwrap_err();
            assert!(fault.is_final() && fault.reason() == expected, "{fault}");
            assert!(REASONS.contains(&fault.reason()));
        }
    }

    #[test]
    fn every_refusal_is_counted_and_the_log_has_a_line_now_and_then() {
        let refusals = Refusals::default();
        let began = Instant::now();
        assert_eq!(refusals.add("unsigned", began), Some(1));
        let told = (1..1000).filter(|n| refusals.add("unsigned", began + Duration::from_millis(*n)).is_some()).count();
        assert_eq!(told, 0);
        assert_eq!(refusals.add("malformed", began), Some(1), "another reason");
        assert_eq!(refusals.add("unsigned", began + WARN_EVERY), Some(1000));
        let counts: BTreeMap<_, _> = refusals.counts().into_iter().collect();
        assert_eq!((counts["unsigned"], counts["malformed"], counts["no_token"]), (1001, 1, 0));
    }
}
