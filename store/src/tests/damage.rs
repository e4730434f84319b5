//! Damaged stores, kept as files in `fixtures`.
//!
//! `sound` is a small store of format 2: two servers, three hours, two of them sealed. Each of the
//! others is the same after one mishap. Opening or checking must say what is wrong and where, must not
//! panic, and must leave the data of what it refuses as they are.
//!
//! `the_fixtures_are_made` (ignored) wrote them:
//! `cargo test … -- --ignored the_fixtures_are_made`.

use crate::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_model::{Identity, ServerId};

const T0_S: u64 = 490_000 * 3600;
const NOW_S: u64 = T0_S + 2 * 3600 + 1800;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn options() -> Options {
    let retention = Retention::FOREVER;
    Options { block_cache_bytes: 1 << 20, write_buffer_bytes: 1 << 20, retention, min_free_bytes: 0, ..Options::default() }
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What a store consists of, without what RocksDB writes for people and for itself.
fn files(dir: &Path) -> Files {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let counts = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name == "CURRENT" || name.starts_with("MANIFEST") || name.ends_with(".sst") || name.ends_with(".log")
    };
    entries.filter(counts).map(|path| (path.file_name().unwrap().into(), fs::read(&path).unwrap())).collect()
}

fn put(files: &Files, dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(dir.join(name), bytes).unwrap());
}

fn copy(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    put(&files(&fixture(name)), dir.path());
    dir
}

/// Why a store does not open; the files with its data must be as they were.
fn refused(name: &str) -> String {
    let dir = copy(name);
    let before = files(dir.path());
    let error = match Store::open(dir.path(), &options()) {
        Err(error) => error,
        Ok(_) => panic!("{name} opens"),
    };
    let after = files(dir.path());
    let data = before.keys().filter(|name| name.to_string_lossy().ends_with(".sst"));
    let changed: Vec<&PathBuf> = data.filter(|name| before.get(*name) != after.get(*name)).collect();
    assert!(changed.is_empty(), "{name}: {changed:?} changed");
    error.to_string()
}

/// What is wrong with a store that opens.
fn faults(name: &str) -> Vec<String> {
    let dir = copy(name);
    let store = Store::open(dir.path(), &options()).unwrap();
    store.check().unwrap().faults
}

#[test]
fn the_store_that_the_damaged_ones_were_is_sound() {
    let dir = copy("sound");
    let store = Store::open(dir.path(), &options()).unwrap();
    let check = store.check().unwrap();
    assert_eq!((check.blocks, check.sealed, check.points, check.faults), (6, 4, 60, Vec::new()));
}

#[test]
fn a_flipped_byte_is_told_of_with_its_file() {
    let faults = faults("flipped-byte");
    assert!(faults.iter().any(|fault| fault.contains("sealed: Corruption") && fault.contains(".sst")), "{faults:?}");
}

#[test]
fn a_value_that_cannot_be_is_told_of_with_its_place() {
    let faults = faults("broken-value");
    assert!(faults.iter().any(|fault| fault.contains("Raw of hour 490000, server 2, group 0: damaged")), "{faults:?}");
}

#[test]
fn a_value_that_is_needed_to_open_and_cannot_be_read_is_told_of_with_its_key() {
    let said = refused("broken-name");
    assert!(said.contains("is damaged, and its data were left as they are") && said.contains("under key 00000001"), "{said}");
}

#[test]
fn a_truncated_file_is_told_of_by_name() {
    let said = refused("truncated-file");
    assert!(said.contains("is damaged, and its data were left as they are") && said.contains(".sst"), "{said}");
}

#[test]
fn a_missing_file_is_told_of_by_name() {
    let said = refused("no-sst");
    assert!(said.contains("is damaged, and its data were left as they are") && said.contains(".sst"), "{said}");
}

#[test]
fn a_missing_manifest_is_told_of() {
    let said = refused("no-manifest");
    assert!(said.contains("is damaged, and its data were left as they are") && said.contains("MANIFEST-"), "{said}");
}

#[test]
fn without_current_what_is_there_is_not_taken_for_an_empty_directory() {
    let said = refused("no-current");
    assert!(said.contains("no file CURRENT") && said.contains("restore the directory"), "{said}");
}

#[test]
fn a_later_format_is_refused_by_its_number() {
    let said = refused("later-format");
    assert!(
        said.contains("format 99, written by a version that did not record itself")
            && said.contains(&format!("formats 1 to {FORMAT}")),
        "{said}"
    );
}

