use super::*;
use crate::{Intake, IntakeRow, Options, Outcome, Store};
use std::path::Path;
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_model::{Identity, ServerId};

const T0_S: u64 = 1_767_225_600;

fn open(dir: &Path) -> Store {
    let sizes = Options { block_cache_bytes: 1 << 20, write_buffer_bytes: 1 << 20, min_free_bytes: 0, ..Options::default() };
    Store::open(dir, &sizes).unwrap()
}

/// A batch with one hit, of a minute after [`T0_S`].
fn commit(store: &Store, server_id: u32, epoch: u64, seq: u64, minute: u64) -> Result<Outcome, Error> {
    commit_hits(store, server_id, epoch, seq, minute, 1)
}

fn commit_hits(store: &Store, server_id: u32, epoch: u64, seq: u64, minute: u64, hits: u64) -> Result<Outcome, Error> {
    let identity = Identity { server_id: ServerId::new(server_id), epoch, seq };
    let start_s = T0_S + minute * 60;
    let mut write = store.begin();
    if write.is_known(&identity, start_s)? {
        return Ok(Outcome::Duplicate);
    }
    let record_id = write.record_ids(ServerId::new(server_id), [("a.", RecordType::A)].into_iter()).remove(0);
    let at_ms = start_s * 1000;
    let row = IntakeRow { record_id, kind: MessageKind::REQUEST, hits, first_ms: at_ms, last_ms: at_ms };
    let outcome = write.add(Intake {
        identity,
        start_s,
        interval_s: 60,
        covered_from_ms: at_ms,
        covered_until_ms: at_ms + 60_000,
        counters: Vec::new(),
        loss: Default::default(),
        evicted: None,
        rows: vec![row],
    })?;
    write.commit().unwrap();
    Ok(outcome)
}

fn hits(store: &Store, server_id: u32) -> u64 {
    let mut hits = 0;
    store.totals(Some(&[ServerId::new(server_id)].into()), &mut |total| hits += total.hits);
    hits
}

/// The lengths of the values of a server's markers.
fn markers(store: &Store, server_id: u32) -> Vec<usize> {
    let mut lengths = Vec::new();
    let each = |found: &[u8], value: &[u8]| {
        lengths.extend(key::parse_marker(found).filter(|(of, _)| of.get() == server_id).map(|_| value.len()));
        Ok(true)
    };
    store.inner.database.visit(key::MARKERS, &[], each).unwrap();
    lengths
}

fn is_too_late(outcome: Result<Outcome, Error>) -> bool {
    matches!(outcome, Err(Error::TooLate { .. }))
}

#[test]
fn the_largest_sequence_number_does_not_spoil_its_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(commit(&store, 1, 7, u64::MAX, 0).unwrap(), Outcome::Committed);
    drop(store);
    let store = open(dir.path());
    assert_eq!(commit(&store, 1, 7, 0, 1).unwrap(), Outcome::Committed);
    assert_eq!(commit(&store, 1, 7, u64::MAX, 0).unwrap(), Outcome::Duplicate);
    assert_eq!((hits(&store, 1), store.check().unwrap().faults), (2, Vec::new()));
}

/// As an earlier version left it, which could not read it again.
#[test]
fn a_store_whose_marker_has_the_largest_number_is_sound_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    commit(&store, 1, 7, 0, 0).unwrap();
    commit(&store, 1, 7, u64::MAX, 1).unwrap();
    let mut version_1 = vec![1];
    [2, 0, 1, u64::MAX - 1, 1].iter().for_each(|number| put(&mut version_1, *number));
    let mut batch = WriteBatch::default();
    batch.put_cf(store.inner.database.family(key::MARKERS), key::marker(ServerId::new(1), 7), version_1);
    store.inner.database.write(batch, true).unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
    assert_eq!(commit(&store, 1, 7, 1, 2).unwrap(), Outcome::Committed);
    assert_eq!(commit(&store, 1, 7, u64::MAX, 1).unwrap(), Outcome::Duplicate);
    assert_eq!((hits(&store, 1), store.check().unwrap().faults), (3, Vec::new()));
}

#[test]
fn a_marker_that_cannot_be_read_is_told_of_with_its_epoch_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for seq in 0..3 {
        commit(&store, 1, 7, seq, seq).unwrap();
    }
    let mut batch = WriteBatch::default();
    batch.put_cf(store.inner.database.family(key::MARKERS), key::marker(ServerId::new(1), 7), [9, 9]);
    store.inner.database.write(batch, true).unwrap();
    let faults = store.check().unwrap().faults;
    assert!(faults.len() == 1 && faults[0].contains("the marker of server 1, epoch 0000000000000007"), "{faults:?}");
}

