use super::*;
use crate::{Bucket, By, Filter};
use expect_test::expect;
use zonepulse_dns::Action;

#[tokio::test(flavor = "multi_thread")]
async fn a_series_has_a_row_per_bucket_with_hits() {
    let content = small();
    let answer = content.engine.series(&Filter::default(), whole(), Bucket::M5, By::SELECTION, &page()).await.unwrap();
    expect![[r#"
        +----------------------+------+--------------------------+------------------+---------+-------+
        | time                 | hits | last_access              | observed_servers | servers | open  |
        +----------------------+------+--------------------------+------------------+---------+-------+
        | 2026-01-01T00:00:00Z | 43   | 2026-01-01T00:01:00.100Z | 0                | 2       | false |
        | 2026-01-01T01:00:00Z | 4    | 2026-01-01T01:00:00.007Z | 0                | 2       | false |
        +----------------------+------+--------------------------+------------------+---------+-------+
    "#]]
    .assert_eq(&table(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_may_be_split_by_record_server_and_action() {
    let content = small();
    let by = By::RECORD.and(By::SERVER).and(By::ACTION);
    let answer = content.engine.series(&Filter::default(), whole(), Bucket::H1, by, &page()).await.unwrap();
    expect![[r#"
        +----------------------+------+--------------------------+-------------+-------------------+------+--------+-----------+--------+----------+------------------+---------+-------+
        | time                 | hits | last_access              | resource_id | host              | type | folded | server_id | server | action   | observed_servers | servers | open  |
        +----------------------+------+--------------------------+-------------+-------------------+------+--------+-----------+--------+----------+------------------+---------+-------+
        | 2026-01-01T00:00:00Z | 15   | 2026-01-01T00:01:00.100Z | 0           | www.example.com.  | A    | false  | 1         | alpha  | request  | 0                | 1       | false |
        | 2026-01-01T00:00:00Z | 7    | 2026-01-01T00:00:00.005Z | 0           | mail.example.com. | MX   | false  | 1         | alpha  | request  | 0                | 1       | false |
        | 2026-01-01T00:00:00Z | 1    | 2026-01-01T00:01:00Z     | 0           | www.example.com.  | AAAA | false  | 1         | alpha  | request  | 0                | 1       | false |
        | 2026-01-01T00:00:00Z | 3    | 2026-01-01T00:00:01.001Z | 0           | www.example.com.  | A    | false  | 1         | alpha  | response | 0                | 1       | false |
        | 2026-01-01T00:00:00Z | 1    | 2026-01-01T00:01:00.002Z | 0           | www.example.com.  | AAAA | false  | 1         | alpha  | response | 0                | 1       | false |
        | 2026-01-01T00:00:00Z | 20   | 2026-01-01T00:00:30Z     | 0           | www.example.com.  | A    | false  | 2         | beta   | request  | 0                | 1       | false |
        | 2026-01-01T01:00:00Z | 4    | 2026-01-01T01:00:00.007Z | 0           | example.net.      | SOA  | false  | 2         | beta   | request  | 0                | 1       | false |
        | 2026-01-01T01:00:00Z | 4    | 2026-01-01T01:00:00.008Z | 0           | example.net.      | SOA  | false  | 2         | beta   | response | 0                | 1       | false |
        +----------------------+------+--------------------------+-------------+-------------------+------+--------+-----------+--------+----------+------------------+---------+-------+
    "#]].assert_eq(&table(&answer));
    let answer = content.engine.series(&Filter::default(), whole(), Bucket::H1, By::SERVER, &page()).await.unwrap();
    assert_eq!(lines(&answer, &["server", "hits"]), ["alpha 23", "beta 20", "beta 4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bucket_begins_at_a_multiple_of_its_length() {
    let mut content = Content::new(&["alpha"]);
    for minute in 0..120 {
        content.batch(1, minute * 60, 60, &[("a.", "A", "request", 1, 0)]);
    }
    for bucket in Bucket::ALL {
        let answer = content.engine.series(&Filter::default(), whole(), bucket, By::SELECTION, &page()).await.unwrap();
        assert_eq!(answer.total, 7200 / u64::from(bucket.length_s()));
        assert!(lines(&answer, &["hits"]).iter().all(|hits| *hits == (bucket.length_s() / 60).to_string()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_series_of_responses_is_asked_for() {
    let content = small();
    let filter = Filter { action: Some(Action::Response), ..Filter::default() };
    let answer = content.engine.series(&filter, whole(), Bucket::H1, By::SELECTION, &page()).await.unwrap();
    assert_eq!(lines(&answer, &["time", "hits"]), ["2026-01-01T00:00:00Z 4", "2026-01-01T01:00:00Z 4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_whose_raw_points_have_expired_is_that_of_a_bucket() {
    let mut content = Content::new(&["alpha"]);
    for minute in 0..30 {
        content.batch(1, minute * 60, 60, &[("a.", "A", "request", 1, 0)]);
    }
    let (all, range) = (Filter::default(), after(420, 1380));
    let before = content.engine.series(&all, range, Bucket::H1, By::SELECTION, &page()).await.unwrap();
    assert_eq!(lines(&before, &["hits"]), ["16"], "exact while raw points are there");
    content.expire_raw_points(1);
    for (bucket, hits) in [(Bucket::H1, &["20"][..]), (Bucket::M15, &["10", "10"])] {
        let answer = content.engine.series(&all, range, bucket, By::SELECTION, &page()).await.unwrap();
        assert_eq!(lines(&answer, &["hits"]), hits);
    }
}
