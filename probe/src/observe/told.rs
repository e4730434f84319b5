//! Messages that come without a packet around them: a server told of them itself.

use super::{Addresses, Frame, NS_PER_MS, Reader, Scope, Sink, scope::Side};
use zonepulse_wire::Counter;

/// The link type of a message that a server told of through dnstap, plus the number of its
/// type there (`Message.Type` of `dnstap.proto`; 0 is for what could not be read). It is
/// past what a capture file can name.
pub const TOLD_BY_SERVER: u32 = 1 << 31;

/// Whose messages count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// Whether whoever answers is the server.
    anyone: bool,
}

/// What a type of dnstap says about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Between the server and its clients.
    Own,
    /// Between a program and a server that it asked, told by the program.
    Tool,
    /// Between the server and others that it asks on its clients' behalf.
    Upstream,
    /// Could not be read.
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
        // RESOLVER, FORWARDER, and what is not defined yet.
        _ => Role::Upstream,
    }
}
