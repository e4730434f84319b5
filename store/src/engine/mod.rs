//! What all kinds of points have in common: where they are stored, the walk through their hours, the steps of sealing.
//!
//! Points of DNS ([`dns`](crate::dns)) and metrics of the machines ([`system`](crate::system)) have codecs of their own but
//! the same layout: open blocks by hour and server, sealed values by level, hour, server and group, and an in-memory list
//! of the hours and servers with open blocks. A server's horizon applies to both.

pub(crate) mod course;
pub(crate) mod sealed;
pub(crate) mod sealing;

use crate::Inner;
use crate::database::key;
use crate::lock::Mutex;
use crate::waiting::Waiting;

/// Where points of one kind are stored.
#[derive(Debug)]
pub(crate) struct Engine {
    /// The family of open blocks.
    pub open: &'static str,
    /// The family of sealed values.
    pub sealed: &'static str,
    /// What error messages call one of those.
    pub value: &'static str,
    waiting: fn(&Inner) -> &Mutex<Waiting>,
}

/// Points of DNS.
pub(crate) static DNS: Engine =
    Engine { open: key::OPEN, sealed: key::SEALED, value: "sealed value", waiting: |inner| &inner.waiting };

/// Metrics of the machines.
pub(crate) static METRICS: Engine =
    Engine { open: key::SYSTEM_OPEN, sealed: key::SYSTEM, value: "system value", waiting: |inner| &inner.system.waiting };

/// Every kind.
pub(crate) static ALL: [&Engine; 2] = [&DNS, &METRICS];

impl Engine {
    /// Hours and servers with open blocks.
    pub(crate) fn waiting<'i>(&self, inner: &'i Inner) -> &'i Mutex<Waiting> {
        (self.waiting)(inner)
    }
}
