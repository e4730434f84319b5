//! dnstap: a DNS server's own report of its messages (<https://dnstap.info>).
//!
//! A server that supports dnstap sends a copy of each message, with time and role, as a protobuf
//! message in a data frame of a *Frame Streams* stream: to a file, a Unix socket or over TCP.
//! Nothing needs to be decapsulated or decrypted, but a server under load silently drops messages
//! from the stream, which a capture would show.
//!
//! * `stream.rs` reads Frame Streams: control frames, data frames and their order;
//! * `message.rs` reads the protobuf message, and passes it on as a regular
//!   [`Frame`](crate::observe::Frame);
//! * [`Server`] is a socket to which servers connect.
//!
//! Both readers borrow, and neither uses more memory than the bytes received.

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
