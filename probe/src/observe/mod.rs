//! From frames to hits.

mod message;

use std::net::IpAddr;
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_wire::Counter;

/// A frame as capture gives it.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// When it was captured, Unix nanoseconds.
    pub time_ns: u64,
    /// The link-layer header's type, a LINKTYPE_* number.
    pub link_type: u32,
    /// What was captured, link-layer header first.
    pub data: &'a [u8],
    /// How long the frame was before the snap length cut it, octets.
    pub length_on_wire: u32,
}

/// Which endpoints are the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The ports on which it answers.
    pub ports: Vec<u16>,
    /// The addresses on which it answers.
    pub addresses: Addresses,
}

/// Addresses of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// Every address: whoever answers on the ports is the server.
    Any,
    /// Only these.
    These(Vec<IpAddr>),
}

/// One message of the server that counts.
#[derive(Debug, Clone, Copy)]
pub struct Hit<'a> {
    /// The name in the question: uncompressed wire format, letters as they were sent.
    pub name: &'a [u8],
    /// The type in the question.
    pub record_type: RecordType,
    /// Request, or response with its code.
    pub kind: MessageKind,
    /// When, Unix milliseconds.
    pub time_ms: u64,
}

/// Where an observer puts what it finds.
pub trait Sink {
    /// A message that counts.
    fn hit(&mut self, hit: &Hit<'_>);
    /// Anything else that is counted.
    fn count(&mut self, counter: Counter, count: u64);
}

/// Reads frames.
pub struct Observer {}

impl Observer {
    /// An observer of these endpoints.
    pub fn new(_scope: &Scope) -> Self {
        Observer {}
    }

    /// Reads a frame and gives what it completes to `sink`.
    pub fn frame(&mut self, _frame: &Frame<'_>, _sink: &mut impl Sink) {}

    /// Gives up what has waited too long at this time, Unix nanoseconds.
    pub fn expire(&mut self, _now_ns: u64, _sink: &mut impl Sink) {}
}
