//! Live on the loopback device, with Knot answering dnsperf as fast as the two can.

use super::table::installed;
use crate::measure::Memory;
use std::thread;
use std::time::{Duration, Instant};
use zonepulse_tests::api::number;
use zonepulse_tests::dnsperf::Load;
use zonepulse_tests::needs::capture_rights;
use zonepulse_tests::probe::Settings;
use zonepulse_tests::{Central, Knot, Probe, eventually};

/// How long an idle probe is observed.
const IDLE: Duration = Duration::from_secs(60);
/// Rounds of eleven questions each.
const ROUNDS: u32 = 75_000;
/// Unlimited.
const PER_SECOND: u32 = 10_000_000;

pub fn run() {
    let _alone = match capture_rights() {
        Ok(alone) => alone,
        Err(reason) => return println!("live: left out: {reason}\n"),
    };
    if let Some(missing) = ["knotd", "dnsperf"].iter().find(|program| !installed(program)) {
        return println!("live: left out: {missing} is not on this machine\n");
    }
    let knot = Knot::start();
    let central = Central::start(&["live"]);
    let mut probe = Probe::new(&Settings { port: knot.port, interval_s: 5, ..Settings::http(&central, 0) });
    probe.start();
    let batches = |least: usize| {
        eventually("a batch is there", Duration::from_secs(60), || {
            let rows = central.api().rows("dns/coverage", &[]);
            (rows.len() >= least).then_some(rows)
        })
    };
    batches(2);
    println!("Live on loopback, intervals of 5 s, delivered over HTTP\n");
    println!("| | CPU s | messages | CPU s per M messages | messages/s | dropped by kernel, interface | RSS MiB | RssAnon MiB |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");

    let before_s = probe.cpu_seconds();
    thread::sleep(IDLE);
    let idle_s = probe.cpu_seconds() - before_s;
    let memory = Memory::of(probe.id());
    let mib = |kib: u64| kib as f64 / 1024.0;
    println!(
        "| idle for {} s | {idle_s:.2} ({:.2} % of a core) | 0 | - | 0 | 0, 0 | {:.1} | {:.1} |",
        IDLE.as_secs(),
        idle_s / IDLE.as_secs_f64() * 100.0,
        mib(memory.resident_kib),
        mib(memory.anonymous_kib)
    );

    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut before = (probe.cpu_seconds(), 0, 0);
    for mode in ["udp", "tcp"] {
        let began = Instant::now();
        let asked = Load { mode, port: knot.port, per_second: PER_SECOND }.rounds(ROUNDS, folder.path());
        let wall_s = began.elapsed().as_secs_f64();
        // Every interval with messages has been closed and delivered once an empty one follows.
        thread::sleep(Duration::from_secs(12));
        let cpu_s = probe.cpu_seconds() - before.0;
        let rows = batches(1);
        let sum = |column: &str| rows.iter().map(|row| number(row, column)).sum::<u64>();
        let (seen, dropped) = (sum("messages_seen") - before.1, sum("kernel_dropped") + sum("interface_dropped") - before.2);
        let messages = asked.sent + asked.completed;
        println!(
            "| {mode} | {cpu_s:.2} | {seen} of {messages} | {:.3} | {:.0} | {dropped} | {:.1} | {:.1} |",
            cpu_s / seen as f64 * 1e6,
            messages as f64 / wall_s,
            mib(Memory::of(probe.id()).resident_kib),
            mib(Memory::of(probe.id()).anonymous_kib)
        );
        assert!(
            seen == messages || (seen < messages && dropped > 0),
            "{seen} of {messages} messages, and {dropped} named as dropped"
        );
        before = (probe.cpu_seconds(), before.1 + seen, before.2 + dropped);
    }
    println!();
    probe.stop();
}
