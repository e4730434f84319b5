use super::*;
use std::fs;
use tempfile::TempDir;
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_model::{Evicted, Identity, ServerId};
use zonepulse_wire::{Batch, Counter, Counters, Coverage, Records, Row, SystemBatch};

const START_S: u64 = 1_767_225_600;
const EPOCH: u64 = 1_767_225_601_234_567_890;

fn batch(seq: u64) -> Batch {
    let start_s = START_S + 60 * seq;
    let mut records = Records::new();
    let record = records.push("www.example.", RecordType::A);
    Batch {
        identity: Identity { server_id: ServerId::new(7), epoch: EPOCH, seq },
        start_s,
        interval_s: 60,
        coverage: Coverage { from_ms: start_s * 1000, until_ms: (start_s + 60) * 1000 },
        counters: Counters::new(),
        evicted: None,
        records,
        rows: vec![Row { record, kind: MessageKind::REQUEST, hits: 1 + seq, first_ms: 0, last_ms: 5 }],
    }
}

fn settings(dir: &TempDir) -> Settings {
    Settings {
        dir: dir.path().join("spool"),
        max_bytes: MIN_BYTES,
        min_free_bytes: 0,
        max_refused_bytes: 1 << 20,
        max_delivered_bytes: 0,
    }
}

/// Settings with space for this many small batches.
fn settings_for(dir: &TempDir, batches: u64) -> Settings {
    Settings { max_bytes: batches * disk::occupied(1), ..settings(dir) }
}

fn claimed(spool: &Spool) -> Vec<Batch> {
    std::iter::from_fn(|| spool.claim()).map(|entry| Batch::decode(&spool.read(entry.key).unwrap().unwrap()).unwrap()).collect()
}

fn numbers(batches: &[Batch]) -> Vec<u64> {
    batches.iter().map(|batch| batch.identity.seq).collect()
}

#[test]
fn batches_are_claimed_oldest_first() {
    let dir = TempDir::new().unwrap();
    let spool = Spool::open(settings(&dir)).unwrap();
    for seq in [11, 2, 30, 9] {
        spool.put(&batch(seq).into()).unwrap();
    }
    assert_eq!(claimed(&spool), [batch(2), batch(9), batch(11), batch(30)]);
}

#[test]
fn a_restart_finds_everything() {
    let dir = TempDir::new().unwrap();
    let spool = Spool::open(settings(&dir)).unwrap();
    (0..20).for_each(|seq| spool.put(&batch(seq).into()).unwrap());
    let entry = spool.claim().unwrap();
    spool.remove(entry.key).unwrap();
    spool.claim().unwrap();
    drop(spool);
    let spool = Spool::open(settings(&dir)).unwrap();
    assert_eq!(numbers(&claimed(&spool)), (1..20).collect::<Vec<_>>());
}

#[test]
fn a_second_process_cannot_open_it() {
    let dir = TempDir::new().unwrap();
    let _spool = Spool::open(settings(&dir)).unwrap();
    let error = Spool::open(settings(&dir)).unwrap_err();
    assert!(matches!(error, Error::SpoolInUse(_)), "{error}");
}

#[test]
fn foreign_files_are_left_alone() {
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir);
    drop(Spool::open(settings.clone()).unwrap());
    let names = ["notes.txt", ".hidden.tmp", "1-2-3.batch", "x.batch"];
    names.iter().for_each(|name| fs::write(settings.dir.join(name), "x").unwrap());
    let spool = Spool::open(settings.clone()).unwrap();
    assert!(spool.is_empty());
    assert!(names.iter().all(|name| settings.dir.join(name).exists()));
}

#[test]
fn at_the_limit_the_oldest_are_evicted_and_the_next_batch_reports_it() {
    let dir = TempDir::new().unwrap();
    let spool = Spool::open(settings_for(&dir, 3)).unwrap();
    (0..6).for_each(|seq| spool.put(&batch(seq).into()).unwrap());
    assert!(spool.disk_bytes() <= 3 * disk::occupied(1));
    let batches = claimed(&spool);
    assert_eq!(numbers(&batches), [3, 4, 5]);
    // Storing 3 evicted 0, which 4 reports; 5 reports 1; 2 is still to be reported.
    assert_eq!(batches[1].evicted, Some(Evicted { batches: 1, from_s: START_S, until_s: START_S + 60 }));
    assert_eq!(batches[2].evicted, Some(Evicted { batches: 1, from_s: START_S + 60, until_s: START_S + 120 }));
}

