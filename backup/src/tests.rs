//! Backups of small files, at destinations that fail at every moment.

use super::*;
use crate::age::{Identity, Recipient};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use tempfile::TempDir;

/// Files to save, a destination, and a key.
struct World {
    files: TempDir,
    destination: TempDir,
    identity: Identity,
    store: StoreIdentity,
    retention: Retention,
    free_bytes: Option<u64>,
}

/// A destination that ends after a number of changes, as if the process or the machine had ended.
struct Ending {
    inner: Directory,
    left: AtomicI64,
    free_bytes: Option<u64>,
}

impl Ending {
    fn change(&self) -> Result<(), Error> {
        match self.left.fetch_sub(1, Ordering::Relaxed) {
            ..=0 => Err(Error::destination("here", "it ends")),
            _ => Ok(()),
        }
    }
}

impl Target for Ending {
    fn place(&self) -> String {
        self.inner.place()
    }

    fn list(&self, folder: &str) -> Result<BTreeMap<String, u64>, Error> {
        self.inner.list(folder)
    }

    fn put(&self, name: &str, content: &mut dyn Read) -> Result<(), Error> {
        if self.change().is_err() {
            // It leaves half of a file.
            let path = format!("{}/{name}.unfinished", self.inner.place());
            fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
            let mut half = vec![0; 100];
            let read = content.read(&mut half).unwrap();
            fs::write(path, &half[..read]).unwrap();
            return Err(Error::destination("here", "it ends"));
        }
        self.inner.put(name, content)?;
        // The process may end after the write as well.
        self.change()
    }

    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>, Error> {
        self.inner.get(name)
    }

    fn remove(&self, names: &[String]) -> Result<(), Error> {
        for name in names {
            self.change()?;
            self.inner.remove(std::slice::from_ref(name))?;
        }
        Ok(())
    }

    fn remove_unfinished(&self) -> Result<(), Error> {
        self.change()?;
        self.inner.remove_unfinished()
    }

    fn free_bytes(&self) -> Result<Option<u64>, Error> {
        Ok(self.free_bytes)
    }
}

impl World {
    fn new() -> World {
        let [files, destination] = [(); 2].map(|()| TempDir::new().unwrap());
        let store = StoreIdentity { id: "store-1".to_owned(), secret: [7; 32] };
        let retention = Retention { keep_last: 100, keep_daily: 0, keep_weekly: 0 };
        World { files, destination, identity: Identity::random().unwrap(), store, retention, free_bytes: None }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.files.path().join(name), text).unwrap();
    }

    fn sources(&self) -> Vec<Source> {
        let mut sources: Vec<Source> = fs::read_dir(self.files.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|file| {
                let name = file.file_name().unwrap().to_str().unwrap();
                Source { path: format!("store/{name}"), is_immutable: name.ends_with(".sst"), file: file.clone() }
            })
            .filter(|source| !source.path.ends_with("index.json"))
            .collect();
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        sources
    }

    fn target(&self, changes: i64) -> Ending {
        let inner = Directory::new(self.destination.path().to_owned());
        Ending { inner, left: changes.into(), free_bytes: self.free_bytes }
    }

    fn index(&self) -> PathBuf {
        self.files.path().join("index.json")
    }

    fn job<'a>(&'a self, id: &str, time_ms: u64, recipients: &'a [Recipient], index: &'a Path) -> Job<'a> {
        Job {
            id: id.to_owned(),
            time_ms,
            store: &self.store,
            store_format: 4,
            program_version: "0.1.0",
            recipients,
            min_free_bytes: 0,
            retention: self.retention,
            verify_all: false,
            index,
        }
    }

    fn attempt(&self, time: u64, recipients: &[Recipient], changes: i64) -> Result<Made, Error> {
        let index = self.index();
        let job = self.job(&format!("backup-{time:04}"), time * 86_400_000, recipients, &index);
        let job = Job { min_free_bytes: 1000, ..job };
        job.run(&self.target(changes), &self.sources(), &Control::default())
    }

    fn back_up(&self, time: u64) -> Made {
        self.attempt(time, &[self.identity.recipient()], i64::MAX).unwrap()
    }

    fn restored(&self, pick: &Pick) -> Result<BTreeMap<String, String>, Error> {
        self.restored_with(pick, &self.identity)
    }

    fn restored_with(&self, pick: &Pick, identity: &Identity) -> Result<BTreeMap<String, String>, Error> {
        let (into, target) = (TempDir::new().unwrap(), self.target(i64::MAX));
        let backup = find(&target, pick)?;
        let contents = restore(&target, &backup, std::slice::from_ref(identity), into.path(), &Control::default())?;
        let text = |file: &File| (file.path.clone(), fs::read_to_string(into.path().join(&file.path)).unwrap());
        Ok(contents.files.iter().map(text).collect())
    }

    fn objects(&self) -> Vec<PathBuf> {
        let mut objects: Vec<PathBuf> =
            fs::read_dir(self.destination.path().join("objects")).unwrap().map(|entry| entry.unwrap().path()).collect();
        objects.sort();
        objects
    }
}

