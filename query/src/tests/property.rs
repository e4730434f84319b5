use super::*;
use crate::{Bucket, By, Filter};
use proptest::prelude::*;
use std::collections::BTreeMap;
use zonepulse_dns::Action;

const NAMES: [&str; 4] = ["a.example.", "b.example.", "example.", "x.test."];
const TYPES: [&str; 2] = ["A", "MX"];
const KINDS: [&str; 3] = ["request", "NOERROR", "NXDOMAIN"];

/// A batch: server, minute, and points as (name, type, kind, hits, last access).
type Batch = (u32, u64, Vec<(usize, usize, usize, u64, u64)>);

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let point = (0..NAMES.len(), 0..TYPES.len(), 0..KINDS.len(), 1..1000u64, 0..60_000u64);
    prop::collection::vec((1..=2u32, 0..150u64, prop::collection::vec(point, 0..8)), 0..12)
}

fn fill(batches: &[Batch]) -> Content {
    let mut content = Content::new(&["alpha", "beta"]);
    for (server, minute, points) in batches {
        let points: Vec<Point<'_>> = points
            .iter()
            .map(|(name, record_type, kind, hits, last)| (NAMES[*name], TYPES[*record_type], KINDS[*kind], *hits, *last))
            .collect();
        content.batch(*server, minute * 60, 60, &points);
    }
    content
}

/// Sums of lines whose last word is a number, by the words before it.
fn sums(lines: Vec<String>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for line in lines {
        let (key, hits) = line.rsplit_once(' ').unwrap_or(("", &line));
        *sums.entry(key.to_owned()).or_default() += hits.parse::<u64>().unwrap();
    }
    sums
}

/// The largest last word by the words before it.
fn latest(lines: Vec<String>) -> BTreeMap<String, String> {
    let mut latest: BTreeMap<String, String> = BTreeMap::new();
    for line in lines {
        let (key, time) = line.rsplit_once(' ').unwrap();
        let kept = latest.entry(key.to_owned()).or_default();
        *kept = kept.clone().max(time.to_owned());
    }
    latest
}

fn day() -> TimeRange {
    after(0, 86_400)
}

fn requests_of(batches: &[Batch]) -> u64 {
    batches.iter().flat_map(|(_, _, points)| points).filter(|point| point.2 == 0).map(|point| point.3).sum()
}

/// The rows of a statement as CSV.
async fn texts(content: &Content, statement: &str) -> Vec<String> {
    sql_lines(content, statement, ",").await
}

async fn holds(batches: Vec<Batch>) {
    let content = fill(&batches);
    let engine = &content.engine;
    let raw = engine.raw(&Filter::default(), day(), &page()).await.unwrap();
    let all: u64 = batches.iter().flat_map(|(_, _, points)| points).map(|(_, _, _, hits, _)| hits).sum();
    assert_eq!(sums(lines(&raw, &["hits"])).values().sum::<u64>(), all);
    let by = By::RECORD.and(By::SERVER).and(By::ACTION);
    let keys = ["server", "host", "type", "action"];
    let totals = engine.totals(&Filter::default(), TimeRange::default(), by, &page()).await.unwrap();
    let with = |last: &'static str| [&keys[..], &[last]].concat();
    assert_eq!(sums(lines(&totals, &with("hits"))), sums(lines(&raw, &with("hits"))));
    assert_eq!(latest(lines(&totals, &with("last_access"))), latest(lines(&raw, &with("last_access"))));
    for bucket in Bucket::ALL {
        let series = engine.series(&Filter::default(), day(), bucket, by, &page()).await.unwrap();
        assert_eq!(sums(lines(&series, &with("hits"))), sums(lines(&raw, &with("hits"))), "{bucket:?}");
        assert_eq!(latest(lines(&series, &with("last_access"))), latest(lines(&raw, &with("last_access"))), "{bucket:?}");
        let requests = Filter { action: Some(Action::Request), ..Filter::default() };
        let series = engine.series(&requests, day(), bucket, By::SELECTION, &page()).await.unwrap();
        // Each bucket by itself, counted from the batches.
        let mut expected: BTreeMap<u64, u64> = BTreeMap::new();
        for (_, minute, points) in &batches {
            let hits: u64 = points.iter().filter(|point| point.2 == 0).map(|point| point.3).sum();
            if hits > 0 {
                *expected.entry(minute * 60 / u64::from(bucket.length_s())).or_default() += hits;
            }
        }
        let expected: Vec<String> = expected.values().map(u64::to_string).collect();
        assert_eq!(lines(&series, &["hits"]), expected, "{bucket:?}");
    }
    for (table, length_s) in [("dns_5m", 300), ("dns_15m", 900), ("dns_30m", 1800), ("dns_1h", 3600)] {
        let keys = "server_id, record_id, kind";
        let rolled = format!("SELECT time, interval_s, {keys}, hits, last_access FROM {table} ORDER BY time, {keys}");
        let added = format!(
            "SELECT date_bin(INTERVAL '{length_s} seconds', time) AS time, {length_s} AS interval_s, {keys}, sum(hits) AS hits, \
             max(last_access) AS last_access FROM dns_raw GROUP BY 1, {keys} ORDER BY 1, {keys}"
        );
        assert_eq!(texts(&content, &rolled).await, texts(&content, &added).await, "{table}");
    }
    // From where and until when it is about: any time, whole buckets or not.
    for (from_s, until_s) in [(0, 86_400), (60, 8_940), (3_540, 7_260), (300, 3_900), (120, 180)] {
        for step_s in [300, 900, 3600, 5400] {
            let range = after(from_s, until_s);
            let rps = engine.series(&Filter::default(), range, Bucket::H1, By::RECORD, &page()).await.unwrap();
            let raw = engine.raw(&Filter { action: Some(Action::Request), ..Filter::default() }, range, &page()).await.unwrap();
            assert_eq!(sums(lines(&rps, &["host", "type", "hits"])), sums(lines(&raw, &["host", "type", "hits"])));
            let grid = engine.rps(&Filter::default(), after(0, 86_400), Some(step_s), By::SELECTION, &page()).await.unwrap();
            let all: u64 = lines(&grid, &["hits"]).iter().filter_map(|hits| hits.parse::<u64>().ok()).sum();
            assert_eq!(all, requests_of(&batches), "{step_s}");
        }
    }
    let rps = engine.rps(&Filter::default(), day(), None, By::SELECTION, &Page::first(2000)).await.unwrap();
    assert_eq!(rps.total, 1440);
    let observed: std::collections::BTreeSet<u64> = batches.iter().map(|(_, minute, _)| *minute).collect();
    let steps = lines(&rps, &["hits"]);
    assert_eq!(steps.iter().filter(|hits| *hits != "-").count(), observed.len());
    let requests: u64 = batches.iter().flat_map(|(_, _, points)| points).filter(|point| point.2 == 0).map(|point| point.3).sum();
    assert_eq!(steps.iter().filter_map(|hits| hits.parse::<u64>().ok()).sum::<u64>(), requests);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn sums_of_every_kind_equal_the_sums_of_raw_points(batches in batches()) {
        tokio::runtime::Runtime::new().unwrap().block_on(holds(batches));
    }
}
