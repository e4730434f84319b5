//! A question or statement takes one moment for now, however time moves between its parts.

use super::system::measured;
use super::*;
use crate::{Bucket, By, Interval, Now, SystemFilter, TimeZone};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// When the clock is looked at first, and raw points of the last hour are kept: 2026-01-01T01:31:00Z.
const NOW_S: u64 = T0_S + 5460;
/// How much later it is each time: by then all points have expired.
const LEAP_S: u64 = 7200;

/// Half an hour of points and metrics, and how often the clock has been looked at.
struct Leaping {
    content: Content,
    looks: Arc<AtomicU64>,
}

impl Leaping {
    fn new() -> Self {
        let looks = Arc::new(AtomicU64::new(0));
        let counted = looks.clone();
        let clock = Clock::new(move || {
            let leaps = counted.fetch_add(1, Ordering::Relaxed);
            Now::since_epoch(Duration::from_secs(NOW_S + leaps * LEAP_S))
        });
        let mut content = Content::with_clock(&["alpha"], options(), clock);
        for minute in 0..30 {
            content.batch(1, 3600 + minute * 60, 60, &[("a.", "A", "request", 1, 0)]);
        }
        measured(&mut content, 1, 3600, &[("load_1m", "", &[Some(1.0); 30])]);
        content.expire_raw_points(1);
        Leaping { content, looks }
    }

    /// What an answer says, given that the clock was looked at once for it.
    async fn one_look<T>(&self, answer: impl AsyncFnOnce(&Engine) -> T) -> T {
        self.looks.store(0, Ordering::Relaxed);
        let answer = answer(&self.content.engine).await;
        assert_eq!(self.looks.load(Ordering::Relaxed), 1);
        answer
    }
}

fn page_at(offset: u64) -> Page {
    Page { offset, limit: 5, ..Page::first(5) }
}

fn sum(answer: &Answer) -> u64 {
    lines(answer, &["hits"]).iter().filter_map(|hits| hits.parse::<u64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_and_what_is_shown_have_one_horizon() {
    let leaping = Leaping::new();
    let (all, range) = (Filter::default(), TimeRange::default());
    for offset in [0, 20] {
        for (sort, of_record) in [(page(), false), (sorted(&["-time"]), false), (sorted(&["host"]), false), (page(), true)] {
            let filter = if of_record { hosts(&["a."]) } else { all.clone() };
            let page = Page { sort: sort.sort, ..page_at(offset) };
            let answer = leaping.one_look(async |engine| engine.raw(&filter, range, &page).await.unwrap()).await;
            assert_eq!((answer.rows(), answer.total), (5, 30), "{page:?}");
        }
        let answer = leaping.one_look(async |engine| engine.coverage(&[], range, &page_at(offset)).await.unwrap()).await;
        assert_eq!((answer.rows(), answer.total), (5, 30));
        let metrics = SystemFilter::default();
        let answer = leaping.one_look(async |engine| engine.system_raw(&metrics, range, &page_at(offset)).await.unwrap()).await;
        assert_eq!((answer.rows(), answer.total), (5, 30));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_added_up_in_parts_has_one_horizon() {
    let leaping = Leaping::new();
    let (all, range, by) = (Filter::default(), TimeRange::default(), By::SELECTION);
    // Neither end is that of a bucket: what is between is read from a roll-up, and the ends from raw points.
    let odd = after(3660, 5340);
    for (range, hits) in [(range, 30), (odd, 28)] {
        let over = leaping.one_look(async |engine| engine.totals_over(&all, range, by, &page()).await.unwrap()).await;
        assert_eq!(sum(&over), hits);
        for interval in
            [Interval::Bucket(Bucket::M5), Interval::Day(TimeZone::UTC), Interval::Day("Asia/Kathmandu".parse().unwrap())]
        {
            let series = leaping.one_look(async |engine| engine.series(&all, range, interval, by, &page()).await.unwrap()).await;
            assert_eq!(sum(&series), hits, "{interval:?}");
        }
        let rates =
            leaping.one_look(async |engine| engine.rps(&all, range, Some(60), by, &sorted(&["-hits"])).await.unwrap()).await;
        assert_eq!(sum(&rates), hits);
    }
    let metrics = SystemFilter::default();
    for interval in [Interval::Bucket(Bucket::M5), Interval::Day(TimeZone::UTC)] {
        let buckets =
            leaping.one_look(async |engine| engine.system_aggregate(&metrics, range, interval, &page()).await.unwrap()).await;
        assert_eq!((buckets.rows(), buckets.total), (1, 1), "{interval:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_scans_of_a_statement_and_its_now_are_of_one_moment() {
    let leaping = Leaping::new();
    let counts = "(SELECT count(*) FROM dns_raw), count(DISTINCT last_access), (SELECT sum(hits) FROM dns_raw), \
                  (SELECT count(value) FROM system_raw) FROM dns_raw WHERE host LIKE 'a%'";
    // Each twice: the plan of what does not say now() is kept.
    for (text, expected) in
        [(format!("SELECT now(), {counts}"), "2026-01-01T01:31:00 30 30 30 30"), (format!("SELECT {counts}"), "30 30 30 30")]
    {
        for _ in 0..2 {
            let rows = leaping.one_look(async |_| sql_lines(&leaping.content, &text, " ").await).await;
            assert_eq!(rows, [expected], "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_engine_reads_and_answers_as_of_one_moment() {
    let leaping = Leaping::new();
    let (all, range) = (Filter::default(), TimeRange::default());
    let answer = leaping.one_look(async |engine| {
        let frozen = engine.frozen();
        let now = frozen.now();
        let answer = frozen.raw(&all, range, &page()).await.unwrap();
        assert_eq!((frozen.now(), now.ms()), (now, NOW_S * 1000));
        answer
    });
    assert_eq!(answer.await.total, 30);
    assert_ne!(leaping.content.engine.now(), leaping.content.engine.now(), "the engine's own clock goes on");
}
