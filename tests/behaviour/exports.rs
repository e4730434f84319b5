//! Parquet export, from a running central and from its data directory.

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use libtest_mimic::Trial;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use zonepulse_dns::Action;
use zonepulse_tests::Central;
use zonepulse_tests::needs::{duckdb, test, test_with};
use zonepulse_tests::process::{program_command, run, succeed};
use zonepulse_tests::small_store::{Known, SmallStore};

pub fn trials() -> Vec<Trial> {
    vec![
        test("an_export_of_a_running_central_is_what_its_data_are", same),
        test("exported_requests_are_the_same_from_a_running_central_and_from_its_data", requests),
        test_with("the_statement_for_duckdb_in_the_documentation_counts_every_request_once", duckdb, in_duckdb),
        test("an_export_of_data_in_use_says_whom_to_ask", in_use),
        test("an_export_before_anything_was_reported_says_why_there_is_no_file", nothing_yet),
    ]
}

fn export(to: &Path) -> Command {
    export_tables(&["dns_raw", "records"], to)
}

fn export_tables(tables: &[&str], to: &Path) -> Command {
    let mut command = program_command("zonepulse");
    command.arg("export").args(tables.iter().flat_map(|table| ["--table", table])).arg("--to").arg(to);
    // As in the tests' centrals, since the contents are old.
    command.env("ZONEPULSE_STORE__RAW_RETENTION_MINUTES", u32::MAX.to_string());
    command.env("ZONEPULSE_STORE__RAW_LAST_ACCESS", "ms");
    command
}

fn same() {
    let mut store = SmallStore::start();
    let central = &mut store.central;
    let to = tempfile::tempdir().expect("a temporary folder can be made");
    let mut asking = export(to.path());
    let told = succeed(ask(&mut asking, central), Duration::from_secs(60));
    let exported = rows(&to.path().join("dns_raw"));
    let answer = central.api().sql("SELECT * FROM dns_raw", "application/vnd.apache.arrow.stream").body;
    let answered: Vec<RecordBatch> =
        StreamReader::try_new(&*answer, None).expect("an Arrow stream").map(|batch| batch.expect("whole")).collect();
    assert_eq!(exported[0].schema().fields(), answered[0].schema().fields());
    let lines_of_sql = lines(&answered);
    assert_eq!(lines_of_sql.len(), store.known.len(), "{told}");
    assert_eq!(lines(&exported), lines_of_sql);
    assert!(to.path().join("records/records.parquet").exists());

    // Nothing has changed, whichever way it is exported.
    central.stop();
    let told = succeed(export(to.path()).arg(central.data()), Duration::from_secs(60));
    assert!(told.contains("\n1 files with ") && told.contains("4 whose file is up to date"), "{told}");
}

/// Makes the command ask a running central.
fn ask<'a>(command: &'a mut Command, central: &Central) -> &'a mut Command {
    command.args(["--url", &central.url(), "--credentials"]).arg(central.data().join("admin-credentials"))
}

const REQUESTS: [&str; 3] = ["requests_raw", "requests_1h", "requests_total"];

fn requests() {
    let mut store = SmallStore::start();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (asked, read) = (folder.path().join("asked"), folder.path().join("read"));
    succeed(ask(&mut export_tables(&REQUESTS, &asked), &store.central), Duration::from_secs(60));
    store.central.stop();
    succeed(export_tables(&REQUESTS, &read).arg(store.central.data()), Duration::from_secs(60));
    let of_hours = |to: &Path, table: &str| lines(&rows(&to.join(table)));
    let is_request = |known: &&Known| known.action() == Action::Request;
    assert_eq!(of_hours(&asked, "requests_raw").len(), store.known.iter().filter(is_request).count());
    for table in ["requests_raw", "requests_1h"] {
        assert!(of_hours(&asked, table) == of_hours(&read, table), "{table} differs");
        assert!(of_hours(&asked, table).iter().all(|line| line.contains("|request|")), "{table}");
    }
    let total = |to: &Path| lines(&read_file(to.join("requests_total/requests_total.parquet")));
    assert_eq!(total(&asked), total(&read));

    // Nothing has changed, whichever way it is exported.
    let told = succeed(export_tables(&REQUESTS, &asked).arg(store.central.data()), Duration::from_secs(60));
    assert!(told.contains("\n1 files with ") && told.contains("8 whose file is up to date"), "{told}");
}

fn in_duckdb(python: PathBuf) {
    let store = SmallStore::start();
    let to = tempfile::tempdir().expect("a temporary folder can be made");
    succeed(ask(&mut export_tables(&REQUESTS, to.path()), &store.central), Duration::from_secs(60));
    let page = std::fs::read_to_string(zonepulse_fixtures::project().join("docs/EXPORT.md")).expect("the page is there");
    let statement = page.lines().find(|line| line.contains("read_parquet('/srv/zonepulse/")).expect("an example for DuckDB");
    let statement = statement.replace("/srv/zonepulse", to.path().to_str().expect("a path of a test is text"));
    const SCRIPT: &str = "import duckdb, sys\nfor row in duckdb.sql(sys.argv[1]).fetchall(): print(*row, sep='|')";
    let said = succeed(Command::new(python).args(["-c", SCRIPT, &statement]), Duration::from_secs(60));
    let mut said: Vec<&str> = said.lines().collect();
    said.sort_unstable();
    let mut hits = BTreeMap::<&str, u64>::new();
    for known in store.known.iter().filter(|known| known.action() == Action::Request) {
        *hits.entry(&known.point.host).or_default() += known.point.hits;
    }
    let mut expected: Vec<String> = hits.into_iter().map(|(host, hits)| format!("{host}|{hits}")).collect();
    expected.sort_unstable();
    assert_eq!(said, expected, "{statement}");
}

fn rows(table: &Path) -> Vec<RecordBatch> {
    let entries =
        |path: &Path| path.read_dir().expect("a folder").map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>();
    let files = entries(table).into_iter().flat_map(|folder| entries(&folder));
    files.flat_map(read_file).collect()
}

fn read_file(path: PathBuf) -> Vec<RecordBatch> {
    let file = File::open(path).expect("a file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("rows");
    reader.map(|batch| batch.expect("whole")).collect()
}

/// Rows as sorted text.
fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches {
        let options = FormatOptions::new().with_null("null");
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).expect("can be shown"));
        let columns: Vec<ArrayFormatter> = columns.collect();
        let line = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
        lines.extend((0..batch.num_rows()).map(line));
    }
    lines.sort();
    lines
}

fn nothing_yet() {
    let central = Central::start(&["ns1"]);
    let to = tempfile::tempdir().expect("a temporary folder can be made");
    let told = succeed(ask(&mut export(to.path()), &central), Duration::from_secs(60));
    assert!(told.contains("\ndns_raw: nothing was reported in that time; the hour that runs ends at 20"), "{told}");
    assert!(!told.contains("\nrecords: "), "it has a file: {told}");
}

fn in_use() {
    let store = SmallStore::start();
    let to = tempfile::tempdir().expect("a temporary folder can be made");
    let output = run(export(to.path()).arg(store.central.data()), Duration::from_secs(30));
    assert_eq!(output.code, Some(1), "{}", output.out);
    assert!(output.err.contains("in use by a running `zonepulse serve`") && output.err.contains("--url"), "{}", output.err);
}