fn files(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(name, text)| (format!("store/{name}"), (*text).to_owned())).collect()
}

#[test]
fn what_is_restored_is_what_was_saved() {
    let world = World::new();
    world.write("1.sst", "one");
    world.write("CURRENT", "");
    let made = world.back_up(1);
    assert_eq!((made.manifest.kind(), made.manifest.objects.len()), (Kind::Full, 2));
    assert_eq!(world.restored(&Pick::Latest).unwrap(), files(&[("1.sst", "one"), ("CURRENT", "")]));
}

#[test]
fn only_what_is_new_is_uploaded() {
    let world = World::new();
    world.write("1.sst", "one");
    world.back_up(1);
    let before = world.objects();
    world.write("2.sst", "two");
    let second = world.back_up(2).manifest;
    assert_eq!(second.kind(), Kind::Incremental);
    let new: Vec<u64> =
        world.objects().iter().filter(|path| !before.contains(path)).map(|path| path.metadata().unwrap().len()).collect();
    assert_eq!(new, [second.new_bytes]);
    assert_eq!(world.back_up(3).manifest.new_bytes, 0);
    // Without the index everything is read, and nothing uploaded.
    fs::remove_file(world.index()).unwrap();
    assert_eq!(world.back_up(4).manifest.new_bytes, 0);
    let all = files(&[("1.sst", "one"), ("2.sst", "two")]);
    for (id, expected) in [("backup-0001", files(&[("1.sst", "one")])), ("backup-0002", all.clone()), ("backup-0004", all)] {
        assert_eq!(world.restored(&Pick::Id(id.to_owned())).unwrap(), expected, "{id}");
    }
}

#[test]
fn another_recipient_gets_objects_of_its_own() {
    let world = World::new();
    world.write("1.sst", "one");
    world.back_up(1);
    let other = Identity::random().unwrap();
    let made = world.attempt(2, &[other.recipient()], i64::MAX).unwrap();
    assert_eq!(made.manifest.kind(), Kind::Full);
    assert_eq!(world.restored_with(&Pick::Latest, &other).unwrap(), files(&[("1.sst", "one")]));
    let said = world.restored(&Pick::Latest).unwrap_err().to_string();
    assert!(said.contains("was encrypted for another key") && said.contains(&other.recipient().to_string()), "{said}");
}

#[test]
fn the_backup_of_a_time_is_the_newest_until_then() {
    let world = World::new();
    for time in [2, 4, 6] {
        world.write("1.sst", &format!("{time}"));
        world.back_up(time);
    }
    for (time, expected) in [(2, "2"), (3, "2"), (5, "4"), (9, "6")] {
        assert_eq!(world.restored(&Pick::At(time * 86_400_000)).unwrap(), files(&[("1.sst", expected)]));
    }
    let said = world.restored(&Pick::At(86_400_000)).unwrap_err().to_string();
    assert!(said.contains("there are 3, from backup-0002 to backup-0006"), "{said}");
}

