//! The parameters of calls, in groups that calls share.
//!
//! A group is declared once: its fields are what is read from the query string, what the document describes, and what the
//! error about an unknown parameter lists. Where a field has another type than its text, `value_type` is that of the text.

use super::query_string::Pairs;
use super::values::{self, Escape, IntervalOrAll};
use crate::http::answer::problem::Problem;
use crate::http::document::words;
use std::net::SocketAddr;
use zonepulse_catalogue::Name;
use zonepulse_catalogue::verdict::Verdict;
use zonepulse_central::retirements::{ExportFormat, Stage};
use zonepulse_central::verdicts::Order;
use zonepulse_dns::{Action, RecordType, ResponseCode};
use zonepulse_query::{By, HostPattern, Interval, SortKey, TimeZone};

/// Declares a group. Each parameter is followed by the function of [`values`] that reads it.
macro_rules! parameters {
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $renamed:literal) => { $renamed };
    ($(
        $(#[$outer:meta])* $name:ident {
            $($(#[$inner:meta])* $field:ident $(as $renamed:literal)?: $kind:ty = $read:ident,)*
        }
    )*) => {$(
        $(#[$outer])*
        #[derive(Debug, PartialEq, Eq, utoipa::IntoParams)]
        #[into_params(parameter_in = Query)]
        pub struct $name {
            $($(#[$inner])* $(#[param(rename = $renamed)])? pub $field: $kind,)*
        }

        impl $name {
            /// The names of its parameters.
            pub const NAMES: &[&str] = &[$(parameters!(@name $field $($renamed)?),)*];

            /// Reads them.
            pub fn read(pairs: &Pairs) -> Result<Self, Problem> {
                Ok($name { $($field: values::$read(pairs, parameters!(@name $field $($renamed)?))?,)* })
            }
        }
    )*};
}

parameters! {
    /// Selects points.
    Selection {
        /// Server ids; may be repeated. A server that does not exist is an error.
        #[param(value_type = Option<Vec<u32>>)]
        server_id: Vec<u32> = server_ids,
        /// Resource ids of the catalogue; may be repeated. Records without a resource have 0.
        #[param(value_type = Option<Vec<u64>>)]
        resource_id: Vec<u64> = resource_ids,
        /// Owner names, in any case, with or without the final dot; may be repeated. `*` matches any part of a name, as in
        /// `*.example.com` and `*mail*`. A literal asterisk is written `\*`, and an octet that is not a character `\255`.
        /// Unicode labels are converted to Punycode: `bücher.example` is `xn--bcher-kva.example`. Messages that were counted
        /// together because a table was full have the host `<other>`, or `<other> example.com.` for a zone, and match by that;
        /// a space within a name is written `\032`.
        #[param(value_type = Option<Vec<String>>)]
        host: Vec<HostPattern> = hosts,
        /// Record types: mnemonics such as `AAAA`, numbers, or `TYPE65`; may be repeated.
        #[param(value_type = Option<Vec<String>>)]
        record_type as "type": Vec<RecordType> = words,
        /// `true` for only the messages that were counted under `<other>` because a table was full, `false` for only the
        /// records with a name of their own.
        folded: Option<bool> = flag,
        /// Only requests or only responses.
        #[param(inline, value_type = Option<words::Action>)]
        action: Option<Action> = action,
        /// Response codes: mnemonics such as `NXDOMAIN`, or numbers up to 4095; may be repeated. Excludes requests.
        #[param(value_type = Option<Vec<String>>)]
        rcode: Vec<ResponseCode> = words,
    }

    /// Selects servers.
    ServerSelection {
        /// Server ids; may be repeated. A server that does not exist is an error.
        #[param(value_type = Option<Vec<u32>>)]
        server_id: Vec<u32> = server_ids,
    }

    /// Selects metrics.
    SeriesSelection {
        /// Server ids; may be repeated. A server that does not exist is an error.
        #[param(value_type = Option<Vec<u32>>)]
        server_id: Vec<u32> = server_ids,
        /// Names of metrics, such as `cpu_percent`; may be repeated.
        #[param(value_type = Option<Vec<String>>)]
        metric: Vec<String> = texts,
        /// Labels: cores, mount points, devices, states; may be repeated. Metrics with only one series have the empty label.
        #[param(value_type = Option<Vec<String>>)]
        label: Vec<String> = texts,
    }

    /// Selects a time range.
    Range {
        /// The start of the range, inclusive: RFC 3339 such as `2026-01-31T12:00:00Z`; a date, which means its first moment in
        /// `time_zone`; Unix seconds; or a time relative to now: `now`, `-24h` (`s`, `m`, `h`, `d` or `w`; a day has 24 hours).
        date_from: Option<String> = text,
        /// The end of the range, exclusive, in the same formats; not before `date_from`.
        date_to: Option<String> = text,
        /// The time zone of dates, and of days with `interval=1d`: a name in the IANA database, such as `Europe/Prague`; UTC by
        /// default.
        #[param(value_type = Option<String>)]
        time_zone: TimeZone = zone,
    }

    /// Selects totals of all time.
    KeptTotals {
        /// Only totals whose last access is at this time or later, in the formats of `date_from`. Only without `interval`.
        accessed_from: Option<String> = text,
        /// Only totals whose last access is before this time: what has not been accessed since. Only without `interval`.
        accessed_to: Option<String> = text,
        /// `true` for records whose name exists, `false` for those whose name does not: the selected servers answered NXDOMAIN
        /// for the record and never NOERROR. If they answered neither, the name counts as existing. The default is `true` with
        /// `accessed_to`, and both otherwise. Only without `interval`.
        exists: Option<bool> = flag,
    }

    /// Groups sums, and splits them into buckets.
    ByAndInterval {
        /// The length of a bucket, or `all` for totals over the range from `date_from` to `date_to`. By default, the totals are
        /// those of all time. `1d` is a day in `time_zone`, which has 23 or 25 hours when the clocks change.
        #[param(inline, value_type = Option<words::IntervalOrAll>)]
        interval: Option<IntervalOrAll> = interval_or_all,
        /// What the sums are grouped by, separated by commas: `record`, `server`, `action`. Totals of all time are always grouped
        /// by record.
        #[param(style = Form, explode = false, inline, value_type = Option<Vec<words::By>>)]
        by: By = by,
    }

    /// Groups sums, and splits them into steps.
    ByAndStep {
        /// The length of a step, seconds; by default, the interval of the probes.
        #[param(minimum = 1)]
        step: Option<u32> = step_s,
        /// What the rates are grouped by, separated by commas: `record`, `server`, `action`.
        #[param(style = Form, explode = false, inline, value_type = Option<Vec<words::By>>)]
        by: By = by,
    }

    /// The length of buckets.
    BucketLength {
        /// The length of a bucket; `5m` by default. `1d` is a day in `time_zone`, which has 23 or 25 hours when the clocks
        /// change.
        #[param(inline, value_type = Option<words::Interval>)]
        interval: Option<Interval> = interval,
    }

    /// Sorts the rows, and selects a page of them.
    Paging {
        /// Columns to sort by, the most important first, separated by commas; a minus sign sorts in descending order:
        /// `hits,-last_access`.
        #[param(value_type = Option<String>)]
        sort: Vec<SortKey> = sort,
        /// Number of rows to skip. `Link` leads to the next page of the same rows: in it, relative times and an omitted end are
        /// replaced by what they meant. Without it, state both times absolutely.
        #[param(default = 0, value_type = Option<u64>)]
        offset: u64 = offset,
        /// Maximum number of rows to return.
        #[param(default = 1000, maximum = 100000, value_type = Option<u32>)]
        limit: u64 = limit,
    }

    /// The output format.
    Escaping {
        /// For CSV to be opened in a spreadsheet: `spreadsheet` puts a `'` in front of a text, and after a semicolon or tab
        /// within one, wherever a formula would begin (`=`, `+`, `-`, `@`, a tab, a line break). Numbers and times are never
        /// changed. The default is `none`, because programs read it.
        #[param(inline, value_type = Option<words::Escaped>)]
        escape: Escape = escape,
    }

    /// Selects a page of a list.
    Slice {
        /// Number of rows to skip.
        #[param(value_type = Option<u64>)]
        offset: u64 = offset,
        /// Maximum number of rows to return; 1000 by default.
        #[param(maximum = 100000, value_type = Option<u32>)]
        limit: u64 = limit,
    }

    /// Selects the servers of a list.
    Listing {
        /// Whether to include removed servers that still have history.
        #[param(value_type = Option<bool>)]
        removed: bool = flag_or_false,
    }

    /// How a server is removed.
    Removal {
        /// Whether to delete its history, too.
        #[param(value_type = Option<bool>)]
        purge: bool = flag_or_false,
    }

    /// Selects verdicts.
    VerdictSelection {
        /// The window: `90d` by default, with `s`, `m`, `h`, `d` or `w`, or ISO 8601 (`P90D`).
        #[param(value_type = Option<String>)]
        not_accessed_for: Option<u64> = duration_ms,
        /// Zones by apex, in all views; may be repeated.
        #[param(value_type = Option<Vec<String>>)]
        zone: Vec<Name> = apexes,
        /// Owner names; may be repeated. `*` matches any part of a name.
        #[param(value_type = Option<Vec<String>>)]
        host: Vec<HostPattern> = hosts,
        /// Record types; may be repeated.
        #[param(value_type = Option<Vec<String>>)]
        record_type as "type": Vec<RecordType> = words,
        /// Verdicts: `needed`, `protected`, `used`, `new`, `unobserved`, `unused`, `never_used`; may be repeated.
        #[param(value_type = Option<Vec<String>>)]
        verdict: Vec<Verdict> = words,
        /// Resource ids; may be repeated.
        #[param(value_type = Option<Vec<u64>>)]
        resource_id: Vec<u64> = resource_ids,
        /// How long after its creation a record is `new`; `7d` by default.
        #[param(value_type = Option<String>)]
        grace: Option<u64> = duration_ms,
        /// By how much the window must exceed the TTL; `7d` by default. With less than resolvers may pause, verdicts are wrong.
        #[param(value_type = Option<String>)]
        margin: Option<u64> = duration_ms,
        /// The order of rows: `quiet`, the longest quiet first, by default; or `zone`.
        #[param(value_type = Option<String>)]
        order: Order = order,
    }

    /// Selects a page, or all rows.
    OptionalSlice {
        /// Number of rows to skip.
        #[param(value_type = Option<u64>)]
        offset: u64 = offset,
        /// Maximum number of rows to return; 1000 by default in JSON, all in CSV and Arrow.
        #[param(maximum = 100000, value_type = Option<u32>)]
        limit: Option<u64> = limit_or_all,
    }

    /// Selects resources.
    ResourceSelection {
        /// Zones by apex, in all views; may be repeated.
        #[param(value_type = Option<Vec<String>>)]
        zone: Vec<Name> = apexes,
        /// Owner names; may be repeated. `*` matches any part of a name.
        #[param(value_type = Option<Vec<String>>)]
        host: Vec<HostPattern> = hosts,
        /// Record types; may be repeated.
        #[param(value_type = Option<Vec<String>>)]
        record_type as "type": Vec<RecordType> = words,
        /// Labels; may be repeated.
        #[param(value_type = Option<Vec<String>>)]
        label: Vec<String> = texts,
        /// Resource ids; may be repeated.
        #[param(value_type = Option<Vec<u64>>)]
        resource_id: Vec<u64> = resource_ids,
        /// `true` for those that were removed, instead of those that are there.
        #[param(value_type = Option<bool>)]
        removed: bool = flag_or_false,
    }

    /// What a setup bundle contains.
    BundleSelection {
        /// Only the program for this architecture, `x86_64` or `aarch64`; by default one for each that there is.
        architecture: Option<String> = text,
        /// Whether it contains an enrolment token; `false` is for updates. The default is `true`.
        enroll: Option<bool> = flag,
    }

    /// The version of an image.
    ImageVersion {
        /// The version, for a program that does not say it; otherwise it has to be the same.
        version: Option<String> = text,
    }

    /// Whether much may be removed.
    Confirmation {
        /// Whether it may remove much of the zone.
        #[param(value_type = Option<bool>)]
        confirm: bool = flag_or_false,
    }

    /// What is exported of a plan.
    ExportSelection {
        /// `nsupdate` (BIND), `knsupdate` or `knotc` (Knot), `diff` or `csv`.
        #[param(value_type = String)]
        format: ExportFormat = export_format,
        /// `ttl_lowered`, `removed` or `restored`; for `csv` also `marked`.
        #[param(value_type = String)]
        stage: Stage = stage,
        /// The way back instead.
        #[param(value_type = Option<bool>)]
        undo: bool = flag_or_false,
        /// Address that updates are sent to, with a port unless it is 53; the zone's primary by default.
        #[param(value_type = Option<String>)]
        server: Option<SocketAddr> = dns_server,
    }
}
