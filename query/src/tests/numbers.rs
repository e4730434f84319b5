//! Numbers that stores took before there were bounds, and sums that come to the largest number.

use super::*;
use crate::{Bucket, By};

const MOST: u64 = u64::MAX;

/// A server with the largest number of hits, and one with four.
fn absurd() -> Content {
    let mut content = Content::new(&["absurd", "small"]);
    content.batch(1, 0, 60, &[("a.example.", "A", "request", MOST, 0), ("b.example.", "A", "request", MOST - 1, 0)]);
    content.batch(1, 60, 60, &[("a.example.", "A", "request", 7, 0)]);
    content.batch(2, 0, 60, &[("a.example.", "A", "request", 4, 0)]);
    content
}

async fn sql(content: &Content, statement: &str) -> Vec<String> {
    sql_lines(content, statement, " ").await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_changes_another_ones_sum_by_an_absurd_number() {
    let content = absurd();
    let (engine, filter) = (&content.engine, Filter::default());
    let all = engine.totals(&filter, TimeRange::default(), By::RECORD, &page()).await.unwrap();
    assert_eq!(lines(&all, &["host", "hits"]), [format!("a.example. {MOST}"), format!("b.example. {}", MOST - 1)]);
    let split = engine.totals(&filter, TimeRange::default(), By::SERVER, &sorted(&["server", "host"])).await.unwrap();
    let small = lines(&split, &["server", "hits"]).pop();
    assert_eq!(small.as_deref(), Some("small 4"));
    for bucket in Bucket::ALL {
        let series = engine.series(&filter, whole(), bucket, By::SELECTION, &page()).await.unwrap();
        assert_eq!(lines(&series, &["hits"]), [MOST.to_string()]);
    }
    let rps = engine.rps(&filter, after(0, 120), Some(60), By::SELECTION, &page()).await.unwrap();
    assert_eq!(lines(&rps, &["hits"]), [MOST.to_string(), "7".to_owned()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_of_sql_stop_at_the_largest_number() {
    let content = absurd();
    let most = [MOST.to_string()];
    for table in ["dns_raw", "dns_5m", "dns_1h", "records", "coverage"] {
        assert_eq!(sql(&content, &format!("SELECT sum(hits) FROM {table}")).await, most, "{table}");
        let of_server = format!("SELECT server, sum(hits) FROM {table} GROUP BY server ORDER BY server DESC");
        assert_eq!(sql(&content, &of_server).await, ["small 4".to_owned(), format!("absurd {MOST}")], "{table}");
    }
    // By what a scan cannot add up itself, in partitions, and without any row.
    let by_time = "SELECT time, sum(hits) AS hits FROM dns_raw GROUP BY time ORDER BY time";
    assert_eq!(sql(&content, &format!("SELECT hits FROM ({by_time}) ORDER BY time")).await, [MOST.to_string(), "7".to_owned()]);
    assert_eq!(sql(&content, "SELECT sum(CASE WHEN kind = 0 THEN hits END) FROM dns_raw").await, most);
    assert_eq!(sql(&content, "SELECT sum(hits) FROM dns_raw WHERE hits < 3").await, [""]);
    assert_eq!(sql(&content, "SELECT sum(interval_s), sum(-1), sum(0.5) FROM dns_raw").await, ["240 -4 2.0"]);
    assert_eq!(sql(&content, "SELECT sum(DISTINCT hits) FROM dns_raw WHERE hits < 9").await, ["11"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_leaves_an_absurd_number_behind_is_right_again() {
    let content = absurd();
    let window =
        "SELECT sum(hits) OVER (ORDER BY hits DESC ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM dns_raw ORDER BY hits DESC";
    let most = MOST.to_string();
    assert_eq!(sql(&content, window).await, [most.clone(), most.clone(), most, "11".to_owned()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_past_the_year_9999_is_told_as_its_end() {
    let mut content = Content::new(&["absurd"]);
    // The year 36812, which an earlier version took.
    content.batch(1, 1_099_511_627_760 - T0_S, 60, &[("a.example.", "A", "request", 3, 0)]);
    let totals = content.engine.totals(&Filter::default(), TimeRange::default(), By::RECORD, &page()).await.unwrap();
    assert_eq!(lines(&totals, &["hits", "first_seen", "last_access"]), ["3 9999-12-31T23:59:59.999Z 9999-12-31T23:59:59.999Z"]);
    let times = sql(&content, "SELECT time, covered_from, covered_until FROM coverage").await;
    assert_eq!(times, ["9999-12-31T23:59:59.999Z 9999-12-31T23:59:59.999Z 9999-12-31T23:59:59.999Z"]);
}
