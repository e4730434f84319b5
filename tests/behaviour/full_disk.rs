//! A disk that is really full: acknowledged batches are kept, others are refused, and the central
//! recovers by itself when there is space.

use libtest_mimic::Trial;
use std::sync::MutexGuard;
use std::time::Duration;
use zonepulse_tests::api::{ALL_TIME, number};
use zonepulse_tests::batches::{REQUEST, batch, encode, point};
use zonepulse_tests::browser::Page;
use zonepulse_tests::disk::Disk;
use zonepulse_tests::needs::{browser_and_mount_rights, capture_and_mount_rights, test_with};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::process::{program_command, run};
use zonepulse_tests::{Central, Knot, Probe, eventually};

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("before_the_disk_is_full_batches_are_refused_and_then_taken_again", capture_and_mount_rights, held_back),
        test_with("a_full_disk_is_told_on_the_page_by_readyz_in_the_log_and_by_check_config", browser_and_mount_rights, told),
        test_with("a_disk_without_any_room_loses_nothing_that_was_acknowledged", capture_and_mount_rights, without_room),
    ]
}

const START_S: u64 = 1_767_225_600;
const MIB: u64 = 1 << 20;
/// Points per batch, each with its own name: the log, which has preallocated space, fills up
/// quickly.
const POINTS: u32 = 2_000;

/// Sends the batches of a server in sequence; counts acknowledged ones.
struct Sender<'a> {
    central: &'a Central,
    seq: u64,
    acknowledged: u64,
}

impl Sender<'_> {
    /// Sends the next batch, or the same one again until it is accepted; returns the status.
    fn send(&mut self) -> (u16, String) {
        let points: Vec<_> =
            (0..POINTS).map(|n| point(&format!("name-{n}-{}.example.", self.seq * 7919 % 997), "A", REQUEST, 1, n)).collect();
        let of = batch(self.central.servers[0].id, 1, self.seq, START_S + 60 * self.seq, &points);
        let response = self.central.api_of_server(0).post_batch(encode(&of));
        if response.status == 204 {
            self.seq += 1;
            self.acknowledged += 1;
        }
        (response.status, response.text())
    }

    fn send_until_refused(&mut self, most: u64) -> String {
        for _ in 0..most {
            match self.send() {
                (204, _) => {}
                (503, text) => return text,
                (status, text) => panic!("{status}: {text}"),
            }
        }
        panic!("{most} batches were taken");
    }

    fn assert_all_there(&self) {
        let hits = self.central.api().sql("SELECT count(*) AS batches, sum(hits) AS hits FROM coverage", "application/json");
        assert_eq!(hits.json()[0]["batches"], self.acknowledged, "{}", hits.text());
        assert_eq!(hits.json()[0]["hits"], self.acknowledged * u64::from(POINTS));
        let raw = self.central.api().sql("SELECT sum(hits) AS hits FROM dns_raw", "application/json");
        assert_eq!(raw.json()[0]["hits"], self.acknowledged * u64::from(POINTS));
    }
}

fn held_back(_alone: MutexGuard<'static, ()>) {
    let disk = Disk::mount(64 * MIB);
    let min_free = (16 * MIB).to_string();
    let mut central = Central::start_on(&disk.path, &["full"], &[("ZONEPULSE_STORE__MIN_FREE_BYTES", &min_free)]);
    let mut sender = Sender { central: &central, seq: 0, acknowledged: 0 };
    (0..20).for_each(|_| assert_eq!(sender.send().0, 204));
    disk.fill(15 * MIB);
    // The file system's free space is cached for half a second.
    std::thread::sleep(Duration::from_secs(1));
    let said = sender.send_until_refused(1);
    assert!(said.contains("nearly full"), "{said}");
    sender.assert_all_there();
    assert!(central.api().healthy(), "questions are still answered");
    let ready = central.api().get("/readyz", &[], "application/json");
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert!(ready.text().contains("nearly full"), "{}", ready.text());
    let needed = format!("and {min_free} are needed");
    assert!(ready.text().contains(" bytes are free on the disk of ") && ready.text().contains(&needed), "{}", ready.text());
    (0..20).for_each(|_| assert_eq!(sender.send().0, 503));
    let warnings = central.log().lines().filter(|line| line.contains("batches were not taken, and probes keep them")).count();
    assert_eq!(warnings, 1, "{}", central.log());
    disk.empty();
    eventually("there is room again", Duration::from_secs(10), || (sender.send().0 == 204).then_some(()));
    assert_eq!(central.api().get("/readyz", &[], "application/json").status, 200);
    sender.assert_all_there();
    central.stop();
    central.check();
    disk.fill(15 * MIB);
    central.start_again();
    assert!(central.log().contains("are needed ([store] min_free_bytes)"), "{}", central.log());
    central.stop();
}

