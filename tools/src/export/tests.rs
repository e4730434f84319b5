//! A store is exported and read back.

use super::*;
use crate::clock::now_ms;
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::util::pretty::pretty_format_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use std::fs::{self, File};
use std::path::PathBuf;
use tempfile::TempDir;
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_model::{Identity, RecordId, ServerId};
use zonepulse_query::{Engine, Options};
use zonepulse_store::{Intake, IntakeRow, Retention, SeriesIntake, Server, Store, SystemIntake};

/// The numbers of a request and of a response with NOERROR.
const REQUEST: u16 = 0;
const RESPONSE: u16 = 1;

struct Scene {
    store: Store,
    source: Source,
    to: TempDir,
    /// The start of the hour in which it is now.
    now_ms: u64,
    seq: u64,
    _data: TempDir,
}

impl Scene {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let options =
            zonepulse_store::Options { retention: Retention::FOREVER, min_free_bytes: 0, ..zonepulse_store::Options::default() };
        let store = Store::open(data.path(), &options).unwrap();
        for name in ["alpha", "beta"] {
            store.registry().add_server(name, false, None, 0).unwrap();
        }
        let source = Source::Local(Box::new(Engine::new(store.clone(), Options::default()).unwrap()));
        let now_ms = now_ms() / HOUR_MS * HOUR_MS;
        Scene { store, source, to: tempfile::tempdir().unwrap(), now_ms, seq: 0, _data: data }
    }

    /// A batch of a minute so many hours ago, with a request and a response for each of so many records.
    fn commit(&mut self, server_id: u32, hours_ago: u64, minute: u64, records: u64) {
        self.commit_kinds(server_id, hours_ago, minute, records, &[REQUEST, RESPONSE]);
    }

    /// The same with these kinds of messages.
    fn commit_kinds(&mut self, server_id: u32, hours_ago: u64, minute: u64, records: u64, kinds: &[u16]) {
        let start_s = (self.now_ms - hours_ago * HOUR_MS) / 1000 + minute * 60;
        let mut write = self.store.begin();
        let names: Vec<String> = (0..records).map(|number| format!("n{number}.example.")).collect();
        let ids = write.record_ids(ServerId::new(server_id), names.iter().map(|name| (name.as_str(), RecordType::A)));
        let row = |(at, (id, kind)): (u64, (RecordId, u16))| {
            let at_ms = start_s * 1000 + at;
            let kind = MessageKind::from_number(kind).unwrap();
            IntakeRow { record_id: id, kind, hits: 1 + at, first_ms: at_ms, last_ms: at_ms }
        };
        let rows = ids.into_iter().flat_map(|id| kinds.iter().map(move |kind| (id, *kind)));
        let intake = Intake {
            identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq: self.seq },
            start_s,
            interval_s: 60,
            covered_from_ms: start_s * 1000,
            covered_until_ms: (start_s + 60) * 1000,
            counters: Vec::new(),
            loss: Default::default(),
            evicted: None,
            rows: (0..).zip(rows).map(row).collect(),
        };
        self.seq += 1;
        write.add(intake).unwrap();
        write.commit().unwrap();
    }

    /// Metrics of a minute so many hours ago, of two series.
    fn measure(&mut self, server_id: u32, hours_ago: u64, minute: u64) {
        let start_s = (self.now_ms - hours_ago * HOUR_MS) / 1000 + minute * 60;
        let mut write = self.store.begin();
        let ids = write.series_ids(ServerId::new(server_id), [("load_1m", ""), ("disk_free_bytes", "/var")].into_iter());
        let values = |id: u32| (0..12).map(|slot| (slot != 7).then(|| f64::from(100 * id + slot) / 4.0)).collect();
        let series = ids.into_iter().map(|id| SeriesIntake { series_id: id, values: values(id.unwrap().get()) });
        let identity = Identity { server_id: ServerId::new(server_id), epoch: 1, seq: self.seq };
        let intake = SystemIntake { identity, start_s, interval_s: 5, slots: 12, evicted: None, series: series.collect() };
        self.seq += 1;
        write.add_system(&intake).unwrap();
        write.commit().unwrap();
    }

    /// An export of the hours between these times.
    fn between(&self, from_ms: u64, until_ms: u64) -> Export<'_> {
        Export { source: &self.source, to: self.to.path(), from_ms, until_ms, now_ms: now_ms() }
    }

    async fn export(&self, table: &str) -> (Summary, String) {
        let mut told = Vec::new();
        let summary = self.between(0, u64::MAX).table(table, &mut told).await.unwrap();
        (summary, String::from_utf8(told).unwrap())
    }

    /// The rows of a statement, as lines in an order of their own.
    async fn asked(&self, statement: &str) -> Vec<String> {
        let rows = self.source.ask(statement).await.unwrap().batches;
        lines(&rows.map(Result::unwrap).collect::<Vec<_>>().await)
    }

    /// The rows of all files of a table, in the same order.
    fn exported(&self, table: &str) -> Vec<String> {
        let mut batches = Vec::new();
        for path in self.files(table) {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
            batches.extend(reader.map(Result::unwrap));
        }
        lines(&batches)
    }

    fn files(&self, table: &str) -> Vec<PathBuf> {
        let entries = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        let (folders, mut files): (Vec<_>, Vec<_>) =
            entries(&self.to.path().join(table)).into_iter().partition(|path| path.is_dir());
        files.extend(folders.iter().flat_map(|folder| entries(folder)));
        files.sort();
        files
    }
}

fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let text = pretty_format_batches(batches).unwrap().to_string();
    let widths_differ = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = text.lines().filter(|line| !line.starts_with('+')).map(widths_differ).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn what_was_exported_is_what_sql_answers() {
    let mut scene = Scene::new();
    for (server_id, hours_ago, minute) in [(1, 3, 0), (1, 3, 59), (1, 2, 30), (2, 2, 7), (2, 30, 7)] {
        scene.commit(server_id, hours_ago, minute, 40);
        scene.measure(server_id, hours_ago, minute);
    }
    for table in tables() {
        let (summary, told) = scene.export(table).await;
        let asked = scene.asked(&format!("SELECT * FROM {table}")).await;
        assert_eq!(scene.exported(table), asked, "{table}");
        assert_eq!(summary.rows + 1, asked.len() as u64, "{table}: a line has the columns");
        assert_eq!(told.lines().count() as u64, summary.written, "{told}");
        assert_eq!(summary.written, if WHOLE.contains(&table) { 1 } else { 4 }, "{table}");
    }
}

#[tokio::test]
async fn a_file_lies_where_engines_look_for_days_and_none_is_left_unfinished() {
    let mut scene = Scene::new();
    scene.commit(2, 1, 0, 1);
    scene.export("dns_raw").await;
    let begin = time(scene.now_ms - HOUR_MS).to_string();
    let path = format!("dns_raw/date={}/hour-{}-server-2.parquet", &begin[..10], &begin[11..13]);
    assert_eq!(scene.files("dns_raw"), [scene.to.path().join(path)]);
}

#[tokio::test]
async fn an_hour_is_exported_again_only_when_a_batch_came_late() {
    let mut scene = Scene::new();
    scene.commit(1, 2, 0, 3);
    scene.commit(1, 1, 0, 3);
    scene.commit(2, 1, 0, 3);
    assert_eq!(scene.export("dns_raw").await.0.written, 3);
    let (summary, _) = scene.export("dns_raw").await;
    assert_eq!(summary, Summary { unchanged: 3, ..Summary::default() });
    // More hits of the same points: the file has no more rows than before.
    scene.commit(1, 1, 0, 3);
    let (summary, told) = scene.export("dns_raw").await;
    assert_eq!((summary.written, summary.unchanged, summary.rows), (1, 2, 6));
    assert!(told.contains("server-1.parquet"), "{told}");
    assert_eq!(scene.exported("dns_raw"), scene.asked("SELECT * FROM dns_raw").await);
}

#[tokio::test]
async fn an_hour_of_metrics_is_exported_again_only_when_values_came_late() {
    let mut scene = Scene::new();
    scene.measure(1, 2, 0);
    scene.measure(2, 2, 0);
    for table in ["system_raw", "system_15m"] {
        assert_eq!(scene.export(table).await.0.written, 2, "{table}");
        assert_eq!(scene.export(table).await.0, Summary { unchanged: 2, ..Summary::default() }, "{table}");
    }
    scene.measure(1, 2, 1);
    for table in ["system_raw", "system_15m"] {
        let (summary, _) = scene.export(table).await;
        assert_eq!((summary.written, summary.unchanged), (1, 1), "{table}");
        assert_eq!(scene.exported(table), scene.asked(&format!("SELECT * FROM {table}")).await, "{table}");
    }
}

