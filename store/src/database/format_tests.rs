use super::*;
use rocksdb::WriteBatch;

fn said_by(database: &DB, batch: WriteBatch) -> Header {
    database.write(batch).unwrap();
    Header::of(database).unwrap()
}

#[test]
fn a_header_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let database = DB::open_default(dir.path()).unwrap();
    assert_eq!(Header::of(&database).unwrap(), Header { format: None, written_by: None });
    let mut batch = WriteBatch::default();
    Header::put(&mut batch);
    let header = said_by(&database, batch);
    assert_eq!(header, Header { format: Some(FORMAT), written_by: Some(VERSION.to_owned()) });
    assert!(header.is_of_this_version());
    drop(database);
    assert_eq!(Header::read(dir.path()).unwrap(), Some(header));
}

#[test]
fn a_version_that_cannot_be_printed_counts_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let database = DB::open_default(dir.path()).unwrap();
    for value in [&b""[..], b"0.2.0\n", b"\xff", b"\x1b[2J", &[b'9'; 65]] {
        let mut batch = WriteBatch::default();
        batch.put(WRITTEN_BY_KEY, value);
        assert_eq!(said_by(&database, batch).written_by, None, "{value:?}");
    }
}

#[test]
fn a_format_that_is_cut_short_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let database = DB::open_default(dir.path()).unwrap();
    database.put(FORMAT_KEY, [0, 4]).unwrap();
    assert!(matches!(Header::of(&database), Err(Error::Damaged { .. })));
}

#[test]
fn formats_that_are_read_pass_and_all_others_say_what_to_do() {
    let path = Path::new("/data/store");
    let check = |format, written_by: Option<&str>| Header { format, written_by: written_by.map(str::to_owned) }.check(path);
    for format in OLDEST_FORMAT..=FORMAT {
        assert!(check(Some(format), None).is_ok(), "{format}");
    }
    assert!(check(None, None).is_ok());
    let later = check(Some(FORMAT + 1), Some("0.9.1")).unwrap_err().to_string();
    assert!(later.contains("format 6, written by zonepulse 0.9.1") && later.contains("copy from before the upgrade"), "{later}");
    let earlier = check(Some(OLDEST_FORMAT - 1), None).unwrap_err().to_string();
    assert!(earlier.contains("format 0, written by a version that did not") && earlier.contains("earlier release"), "{earlier}");
}

#[test]
fn where_there_is_no_database_there_is_no_header() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Header::read(dir.path()).unwrap(), None);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
