use super::*;
use crate::Filter;
use expect_test::expect;
use zonepulse_dns::Action;

#[tokio::test(flavor = "multi_thread")]
async fn raw_points_have_the_shape_of_the_specification_and_the_order_of_time() {
    let content = small();
    let answer = content.engine.raw(&Filter::default(), whole(), &page()).await.unwrap();
    assert_eq!(answer.total, 9);
    expect![[r#"
        +----------------------+------------+-----------+--------+-------------+-------------------+------+--------+----------+----------+------+--------------------------+
        | time                 | interval_s | server_id | server | resource_id | host              | type | folded | action   | rcode    | hits | last_access              |
        +----------------------+------------+-----------+--------+-------------+-------------------+------+--------+----------+----------+------+--------------------------+
        | 2026-01-01T00:00:00Z | 60         | 1         | alpha  | 0           | www.example.com.  | A    | false  | request  |          | 5    | 2026-01-01T00:00:59.999Z |
        | 2026-01-01T00:00:00Z | 60         | 1         | alpha  | 0           | mail.example.com. | MX   | false  | request  |          | 7    | 2026-01-01T00:00:00.005Z |
        | 2026-01-01T00:00:00Z | 60         | 1         | alpha  | 0           | www.example.com.  | A    | false  | response | NOERROR  | 3    | 2026-01-01T00:00:01.001Z |
        | 2026-01-01T00:00:00Z | 60         | 2         | beta   | 0           | www.example.com.  | A    | false  | request  |          | 20   | 2026-01-01T00:00:30Z     |
        | 2026-01-01T00:01:00Z | 60         | 1         | alpha  | 0           | www.example.com.  | A    | false  | request  |          | 10   | 2026-01-01T00:01:00.100Z |
        | 2026-01-01T00:01:00Z | 60         | 1         | alpha  | 0           | www.example.com.  | AAAA | false  | request  |          | 1    | 2026-01-01T00:01:00Z     |
        | 2026-01-01T00:01:00Z | 60         | 1         | alpha  | 0           | www.example.com.  | AAAA | false  | response | NXDOMAIN | 1    | 2026-01-01T00:01:00.002Z |
        | 2026-01-01T01:00:00Z | 60         | 2         | beta   | 0           | example.net.      | SOA  | false  | request  |          | 4    | 2026-01-01T01:00:00.007Z |
        | 2026-01-01T01:00:00Z | 60         | 2         | beta   | 0           | example.net.      | SOA  | false  | response | REFUSED  | 4    | 2026-01-01T01:00:00.008Z |
        +----------------------+------------+-----------+--------+-------------+-------------------+------+--------+----------+----------+------+--------------------------+
    "#]].assert_eq(&table(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_batches_of_one_interval_are_one_point() {
    let content = small();
    let filter = Filter { servers: vec![1], action: Some(Action::Request), ..hosts(&["www.example.com"]) };
    let answer = content.engine.raw(&filter, after(0, 60), &page()).await.unwrap();
    assert_eq!(lines(&answer, &["hits", "last_access"]), ["5 2026-01-01T00:00:59.999Z"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_keeps_what_it_says() {
    let content = small();
    let mut found = Vec::new();
    for (what, filter) in [
        ("server 2", Filter { servers: vec![2], ..Filter::default() }),
        ("no such server", Filter { servers: vec![9], ..Filter::default() }),
        ("exact host", hosts(&["WWW.example.com"])),
        ("pattern", hosts(&["*.example.com"])),
        ("two patterns", hosts(&["mail*", "*.net"])),
        ("every host", hosts(&["*"])),
        ("unknown host", hosts(&["nowhere.example"])),
        ("type", Filter { types: vec!["MX".parse().unwrap(), "SOA".parse().unwrap()], ..Filter::default() }),
        ("host and type", Filter { types: vec!["AAAA".parse().unwrap()], ..hosts(&["www.example.com"]) }),
        ("requests", Filter { action: Some(Action::Request), ..Filter::default() }),
        ("responses", Filter { action: Some(Action::Response), ..Filter::default() }),
        ("rcode", Filter { rcodes: vec!["NXDOMAIN".parse().unwrap(), "REFUSED".parse().unwrap()], ..Filter::default() }),
        (
            "rcode of requests",
            Filter { rcodes: vec!["NOERROR".parse().unwrap()], action: Some(Action::Request), ..Filter::default() },
        ),
        ("no resource", Filter { resource_ids: vec![0], ..Filter::default() }),
        ("a resource", Filter { resource_ids: vec![5], ..Filter::default() }),
    ] {
        let answer = content.engine.raw(&filter, whole(), &page()).await.unwrap();
        assert_eq!(answer.total, answer.rows() as u64, "{what}");
        found.push(format!("{what}: {}", lines(&answer, &["server_id", "host", "type", "rcode", "hits"]).join(", ")));
    }
    expect![[r#"
        server 2: 2 www.example.com. A - 20, 2 example.net. SOA - 4, 2 example.net. SOA REFUSED 4
        no such server: 
        exact host: 1 www.example.com. A - 5, 1 www.example.com. A NOERROR 3, 2 www.example.com. A - 20, 1 www.example.com. A - 10, 1 www.example.com. AAAA - 1, 1 www.example.com. AAAA NXDOMAIN 1
        pattern: 1 www.example.com. A - 5, 1 mail.example.com. MX - 7, 1 www.example.com. A NOERROR 3, 2 www.example.com. A - 20, 1 www.example.com. A - 10, 1 www.example.com. AAAA - 1, 1 www.example.com. AAAA NXDOMAIN 1
        two patterns: 1 mail.example.com. MX - 7, 2 example.net. SOA - 4, 2 example.net. SOA REFUSED 4
        every host: 1 www.example.com. A - 5, 1 mail.example.com. MX - 7, 1 www.example.com. A NOERROR 3, 2 www.example.com. A - 20, 1 www.example.com. A - 10, 1 www.example.com. AAAA - 1, 1 www.example.com. AAAA NXDOMAIN 1, 2 example.net. SOA - 4, 2 example.net. SOA REFUSED 4
        unknown host: 
        type: 1 mail.example.com. MX - 7, 2 example.net. SOA - 4, 2 example.net. SOA REFUSED 4
        host and type: 1 www.example.com. AAAA - 1, 1 www.example.com. AAAA NXDOMAIN 1
        requests: 1 www.example.com. A - 5, 1 mail.example.com. MX - 7, 2 www.example.com. A - 20, 1 www.example.com. A - 10, 1 www.example.com. AAAA - 1, 2 example.net. SOA - 4
        responses: 1 www.example.com. A NOERROR 3, 1 www.example.com. AAAA NXDOMAIN 1, 2 example.net. SOA REFUSED 4
        rcode: 1 www.example.com. AAAA NXDOMAIN 1, 2 example.net. SOA REFUSED 4
        rcode of requests: 
        no resource: 1 www.example.com. A - 5, 1 mail.example.com. MX - 7, 1 www.example.com. A NOERROR 3, 2 www.example.com. A - 20, 1 www.example.com. A - 10, 1 www.example.com. AAAA - 1, 1 www.example.com. AAAA NXDOMAIN 1, 2 example.net. SOA - 4, 2 example.net. SOA REFUSED 4
        a resource: 
    "#]].assert_eq(&(found.join("\n") + "\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_has_its_beginning_and_not_its_end() {
    let content = small();
    for (from_ms, until_ms, rows) in [
        (T0_MS, T0_MS + 60_000, 4),
        (T0_MS + 1, T0_MS + 60_000, 0),
        (T0_MS + 1, T0_MS + 60_001, 3),
        (T0_MS + 60_000, T0_MS + 60_001, 3),
        (T0_MS + 60_000, T0_MS + 60_000, 0),
    ] {
        let range = TimeRange { from_ms: Some(from_ms), until_ms: Some(until_ms) };
        let answer = content.engine.raw(&Filter::default(), range, &page()).await.unwrap();
        assert_eq!(answer.total, rows, "{from_ms}..{until_ms}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_range_it_is_the_last_24_hours() {
    let mut content = Content::new(&["alpha"]);
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 60 * 60;
    for hours in [1, 23, 25] {
        content.batch(1, now_s - T0_S - hours * 3600, 60, &[("a.", "A", "request", hours, 0)]);
    }
    let answer = content.engine.raw(&Filter::default(), TimeRange::default(), &page()).await.unwrap();
    assert_eq!(lines(&answer, &["hits"]), ["23", "1"]);
    let answer =
        content.engine.rps(&Filter::default(), TimeRange::default(), Some(3600), crate::By::SELECTION, &page()).await.unwrap();
    assert!((24..=25).contains(&answer.total), "{}", answer.total);
    let since = TimeRange { from_ms: Some((now_s - 26 * 3600) * 1000), until_ms: None };
    let answer = content.engine.raw(&Filter::default(), since, &page()).await.unwrap();
    assert_eq!(lines(&answer, &["hits"]), ["25", "23", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_overflowed_a_probe_is_shown_and_found() {
    let mut content = Content::new(&["alpha"]);
    content.batch(1, 0, 60, &[("<other> example.com.", "TYPE0", "request", 5, 0), ("<other>", "TYPE0", "request", 6, 0)]);
    let answer = content.engine.raw(&hosts(&["<other> example.com"]), whole(), &page()).await.unwrap();
    assert_eq!(lines(&answer, &["host", "hits"]), ["<other> example.com. 5"]);
    let answer = content.engine.raw(&hosts(&["<other>"]), whole(), &page()).await.unwrap();
    assert_eq!(lines(&answer, &["host", "hits"]), ["<other> 6"]);
}

/// What overflowed, and real names that begin like it.
fn overflowed() -> Content {
    let mut content = Content::new(&["alpha"]);
    content.batch(
        1,
        0,
        60,
        &[
            ("<other> example.", "TYPE0", "request", 5, 0),
            ("<other>", "TYPE0", "request", 6, 0),
            ("<other>.example.", "A", "request", 1, 0),
            ("<other>\\032example.", "A", "request", 2, 0),
            ("www.example.", "A", "request", 3, 0),
        ],
    );
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn what_overflowed_is_told_from_real_names_that_begin_like_it() {
    let content = overflowed();
    let other = |folded, pattern: Option<&str>| Filter { folded, ..pattern.map_or_else(Filter::default, |text| hosts(&[text])) };
    for (folded, pattern, expected) in [
        (None, Some("<other>*"), &["<other> 6", "<other> example. 5", "<other>.example. 1", "<other>\\032example. 2"][..]),
        (Some(true), Some("<other>*"), &["<other> 6", "<other> example. 5"]),
        (Some(true), None, &["<other> 6", "<other> example. 5"]),
        (Some(true), Some("*.example"), &[]),
        (Some(false), Some("<other>*"), &["<other>.example. 1", "<other>\\032example. 2"]),
        (Some(false), None, &["<other>.example. 1", "<other>\\032example. 2", "www.example. 3"]),
    ] {
        let filter = other(folded, pattern);
        let answer = content.engine.raw(&filter, whole(), &sorted(&["host"])).await.unwrap();
        assert_eq!(lines(&answer, &["host", "hits"]), expected, "{folded:?} {pattern:?}");
        let totals = content.engine.totals(&filter, TimeRange::default(), crate::By::RECORD, &sorted(&["host"])).await.unwrap();
        assert_eq!(lines(&totals, &["host", "hits"]), expected, "{folded:?} {pattern:?}");
    }
    let exactly = Filter { types: vec!["TYPE0".parse().unwrap()], ..other(Some(false), Some("<other>")) };
    assert_eq!(content.engine.raw(&exactly, whole(), &page()).await.unwrap().total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_with_a_host_says_whether_it_is_a_sum_of_what_overflowed() {
    let content = overflowed();
    let (all, by) = (Filter::default(), crate::By::RECORD);
    let expected =
        ["<other> true", "<other> example. true", "<other>.example. false", "<other>\\032example. false", "www.example. false"];
    let sort = sorted(&["host"]);
    for answer in [
        content.engine.raw(&all, whole(), &sort).await.unwrap(),
        content.engine.totals(&all, TimeRange::default(), by, &sort).await.unwrap(),
        content.engine.series(&all, whole(), crate::Bucket::M5, by, &sort).await.unwrap(),
        content.engine.rps(&all, after(0, 60), None, by, &sort).await.unwrap(),
    ] {
        assert_eq!(lines(&answer, &["host", "folded"]), expected);
    }
    for table in ["dns_raw", "dns_1h", "records", "names"] {
        let statement = format!("SELECT host, folded FROM {table} ORDER BY host");
        assert_eq!(sql_lines(&content, &statement, " ").await, expected, "{table}");
    }
    let last_first = content.engine.totals(&all, TimeRange::default(), by, &sorted(&["-folded", "host"])).await.unwrap();
    assert_eq!(lines(&last_first, &["host"])[..2], ["<other>", "<other> example."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_on_what_overflowed_reaches_the_scan() {
    let content = overflowed();
    for (filter, records) in [("folded", 2), ("NOT folded", 3), ("folded = false AND host LIKE '<other>%'", 2)] {
        let plan = sql_lines(&content, &format!("EXPLAIN SELECT hits FROM dns_raw WHERE {filter}"), " ").await.concat();
        assert!(plan.contains("records=[") && !plan.contains("FilterExec"), "{filter}: {plan}");
        let count = sql_lines(&content, &format!("SELECT count(*) FROM dns_raw WHERE {filter}"), " ").await;
        assert_eq!(count, [records.to_string()], "{filter}");
    }
    let by = "SELECT folded, sum(hits) FROM dns_raw GROUP BY folded ORDER BY folded";
    assert_eq!(sql_lines(&content, by, " ").await, ["false 6", "true 11"]);
    assert!(sql_lines(&content, &format!("EXPLAIN {by}"), " ").await.concat().contains(", summed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn coverage_says_how_much_another_run_of_a_probe_covers() {
    let mut content = Content::new(&["alpha"]);
    content.batch(1, 0, 60, &[]);
    content.intake(1, 60, 60, &[("a.", "A", "request", 5, 0)], |intake| intake.counters = vec![(2, 5), (65, 59_000)]);
    let answer = content.engine.coverage(&[], whole(), &page()).await.unwrap();
    assert_eq!(lines(&answer, &["overlap_ms", "hits", "losses"]), ["0 0 ", "59000 5 "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn coverage_says_for_how_long_a_probe_was_blind() {
    let mut content = Content::new(&["alpha"]);
    content.intake(1, 0, 60, &[], |intake| intake.counters = vec![(2, 5), (66, 60_000)]);
    content.batch(1, 60, 60, &[]);
    let answer = content.engine.coverage(&[], whole(), &page()).await.unwrap();
    assert_eq!(lines(&answer, &["blind_ms", "losses"]), ["60000 ", "0 "]);
    assert_eq!(sql_lines(&content, "SELECT blind_ms FROM coverage ORDER BY time", " ").await, ["60000", "0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn coverage_says_what_was_observed_and_what_was_lost() {
    let mut content = Content::new(&["alpha", "sample"]);
    content.intake(1, 0, 60, &[("a.", "A", "request", 5, 0)], |intake| {
        intake.counters = vec![(2, 9), (10, 3), (22, 1), (40, 7), (999, 2)];
        intake.covered_from_ms += 1500;
        intake.evicted = Some(zonepulse_model::Evicted { batches: 2, from_s: T0_S - 120, until_s: T0_S });
    });
    content.batch(2, 0, 60, &[]);
    let answer = content.engine.coverage(&[], whole(), &page()).await.unwrap();
    assert_eq!(answer.total, 2);
    expect![[r#"
        +----------------------+------------+-----------+--------+------------------+-----+--------------------------+----------------------+------+---------------+-------------+----------------+-------------------+-----------------+----------------------+----------------------+------------+------------------------------------------+----------+
        | time                 | interval_s | server_id | server | epoch            | seq | covered_from             | covered_until        | hits | messages_seen | not_counted | kernel_dropped | interface_dropped | batches_evicted | evicted_from         | evicted_until        | overlap_ms | losses                                   | blind_ms |
        +----------------------+------------+-----------+--------+------------------+-----+--------------------------+----------------------+------+---------------+-------------+----------------+-------------------+-----------------+----------------------+----------------------+------------+------------------------------------------+----------+
        | 2026-01-01T00:00:00Z | 60         | 1         | alpha  | 0000000000000001 | 0   | 2026-01-01T00:00:01.500Z | 2026-01-01T00:01:00Z | 5    | 9             | 4           | 7              | 0                 | 2               | 2025-12-31T23:58:00Z | 2026-01-01T00:00:00Z | 0          | opcode_notify=3 bad_name=1 counter_999=2 | 0        |
        | 2026-01-01T00:00:00Z | 60         | 2         | sample | 0000000000000001 | 1   | 2026-01-01T00:00:00Z     | 2026-01-01T00:01:00Z | 0    | 100           | 0           | 0              | 0                 | 0               |                      |                      | 0          |                                          | 0        |
        +----------------------+------------+-----------+--------+------------------+-----+--------------------------+----------------------+------+---------------+-------------+----------------+-------------------+-----------------+----------------------+----------------------+------------+------------------------------------------+----------+
    "#]].assert_eq(&table(&answer));
    assert_eq!(content.engine.coverage(&[2], whole(), &page()).await.unwrap().total, 1);
}