#[test]
fn an_eviction_is_reported_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let spool = Spool::open(settings_for(&dir, 2)).unwrap();
    (0..3).for_each(|seq| spool.put(&batch(seq).into()).unwrap());
    drop(spool);
    let spool = Spool::open(settings_for(&dir, 5)).unwrap();
    (3..5).for_each(|seq| spool.put(&batch(seq).into()).unwrap());
    let batches = claimed(&spool);
    assert_eq!(numbers(&batches), [1, 2, 3, 4]);
    assert_eq!(batches[2].evicted, Some(Evicted { batches: 1, from_s: START_S, until_s: START_S + 60 }));
    assert_eq!(batches[3].evicted, None);
}

#[test]
fn an_evicted_batch_passes_on_its_report() {
    let dir = TempDir::new().unwrap();
    let spool = Spool::open(settings_for(&dir, 1)).unwrap();
    (0..9).for_each(|seq| spool.put(&batch(seq).into()).unwrap());
    drop(spool);
    let spool = Spool::open(settings_for(&dir, 9)).unwrap();
    spool.put(&batch(9).into()).unwrap();
    let batches = claimed(&spool);
    assert_eq!(numbers(&batches), [8, 9]);
    let reported: u64 = batches.iter().filter_map(|batch| batch.evicted).map(|evicted| evicted.batches).sum();
    assert_eq!(reported, 8);
}

#[test]
fn a_batch_in_flight_is_evicted_last() {
    let dir = TempDir::new().unwrap();
    let spool = Spool::open(settings_for(&dir, 2)).unwrap();
    spool.put(&batch(0).into()).unwrap();
    let entry = spool.claim().unwrap();
    (1..4).for_each(|seq| spool.put(&batch(seq).into()).unwrap());
    spool.release(entry.key);
    assert_eq!(numbers(&claimed(&spool)), [0, 3]);
    spool.put(&batch(4).into()).unwrap();
    assert_eq!(spool.read(entry.key).unwrap(), None);
    spool.remove(entry.key).unwrap();
    assert_eq!(spool.len(), 2);
}

#[test]
fn the_disk_keeps_its_free_space() {
    let dir = TempDir::new().unwrap();
    let spool = Spool::open(Settings { min_free_bytes: u64::MAX / 2, ..settings(&dir) }).unwrap();
    assert!(!spool.has_room().unwrap());
    (0..3).for_each(|seq| spool.put(&batch(seq).into()).unwrap());
    assert_eq!(numbers(&claimed(&spool)), [2]);
}

#[test]
fn the_same_batch_again_is_kept_once() {
    let dir = TempDir::new().unwrap();
    let spool = Spool::open(settings(&dir)).unwrap();
    (0..3).for_each(|_| spool.put(&batch(1).into()).unwrap());
    assert_eq!(claimed(&spool), [batch(1)]);
}

#[test]
fn a_refused_batch_is_kept_with_its_reason_and_counted_once() {
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir);
    let spool = Spool::open(settings.clone()).unwrap();
    spool.put(&batch(0).into()).unwrap();
    let key = spool.claim().unwrap().key;
    spool.refuse(key, "400: the rows are out of order").unwrap();
    drop(spool);
    let spool = Spool::open(settings.clone()).unwrap();
    assert!(spool.is_empty());
    (1..3).for_each(|seq| spool.put(&batch(seq).into()).unwrap());
    let refused: Vec<_> = claimed(&spool).iter().map(|batch| batch.counters.get(Counter::BatchesRefused)).collect();
    assert_eq!(refused, [1, 0]);
    let aside = settings.dir.join("refused");
    assert_eq!(Batch::decode(&fs::read(aside.join(key.file_name())).unwrap()), Ok(batch(0)));
    let reason = fs::read_to_string(aside.join(key.file_name()).with_extension("reason")).unwrap();
    assert_eq!(reason, "400: the rows are out of order\n");
}

