//! Why a zone cannot be built.

use crate::Name;
use zonepulse_dns::RecordType;

/// What went wrong in the catalogue, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A record whose owner is not at or below the apex.
    #[error("{owner} is not in the zone {apex}: remove the record, or give the zone that contains it")]
    OutOfZone {
        /// Owner of the record.
        owner: Name,
        /// Apex of the zone.
        apex: Name,
    },
    /// RDATA has a 16-bit length (RFC 1035 section 3.2.1).
    #[error("the RDATA of {owner} {rtype} has {size_bytes} octets: shorten it to at most 65,535")]
    RdataTooLong {
        /// Owner of the record.
        owner: Name,
        /// Type of the record.
        rtype: RecordType,
        /// Length of the RDATA.
        size_bytes: usize,
    },
    /// A zone is addressed with 32 bits.
    #[error("the zone {apex} is larger than 4 GiB: divide it by delegating parts of it")]
    ZoneTooLarge {
        /// Apex of the zone.
        apex: Name,
    },
    /// A stored row that is out of order or not as [`Zone::rows`](crate::Zone::rows) writes it.
    #[error("row {row} of the stored zone {apex} is damaged ({reason}): import the zone again")]
    BadRow {
        /// Apex of the zone.
        apex: Name,
        /// Position of the row, from 0.
        row: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An RRset that a plan must not remove.
    #[error("{owner} {rtype} cannot be retired: {reason}")]
    NotRemovable {
        /// Owner of the RRset.
        owner: Name,
        /// Type of the RRset.
        rtype: RecordType,
        /// Why not.
        reason: &'static str,
    },
    /// An RRset that a plan cannot contain as given.
    #[error("{owner} {rtype} cannot be in the plan: {reason}")]
    BadPlan {
        /// Owner of the RRset.
        owner: Name,
        /// Type of the RRset.
        rtype: RecordType,
        /// What is wrong, and what to do.
        reason: &'static str,
    },
    /// An RRset that does not fit in one command or message.
    #[error("{owner} {rtype} takes {size_bytes} octets, more than the {limit_bytes} of one message: change it by hand")]
    RrsetTooLarge {
        /// Owner of the RRset.
        owner: Name,
        /// Type of the RRset.
        rtype: RecordType,
        /// What it takes.
        size_bytes: usize,
        /// What there is room for.
        limit_bytes: usize,
    },
    /// A rule of protection that cannot be applied.
    #[error("{value:?} is no {field} for a rule of protection: {reason}")]
    BadRule {
        /// The field of the rule.
        field: &'static str,
        /// What it contains.
        value: String,
        /// What is wrong, and what would be right.
        reason: &'static str,
    },
    /// Not the word for a verdict.
    #[error("unknown verdict {0:?}: use needed, protected, used, new, unobserved, unused or never_used")]
    UnknownVerdict(String),
}
