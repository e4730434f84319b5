//! Parameters that calls share, as they are described. Tests hold them against what `question::parameters` accepts.

use super::aggregate::Interval;
use super::words::{Action, By};
use utoipa::{IntoParams, ToSchema};

/// Which points a question is about.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Selection {
    /// Servers by id; repeat it for several. A server that does not exist is an error.
    #[expect(dead_code, reason = "describes a parameter")]
    server_id: Option<Vec<u32>>,
    /// Resources of the catalogue; repeat it for several. A record without a resource has 0.
    #[expect(dead_code, reason = "describes a parameter")]
    resource_id: Option<Vec<u64>>,
    /// Owner names, with or without the final dot, in any case; repeat it for several. `*` matches any part:
    /// `*.example.com`, `*mail*`. A star that is meant literally is written `\*`, and an octet that is no character
    /// `\255`. Labels in Unicode are compared as punycode: `bücher.example` is `xn--bcher-kva.example`. Messages that were summed up because a
    /// table was full have the host `<other>`, or `<other> example.com.` of a zone, and match by that; a space that is
    /// part of a name is written `\032`.
    #[expect(dead_code, reason = "describes a parameter")]
    host: Option<Vec<String>>,
    /// Record types, mnemonics such as `AAAA`, numbers, or `TYPE65`; repeat it for several.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(rename = "type")]
    record_type: Option<Vec<String>>,
    /// `true` for messages that were summed up under `<other>` because a table was full and nothing else, `false` for
    /// records with a name of their own.
    #[expect(dead_code, reason = "describes a parameter")]
    folded: Option<bool>,
    /// Requests or responses.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(inline)]
    action: Option<Action>,
    /// Response codes, mnemonics such as `NXDOMAIN` or numbers up to 4095; repeat it for several. Leaves out requests.
    #[expect(dead_code, reason = "describes a parameter")]
    rcode: Option<Vec<String>>,
}

/// Which servers a question is about.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ServerSelection {
    /// Servers by id; repeat it for several. A server that does not exist is an error.
    #[expect(dead_code, reason = "describes a parameter")]
    server_id: Option<Vec<u32>>,
}

/// Which metrics a question is about.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SeriesSelection {
    /// Servers by id; repeat it for several. A server that does not exist is an error.
    #[expect(dead_code, reason = "describes a parameter")]
    server_id: Option<Vec<u32>>,
    /// Metrics by name, such as `cpu_percent`; repeat it for several.
    #[expect(dead_code, reason = "describes a parameter")]
    metric: Option<Vec<String>>,
    /// Labels: cores, mounts, devices, states; repeat it for several. The empty one is that of metrics of which
    /// there is only one.
    #[expect(dead_code, reason = "describes a parameter")]
    label: Option<Vec<String>>,
}

/// How long buckets are.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BucketLength {
    /// The length of a bucket; `5m` without it. `1d` is a day of `time_zone`, of 23 or 25 hours where clocks are changed.
    // Said in words: beside an inlined type a default would make it an object.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(inline)]
    interval: Option<Interval>,
}

/// Which time a question is about.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Range {
    /// From when on, inclusive: RFC 3339 such as `2026-01-31T12:00:00Z`; a date, which is its first moment in `time_zone`;
    /// Unix seconds; or a time counted from now: `now`, `-24h` (`s`, `m`, `h`, `d` or `w`; a day has 24 hours).
    #[expect(dead_code, reason = "describes a parameter")]
    date_from: Option<String>,
    /// Until when, exclusive, written like `date_from` and not before it.
    #[expect(dead_code, reason = "describes a parameter")]
    date_to: Option<String>,
    /// In which zone dates are meant and days of `interval=1d` begin, by its name in the IANA database, such as
    /// `Europe/Prague`; UTC unless told otherwise.
    #[expect(dead_code, reason = "describes a parameter")]
    time_zone: Option<String>,
}

/// Which rows of an answer to give.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Columns to sort by, with commas between, the most important first; a minus in front means
    /// largest first: `hits,-last_access`.
    #[expect(dead_code, reason = "describes a parameter")]
    sort: Option<String>,
    /// How many rows to skip. `Link` has the next page of the same rows: there, times that are counted from now, and an end that
    /// was left out, are what they were. Without it, give both times in full.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(default = 0)]
    offset: Option<u64>,
    /// How many rows to give.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(default = 1000, maximum = 100000)]
    limit: Option<u32>,
}

/// How the answer is written.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Escaping {
    /// For CSV that is opened in a spreadsheet: `spreadsheet` puts a `'` before a text, and after a semicolon or tab within
    /// one, where a formula would begin (`=`, `+`, `-`, `@`, a tab, a line break). Numbers and times are never changed.
    /// `none` by itself, because programs read it.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(inline)]
    escape: Option<Escape>,
}

/// What sums are split by, and into which steps.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ByAndStep {
    /// The length of a step, seconds; the interval of the probes unless told otherwise.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(minimum = 1)]
    step: Option<u32>,
    /// What to split the sums by, with commas between: `record`, `server`, `action`.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(style = Form, explode = false, inline)]
    by: Option<Vec<By>>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a parameter")]
enum Escape {
    None,
    Spreadsheet,
}
