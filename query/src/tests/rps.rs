use super::*;
use crate::{By, Filter};
use expect_test::expect;
use zonepulse_dns::Action;

#[tokio::test(flavor = "multi_thread")]
async fn a_step_without_a_report_is_null_and_one_without_a_hit_is_zero() {
    let mut content = Content::new(&["alpha"]);
    content.batch(1, 0, 60, &[("a.", "A", "request", 30, 0)]);
    content.batch(1, 60, 60, &[]);
    content.batch(1, 180, 60, &[("a.", "A", "NOERROR", 5, 0)]);
    let answer = content.engine.rps(&Filter::default(), after(0, 300), None, By::SELECTION, &page()).await.unwrap();
    expect![[r#"
        +----------------------+-----+------+------------------+---------+-------+
        | time                 | rps | hits | observed_servers | servers | open  |
        +----------------------+-----+------+------------------+---------+-------+
        | 2026-01-01T00:00:00Z | 0.5 | 30   | 1                | 1       | false |
        | 2026-01-01T00:01:00Z | 0.0 | 0    | 1                | 1       | false |
        | 2026-01-01T00:02:00Z |     |      | 0                | 1       | false |
        | 2026-01-01T00:03:00Z | 0.0 | 0    | 1                | 1       | false |
        | 2026-01-01T00:04:00Z |     |      | 0                | 1       | false |
        +----------------------+-----+------+------------------+---------+-------+
    "#]]
    .assert_eq(&table(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_at_all_is_a_grid_of_nulls() {
    let content = Content::new(&["alpha"]);
    let answer = content.engine.rps(&Filter::default(), after(0, 180), None, By::SELECTION, &page()).await.unwrap();
    assert_eq!(lines(&answer, &["time", "rps", "hits"]).len(), 3);
    assert!(lines(&answer, &["rps", "hits"]).iter().all(|line| line == "- -"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_silence_shows_in_its_own_series() {
    let content = small();
    let answer = content.engine.rps(&Filter::default(), after(0, 120), None, By::SERVER, &page()).await.unwrap();
    assert_eq!(
        lines(&answer, &["time", "server", "hits"]),
        [
            "2026-01-01T00:00:00Z alpha 12",
            "2026-01-01T00:00:00Z beta 20",
            "2026-01-01T00:01:00Z alpha 11",
            "2026-01-01T00:01:00Z beta -",
        ]
    );
    let answer = content.engine.rps(&Filter::default(), after(0, 120), None, By::SELECTION, &page()).await.unwrap();
    assert_eq!(lines(&answer, &["hits"]), ["32", "11"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn split_by_record_each_record_that_was_asked_for_has_every_step() {
    let content = small();
    let filter = Filter { servers: vec![1], ..Filter::default() };
    let answer = content.engine.rps(&filter, after(0, 180), None, By::RECORD, &sorted(&["host", "type", "time"])).await.unwrap();
    expect![[r#"
        +----------------------+----------------------+------+-------------+-------------------+------+--------+------------------+---------+-------+
        | time                 | rps                  | hits | resource_id | host              | type | folded | observed_servers | servers | open  |
        +----------------------+----------------------+------+-------------+-------------------+------+--------+------------------+---------+-------+
        | 2026-01-01T00:00:00Z | 0.11666666666666667  | 7    | 0           | mail.example.com. | MX   | false  | 1                | 1       | false |
        | 2026-01-01T00:01:00Z | 0.0                  | 0    | 0           | mail.example.com. | MX   | false  | 1                | 1       | false |
        | 2026-01-01T00:02:00Z |                      |      | 0           | mail.example.com. | MX   | false  | 0                | 1       | false |
        | 2026-01-01T00:00:00Z | 0.08333333333333333  | 5    | 0           | www.example.com.  | A    | false  | 1                | 1       | false |
        | 2026-01-01T00:01:00Z | 0.16666666666666666  | 10   | 0           | www.example.com.  | A    | false  | 1                | 1       | false |
        | 2026-01-01T00:02:00Z |                      |      | 0           | www.example.com.  | A    | false  | 0                | 1       | false |
        | 2026-01-01T00:00:00Z | 0.0                  | 0    | 0           | www.example.com.  | AAAA | false  | 1                | 1       | false |
        | 2026-01-01T00:01:00Z | 0.016666666666666666 | 1    | 0           | www.example.com.  | AAAA | false  | 1                | 1       | false |
        | 2026-01-01T00:02:00Z |                      |      | 0           | www.example.com.  | AAAA | false  | 0                | 1       | false |
        +----------------------+----------------------+------+-------------+-------------------+------+--------+------------------+---------+-------+
    "#]]
    .assert_eq(&table(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn split_by_action_requests_and_responses_stand_side_by_side() {
    let content = small();
    let answer = content.engine.rps(&Filter::default(), after(0, 60), None, By::ACTION, &page()).await.unwrap();
    assert_eq!(lines(&answer, &["action", "hits"]), ["request 32", "response 3"]);
    let filter = Filter { action: Some(Action::Response), ..Filter::default() };
    let answer = content.engine.rps(&filter, after(0, 60), None, By::ACTION, &page()).await.unwrap();
    assert_eq!(lines(&answer, &["action", "hits"]), ["response 3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_aligned_to_the_clock_and_cover_the_whole_range() {
    let content = small();
    let range = TimeRange { from_ms: Some(T0_MS + 90_500), until_ms: Some(T0_MS + 300_001) };
    let answer = content.engine.rps(&Filter::default(), range, Some(120), By::SELECTION, &page()).await.unwrap();
    assert_eq!(
        lines(&answer, &["time", "hits"]),
        ["2026-01-01T00:00:00Z 43", "2026-01-01T00:02:00Z -", "2026-01-01T00:04:00Z -"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_is_a_multiple_of_the_reported_intervals() {
    let mut content = Content::new(&["alpha", "beta"]);
    content.batch(1, 0, 60, &[("a.", "A", "request", 6, 0)]);
    content.batch(2, 0, 100, &[("a.", "A", "request", 10, 0)]);
    let rps = async |filter: &Filter, step| content.engine.rps(filter, after(0, 300), step, By::SELECTION, &page()).await;
    // 300 s is the smallest time that both 60 s and 100 s divide.
    assert_eq!(lines(&rps(&Filter::default(), None).await.unwrap(), &["rps"]).len(), 1);
    assert_eq!(rps(&Filter { servers: vec![1], ..Filter::default() }, None).await.unwrap().total, 5);
    assert_eq!(rps(&Filter { servers: vec![2], ..Filter::default() }, None).await.unwrap().total, 3);
    for step in [0, 60, 100, 299, 301] {
        assert_eq!(argument(rps(&Filter::default(), Some(step)).await), "step", "{step}");
    }
    assert_eq!(rps(&Filter::default(), Some(600)).await.unwrap().total, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grid_of_too_many_rows_is_refused() {
    let content = small();
    let years = TimeRange { from_ms: Some(0), until_ms: Some(T0_MS) };
    assert_eq!(argument(content.engine.rps(&Filter::default(), years, Some(60), By::SELECTION, &page()).await), "step");
    let year = after(0, 370 * 86_400);
    let answer = content.engine.rps(&Filter::default(), year, Some(60), By::SELECTION, &page()).await.unwrap();
    assert_eq!(answer.total, 370 * 1440);
    assert_eq!(argument(content.engine.rps(&Filter::default(), year, Some(60), By::SERVER, &page()).await), "step");
}

/// One server, one hit in each of ten minutes, raw points expired.
fn expired() -> Content {
    let mut content = Content::new(&["alpha"]);
    for minute in 0..10 {
        content.batch(1, minute * 60, 60, &[("a.", "A", "request", 1, 0)]);
    }
    content.expire_raw_points(1);
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_whose_points_have_expired_is_null_and_not_zero() {
    let content = expired();
    let answer = content.engine.rps(&Filter::default(), after(0, 600), Some(60), By::SELECTION, &page()).await.unwrap();
    assert_eq!(lines(&answer, &["hits"]), ["-"; 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_points_have_expired_a_step_is_by_itself_that_of_a_roll_up() {
    let content = expired();
    let answer = content.engine.rps(&Filter::default(), after(0, 600), None, By::SERVER, &page()).await.unwrap();
    assert_eq!(lines(&answer, &["time", "hits"]), ["2026-01-01T00:00:00Z 5", "2026-01-01T00:05:00Z 5"]);
}
