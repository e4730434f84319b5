//! The engine against a small store whose content is known.

mod bounds;
mod days;
mod now;
mod numbers;
mod observed;
mod paging;
mod property;
mod raw;
mod rps;
mod series;
mod sql;
mod statements;
mod system;
mod totals;

use crate::{Answer, Clock, Engine, Error, Filter, Options, Page, SortKey, TimeRange};
use zonepulse_dns::{MessageKind, RecordType, ResponseCode};
use zonepulse_model::{Identity, ServerId};
use zonepulse_store::{Intake, IntakeRow, Outcome, Store};

/// 2026-01-01T00:00:00Z, seconds.
pub(super) const T0_S: u64 = 1_767_225_600;
pub(super) const T0_MS: u64 = T0_S * 1000;

/// One point: name, type, kind, hits, and when in the interval the last one came, milliseconds.
pub(super) type Point<'a> = (&'a str, &'a str, &'a str, u64, u64);

pub(super) struct Content {
    pub(super) store: Store,
    pub(super) engine: Engine,
    seq: u64,
    _dir: tempfile::TempDir,
}

impl Content {
    /// A store with these servers, numbered from 1.
    pub(super) fn new(servers: &[&str]) -> Self {
        Self::with(servers, options())
    }

    pub(super) fn with(servers: &[&str], options: Options) -> Self {
        Self::with_clock(servers, options, Clock::system())
    }

    pub(super) fn with_clock(servers: &[&str], options: Options, clock: Clock) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let small = zonepulse_store::Options {
            block_cache_bytes: 1 << 20,
            write_buffer_bytes: 1 << 20,
            retention: zonepulse_store::Retention::FOREVER,
            raw_last_access: zonepulse_store::Precision::Milliseconds,
            ..zonepulse_store::Options::default()
        };
        let store = Store::open(dir.path(), &small).unwrap();
        for name in servers {
            store.registry().add_server(name, *name == "sample", None, T0_MS).unwrap();
        }
        let engine = Engine::with_clock(store.clone(), options, clock).unwrap();
        Content { store, engine, seq: 0, _dir: dir }
    }

    /// One batch of an interval that starts so many seconds after [`T0_S`].
    pub(super) fn batch(&mut self, server_id: u32, after_s: u64, interval_s: u32, points: &[Point<'_>]) {
        self.intake(server_id, after_s, interval_s, points, |_| {});
    }

    /// From now on, raw points of a server that are older than an hour are answered no more.
    pub(super) fn expire_raw_points(&self, server_id: u32) {
        let mut server = self.store.registry().server(ServerId::new(server_id)).unwrap().unwrap();
        server.overrides.raw_retention_minutes = Some(60);
        self.store.registry().put_server(&server).unwrap();
    }

    pub(super) fn intake(
        &mut self,
        server_id: u32,
        after_s: u64,
        interval_s: u32,
        points: &[Point<'_>],
        change: impl FnOnce(&mut Intake),
    ) {
        let mut write = self.store.begin();
        let names = points.iter().map(|(name, record_type, ..)| (*name, record_type.parse::<RecordType>().unwrap()));
        let ids = write.record_ids(ServerId::new(server_id), names);
        let start_ms = T0_MS + after_s * 1000;
        let rows = ids.iter().zip(points).map(|(record_id, (_, _, kind, hits, last_ms))| IntakeRow {
            record_id: *record_id,
            kind: kind_of(kind),
            hits: *hits,
            first_ms: start_ms,
            last_ms: start_ms + last_ms,
        });
        let mut intake = Intake {
            identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq: self.seq },
            start_s: T0_S + after_s,
            interval_s,
            covered_from_ms: start_ms,
            covered_until_ms: start_ms + u64::from(interval_s) * 1000,
            counters: vec![(2, 100)],
            loss: Default::default(),
            evicted: None,
            rows: rows.collect(),
        };
        self.seq += 1;
        change(&mut intake);
        assert_eq!(write.add(intake).unwrap(), Outcome::Committed);
        write.commit().unwrap();
    }
}

pub(super) fn options() -> Options {
    Options {
        threads: 2,
        counter_names: vec![
            (2, "messages_seen"),
            (10, "opcode_notify"),
            (22, "bad_name"),
            (40, "kernel_dropped"),
            (65, "overlap_ms"),
            (66, "blind_ms"),
        ],
        not_counted: vec![10, 22],
        ..Options::default()
    }
}

