//! A probe's clock is set forwards and back, and the probe continues to count by the corrected
//! time.

use libtest_mimic::Trial;
use std::io::Write;
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::sync::MutexGuard;
use std::thread;
use std::time::Duration;
use zonepulse_fixtures::{DNSTAP, Message, Tap, control, control_frame, data_frame};
use zonepulse_tests::false_clock::FalseClock;
use zonepulse_tests::needs::{root, test, test_with};
use zonepulse_tests::probe::{Settings, Sources};
use zonepulse_tests::{Probe, eventually, ports, unix_ms};
use zonepulse_wire::{Batch, Counter};

pub fn trials() -> Vec<Trial> {
    vec![
        // LD_PRELOAD is ignored for programs with capabilities, so only root can test a capture.
        test_with("a_quiet_capture_goes_on_after_its_clock_was_an_hour_ahead", root, quiet_capture),
        test("a_quiet_server_s_dnstap_goes_on_after_its_clock_was_an_hour_ahead", quiet_dnstap),
        test_with("a_node_that_boots_in_1970_keeps_its_hits_and_dates_them_when_the_clock_is_set", root, boots_in_1970),
    ]
}

const HOUR_S: i64 = 3600;

/// How often the batches report that the clock was set.
fn steps(batches: &[Batch]) -> u64 {
    batches.iter().map(|batch| batch.counters.get(Counter::ClockSteps)).sum()
}

/// Checks that each of these seconds has exactly one batch, which covers it completely.
fn assert_covered_once(batches: &[Batch], seconds: std::ops::Range<u64>) {
    for start_s in seconds {
        let covered: Vec<_> = batches
            .iter()
            .filter(|batch| batch.start_s == start_s && batch.coverage.until_ms > batch.coverage.from_ms)
            .map(|batch| batch.coverage.until_ms - batch.coverage.from_ms)
            .collect();
        assert_eq!(covered, [1000], "{start_s}");
    }
}

/// Sets the clock an hour ahead for a while, and back; returns when it was right again, Unix
/// milliseconds.
fn excursion(probe: &Probe, clock: &FalseClock) -> u64 {
    eventually("the probe listens", Duration::from_secs(20), || (probe.waiting() >= 3).then_some(()));
    clock.set(HOUR_S);
    let false_s = unix_ms() / 1000 + 3000;
    eventually("an interval of the false clock closes", Duration::from_secs(20), || {
        probe.spooled().iter().any(|batch| batch.start_s > false_s).then_some(())
    });
    clock.set(0);
    unix_ms()
}

fn assert_goes_on(probe: &mut Probe, back_ms: u64) {
    let from_s = back_ms / 1000 + 2;
    eventually("intervals of the corrected clock close", Duration::from_secs(20), || {
        probe.spooled().iter().any(|batch| batch.start_s == from_s + 2).then_some(())
    });
    probe.stop();
    let batches = probe.spooled();
    assert_covered_once(&batches, from_s..from_s + 3);
    assert_eq!(steps(&batches), 2);
    assert!(probe.log().contains("this machine's clock was set"), "{}", probe.log());
}

fn quiet_capture(_alone: MutexGuard<'static, ()>) {
    let mut probe = Probe::new(&Settings { interval_s: 1, port: ports::free(), ..Settings::spooled() });
    let clock = FalseClock::new(probe.folder());
    probe.start_as(|command| clock.for_command(command));
    let back_ms = excursion(&probe, &clock);
    assert_goes_on(&mut probe, back_ms);
}

fn quiet_dnstap() {
    let mut probe = Probe::new(&Settings { interval_s: 1, sources: Sources::Dnstap, ..Settings::spooled() });
    let clock = FalseClock::new(probe.folder());
    probe.start_as(|command| clock.for_command(command));
    eventually("the probe listens", Duration::from_secs(10), || probe.dnstap_socket().exists().then_some(()));
    let mut server = UnixStream::connect(probe.dnstap_socket()).expect("the probe listens");
    server.write_all(&control_frame(control::START, Some(DNSTAP))).expect("the socket takes it");
    let back_ms = excursion(&probe, &clock);
    // The server's own clock is still an hour ahead.
    let told = Tap::new(1, &Message::query("told.example", 1).bytes(), (back_ms + 3_600_000) * 1000);
    server.write_all(&data_frame(&told.bytes())).expect("the socket takes it");
    assert_goes_on(&mut probe, back_ms);
    let batches = probe.spooled();
    let hits: Vec<_> = batches.iter().filter(|batch| batch.hits() > 0).map(|batch| batch.start_s).collect();
    assert_eq!(hits.len(), 1);
    assert!(hits[0].abs_diff(back_ms / 1000) < 5, "{hits:?}");
    assert_eq!(batches.iter().map(|batch| batch.counters.get(Counter::DnstapTimesReplaced)).sum::<u64>(), 1);
}

fn boots_in_1970(_alone: MutexGuard<'static, ()>) {
    let port = ports::free();
    let mut probe = Probe::new(&Settings { interval_s: 1, port, ..Settings::spooled() });
    let clock = FalseClock::new(probe.folder());
    clock.set(-(unix_ms() as i64 / 1000) + 30);
    probe.start_as(|command| clock.for_command(command));
    eventually("the probe listens", Duration::from_secs(20), || probe.log().contains("clock is not set").then_some(()));
    let client = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
    for _ in 0..3 {
        client.send_to(&Message::query("early.example", 1).bytes(), ("127.0.0.1", port)).expect("it can be sent");
    }
    thread::sleep(Duration::from_secs(3));
    assert_eq!(probe.waiting(), 0, "nothing is of 1970");
    let set_s = unix_ms() / 1000;
    clock.set(0);
    eventually("intervals close", Duration::from_secs(20), || (probe.waiting() >= 3).then_some(()));
    probe.stop();
    let batches = probe.spooled();
    assert_eq!(batches.iter().map(Batch::hits).sum::<u64>(), 3);
    assert!(batches.iter().all(|batch| batch.start_s + 1 >= set_s), "{batches:?}");
    assert_eq!(steps(&batches), 1);
}
