//! Measures can be subtracted, folded sums can be distinguished from names, and CSV is safe to open
//! in a spreadsheet.

use arrow::datatypes::{DataType, Schema};
use arrow::ipc::reader::StreamReader;
use libtest_mimic::Trial;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use reqwest::Method;
use std::fs::File;
use std::path::Path;
use std::time::Duration;
use zonepulse_tests::api::{ALL_TIME, number, text};
use zonepulse_tests::batches::{Point, REQUEST, batch, point, send};
use zonepulse_tests::needs::test;
use zonepulse_tests::process::{program_command, succeed};
use zonepulse_tests::{Central, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![
        test("differences_of_hits_have_a_sign", differences),
        test("no_measure_is_unsigned_in_arrow_or_parquet", schemas),
        test("what_overflowed_is_told_from_names_that_begin_like_it", folded),
        test("csv_for_a_spreadsheet_has_no_formulas", spreadsheet),
    ]
}

const CSV: &str = "text/csv";
const ARROW: &str = "application/vnd.apache.arrow.stream";
/// IDs of servers and records, which nobody subtracts.
const IDS: [&str; 3] = ["server_id", "zone_id", "record_id"];

/// A central with one minute for each list of points.
fn with(minutes: &[&[Point]]) -> Central {
    let central = Central::start(&["alpha"]);
    let begin_s = (unix_ms() / 3_600_000 - 2) * 3600;
    for (seq, points) in (0..).zip(minutes) {
        send(&central.api_of_server(0), &batch(central.servers[0].id, 1, seq, begin_s + 60 * seq, points));
    }
    central
}

fn hits(hits: u64) -> Vec<Point> {
    vec![point("www.example.", "A", REQUEST, hits, 0)]
}

fn differences() {
    let central = with(&[&hits(50), &hits(8), &hits(9)]);
    let second = "(SELECT time + INTERVAL '1 minute' FROM first)";
    let first = "WITH first AS (SELECT min(time) AS time FROM dns_raw)";
    for (statement, expected) in [
        (
            format!(
                "{first} SELECT sum(hits) FILTER (WHERE time > (SELECT time FROM first)) - \
                 sum(hits) FILTER (WHERE time = (SELECT time FROM first)) AS change FROM dns_raw"
            ),
            &["-33"][..],
        ),
        (
            format!(
                "{first} SELECT b.hits - a.hits AS change FROM dns_raw a JOIN dns_raw b ON a.record_id = b.record_id \
                 WHERE a.time = (SELECT time FROM first) AND b.time = {second}"
            ),
            &["-42"],
        ),
        (
            "SELECT hits - lag(hits) OVER (ORDER BY time) AS change FROM \
             (SELECT time, sum(hits) AS hits FROM dns_raw GROUP BY time) ORDER BY time"
                .to_owned(),
            &["", "-42", "1"],
        ),
    ] {
        let csv = central.api().sql(&statement, CSV).text();
        let said: Vec<&str> = csv.lines().skip(1).map(|line| line.trim_matches('"')).collect();
        assert_eq!(said, expected, "{statement}");
        let schema = arrow_schema(&central.api().sql(&statement, ARROW).body);
        assert_eq!(*schema.field(0).data_type(), DataType::Int64, "{statement}");
    }
}

fn arrow_schema(body: &[u8]) -> Schema {
    StreamReader::try_new(body, None).expect("an Arrow stream").schema().as_ref().clone()
}

fn assert_signed(schema: &Schema, what: &str) {
    for field in schema.fields() {
        let is_id = IDS.contains(&field.name().as_str());
        assert!(is_id || !field.data_type().is_unsigned_integer(), "{what}: {field}");
        if ["hits", "interval_s", "seq", "messages_seen", "count", "resource_id"].contains(&field.name().as_str()) {
            assert_eq!(*field.data_type(), DataType::Int64, "{what}: {field}");
        }
    }
}

fn schemas() {
    let mut central = with(&[&hits(50), &hits(8)]);
    let api = central.api();
    let tables = api.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'", CSV).text();
    let tables: Vec<&str> = tables.lines().skip(1).collect();
    assert!(tables.contains(&"dns_raw") && tables.contains(&"system_1h"), "{tables:?}");
    for table in &tables {
        assert_signed(&arrow_schema(&api.sql(&format!("SELECT * FROM {table}"), ARROW).body), table);
    }
    let by = ("by", "record,server,action");
    for (call, parameters) in [
        ("dns/raw", vec![]),
        ("dns/aggregate", vec![by]),
        ("dns/aggregate", vec![by, ("interval", "1h")]),
        ("dns/rps", vec![by]),
        ("dns/coverage", vec![]),
        ("system/raw", vec![]),
        ("system/aggregate", vec![]),
    ] {
        let response = api.get(&format!("/api/v2/monitoring/{call}"), &parameters, ARROW);
        assert_signed(&arrow_schema(&response.body), call);
    }
    central.stop();
    let to = tempfile::tempdir().expect("a temporary folder can be made");
    let exported = ["dns_raw", "dns_1h", "coverage", "records"];
    let mut command = program_command("zonepulse");
    command.arg("export").arg(central.data()).arg("--to").arg(to.path());
    // As in the tests' centrals, since the contents are old.
    command.env("ZONEPULSE_STORE__RAW_RETENTION_MINUTES", u32::MAX.to_string());
    exported.iter().for_each(|table| {
        command.args(["--table", table]);
    });
    succeed(&mut command, Duration::from_secs(60));
    for table in exported {
        let file = File::open(a_file(&to.path().join(table))).expect("a file can be read");
        let schema = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").schema().clone();
        assert_signed(&schema, table);
    }
}

