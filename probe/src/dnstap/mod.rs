//! dnstap: what a DNS server itself tells of its messages (<https://dnstap.info>).
//!
//! A server that speaks dnstap sends a copy of each message, with its time and its
//! role, as a protobuf message in a data frame of a *Frame Streams* stream: to a
//! file, to a Unix socket or over TCP. Nothing has to be unwrapped then, also not
//! what clients sent encrypted; but a server that is in a hurry drops messages from
//! the stream and says nothing, which a capture shows.
//!
//! * `stream.rs` reads Frame Streams: control frames, data frames, their order;
//! * `message.rs` reads the protobuf message, and gives it to the rest of the probe
//!   as a [`Frame`](crate::observe::Frame) like any other;
//! * [`Server`] is a socket to which servers connect.
//!
//! Both readers borrow, and neither takes more memory than the bytes that are there.

mod connection;
mod message;
mod places;
mod server;
mod socket;
mod stream;
#[cfg(test)]
mod tests;

pub use connection::MAX_BUFFER_BYTES as MAX_CONNECTION_BYTES;
pub(crate) use message::frame;
pub use places::Bounds;
pub use server::{Server, Settings, Turn};
pub use socket::{SocketFile, check_group};
pub(crate) use stream::{Event, Fault, Step, Stream, is_stream};
