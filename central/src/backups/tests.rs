//! Backups of a store in use.

use super::*;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use zonepulse_backup::age::Identity;
use zonepulse_backup::{Pick, find, restore};

struct World {
    dir: tempfile::TempDir,
    identity: Identity,
    store: Store,
}

fn open(path: &Path) -> Store {
    let options = zonepulse_store::Options { min_free_bytes: 0, ..Default::default() };
    Store::open(path, &options).unwrap()
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("backups")).unwrap();
    let store = open(&dir.path().join("data/store"));
    World { dir, identity: Identity::random().unwrap(), store }
}

impl World {
    fn options(&self) -> Options {
        Options {
            data: self.dir.path().join("data"),
            destination: self.dir.path().join("backups").to_str().unwrap().parse().unwrap(),
            access: Access::default(),
            recipients: vec![self.identity.recipient()],
            every_s: 0,
            retention: Retention { keep_last: 9, keep_daily: 0, keep_weekly: 0 },
            min_free_bytes: 0,
            verify_all: false,
        }
    }

    fn backups(&self) -> Backups {
        Backups::new(self.store.clone(), Some(self.options()))
    }
}

fn made(backups: &Backups) -> Status {
    backups.begin().unwrap();
    let began = Instant::now();
    loop {
        let status = backups.status();
        if status.running.is_none() {
            return status;
        }
        assert!(began.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_backup_of_a_store_in_use_is_restored_as_it_was() {
    let world = world();
    fs::write(world.dir.path().join("data").join(CREDENTIALS_FILE_NAME), "user").unwrap();
    world.store.registry().add_server("one", false, None, 0).unwrap();
    let backups = world.backups();
    let first = made(&backups).backups[0].manifest.clone();
    world.store.registry().add_server("two", false, None, 0).unwrap();
    let status = made(&backups);
    assert_eq!((status.backups.len(), status.failures), (2, 0));
    assert!(status.backups.iter().all(|backup| backup.fault.is_none()));
    assert!(!world.dir.path().join("data/store").join(CHECKPOINT).exists());
    let target = world.options().destination.open(&Access::default()).unwrap();
    for (id, names) in [(Pick::Id(first.id), vec!["one"]), (Pick::Latest, vec!["one", "two"])] {
        let into = tempfile::tempdir().unwrap();
        let backup = find(target.as_ref(), &id).unwrap();
        restore(target.as_ref(), &backup, std::slice::from_ref(&world.identity), into.path(), &Control::default()).unwrap();
        assert_eq!(fs::read_to_string(into.path().join(CREDENTIALS_FILE_NAME)).unwrap(), "user");
        let restored = open(&into.path().join("store"));
        let servers = restored.registry().servers().unwrap();
        assert_eq!(servers.iter().map(|server| server.name.as_str()).collect::<Vec<_>>(), names);
        assert_eq!(restored.check().unwrap().faults, [] as [String; 0]);
    }
}

const CREDENTIALS_FILE_NAME: &str = crate::accounts::CREDENTIALS_FILE;

#[test]
fn a_failure_is_told_and_the_next_one_succeeds() {
    let world = world();
    let backups = world.backups();
    let away = world.dir.path().join("away");
    fs::rename(world.dir.path().join("backups"), &away).unwrap();
    let status = made(&backups);
    assert_eq!((status.failures, status.failed.len()), (1, 1));
    assert!(status.failed[0].error.contains("the directory is not there"), "{}", status.failed[0].error);
    fs::rename(&away, world.dir.path().join("backups")).unwrap();
    assert_eq!(made(&backups).backups.len(), 1);
}

#[test]
fn a_store_whose_disk_fills_up_is_not_saved() {
    let world = world();
    drop(world.store);
    let options = zonepulse_store::Options { min_free_bytes: u64::MAX / 2, ..Default::default() };
    let store = Store::open(&world.dir.path().join("data/store"), &options).unwrap();
    let world = World { store, dir: world.dir, identity: world.identity };
    let status = made(&world.backups());
    assert!(status.failed[0].error.contains("the disk is full or nearly full"), "{}", status.failed[0].error);
}

#[test]
fn without_a_configuration_none_is_made() {
    let world = world();
    let backups = Backups::new(world.store.clone(), None);
    for error in [backups.begin().map(|_| ()).unwrap_err(), backups.look().map(|_| ()).unwrap_err()] {
        assert!(error.to_string().contains("set destination and recipients in [backup]"), "{error}");
    }
}

#[test]
fn after_the_end_none_is_begun() {
    let world = world();
    let backups = world.backups();
    backups.end();
    assert!(backups.begin().unwrap_err().to_string().contains("the central is ending"));
}

#[test]
fn what_an_earlier_process_left_is_removed() {
    let world = world();
    let left = world.dir.path().join("data/store").join(CHECKPOINT);
    world.store.checkpoint(&left).unwrap();
    let _backups = world.backups();
    assert!(!left.exists());
}
