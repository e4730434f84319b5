//! Can this record be deleted?
//!
//! A verdict covers a **window** up to now. For every RRset it is the first of these that applies:
//!
//! | verdict | condition |
//! | --- | --- |
//! | `needed` | structural, or reachable in the graph of [`references`](crate::references) from another RRset that is structural, used or protected |
//! | `protected` | by a rule or the operator; see [`protection`](crate::protection) |
//! | `used` | used within the window; see [`usage`](crate::usage) |
//! | `new` | created within the grace period |
//! | `unobserved` | a query could have been missed: see [`observation`](ZoneObservation) |
//! | `unused` | used before the window |
//! | `never_used` | never used |
//!
//! Let T be the largest TTL of the RRset within the window, at most 7 days (RFC 8767). A resolver that answers from its
//! cache asked within the last T. So silence during the last W seconds proves that nobody needed the record until
//! W - T seconds ago, plus a margin, or `quiet_for_s` = W - T. More precisely, and for every verdict alike:
//!
//! > `quiet_for_s` = (end - start) - T, at least 0, where *end* is the time up to which all servers of the zone have
//! > reported, and *start* the latest of: the start of the window, the creation of the RRset, its last use, and the end of
//! > the last period in which a server of the zone was not observed. It is 0 if servers answer that we cannot see.
//!
//! So a used record is quiet since its last use, an unobserved one only since the last gap, and one that was never used for
//! the whole window. It is never longer than the window minus T, because nothing before the window was looked at.
//!
//! A record that was created within the window is judged by the time since its creation: neither gaps before that nor the
//! part of the window before that count. Records that were there when their zone was first loaded are older than anything
//! that is known of them; see [`Created`].
//!
//! Verdicts are based on queries only ([`Evidence::Queries`]): what servers answered is not evidence yet.

mod input;
mod judge;
mod observed;
mod order;
mod reason;
mod render;
mod time;

pub use input::{Created, Facts, Missing, ServerObservation, Why, Window, ZoneObservation};
pub use judge::{Inputs, Verdicts};
pub use reason::{Period, Reason, Root};
pub use render::Sentence;

use std::fmt;
use std::str::FromStr;

/// What may be done with an RRset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The zone, or another record that is needed, does not work without it.
    Needed,
    /// Works by its presence, or is queried too rarely to judge.
    Protected,
    /// Used within the window.
    Used,
    /// Created within the grace period.
    New,
    /// Queries could have been missed.
    Unobserved,
    /// Used before the window only.
    Unused,
    /// Never used.
    NeverUsed,
}

impl Verdict {
    /// All verdicts, the most important first.
    pub const ALL: [Verdict; 7] = [
        Verdict::Needed,
        Verdict::Protected,
        Verdict::Used,
        Verdict::New,
        Verdict::Unobserved,
        Verdict::Unused,
        Verdict::NeverUsed,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Needed => "needed",
            Verdict::Protected => "protected",
            Verdict::Used => "used",
            Verdict::New => "new",
            Verdict::Unobserved => "unobserved",
            Verdict::Unused => "unused",
            Verdict::NeverUsed => "never_used",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Verdict {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self, crate::Error> {
        let unknown = || crate::Error::UnknownVerdict(text.to_owned());
        Verdict::ALL.into_iter().find(|verdict| verdict.word() == text).ok_or_else(unknown)
    }
}

/// What verdicts are based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The queries that servers received.
    Queries,
}

#[cfg(test)]
mod tests;
