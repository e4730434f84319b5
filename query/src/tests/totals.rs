use super::*;
use crate::{By, Column, Filter, Kept};
use expect_test::expect;
use zonepulse_dns::Action;

#[tokio::test(flavor = "multi_thread")]
async fn totals_are_per_record_over_all_servers_most_hits_first() {
    let content = small();
    let answer = content.engine.totals(&Filter::default(), TimeRange::default(), By::SELECTION, &page()).await.unwrap();
    assert_eq!(answer.total, 4);
    expect![[r#"
        +-------------+-------------------+------+--------+------+----------------------+--------------------------+
        | resource_id | host              | type | folded | hits | first_seen           | last_access              |
        +-------------+-------------------+------+--------+------+----------------------+--------------------------+
        | 0           | www.example.com.  | A    | false  | 35   | 2026-01-01T00:00:00Z | 2026-01-01T00:01:00.100Z |
        | 0           | mail.example.com. | MX   | false  | 7    | 2026-01-01T00:00:00Z | 2026-01-01T00:00:00.005Z |
        | 0           | example.net.      | SOA  | false  | 4    | 2026-01-01T01:00:00Z | 2026-01-01T01:00:00.007Z |
        | 0           | www.example.com.  | AAAA | false  | 1    | 2026-01-01T00:01:00Z | 2026-01-01T00:01:00Z     |
        +-------------+-------------------+------+--------+------+----------------------+--------------------------+
    "#]]
    .assert_eq(&table(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_may_be_split_by_server_and_by_action() {
    let content = small();
    let by = By::SERVER.and(By::ACTION);
    let answer = content.engine.totals(&Filter::default(), TimeRange::default(), by, &page()).await.unwrap();
    expect![[r#"
        +-------------+-------------------+------+--------+------+----------------------+--------------------------+-----------+--------+----------+
        | resource_id | host              | type | folded | hits | first_seen           | last_access              | server_id | server | action   |
        +-------------+-------------------+------+--------+------+----------------------+--------------------------+-----------+--------+----------+
        | 0           | www.example.com.  | A    | false  | 20   | 2026-01-01T00:00:00Z | 2026-01-01T00:00:30Z     | 2         | beta   | request  |
        | 0           | www.example.com.  | A    | false  | 15   | 2026-01-01T00:00:00Z | 2026-01-01T00:01:00.100Z | 1         | alpha  | request  |
        | 0           | mail.example.com. | MX   | false  | 7    | 2026-01-01T00:00:00Z | 2026-01-01T00:00:00.005Z | 1         | alpha  | request  |
        | 0           | example.net.      | SOA  | false  | 4    | 2026-01-01T01:00:00Z | 2026-01-01T01:00:00.007Z | 2         | beta   | request  |
        | 0           | example.net.      | SOA  | false  | 4    | 2026-01-01T01:00:00Z | 2026-01-01T01:00:00.008Z | 2         | beta   | response |
        | 0           | www.example.com.  | A    | false  | 3    | 2026-01-01T00:00:00Z | 2026-01-01T00:00:01.001Z | 1         | alpha  | response |
        | 0           | www.example.com.  | AAAA | false  | 1    | 2026-01-01T00:01:00Z | 2026-01-01T00:01:00Z     | 1         | alpha  | request  |
        | 0           | www.example.com.  | AAAA | false  | 1    | 2026-01-01T00:01:00Z | 2026-01-01T00:01:00.002Z | 1         | alpha  | response |
        +-------------+-------------------+------+--------+------+----------------------+--------------------------+-----------+--------+----------+
    "#]].assert_eq(&table(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_access_that_is_filtered_is_the_groups_own() {
    let content = small();
    let totals = async |filter: Filter, range, by| {
        let answer = content.engine.totals(&filter, range, by, &page()).await.unwrap();
        lines(&answer, &["host", "type", "hits"])
    };
    // The A record was asked for on both servers, last in the second minute of the first.
    let first_minute = after(0, 60);
    assert_eq!(totals(Filter::default(), first_minute, By::SELECTION).await, ["mail.example.com. MX 7"]);
    assert_eq!(totals(Filter::default(), first_minute, By::SERVER).await, ["www.example.com. A 20", "mail.example.com. MX 7"]);
    let since = TimeRange { from_ms: Some(T0_MS + 3_600_007), until_ms: None };
    assert_eq!(totals(Filter::default(), since, By::SELECTION).await, ["example.net. SOA 4"]);
    let since = TimeRange { from_ms: Some(T0_MS + 3_600_008), until_ms: None };
    assert_eq!(totals(Filter::default(), since, By::SELECTION).await, [""; 0]);
    let until = TimeRange { from_ms: None, until_ms: Some(T0_MS + 5) };
    assert_eq!(totals(Filter::default(), until, By::SELECTION).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_holds_for_totals() {
    let content = small();
    let mut found = Vec::new();
    for (what, filter) in [
        ("server 1", Filter { servers: vec![1], ..Filter::default() }),
        ("pattern", hosts(&["*.example.com"])),
        ("type", Filter { types: vec!["SOA".parse().unwrap()], ..Filter::default() }),
        ("responses", Filter { action: Some(Action::Response), ..Filter::default() }),
        ("rcode", Filter { rcodes: vec!["NXDOMAIN".parse().unwrap()], ..Filter::default() }),
        ("a resource", Filter { resource_ids: vec![5], ..Filter::default() }),
        ("nothing", hosts(&["nowhere.example"])),
    ] {
        let answer = content.engine.totals(&filter, TimeRange::default(), By::SELECTION, &page()).await.unwrap();
        assert_eq!(answer.total, answer.rows() as u64, "{what}");
        found.push(format!("{what}: {}", lines(&answer, &["host", "type", "hits"]).join(", ")));
    }
    expect![[r#"
        server 1: www.example.com. A 15, mail.example.com. MX 7, www.example.com. AAAA 1
        pattern: www.example.com. A 35, mail.example.com. MX 7, www.example.com. AAAA 1
        type: example.net. SOA 4
        responses: example.net. SOA 4, www.example.com. A 3, www.example.com. AAAA 1
        rcode: www.example.com. AAAA 1
        a resource: 
        nothing: 
    "#]]
    .assert_eq(&(found.join("\n") + "\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_hits_are_in_the_order_of_host_and_type_whatever_the_page() {
    let mut content = Content::new(&["alpha"]);
    for (at, name) in ["d.", "b.", "a.", "c."].iter().enumerate() {
        content.batch(1, at as u64 * 60, 60, &[(name, "MX", "request", 1, 0), (name, "A", "request", 1, 0)]);
    }
    content.batch(1, 600, 60, &[("z.", "A", "request", 9, 0), ("y.", "A", "request", 8, 0)]);
    let expected = ["z. A 9", "y. A 8", "a. A 1", "a. MX 1", "b. A 1", "b. MX 1", "c. A 1", "c. MX 1", "d. A 1", "d. MX 1"];
    for sort in [&[][..], &["-hits"], &["-hits", "host"]] {
        for limit in 1..=4 {
            let mut all = Vec::new();
            for offset in (0..12).step_by(limit) {
                let page = Page { offset: offset as u64, limit: limit as u64, ..sorted(sort) };
                let answer = content.engine.totals(&Filter::default(), TimeRange::default(), By::RECORD, &page).await.unwrap();
                assert_eq!(answer.total, 10);
                all.extend(lines(&answer, &["host", "type", "hits"]));
            }
            assert_eq!(all, expected, "{limit} {sort:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_tell_existing_names_from_others() {
    let mut content = small();
    content.batch(1, 120, 60, &[("back.example.", "A", "NXDOMAIN", 1, 0), ("back.example.", "A", "request", 2, 0)]);
    content.batch(1, 180, 60, &[("back.example.", "A", "NOERROR", 1, 0)]);
    let totals = async |exists, filter: Filter| {
        let kept = Kept { exists, ..Kept::default() };
        lines(&content.engine.totals(&filter, kept, By::SELECTION, &page()).await.unwrap(), &["host", "type", "hits"])
    };
    let all = Filter::default();
    // Without an answer (MX), or refused (SOA), nobody knows that a name does not exist.
    let existing = ["www.example.com. A 35", "mail.example.com. MX 7", "example.net. SOA 4", "back.example. A 2"];
    assert_eq!(totals(Some(true), all.clone()).await, existing);
    assert_eq!(totals(Some(false), all.clone()).await, ["www.example.com. AAAA 1"]);
    assert_eq!(totals(None, all).await.len(), 5);
    let denied = Filter { rcodes: vec!["NXDOMAIN".parse().unwrap()], ..Filter::default() };
    assert_eq!(totals(Some(true), denied).await, ["back.example. A 1"]);
    // Another server's denials are not this one's.
    assert_eq!(totals(Some(false), Filter { servers: vec![2], ..Filter::default() }).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_over_a_range_are_of_the_range() {
    let content = small();
    let over = async |range, by: By| {
        let answer = content.engine.totals_over(&Filter::default(), range, by, &page()).await.unwrap();
        expect_columns(&answer, by);
        lines(&answer, if by.record { &["hits", "last_access", "host", "type"] } else { &["hits", "last_access"] })
    };
    let by_record = [
        "20 2026-01-01T00:00:30Z www.example.com. A",
        "7 2026-01-01T00:00:00.005Z mail.example.com. MX",
        "5 2026-01-01T00:00:59.999Z www.example.com. A",
    ];
    assert_eq!(over(after(0, 60), By::RECORD.and(By::SERVER)).await, by_record);
    assert_eq!(over(whole(), By::SELECTION).await, ["47 2026-01-01T01:00:00.007Z"]);
    let ever = TimeRange { from_ms: Some(0), until_ms: Some(253_402_300_799_000) };
    assert_eq!(over(ever, By::SELECTION).await, ["47 2026-01-01T01:00:00.007Z"]);
    assert_eq!(over(after(60, 120), By::RECORD).await.len(), 2);
    assert_eq!(over(after(120, 180), By::SELECTION).await, [""; 0]);
    // Hours whose raw points are kept no more are read from roll-ups.
    content.expire_raw_points(1);
    content.expire_raw_points(2);
    assert_eq!(over(after(0, 3600), By::SELECTION).await, ["43 2026-01-01T00:01:00.100Z"]);
}

fn expect_columns(answer: &Answer, by: By) {
    let columns: Vec<&str> = answer.schema.fields().iter().map(|field| field.name().as_str()).collect();
    let expected = crate::questions::Groups(by).after(&[Column::Hits, Column::LastAccess]);
    assert_eq!(columns, expected.iter().map(|column| column.name()).collect::<Vec<_>>());
}