/// Any file below a directory.
fn a_file(folder: &Path) -> std::path::PathBuf {
    let entry = folder.read_dir().expect("a folder").next().expect("something in it").expect("an entry").path();
    if entry.is_dir() { a_file(&entry) } else { entry }
}

fn folded() {
    let central = with(&[&[
        point("<other>", "TYPE0", REQUEST, 1, 0),
        point("<other> zone.", "TYPE0", REQUEST, 2, 0),
        point("<other>.", "A", REQUEST, 4, 0),
        point("<other>.zone.", "A", REQUEST, 8, 0),
        point("<other>\\032zone.", "A", REQUEST, 16, 0),
        point("www.zone.", "A", REQUEST, 32, 0),
    ]]);
    let api = central.api();
    let hits = |parameters: &[(&str, &str)]| {
        let of = |call: &str, more: &[(&'static str, &'static str)]| -> u64 {
            let all: Vec<(&str, &str)> = parameters.iter().chain(more).copied().collect();
            api.all_rows(call, &all).iter().map(|row| number(row, "hits")).sum()
        };
        let answers = [
            of("dns/raw", &[ALL_TIME]),
            of("dns/aggregate", &[]),
            of("dns/aggregate", &[ALL_TIME, ("interval", "1h")]),
            of("dns/aggregate", &[ALL_TIME, ("interval", "5m"), ("by", "record")]),
        ];
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{parameters:?}: {answers:?}");
        answers[0]
    };
    for (parameters, expected) in [
        (&[("host", "<other>*")][..], 31),
        (&[("host", "<other> *")], 2),
        (&[("host", "<other>.*")], 12),
        (&[("host", "<other>\\032*")], 16),
        (&[("host", "<other> zone")], 2),
        (&[("host", "<other>")], 1),
        (&[("host", "<other>.")], 4),
        (&[("host", "<other>.zone")], 8),
        (&[("folded", "true")], 3),
        (&[("folded", "false")], 60),
        (&[("folded", "true"), ("host", "<other>*")], 3),
        (&[("folded", "false"), ("host", "<other>*")], 28),
    ] {
        assert_eq!(hits(parameters), expected, "{parameters:?}");
    }
    for row in api.all_rows("dns/aggregate", &[]) {
        let expected = ["<other>", "<other> zone."].contains(&text(&row, "host"));
        assert_eq!(row["folded"].as_bool(), Some(expected), "{row:?}");
    }
    let csv = api.sql("SELECT folded, sum(hits) AS hits FROM records GROUP BY folded ORDER BY folded", CSV).text();
    assert_eq!(csv, "folded,hits\nfalse,60\ntrue,3\n");
}

fn spreadsheet() {
    let hosts = ["=1+1.", "+1.", "-1.", "\\@sum.", "a\\;=1.", "www.example."];
    let points: Vec<Point> = hosts.iter().map(|host| point(host, "A", REQUEST, 1, 0)).collect();
    let central = with(&[&points]);
    let api = central.api();
    let hosts_of = |parameters: &[(&str, &str)]| {
        let all = [&[("sort", "host")], parameters].concat();
        let csv = api.get("/api/v2/monitoring/dns/aggregate", &all, CSV).text();
        let mut hosts: Vec<String> = csv.lines().skip(1).filter_map(|line| Some(line.split(',').nth(1)?.to_owned())).collect();
        hosts.sort();
        hosts
    };
    let sorted = |hosts: &[&str]| {
        let mut hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        hosts.sort();
        hosts
    };
    assert_eq!(hosts_of(&[]), sorted(&hosts), "programs read names as they are");
    assert_eq!(hosts_of(&[("escape", "none")]), sorted(&hosts));
    let escaped = ["'=1+1.", "'+1.", "'-1.", "\\@sum.", "a\\;'=1.", "www.example."];
    assert_eq!(hosts_of(&[("escape", "spreadsheet")]), sorted(&escaped));

    let statement = "SELECT host, -hits AS change FROM dns_raw WHERE host = '=1+1.'";
    let headers = [("content-type", "application/sql"), ("accept", CSV)];
    let url = api.url("/api/v2/sql", &[("escape", "spreadsheet")]);
    let response = api.send(Method::POST, url, &headers, statement.as_bytes().to_vec()).expect("an answer");
    assert_eq!(response.text(), "host,change\n'=1+1.,-1\n", "numbers stay numbers");
    assert_eq!(api.sql(statement, CSV).text(), "host,change\n=1+1.,-1\n");
}