#[tokio::test]
async fn an_hour_that_is_not_over_is_left_out() {
    let mut scene = Scene::new();
    scene.commit(1, 0, 0, 3);
    assert_eq!(scene.export("dns_raw").await.0, Summary::default());
}

/// Why there was nothing of a table between these times.
async fn why_none(scene: &Scene, table: &str, from_ms: u64, until_ms: u64) -> String {
    scene.between(from_ms, until_ms).why_none(table).await.unwrap()
}

#[tokio::test]
async fn a_young_store_says_when_its_first_hour_ends() {
    let mut scene = Scene::new();
    scene.commit(1, 0, 0, 3);
    scene.measure(1, 0, 0);
    let ends = time(scene.now_ms + HOUR_MS);
    for table in ["dns_raw", "system_raw"] {
        let said = why_none(&scene, table, 0, u64::MAX).await;
        assert!(said.contains("has ended yet") && said.contains(&format!("the next ends at {ends}")), "{table}: {said}");
    }
}

#[tokio::test]
async fn an_empty_store_says_that_nothing_was_reported() {
    let scene = Scene::new();
    let said = why_none(&scene, "dns_raw", 0, u64::MAX).await;
    assert!(said.contains("nothing was reported"), "{said}");
}

#[tokio::test]
async fn a_time_without_a_whole_hour_or_without_reports_is_named_as_the_reason() {
    let mut scene = Scene::new();
    scene.commit(1, 1, 0, 3);
    let hour_ms = scene.now_ms - 5 * HOUR_MS;
    let said = why_none(&scene, "dns_raw", hour_ms + 1, hour_ms + HOUR_MS).await;
    assert_eq!(said, "no whole hour lies between --from and --until");
    let said = why_none(&scene, "dns_raw", hour_ms, hour_ms + HOUR_MS).await;
    assert_eq!(said, "nothing was reported in the hours between --from and --until");
}

#[tokio::test]
async fn an_hour_without_hits_has_a_file_without_rows() {
    let mut scene = Scene::new();
    scene.commit(1, 1, 0, 0);
    let (summary, _) = scene.export("dns_raw").await;
    assert_eq!((summary.written, summary.rows), (1, 0));
    assert_eq!(scene.exported("dns_raw").len(), 0);
    assert_eq!(scene.export("dns_raw").await.0.unchanged, 1);
}

#[tokio::test]
async fn what_has_expired_stays_in_the_files() {
    for table in ["dns_raw", "requests_raw"] {
        expired_stays(table).await;
    }
}

async fn expired_stays(table: &str) {
    let mut scene = Scene::new();
    for hours_ago in [50, 30, 1] {
        scene.commit(1, hours_ago, 0, 3);
        scene.commit(2, hours_ago, 0, 3);
    }
    let first = scene.between(scene.now_ms - 30 * HOUR_MS, u64::MAX);
    assert_eq!(first.table(table, &mut Vec::new()).await.unwrap().written, 4);
    let before = scene.exported(table);
    let keep = |server: &mut Server| {
        server.overrides.raw_retention_minutes = Some(24 * 60);
        Ok::<_, zonepulse_store::Error>(())
    };
    scene.store.registry().change_server(ServerId::new(1), "server.change", keep).unwrap();
    // It comes too late for raw points, and makes the hour look as if it had changed.
    scene.commit(1, 30, 1, 3);
    let (summary, told) = scene.export(table).await;
    assert_eq!((summary.written, summary.unchanged, summary.kept, summary.expired), (1, 3, 1, 1), "{told}");
    assert!(told.contains("is kept"), "{told}");
    let after = scene.exported(table);
    assert!(before.iter().all(|row| after.contains(row)), "{before:?} {after:?}");
}

