//! Days of time zones, of DNS and of metrics, around the days on which clocks are changed.

use super::system::measured;
use super::*;
use crate::{Bucket, By, Interval, SystemFilter, TimeZone};
use std::collections::BTreeMap;

const HOUR_S: u64 = 3600;
/// From [`T0_S`] to 2026-03-27T00:00:00Z; in Prague clocks are put forward on the 29th.
const MARCH_27_S: u64 = (31 + 28 + 26) * 24 * HOUR_S;
/// From [`T0_S`] to 2026-10-24T00:00:00Z; in Prague clocks are put back on the 25th.
const OCTOBER_24_S: u64 = (31 + 28 + 31 + 30 + 31 + 30 + 31 + 31 + 30 + 23) * 24 * HOUR_S;

fn days(zone: &str) -> Interval {
    Interval::Day(zone.parse().unwrap())
}

/// A hit in every hour for four days.
fn hourly(begin_s: u64) -> Content {
    let mut content = Content::new(&["alpha"]);
    for hour in 0..96 {
        content.batch(1, begin_s + hour * HOUR_S, 60, &[("a.", "A", "request", 1, 500)]);
    }
    content
}

async fn hits(content: &Content, range: TimeRange, interval: Interval) -> Vec<String> {
    let answer = content.engine.series(&Filter::default(), range, interval, By::SELECTION, &page()).await.unwrap();
    lines(&answer, &["time", "hits", "last_access"])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_day_on_which_clocks_are_put_forward_has_23_hours() {
    let content = hourly(MARCH_27_S);
    // From local midnight to local midnight.
    let range = after(MARCH_27_S + 23 * HOUR_S, MARCH_27_S + 94 * HOUR_S);
    let expected = [
        "2026-03-27T23:00:00Z 24 2026-03-28T22:00:00.500Z",
        "2026-03-28T23:00:00Z 23 2026-03-29T21:00:00.500Z",
        "2026-03-29T22:00:00Z 24 2026-03-30T21:00:00.500Z",
    ];
    assert_eq!(hits(&content, range, days("Europe/Prague")).await, expected);
    content.expire_raw_points(1);
    assert_eq!(hits(&content, range, days("Europe/Prague")).await, expected, "raw points are not needed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_day_on_which_clocks_are_put_back_has_25_hours() {
    let content = hourly(OCTOBER_24_S);
    let range = after(OCTOBER_24_S, OCTOBER_24_S + 71 * HOUR_S);
    let expected = [
        "2026-10-23T22:00:00Z 22 2026-10-24T21:00:00.500Z",
        "2026-10-24T22:00:00Z 25 2026-10-25T22:00:00.500Z",
        "2026-10-25T23:00:00Z 24 2026-10-26T22:00:00.500Z",
    ];
    assert_eq!(hits(&content, range, days("Europe/Prague")).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn days_of_zones_with_parts_of_hours_need_no_raw_points() {
    let mut content = Content::new(&["alpha"]);
    for quarter in 0..4 * 72 {
        content.batch(1, quarter * 900, 300, &[("a.", "A", "request", 1, 0)]);
    }
    content.expire_raw_points(1);
    let hits = |zone: &'static str, from_s: u64| {
        let content = &content;
        async move {
            let range = after(from_s, from_s + 48 * HOUR_S);
            let answer = content.engine.series(&Filter::default(), range, days(zone), By::SELECTION, &page()).await.unwrap();
            lines(&answer, &["time", "hits"])
        }
    };
    // Local midnight is at 18:15 and at 18:30.
    assert_eq!(hits("Asia/Kathmandu", 73 * 900).await, ["2026-01-01T18:15:00Z 96", "2026-01-02T18:15:00Z 96"]);
    assert_eq!(hits("Asia/Kolkata", 74 * 900).await, ["2026-01-01T18:30:00Z 96", "2026-01-02T18:30:00Z 96"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_the_sums_of_their_quarters_however_they_are_split() {
    let mut content = Content::new(&["alpha", "beta"]);
    let mut seed = 11u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for begin_s in [0, MARCH_27_S, OCTOBER_24_S] {
        for _ in 0..60 {
            let host = ["a.", "b.", "c."][random(3) as usize];
            let kind = ["request", "NOERROR"][random(2) as usize];
            let (server, start_s) = (1 + random(2) as u32, begin_s + random(4 * 24 * 60) * 60);
            content.batch(server, start_s, 60, &[(host, "A", kind, 1 + random(9), 0)]);
        }
    }
    let range = TimeRange { from_ms: Some(0), until_ms: Some(T0_MS + 330 * 86_400_000) };
    for zone in ["UTC", "Europe/Prague", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo"] {
        let time_zone: TimeZone = zone.parse().unwrap();
        for by in [By::SELECTION, By::RECORD, By::SERVER.and(By::ACTION), By::RECORD.and(By::SERVER).and(By::ACTION)] {
            let told = |answer: Answer| -> BTreeMap<(u64, String), u64> {
                let mut told = BTreeMap::new();
                let groups: Vec<String> = answer.schema.fields().iter().skip(3).map(|field| field.name().clone()).collect();
                let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
                for batch in &answer.batches {
                    let one = Answer { batches: vec![batch.clone()], ..answer.clone() };
                    let times = batch.column_by_name("time").unwrap();
                    let times = arrow::compute::cast(times, &arrow::datatypes::DataType::Int64).unwrap();
                    let times = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&times).values().to_vec();
                    let (hits, groups) = (lines(&one, &["hits"]), lines(&one, &groups));
                    for ((time, hits), group) in times.iter().zip(hits).zip(groups) {
                        let day_ms = time_zone.start_of_day_ms(*time as u64);
                        *told.entry((day_ms, group)).or_default() += hits.parse::<u64>().unwrap();
                    }
                }
                told
            };
            let filter = Filter::default();
            let by_day = content.engine.series(&filter, range, days(zone), by, &page()).await.unwrap();
            let by_quarter = content.engine.series(&filter, range, Bucket::M15, by, &page()).await.unwrap();
            let (rows, days) = (by_day.total as usize, told(by_day));
            assert_eq!(days.len(), rows, "{zone} {by:?}: every day has one row, and its time is when the day begins");
            assert_eq!(days, told(by_quarter), "{zone} {by:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_points_there_are_no_days() {
    let content = Content::new(&["alpha"]);
    let ever = TimeRange { from_ms: Some(0), until_ms: Some(T0_MS) };
    assert!(hits(&content, ever, days("Europe/Prague")).await.is_empty());
    assert!(hits(&content, after(5, 5), days("Europe/Prague")).await.is_empty());
    let nothing = content.engine.system_aggregate(&SystemFilter::default(), ever, days("Asia/Kathmandu"), &page()).await;
    assert_eq!(nothing.unwrap().total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_of_a_day_are_those_of_its_buckets_together() {
    let mut content = Content::new(&["alpha"]);
    // Every six hours five values; clocks are put forward in the second night.
    for quarter in 0..12u64 {
        let values: Vec<Option<f64>> = (0..5).map(|value| Some((quarter * 10 + value) as f64 / 10.0)).collect();
        measured(&mut content, 1, MARCH_27_S + quarter * 6 * HOUR_S, &[("cpu_percent", "total", &values)]);
    }
    let columns = ["time", "metric", "label", "min", "max", "avg", "last", "count"];
    let range = after(MARCH_27_S, MARCH_27_S + 72 * HOUR_S);
    let answer = content.engine.system_aggregate(&SystemFilter::default(), range, days("Europe/Prague"), &page()).await;
    let answer = answer.unwrap();
    let expected = [
        "2026-03-26T23:00:00Z cpu_percent total 0.0 3.4 1.7 3.4 20",
        "2026-03-27T23:00:00Z cpu_percent total 4.0 7.4 5.7 7.4 20",
        "2026-03-28T23:00:00Z cpu_percent total 8.0 11.4 9.7 11.4 20",
    ];
    assert_eq!(lines(&answer, &columns), expected);
    assert_eq!(answer.total, 3);
    let last = sorted(&["-time"]);
    let answer = content.engine.system_aggregate(&SystemFilter::default(), range, days("Asia/Kathmandu"), &last).await.unwrap();
    let expected = ["2026-03-28T18:15:00Z 20", "2026-03-27T18:15:00Z 20", "2026-03-26T18:15:00Z 20"];
    assert_eq!(lines(&answer, &["time", "count"]), expected);
}
