//! The common parts of all kinds of points: storage layout, iteration over hours, and sealing.
//!
//! DNS points ([`dns`](crate::dns)) and system metrics ([`system`](crate::system)) have different codecs but share a
//! layout: open blocks by hour and server, sealed values by level, hour, server and group, and an in-memory list of the
//! hours and servers with open blocks. A server's horizon applies to both.

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
    /// Column family of open blocks.
    pub open: &'static str,
    /// Column family of sealed values.
    pub sealed: &'static str,
    /// Name of a sealed value in error messages.
    pub value: &'static str,
    waiting: fn(&Inner) -> &Mutex<Waiting>,
}

/// DNS points.
pub(crate) static DNS: Engine =
    Engine { open: key::OPEN, sealed: key::SEALED, value: "sealed value", waiting: |inner| &inner.waiting };

/// System metrics.
pub(crate) static METRICS: Engine =
    Engine { open: key::SYSTEM_OPEN, sealed: key::SYSTEM, value: "system value", waiting: |inner| &inner.system.waiting };

/// All kinds of points.
pub(crate) static ALL: [&Engine; 2] = [&DNS, &METRICS];

impl Engine {
    /// Returns the hours and servers with open blocks.
    pub(crate) fn waiting<'i>(&self, inner: &'i Inner) -> &'i Mutex<Waiting> {
        (self.waiting)(inner)
    }
}