fn told(_alone: MutexGuard<'static, ()>) {
    let disk = Disk::mount(64 * MIB);
    let (variable, min_free) = ("ZONEPULSE_STORE__MIN_FREE_BYTES", (16 * MIB).to_string());
    let central = Central::start_on(&disk.path, &["full"], &[(variable, &min_free)]);
    let knot = Knot::start();
    let mut probe = Probe::new(&Settings { port: knot.port, interval_s: 1, ..Settings::http(&central, 0) });
    probe.start();
    let hits = || {
        let rows = central.api().rows("dns/aggregate", &[("host", "www.example")]);
        rows.iter().map(|row| number(row, "hits")).sum::<u64>()
    };
    eventually("the probe listens", Duration::from_secs(30), || probe.log().contains("listening").then_some(()));
    assert_eq!(knot.ask("www.example", 1), 0);
    eventually("the request is counted", Duration::from_secs(20), || (hits() == 1).then_some(()));
    let ready = || Page::open(&central, "health").text().contains("Ready: the store answers");
    assert!(ready());

    disk.fill(15 * MIB);
    assert_eq!(knot.ask("www.example", 1), 0);
    let needed = format!("and {min_free} are needed ([store] min_free_bytes)");
    let said = eventually("readyz says so", Duration::from_secs(10), || central.unready());
    let page = Page::open(&central, "health");
    for text in [&said, page.text()] {
        let text = text.to_lowercase();
        assert!(text.contains("the disk is nearly full: ") && text.contains(" bytes are free on the disk of "), "{text}");
        assert!(text.contains(&needed), "{text}");
    }
    assert!(page.text().contains("The central is not ready."), "{}", page.text());
    eventually("the log says so", Duration::from_secs(20), || {
        let log = central.log();
        let line = log.lines().find(|line| line.contains("batches were not taken, and probes keep them"))?;
        assert!(line.contains("WARN") && line.contains(&format!("{min_free} are")), "{line}");
        Some(())
    });
    let mut check = program_command("zonepulse");
    check.args(["serve", "--check-config", "--data"]).arg(central.data()).env(variable, &min_free);
    let checked = run(&mut check, Duration::from_secs(20));
    let warning = format!("warning: store.min_free_bytes is {min_free}, and only ");
    assert!(checked.code == Some(0) && checked.err.contains(&warning), "{:?} {}", checked.code, checked.err);
    assert_eq!(hits(), 1);

    disk.empty();
    eventually("there is room again", Duration::from_secs(10), || central.unready().is_none().then_some(()));
    assert!(ready());
    // It was told to retry after half a minute; it makes one more attempt before it ends.
    probe.stop();
    eventually("what waited is counted", Duration::from_secs(10), || (hits() == 2).then_some(()));
}

fn without_room(_alone: MutexGuard<'static, ()>) {
    // RocksDB continues when there is space for a write buffer, 64 MiB.
    let disk = Disk::mount(256 * MIB);
    // Nothing is reserved: the database itself finds the disk full.
    let mut central = Central::start_on(&disk.path, &["full"], &[("ZONEPULSE_STORE__MIN_FREE_BYTES", "0")]);
    let mut sender = Sender { central: &central, seq: 0, acknowledged: 0 };
    (0..20).for_each(|_| assert_eq!(sender.send().0, 204));
    disk.fill(MIB / 2);
    let said = sender.send_until_refused(2_000);
    assert!(said.contains("full"), "{said}");
    assert!(central.api().healthy(), "{}", central.log());
    sender.assert_all_there();
    disk.empty();
    eventually("it goes on by itself", Duration::from_secs(60), || (sender.send().0 == 204).then_some(()));
    (0..20).for_each(|_| assert_eq!(sender.send().0, 204));
    sender.assert_all_there();
    let rows = central.api().rows("dns/coverage", &[ALL_TIME, ("limit", "1"), ("sort", "-time")]);
    assert_eq!(number(&rows[0], "seq") + 1, sender.acknowledged, "in order, and none twice");
    assert!(!central.log().contains("panicked"), "{}", central.log());
    let acknowledged = sender.acknowledged;
    central.kill();
    central.start_again();
    Sender { central: &central, seq: 0, acknowledged }.assert_all_there();
    central.stop();
    central.check();
}
