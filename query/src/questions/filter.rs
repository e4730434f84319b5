//! Which points a question is about, and how it splits them.

use crate::HostPattern;
use crate::time::TimeRange;
use zonepulse_dns::{Action, RecordType, ResponseCode};

/// Which points a question is about. The parts are joined by *and*, the values of a part by *or*.
/// An empty part means no restriction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Servers by id.
    pub servers: Vec<u32>,
    /// Owner names, exact or with `*`.
    pub hosts: Vec<HostPattern>,
    /// Only rows of messages that were folded because a table was full, or only rows of real names.
    pub folded: Option<bool>,
    /// Record types.
    pub types: Vec<RecordType>,
    /// Requests or responses. By default raw points include both, and sums count only requests,
    /// unless `rcodes` or [`By::action`] is set.
    pub action: Option<Action>,
    /// Response codes. Only responses have one, so any of them excludes requests.
    pub rcodes: Vec<ResponseCode>,
    /// Resources of the catalogue. A record without a resource has 0.
    pub resource_ids: Vec<u64>,
}

/// Which totals to keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Only rows whose last access lies in this range.
    pub last_access: TimeRange,
    /// Only records whose name exists (`true`) or does not (`false`). A name does not exist if the selected servers
    /// answered NXDOMAIN for the record and never NOERROR. If neither was seen, it counts as existing.
    pub exists: Option<bool>,
}

impl From<TimeRange> for Kept {
    fn from(last_access: TimeRange) -> Self {
        Kept { last_access, exists: None }
    }
}

/// How sums are split.
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