#[test]
fn a_marker_does_not_grow_with_the_gaps_that_a_probe_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let numbers: Vec<u64> = (0..1500u64).map(|number| number << 20).collect();
    for (minute, seq) in (0..).zip(&numbers) {
        assert_eq!(commit(&store, 1, 7, *seq, minute).unwrap(), Outcome::Committed);
    }
    let lengths = markers(&store, 1);
    assert!(lengths.len() == 1 && lengths[0] < 6 * crate::write::marker::MAX_RUNS, "{lengths:?}");
    drop(store);
    let store = open(dir.path());
    // Whatever comes again counts once.
    for (minute, seq) in (0..).zip(&numbers) {
        let again = commit(&store, 1, 7, *seq, minute);
        assert!(is_too_late(again) || *seq >= numbers[1500 - crate::write::marker::MAX_RUNS]);
    }
    assert!(is_too_late(commit(&store, 1, 7, 1, 0)), "it may be a copy");
    assert_eq!(commit(&store, 1, 7, numbers[1499] - 1, 1).unwrap(), Outcome::Committed);
    assert_eq!((hits(&store, 1), store.check().unwrap().faults), (1501, Vec::new()));
}

#[test]
fn a_server_has_a_bounded_number_of_epochs_and_no_copy_counts() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    commit(&store, 2, 1, 0, 0).unwrap();
    for minute in 0..100 {
        assert_eq!(commit(&store, 1, 1000 - minute, 0, minute).unwrap(), Outcome::Committed);
        assert!(markers(&store, 1).len() <= MAX_EPOCHS);
    }
    for _ in 0..2 {
        for minute in 0..100 {
            let copy = commit(&store, 1, 1000 - minute, 0, minute);
            assert!(is_too_late(copy) || minute >= 100 - MAX_EPOCHS as u64, "{minute}");
        }
        assert!(is_too_late(commit(&store, 1, 5000, 0, 3)), "another epoch of the same time may have been forgotten");
        assert_eq!(commit(&store, 2, 1, 0, 0).unwrap(), Outcome::Duplicate, "another server's is remembered");
        assert_eq!((hits(&store, 1), hits(&store, 2)), (100, 1));
        assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
        drop(store);
        store = open(dir.path());
    }
}

#[test]
fn an_epoch_that_began_before_any_was_forgotten_takes_late_batches() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for minute in 1..100 {
        commit(&store, 1, 7, minute, minute).unwrap();
        commit(&store, 1, 1000 + minute, 0, minute).unwrap();
    }
    assert!(is_too_late(commit(&store, 1, 5000, 0, 0)), "epochs were forgotten");
    assert_eq!(commit(&store, 1, 7, 0, 0).unwrap(), Outcome::Committed);
    assert_eq!(commit(&store, 1, 7, 0, 0).unwrap(), Outcome::Duplicate);
    assert_eq!((hits(&store, 1), store.check().unwrap().faults), (199, Vec::new()));
}

#[test]
fn an_epoch_that_began_after_others_were_forgotten_takes_batches_from_then_on_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for minute in 0..100 {
        commit(&store, 1, 1000 + minute, 0, minute).unwrap();
    }
    for seq in [1, 3] {
        assert!(is_too_late(commit(&store, 1, 1099, seq, 0)));
        assert_eq!(commit(&store, 1, 1099, seq + 1, 98).unwrap(), Outcome::Committed);
        drop(store);
        store = open(dir.path());
    }
    assert_eq!((hits(&store, 1), store.check().unwrap().faults), (102, Vec::new()));
}

#[test]
fn epochs_that_are_made_up_do_not_push_out_the_one_that_has_more_batches() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for seq in 1..4 {
        commit(&store, 1, 7, seq, seq).unwrap();
    }
    // Ahead of it, by two batches each.
    for number in 0..100 {
        commit(&store, 1, 1000 + number, 0, 10 + number).unwrap();
        commit(&store, 1, 1000 + number, 1, 11 + number).unwrap();
    }
    assert!(is_too_late(commit(&store, 1, 9000, 0, 9)), "epochs were forgotten");
    assert_eq!(commit(&store, 1, 7, 4, 4).unwrap(), Outcome::Committed);
    assert_eq!(commit(&store, 1, 7, 0, 0).unwrap(), Outcome::Committed, "it began before any was forgotten");
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}

#[test]
fn epochs_that_ended_long_ago_are_forgotten_first_however_many_batches_they_have() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let day = 24 * 60;
    for seq in 0..5 {
        commit(&store, 1, 7, seq, seq).unwrap();
    }
    for epoch in 0..MAX_EPOCHS as u64 {
        commit(&store, 1, 1000 + epoch, 0, 2 * day + epoch).unwrap();
    }
    assert!(is_too_late(commit(&store, 1, 7, 5, 3)));
}

