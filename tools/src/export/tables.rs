//! The tables that can be exported, and how their hours are found.

/// One file for each server and hour. Each batch leaves a report in `coverage`.
const BY_REPORTS: [&str; 11] = [
    "requests_raw",
    "requests_5m",
    "requests_15m",
    "requests_30m",
    "requests_1h",
    "dns_raw",
    "dns_5m",
    "dns_15m",
    "dns_30m",
    "dns_1h",
    "coverage",
];
/// One file for each server and hour. `system_1h` counts the values of an hour.
const BY_COUNTS: [&str; 5] = ["system_raw", "system_5m", "system_15m", "system_30m", "system_1h"];
/// One file.
pub const WHOLE: [&str; 4] = ["requests_total", "records", "servers", "names"];

/// The names of all tables that can be exported.
pub fn tables() -> impl Iterator<Item = &'static str> {
    BY_REPORTS.into_iter().chain(BY_COUNTS).chain(WHOLE)
}

/// The table that shows which hours of another table have data, and the SQL for the columns `made_of` and `sum` of an
/// hour.
pub fn known_by(table: &str) -> (&'static str, &'static str) {
    if BY_COUNTS.contains(&table) {
        ("system_1h", r#"CAST(sum("count") AS BIGINT) AS made_of, sum("count") AS sum"#)
    } else {
        ("coverage", "count(*) AS made_of, sum(hits) AS sum")
    }
}
