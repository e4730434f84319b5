//! The network as probe and central share it: TLS, HTTP clients, connections to a broker, and a bounded listener.
//!
//! * [`tls`]: whom a client believes, and what a listener shows.
//! * [`http`]: clients that send nothing anywhere else, and read no more than was agreed.
//! * [`amqp`]: connections to a broker over the same TLS.
//! * [`Server`]: the listener, which the rest of this is about.
//!
//! # The listener
//!
//! Whoever connects gets a *place*. Places are bounded in number ([`Bounds`]), and what a client may do in its
//! place is bounded in bytes and time ([`Limits`]):
//!
//! * **Deadlines are absolute.** A TLS handshake and a request head have to be complete by a fixed time, however
//!   many bytes arrive meanwhile. A request body and an answer have to move at a minimum rate.
//! * **A newcomer is always let in.** When places run out, somebody who has not authenticated is closed: whoever has
//!   waited longest without a complete request head, or else whoever has been answered for longest. So an attacker
//!   who holds every place cannot keep others out, and loses places instead. A client is only displaced before its
//!   first request is read when as many others connect meanwhile as there are places.
//! * **Authenticated clients keep their places.** The application calls [`Visitor::prove`] for a request with valid
//!   credentials. That connection is never displaced, and part of all places is reserved for such connections.
//!   One principal can hold only a few of them, so that a stolen token cannot take the reserve.
//! * **An early refusal reaches its client.** When an answer is sent before the whole request has been read, the
//!   connection is half-closed, and what still arrives is read and discarded within bounds. A connection that is
//!   closed with unread bytes is reset, and a reset can destroy the answer on its way (RFC 9112 section 9.6).
//!
//! * **Repeated warnings do not flood the log** ([`Throttle`]): one line per cause and minute, with a count.
//!
//! The crate knows no routes, no credentials and no configuration files.

mod address;
pub mod amqp;
mod error;
pub mod http;
mod limits;
mod pace;
mod places;
mod plain;
mod server;
mod stream;
mod throttle;
pub mod tls;

pub use address::{Block, network};
pub use error::Error;
pub use limits::Limits;
pub use pace::{Paced, TooSlow};
pub use places::{Bounds, Counts, Places, Visitor};
pub use server::Server;
pub use throttle::Throttle;
pub use tls::Trust;

/// An error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
