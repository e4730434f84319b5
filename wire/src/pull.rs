//! The protocol between central and probe for pulling.
//!
//! ```text
//! GET  /v1/batches?max_bytes=N&wait_s=S   the oldest messages, each after its length (u32, little endian)
//! POST /v1/batches/confirm                what became of them: Confirmations
//! GET  /v1/heartbeat                      Heartbeat
//! POST /v1/settings                       HeartbeatAnswer
//! POST /v1/diagnostics?run=N              runs diagnostics: 202 until they are done, then 200 with the result
//! ```
//!
//! Every request carries the pull token as a bearer token. Fetched but unconfirmed messages are
//! returned again.

use serde::{Deserialize, Serialize};

/// Path for fetching messages.
pub const BATCHES_PATH: &str = "/v1/batches";
/// Path for confirming them.
pub const CONFIRM_PATH: &str = "/v1/batches/confirm";
/// Path for the probe's heartbeat.
pub const HEARTBEAT_PATH: &str = "/v1/heartbeat";
/// Path for posting settings.
pub const SETTINGS_PATH: &str = "/v1/settings";
/// Path for running diagnostics and fetching their result. Earlier versions do not have it.
pub const DIAGNOSE_PATH: &str = "/v1/diagnostics";
/// The header of an answer with the server's number.
pub const SERVER_ID_HEADER: &str = "zonepulse-server-id";
/// Maximum time that a request for messages waits for the first one, seconds.
pub const MAX_WAIT_S: u64 = 30;
/// Maximum number of messages in an answer, and in a confirmation.
pub const MAX_MESSAGES: usize = 4096;
/// Size of the length field before a message, bytes.
pub const LENGTH_BYTES: usize = 4;

/// The outcomes of messages that were fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmations {
    /// On the central's disk: the probe may delete them.
    #[serde(default)]
    pub confirmed: Vec<Confirmed>,
    /// Refused for good by the central: the probe sets them aside.
    #[serde(default)]
    pub refused: Vec<Refused>,
}

/// A confirmed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Confirmed {
    /// The epoch of its identity.
    pub epoch: u64,
    /// The sequence number of its identity.
    pub seq: u64,
}

/// A refused message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The epoch of its identity.
    pub epoch: u64,
    /// The sequence number of its identity.
    pub seq: u64,
    /// The reason.
    pub reason: String,
}

/// Appends a message to an answer, preceded by its length.
pub fn put_message(answer: &mut Vec<u8>, message: &[u8]) {
    // No message exceeds a u32: the format's own limit is far below.
    answer.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_le_bytes());
    answer.extend_from_slice(message);
}

/// The messages of an answer, in order; the last item is `None` if the answer ends inside a
/// message.
pub fn messages(mut answer: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        if answer.is_empty() {
            return None;
        }
        let message = answer.split_first_chunk().and_then(|(length, rest)| {
            let (message, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            answer = rest;
            Some(message)
        });
        if message.is_none() {
            answer = &[];
        }
        Some(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_as_it_was_written() {
        let mut answer = Vec::new();
        assert_eq!(messages(&answer).count(), 0);
        for message in [&b"one"[..], b"", b"three"] {
            put_message(&mut answer, message);
        }
        assert_eq!(messages(&answer).collect::<Vec<_>>(), [Some(&b"one"[..]), Some(b""), Some(b"three")]);
    }

    #[test]
    fn an_answer_that_breaks_off_shows_it() {
        let mut answer = Vec::new();
        put_message(&mut answer, b"one");
        put_message(&mut answer, b"two");
        for cut in 8..answer.len() {
            assert_eq!(messages(&answer[..cut]).collect::<Vec<_>>(), [Some(&b"one"[..]), None], "{cut}");
        }
    }
}