#[test]
fn a_flipped_byte_is_noticed_and_its_object_named() {
    let world = World::new();
    world.write("1.sst", "one");
    world.write("2.sst", "two");
    let made = world.back_up(1);
    for path in world.objects() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let good = fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 4;
            fs::write(&path, bad).unwrap();
            let said = world.restored(&Pick::Latest).unwrap_err().to_string();
            assert!(
                said.contains(&format!("object {name} of backup backup-0001 is damaged")) || said.contains("another key"),
                "{said}"
            );
            let faults = verify_objects(&world.target(0), &made.manifest, &Control::default()).unwrap();
            assert!(faults.len() == 1 && faults[0].to_string().contains(name), "{faults:?}");
        }
        fs::write(&path, good).unwrap();
    }
    let manifest = world.destination.path().join("backups/backup-0001");
    let good = fs::read(&manifest).unwrap();
    for at in (0..good.len()).step_by(3) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&manifest, bad).unwrap();
        let restored = world.restored(&Pick::Id("backup-0001".to_owned()));
        assert!(restored.is_err() || restored.unwrap() == files(&[("1.sst", "one"), ("2.sst", "two")]), "{at}");
    }
}

#[test]
fn a_missing_object_is_named_and_uploaded_again_by_the_next_backup() {
    let world = World::new();
    world.write("1.sst", "one");
    world.back_up(1);
    let object = world.objects().remove(0);
    fs::remove_file(&object).unwrap();
    let said = world.restored(&Pick::Latest).unwrap_err().to_string();
    assert_eq!(said, format!("object {} of backup backup-0001 is missing", object.file_name().unwrap().to_str().unwrap()));
    let shelf = Shelf::read(&world.target(0)).unwrap();
    assert_eq!(shelf.faults(&shelf.backups[0])[0].to_string(), said);
    world.back_up(2);
    assert_eq!(world.restored(&Pick::Latest).unwrap(), files(&[("1.sst", "one")]));
}

#[test]
fn a_damaged_object_is_not_used_again_once_it_is_found() {
    let world = World::new();
    world.write("1.sst", "one");
    world.back_up(1);
    let object = world.objects().remove(0);
    let mut bytes = fs::read(&object).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&object, bytes).unwrap();
    let (index, recipients) = (world.index(), [world.identity.recipient()]);
    let job = |time: u64| Job { verify_all: true, ..world.job(&format!("backup-{time:04}"), time, &recipients, &index) };
    let run = |time| job(time).run(&world.target(i64::MAX), &world.sources(), &Control::default());
    let said = run(2).unwrap_err().to_string();
    assert!(said.contains("is damaged: its SHA-256 is"), "{said}");
    let made = run(3).unwrap();
    assert_eq!(made.manifest.kind(), Kind::Full);
    assert_eq!(world.restored(&Pick::Id("backup-0003".to_owned())).unwrap(), files(&[("1.sst", "one")]));
}

#[test]
fn objects_that_no_backup_needs_are_removed_with_the_last_that_did() {
    let mut world = World::new();
    world.retention.keep_last = 2;
    world.write("common.sst", "common");
    for time in 1..=4 {
        world.write("own", &format!("own {time}"));
        let made = world.back_up(time);
        let expected: Vec<String> = (time > 2).then(|| format!("backup-{:04}", time - 2)).into_iter().collect();
        assert_eq!(made.removed, expected);
    }
    assert_eq!(world.objects().len(), 3);
    for time in [3, 4] {
        let expected = files(&[("common.sst", "common"), ("own", &format!("own {time}"))]);
        assert_eq!(world.restored(&Pick::Id(format!("backup-{time:04}"))).unwrap(), expected);
    }
}

#[test]
fn nothing_is_removed_while_a_manifest_cannot_be_read() {
    let mut world = World::new();
    world.write("1", "one");
    world.back_up(1);
    let manifest = world.destination.path().join("backups/backup-0001");
    let good = fs::read(&manifest).unwrap();
    fs::write(&manifest, &good[..20]).unwrap();
    world.retention.keep_last = 1;
    world.write("1", "two");
    let made = world.back_up(2);
    assert_eq!(made.shelf.unreadable.len(), 1);
    fs::write(&manifest, good).unwrap();
    assert_eq!(world.restored(&Pick::Id("backup-0001".to_owned())).unwrap(), files(&[("1", "one")]));
}

#[test]
fn the_destination_of_another_store_is_refused() {
    let mut world = World::new();
    world.write("1.sst", "one");
    world.back_up(1);
    world.store.id = "store-2".to_owned();
    let said = world.attempt(2, &[world.identity.recipient()], i64::MAX).unwrap_err().to_string();
    assert!(said.contains("backups of another store (store-1, and this one is store-2)"), "{said}");
}

