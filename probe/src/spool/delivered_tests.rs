use super::*;
use crate::spool::testing::empty_batch;
use crate::spool::{MIN_BYTES, Settings};
use std::path::Path;
use tempfile::TempDir;
use zonepulse_model::{Identity, ServerId};

fn open(dir: &Path, max_delivered_bytes: u64) -> Spool {
    let settings =
        Settings { dir: dir.into(), max_bytes: MIN_BYTES, min_free_bytes: 0, max_refused_bytes: 0, max_delivered_bytes };
    Spool::open(settings).unwrap()
}

/// Puts batches into the spool and delivers them; returns their numbers.
fn deliver(spool: &Spool, seqs: std::ops::Range<u64>) -> Vec<u64> {
    for seq in seqs {
        spool.put(&empty_batch(Identity { server_id: ServerId::new(1), epoch: 1, seq }).into()).unwrap();
    }
    drain(spool)
}

fn drain(spool: &Spool) -> Vec<u64> {
    let mut seqs = Vec::new();
    while let Some(entry) = spool.claim() {
        assert!(spool.read(entry.key).unwrap().is_some());
        spool.remove(entry.key).unwrap();
        seqs.push(entry.key.seq);
    }
    seqs
}

fn request(restored_at_ms: u64) -> Resend {
    Resend { restored_at_ms, delivered_since_ms: since_epoch_ms(SystemTime::now()) }
}

fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

#[test]
fn a_request_is_followed_once_even_if_a_restart_comes_between() {
    let dir = TempDir::new().unwrap();
    let spool = open(dir.path(), 1 << 20);
    assert_eq!(deliver(&spool, 0..3), [0, 1, 2]);
    pause();
    assert_eq!(spool.resend(&request(7)).unwrap(), 3);
    assert_eq!((spool.resend(&request(7)).unwrap(), drain(&spool)), (0, vec![0, 1, 2]));
    drop(spool);
    let spool = open(dir.path(), 1 << 20);
    assert_eq!(spool.resend(&request(7)).unwrap(), 0);
    pause();
    assert_eq!((spool.resend(&request(8)).unwrap(), drain(&spool)), (3, vec![0, 1, 2]));
}

#[test]
fn what_was_delivered_long_before_is_not_sent_again() {
    let dir = TempDir::new().unwrap();
    let spool = open(dir.path(), 1 << 20);
    deliver(&spool, 0..2);
    let mut names: Vec<_> = fs::read_dir(dir.path().join(DELIVERED)).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    fs::File::open(&names[0]).unwrap().set_modified(SystemTime::now() - 2 * CLOCKS_DIFFER).unwrap();
    pause();
    assert_eq!((spool.resend(&request(7)).unwrap(), drain(&spool)), (1, vec![1]));
}

#[test]
fn the_oldest_go_when_there_are_too_many() {
    let dir = TempDir::new().unwrap();
    let spool = open(dir.path(), 3 * disk::occupied(1));
    deliver(&spool, 0..5);
    assert_eq!(fs::read_dir(dir.path().join(DELIVERED)).unwrap().count(), 3);
    drop(spool);
    let spool = open(dir.path(), 3 * disk::occupied(1));
    deliver(&spool, 5..6);
    pause();
    assert_eq!((spool.resend(&request(7)).unwrap(), drain(&spool)), (3, vec![3, 4, 5]));
}

#[test]
fn none_is_kept_if_none_is_to_be_kept() {
    let dir = TempDir::new().unwrap();
    let spool = open(dir.path(), 0);
    deliver(&spool, 0..2);
    assert_eq!(fs::read_dir(dir.path().join(DELIVERED)).unwrap().count(), 0);
    assert_eq!(spool.resend(&request(7)).unwrap(), 0);
}

#[test]
fn a_full_spool_evicts_nothing_for_what_is_sent_again() {
    let dir = TempDir::new().unwrap();
    let spool = open(dir.path(), 1 << 20);
    deliver(&spool, 0..4);
    pause();
    let settings = Settings { max_bytes: 2 * disk::occupied(1), ..spool.settings.clone() };
    drop(spool);
    let spool = Spool::open(settings).unwrap();
    assert_eq!((spool.resend(&request(7)).unwrap(), drain(&spool)), (2, vec![0, 1]));
    assert_eq!((spool.resend(&request(7)).unwrap(), drain(&spool)), (2, vec![2, 3]));
    assert_eq!((spool.resend(&request(7)).unwrap(), spool.evicted()), (0, 0));
}

#[test]
fn delivered_batches_go_before_waiting_ones_when_the_disk_fills_up() {
    let dir = TempDir::new().unwrap();
    let spool = open(dir.path(), 1 << 20);
    deliver(&spool, 0..4);
    let free_bytes = spool.disk.free_bytes().unwrap();
    let settings = Settings { min_free_bytes: free_bytes, ..spool.settings.clone() };
    drop(spool);
    let spool = Spool::open(settings).unwrap();
    // Others use the disk, too: how many go is not certain.
    let _ = spool.make_room(1 << 30);
    assert_eq!(lock(&spool.delivered).disk_bytes(), 0);
    assert_eq!(fs::read_dir(dir.path().join(DELIVERED)).unwrap().count(), 0);
}
