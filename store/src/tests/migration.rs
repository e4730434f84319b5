//! What is said of a store of an earlier format before it is opened.

use crate::database::format::{FORMAT, OLDEST_FORMAT};
use crate::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use zonepulse_model::{Identity, ServerId};

fn copy(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    dir
}

fn options() -> Options {
    let sizes = Options { block_cache_bytes: 1 << 20, write_buffer_bytes: 1 << 20, min_free_bytes: 0, ..Options::default() };
    Options { retention: Retention::FOREVER, ..sizes }
}

/// All files of a directory, those that RocksDB writes for people among them.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().into(), fs::read(&path).unwrap())).collect()
}

fn words(survey: &Survey) -> Vec<&'static str> {
    survey.steps.iter().map(|step| step.as_str()).collect()
}

#[test]
fn there_is_a_store_of_every_earlier_format_and_each_says_its_steps() {
    let steps = |format| match format {
        1 => vec!["sealing", "metrics", "ledger", "catalogue", "served"],
        2 => vec!["metrics", "ledger", "catalogue", "served"],
        3 => vec!["ledger", "catalogue", "served"],
        4 => vec!["served"],
        _ => panic!("say here what is done with format {format}"),
    };
    for format in OLDEST_FORMAT..FORMAT {
        let dir = copy(&format!("format-{format}"));
        let survey = Survey::of(dir.path()).unwrap();
        assert_eq!((survey.format, words(&survey)), (Some(format), steps(format)));
        assert_eq!((survey.written_by, survey.in_use, survey.is_writable, survey.refusal), (None, false, true, None));
        let Estimate { seconds, space_bytes } = survey.estimate.unwrap();
        assert!(seconds == 1 && (8 << 20..9 << 20).contains(&space_bytes), "{seconds} s, {space_bytes} bytes");
    }
}

#[test]
fn looking_at_a_store_changes_no_file() {
    for name in ["format-1", "format-2", "format-3", "later-format", "sound", "cut-log", "no-sst", "truncated-file", "no-current"]
    {
        let dir = copy(name);
        let before = files(dir.path());
        let _ = Survey::of(dir.path());
        assert!(files(dir.path()) == before, "{name}");
    }
}

#[test]
fn a_store_of_this_version_has_no_steps_and_says_who_wrote_it() {
    let dir = tempfile::tempdir().unwrap();
    Store::open(dir.path(), &options()).unwrap().close().unwrap();
    let survey = Survey::of(dir.path()).unwrap();
    assert_eq!((survey.format, words(&survey), survey.estimate), (Some(FORMAT), vec![], None));
    assert_eq!(survey.written_by.as_deref(), Some(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_store_that_is_brought_up_to_date_says_so_and_holds_what_was_estimated() {
    for format in OLDEST_FORMAT..FORMAT {
        let dir = copy(&format!("format-{format}"));
        Store::open(dir.path(), &options()).unwrap().close().unwrap();
        let survey = Survey::of(dir.path()).unwrap();
        assert_eq!((survey.format, words(&survey)), (Some(FORMAT), vec![]));
        assert_eq!(survey.written_by.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    }
}

/// It is opened with families that this version does not know, and what is in its log is not moved to sorted files.
#[test]
fn a_store_of_a_later_format_stays_as_it_is_and_its_version_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &options()).unwrap();
    let mut batch = rocksdb::WriteBatch::default();
    batch.put(b"format", (FORMAT + 1).to_be_bytes());
    batch.put(b"written_by", "0.2.0");
    store.inner.database.write(batch, true).unwrap();
    drop(store);
    let before = files(dir.path());
    let refused = Store::open(dir.path(), &options()).err().unwrap();
    assert!(matches!(&refused, Error::Format { found: 6, written_by: Some(version), .. } if version == "0.2.0"), "{refused}");
    assert!(files(dir.path()) == before);
    let survey = Survey::of(dir.path()).unwrap();
    assert_eq!((survey.format, words(&survey)), (Some(FORMAT + 1), vec![]));
    assert_eq!(survey.refusal, Some(refused.to_string()));
}

#[test]
fn the_version_is_recorded_once() {
    let dir = copy("format-3");
    Store::open(dir.path(), &options()).unwrap().close().unwrap();
    let store = Store::open(dir.path(), &options()).unwrap();
    let header = store.inner.database.header().unwrap();
    assert!(header.is_of_this_version(), "{header:?}");
}

#[test]
fn a_directory_without_a_database_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Survey::of(dir.path()), Err(Error::Unreadable { .. })));
    assert!(matches!(Survey::of(&dir.path().join("none")), Err(Error::Unreadable { .. })));
}

/// Prints how fast reports are read, for `REPORT_BYTES_PER_S`: `cargo test … -- --ignored --nocapture how_long`.
#[test]
#[ignore = "measures"]
fn how_long_it_takes_to_build_a_ledger() {
    const MINUTES: u64 = 30 * 1440;
    const SERVERS: u32 = 20;
    let dir = tempfile::tempdir().unwrap();
    let store =
        Store::open(dir.path(), &Options { min_free_bytes: 0, retention: Retention::FOREVER, ..Options::default() }).unwrap();
    for minute in 0..MINUTES {
        let mut write = store.begin();
        for server in 1..=SERVERS {
            let start_s = 1_767_225_600 + 60 * minute;
            let loss = match (minute + u64::from(server)) % 3 {
                0 => Loss { why: Unobserved::KernelDrop.into(), ..Loss::default() },
                _ => Loss::default(),
            };
            let intake = Intake {
                identity: Identity { server_id: ServerId::new(server), epoch: 1, seq: minute },
                start_s,
                interval_s: 60,
                covered_from_ms: start_s * 1000,
                covered_until_ms: (start_s + 60) * 1000,
                counters: (0..20).map(|number| (number, minute * 17 + u64::from(number))).collect(),
                loss,
                evicted: None,
                rows: Vec::new(),
            };
            write.add(intake).unwrap();
        }
        write.commit().unwrap();
    }
    store.close().unwrap();
    let database = &store.inner.database;
    database.compact(database::key::REPORTS, &[], &[u8::MAX; 32]);
    let bytes = database.family_bytes(database::key::REPORTS);
    let begin = Instant::now();
    ledger::building::build(database).unwrap();
    let took = begin.elapsed();
    database.flush().unwrap();
    let ledger_bytes = database.family_bytes(database::key::LEDGER);
    println!(
        "{} reports of {bytes} bytes in {took:?}: {:.0} bytes/s; the ledger takes {ledger_bytes} bytes",
        MINUTES * u64::from(SERVERS),
        bytes as f64 / took.as_secs_f64()
    );
    drop(store);
    for _ in 0..3 {
        let begin = Instant::now();
        database::format::Header::read(dir.path()).unwrap();
        println!("the header is read in {:?}", begin.elapsed());
    }
}
