//! Rates of what was observed in part, and how many servers observed it.

use super::*;
use crate::{Bucket, By, Filter, Interval, TimeZone};
use proptest::prelude::*;
use std::collections::BTreeMap;

const MARKS: [&str; 3] = ["observed_servers", "servers", "open"];

impl Content {
    /// A batch of an interval of a minute, whose probe listened from so many seconds of it until so many, as another run of it.
    fn part(&mut self, server_id: u32, after_s: u64, (from_s, until_s): (u64, u64), hits: u64, blind_s: u64) {
        let points: &[Point<'_>] = &[("a.", "A", "request", hits, from_s * 1000)];
        let points = if hits > 0 { points } else { &[] };
        self.intake(server_id, after_s, 60, points, |intake| {
            intake.identity.epoch = from_s + 1;
            intake.covered_from_ms = intake.start_s * 1000 + from_s * 1000;
            intake.covered_until_ms = intake.start_s * 1000 + until_s * 1000;
            if blind_s > 0 {
                intake.counters.push((66, blind_s * 1000));
            }
        });
    }

    async fn minutes(&self, minutes: u64, by: By, columns: &[&str]) -> Vec<String> {
        let answer = self.engine.rps(&Filter::default(), after(0, minutes * 60), Some(60), by, &page()).await.unwrap();
        lines(&answer, columns)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partly_observed_step_is_divided_by_the_time_that_was_observed() {
    let mut content = Content::new(&["alpha"]);
    content.part(1, 0, (40, 60), 800, 0);
    content.part(1, 60, (0, 60), 2400, 0);
    let found = content.minutes(2, By::SELECTION, &["rps", "hits", "observed_servers"]).await;
    assert_eq!(found, ["40.0 800 0", "40.0 2400 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_the_sum_of_the_servers_rates() {
    let mut content = Content::new(&["alpha", "beta"]);
    content.part(1, 0, (0, 60), 600, 0);
    content.part(2, 0, (0, 15), 600, 0);
    let columns = ["rps", "hits", "observed_servers", "servers"];
    assert_eq!(content.minutes(1, By::SELECTION, &columns).await, ["50.0 1200 1 2"]);
    assert_eq!(content.minutes(1, By::RECORD, &columns).await, ["50.0 1200 1 2"]);
    assert_eq!(content.minutes(1, By::SERVER, &columns).await, ["10.0 600 1 1", "40.0 600 0 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_total_of_which_a_server_is_missing_says_so() {
    let mut content = Content::new(&["alpha", "beta"]);
    content.part(1, 0, (0, 60), 900, 0);
    content.part(2, 0, (0, 60), 2400, 0);
    content.part(1, 60, (0, 60), 900, 0);
    let found = content.minutes(2, By::SELECTION, &["rps", "observed_servers", "servers"]).await;
    assert_eq!(found, ["55.0 2 2", "15.0 1 2"]);
    let found = content.minutes(2, By::SERVER, &["server", "rps", "observed_servers", "servers"]).await;
    assert_eq!(found, ["alpha 15.0 1 1", "beta 40.0 1 1", "alpha 15.0 1 1", "beta - 0 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_in_an_interval_cover_a_part_each() {
    let mut content = Content::new(&["alpha"]);
    content.part(1, 0, (30, 60), 300, 0);
    content.part(1, 0, (0, 20), 200, 0);
    assert_eq!(content.minutes(1, By::SELECTION, &["rps", "hits", "observed_servers"]).await, ["10.0 500 0"]);
    content.part(1, 60, (31, 60), 290, 0);
    content.part(1, 60, (0, 31), 310, 0);
    assert_eq!(content.minutes(2, By::SELECTION, &["rps", "observed_servers"]).await[1], "10.0 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_probes_cover_no_time_twice() {
    let mut content = Content::new(&["alpha"]);
    content.part(1, 0, (0, 45), 450, 0);
    content.part(1, 0, (15, 60), 150, 0);
    assert_eq!(content.minutes(1, By::SELECTION, &["rps", "observed_servers"]).await, ["10.0 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_without_a_row_covers_its_time() {
    let mut content = Content::new(&["alpha"]);
    content.part(1, 0, (0, 30), 300, 0);
    content.part(1, 0, (30, 60), 0, 0);
    assert_eq!(content.minutes(1, By::SELECTION, &["rps", "observed_servers"]).await, ["5.0 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_was_blind_and_counted_nothing_has_observed_nothing() {
    let mut content = Content::new(&["alpha", "beta"]);
    content.part(1, 0, (0, 60), 600, 0);
    content.part(2, 0, (0, 60), 0, 60);
    let columns = ["rps", "hits", "observed_servers", "servers"];
    assert_eq!(content.minutes(1, By::SELECTION, &columns).await, ["10.0 600 1 2"]);
    assert_eq!(content.minutes(1, By::SERVER, &columns).await, ["10.0 600 1 1", "- - 0 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blind_probes_hits_are_a_rate_and_no_observation() {
    let mut content = Content::new(&["alpha"]);
    content.part(1, 0, (0, 60), 60, 60);
    content.part(1, 60, (0, 60), 0, 20);
    let found = content.minutes(2, By::SELECTION, &["rps", "hits", "observed_servers"]).await;
    assert_eq!(found, ["1.0 60 0", "0.0 0 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_counts_from_when_it_was_registered_until_it_was_removed() {
    let mut content = Content::new(&["alpha"]);
    let registry = content.store.registry();
    registry.add_server("silent", false, None, T0_MS + 60_000).unwrap();
    registry.add_server("gone", false, None, T0_MS).unwrap();
    registry.remove_server(zonepulse_model::ServerId::new(3), T0_MS + 120_000, false).unwrap();
    (0..3).for_each(|minute| content.part(1, minute * 60, (0, 60), 60, 0));
    let found = content.minutes(3, By::SELECTION, &["observed_servers", "servers"]).await;
    assert_eq!(found, ["1 2", "1 3", "1 2"]);
    let found = content.minutes(3, By::SERVER, &["server", "observed_servers", "servers"]).await;
    assert_eq!(found[..3], ["alpha 1 1", "silent 0 0", "gone 0 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_expected_to_report_counts_where_it_does() {
    let mut content = Content::new(&["alpha", "sample", "other"]);
    let mut server = content.store.registry().server(zonepulse_model::ServerId::new(3)).unwrap().unwrap();
    server.overrides.dns_monitoring = Some(false);
    content.store.registry().put_server(&server).unwrap();
    for minute in 0..2 {
        content.part(1, minute * 60, (0, 60), 60, 0);
    }
    content.part(2, 60, (0, 60), 60, 0);
    content.part(3, 60, (0, 30), 60, 0);
    let found = content.minutes(2, By::SELECTION, &["observed_servers", "servers"]).await;
    assert_eq!(found, ["1 1", "2 3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_selected_servers_are_counted() {
    let content = small();
    let filter = Filter { servers: vec![2], ..Filter::default() };
    let answer = content.engine.rps(&filter, after(0, 120), Some(60), By::SELECTION, &page()).await.unwrap();
    assert_eq!(lines(&answer, &["hits", "observed_servers", "servers"]), ["20 1 1", "- 0 1"]);
}

/// A server whose probe has reported all whole minutes that are over, and how many seconds after [`T0_S`] they are.
fn live(servers: &[&str]) -> (Content, u64) {
    let mut content = Content::new(servers);
    let over_s = crate::Clock::system().now().s() / 60 * 60 - T0_S;
    for minute in 1..=10 {
        content.part(1, over_s - minute * 60, (0, 60), 120, 0);
    }
    (content, over_s)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_step_is_open_and_its_rate_no_drop() {
    let (content, over_s) = live(&["alpha"]);
    let range = after(over_s - 300, over_s + 60);
    let answer = content.engine.rps(&Filter::default(), range, Some(60), By::SELECTION, &page()).await.unwrap();
    let found = lines(&answer, &["rps", "observed_servers", "open"]);
    assert_eq!(found[..5], ["2.0 1 false"; 5]);
    assert_eq!(found[5], "- 0 true");
    // Of the day some minutes are there, unless it has just begun.
    let range = after(over_s - 60, over_s);
    let answer = content.engine.rps(&Filter::default(), range, Some(86_400), By::SELECTION, &page()).await.unwrap();
    let found = lines(&answer, &["rps", "open"]);
    assert_eq!(found, [format!("2.0 {}", over_s % 86_400 != 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_over_when_all_servers_have_reported_of_it() {
    let (mut content, over_s) = live(&["alpha", "beta"]);
    let newest = async |content: &Content| {
        let range = after(over_s + 60, over_s + 120);
        let answer = content.engine.rps(&Filter::default(), range, Some(60), By::SELECTION, &page()).await.unwrap();
        lines(&answer, &MARKS)
    };
    // The clocks of their probes are ahead by a minute or two.
    content.part(1, over_s + 60, (0, 60), 60, 0);
    assert_eq!(newest(&content).await, ["1 2 true"]);
    content.part(2, over_s + 60, (0, 60), 60, 0);
    assert_eq!(newest(&content).await, ["2 2 false"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_say_how_many_servers_observed_them_whatever_they_are_split_by() {
    let mut content = Content::new(&["alpha", "beta"]);
    for minute in 0..10 {
        content.part(1, minute * 60, (0, 60), 1, 0);
        if minute != 7 {
            content.part(2, minute * 60, (0, 60), 1, 0);
        }
    }
    let series = async |by: By| {
        let answer = content.engine.series(&Filter::default(), after(0, 600), Bucket::M5, by, &page()).await.unwrap();
        lines(&answer, &["hits", "observed_servers", "servers", "open"])
    };
    for by in [By::SELECTION, By::RECORD, By::ACTION, By::RECORD.and(By::ACTION)] {
        assert_eq!(series(by).await, ["10 2 2 false", "9 1 2 false"], "{by:?}");
    }
    assert_eq!(series(By::SERVER).await, ["5 1 1 false", "5 1 1 false", "5 1 1 false", "4 0 1 false"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_at_the_end_of_a_range_is_about_its_part_in_it() {
    let mut content = Content::new(&["alpha"]);
    (2..4).for_each(|minute| content.part(1, minute * 60, (0, 60), 1, 0));
    let series = async |range| {
        let answer = content.engine.series(&Filter::default(), range, Bucket::M5, By::SELECTION, &page()).await.unwrap();
        lines(&answer, &["hits", "observed_servers"])
    };
    assert_eq!(series(after(120, 240)).await, ["2 1"]);
    assert_eq!(series(after(120, 300)).await, ["2 0"]);
    assert_eq!(series(after(0, 240)).await, ["2 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_observed_when_every_hour_of_it_is() {
    let mut content = Content::new(&["alpha"]);
    let zone: TimeZone = "Europe/Prague".parse().unwrap();
    // Midnight there is an hour earlier.
    for at in 0..24 * 12 {
        content.batch(1, 23 * 3600 + at * 300, 300, &[("a.", "A", "request", 5, 0)]);
    }
    let range = after(23 * 3600, 2 * 86_400);
    let answer = content.engine.series(&Filter::default(), range, Interval::Day(zone), By::SELECTION, &page()).await.unwrap();
    assert_eq!(lines(&answer, &["time", "hits", "observed_servers"]), ["2026-01-01T23:00:00Z 1440 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_sorted_by_what_is_said_of_their_steps() {
    let content = small();
    let sort = sorted(&["-observed_servers", "time"]);
    let answer = content.engine.rps(&Filter::default(), after(0, 180), Some(60), By::SELECTION, &sort).await.unwrap();
    assert_eq!(lines(&answer, &["observed_servers"]), ["2", "1", "0"]);
}

/// A report: server, minute, from and until when in it the probe listened, hits of two records, seconds in which it was blind.
type Told = (u32, u64, (u64, u64), [u64; 2], u64);

fn any_told() -> impl Strategy<Value = Vec<Told>> {
    let part = prop_oneof![3 => Just((0u64, 60u64)), 1 => (0u64..60, 0u64..=60)];
    let blind = prop_oneof![4 => Just(0u64), 1 => Just(60u64), 1 => 1u64..60];
    let hits = prop_oneof![1 => Just([0u64; 2]), 3 => [0u64..50, 0u64..50]];
    let told = (1u32..4, 0u64..40, part, hits, blind).prop_map(|(server_id, minute, (a, b), hits, blind_s)| {
        let (from_s, until_s) = (a.min(b), a.max(b));
        (server_id, minute, (from_s, until_s), hits, blind_s.min(until_s - from_s))
    });
    prop::collection::vec(told, 0..60)
}

fn told_content(told: &[Told]) -> Content {
    let mut content = Content::new(&["alpha", "beta", "gamma"]);
    for (at, (server_id, minute, (from_s, until_s), hits, blind_s)) in told.iter().enumerate() {
        let points: Vec<Point<'_>> = ["a.", "b."]
            .iter()
            .zip(hits)
            .filter(|(_, hits)| **hits > 0)
            .map(|(name, hits)| (*name, "A", "request", *hits, 0))
            .collect();
        content.intake(*server_id, minute * 60, 60, &points, |intake| {
            intake.identity.epoch = at as u64;
            intake.covered_from_ms += from_s * 1000;
            intake.covered_until_ms = intake.start_s * 1000 + until_s * 1000;
            intake.counters.extend((*blind_s > 0).then_some((66, blind_s * 1000)));
        });
    }
    content
}

/// The rate of some records on some servers in a step, its hits, and how many servers observed it, from the reports one by one.
fn model(told: &[Told], servers: &[u32], records: &[usize], step_s: u64, at: u64) -> (Option<(f64, u64)>, usize) {
    let (mut rate, mut all, mut known, mut observed_servers) = (0.0, 0, false, 0);
    for server_id in servers {
        let mine: Vec<&Told> = told.iter().filter(|(id, minute, ..)| id == server_id && minute * 60 / step_s == at).collect();
        let (mut covered, mut clear) = (vec![false; step_s as usize], vec![false; step_s as usize]);
        let mut sum = 0;
        for (_, minute, (from_s, until_s), hits, blind_s) in mine {
            let has_hits = hits.iter().any(|hits| *hits > 0);
            let whole = from_s == until_s && has_hits;
            let (from, until) = if whole { (0, 60) } else { (*from_s, *until_s) };
            for second in from..until {
                let place = (minute * 60 % step_s + second) as usize;
                covered[place] |= has_hits || *blind_s < until - from;
                clear[place] |= *blind_s == 0 && !whole;
            }
            sum += records.iter().map(|record| hits[*record]).sum::<u64>();
        }
        let seconds = covered.iter().filter(|covered| **covered).count();
        if seconds > 0 {
            known = true;
            rate += sum as f64 / seconds as f64;
            all += sum;
        }
        observed_servers += usize::from(clear.iter().all(|clear| *clear));
    }
    (known.then_some((rate, all)), observed_servers)
}

async fn rates_are_those_of_the_model(told: Vec<Told>) {
    let content = told_content(&told);
    let servers = [1, 2, 3];
    for step_s in [60u64, 180, 300, 600] {
        let steps = 2400u64.div_ceil(step_s);
        for (by, split) in [(By::SELECTION, vec![]), (By::SERVER, vec!["server_id"]), (By::RECORD, vec!["host"])] {
            let range = after(0, 2400);
            let page = Page::first(100_000);
            let answer = content.engine.rps(&Filter::default(), range, Some(step_s as u32), by, &page).await.unwrap();
            let columns = [&["time", "rps", "hits", "observed_servers"], &split[..]].concat();
            let mut found: BTreeMap<(String, String), (String, String, String)> = BTreeMap::new();
            let times = after_times(steps, step_s);
            for line in lines(&answer, &columns) {
                let mut words = line.split(' ').map(str::to_owned);
                let mut next = || words.next().unwrap_or_default();
                let (time, rest, series) = (next(), (next(), next(), next()), next());
                found.insert((time, series), rest);
            }
            for (at, time) in times.iter().enumerate() {
                let series: Vec<(String, Vec<u32>, Vec<usize>)> = if by.server {
                    servers.iter().map(|id| (id.to_string(), vec![*id], vec![0, 1])).collect()
                } else if by.record {
                    // Records that nobody asked for have no rows.
                    let asked = |record: usize| told.iter().any(|(_, _, _, hits, _)| hits[record] > 0);
                    let records = [("a.", 0), ("b.", 1)].into_iter().filter(|(_, record)| asked(*record));
                    records.map(|(name, record)| (name.to_owned(), servers.to_vec(), vec![record])).collect()
                } else {
                    vec![(String::new(), servers.to_vec(), vec![0, 1])]
                };
                for (name, of, records) in series {
                    let (expected, observed_servers) = model(&told, &of, &records, step_s, at as u64);
                    let (rate, hits, observed) = found.remove(&(time.clone(), name.clone())).unwrap();
                    assert_eq!(observed, observed_servers.to_string(), "{step_s} {by:?} {time} {name}");
                    match expected {
                        None => assert_eq!((rate.as_str(), hits.as_str()), ("-", "-"), "{step_s} {by:?} {time} {name}"),
                        Some((expected, all)) => {
                            assert_eq!(hits, all.to_string(), "{step_s} {by:?} {time} {name}");
                            let rate: f64 = rate.parse().unwrap();
                            assert!(
                                (rate - expected).abs() <= 1e-9 * expected,
                                "{step_s} {by:?} {time} {name}: {rate}, {expected}"
                            );
                        }
                    }
                }
            }
            assert!(found.is_empty(), "{found:?}");
        }
    }
}

/// How steps that follow [`T0_S`] are told.
fn after_times(steps: u64, step_s: u64) -> Vec<String> {
    let minutes = (0..steps).map(|at| at * step_s / 60);
    minutes.map(|minute| format!("2026-01-01T{:02}:{:02}:00Z", minute / 60, minute % 60)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn rates_are_those_of_the_reports_one_by_one(told in any_told()) {
        tokio::runtime::Runtime::new().unwrap().block_on(rates_are_those_of_the_model(told));
    }
}
