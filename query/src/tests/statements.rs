use super::*;
use crate::{SqlLimits, sql::SqlAnswer};
use expect_test::{Expect, expect};
use futures::{StreamExt, TryStreamExt};
use std::time::Duration;

const NEVER_ENDING: &str = "SELECT count(*) FROM generate_series(1, 1000000) a CROSS JOIN generate_series(1, 1000000) b";

async fn answered(content: &Content, text: &str) -> Result<String, Error> {
    let SqlAnswer { schema, batches } = content.engine.sql(text).await?;
    let batches: Vec<_> = batches.try_collect().await?;
    Ok(arrow::util::pretty::pretty_format_batches_with_schema(schema, &batches).unwrap().to_string() + "\n")
}

async fn check(text: &str, expected: Expect) {
    expected.assert_eq(&answered(&small(), text).await.unwrap());
}

async fn reason(content: &Content, text: &str) -> String {
    match answered(content, text).await {
        Err(Error::BadArgument { argument: "sql", reason }) => reason,
        other => panic!("{text}: {other:?}"),
    }
}

fn limited(limits: SqlLimits) -> Content {
    let mut content = Content::with(&["alpha"], Options { sql: limits, max_wait_ms: 50, ..options() });
    content.batch(1, 0, 60, &[("a.", "A", "request", 1, 0), ("b.", "A", "request", 1, 0), ("c.", "A", "request", 1, 0)]);
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_answered() {
    check(
        "SELECT host, type, sum(hits) AS hits FROM dns_raw WHERE action = 'request' GROUP BY host, type ORDER BY hits DESC LIMIT 2",
        expect![[r#"
            +-------------------+------+------+
            | host              | type | hits |
            +-------------------+------+------+
            | www.example.com.  | A    | 35   |
            | mail.example.com. | MX   | 7    |
            +-------------------+------+------+
        "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_can_be_cut_and_counted_with() {
    check(
        "SELECT date_trunc('hour', time) AS hour_of_day, date_bin(INTERVAL '15 minutes', time) AS quarter, \
         extract(minute FROM max(last_access)) AS minute, sum(hits) AS hits FROM dns_raw GROUP BY 1, 2 ORDER BY 1, 2",
        expect![[r#"
            +----------------------+----------------------+--------+------+
            | hour_of_day          | quarter              | minute | hits |
            +----------------------+----------------------+--------+------+
            | 2026-01-01T00:00:00Z | 2026-01-01T00:00:00Z | 1      | 47   |
            | 2026-01-01T01:00:00Z | 2026-01-01T01:00:00Z | 0      | 8    |
            +----------------------+----------------------+--------+------+
        "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_and_their_columns_can_be_looked_up() {
    check(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1",
        expect![[r#"
            +----------------+
            | table_name     |
            +----------------+
            | coverage       |
            | dns_15m        |
            | dns_1h         |
            | dns_30m        |
            | dns_5m         |
            | dns_raw        |
            | names          |
            | observation    |
            | records        |
            | requests_15m   |
            | requests_1h    |
            | requests_30m   |
            | requests_5m    |
            | requests_raw   |
            | requests_total |
            | resources      |
            | served_15m     |
            | served_1h      |
            | served_30m     |
            | served_5m      |
            | served_raw     |
            | served_total   |
            | servers        |
            | system_15m     |
            | system_1h      |
            | system_30m     |
            | system_5m      |
            | system_raw     |
            | verdicts       |
            | zones          |
            +----------------+
        "#]],
    )
    .await;
    check(
        "DESCRIBE servers",
        expect![[r#"
        +-------------+-----------+-------------+
        | column_name | data_type | is_nullable |
        +-------------+-----------+-------------+
        | server_id   | UInt32    | NO          |
        | server      | Utf8      | YES         |
        | sample      | Boolean   | NO          |
        +-------------+-----------+-------------+
    "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_what_the_scan_takes() {
    let content = small();
    let plan = answered(
        &content,
        "EXPLAIN SELECT hits FROM dns_raw WHERE server = 'alpha' AND host = 'www.example.com.' AND time >= '2026-01-01' LIMIT 5",
    )
    .await
    .unwrap();
    let line = plan.lines().find_map(|line| line.split_once("StoreScan: ")).unwrap().1;
    expect!["dns_raw, servers=[1], from_s=1767225600, records=[1, 3], columns=[hits], limit=5"]
        .assert_eq(line.trim_end_matches(['|', ' ']));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_day_reaches_the_scan() {
    let content = small();
    let plan = answered(&content, "EXPLAIN SELECT hits FROM dns_raw WHERE time > now() - INTERVAL '1 day'").await.unwrap();
    assert!(plan.contains("from_s=") && !plan.contains("FilterExec"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_with_its_place() {
    let content = small();
    let mut told = String::new();
    for text in [
        "SELECT hots FROM dns_raw",
        "SELECT hits FROM dns",
        "SELECT nonsense(hits) FROM dns_raw",
        "SELECT host + 1 FROM dns_raw WHERE time > 'yesterday'",
        "SELECT hits / (hits - hits) FROM dns_raw",
        "SELECT hits, host FROM dns_raw GROUP BY host",
        "SELECT * FROM '/etc/passwd'",
        "SELECT 1 INTO a",
        "WITH a AS (INSERT INTO dns_raw VALUES (1)) SELECT * FROM a",
    ] {
        told += &format!("{text}\n    {}\n", reason(&content, text).await);
    }
    expect![[r#"
        SELECT hots FROM dns_raw
            Schema error: No field named hots. Did you mean 'dns_raw.hits'? at Line: 1, Column: 8
        SELECT hits FROM dns
            Error during planning: table 'datafusion.public.dns' not found at Line: 1, Column: 18
        SELECT nonsense(hits) FROM dns_raw
            Error during planning: Invalid function 'nonsense'. at Line: 1, Column: 8
        SELECT host + 1 FROM dns_raw WHERE time > 'yesterday'
            Error during planning: Cannot coerce arithmetic expression Utf8 + Int64 to valid types at Line: 1, Column: 8
        SELECT hits / (hits - hits) FROM dns_raw
            Arrow error: Divide by zero error
        SELECT hits, host FROM dns_raw GROUP BY host
            Error during planning: Column in SELECT must be in GROUP BY or an aggregate function: While expanding wildcard, column "dns_raw.hits" must appear in the GROUP BY clause or must be part of an aggregate function, currently only "dns_raw.host" appears in the SELECT clause satisfies this requirement at Line: 1, Column: 8
        SELECT * FROM '/etc/passwd'
            Error during planning: table 'datafusion.public./etc/passwd' not found
        SELECT 1 INTO a
            Error during planning: DDL not supported: CreateMemoryTable
        WITH a AS (INSERT INTO dns_raw VALUES (1)) SELECT * FROM a
            This feature is not implemented: Query INSERT INTO dns_raw VALUES (1) not implemented yet
    "#]].assert_eq(&told);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rows_than_allowed_end_with_an_error() {
    let content = limited(SqlLimits { max_rows: 2, ..SqlLimits::default() });
    assert!(answered(&content, "SELECT * FROM dns_raw LIMIT 2").await.is_ok());
    let result = answered(&content, "SELECT * FROM dns_raw").await;
    assert!(matches!(&result, Err(Error::TooLarge(what)) if what == "more than 2 rows"), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_bytes_than_allowed_end_with_an_error() {
    let content = limited(SqlLimits { max_bytes: 1000, ..SqlLimits::default() });
    assert!(answered(&content, "SELECT repeat('x', 100)").await.is_ok());
    let result = answered(&content, "SELECT repeat('x', 1000)").await;
    assert!(matches!(&result, Err(Error::TooLarge(what)) if what == "more than 1000 bytes"), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_memory_than_allowed_ends_with_an_error_and_is_given_back() {
    let content = limited(SqlLimits { memory_bytes: 1 << 20, ..SqlLimits::default() });
    let result = answered(&content, "SELECT value, count(*) FROM generate_series(1, 1000000) GROUP BY value").await;
    assert!(matches!(result, Err(Error::TooLarge(_))), "{result:?}");
    assert!(answered(&content, "SELECT host, count(*) FROM dns_raw GROUP BY host").await.is_ok());
    // The API's questions have memory of their own.
    let _held = content.engine.sql(NEVER_ENDING).await.unwrap();
    content.engine.raw(&crate::Filter::default(), whole(), &page()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_ends_with_an_error() {
    let content = limited(SqlLimits { timeout_ms: 200, ..SqlLimits::default() });
    let result = answered(&content, NEVER_ENDING).await;
    assert!(matches!(result, Err(Error::TooSlow(200))), "{result:?}");
    no_tasks_are_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_error_nothing_comes() {
    let content = limited(SqlLimits { max_rows: 1, ..SqlLimits::default() });
    let mut batches = content.engine.sql("SELECT * FROM dns_raw").await.unwrap().batches;
    assert!(batches.next().await.unwrap().is_err());
    assert!(batches.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_waits_too_long_for_its_turn_is_refused() {
    let content = limited(SqlLimits { max_concurrent: 1, ..SqlLimits::default() });
    let first = content.engine.sql("SELECT 1").await.unwrap();
    assert!(matches!(content.engine.sql("SELECT 1").await, Err(Error::Busy)));
    drop(first);
    content.engine.sql("SELECT 1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_dropped_ends() {
    let content = limited(SqlLimits::default());
    let mut answer = content.engine.sql(NEVER_ENDING).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(200), answer.batches.next()).await.is_err(), "it runs");
    drop(answer);
    no_tasks_are_left().await;
}

async fn no_tasks_are_left() {
    let ended = async {
        while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
}

/// However the function that finds it tells of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_function_finds_wrong_while_a_statement_runs_is_told() {
    const TOO_BIG: &str = r"((((((((\w{50}){50})?)*)+)*)+)*)+x{900}";
    let content = small();
    for (text, said) in [
        (format!("SELECT count(*) FROM dns_raw WHERE regexp_like(host, '{TOO_BIG}')"), "did not compile: CompiledTooBig"),
        (format!("SELECT count(*) FROM dns_raw WHERE host ~ '{TOO_BIG}'"), "did not compile: CompiledTooBig"),
        (format!("SELECT regexp_replace(host, '{TOO_BIG}', '') FROM dns_raw"), "size limit"),
        (format!("SELECT regexp_count(host, '{TOO_BIG}') FROM dns_raw"), "did not compile"),
        ("SELECT count(*) FROM dns_raw WHERE host ~ '('".to_owned(), "unclosed group"),
        ("SELECT count(*) FROM dns_raw WHERE regexp_like(host, '(')".to_owned(), "unclosed group"),
        ("SELECT regexp_replace(host, '(', '') FROM dns_raw".to_owned(), "unclosed group"),
        ("SELECT regexp_replace(host, host || '(', '') FROM dns_raw".to_owned(), "unclosed group"),
        ("SELECT regexp_like(host, host || '(') FROM dns_raw".to_owned(), "unclosed group"),
        ("SELECT hits / (hits - hits) FROM dns_raw".to_owned(), "Divide by zero"),
        ("SELECT CAST(host AS BIGINT) FROM dns_raw".to_owned(), "Cast error"),
    ] {
        let reason = reason(&content, &text).await;
        assert!(reason.contains(said) && !reason.contains("bug"), "{text}: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deepest_statement_that_is_taken_fits_the_stack_of_a_worker() {
    let content = small();
    for text in [
        format!("SELECT hits{} FROM dns_raw", " + hits".repeat(390)),
        format!("SELECT hits FROM dns_raw WHERE hits = 1{}", " OR hits = 1".repeat(190)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(130)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(190)),
        format!("SELECT hits{} FROM dns_raw", " IS NULL".repeat(190)),
        format!("SELECT hits{} FROM dns_raw", "::bigint".repeat(190)),
        format!("SELECT a0.server FROM servers a0{} LIMIT 1", (1..50).map(|n| format!(", servers a{n}")).collect::<String>()),
        format!("SELECT {}1{}", "abs(".repeat(40), ")".repeat(40)),
        format!("SELECT hits FROM dns_raw WHERE host || 'x'{} = 'y'", " || host".repeat(190)),
    ] {
        if let Err(error) = answered(&content, &text).await {
            assert!(!matches!(error, Error::Engine(_) | Error::Worker(_)), "{text}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_by_record_are_added_up_in_the_scan() {
    let content = small();
    for (text, summed) in [
        ("SELECT record_id, sum(hits) FROM dns_raw GROUP BY record_id", true),
        ("SELECT host, type, action, sum(hits), max(last_access) FROM dns_1h GROUP BY host, type, action", true),
        ("SELECT sum(hits) FROM dns_raw WHERE server = 'alpha'", true),
        ("SELECT sum(hits) FILTER (WHERE action = 'request') FROM dns_raw", true),
        ("SELECT host, count(*) FROM dns_raw GROUP BY host", false),
        ("SELECT host, min(last_access) FROM dns_raw GROUP BY host", false),
        ("SELECT time, sum(hits) FROM dns_raw GROUP BY time", false),
        ("SELECT sum(DISTINCT hits) FROM dns_raw", false),
        ("SELECT sum(hits) FILTER (WHERE hits > 5) FROM dns_raw", false),
        ("SELECT sum(hits) FROM dns_raw WHERE hits > 5", false),
        ("SELECT sum(hits) FROM (SELECT hits FROM dns_raw LIMIT 3)", false),
    ] {
        let plan = answered(&content, &format!("EXPLAIN {text}")).await.unwrap();
        assert_eq!(plan.contains(", summed"), summed, "{text}\n{plan}");
        // The same, where the scan cannot know that it is added up.
        let whole = text
            .replace("FROM dns_raw", "FROM (SELECT * FROM dns_raw LIMIT 100)")
            .replace("FROM dns_1h", "FROM (SELECT * FROM dns_1h LIMIT 100)");
        let sorted = |table: String| {
            let mut lines: Vec<String> = table.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        if !text.contains("LIMIT") {
            assert_eq!(
                sorted(answered(&content, text).await.unwrap()),
                sorted(answered(&content, &whole).await.unwrap()),
                "{text}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_comes_again_finds_what_has_come() {
    let mut content = small();
    let text = "SELECT host, sum(hits) AS hits FROM dns_raw WHERE server = 'beta' AND host = 'new.example.' GROUP BY host";
    let none = answered(&content, text).await.unwrap();
    content.batch(2, 7200, 60, &[("new.example.", "A", "request", 3, 0)]);
    let some = answered(&content, text).await.unwrap();
    assert!(!none.contains("new.example.") && some.contains("new.example. | 3"), "{none}{some}");
    let mut server = content.store.registry().server(zonepulse_model::ServerId::new(2)).unwrap().unwrap();
    server.name = "gamma".to_owned();
    content.store.registry().put_server(&server).unwrap();
    assert_eq!(answered(&content, text).await.unwrap(), none);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_says_now_means_another_moment_each_time() {
    let content = small();
    for text in ["SELECT now()", "SELECT (SELECT max(time) FROM dns_raw WHERE time < now()), now()", "SELECT current_timestamp"] {
        let first = answered(&content, text).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_ne!(answered(&content, text).await.unwrap(), first, "{text}");
    }
}
