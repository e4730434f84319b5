use super::*;
use crate::{By, SqlAnswer, SystemFilter};
use expect_test::{Expect, expect};
use futures::TryStreamExt;
use zonepulse_model::{Identity, ServerId};
use zonepulse_store::{SeriesIntake, SystemIntake};

/// Metric, label, and the values of slots of five seconds from a second on.
type Measured<'a> = (&'a str, &'a str, &'a [Option<f64>]);

pub(super) fn measured(content: &mut Content, server_id: u32, after_s: u64, series: &[Measured<'_>]) {
    measured_after_loss(content, server_id, after_s, series, None);
}

pub(super) fn measured_after_loss(
    content: &mut Content,
    server_id: u32,
    after_s: u64,
    series: &[Measured<'_>],
    evicted: Option<zonepulse_model::Evicted>,
) {
    let mut write = content.store.begin();
    let ids = write.series_ids(ServerId::new(server_id), series.iter().map(|(metric, label, _)| (*metric, *label)));
    let slots = series[0].2.len() as u32;
    let series = ids.into_iter().zip(series);
    let intake = SystemIntake {
        identity: Identity { server_id: ServerId::new(server_id), epoch: 2, seq: content.seq },
        start_s: T0_S + after_s,
        interval_s: 5,
        slots,
        evicted,
        series: series.map(|(series_id, (.., values))| SeriesIntake { series_id, values: values.to_vec() }).collect(),
    };
    content.seq += 1;
    write.add_system(&intake).unwrap();
    write.commit().unwrap();
}

/// Two servers and three series, the first hour sealed, a late batch and the second hour open.
fn machines() -> Content {
    let mut content = Content::new(&["alpha", "beta"]);
    let cpu = [Some(10.0), Some(20.5), None, Some(30.0)];
    measured(
        &mut content,
        1,
        290,
        &[("cpu_percent", "0", &cpu), ("cpu_percent", "total", &cpu), ("load_1m", "", &[Some(0.5); 4])],
    );
    measured(&mut content, 2, 300, &[("load_1m", "", &[Some(0.25), Some(0.75)])]);
    for round in 0..3 {
        while content.store.upkeep(T0_S + 7200 + 60 * round).unwrap() != zonepulse_store::Step::Idle {}
    }
    measured(&mut content, 1, 300, &[("load_1m", "", &[Some(9.0)])]);
    measured(&mut content, 2, 3600, &[("load_1m", "", &[Some(4.0)])]);
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_is_told_in_the_coverage_and_makes_no_time_observed() {
    let mut content = Content::new(&["alpha"]);
    content.batch(1, 0, 60, &[("a.", "A", "request", 5, 0)]);
    measured(&mut content, 1, 0, &[("load_1m", "", &[Some(1.0)])]);
    let evicted = Some(zonepulse_model::Evicted { batches: 3, from_s: T0_S + 60, until_s: T0_S + 180 });
    measured_after_loss(&mut content, 1, 180, &[("load_1m", "", &[Some(1.0)])], evicted);
    content.batch(1, 240, 60, &[("a.", "A", "request", 5, 0)]);
    let answer = content.engine.coverage(&[], whole(), &page()).await.unwrap();
    let columns = ["time", "covered_from", "covered_until", "hits", "batches_evicted", "evicted_from", "evicted_until"];
    assert_eq!(
        lines(&answer, &columns),
        [
            "2026-01-01T00:00:00Z 2026-01-01T00:00:00Z 2026-01-01T00:01:00Z 5 0 - -",
            "2026-01-01T00:03:00Z 2026-01-01T00:03:00Z 2026-01-01T00:03:00Z 0 3 2026-01-01T00:01:00Z 2026-01-01T00:03:00Z",
            "2026-01-01T00:04:00Z 2026-01-01T00:04:00Z 2026-01-01T00:05:00Z 5 0 - -",
        ]
    );
    let steps = content.engine.rps(&Filter::default(), after(0, 300), None, By::SELECTION, &page()).await.unwrap();
    assert_eq!(lines(&steps, &["hits"]), ["5", "-", "-", "-", "5"], "a step is a minute, and the fourth was not observed");
}

async fn sql(content: &Content, text: &str) -> String {
    let SqlAnswer { schema, batches } = content.engine.sql(text).await.unwrap();
    let batches: Vec<_> = batches.try_collect().await.unwrap();
    arrow::util::pretty::pretty_format_batches_with_schema(schema, &batches).unwrap().to_string() + "\n"
}

async fn check(text: &str, expected: Expect) {
    expected.assert_eq(&sql(&machines(), text).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_values_are_told_by_time_server_metric_and_label() {
    let content = machines();
    let answer = content.engine.system_raw(&SystemFilter::default(), whole(), &page()).await.unwrap();
    assert_eq!(answer.total, 13);
    expect![[r#"
        +----------------------+-----------+--------+-------------+-------+-------+
        | time                 | server_id | server | metric      | label | value |
        +----------------------+-----------+--------+-------------+-------+-------+
        | 2026-01-01T00:04:50Z | 1         | alpha  | cpu_percent | 0     | 10.0  |
        | 2026-01-01T00:04:50Z | 1         | alpha  | cpu_percent | total | 10.0  |
        | 2026-01-01T00:04:50Z | 1         | alpha  | load_1m     |       | 0.5   |
        | 2026-01-01T00:04:55Z | 1         | alpha  | cpu_percent | 0     | 20.5  |
        | 2026-01-01T00:04:55Z | 1         | alpha  | cpu_percent | total | 20.5  |
        | 2026-01-01T00:04:55Z | 1         | alpha  | load_1m     |       | 0.5   |
        | 2026-01-01T00:05:00Z | 1         | alpha  | load_1m     |       | 9.0   |
        | 2026-01-01T00:05:00Z | 2         | beta   | load_1m     |       | 0.25  |
        | 2026-01-01T00:05:05Z | 1         | alpha  | cpu_percent | 0     | 30.0  |
        | 2026-01-01T00:05:05Z | 1         | alpha  | cpu_percent | total | 30.0  |
        | 2026-01-01T00:05:05Z | 1         | alpha  | load_1m     |       | 0.5   |
        | 2026-01-01T00:05:05Z | 2         | beta   | load_1m     |       | 0.75  |
        | 2026-01-01T01:00:00Z | 2         | beta   | load_1m     |       | 4.0   |
        +----------------------+-----------+--------+-------------+-------+-------+
    "#]]
    .assert_eq(&table(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_are_told_sealed_late_and_open() {
    let content = machines();
    let filter = SystemFilter { metrics: vec!["load_1m".into()], ..SystemFilter::default() };
    let answer = content.engine.system_aggregate(&filter, whole(), crate::Bucket::M5, &page()).await.unwrap();
    assert_eq!(answer.total, 4);
    expect![[r#"
        +----------------------+-----------+--------+---------+-------+------+------+------+------+-------+
        | time                 | server_id | server | metric  | label | min  | max  | avg  | last | count |
        +----------------------+-----------+--------+---------+-------+------+------+------+------+-------+
        | 2026-01-01T00:00:00Z | 1         | alpha  | load_1m |       | 0.5  | 0.5  | 0.5  | 0.5  | 2     |
        | 2026-01-01T00:05:00Z | 1         | alpha  | load_1m |       | 0.5  | 9.0  | 4.75 | 0.5  | 2     |
        | 2026-01-01T00:05:00Z | 2         | beta   | load_1m |       | 0.25 | 0.75 | 0.5  | 0.75 | 2     |
        | 2026-01-01T01:00:00Z | 2         | beta   | load_1m |       | 4.0  | 4.0  | 4.0  | 4.0  | 1     |
        +----------------------+-----------+--------+---------+-------+------+------+------+------+-------+
    "#]]
    .assert_eq(&table(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_pages_and_orders_are_those_that_were_asked_for() {
    let content = machines();
    let filter = SystemFilter { servers: vec![1], metrics: vec![], labels: vec!["0".into(), "".into()] };
    let page = Page { offset: 1, limit: 3, ..sorted(&["-value", "time"]) };
    let answer = content.engine.system_raw(&filter, whole(), &page).await.unwrap();
    assert_eq!(answer.total, 7);
    expect![[r#"
        cpu_percent 0 20.5
        cpu_percent 0 10.0
        load_1m  9.0
    "#]]
    .assert_eq(&(lines(&answer, &["metric", "label", "value"]).join("\n") + "\n"));
    let nobody = SystemFilter { metrics: vec!["nothing".into()], ..SystemFilter::default() };
    assert_eq!(content.engine.system_raw(&nobody, whole(), &super::page()).await.unwrap().total, 0);
    let wrong = content.engine.system_raw(&filter, whole(), &sorted(&["hits"])).await;
    assert_eq!(argument(wrong), "sort");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_series_are_listed() {
    let answer = machines().engine.system_series(&page()).await.unwrap();
    assert_eq!(lines(&answer, &["metric", "label"]), ["cpu_percent 0", "cpu_percent total", "load_1m "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_read_the_tables() {
    check(
        "SELECT server, metric, sum(count) AS count, max(max) AS max FROM system_1h WHERE label <> '0' \
         GROUP BY server, metric ORDER BY server, metric",
        expect![[r#"
            +--------+-------------+-------+------+
            | server | metric      | count | max  |
            +--------+-------------+-------+------+
            | alpha  | cpu_percent | 3     | 30.0 |
            | alpha  | load_1m     | 4     | 9.0  |
            | beta   | load_1m     | 3     | 4.0  |
            +--------+-------------+-------+------+
        "#]],
    )
    .await;
    check(
        "SELECT count(*) AS rows, sum(value) AS sum, min(interval_s) AS interval_s FROM system_raw",
        expect![[r#"
        +------+-------+------------+
        | rows | sum   | interval_s |
        +------+-------+------------+
        | 13   | 136.5 | 5          |
        +------+-------+------------+
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_become_a_selection_of_the_store() {
    check(
        "EXPLAIN SELECT time, avg FROM system_5m WHERE metric = 'cpu_percent' AND label LIKE 't%' AND server IN ('alpha', 'x') \
         AND time >= '2026-01-01T00:00:00Z' AND time < '2026-01-01T01:00:00Z'",
        expect![[r#"
            +---------------+----------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------+
            | plan_type     | plan                                                                                                                                                                                                                                                                                                                                         |
            +---------------+----------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------+
            | logical_plan  | TableScan: system_5m projection=[time, avg], full_filters=[system_5m.server = Utf8("alpha") OR system_5m.server = Utf8("x"), system_5m.metric = Utf8("cpu_percent"), system_5m.time >= TimestampMillisecond(1767225600000, Some("UTC")), system_5m.time < TimestampMillisecond(1767229200000, Some("UTC")), system_5m.label LIKE Utf8("t%")] |
            | physical_plan | CooperativeExec                                                                                                                                                                                                                                                                                                                              |
            |               |   SystemScan: system_5m, servers=[1], from_s=1767225600, until_s=1767229200, series=[1], columns=[time, avg]                                                                                                                                                                                                                                 |
            |               |                                                                                                                                                                                                                                                                                                                                              |
            +---------------+----------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------------+
        "#]],
    )
    .await;
    // What is of two dimensions stays where it is, and the answer is right.
    check(
        "SELECT count(*) AS rows FROM system_raw WHERE label = '0' OR server = 'beta'",
        expect![[r#"
        +------+
        | rows |
        +------+
        | 6    |
        +------+
    "#]],
    )
    .await;
}

/// Roll-ups of random points are what DataFusion itself makes of the raw ones.
#[tokio::test(flavor = "multi_thread")]
async fn roll_ups_say_what_raw_values_say() {
    let mut content = Content::new(&["alpha"]);
    let mut seed = 7u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    for batch in 0..40 {
        let values: Vec<Option<f64>> = (0..30).map(|_| (random() % 9 > 0).then(|| (random() % 1000) as f64 / 10.0)).collect();
        measured(&mut content, 1, batch * 150 + 5 * (random() % 4), &[("cpu_percent", "0", &values)]);
        if batch == 25 {
            while content.store.upkeep(T0_S + 7200 + 60 * (random() % 3)).unwrap() != zonepulse_store::Step::Idle {}
        }
    }
    for (table, width) in
        [("system_5m", "5 minutes"), ("system_15m", "15 minutes"), ("system_30m", "30 minutes"), ("system_1h", "1 hour")]
    {
        let told =
            sql(&content, &format!("SELECT time, min, max, round(avg, 9) AS avg, last, count FROM {table} ORDER BY time")).await;
        let made = format!(
            "SELECT date_bin(INTERVAL '{width}', time) AS time, min(value) AS min, max(value) AS max, round(avg(value), 9) AS avg, \
             last_value(value ORDER BY time) AS last, count(*) AS count FROM system_raw GROUP BY 1 ORDER BY 1"
        );
        let made = sql(&content, &made).await;
        assert_eq!(told, made, "{table}");
        assert!(told.lines().count() > 5, "{told}");
    }
}