#[tokio::test]
async fn a_file_of_requests_has_no_response() {
    let mut scene = Scene::new();
    for (server_id, minute) in [(1, 0), (1, 7), (2, 0)] {
        scene.commit(server_id, 2, minute, 20);
    }
    for (requests, all) in [
        ("requests_raw", "dns_raw"),
        ("requests_5m", "dns_5m"),
        ("requests_15m", "dns_15m"),
        ("requests_30m", "dns_30m"),
        ("requests_1h", "dns_1h"),
        ("requests_total", "records"),
    ] {
        scene.export(requests).await;
        let asked = scene.asked(&format!("SELECT * FROM {all} WHERE action = 'request'")).await;
        assert_eq!(scene.exported(requests), asked, "{requests}");
        assert!(asked.len() > 20, "{requests}");
    }
}

#[tokio::test]
async fn an_hour_of_requests_is_exported_again_only_when_a_batch_came_late() {
    let mut scene = Scene::new();
    scene.commit(1, 2, 0, 3);
    scene.commit(2, 2, 0, 3);
    assert_eq!(scene.export("requests_raw").await.0.written, 2);
    assert_eq!(scene.export("requests_raw").await.0, Summary { unchanged: 2, ..Summary::default() });
    scene.commit(1, 2, 0, 3);
    let (summary, told) = scene.export("requests_raw").await;
    assert_eq!((summary.written, summary.unchanged, summary.rows), (1, 1, 3), "{told}");
    assert!(!told.contains("expired"), "{told}");
}

#[tokio::test]
async fn an_hour_of_responses_has_a_file_of_no_requests() {
    let mut scene = Scene::new();
    scene.commit(1, 3, 0, 3);
    scene.commit_kinds(1, 2, 0, 3, &[RESPONSE]);
    let (summary, told) = scene.export("requests_raw").await;
    assert_eq!(summary, Summary { written: 2, rows: 3, ..Summary::default() }, "{told}");
}

#[tokio::test]
async fn a_file_that_no_export_has_written_is_not_replaced() {
    let mut scene = Scene::new();
    scene.commit(1, 1, 0, 3);
    scene.export("dns_raw").await;
    let path = scene.files("dns_raw").remove(0);
    fs::write(&path, "mine").unwrap();
    let refused = scene.between(0, u64::MAX).table("dns_raw", &mut Vec::new()).await.unwrap_err().to_string();
    assert!(refused.contains("server-1.parquet exists, and no export has written it"), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    assert_eq!(scene.files("dns_raw"), [path], "nothing is left beside it");
}

#[tokio::test]
async fn a_file_of_an_older_layout_is_written_again_while_all_of_its_points_are_there() {
    let mut scene = Scene::new();
    scene.commit(1, 1, 0, 3);
    scene.export("dns_raw").await;
    let [path] = &scene.files("dns_raw")[..] else { panic!("one hour is one file") };
    // As earlier versions left it: without a word about its layout.
    let hits = arrow::datatypes::Field::new("hits", DataType::UInt64, false);
    let schema = std::sync::Arc::new(arrow::datatypes::Schema::new(vec![hits]));
    let by_an_export = WriterProperties::builder().set_created_by("zonepulse 0.1.0".to_owned()).build();
    let mut writer = parquet::arrow::ArrowWriter::try_new(File::create(path).unwrap(), schema, Some(by_an_export)).unwrap();
    writer.append_key_value_metadata(parquet::file::metadata::KeyValue::new(MADE_OF.to_owned(), "1".to_owned()));
    writer.close().unwrap();
    assert_eq!(scene.export("dns_raw").await.0, Summary { written: 1, rows: 6, ..Summary::default() });
    assert_eq!(scene.exported("dns_raw"), scene.asked("SELECT * FROM dns_raw").await);
    assert_eq!(scene.export("dns_raw").await.0, Summary { unchanged: 1, ..Summary::default() });
}

#[tokio::test]
async fn no_measure_in_a_file_is_unsigned() {
    let mut scene = Scene::new();
    scene.commit(1, 1, 0, 3);
    scene.measure(1, 1, 0);
    for table in tables() {
        scene.export(table).await;
        let path = scene.files(table).remove(0);
        let schema = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().schema().clone();
        let unsigned = schema.fields().iter().filter(|field| field.data_type().is_unsigned_integer());
        let names: Vec<&str> = unsigned.map(|field| field.name().as_str()).collect();
        assert!(names.iter().all(|name| ["server_id", "record_id"].contains(name)), "{table}: {names:?}");
    }
}
