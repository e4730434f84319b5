//! The parameters of `GET /api/v2/monitoring/dns/aggregate` that no other call has.

use super::By;
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
