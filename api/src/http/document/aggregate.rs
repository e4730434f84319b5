//! Sums and rates of hits: the parameters of `GET /api/v2/monitoring/dns/aggregate` that no other call has, its rows, and those of
//! `GET /api/v2/monitoring/dns/rps`.

use super::words::{Action, By, row};
use utoipa::{IntoParams, ToSchema};

/// Which totals of all time to give.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct KeptTotals {
    /// Totals of all time whose last access is not before this, written like `date_from`. Only without `interval`.
    #[expect(dead_code, reason = "describes a parameter")]
    accessed_from: Option<String>,
    /// Totals of all time whose last access is before this: what has not been accessed since. Only without `interval`.
    #[expect(dead_code, reason = "describes a parameter")]
    accessed_to: Option<String>,
    /// `true` for records whose name exists, `false` for those whose name does not: about the record, the selected servers
    /// answered NXDOMAIN and never NOERROR. Where neither was seen, a name counts as existing. With `accessed_to` it is
    /// `true` unless told otherwise; without, all are given. Only without `interval`.
    #[expect(dead_code, reason = "describes a parameter")]
    exists: Option<bool>,
}

/// What sums are split by, and into which buckets.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ByAndInterval {
    /// The length of a bucket, or `all` for totals over the range from `date_from` to `date_to`. Without it there are totals
    /// of all time. `1d` is a day of `time_zone`, of 23 or 25 hours where clocks are changed.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(inline)]
    interval: Option<IntervalOrAll>,
    /// What to split the sums by, with commas between: `record`, `server`, `action`. Totals of all time are by record in
    /// any case.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(style = Form, explode = false, inline)]
    by: Option<Vec<By>>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a parameter")]
enum IntervalOrAll {
    #[schema(rename = "5m")]
    M5,
    #[schema(rename = "15m")]
    M15,
    #[schema(rename = "30m")]
    M30,
    #[schema(rename = "1h")]
    H1,
    #[schema(rename = "1d")]
    D1,
    #[schema(rename = "all")]
    All,
}

row! {
    /// Hits, of all time, of a range or of a bucket. Which fields there are depends on `interval` and `by`.
    DnsAggregate {
        /// Start of the bucket or day; with `interval`, but for `all`.
        #[schema(nullable = false)]
        #[schema(format = DateTime)]
        time: Option<String>,
        /// The resource that the record belongs to, or 0; in totals of all time and with `by=record`.
        #[schema(nullable = false)]
        resource_id: Option<u64>,
        /// Owner name; in totals of all time and with `by=record`.
        #[schema(nullable = false)]
        #[schema(example = "www.example.com.")]
        host: Option<String>,
        /// Record type; in totals of all time and with `by=record`.
        #[schema(nullable = false)]
        #[schema(example = "AAAA")]
        record_type as "type": Option<String>,
        /// Whether the host is `<other>`, or `<other>` and a zone: a sum and no name; in totals of all time and with `by=record`.
        #[schema(nullable = false)]
        folded: Option<bool>,
        /// The server's id; with `by=server`.
        #[schema(nullable = false)]
        server_id: Option<u32>,
        /// The server's display name; with `by=server`.
        #[schema(nullable = false)]
        server: Option<String>,
        /// `request` or `response`; with `by=action`.
        #[schema(nullable = false)]
        action: Option<Action>,
        /// DNS messages.
        hits: u64,
        /// Time of the first of them; in totals of all time only.
        #[schema(nullable = false)]
        #[schema(format = DateTime)]
        first_seen: Option<String>,
        /// Time of the last of them.
        #[schema(format = DateTime)]
        last_access: String,
        /// In a series, how many of `servers` observed all of the bucket or day: their probes listened without a gap and saw the
        /// DNS server's messages. Where it is open, all that they can have reported by now. If they are fewer than `servers`,
        /// the sum is partial.
        #[schema(nullable = false)]
        observed_servers: Option<u32>,
        /// In a series, how many servers the sum is about: the selected ones that were registered before the bucket or day
        /// ended and not removed before it began, whether or not they have ever reported. Samples, and servers without DNS
        /// monitoring, count only where they reported.
        #[schema(nullable = false)]
        servers: Option<u32>,
        /// In a series, whether reports of the bucket or day can be expected to come.
        #[schema(nullable = false)]
        open: Option<bool>,
    }
}

row! {
    /// Hits per second in a step. Which fields there are depends on `by`.
    DnsRate {
        /// Start of the step.
        #[schema(format = DateTime)]
        time: String,
        /// The resource that the record belongs to, or 0; with `by=record`.
        #[schema(nullable = false)]
        resource_id: Option<u64>,
        /// Owner name; with `by=record`.
        #[schema(nullable = false)]
        #[schema(example = "www.example.com.")]
        host: Option<String>,
        /// Record type; with `by=record`.
        #[schema(nullable = false)]
        #[schema(example = "AAAA")]
        record_type as "type": Option<String>,
        /// Whether the host is `<other>`, or `<other>` and a zone: a sum and no name; with `by=record`.
        #[schema(nullable = false)]
        folded: Option<bool>,
        /// The server's id; with `by=server`.
        #[schema(nullable = false)]
        server_id: Option<u32>,
        /// The server's display name; with `by=server`.
        #[schema(nullable = false)]
        server: Option<String>,
        /// `request` or `response`; with `by=action`.
        #[schema(nullable = false)]
        action: Option<Action>,
        /// Hits per second: the sum over the servers of their hits by the seconds that their probes covered. Null when nothing
        /// of this step was observed, 0 when there was no hit.
        #[schema(required)]
        rps: Option<f64>,
        /// Hits; null when nothing was observed.
        #[schema(required)]
        hits: Option<u64>,
        /// How many of `servers` observed all of the step: their probes listened without a gap and saw the DNS
        /// server's messages. Where it is open, all that they can have reported by now. If they are fewer than `servers`,
        /// the sum is partial.
        observed_servers: u32,
        /// How many servers the sum is about: the selected ones that were registered before the step ended and
        /// not removed before it began, whether or not they have ever reported. Samples, and servers without DNS
        /// monitoring, count only where they reported.
        servers: u32,
        /// Whether reports of the step can be expected to come.
        open: bool,
    }
}
