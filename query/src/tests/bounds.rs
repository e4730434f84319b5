use super::*;
use crate::{Bucket, By, Filter, Options};
use futures::StreamExt;
use std::time::Duration;

fn crowded(options: Options) -> Content {
    let mut content = Content::with(&["alpha"], options);
    let names: Vec<String> = (0..20_000).map(|number| format!("n{number}.example.com.")).collect();
    let points: Vec<_> = names.iter().map(|name| (name.as_str(), "A", "request", 1, 0)).collect();
    for minute in 0..5 {
        content.batch(1, minute * 60, 60, &points);
    }
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_fit_into_memory_is_refused() {
    let content = crowded(Options { memory_bytes: 1 << 20, ..options() });
    let result = content.engine.series(&Filter::default(), whole(), Bucket::M5, By::RECORD, &page()).await;
    assert!(matches!(result, Err(Error::TooLarge(_))), "{result:?}");
    let result = content.engine.raw(&Filter::default(), whole(), &Page { limit: 90_000, ..sorted(&["host"]) }).await;
    assert!(matches!(result, Err(Error::TooLarge(_))), "{result:?}");
    // What was refused has given back what it had taken.
    let answer = content.engine.series(&Filter::default(), whole(), Bucket::M5, By::SELECTION, &page()).await.unwrap();
    assert_eq!(lines(&answer, &["hits"]), ["100000"]);
}

/// All records have as many hits, so their names decide: the pages must still fit together, and the count be exact.
#[tokio::test(flavor = "multi_thread")]
async fn totals_of_all_records_need_memory_for_the_page_and_not_for_the_records() {
    let content = crowded(Options { memory_bytes: 1 << 20, ..options() });
    let mut expected: Vec<String> = (0..20_000).map(|number| format!("n{number}.example.com.")).collect();
    expected.sort();
    for (offset, limit) in [(0, 100), (5000, 100), (9000, 10)] {
        let page = Page { offset, ..Page::first(limit) };
        let answer = content.engine.totals(&Filter::default(), TimeRange::default(), By::RECORD, &page).await.unwrap();
        assert_eq!(answer.total, 20_000);
        assert_eq!(lines(&answer, &["host"]), expected[offset as usize..(offset + limit) as usize]);
    }
    let page = Page { sort: sorted(&["-host"]).sort, ..Page::first(3) };
    let answer = content.engine.totals(&Filter::default(), TimeRange::default(), By::SERVER, &page).await.unwrap();
    assert_eq!(lines(&answer, &["host", "hits"]), ["n9999.example.com. 5", "n9998.example.com. 5", "n9997.example.com. 5"]);
    // A page that does not fit itself is refused.
    let page = Page { offset: 19_000, ..Page::first(1000) };
    let result = content.engine.totals(&Filter::default(), TimeRange::default(), By::RECORD, &page).await;
    assert!(matches!(result, Err(Error::TooLarge(_))), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_waits_too_long_for_its_turn_is_refused() {
    let content = Content::with(&["alpha"], Options { max_concurrent: 1, max_wait_ms: 50, ..options() });
    let turn = content.engine.turn().await.unwrap();
    let result = content.engine.totals(&Filter::default(), TimeRange::default(), By::RECORD, &page()).await;
    assert!(matches!(result, Err(Error::Busy)), "{result:?}");
    drop(turn);
    content.engine.totals(&Filter::default(), TimeRange::default(), By::RECORD, &page()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn points_come_in_batches_and_a_dropped_stream_ends_its_reader() {
    let content = crowded(options());
    let mut batches = content.engine.sql("SELECT record_id, host, hits FROM dns_raw").await.unwrap().batches;
    let first = batches.next().await.unwrap().unwrap();
    assert_eq!(first.num_rows(), 8192);
    assert_eq!(content.engine.load().statements.running, 1);
    drop(batches);
    // Its turn and its reader end when nobody takes more.
    tokio::time::timeout(Duration::from_secs(10), async {
        while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rows_than_a_batch_are_all_there() {
    let content = crowded(options());
    let answer = content.engine.raw(&Filter::default(), whole(), &Page::first(1_000_000)).await.unwrap();
    assert_eq!((answer.total, answer.rows()), (100_000, 100_000));
    let answer = content.engine.totals(&hosts(&["n1*"]), TimeRange::default(), By::RECORD, &page()).await.unwrap();
    assert_eq!(answer.total, 11_111);
    assert!(lines(&answer, &["hits"]).iter().all(|hits| hits == "5"));
    assert!(lines(&answer, &["host"]).is_sorted());
}
