//! Detects DNS messages on unwatched ports: if nothing is counted because the server answers on
//! another port, this finds the port.
//!
//! The filter of a live device passes only UDP requests for this purpose, so only those are
//! considered there, which is enough to find the port.

use super::message::{Expected, Start, message_start, resembles};

/// NetBIOS names (RFC 1002) and LLMNR (RFC 4795) look like DNS but are not.
const LOOKALIKES: [u16; 2] = [137, 5355];
/// Maximum number of ports reported.
const MAX_TOLD: usize = 5;

/// Number of messages by the server's port.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// Ignore responses and TCP.
    pub(super) only_requests: bool,
    /// By port; allocated when the first message is seen.
    messages: Vec<u32>,
}

impl Elsewhere {
    /// Considers only UDP requests.
    pub(super) fn of_requests() -> Elsewhere {
        Elsewhere { only_requests: true, ..Elsewhere::default() }
    }

    /// Examines a datagram between two ports; `length` is its length on the wire.
    #[inline]
    pub(super) fn datagram(&mut self, (source, destination): (u16, u16), octets: &[u8], length: usize) {
        if let Some(is_response) = resembles(octets, length)
            && !(is_response && self.only_requests)
        {
            self.add(if is_response { source } else { destination });
        }
    }

    /// Examines a segment between two ports.
    #[inline]
    pub(super) fn segment(&mut self, (source, destination): (u16, u16), octets: &[u8]) {
        let expects = |requests| Expected { requests, responses: !requests };
        for (requests, port) in [(true, destination), (false, source)] {
            if matches!(message_start(octets, expects(requests)), Start::Message(_)) {
                self.add(port);
            }
        }
    }

    #[cold]
    fn add(&mut self, port: u16) {
        if LOOKALIKES.contains(&port) {
            return;
        }
        self.messages.resize(1 << 16, 0);
        if let Some(messages) = self.messages.get_mut(usize::from(port)) {
            *messages = messages.saturating_add(1);
        }
    }

    /// The same as [`Self::most`], since the last call.
    pub(super) fn take(&mut self) -> Vec<(u16, u32)> {
        if self.messages.is_empty() {
            return Vec::new();
        }
        let most = self.most();
        self.messages = Vec::new();
        most
    }

    /// The ports with the most messages, and their number.
    pub(super) fn most(&self) -> Vec<(u16, u32)> {
        let mut ports: Vec<(u16, u32)> =
            (0..=u16::MAX).zip(self.messages.iter().copied()).filter(|(_, messages)| *messages > 0).collect();
        ports.sort_by_key(|(port, messages)| (u32::MAX - messages, *port));
        ports.truncate(MAX_TOLD);
        ports
    }
}
