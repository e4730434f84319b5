use super::*;
use crate::{Bucket, By, Filter, Interval, MAX_LIMIT, TimeZone};

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_size_follow_each_other_without_gap_or_overlap() {
    let content = small();
    let whole_page = content.engine.raw(&Filter::default(), whole(), &page()).await.unwrap();
    let columns = ["time", "server_id", "host", "type", "action", "rcode", "hits"];
    for limit in 1..=10 {
        let mut all = Vec::new();
        for offset in (0..10).step_by(limit) {
            let page = Page { offset: offset as u64, limit: limit as u64, ..page() };
            let answer = content.engine.raw(&Filter::default(), whole(), &page).await.unwrap();
            assert_eq!(answer.total, 9);
            all.extend(lines(&answer, &columns));
        }
        assert_eq!(all, lines(&whole_page, &columns), "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_far_behind_the_first_one_are_those_of_the_whole_answer() {
    let mut content = Content::new(&["one", "two"]);
    // Four hours with gaps, in which the hours hold different numbers of rows.
    for minute in (0..240).filter(|minute| minute % 7 != 3 && !(70..130).contains(minute)) {
        for server in 1..=1 + (minute % 2) as u32 {
            content.batch(
                server,
                60 * minute,
                60,
                &[("a.example.", "A", "request", 1 + minute, 0), ("b.example.", "A", "request", 2, 5)],
            );
        }
    }
    let columns = ["time", "server_id", "host", "hits"];
    for key in ["time", "-time"] {
        let whole_answer = content.engine.raw(&Filter::default(), after(0, 14_400), &sorted(&[key])).await.unwrap();
        let all = lines(&whole_answer, &columns);
        assert!(all.len() > 300, "{}", all.len());
        for offset in (0..all.len()).step_by(13) {
            let page = Page { offset: offset as u64, limit: 5, ..sorted(&[key]) };
            let answer = content.engine.raw(&Filter::default(), after(0, 14_400), &page).await.unwrap();
            let end = all.len().min(offset + 5);
            assert_eq!((lines(&answer, &columns), answer.total), (all[offset..end].to_vec(), all.len() as u64), "{key} {offset}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_past_the_end_is_an_empty_page_with_the_total() {
    let content = small();
    let past = Page { offset: 50, ..page() };
    let far = Page { offset: u64::MAX, ..page() };
    let none = Page { limit: 0, ..page() };
    for page in [past, far, none] {
        let raw = content.engine.raw(&Filter::default(), whole(), &page).await.unwrap();
        assert_eq!((raw.rows(), raw.total), (0, 9));
        let totals = content.engine.totals(&Filter::default(), TimeRange::default(), By::RECORD, &page).await.unwrap();
        assert_eq!((totals.rows(), totals.total), (0, 4));
    }
}

fn assert_sorted(answer: &Answer, key: &str) {
    let column = key.trim_start_matches('-');
    let values: Vec<_> = answer.batches.iter().map(|batch| batch.column_by_name(column).unwrap().as_ref()).collect();
    let values = arrow::compute::concat(&values).unwrap();
    let options = arrow::compute::SortOptions { descending: key.starts_with('-'), nulls_first: false };
    assert_eq!(&values, &arrow::compute::sort(&values, Some(options)).unwrap(), "{key}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_can_be_sorted_by_every_column_both_ways() {
    let content = small();
    let schema = content.engine.raw(&Filter::default(), whole(), &page()).await.unwrap().schema;
    for field in schema.fields() {
        for prefix in ["", "-"] {
            let key = format!("{prefix}{}", field.name());
            let answer = content.engine.raw(&Filter::default(), whole(), &sorted(&[&key])).await.unwrap();
            assert_sorted(&answer, &key);
            assert_eq!(answer.rows(), 9);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_can_be_sorted_by_every_column() {
    let content = small();
    let by = By::RECORD.and(By::SERVER).and(By::ACTION);
    let schema = content.engine.series(&Filter::default(), whole(), Bucket::M5, by, &page()).await.unwrap().schema;
    for field in schema.fields() {
        for prefix in ["", "-"] {
            let key = format!("{prefix}{}", field.name());
            let series = content.engine.series(&Filter::default(), whole(), Bucket::M5, by, &sorted(&[&key])).await.unwrap();
            assert_eq!(series.total, 8);
            assert_sorted(&series, &key);
        }
    }
    let totals = content.engine.totals(&Filter::default(), whole(), By::SELECTION, &sorted(&["-host", "type"])).await.unwrap();
    assert_eq!(
        lines(&totals, &["host", "type"]),
        ["www.example.com. A", "www.example.com. AAAA", "mail.example.com. MX", "example.net. SOA"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_arguments_are_named() {
    let content = small();
    let unknown = sorted(&["-nothing"]);
    assert_eq!(argument(content.engine.raw(&Filter::default(), whole(), &unknown).await), "sort");
    assert_eq!(argument(content.engine.totals(&Filter::default(), whole(), By::RECORD, &unknown).await), "sort");
    assert_eq!(argument(content.engine.series(&Filter::default(), whole(), Bucket::H1, By::RECORD, &unknown).await), "sort");
    assert_eq!(argument(content.engine.rps(&Filter::default(), whole(), None, By::RECORD, &unknown).await), "sort");
    let large = Page::first(MAX_LIMIT + 1);
    assert_eq!(argument(content.engine.raw(&Filter::default(), whole(), &large).await), "limit");
    let reversed = TimeRange { from_ms: Some(T0_MS), until_ms: Some(T0_MS - 1) };
    assert_eq!(argument(content.engine.raw(&Filter::default(), reversed, &page()).await), "date_to");
    assert_eq!(argument(content.engine.totals(&Filter::default(), reversed, By::RECORD, &page()).await), "accessed_to");
    assert_eq!(argument(content.engine.coverage(&[], reversed, &page()).await), "date_to");
    let far = TimeRange { from_ms: Some(u64::MAX), until_ms: None };
    assert_eq!(argument(content.engine.rps(&Filter::default(), far, None, By::SELECTION, &page()).await), "date_from");
}

#[test]
fn a_bucket_is_named_by_its_length() {
    for bucket in Bucket::ALL {
        assert_eq!(Interval::named(bucket.as_str(), TimeZone::UTC).unwrap(), Interval::Bucket(bucket));
    }
    let prague = "Europe/Prague".parse().unwrap();
    assert_eq!(Interval::named("1d", prague).unwrap(), Interval::Day(prague));
    for text in ["", "5", "10m", "60m", "5M", "24h", "2d", "1D"] {
        let named = Interval::named(text, prague);
        assert!(matches!(named, Err(Error::BadArgument { argument: "interval", .. })), "{text}");
    }
}
