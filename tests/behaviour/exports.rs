//! Parquet files, from a central that runs and from its data.

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use libtest_mimic::Trial;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use zonepulse_tests::needs::test;
use zonepulse_tests::process::{program_command, run, succeed};
use zonepulse_tests::small_store::SmallStore;

pub fn trials() -> Vec<Trial> {
    vec![
        test("an_export_of_a_running_central_is_what_its_data_are", same),
        test("an_export_of_data_in_use_says_whom_to_ask", in_use),
    ]
}

fn export(to: &Path) -> Command {
    let mut command = program_command("zonepulse");
    command.args(["export", "--table", "dns_raw", "--table", "records", "--to"]).arg(to);
    // As the tests' centrals have it: what is in them is old.
    command.env("ZONEPULSE_STORE__RAW_RETENTION_MINUTES", u32::MAX.to_string());
    command
}

fn same() {
    let mut store = SmallStore::start();
    let central = &mut store.central;
    let to = tempfile::tempdir().expect("a temporary folder can be made");
    let mut asking = export(to.path());
    asking.args(["--url", &central.url(), "--credentials"]).arg(central.data().join("admin-credentials"));
    let told = succeed(&mut asking, Duration::from_secs(60));
    let exported = rows(&to.path().join("dns_raw"));
    let answer = central.api().sql("SELECT * FROM dns_raw", "application/vnd.apache.arrow.stream").body;
    let answered: Vec<RecordBatch> =
        StreamReader::try_new(&*answer, None).expect("an Arrow stream").map(|batch| batch.expect("whole")).collect();
    assert_eq!(exported[0].schema().fields(), answered[0].schema().fields());
    let lines_of_sql = lines(&answered);
    assert_eq!(lines_of_sql.len(), store.known.len(), "{told}");
    assert_eq!(lines(&exported), lines_of_sql);
    assert!(to.path().join("records/records.parquet").exists());

    // Nothing has changed, whoever says so.
    central.stop();
    let told = succeed(export(to.path()).arg(central.data()), Duration::from_secs(60));
    assert!(told.contains("\n1 files with ") && told.contains("4 whose file is up to date"), "{told}");
}

fn rows(table: &Path) -> Vec<RecordBatch> {
    let entries =
        |path: &Path| path.read_dir().expect("a folder").map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>();
    let files = entries(table).into_iter().flat_map(|folder| entries(&folder));
    let read = |path| {
        ParquetRecordBatchReaderBuilder::try_new(File::open(path).expect("a file")).expect("Parquet").build().expect("rows")
    };
    files.flat_map(|path| read(path).map(|batch| batch.expect("whole"))).collect()
}

/// Rows as text, in an order of their own.
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

fn in_use() {
    let store = SmallStore::start();
    let to = tempfile::tempdir().expect("a temporary folder can be made");
    let output = run(export(to.path()).arg(store.central.data()), Duration::from_secs(30));
    assert_eq!(output.code, Some(1), "{}", output.out);
    assert!(output.err.contains("in use by a running `zonepulse serve`") && output.err.contains("--url"), "{}", output.err);
}
