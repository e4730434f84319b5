//! The endpoint for HTTP: what a request passes through on its way to a service, and an answer on its way back.
//!
//! A request comes in by [`door`]: connections and TLS, the client's address, what foreign pages must not do, and who asks and
//! may. It is then read by [`question`] and goes to one function for each call; a family of calls is a module of [`calls`].
//! The function asks a service of `zonepulse_central`, or the query engine, and the answer is written by [`answer`] in the
//! format that the request accepts. Everything that goes wrong is a [`answer::problem`]. [`document`] describes all this in
//! OpenAPI, and [`page`] is what people see.
//!
//! Only the [`router`] knows which calls there are, and who may use them. What they work with is the [`state`], below them.

mod answer;
mod blocking;
mod calls;
mod document;
mod door;
mod metrics;
mod page;
mod paths;
mod question;
mod router;
mod state;
#[cfg(test)]
mod tests;

pub use document::DOCS_PATH;
pub use door::listen::Door;
pub use door::tls::certificate;
pub use router::{monitoring_router, router};
pub use state::App;