pub(super) fn kind_of(text: &str) -> MessageKind {
    match text {
        "request" => MessageKind::REQUEST,
        code => MessageKind::response(code.parse::<ResponseCode>().unwrap()),
    }
}

/// Two servers, three intervals, four records; the first interval of the first server came in two batches.
pub(super) fn small() -> Content {
    let mut content = Content::new(&["alpha", "beta"]);
    content.batch(1, 0, 60, &[("www.example.com.", "A", "request", 3, 1000), ("www.example.com.", "A", "NOERROR", 3, 1001)]);
    content.batch(1, 0, 60, &[("www.example.com.", "A", "request", 2, 59_999), ("mail.example.com.", "MX", "request", 7, 5)]);
    content.batch(
        1,
        60,
        60,
        &[
            ("www.example.com.", "AAAA", "request", 1, 0),
            ("www.example.com.", "AAAA", "NXDOMAIN", 1, 2),
            ("www.example.com.", "A", "request", 10, 100),
        ],
    );
    content.batch(2, 0, 60, &[("www.example.com.", "A", "request", 20, 30_000)]);
    content.batch(2, 3600, 60, &[("example.net.", "SOA", "request", 4, 7), ("example.net.", "SOA", "REFUSED", 4, 8)]);
    content
}

/// Everything that [`small`] has.
pub(super) fn whole() -> TimeRange {
    TimeRange { from_ms: Some(T0_MS), until_ms: Some(T0_MS + 7_200_000) }
}

pub(super) fn after(from_s: u64, until_s: u64) -> TimeRange {
    TimeRange { from_ms: Some(T0_MS + from_s * 1000), until_ms: Some(T0_MS + until_s * 1000) }
}

pub(super) fn page() -> Page {
    Page::first(1000)
}

pub(super) fn sorted(keys: &[&str]) -> Page {
    let sort = keys.iter().map(|key| SortKey { column: key.trim_start_matches('-').into(), descending: key.starts_with('-') });
    Page { sort: sort.collect(), ..page() }
}

pub(super) fn hosts(patterns: &[&str]) -> Filter {
    Filter { hosts: patterns.iter().map(|pattern| pattern.parse().unwrap()).collect(), ..Filter::default() }
}

pub(super) fn table(answer: &Answer) -> String {
    for batch in &answer.batches {
        assert_eq!(batch.schema(), answer.schema);
    }
    arrow::util::pretty::pretty_format_batches_with_schema(answer.schema.clone(), &answer.batches).unwrap().to_string() + "\n"
}

/// Some columns of an answer as text, a line per row.
pub(super) fn lines(answer: &Answer, columns: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in &answer.batches {
        let texts: Vec<_> = columns
            .iter()
            .map(|column| arrow::compute::cast(batch.column_by_name(column).unwrap(), &arrow::datatypes::DataType::Utf8).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let values = texts.iter().map(|array| {
                let array = arrow::array::AsArray::as_string::<i32>(array);
                if arrow::array::Array::is_null(array, row) { "-" } else { array.value(row) }
            });
            lines.push(values.collect::<Vec<_>>().join(" "));
        }
    }
    lines
}

/// The rows of a statement of SQL.
pub(super) async fn all(content: &Content, statement: &str) -> Vec<arrow::record_batch::RecordBatch> {
    futures::TryStreamExt::try_collect(content.engine.sql(statement).await.unwrap().batches).await.unwrap()
}

/// The rows of a statement of SQL as text, a line per row.
pub(super) async fn sql_lines(content: &Content, statement: &str, separator: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in &all(content, statement).await {
        let format = arrow::util::display::FormatOptions::default();
        for row in 0..batch.num_rows() {
            let values = batch
                .columns()
                .iter()
                .map(|column| arrow::util::display::ArrayFormatter::try_new(column, &format).unwrap().value(row).to_string());
            lines.push(values.collect::<Vec<_>>().join(separator));
        }
    }
    lines
}

pub(super) fn argument(result: Result<Answer, Error>) -> &'static str {
    match result {
        Err(Error::BadArgument { argument, .. }) => argument,
        other => panic!("{other:?}"),
    }
}