#[test]
fn the_refused_are_bounded() {
    let dir = TempDir::new().unwrap();
    let settings = Settings { max_refused_bytes: 4 * disk::occupied(1), ..settings(&dir) };
    let spool = Spool::open(settings.clone()).unwrap();
    for seq in 0..9 {
        spool.put(&batch(seq).into()).unwrap();
        spool.refuse(spool.claim().unwrap().key, "no").unwrap();
    }
    let mut names: Vec<_> = fs::read_dir(settings.dir.join("refused"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let kept = |seq: u64| Key::of(&batch(seq).into()).file_name();
    assert_eq!(names.len(), 4);
    assert!(names.contains(&kept(7)) && names.contains(&kept(8)), "{names:?}");
}

#[test]
fn a_deferred_batch_lets_others_pass() {
    let dir = TempDir::new().unwrap();
    let spool = Spool::open(settings(&dir)).unwrap();
    (0..3).for_each(|seq| spool.put(&batch(seq).into()).unwrap());
    let poison = spool.claim().unwrap();
    spool.defer(poison.key, Instant::now() + std::time::Duration::from_millis(20));
    assert_eq!(spool.claim_newest().unwrap().key, Key::of(&batch(2).into()));
    assert_eq!(numbers(&claimed(&spool)), [1]);
    std::thread::sleep(spool.next_due().unwrap().saturating_duration_since(Instant::now()));
    let again = spool.claim().unwrap();
    assert_eq!((again.key, again.deferrals), (poison.key, 1));
}

#[test]
fn a_damaged_note_does_not_keep_the_batches_back() {
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir);
    let spool = Spool::open(settings.clone()).unwrap();
    spool.put(&batch(0).into()).unwrap();
    drop(spool);
    fs::write(settings.dir.join("pending.json"), "{\"pen").unwrap();
    let spool = Spool::open(settings.clone()).unwrap();
    assert_eq!(claimed(&spool), [batch(0)]);
    assert!(settings.dir.join("pending.json.damaged").exists());
}

#[test]
fn a_batch_that_could_not_be_put_is_reported_after_a_restart() {
    let dir = TempDir::new().unwrap();
    Spool::open(settings(&dir)).unwrap().give_up(&batch(3).into());
    let spool = Spool::open(settings(&dir)).unwrap();
    spool.put(&batch(4).into()).unwrap();
    assert_eq!(claimed(&spool)[0].evicted, Some(Evicted { batches: 1, from_s: START_S + 180, until_s: START_S + 240 }));
}

#[test]
fn names_that_the_spool_writes_are_names_that_it_reads() {
    for key in [
        Key::of(&batch(0).into()),
        Key { start_s: 0, epoch: 0, seq: 0 },
        Key { start_s: 1 << 40, epoch: u64::MAX, seq: u64::MAX },
    ] {
        assert_eq!(Key::from_file_name(&key.file_name()), Some(key));
    }
    for name in ["", ".batch", "1-2-3.batch", "000000000001-00000000000000000002-0000000003-4.batch", "+00000000001-0-0.batch"] {
        assert_eq!(Key::from_file_name(name), None, "{name}");
    }
}

/// The life of a spool with space for two batches: puts, deliveries and a refusal, ended after a
/// number of disk operations. Records what was promised to the caller.
struct Life {
    put: Vec<u64>,
    delivered: Vec<Batch>,
    refused: u64,
    finished: bool,
}

fn live(settings: Settings, steps: u64) -> Life {
    let spool = Spool::open(settings).unwrap();
    spool.disk.steps_left.store(steps, std::sync::atomic::Ordering::SeqCst);
    let mut life = Life { put: Vec::new(), delivered: Vec::new(), refused: 0, finished: false };
    for seq in 0..8 {
        if spool.put(&batch(seq).into()).is_err() {
            return life;
        }
        life.put.push(seq);
        if seq == 4 || seq == 6 {
            // Reading would give none if it had been evicted since the claim.
            let entry = spool.claim().unwrap();
            let bytes = spool.read(entry.key).unwrap().unwrap();
            life.delivered.push(Batch::decode(&bytes).unwrap());
            if spool.remove(entry.key).is_err() {
                return life;
            }
        }
        if seq == 5 {
            if spool.refuse(spool.claim().unwrap().key, "no").is_err() {
                return life;
            }
            life.refused += 1;
        }
    }
    life.finished = true;
    life
}

#[test]
fn a_crash_at_any_step_loses_nothing_without_a_report_and_reports_nothing_twice() {
    // In memory if possible: thousands of fsyncs prove nothing here.
    let place = ["/dev/shm", "/tmp"].into_iter().find(|place| fs::metadata(place).is_ok()).unwrap();
    for steps in 0.. {
        let dir = TempDir::new_in(place).unwrap();
        let settings = settings_for(&dir, 2);
        let life = live(settings.clone(), steps);

        let spool = Spool::open(Settings { max_bytes: MIN_BYTES, ..settings.clone() }).unwrap();
        spool.put(&batch(100).into()).unwrap();
        let found = claimed(&spool);
        let mut received = life.delivered.clone();
        received.extend(found.iter().filter(|batch| !life.delivered.contains(batch)).cloned());
        let evicted: u64 = received.iter().filter_map(|batch| batch.evicted).map(|evicted| evicted.batches).sum();
        let refused: u64 = received.iter().map(|batch| batch.counters.get(Counter::BatchesRefused)).sum();
        let arrived = received.iter().filter(|batch| batch.identity.seq != 100).count() as u64;
        let promised = life.put.len() as u64;
        // The batch being stored when the process died may have become durable.
        let accounted = arrived + evicted + refused;
        assert!((promised..=promised + 1).contains(&accounted), "{steps}: {arrived} + {evicted} + {refused} of {promised}");
        assert!((life.refused..=1).contains(&refused), "{steps}: {refused} refused");
        let aside = fs::read_dir(settings.dir.join("refused")).unwrap();
        let aside = aside.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "batch")).count();
        assert_eq!(aside as u64, refused, "{steps}");
        let left: Vec<_> = fs::read_dir(&settings.dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{steps}: {left:?}");
        if life.finished {
            assert!(steps > 50, "steps are not being counted");
            return;
        }
    }
}