/// A batch of epoch 7, and so many epochs of the same time that epoch 7 is forgotten.
fn forgotten(dir: &Path) -> Store {
    let store = open(dir);
    assert_eq!(commit_hits(&store, 1, 7, 1, 0, 5).unwrap(), Outcome::Committed);
    for epoch in 0..MAX_EPOCHS as u64 {
        assert_eq!(commit(&store, 1, 1000 + epoch, 1, 0).unwrap(), Outcome::Committed);
    }
    assert!(is_too_late(commit(&store, 1, 9000, 1, 0)));
    assert_eq!(store.inner.database.get(key::MARKERS, &key::marker(ServerId::new(1), 7)).unwrap(), None, "it was forgotten");
    store
}

#[test]
fn a_store_in_which_a_forgotten_epoch_goes_on_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    let store = forgotten(dir.path());
    for seq in [2, 3] {
        assert_eq!(commit(&store, 1, 7, seq, seq - 1).unwrap(), Outcome::Committed);
        assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
    }
    drop(store);
    let store = open(dir.path());
    assert_eq!((hits(&store, 1), store.check().unwrap().faults), (MAX_EPOCHS as u64 + 7, Vec::new()));
}

#[test]
fn a_copy_counts_once_when_its_epoch_was_forgotten_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = forgotten(dir.path());
    assert!(is_too_late(commit_hits(&store, 1, 7, 1, 0, 5)));
    assert_eq!(commit(&store, 1, 7, 3, 1).unwrap(), Outcome::Committed);
    for _ in 0..2 {
        assert!(is_too_late(commit_hits(&store, 1, 7, 1, 0, 5)));
        assert!(is_too_late(commit(&store, 1, 7, 2, 0)), "it may be a copy, too");
        assert_eq!(commit(&store, 1, 7, 3, 1).unwrap(), Outcome::Duplicate);
        assert_eq!((hits(&store, 1), store.check().unwrap().faults), (MAX_EPOCHS as u64 + 6, Vec::new()));
        drop(store);
        store = open(dir.path());
    }
    assert_eq!(commit(&store, 1, 7, 2, 1).unwrap(), Outcome::Committed);
}

#[test]
fn a_number_of_a_forgotten_epoch_that_comes_again_with_another_time_leaves_the_store_sound() {
    let dir = tempfile::tempdir().unwrap();
    let store = forgotten(dir.path());
    assert_eq!(commit_hits(&store, 1, 7, 1, 1, 9).unwrap(), Outcome::Committed);
    assert_eq!((hits(&store, 1), store.check().unwrap().faults), (MAX_EPOCHS as u64 + 14, Vec::new()));
}

#[test]
fn a_batch_without_a_marker_that_starts_after_the_floor_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let store = forgotten(dir.path());
    commit(&store, 1, 7, 2, 1).unwrap();
    let mut batch = WriteBatch::default();
    batch.delete_cf(store.inner.database.family(key::MARKERS), key::marker(ServerId::new(1), 7));
    store.inner.database.write(batch, true).unwrap();
    let faults = store.check().unwrap().faults;
    assert!(faults.iter().any(|fault| fault.contains("its marker is not")), "{faults:?}");
}

#[test]
fn epochs_of_earlier_versions_are_neither_counted_nor_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut batch = WriteBatch::default();
    for epoch in 0..2 * MAX_EPOCHS as u64 {
        batch.put_cf(store.inner.database.family(key::MARKERS), key::marker(ServerId::new(1), epoch), [1, 1, 0, 1]);
    }
    store.inner.database.write(batch, true).unwrap();
    drop(store);
    let store = open(dir.path());
    for minute in 0..MAX_EPOCHS as u64 {
        assert_eq!(commit(&store, 1, 1000 + minute, 0, minute).unwrap(), Outcome::Committed);
    }
    assert_eq!(markers(&store, 1).len(), 3 * MAX_EPOCHS);
    for epoch in (0..2 * MAX_EPOCHS as u64).chain(1000..1000 + MAX_EPOCHS as u64) {
        assert_eq!(commit(&store, 1, epoch, 0, 0).unwrap(), Outcome::Duplicate);
    }
}

#[test]
fn a_server_that_is_purged_leaves_no_floor() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.registry().add_server("one", false, None, 0).unwrap();
    for minute in 0..100 {
        commit(&store, 1, minute, 0, minute).unwrap();
    }
    store.registry().remove_server(ServerId::new(1), 1, true).unwrap();
    assert_eq!(store.inner.database.get(key::MARKERS, &key::floor(ServerId::new(1))).unwrap(), None);
    assert_eq!(markers(&store, 1).len(), 0);
}

#[test]
fn what_is_left_of_forgotten_markers_survives_its_bytes() {
    for forgotten in [Forgotten::default(), Forgotten { floor_s: u64::MAX, batches: u64::MAX }] {
        assert_eq!(Forgotten::decode(&forgotten.encode()), Ok(forgotten));
    }
    assert_eq!(Forgotten { floor_s: 300, batches: 2 }.encode(), [1, 172, 2, 2]);
    assert!([&[][..], &[2, 0, 0], &[1, 0], &[1, 0, 0, 0]].iter().all(|bytes| Forgotten::decode(bytes).is_err()));
}
