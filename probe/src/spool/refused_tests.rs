//! Refused batches that are sent again.

use super::super::testing::empty_batch;
use super::super::{MIN_BYTES, Settings, Spool};
use super::*;
use std::sync::atomic::Ordering;
use tempfile::TempDir;
use zonepulse_model::{Evicted, Identity, ServerId};
use zonepulse_wire::{Batch, Counter, Message};

fn batch(seq: u64) -> Batch {
    empty_batch(Identity { server_id: ServerId::new(7), epoch: 9, seq })
}

fn open(dir: &TempDir) -> Spool {
    let dir = dir.path().to_owned();
    Spool::open(Settings { dir, max_bytes: MIN_BYTES, min_free_bytes: 0, max_refused_bytes: 1 << 20, max_delivered_bytes: 0 })
        .unwrap()
}

/// A spool in use, with these batches refused.
fn with_refused(dir: &TempDir, seqs: std::ops::Range<u64>) -> Spool {
    let spool = open(dir);
    seqs.for_each(|seq| refuse(&spool, batch(seq)));
    spool
}

fn refuse(spool: &Spool, batch: Batch) {
    spool.put(&batch.into()).unwrap();
    spool.refuse(spool.claim().unwrap().key, "400: no").unwrap();
}

fn all(dir: &TempDir) -> Vec<Refused> {
    Refused::read(dir.path()).unwrap()
}

fn claimed(spool: &Spool) -> Vec<Batch> {
    let decode = |bytes: Vec<u8>| match Message::decode(&bytes).unwrap() {
        Message::Dns(batch) => batch,
        Message::System(_) => panic!("not a batch of DNS"),
    };
    std::iter::from_fn(|| spool.claim()).map(|entry| decode(spool.read(entry.key).unwrap().unwrap())).collect()
}

fn numbers(batches: &[Batch]) -> Vec<u64> {
    batches.iter().map(|batch| batch.identity.seq).collect()
}

#[test]
fn refused_batches_are_listed_with_their_reason() {
    let dir = TempDir::new().unwrap();
    let _spool = with_refused(&dir, 0..2);
    let told: Vec<_> = all(&dir).into_iter().map(|refused| (refused.start_s, refused.reason, refused.is_offered)).collect();
    assert_eq!(told, [(0, "400: no".to_owned(), false), (60, "400: no".to_owned(), false)]);
}

#[test]
fn an_offered_batch_is_taken_back_by_its_own_spool_while_in_use() {
    let dir = TempDir::new().unwrap();
    let spool = with_refused(&dir, 0..3);
    all(&dir)[1].offer().unwrap();
    assert_eq!(all(&dir).iter().map(|refused| refused.is_offered).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!((spool.take_offered().unwrap(), spool.take_offered().unwrap()), (1, 0));
    assert_eq!(numbers(&claimed(&spool)), [1]);
    assert_eq!(all(&dir).iter().map(|refused| refused.start_s).collect::<Vec<_>>(), [0, 120]);
    assert!(!dir.path().join("refused/000000000060-00000000000000000009-0000000001.reason").exists());
}

#[test]
fn a_batch_offered_to_an_idle_spool_is_taken_back_at_the_next_start() {
    let dir = TempDir::new().unwrap();
    drop(with_refused(&dir, 0..2));
    all(&dir).iter().for_each(|refused| refused.offer().unwrap());
    assert_eq!(numbers(&claimed(&open(&dir))), [0, 1]);
}

#[test]
fn offering_twice_or_after_it_was_taken_is_offering_once() {
    let dir = TempDir::new().unwrap();
    let spool = with_refused(&dir, 0..1);
    let listed = all(&dir);
    listed[0].offer().unwrap();
    listed[0].offer().unwrap();
    assert_eq!(spool.take_offered().unwrap(), 1);
    listed[0].offer().unwrap();
    assert_eq!((spool.take_offered().unwrap(), spool.len()), (0, 1));
}

#[test]
fn a_batch_refused_again_is_kept_again() {
    let dir = TempDir::new().unwrap();
    let spool = with_refused(&dir, 0..1);
    all(&dir)[0].offer().unwrap();
    spool.take_offered().unwrap();
    spool.refuse(spool.claim().unwrap().key, "413: still no").unwrap();
    assert_eq!(all(&dir).iter().map(|refused| refused.reason.as_str()).collect::<Vec<_>>(), ["413: still no"]);
}

#[test]
fn a_batch_s_report_is_made_once() {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir);
    let loss = Evicted { batches: 3, from_s: 0, until_s: 180 };
    let mut reporting = Batch { evicted: Some(loss), ..batch(5) };
    reporting.counters.add(Counter::BatchesRefused, 2);
    reporting.counters.add(Counter::PacketsSeen, 9);
    refuse(&spool, reporting);
    all(&dir)[0].offer().unwrap();
    spool.take_offered().unwrap();
    spool.put(&batch(6).into()).unwrap();
    let told: Vec<_> = claimed(&spool).iter().map(|batch| (batch.evicted, batch.counters.iter().collect::<Vec<_>>())).collect();
    assert_eq!(told, [(None, vec![(1, 9)]), (Some(loss), vec![(61, 3)])]);
}

