//! Which points a question is about, and what it splits them by.

use crate::HostPattern;
use crate::time::TimeRange;
use zonepulse_dns::{Action, RecordType, ResponseCode};

/// Which points a question is about. The parts are joined by *and*; within a part any value will do.
/// An empty part means no restriction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Servers by id.
    pub servers: Vec<u32>,
    /// Owner names, exact or with `*`.
    pub hosts: Vec<HostPattern>,
    /// Only rows of messages that were summed up because a table was full, or only rows of real names.
    pub folded: Option<bool>,
    /// Record types.
    pub types: Vec<RecordType>,
    /// Requests or responses. Without it the raw points have both, and sums count requests only,
    /// unless `rcodes` or [`By::action`] says otherwise.
    pub action: Option<Action>,
    /// Response codes. Only a response has one: naming any leaves out the requests.
    pub rcodes: Vec<ResponseCode>,
    /// Resources of the catalogue. A record without a resource has 0.
    pub resource_ids: Vec<u64>,
}

/// Which totals are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Only rows whose last access lies in this range.
    pub last_access: TimeRange,
    /// Only records whose name exists (`true`), or only those whose name does not (`false`). A name does not exist if the
    /// selected servers answered NXDOMAIN for the record and never NOERROR. Where neither was seen, it counts as existing.
    pub exists: Option<bool>,
}

impl From<TimeRange> for Kept {
    fn from(last_access: TimeRange) -> Self {
        Kept { last_access, exists: None }
    }
}

/// What a sum is split by: a set of three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct By {
    /// A row for each record: `resource_id, host, type, folded`.
    pub record: bool,
    /// A row for each server: `server_id, server`.
    pub server: bool,
    /// A row for each action: `action`.
    pub action: bool,
}

impl By {
    /// One sum for the whole selection.
    pub const SELECTION: By = By { record: false, server: false, action: false };
    /// Split by record.
    pub const RECORD: By = By { record: true, ..By::SELECTION };
    /// Split by server.
    pub const SERVER: By = By { server: true, ..By::SELECTION };
    /// Split by action.
    pub const ACTION: By = By { action: true, ..By::SELECTION };

    /// Split by both.
    #[must_use]
    pub const fn and(self, other: By) -> By {
        By { record: self.record || other.record, server: self.server || other.server, action: self.action || other.action }
    }
}