/// A log that ends in the middle of a write is what a crash leaves: what was acknowledged stands before it.
#[test]
fn a_log_that_ends_in_the_middle_of_a_write_is_sound() {
    let dir = copy("cut-log");
    let store = Store::open(dir.path(), &options()).unwrap();
    let check = store.check().unwrap();
    assert_eq!((check.blocks, check.faults), (5, Vec::new()));
}

fn commit(store: &Store, server_id: u32, seq: u64, start_s: u64) {
    let mut write = store.begin();
    let names: Vec<String> = (0..2).map(|number| format!("n{number}.example.")).collect();
    let ids = write.record_ids(ServerId::new(server_id), names.iter().map(|name| (name.as_str(), RecordType::A)));
    let row = |(record_id, hits)| {
        let at_ms = start_s * 1000 + 7;
        IntakeRow { record_id, kind: MessageKind::REQUEST, hits, first_ms: at_ms, last_ms: at_ms }
    };
    write
        .add(Intake {
            identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq },
            start_s,
            interval_s: 60,
            covered_from_ms: start_s * 1000,
            covered_until_ms: (start_s + 60) * 1000,
            counters: Vec::new(),
            loss: Default::default(),
            evicted: None,
            rows: ids.into_iter().zip([3, 4]).map(row).collect(),
        })
        .unwrap();
    write.commit().unwrap();
}

/// Opens a copy of the sound store, changes it below everything that keeps it consistent, and keeps the files.
fn spoil(sound: &Files, name: &str, change: impl FnOnce(&Inner, &mut rocksdb::WriteBatch)) {
    let dir = tempfile::tempdir().unwrap();
    put(sound, dir.path());
    let store = Store::open(dir.path(), &options()).unwrap();
    let mut batch = rocksdb::WriteBatch::default();
    change(&store.inner, &mut batch);
    store.inner.database.write(batch, true).unwrap();
    store.inner.database.flush().unwrap();
    drop(store);
    put(&files(dir.path()), &fixture(name));
}

#[test]
#[ignore = "writes the fixtures anew"]
fn the_fixtures_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &options()).unwrap();
    for (seq, minute) in (0..15u64).map(|n| n * 10).enumerate() {
        (1..=2).for_each(|server_id| commit(&store, server_id, seq as u64, T0_S + minute * 60));
    }
    for round in 0..2 {
        while store.upkeep(NOW_S + 60 * round).unwrap() != Step::Idle {}
    }
    store.close().unwrap();
    drop(store);
    let sound = files(dir.path());
    put(&sound, &fixture("sound"));

    let largest = sound.iter().filter(|(name, _)| name.ends_with("sst") || name.to_string_lossy().ends_with(".sst"));
    let sealed = largest.max_by_key(|(_, bytes)| bytes.len()).unwrap().0.clone();
    let manifest = sound.keys().find(|name| name.to_string_lossy().starts_with("MANIFEST")).unwrap().clone();
    let changed = |name: &str, change: &dyn Fn(&mut Files)| {
        let mut files = sound.clone();
        change(&mut files);
        put(&files, &fixture(name));
    };
    changed("flipped-byte", &|files| files.get_mut(&sealed).unwrap()[20] ^= 0x55);
    changed("truncated-file", &|files| {
        let bytes = files.get_mut(&sealed).unwrap();
        bytes.truncate(bytes.len() / 2);
    });
    changed("no-sst", &|files| drop(files.remove(&sealed)));
    changed("no-manifest", &|files| drop(files.remove(&manifest)));
    changed("no-current", &|files| drop(files.remove(Path::new("CURRENT"))));
    spoil(&sound, "later-format", |_, batch| batch.put(b"format", 99u32.to_be_bytes()));
    spoil(&sound, "broken-value", |inner, batch| {
        let hour = (T0_S / 3600) as u32;
        batch.put_cf(inner.database.family(key::SEALED), key::sealed(Level::Raw, hour, ServerId::new(2), 0), [9, 9]);
    });
    spoil(&sound, "broken-name", |inner, batch| {
        batch.put_cf(inner.database.family(key::NAMES), 1u32.to_be_bytes(), [9]);
    });

    // Not closed: what was written last is in the log only, which is then cut.
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &options()).unwrap();
    (0..6).for_each(|seq| commit(&store, 1, seq, T0_S + seq * 60));
    let mut unclosed = files(dir.path());
    drop(store);
    let log = unclosed.iter_mut().filter(|(name, bytes)| name.to_string_lossy().ends_with(".log") && !bytes.is_empty());
    let (_, bytes) = log.last().unwrap();
    bytes.truncate(bytes.len() - 20);
    put(&unclosed, &fixture("cut-log"));
}
