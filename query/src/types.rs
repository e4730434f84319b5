//! What a question says and what an answer is.

use crate::{Error, HostPattern, SqlLimits, SqlWorkers, TimeZone};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use zonepulse_dns::{Action, RecordType, ResponseCode};

/// No answer has more rows than this; a larger [`Page::limit`] is refused.
pub const MAX_LIMIT: u64 = 1_000_000;

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

/// A stretch of time, Unix milliseconds. An end that is not given takes the question's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The first millisecond.
    pub from_ms: Option<u64>,
    /// The first millisecond after it.
    pub until_ms: Option<u64>,
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

/// The lengths of a roll-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// 5 minutes.
    M5,
    /// 15 minutes.
    M15,
    /// 30 minutes.
    M30,
    /// 1 hour.
    H1,
}

impl Bucket {
    /// All, the shortest first.
    pub const ALL: [Bucket; 4] = [Bucket::M5, Bucket::M15, Bucket::M30, Bucket::H1];

    /// Its length, seconds.
    pub const fn length_s(self) -> u32 {
        match self {
            Bucket::M5 => 300,
            Bucket::M15 => 900,
            Bucket::M30 => 1800,
            Bucket::H1 => 3600,
        }
    }

    /// The word that the parameter `interval` uses: `5m`, `15m`, `30m` or `1h`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Bucket::M5 => "5m",
            Bucket::M15 => "15m",
            Bucket::M30 => "30m",
            Bucket::H1 => "1h",
        }
    }
}

/// Into what a series is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// Buckets of a roll-up.
    Bucket(Bucket),
    /// Days of a time zone.
    Day(TimeZone),
}

impl Interval {
    /// What the parameter `interval` says: `5m`, `15m`, `30m`, `1h`, or `1d` for days of the zone.
    pub fn named(text: &str, zone: TimeZone) -> Result<Self, Error> {
        let bucket = || Bucket::ALL.into_iter().find(|bucket| bucket.as_str() == text);
        let interval = if text == "1d" { Some(Interval::Day(zone)) } else { bucket().map(Interval::Bucket) };
        interval.ok_or_else(|| Error::bad("interval", format!("{text:?} is not one of 5m, 15m, 30m, 1h and 1d")))
    }
}

impl From<Bucket> for Interval {
    fn from(bucket: Bucket) -> Self {
        Interval::Bucket(bucket)
    }
}

/// Which rows of an answer to give, in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Columns to sort by, the most important first; none for the question's own order. Rows that are
    /// equal in these columns always come in the same order, so that pages do not overlap.
    pub sort: Vec<SortKey>,
    /// How many rows to skip.
    pub offset: u64,
    /// How many rows to give, at most [`MAX_LIMIT`].
    pub limit: u64,
}

impl Page {
    /// The first rows in the question's own order.
    pub const fn first(limit: u64) -> Page {
        Page { sort: Vec::new(), offset: 0, limit }
    }
}

/// A column to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// A column of the answer's shape.
    pub column: String,
    /// Largest first. What has no value comes last either way.
    pub descending: bool,
}

/// Rows, and how many there would be without paging.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The rows, all of `schema`; none at all when there is no row.
    pub batches: Vec<RecordBatch>,
    /// Names, types and order of the columns.
    pub schema: SchemaRef,
    /// Rows before paging.
    pub total: u64,
}

impl Answer {
    /// How many rows it gives.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// What the engine may use, and the names of what it only passes on.
#[derive(Debug, Clone)]
pub struct Options {
    /// Memory for all questions that are being answered together, bytes: sorts, groups and collected rows.
    pub memory_bytes: usize,
    /// How many threads one question may use.
    pub threads: usize,
    /// How many questions are answered at the same time; more wait.
    pub max_concurrent: usize,
    /// How long a question waits for its turn before it is [`Error::Busy`], milliseconds.
    pub max_wait_ms: u64,
    /// Bounds of SQL from outside, which has memory and turns of its own.
    pub sql: SqlLimits,
    /// Where statements of SQL run.
    pub sql_workers: SqlWorkers,
    /// The counters of a coverage report: number and name. A number without a name is shown as `counter_N`.
    pub counter_names: Vec<(u16, &'static str)>,
    /// The numbers of the counters whose sum is a report's `not_counted`.
    pub not_counted: Vec<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            memory_bytes: 256 << 20,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            max_concurrent: 8,
            max_wait_ms: 10_000,
            sql: SqlLimits::default(),
            sql_workers: SqlWorkers::Threads,
            counter_names: Vec::new(),
            not_counted: Vec::new(),
        }
    }
}
