//! Messages without a packet around them: reported by a server with dnstap.

use super::{Addresses, Frame, NS_PER_MS, Reader, Scope, Sink, scope::Side};
use zonepulse_wire::Counter;

/// Base of the link types for dnstap messages. The message type (`Message.Type` of `dnstap.proto`,
/// or 0 if unreadable) is added. It is beyond the range of capture files.
pub const TOLD_BY_SERVER: u32 = 1 << 31;

/// Which reported messages count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// Whether whoever answers is the server.
    anyone: bool,
}

/// What a dnstap message type says about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Between the server and its clients.
    Own,
    /// Between a program and the server that it queries, as reported by the program.
    Tool,
    /// Between a resolver and the servers that it queries for its clients.
    Upstream,
    /// Not a readable message.
    Unreadable,
}

impl Told {
    pub(super) fn new(scope: &Scope) -> Self {
        Told { anyone: scope.addresses == Addresses::Any }
    }

    /// Reads a frame of [`TOLD_BY_SERVER`].
    #[inline]
    pub(super) fn read(self, frame: &Frame<'_>, reader: &Reader, sink: &mut impl Sink) {
        sink.add(Counter::DnstapFramesSeen, 1);
        let number = frame.link_type.wrapping_sub(TOLD_BY_SERVER);
        let time_ms = frame.time_ns / NS_PER_MS;
        match role(number) {
            Role::Own => {}
            Role::Tool if self.anyone => {}
            Role::Tool | Role::Upstream => return sink.uncounted(Counter::NotTheServersOwn, time_ms),
            Role::Unreadable => return sink.add(Counter::DnstapFramesUnreadable, 1),
        }
        if frame.data.is_empty() {
            return sink.uncounted(Counter::NoMessage, time_ms);
        }
        let is_query = number % 2 == 1;
        reader.message(frame.data, Side { source: !is_query, destination: is_query }, false, time_ms, sink);
    }
}

fn role(number: u32) -> Role {
    match number {
        0 => Role::Unreadable,
        // AUTH, CLIENT, UPDATE.
        1 | 2 | 5 | 6 | 13 | 14 => Role::Own,
        // STUB, TOOL.
        9..=12 => Role::Tool,
        // RESOLVER, FORWARDER, and types not defined yet.
        _ => Role::Upstream,
    }
}