#[test]
fn an_unreadable_batch_is_sent_again_unchanged() {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir);
    fs::write(dir.path().join("refused/000000000060-00000000000000000009-0000000001.batch"), b"of a later version").unwrap();
    all(&dir)[0].offer().unwrap();
    spool.take_offered().unwrap();
    let entry = spool.claim().unwrap();
    assert_eq!(spool.read(entry.key).unwrap().unwrap(), b"of a later version");
}

#[test]
fn offered_batches_are_not_evicted_for_newly_refused_ones() {
    let dir = TempDir::new().unwrap();
    drop(with_refused(&dir, 0..1));
    let settings = Settings {
        dir: dir.path().into(),
        max_bytes: MIN_BYTES,
        min_free_bytes: 0,
        max_refused_bytes: 0,
        max_delivered_bytes: 0,
    };
    let spool = Spool::open(settings).unwrap();
    all(&dir)[0].offer().unwrap();
    refuse(&spool, batch(1));
    assert_eq!(all(&dir).iter().map(|refused| (refused.start_s, refused.is_offered)).collect::<Vec<_>>(), [(0, true)]);
}

#[test]
fn a_full_spool_takes_nothing_back_and_evicts_nothing_for_it() {
    let dir = TempDir::new().unwrap();
    drop(with_refused(&dir, 0..1));
    let settings = Settings {
        dir: dir.path().into(),
        max_bytes: 4096,
        min_free_bytes: 0,
        max_refused_bytes: 1 << 20,
        max_delivered_bytes: 0,
    };
    let spool = Spool::open(settings).unwrap();
    spool.put(&batch(1).into()).unwrap();
    all(&dir)[0].offer().unwrap();
    assert_eq!((spool.take_offered().unwrap(), spool.evicted()), (0, 0));
    spool.remove(spool.claim().unwrap().key).unwrap();
    assert_eq!((spool.take_offered().unwrap(), numbers(&claimed(&spool))), (1, vec![0]));
}

#[test]
fn a_crash_at_any_step_keeps_it_and_sends_it_once() {
    for reports in [false, true] {
        for steps in 0.. {
            let dir = TempDir::new().unwrap();
            let spool = open(&dir);
            let mut first = batch(0);
            first.counters.add(Counter::BatchesRefused, u64::from(reports));
            refuse(&spool, first);
            all(&dir)[0].offer().unwrap();
            spool.disk.steps_left.store(steps, Ordering::SeqCst);
            let done = spool.take_offered().is_ok();
            drop(spool);
            let spool = open(&dir);
            assert_eq!(numbers(&claimed(&spool)), [0], "{reports} {steps}");
            assert_eq!(all(&dir), [], "{steps}");
            if done {
                break;
            }
        }
    }
}

#[test]
fn an_unreadable_offered_file_blocks_neither_the_start_nor_other_files() {
    let dir = TempDir::new().unwrap();
    drop(with_refused(&dir, 0..2));
    all(&dir).iter().for_each(|refused| refused.offer().unwrap());
    let first = dir.path().join("refused").join(&all(&dir)[0].name).with_extension(OFFERED);
    fs::remove_file(&first).unwrap();
    fs::create_dir(&first).unwrap();
    let spool = open(&dir);
    assert_eq!(numbers(&claimed(&spool)), [1]);
    assert!(spool.take_offered().is_err(), "the error is not reported");
}

#[test]
fn offering_during_a_count_of_files_is_no_error() {
    let dir = TempDir::new().unwrap();
    drop(with_refused(&dir, 0..40));
    let disk = Disk::open(dir.path()).unwrap();
    let listed = all(&dir);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for refused in &listed {
                    let file = |extension| dir.path().join(DIR).join(&refused.name).with_extension(extension);
                    refused.offer().unwrap();
                    fs::rename(file(OFFERED), file(KEPT)).unwrap();
                }
            }
        });
        let failed = (0..2000).find_map(|_| bound(&disk, 1 << 20).and_then(|()| offered(&disk)).err());
        done.store(true, Ordering::Relaxed);
        assert!(failed.is_none(), "{failed:?}");
    });
}