/// Runs a test with a file system of one mebibyte that only this thread sees.
fn on_a_small_disk(test: impl FnOnce(&Path) + Send) {
    let dir = TempDir::new().unwrap();
    let place = std::ffi::CString::new(dir.path().to_str().unwrap()).unwrap();
    let mounted = || {
        // SAFETY: plain system calls with strings that end with zero; they change only this
        // thread's mounts.
        unsafe {
            libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(
                    std::ptr::null(),
                    c"/".as_ptr(),
                    std::ptr::null(),
                    libc::MS_REC | libc::MS_PRIVATE,
                    std::ptr::null(),
                ) == 0
                && libc::mount(c"tmpfs".as_ptr(), place.as_ptr(), c"tmpfs".as_ptr(), 0, c"size=1m".as_ptr().cast()) == 0
        }
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| match mounted() {
            true => test(dir.path()),
            false => eprintln!("skipped: mounting a file system needs root"),
        });
        thread.join().unwrap();
    });
}

/// An incompressible batch of some tens of kilobytes.
fn large(seq: u64) -> Batch {
    let mut batch = batch(seq);
    let mut random = seq + 1;
    batch.records = Records::new();
    batch.rows.clear();
    for _ in 0..2000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let record = batch.records.push(&format!("{random:016x}.example."), RecordType::A);
        let last_ms = (random >> 40) as u32 % 60_000;
        batch.rows.push(Row { record, kind: MessageKind::REQUEST, hits: 1, first_ms: last_ms, last_ms });
    }
    batch
}

fn free_bytes(spool: &Spool) -> u64 {
    spool.disk.free_bytes().unwrap()
}

/// The losses reported by these batches, merged.
fn evicted(batches: &[Batch]) -> Option<Evicted> {
    batches.iter().fold(None, |sum, batch| merge_evicted(sum, batch.evicted))
}

#[test]
fn on_a_real_disk_min_free_is_kept_and_evictions_are_reported() {
    on_a_small_disk(|dir| {
        let (max_bytes, min_free_bytes) = (1 << 30, 600 << 10);
        let settings =
            Settings { dir: dir.join("spool"), max_bytes, min_free_bytes, max_refused_bytes: 1 << 20, max_delivered_bytes: 0 };
        let spool = Spool::open(settings.clone()).unwrap();
        for seq in 0..30 {
            spool.put(&large(seq).into()).unwrap();
            assert!(free_bytes(&spool) >= min_free_bytes, "{seq}: {} bytes are free", free_bytes(&spool));
        }
        let kept = spool.len() as u64;
        assert!((5..25).contains(&kept), "{kept}");
        drop(spool);
        let spool = Spool::open(Settings { min_free_bytes: 0, ..settings }).unwrap();
        spool.put(&batch(30).into()).unwrap();
        let batches = claimed(&spool);
        assert_eq!(numbers(&batches), (30 - kept..=30).collect::<Vec<_>>());
        let until_s = START_S + 60 * (30 - kept);
        assert_eq!(evicted(&batches), Some(Evicted { batches: 30 - kept, from_s: START_S, until_s }));
    });
}