#[test]
fn a_destination_without_room_is_refused_before_anything_is_uploaded() {
    let mut world = World::new();
    world.write("1.sst", "one");
    world.back_up(1);
    let before = world.objects();
    world.write("2.sst", &"two".repeat(1000));
    world.free_bytes = Some(3500);
    let error = world.attempt(2, &[world.identity.recipient()], i64::MAX).unwrap_err();
    assert!(matches!(error, Error::Full { free_bytes: 3500, needed_bytes: 4200.., .. }), "{error}");
    assert_eq!(world.objects(), before);
    world.free_bytes = Some(5000);
    world.attempt(3, &[world.identity.recipient()], i64::MAX).unwrap();
}

#[test]
fn a_directory_that_is_not_there_is_not_made() {
    let world = World::new();
    fs::remove_dir(world.destination.path()).unwrap();
    let said = world.attempt(1, &[world.identity.recipient()], i64::MAX).unwrap_err().to_string();
    assert!(said.contains("No such file"), "{said}");
    assert!(!world.destination.path().exists());
}

#[test]
fn a_file_that_is_gone_is_named() {
    let world = World::new();
    let (index, recipients) = (world.index(), [world.identity.recipient()]);
    let job = world.job("a", 1, &recipients, &index);
    let gone = Source { path: "store/1.sst".to_owned(), file: "/nowhere/1.sst".into(), is_immutable: true };
    let error = job.run(&world.target(i64::MAX), &[gone], &Control::default()).unwrap_err();
    assert!(
        matches!(&error, Error::File { path, source } if path.ends_with("1.sst") && source.kind() == io::ErrorKind::NotFound)
    );
}

#[test]
fn what_is_stopped_leaves_earlier_backups_and_says_why() {
    let world = World::new();
    world.write("1.sst", "one");
    world.back_up(1);
    world.write("2.sst", &"two".repeat(100_000));
    let (index, recipients, reads) = (world.index(), [world.identity.recipient()], AtomicI64::new(6));
    let job = world.job("backup-0002", 2, &recipients, &index);
    let control = Control::new(move || (reads.fetch_sub(1, Ordering::Relaxed) <= 0).then(|| "the disk fills up".to_owned()));
    let said = job.run(&world.target(i64::MAX), &world.sources(), &control).unwrap_err().to_string();
    assert_eq!(said, "the disk fills up");
    assert_eq!(world.restored(&Pick::Latest).unwrap(), files(&[("1.sst", "one")]));
    assert_eq!(world.objects().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whenever the process ends, every backup that exists can be restored, the next run succeeds, and in the end there is
    /// nothing that no backup needs.
    #[test]
    fn whenever_it_ends_every_backup_that_exists_is_complete(ends in prop::collection::vec(0..14i64, 1..8), keep_last in 1..4u32) {
        let mut world = World::new();
        world.retention.keep_last = keep_last;
        let mut saved = BTreeMap::new();
        for (time, end) in (1..).zip(ends) {
            world.write("log", &format!("log {time}"));
            world.write(&format!("{}.sst", time / 2), &format!("sorted {}", time / 2));
            let expected: BTreeMap<String, String> = world.sources().into_iter().map(|source| (source.path, fs::read_to_string(source.file).unwrap())).collect();
            saved.insert(format!("backup-{time:04}"), expected);
            let made = world.attempt(time, &[world.identity.recipient()], end);
            let shelf = Shelf::read(&world.target(0)).unwrap();
            prop_assert!(shelf.unreadable.is_empty());
            if let Ok(made) = made {
                prop_assert!(shelf.backups.contains(&made.manifest));
            }
            for backup in &shelf.backups {
                prop_assert_eq!(&world.restored(&Pick::Id(backup.id.clone())).unwrap(), &saved[&backup.id]);
            }
        }
        let last = world.back_up(99);
        prop_assert!(last.shelf.backups.len() <= keep_last as usize);
        let needed: std::collections::BTreeSet<&str> = last.shelf.backups.iter().flat_map(|b| &b.objects).map(|o| o.name.as_str()).collect();
        let objects = world.objects();
        let there: std::collections::BTreeSet<&str> = objects.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        prop_assert_eq!(there, needed);
    }
}
