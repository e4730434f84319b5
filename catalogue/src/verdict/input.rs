//! What verdicts are computed from, besides zones and usage.

use std::fmt;

const DAY_MS: i64 = 86_400_000;

/// The period that verdicts cover, and the constants of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Now, Unix milliseconds.
    pub now_ms: i64,
    /// Its length.
    pub length_ms: i64,
    /// How long after its creation a record is `new`.
    pub grace_ms: i64,
    /// By how much the window must exceed the largest TTL.
    pub margin_ms: i64,
    /// Upper limit of T, seconds: resolvers should keep nothing for longer (RFC 8767 section 4).
    pub ttl_cap_s: u32,
    /// How long ago a server's last report may be without the time since counting as unobserved. Probes report in
    /// intervals, so the newest queries are always still on their way.
    pub lag_ms: i64,
}

impl Window {
    /// The window of the last `length_ms`, with the usual constants.
    pub const fn new(now_ms: i64, length_ms: i64) -> Self {
        let week_ms = 7 * DAY_MS;
        Window { now_ms, length_ms, grace_ms: week_ms, margin_ms: week_ms, ttl_cap_s: 7 * 86_400, lag_ms: 600_000 }
    }

    /// When the window begins, Unix milliseconds.
    pub fn start_ms(&self) -> i64 {
        self.now_ms.saturating_sub(self.length_ms.max(0))
    }
}

/// When an RRset came into being.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Created {
    /// It was there when its zone was first loaded. Nobody knows since when, so it is never `new`, and judged by the whole
    /// window.
    #[default]
    Before,
    /// It appeared in a later version of the zone, loaded at this time (Unix milliseconds).
    At(i64),
}

/// What is known of one RRset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// Its creation.
    pub created: Created,
    /// The largest TTL that it had within the window, seconds, if that is more than now.
    pub largest_ttl: u32,
}

/// Which queries for a zone could be seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZoneObservation {
    /// Our servers that serve the zone.
    pub servers: Vec<ServerObservation>,
    /// Whether others serve it too, such as somebody else's secondaries.
    pub others_serve_it: bool,
    /// Whether the operator judges the zone by our servers alone nevertheless.
    pub others_waived: bool,
}

/// Which queries to a server could be seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerObservation {
    /// Its name.
    pub name: String,
    /// Periods in which queries for the zone were or may have been missed. Time before the server existed, or served the
    /// zone, is not among them; time before it was first observed is.
    pub missing: Vec<Missing>,
    /// Up to when it has reported, Unix milliseconds; `None` if never.
    pub reported_until_ms: Option<i64>,
}

/// A period in which queries were missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its beginning, Unix milliseconds.
    pub from_ms: i64,
    /// Its end, exclusive.
    pub to_ms: i64,
    /// Why.
    pub why: Why,
}

/// Why queries were missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// No report of this period arrived.
    Gap,
    /// Nothing has been reported since.
    NoReport,
    /// The server was not observed yet.
    NotYet,
    /// The kernel dropped packets.
    KernelDrop,
    /// The network interface dropped packets.
    InterfaceDrop,
    /// The spool was full, and the oldest batch was evicted.
    Evicted,
    /// Messages could not be read.
    Unreadable,
    /// Names of this zone were folded in a flood.
    Folded,
    /// Anything else.
    Other(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Gap => "no report arrived",
            Why::NoReport => "no report since",
            Why::NotYet => "not observed yet",
            Why::KernelDrop => "kernel drops",
            Why::InterfaceDrop => "interface drops",
            Why::Evicted => "spool full, batch evicted",
            Why::Unreadable => "unreadable messages",
            Why::Folded => "names of the zone folded in a flood",
            Why::Other(text) => text,
        })
    }
}
