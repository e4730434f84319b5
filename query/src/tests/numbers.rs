//! Numbers that stores took before there were bounds, and sums that come to the largest number.

use super::*;
use crate::{Bucket, By};

/// What a store may hold, and how it is told: as the largest number that can be subtracted.
const STORED: u64 = u64::MAX;
const MOST: i64 = i64::MAX;

/// A server with the largest number of hits, and one with four.
fn absurd() -> Content {
    let mut content = Content::new(&["absurd", "small"]);
    content.batch(1, 0, 60, &[("a.example.", "A", "request", STORED, 0), ("b.example.", "A", "request", STORED - 1, 0)]);
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
    assert_eq!(lines(&all, &["host", "hits"]), [format!("a.example. {MOST}"), format!("b.example. {MOST}")]);
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
async fn differences_of_measures_have_a_sign() {
    let content = small();
    for (statement, expected) in [
        (
            "SELECT sum(hits) FILTER (WHERE server = 'alpha') - sum(hits) FILTER (WHERE server = 'beta') FROM dns_raw \
             WHERE action = 'request'",
            &["-1"][..],
        ),
        (
            "SELECT b.hits - a.hits FROM dns_raw a JOIN dns_raw b USING (record_id, kind) \
             WHERE a.server = 'beta' AND b.server = 'alpha' AND b.time = '2026-01-01T00:00:00Z'",
            &["-15"],
        ),
        (
            "SELECT hits - lag(hits) OVER (ORDER BY time) FROM \
             (SELECT time, sum(hits) AS hits FROM dns_raw WHERE action = 'request' GROUP BY time) ORDER BY time",
            &["", "-21", "-7"],
        ),
        ("SELECT seq - 5 - interval_s FROM coverage WHERE seq = 0", &["-65"]),
        ("SELECT min(messages_seen - kernel_dropped - 200) FROM coverage", &["-100"]),
        ("SELECT first_value(interval_s) - 3600 FROM dns_raw", &["-3540"]),
    ] {
        assert_eq!(sql(&content, statement).await, expected, "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_of_unsigned_numbers_have_a_sign_too() {
    let content = small();
    for (statement, expected) in [
        ("SELECT a.record_id - b.record_id FROM names a, names b WHERE a.record_id = 1 AND b.record_id = 3", "-2"),
        ("SELECT a.server_id - b.server_id FROM servers a, servers b WHERE a.server = 'alpha' AND b.server = 'beta'", "-1"),
        ("SELECT approx_distinct(type) FILTER (WHERE server = 'beta') - approx_distinct(type) FROM dns_raw", "-2"),
        (
            "SELECT min(apart) FROM (SELECT row_number() OVER (ORDER BY hits) - row_number() OVER (ORDER BY hits DESC) AS apart \
             FROM dns_raw WHERE hits > 5)",
            "-2",
        ),
    ] {
        assert_eq!(sql(&content, statement).await, [expected], "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_bigint_has_is_an_error_and_no_other_number() {
    let content = absurd();
    for (statement, numbers) in [
        ("SELECT sum(hits) + 1 FROM dns_raw", "9223372036854775807 + 1 is beyond"),
        ("SELECT 1 + sum(hits) FROM dns_raw GROUP BY server", "1 + 9223372036854775807 is beyond"),
        ("SELECT 2 * hits FROM dns_raw WHERE server = 'absurd'", "2 * 9223372036854775807 is beyond"),
        ("SELECT -2 - hits FROM dns_raw WHERE hits > 100", "-2 - 9223372036854775807 is beyond"),
        ("SELECT count(*) FROM dns_raw WHERE hits + hits > 0", "9223372036854775807 + 9223372036854775807 is beyond"),
        ("SELECT max(hits + 1) FROM dns_raw", "9223372036854775807 + 1 is beyond"),
        (
            "SELECT count(*) FROM dns_raw a JOIN dns_raw b ON a.record_id = b.record_id AND a.hits + b.hits > a.server_id",
            " is beyond what Int64 has",
        ),
        ("SELECT hits FROM dns_raw ORDER BY hits * 3", "9223372036854775807 * 3 is beyond"),
        ("SELECT sum(hits) OVER (ORDER BY hits) + 1 FROM dns_raw", "9223372036854775807 + 1 is beyond"),
        ("SELECT server FROM dns_raw GROUP BY server HAVING sum(hits) + 1 > 0", "9223372036854775807 + 1 is beyond"),
        ("SELECT 9223372036854775807 + 1", "9223372036854775807 + 1 is beyond"),
        ("SELECT CAST(2147483647 AS INT) + CAST(1 AS INT)", "2147483647 + 1 is beyond"),
    ] {
        let answered = content.engine.sql(statement).await;
        let failed = match answered {
            Ok(answer) => futures::TryStreamExt::try_collect::<Vec<_>>(answer.batches).await.map(|_| ()),
            Err(error) => Err(error),
        };
        match failed {
            Err(Error::BadArgument { argument: "sql", reason }) => assert!(reason.contains(numbers), "{statement}: {reason}"),
            other => panic!("{statement}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arithmetic_within_bigint_is_as_it_was() {
    let content = absurd();
    for (statement, expected) in [
        (
            "SELECT hits + 1, 2 * hits - 1, hits - 10, hits + NULL FROM dns_raw WHERE hits < 9 ORDER BY hits",
            &["5 7 -6 ", "8 13 -3 "][..],
        ),
        ("SELECT sum(hits) - 1 + 1 FROM dns_raw", &["9223372036854775807"]),
        ("SELECT CAST(sum(hits) AS DECIMAL(38, 0)) + 1 FROM dns_raw", &["9223372036854775808"]),
        ("SELECT server_id + 1, server_id * 2.5 FROM servers ORDER BY server_id", &["2 2.5", "3 5.0"]),
        ("SELECT hits + 1 AS more, count(*) FROM dns_raw WHERE hits < 9 GROUP BY hits + 1 ORDER BY hits + 1", &["5 1", "8 1"]),
        ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) FROM r", &["15"]),
        ("SELECT x + 1 FROM (VALUES (9223372036854775806), (NULL)) t(x) ORDER BY x", &["9223372036854775807", ""]),
    ] {
        assert_eq!(sql(&content, statement).await, expected, "{statement}");
    }
    let schema =
        content.engine.sql("SELECT hits + 1, sum(hits) * 2 FROM dns_raw WHERE hits < 9 GROUP BY hits").await.unwrap().schema;
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["dns_raw.hits + Int64(1)", "sum(dns_raw.hits) * Int64(2)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn arithmetic_that_nests_as_deeply_as_it_may_is_computed() {
    let content = absurd();
    let ones = " + 1".repeat(390);
    assert_eq!(sql(&content, &format!("SELECT 1{ones}")).await, ["391"]);
    assert_eq!(sql(&content, &format!("SELECT hits{ones} FROM dns_raw WHERE hits = 4")).await, ["394"]);
    let turns = " * 3 / 3 % 10 - 1 + 1".repeat(75);
    assert_eq!(sql(&content, &format!("SELECT hits{turns} FROM dns_raw WHERE hits = 4")).await, ["4"]);
    // From left to right, whether nested or in a row.
    let (few, many) = ("-1 - 2 + 3 * 2 - 7 / 2", "hits - 1 - 2 - 3 - 4 - 5 - 6 - 7 - 8 - 9 + 10 - (1 - 2 - 3) * 2 / 3");
    assert_eq!(sql(&content, &format!("SELECT {few}, {many} FROM dns_raw WHERE hits = 4")).await, ["0 -29"]);
    let grouped = "SELECT hits + 1 + 2, hits + 1 FROM dns_raw WHERE hits < 9 GROUP BY hits + 1 ORDER BY hits + 1";
    assert_eq!(sql(&content, grouped).await, ["7 5", "10 8"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_measure_of_a_table_or_an_answer_is_unsigned() {
    let content = small();
    let engine = &content.engine;
    let points = Filter::default();
    let by = By::RECORD.and(By::SERVER).and(By::ACTION);
    let metrics = crate::SystemFilter::default();
    let mut schemas = vec![
        engine.raw(&points, whole(), &page()).await.unwrap().schema,
        engine.totals(&points, whole(), by, &page()).await.unwrap().schema,
        engine.series(&points, whole(), Bucket::M5, by, &page()).await.unwrap().schema,
        engine.rps(&points, after(0, 300), None, by, &page()).await.unwrap().schema,
        engine.coverage(&[], whole(), &page()).await.unwrap().schema,
        engine.system_raw(&metrics, whole(), &page()).await.unwrap().schema,
        engine.system_aggregate(&metrics, whole(), Bucket::M5, &page()).await.unwrap().schema,
    ];
    for table in sql(&content, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'").await {
        schemas.push(engine.sql(&format!("SELECT * FROM {table}")).await.unwrap().schema);
    }
    assert_eq!(schemas.len(), 7 + 30);
    for schema in schemas {
        for field in schema.fields() {
            let number = matches!(field.name().as_str(), "server_id" | "record_id" | "resource_id" | "zone_id");
            assert!(number || !field.data_type().is_unsigned_integer(), "{field}");
        }
        if let Ok(hits) = schema.field_with_name("hits") {
            assert_eq!(*hits.data_type(), arrow::datatypes::DataType::Int64);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_of_numbers_with_signs_are_exact_and_stop_at_both_ends() {
    let content = small();
    let most = i64::MAX;
    let values = format!(
        "(VALUES (1, {most}), (1, {most}), (1, -{most}), (1, -{most}), (1, 7), (2, -{most}), (2, -{most}), (2, 5)) t(g, x)"
    );
    let least = i64::MIN.to_string();
    assert_eq!(sql(&content, &format!("SELECT sum(x) FROM {values} WHERE g = 1")).await, ["7"]);
    assert_eq!(sql(&content, &format!("SELECT sum(x) FROM {values} WHERE g = 2")).await, std::slice::from_ref(&least));
    let groups = format!("SELECT sum(x) FROM {values} GROUP BY g ORDER BY g");
    assert_eq!(sql(&content, &groups).await, ["7".to_owned(), least]);
    let window = format!("SELECT sum(x) OVER (PARTITION BY g) FROM {values} WHERE g = 1");
    assert_eq!(sql(&content, &window).await, ["7"; 5]);
    let distinct = "SELECT sum(DISTINCT x), count(DISTINCT y) FROM (VALUES (9223372036854775807, 1), (9223372036854775807, 2), \
                    (9223372036854775806, 3), (NULL, 4)) t(x, y)";
    assert_eq!(sql(&content, distinct).await, [format!("{most} 4")]);
    let sliding = "SELECT sum(DISTINCT x) OVER (ORDER BY y ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM \
                   (VALUES (3, 1), (3, 2), (4, 3), (NULL, 4), (NULL, 5)) t(x, y) ORDER BY y";
    assert_eq!(sql(&content, sliding).await, ["3", "3", "7", "4", ""]);
}

/// Of many groups, in partitions that hand over what they have.
#[tokio::test(flavor = "multi_thread")]
async fn sums_in_partitions_are_those_of_all_rows() {
    let content = small();
    let statement = "SELECT sum(s), count(*) FROM (SELECT value % 70001 AS g, sum(value) FILTER (WHERE value % 3 > 0) AS s \
                     FROM generate_series(1, 300000) GROUP BY g)";
    let expected: i64 = (1..=300_000).filter(|value| value % 3 > 0).sum();
    assert_eq!(sql(&content, statement).await, [format!("{expected} 70001")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_of_unsigned_numbers_can_be_subtracted() {
    let content = small();
    let from = "FROM (VALUES (1, 4), (2, 5)) t(x, y)";
    for (sums, expected) in [
        ("sum(CAST(x AS BIGINT UNSIGNED)) - sum(CAST(y AS BIGINT UNSIGNED))", "-6"),
        // Sums of other types are what they were.
        ("sum(CAST(x AS SMALLINT))", "3"),
        ("sum(CAST(x AS DOUBLE))", "3.0"),
        ("sum(CAST(x AS DECIMAL(9, 2)))", "3.00"),
    ] {
        assert_eq!(sql(&content, &format!("SELECT {sums} {from}")).await, [expected], "{sums}");
    }
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
