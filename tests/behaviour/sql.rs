//! SQL over HTTP: it agrees with the API's answers, and ends when the client leaves.

use arrow::ipc::reader::StreamReader;
use libtest_mimic::Trial;
use std::time::Duration;
use zonepulse_dns::Action;
use zonepulse_tests::api::{number, text};
use zonepulse_tests::needs::test;
use zonepulse_tests::small_store::SmallStore;
use zonepulse_tests::{Central, eventually};

pub fn trials() -> Vec<Trial> {
    vec![
        test("sql_and_the_api_say_the_same", same),
        test("a_host_is_compared_in_any_spelling", spellings),
        test("an_answer_in_arrow_is_streamed_whole", arrow_stream),
        test("an_answer_that_is_broken_off_is_no_whole_answer_in_any_format", broken_off),
        test("a_statement_ends_when_its_client_leaves", client_leaves),
    ]
}

const CSV: &str = "text/csv";
const JSON: &str = "application/json";
const ARROW: &str = "application/vnd.apache.arrow.stream";

fn same() {
    let store = SmallStore::start();
    let api = store.central.api();
    let mut asked: Vec<String> = api
        .rows("dns/aggregate", &[("date_from", "0"), ("limit", "1000")])
        .iter()
        .map(|row| format!("{},{},{}", text(row, "host"), text(row, "type"), number(row, "hits")))
        .collect();
    let totals = api.sql("SELECT host, type, sum(hits) FROM records WHERE action = 'request' GROUP BY host, type", CSV);
    let points = api.sql("SELECT host, type, sum(hits) FROM dns_raw WHERE action = 'request' GROUP BY host, type", CSV);
    asked.sort();
    for response in [totals, points] {
        let body = response.text();
        let mut said: Vec<&str> = body.lines().skip(1).collect();
        said.sort_unstable();
        assert_eq!(said, asked);
    }
}

fn spellings() {
    let store = SmallStore::start();
    let api = store.central.api();
    let canonical = api.sql("SELECT sum(hits) AS hits FROM requests_raw WHERE host = 'www.example.'", JSON).text();
    let hits: u64 = store
        .known
        .iter()
        .filter(|known| &*known.point.host == "www.example." && known.action() == Action::Request)
        .map(|known| known.point.hits)
        .sum();
    assert_eq!(canonical, format!(r#"[{{"hits":{hits}}}]"#));
    for filter in ["host = 'www.example'", "host IN ('WWW.Example', 'never.example')", "host LIKE 'www.example'"] {
        assert_eq!(api.sql(&format!("SELECT sum(hits) AS hits FROM requests_raw WHERE {filter}"), JSON).text(), canonical);
    }
}

fn arrow_stream() {
    let store = SmallStore::start();
    let response = store.central.api().sql("SELECT time, server, host, hits FROM dns_raw", ARROW);
    let reader = StreamReader::try_new(&response.body[..], None).expect("an Arrow stream");
    let rows: usize = reader.map(|batch| batch.expect("a whole stream").num_rows()).sum();
    assert_eq!(rows, store.known.len());
}

fn broken_off() {
    let store = SmallStore::start();
    // After some millions of rows comes one that fails.
    let text = "SELECT 1 / (value - 3000000) AS a FROM generate_series(1, 4000000)";
    for accept in [JSON, CSV, ARROW] {
        let answered = store.central.api().post_sql(text, accept);
        assert!(answered.is_err(), "{accept}: an answer without its end is taken for whole");
    }
    // A failure before the first row is a problem document.
    let response = store.central.api().post_sql("SELECT 1 / 0", JSON).expect("an answer");
    assert_eq!((response.status, response.problem("type").as_str()), (400, "urn:zonepulse:problem:bad-parameter"));
}

fn client_leaves() {
    let central = Central::start(&["alpha"]);
    let api = central.api();
    let never = "SELECT count(*) FROM generate_series(1, 1000000) a CROSS JOIN generate_series(1, 1000000) b";
    let rows = "SELECT a.value FROM generate_series(1, 1000000) a CROSS JOIN generate_series(1, 1000000) b";
    // Before the first row, and in the middle of the rows.
    for statement in [never, rows] {
        let bytes = std::thread::scope(|scope| {
            let asked = scope.spawn(|| api.ask_and_leave(statement, Duration::from_secs(2)));
            std::thread::sleep(Duration::from_millis(1500));
            // Rows that nobody reads are not produced.
            assert!(statement == rows || central.cpu_seconds_of_workers() > 0.3, "the statement ran");
            asked.join().expect("it asked and left")
        });
        assert_eq!(bytes > 0, statement == rows, "{bytes} bytes came");
        eventually("the work stops", Duration::from_secs(10), || {
            let used = central.cpu_seconds() + central.cpu_seconds_of_workers();
            std::thread::sleep(Duration::from_millis(500));
            (central.cpu_seconds() + central.cpu_seconds_of_workers() - used < 0.1).then_some(())
        });
    }
    assert_eq!(api.sql("SELECT 1 AS one", JSON).text(), r#"[{"one":1}]"#);
}
