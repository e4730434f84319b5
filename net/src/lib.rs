//! Networking shared by probe and central: TLS, HTTP clients, connections to a broker, and a
//! bounded listener.
//!
//! * [`tls`]: which certificates a client trusts, and which one a listener presents.
//! * [`http`]: clients that send only to the intended address, and limit what they receive.
//! * [`amqp`]: connections to a broker over the same TLS.
//! * [`Server`]: the listener, which the rest of this text describes.
//!
//! # The listener
//!
//! Each connection occupies a *place*. The number of places is bounded ([`Bounds`]), and a client
//! in a place is limited in bytes and time ([`Limits`]):
//!
//! * **Deadlines are absolute.** A TLS handshake and a request head must be complete by a fixed
//!   time, however many bytes arrive meanwhile. A request body and an answer must proceed at a
//!   minimum rate.
//! * **A newcomer is always admitted.** If there is no free place, an unauthenticated connection is
//!   closed: the one that has waited longest without a complete request head, or else the one that
//!   has been served longest. So an attacker who occupies every place cannot keep others out, but
//!   loses places. A client is only displaced before its first request is read if as many others
//!   connect in that time as there are places.
//! * **Authenticated clients keep their places.** The application calls [`Visitor::prove`] for a
//!   request with valid credentials. That connection is never displaced, and part of the places are
//!   reserved for such connections. One principal can hold only a few of them, so that a stolen
//!   token cannot exhaust the reserve.
//! * **An early refusal reaches its client.** If an answer is sent before the whole request has
//!   been read, the connection is half-closed, and remaining input is read and discarded within
//!   limits. Closing a connection with unread input resets it, which can destroy the answer in
//!   transit (RFC 9112 section 9.6).
//! * **Repeated warnings do not flood the log** ([`Throttle`]): one line per cause and minute, with
//!   a count.
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

/// An error in a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
