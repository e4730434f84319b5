use super::*;
use expect_test::{Expect, expect};

async fn sql(content: &Content, query: &str) -> String {
    let batches = all(content, query).await;
    arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string() + "\n"
}

async fn check_scan(query: &str, expected: Expect) {
    let content = small();
    let plan = sql(&content, &format!("EXPLAIN {query}")).await;
    // Where a filter was not pushed down, it stands above the scan.
    let lines = plan.lines().skip_while(|line| !line.contains("physical_plan"));
    let steps = lines.flat_map(|line| line.split('|')).map(str::trim);
    let shown: Vec<&str> = steps.filter(|line| line.starts_with("FilterExec") || line.starts_with("StoreScan")).collect();
    expected.assert_eq(&(shown.join("\n") + "\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_pushed_down() {
    check_scan(
        "SELECT hits FROM dns_raw WHERE server_id = 1",
        expect![[r#"
        StoreScan: dns_raw, servers=[1], columns=[hits]
    "#]],
    )
    .await;
    check_scan(
        "SELECT hits FROM dns_raw WHERE server LIKE 'be%'",
        expect![[r#"
        StoreScan: dns_raw, servers=[2], columns=[hits]
    "#]],
    )
    .await;
    check_scan(
        "SELECT hits FROM coverage WHERE server_id IN (1, 2, 3)",
        expect![[r#"
        StoreScan: coverage, servers=[1, 2, 3], columns=[hits]
    "#]],
    )
    .await;
    check_scan(
        "SELECT hits FROM dns_raw WHERE server_id IN (2, 1, 2, 3) AND server_id > 1 AND server LIKE 'be%'",
        expect![[r#"
        StoreScan: dns_raw, servers=[2], columns=[hits]
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_is_pushed_down_and_cuts_the_scan_into_partitions() {
    check_scan(
        "SELECT hits FROM dns_raw WHERE time >= '2026-01-01T00:00:00Z' AND time < '2026-01-01T00:01:00Z'",
        expect![[r#"
        StoreScan: dns_raw, from_s=1767225600, until_s=1767225660, columns=[hits]
    "#]],
    )
    .await;
    check_scan(
        "SELECT hits FROM dns_raw WHERE time BETWEEN '2026-01-01T00:00:00Z' AND '2026-01-03T00:00:00Z'",
        expect![[r#"
        StoreScan: dns_raw, from_s=1767225600, until_s=1767398401, columns=[hits], partitions=2
    "#]],
    )
    .await;
    check_scan(
        "SELECT hits FROM dns_raw WHERE time > '2026-01-01T00:00:00.5Z'",
        expect![[r#"
        StoreScan: dns_raw, from_s=1767225601, columns=[hits]
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stretch_of_time_without_a_second_has_no_rows() {
    let content = small();
    for filter in [
        "time = '2026-01-01T00:00:00.5Z'",
        "time > '2026-01-02T00:00:00Z' AND time < '2026-01-01T00:00:00Z'",
        "time >= '2026-01-01T00:00:00Z' AND time < '2026-01-01T00:00:00Z'",
    ] {
        // A filter on groups asks for the bounds of their times.
        let query = format!("SELECT time, count(*) AS n FROM dns_raw WHERE {filter} GROUP BY time HAVING count(*) > 1");
        assert_eq!(all(&content, &query).await.iter().map(|batch| batch.num_rows()).sum::<usize>(), 0, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_up_is_a_table_like_the_raw_points() {
    check_scan(
        "SELECT time, hits FROM dns_1h WHERE server = 'alpha' AND action = 'request' AND time < '2026-01-02'",
        expect![[r#"
        StoreScan: dns_1h, servers=[1], until_s=1767312000, kinds=[request], columns=[time, hits]
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_pushed_down_as_their_numbers() {
    check_scan(
        "SELECT hits FROM dns_raw WHERE host = 'www.example.com.' AND type = 'A'",
        expect![[r#"
        StoreScan: dns_raw, records=[1], columns=[hits]
    "#]],
    )
    .await;
    check_scan(
        "SELECT hits FROM records WHERE host LIKE '%.example.com.'",
        expect![[r#"
        StoreScan: records, records=[1, 2, 3], columns=[hits]
    "#]],
    )
    .await;
    check_scan(
        "SELECT hits FROM dns_raw WHERE record_id = 2 OR host = 'example.net.'",
        expect![[r#"
        StoreScan: dns_raw, records=[2, 4], columns=[hits]
    "#]],
    )
    .await;
    check_scan(
        "SELECT host FROM names WHERE type = 'MX'",
        expect![[r#"
        StoreScan: names, records=[2], columns=[host]
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_are_pushed_down() {
    check_scan(
        "SELECT hits FROM dns_raw WHERE action = 'request'",
        expect![[r#"
        StoreScan: dns_raw, kinds=[request], columns=[hits]
    "#]],
    )
    .await;
    check_scan(
        "SELECT hits FROM dns_raw WHERE action = 'response'",
        expect![[r#"
        StoreScan: dns_raw, kinds=responses, columns=[hits]
    "#]],
    )
    .await;
    check_scan(
        "SELECT hits FROM dns_raw WHERE rcode IN ('NXDOMAIN', 'REFUSED')",
        expect![[r#"
        StoreScan: dns_raw, kinds=[NXDOMAIN, REFUSED], columns=[hits]
    "#]],
    )
    .await;
    check_scan(
        "SELECT hits FROM dns_raw WHERE rcode IS NULL",
        expect![[r#"
        StoreScan: dns_raw, kinds=[request], columns=[hits]
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_cannot_select_is_left_to_a_filter() {
    check_scan(
        "SELECT hits FROM dns_raw WHERE hits > 5 AND server_id = 2",
        expect![[r#"
        FilterExec: hits@0 > 5
        StoreScan: dns_raw, servers=[2], columns=[hits]
    "#]],
    )
    .await;
    check_scan(
        "SELECT hits FROM dns_raw WHERE server_id = 1 OR action = 'request'",
        expect![[r#"
        FilterExec: server_id@0 = 1 OR action@1 = request, projection=[hits@2]
        StoreScan: dns_raw, columns=[server_id, action, hits]
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_reaches_the_scan() {
    check_scan(
        "SELECT hits FROM dns_raw WHERE server_id = 1 LIMIT 2",
        expect![[r#"
        StoreScan: dns_raw, servers=[1], columns=[hits], limit=2
    "#]],
    )
    .await;
    let content = small();
    assert_eq!(sql(&content, "SELECT count(*) AS n FROM (SELECT 1 FROM dns_raw LIMIT 2)").await.matches("| 2 |").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_takes_no_rows_from_a_window() {
    let content = small();
    let sums = "SELECT server_id, time, sum(hits) AS hits FROM dns_5m GROUP BY server_id, time";
    let window = "sum(hits) OVER (PARTITION BY server_id ORDER BY time ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)";
    let plan = sql(&content, &format!("EXPLAIN SELECT server_id, time, {window} AS w FROM ({sums}) LIMIT 3")).await;
    assert!(plan.contains("BoundedWindowAggExec") && !plan.contains("TopK"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_the_order_of_time_is_complete_when_its_hour_is_over() {
    let content = small();
    let plan = sql(&content, "EXPLAIN SELECT time, hits FROM dns_raw ORDER BY hour, time LIMIT 3").await;
    assert!(plan.contains("sort_prefix=[hour"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_within_a_filter_is_left_to_the_plan() {
    let content = small();
    let query = "SELECT count(*) AS n FROM dns_raw WHERE server_id IN (SELECT server_id FROM servers WHERE server = 'beta')";
    assert!(sql(&content, query).await.contains("| 3 |"));
    let query = "SELECT count(*) AS n FROM dns_raw WHERE record_id = (SELECT max(record_id) FROM names)";
    assert!(sql(&content, query).await.contains("| 2 |"));
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_pushed_down_give_the_rows_that_they_would_give_above_the_scan() {
    let content = small();
    for filter in [
        "server_id = 1",
        "2 = server_id",
        "server_id IN (2, 1, 9)",
        "server_id = 9",
        "server_id = -1",
        "server_id = 1 OR server_id = 2",
        "server_id = 1 AND server_id = 2",
        "server_id IN (1, 2) AND server_id <> 1",
        "server_id IN (1, 2) AND server = 'beta'",
        "server <> 'alpha'",
        "time > '2026-01-01T00:00:00Z'",
        "time <= '2026-01-01T00:00:00Z'",
        "time = '2026-01-01T00:01:00Z'",
        "time < '1960-01-01T00:00:00Z'",
        "time >= '1960-01-01T00:00:00Z'",
        "host = 'www.example.com.'",
        "host = 'www.example.com.' AND type = 'A'",
        "'AAAA' = type AND host IN ('www.example.com.', 'example.net.', 'nowhere.')",
        "host = 'www.example.com.' AND type IN ('A', 'AAAA', 'MX', 'NS', 'SOA', 'TXT')",
        "host = 'www.example.com.' AND type = 'TYPE1'",
        "host = 'www.example.com.' AND type = 'no type'",
        "host NOT IN ('www.example.com.') AND type = 'SOA'",
        "host = 'WWW.example.com.' AND type = 'A'",
        "host LIKE '%net.' OR type = 'MX'",
        "NOT (type = 'A')",
        "rcode IS NULL",
        "rcode <> 'NOERROR'",
        "action = 'response' AND rcode = 'NXDOMAIN'",
        "record_id >= 2 AND host LIKE 'w%'",
        "resource_id = 0",
        "kind BETWEEN 1 AND 4",
    ] {
        let count = "SELECT count(*) AS n, sum(hits) AS hits FROM";
        let pushed = sql(&content, &format!("{count} dns_raw WHERE {filter}")).await;
        // What is true of a limit's rows cannot be pushed below the limit.
        let above = sql(&content, &format!("{count} (SELECT * FROM dns_raw LIMIT 100) WHERE {filter}")).await;
        assert_eq!(pushed, above, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_table_has_a_column_kind_and_statements_that_name_it_mean_what_they_did() {
    let content = small();
    for table in ["dns_raw", "dns_1h", "requests_5m", "records", "requests_total", "names"] {
        let schema = content.engine.sql(&format!("SELECT * FROM {table}")).await.unwrap().schema;
        assert!(schema.column_with_name("kind").is_none(), "{table}: {schema:?}");
    }
    assert!(!sql(&content, "DESCRIBE dns_raw").await.contains("kind"));
    for table in ["dns_raw", "dns_1h", "records"] {
        let asked = async |what: &str, filter: &str| sql(&content, &format!("SELECT {what} FROM {table} {filter}")).await;
        for (old, new) in [
            ("WHERE kind = 0", "WHERE action = 'request'"),
            ("WHERE kind = 1", "WHERE rcode = 'NOERROR'"),
            ("WHERE kind = 4", "WHERE rcode = 'NXDOMAIN'"),
            ("WHERE kind > 0", "WHERE action = 'response'"),
        ] {
            assert_eq!(asked("sum(hits) AS hits", old).await, asked("sum(hits) AS hits", new).await, "{table} {old}");
        }
        let by_kind = asked("sum(hits) AS hits", "GROUP BY kind ORDER BY hits").await;
        assert_eq!(by_kind, asked("sum(hits) AS hits", "GROUP BY action, rcode ORDER BY hits").await, "{table}");
    }
    let named = sql(&content, "SELECT DISTINCT action AS kind FROM dns_raw WHERE action = 'request'").await;
    assert!(named.contains("request"), "a name of one's own: {named}");
    let wrong = content.engine.sql("SELECT kind, nothing FROM dns_raw").await.err().unwrap().to_string();
    assert!(wrong.contains("nothing"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_can_be_read_whole() {
    let content = small();
    let points = [("dns_raw", 9), ("dns_5m", 8), ("dns_15m", 8), ("dns_30m", 8), ("dns_1h", 8)];
    for (table, rows) in points.into_iter().chain([("records", 8), ("coverage", 5), ("servers", 2), ("names", 5)]) {
        let counted = sql(&content, &format!("SELECT count(*) AS rows FROM {table}")).await;
        assert!(counted.contains(&format!("| {rows} ")), "{table}\n{counted}");
        let read: usize = all(&content, &format!("SELECT * FROM {table}")).await.iter().map(|batch| batch.num_rows()).sum();
        assert_eq!(read, rows, "{table}");
    }
    expect![[r#"
        +-----------+--------+--------+
        | server_id | server | sample |
        +-----------+--------+--------+
        | 1         | alpha  | false  |
        | 2         | beta   | false  |
        +-----------+--------+--------+
    "#]]
    .assert_eq(&sql(&content, "SELECT * FROM servers ORDER BY server_id").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_can_be_joined_and_grouped() {
    let content = small();
    let found = sql(
        &content,
        "SELECT n.host, n.type, s.server, sum(r.hits) AS hits FROM dns_raw r JOIN names n USING (record_id) \
         JOIN servers s ON s.server_id = r.server_id WHERE r.action = 'request' GROUP BY 1, 2, 3 ORDER BY hits DESC, 1",
    )
    .await;
    expect![[r#"
        +-------------------+------+--------+------+
        | host              | type | server | hits |
        +-------------------+------+--------+------+
        | www.example.com.  | A    | beta   | 20   |
        | www.example.com.  | A    | alpha  | 15   |
        | mail.example.com. | MX   | alpha  | 7    |
        | example.net.      | SOA  | beta   | 4    |
        | www.example.com.  | AAAA | alpha  | 1    |
        +-------------------+------+--------+------+
    "#]]
    .assert_eq(&found);
}

/// How many rows a statement counts.
async fn count(content: &Content, of: &str) -> String {
    sql_lines(content, &format!("SELECT count(*) FROM {of}"), " ").await.join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_found_in_any_spelling() {
    let content = small();
    for table in ["dns_raw", "dns_5m", "dns_15m", "dns_30m", "dns_1h", "records", "names"] {
        let canonical = count(&content, &format!("{table} WHERE host = 'www.example.com.'")).await;
        assert_ne!(canonical, "0", "{table}");
        for filter in [
            "host = 'www.example.com'",
            "'WWW.Example.com' = host",
            "host IN ('www.example.com', 'nowhere.example')",
            "host IS NOT DISTINCT FROM 'www.example.com'",
            "NOT (host <> 'www.example.com')",
            "host LIKE 'www.Example.com'",
            "CASE host WHEN 'www.example.com' THEN true ELSE false END",
        ] {
            assert_eq!(count(&content, &format!("{table} WHERE {filter}")).await, canonical, "{table}: {filter}");
        }
    }
    // Not a filter of one dimension, so it stays above the scan.
    assert_eq!(count(&content, "dns_raw WHERE host = 'www.example.com' OR hits < 0").await, "6");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_its_final_dot_is_still_looked_up() {
    check_scan(
        "SELECT hits FROM dns_raw WHERE host = 'www.example.com' AND type = 'A'",
        expect![[r#"
        StoreScan: dns_raw, records=[1], columns=[hits]
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_known_through_aliases_subqueries_and_joins() {
    let content = small();
    for of in [
        "dns_raw AS r WHERE r.host = 'www.example.com'",
        "(SELECT host AS name FROM dns_raw LIMIT 100) WHERE name = 'www.example.com'",
        "(SELECT DISTINCT host, time, server_id, kind, type FROM dns_raw) WHERE host = 'www.example.com'",
        "dns_raw r JOIN names n ON r.record_id = n.record_id AND n.host = 'www.example.com'",
    ] {
        let canonical = of.replace("example.com'", "example.com.'");
        let found = count(&content, of).await;
        assert_ne!(found, "0", "{of}");
        assert_eq!(found, count(&content, &canonical).await, "{of}");
    }
    let sums = "SELECT host, sum(hits) FROM dns_raw WHERE action = 'request' GROUP BY host HAVING host = 'example.net'";
    assert_eq!(sql_lines(&content, sums, " ").await, ["example.net. 4"]);
    let outside =
        "SELECT host = 'mail.example.com', count(*) FILTER (WHERE host = 'mail.example.com') FROM dns_raw GROUP BY 1 ORDER BY 1";
    assert_eq!(sql_lines(&content, outside, " ").await, ["false 0", "true 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_computed_from_a_host_is_a_text() {
    let content = small();
    let trimmed = "(SELECT rtrim(host, '.') AS host FROM names) WHERE host = 'example.net'";
    assert_eq!(count(&content, trimmed).await, "1");
    assert_eq!(count(&content, "names WHERE rtrim(host, '.') = 'example.net'").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_host_cannot_be_is_refused() {
    let content = small();
    for (filter, word) in [("host = 'a..b'", "a..b"), ("host LIKE '%.bücher.example'", "xn--bcher-kva.example")] {
        match content.engine.sql(&format!("SELECT 1 FROM names WHERE {filter}")).await.map(|_| ()) {
            Err(Error::BadArgument { argument: "sql", reason }) => assert!(reason.contains(word), "{reason}"),
            other => panic!("{filter}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_requests_count_no_question_twice() {
    let content = small();
    for (requests, all) in [
        ("requests_raw", "dns_raw"),
        ("requests_5m", "dns_5m"),
        ("requests_15m", "dns_15m"),
        ("requests_30m", "dns_30m"),
        ("requests_1h", "dns_1h"),
        ("requests_total", "records"),
    ] {
        let sums = async |of: &str| sql_lines(&content, &format!("SELECT count(*), sum(hits) FROM {of}"), " ").await;
        assert_eq!(sums(requests).await, sums(&format!("{all} WHERE action = 'request'")).await, "{requests}");
        assert!(sums(requests).await[0].ends_with(" 47"), "{requests}");
        assert_eq!(sums(&format!("{requests} WHERE action = 'response'")).await, ["0 "], "{requests}");
        let www = "WHERE host = 'www.example.com' AND type = 'A'";
        assert!(sums(&format!("{requests} {www}")).await[0].ends_with(" 35"), "{requests}");
    }
}