#[test]
fn on_a_disk_filled_by_others_the_oldest_is_evicted_and_then_putting_fails_until_there_is_space() {
    on_a_small_disk(|dir| {
        let settings = Settings {
            dir: dir.join("spool"),
            max_bytes: 1 << 30,
            min_free_bytes: 0,
            max_refused_bytes: 1 << 20,
            max_delivered_bytes: 0,
        };
        let spool = Spool::open(settings).unwrap();
        (0..4).for_each(|seq| spool.put(&large(seq).into()).unwrap());
        let fill = dir.join("fill");
        assert!(fs::write(&fill, vec![1; 2 << 20]).is_err(), "the disk is not full");
        assert_eq!(free_bytes(&spool), 0);
        spool.put(&large(4).into()).unwrap();
        assert!(spool.len() < 5);
        spool.put(&large(5).into()).unwrap();
        let held: Vec<_> = std::iter::from_fn(|| spool.claim()).collect();
        held.iter().for_each(|entry| spool.remove(entry.key).unwrap());
        // Take what became free.
        let mut file = fs::OpenOptions::new().append(true).open(&fill).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
        assert!(spool.put(&large(6).into()).unwrap_err().is_full());
        assert!(spool.is_empty());
        // An open file keeps its space.
        drop(file);
        fs::remove_file(&fill).unwrap();
        spool.put(&large(6).into()).unwrap();
        assert_eq!(numbers(&claimed(&spool)), [6]);
    });
}

#[test]
fn a_system_batch_reports_evictions_and_leaves_refusals_to_a_dns_batch() {
    let dir = TempDir::new().unwrap();
    let spool = Spool::open(settings(&dir)).unwrap();
    (0..2).for_each(|seq| spool.put(&batch(seq).into()).unwrap());
    let refused = spool.claim().unwrap().key;
    spool.refuse(refused, "no").unwrap();
    spool.give_up(&batch(7).into());
    let identity = Identity { server_id: ServerId::new(1), epoch: 2, seq: 0 };
    let system = SystemBatch { identity, start_s: START_S + 600, interval_s: 5, slots: 12, evicted: None, series: Vec::new() };
    spool.put(&system.clone().into()).unwrap();
    drop(spool);
    let spool = Spool::open(settings(&dir)).unwrap();
    spool.put(&batch(20).into()).unwrap();
    let found: Vec<_> = std::iter::from_fn(|| spool.claim())
        .map(|entry| Message::decode(&spool.read(entry.key).unwrap().unwrap()).unwrap())
        .collect();
    let expected = SystemBatch { evicted: Some(Evicted { batches: 1, from_s: START_S + 420, until_s: START_S + 480 }), ..system };
    assert_eq!(found[1], Message::System(expected));
    let Message::Dns(last) = &found[2] else { panic!("{found:?}") };
    assert_eq!((last.evicted, last.counters.get(Counter::BatchesRefused)), (None, 1));
}

#[test]
fn an_accessible_spool_is_restricted_with_all_that_is_in_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir);
    let spool = Spool::open(settings.clone()).unwrap();
    (0..2).for_each(|seq| spool.put(&batch(seq).into()).unwrap());
    spool.write_settings(b"{}").unwrap();
    spool.refuse(spool.claim().unwrap().key, "no").unwrap();
    drop(spool);
    let everything = || {
        let below = |dir: &Path| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        [vec![settings.dir.clone()], below(&settings.dir), below(&settings.dir.join("refused"))].concat()
    };
    let open_mode = |path: &Path| if path.is_dir() { 0o755 } else { 0o644 };
    for path in everything() {
        fs::set_permissions(&path, fs::Permissions::from_mode(open_mode(&path))).unwrap();
    }
    let spool = Spool::open(settings.clone()).unwrap();
    assert_eq!(spool.len(), 1);
    for path in everything() {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} {mode:o}", path.display());
    }
}

#[test]
fn a_shared_directory_is_no_spool() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let settings = settings(&dir);
    fs::create_dir_all(settings.dir.join("home")).unwrap();
    fs::set_permissions(&settings.dir, fs::Permissions::from_mode(0o755)).unwrap();
    let refused = Spool::open(settings.clone()).unwrap_err().to_string();
    assert!(refused.contains("chmod 700") && refused.contains("it contains home/"), "{refused}");
    fs::set_permissions(&settings.dir, fs::Permissions::from_mode(0o700)).unwrap();
    Spool::open(settings).unwrap();
}

#[test]
fn later_batches_are_put_off_but_for_those_on_their_way() {
    let dir = TempDir::new().unwrap();
    let spool = Spool::open(settings(&dir)).unwrap();
    (0..4).for_each(|seq| spool.put(&batch(seq).into()).unwrap());
    let oldest = spool.claim().unwrap().key;
    spool.defer_from(oldest.start_s, Instant::now() + std::time::Duration::from_secs(60));
    assert_eq!((spool.claim(), spool.len()), (None, 4));
    spool.release(oldest);
    assert_eq!(spool.claim().map(|entry| entry.key), Some(oldest), "a batch in flight was deferred");
    spool.defer_from(0, Instant::now());
    assert_eq!(spool.claim(), None, "a wait was shortened");
}
