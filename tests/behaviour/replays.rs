//! Replays count once, at plausible times; and they report what the central does not keep.

use libtest_mimic::Trial;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use zonepulse_fixtures::{Format, LinkType, Message, Packet, capture, udp};
use zonepulse_tests::api::{ALL_TIME, number, text, time_ms};
use zonepulse_tests::batches::{REQUEST, batch, encode, point};
use zonepulse_tests::needs::test;
use zonepulse_tests::probe::Settings;
use zonepulse_tests::process::{Output, program_command, run};
use zonepulse_tests::{Central, Probe, eventually, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_capture_in_another_format_or_with_other_memory_counts_once", once_in_any_format),
        test("a_replay_of_impossible_times_counts_none_of_them_and_says_so", impossible_times),
        test("a_replay_beyond_retention_says_so_and_counts_in_totals", beyond_retention),
        test("a_refused_batch_is_sent_again_while_the_probe_runs", resend),
    ]
}

const DAY_US: u64 = 86_400 * 1_000_000;

fn query(time_us: u64, name: &str) -> Packet {
    let (client, server) = ("192.0.2.10:40000".parse().expect("an address"), "192.0.2.53:53".parse().expect("an address"));
    udp(time_us, client, server, &Message::query(name, 1).bytes())
}

fn write(probe: &Probe, format: Format, packets: &[Packet]) -> PathBuf {
    let path = probe.folder().join("some.pcap");
    fs::write(&path, capture(format, LinkType::Ethernet, packets)).expect("a test's folder is writable");
    path
}

fn assert_says(output: &Output, name: &str, count: u64) {
    assert!(output.out.lines().any(|line| line == format!("{name}\t{count}")), "{name} {count}: {}", output.out);
}

fn once_in_any_format() {
    let central = Central::start(&["once"]);
    let begin_us = unix_ms() * 1000 - 600_000_000;
    let packets: Vec<_> = (0..200).map(|n| query(begin_us + n * 1_000_000, &format!("n{}.example", n % 50))).collect();
    for format in [Format::Pcap, Format::PcapNanoseconds, Format::PcapNg] {
        // Only the central remembers the first replay.
        let probe = Probe::new(&Settings::http(&central, 0));
        let path = write(&probe, format, &packets);
        for memory in ["memory.max_bytes=67108864", "memory.max_bytes=41943040"] {
            let output = probe.try_replay(&[path.as_os_str(), "--set".as_ref(), memory.as_ref()], Duration::from_secs(60));
            assert_eq!(output.code, Some(0), "{}", output.err);
            assert_says(&output, "hits", 200);
        }
    }
    let hits: u64 = central.api().rows("dns/aggregate", &[]).iter().map(|row| number(row, "hits")).sum();
    assert_eq!(hits, 200);
}

fn impossible_times() {
    let central = Central::start(&["possible"]);
    let probe = Probe::new(&Settings::http(&central, 0));
    let now_us = unix_ms() * 1000 - 60_000_000;
    let packets = [
        query(now_us, "a.example"),
        query(now_us + 3650 * DAY_US, "a.example"),
        query(1_000_000, "a.example"),
        query(now_us + 1_000_000, "a.example"),
    ];
    let output = probe.replay(&write(&probe, Format::Pcap, &packets));
    for (name, count) in [("hits", 2), ("messages_seen", 4), ("time_in_future", 1), ("time_too_early", 1)] {
        assert_says(&output, name, count);
    }
    assert!(output.err.contains("impossible times"), "{}", output.err);
    let rows = central.api().rows("dns/aggregate", &[]);
    assert_eq!((rows.len(), number(&rows[0], "hits")), (1, 2));
    let age_ms = unix_ms() - time_ms(&rows[0], "last_access");
    assert!(age_ms < 3_600_000, "{:?}", rows[0]);
}

fn beyond_retention() {
    let retention = [("ZONEPULSE_STORE__RAW_RETENTION_MINUTES", "1440"), ("ZONEPULSE_STORE__AGGREGATED_RETENTION_DAYS", "30")];
    let central = Central::start_on(&std::env::temp_dir(), &["old"], &retention);
    let probe = Probe::new(&Settings::http(&central, 0));
    let now_us = unix_ms() * 1000;
    let packets = [query(now_us - 60 * DAY_US, "old.example"), query(now_us - 3 * DAY_US, "old.example")];
    let output = probe.replay(&write(&probe, Format::Pcap, &packets));
    for (name, count) in [("hits", 2), ("delivered_without_raw_points", 1), ("delivered_without_points", 1)] {
        assert_says(&output, name, count);
    }
    assert!(output.err.contains("older than the central's retention"), "{}", output.err);
    let rows = central.api().rows("dns/aggregate", &[]);
    assert_eq!((rows.len(), number(&rows[0], "hits")), (1, 2), "totals have both: {rows:?}");
    assert_eq!(central.api().rows("dns/raw", &[ALL_TIME]), [], "points have neither");

    let output = probe.replay(&write(&probe, Format::Pcap, &[query(now_us - 60_000_000, "new.example")]));
    assert_says(&output, "delivered_without_raw_points", 0);
    assert!(!output.err.contains("older than the central's retention"), "{}", output.err);
}

fn resend() {
    let central = Central::start(&["again"]);
    let mut probe = Probe::new(&Settings { device: "nosuchdevice0", ..Settings::http(&central, 0) });
    // A batch that an older central refused, and this one accepts.
    let start_s = unix_ms() / 60_000 * 60 - 600;
    let name = format!("{start_s:012}-{:020}-{:010}", 3, 7);
    let bytes = encode(&batch(central.servers[0].id, 3, 7, start_s, &[point("again.example.", "A", REQUEST, 5, 0)]));
    let refused = probe.spool().join("refused");
    fs::create_dir_all(&refused).expect("a test's folder is writable");
    fs::write(refused.join(format!("{name}.batch")), bytes).expect("a test's folder is writable");
    fs::write(refused.join(format!("{name}.reason")), "415: version 2\n").expect("a test's folder is writable");
    probe.start();
    eventually("the probe runs", Duration::from_secs(20), || probe.log().contains("spool opened").then_some(()));

    let command = |arguments: &[&str]| {
        let mut command = program_command("zonepulse-probe");
        run(command.arg("resend").arg("--config").arg(probe.config()).args(arguments), Duration::from_secs(20))
    };
    let listed = command(&[]);
    assert_eq!(listed.code, Some(0), "{}", listed.err);
    assert!(listed.out.starts_with(&format!("{name}\t")) && listed.out.contains("\trefused\t415: version 2\n"), "{}", listed.out);
    assert_eq!(command(&["nonsense"]).code, Some(1));
    assert!(command(&["nonsense"]).err.contains("nonsense"));

    assert_eq!(command(&[&name]).code, Some(0));
    let rows = eventually("the batch has arrived", Duration::from_secs(30), || {
        Some(central.api().rows("dns/aggregate", &[])).filter(|rows| !rows.is_empty())
    });
    assert_eq!((text(&rows[0], "host"), number(&rows[0], "hits")), ("again.example.", 5));
    let again = command(&["--all"]);
    assert_eq!((again.code, again.out.as_str()), (Some(0), "0 batches will be sent again\n"), "{}", again.err);
    assert_eq!(command(&[]).out, "");
    probe.stop();
}
