//! More than there is room for: random names of a flood, a disk that accepts no writes, a central
//! that is gone. The probe stays within its memory, counts every message, and reports how much it
//! discarded and from when.

use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::MutexGuard;
use std::thread::sleep;
use std::time::Duration;
use zonepulse_tests::api::{ALL_TIME, Row, number, rfc3339_ms, text, time_ms};
use zonepulse_tests::dnsperf::Report;
use zonepulse_tests::needs::{capture_and_mount_rights, capture_rights, test_with};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::process::succeed;
use zonepulse_tests::{Api, Central, Knot, Probe, eventually};

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("a_flood_of_names_stays_within_the_memory_and_spares_the_names_that_exist", capture_rights, flood),
        test_with("a_full_disk_keeps_nobody_from_counting", capture_and_mount_rights, full_disk),
        test_with("a_disk_that_hangs_keeps_nobody_from_counting", capture_and_mount_rights, hanging_disk),
    ]
}

/// The default memory limit of a probe, KiB.
const MEMORY_KIB: u64 = 64 << 10;
/// Number of random names: several times the capacity of the table.
const MADE_UP: u32 = 150_000;
/// Names that exist, queried a hundred times each in every round.
const HONEST: [&str; 4] = ["www.example A", "mail.example A", "example MX", "www.example AAAA"];

fn flood(_alone: MutexGuard<'static, ()>) {
    let knot = Knot::start();
    let central = Central::start(&["flooded"]);
    let mut probe = Probe::new(&Settings { port: knot.port, interval_s: 5, ..Settings::http(&central, 0) });
    probe.start();
    let api = central.api();
    eventually("the probe's first batch is there", Duration::from_secs(30), || api.rows("dns/coverage", &[]).first().map(drop));
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    // Before the flood, the table learns the names that exist.
    let mut asked = ask(knot.port, &HONEST.map(|name| format!("{name}\n")).concat(), 2_000, 400, folder.path());
    sleep(Duration::from_secs(5));
    let mut questions = String::new();
    for number in 0..MADE_UP {
        // Writing to a string cannot fail.
        let _ = writeln!(questions, "{:012x}.example A", u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16);
        if number % 100 == 0 {
            let _ = writeln!(questions, "{}", HONEST[number as usize / 100 % HONEST.len()]);
        }
    }
    let flooded = ask(knot.port, &questions, MADE_UP + MADE_UP / 100, 10_000, folder.path());
    let most_kib = resident_kib(probe.id(), "VmHWM");
    asked = asked.and(flooded);
    probe.stop();
    // Queries that did not fit in knotd's socket buffer were on the wire: they are requests without
    // responses.
    let responses = knot.responses();
    let messages = asked.sent + responses.values().sum::<u64>();

    assert!(most_kib <= MEMORY_KIB, "{most_kib} KiB were resident");
    let lost = |rows: &[Row]| sum(rows, "kernel_dropped") + sum(rows, "interface_dropped");
    let rows = coverage_until(&api, |rows| sum(rows, "messages_seen") + lost(rows) >= messages);
    for row in &rows {
        assert_eq!(number(row, "messages_seen"), number(row, "hits") + number(row, "not_counted"), "{row:?}");
    }
    if lost(&rows) > 0 {
        eprintln!("flood: the probe names {} lost packets: no sum can be exact", lost(&rows));
        return;
    }
    // Totals by action and response code are exact, whatever was folded.
    let mut sums = BTreeMap::new();
    for row in api.all_rows("dns/raw", &[ALL_TIME]) {
        *sums.entry(text(&row, "rcode").to_owned()).or_default() += number(&row, "hits");
    }
    let mut expected = responses.clone();
    expected.insert("-".to_owned(), asked.sent);
    assert_eq!(sums, expected);
    // Names that exist are exact; most of the others are in one record, that of their zone.
    let honest = 500 + u64::from(MADE_UP) / 100 / HONEST.len() as u64;
    let unanswered = honest * HONEST.len() as u64 - responses["NOERROR"];
    for name in HONEST {
        let (host, record_type) = name.split_once(' ').expect("a name and a type");
        for action in ["request", "response"] {
            let parameters = [ALL_TIME, ("host", host), ("type", record_type), ("action", action)];
            let hits = sum(&api.all_rows("dns/raw", &parameters), "hits");
            let missing = if action == "request" { 0 } else { unanswered };
            assert!((honest - missing..=honest).contains(&hits), "{name} {action}: {hits} of {honest}");
        }
    }
    let of_zone = sum(&api.all_rows("dns/raw", &[ALL_TIME, ("host", "<other> example")]), "hits");
    let of_server = sum(&api.all_rows("dns/raw", &[ALL_TIME, ("host", "<other>")]), "hits");
    let folded: u64 = rows.iter().map(|row| counter(row, "messages_folded")).sum();
    assert_eq!(of_zone + of_server, folded);
    assert!(of_zone > u64::from(MADE_UP) / 4 && of_server < of_zone / 100, "{of_zone} of the zone, {of_server} of the server");
    eprintln!("flood: {most_kib} KiB at most, {folded} of {messages} messages folded");
}

fn full_disk(alone: MutexGuard<'static, ()>) {
    let mount = |spool: &Path, _folder: &Path| {
        let spool = spool.display();
        // Someone else's file fills the disk.
        format!("mount -t tmpfs -o size=1m tmpfs {spool} && {{ head -c 2M /dev/zero > {spool}/fill || true; }}")
    };
    overload(
        alone,
        mount,
        |_| {},
        |probe| {
            let fill = format!("/proc/{}/root{}", probe.id(), probe.spool().join("fill").display());
            fs::remove_file(fill).expect("the disk can be emptied");
        },
    );
}

fn hanging_disk(alone: MutexGuard<'static, ()>) {
    let mount = |spool: &Path, folder: &Path| {
        let (spool, disk) = (spool.display(), folder.join("disk"));
        let disk = disk.display();
        format!("truncate -s 64M {disk} && mkfs.ext4 -q {disk} && mount -o loop {disk} {spool}")
    };
    let freeze = |probe: &Probe, how: &str| {
        let mut command = Command::new("nsenter");
        command.args(["-m", "-t", &probe.id().to_string(), "fsfreeze", how]).arg(probe.spool());
        succeed(&mut command, Duration::from_secs(20));
    };
    overload(alone, mount, |probe| freeze(probe, "-f"), |probe| freeze(probe, "-u"));
}

/// The central is gone, and the disk accepts no writes for a while: as many batches as fit wait in
/// memory, older ones are discarded, and every captured message is in one or the other.
fn overload(
    _alone: MutexGuard<'static, ()>,
    mount: impl FnOnce(&Path, &Path) -> String,
    stop_disk: impl FnOnce(&Probe),
    free_disk: impl FnOnce(&Probe),
) {
    let knot = Knot::start();
    let mut central = Central::start(&["overloaded"]);
    let mut probe = Probe::new(&Settings { port: knot.port, interval_s: 1, ..Settings::http(&central, 0) });
    let script = format!("{} && exec \"$@\"", mount(&probe.spool(), probe.folder()));
    fs::create_dir_all(probe.spool()).expect("a test's folder is writable");
    probe.start_as(|command| {
        let mut unshared = Command::new("unshare");
        unshared.args(["-m", "sh", "-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
        command.get_envs().for_each(|(name, _)| _ = unshared.env_remove(name));
        // Little memory, so that few batches wait; the whole small disk may be used.
        unshared.env("ZONEPULSE_PROBE_MEMORY__MAX_BYTES", (29 << 20).to_string());
        unshared.env("ZONEPULSE_PROBE_CAPTURE__BUFFER_BYTES", (8 << 20).to_string());
        unshared.env("ZONEPULSE_PROBE_SPOOL__MIN_FREE_BYTES", "0");
        unshared
    });
    eventually("the probe listens", Duration::from_secs(30), || probe.log().contains("listening").then_some(()));
    central.stop();
    stop_disk(&probe);
    let questions: String = (0..4_000).map(|number| format!("name-{number:04}.example A\n")).collect();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let asked = ask(knot.port, &questions, 60_000, 4_000, folder.path());
    assert_eq!(asked.lost, 0, "{asked:?}");
    eventually("batches are given up", Duration::from_secs(30), || probe.log().contains("a batch was discarded").then_some(()));
    central.start_again();
    free_disk(&probe);
    // Waiting batches are written and delivered, and the next batch reports what was discarded.
    let api = central.api();
    let rows = coverage_until(&api, |rows| sum(rows, "batches_evicted") > 0 && rows.len() > 5);
    probe.stop();
    let rows = if rows.is_empty() { rows } else { coverage_until(&api, |_| true) };

    let log = probe.log();
    let given_up: Vec<(u64, u64)> = log.lines().filter(|line| line.contains("a batch was discarded")).map(lost_batch).collect();
    let lost: u64 = given_up.iter().map(|(_, hits)| hits).sum();
    assert!(lost > 10_000, "{given_up:?}");
    assert_eq!(sum(&rows, "hits") + lost, 2 * asked.sent, "every message was counted: {given_up:?}");
    assert_eq!(sum(&rows, "kernel_dropped"), 0, "{rows:?}");
    assert_eq!(sum(&rows, "batches_evicted"), given_up.len() as u64);
    let counted = central.metric(&format!("zonepulse_server_batches_evicted_total{{server=\"{}\"}}", central.servers[0].id));
    assert_eq!(counted, given_up.len() as u64);
    let said = central.log();
    let warning = said.lines().find(|line| line.contains("the probe gave up batches")).unwrap_or_else(|| panic!("{said}"));
    assert!(warning.contains("WARN") && warning.contains("server_id=") && warning.contains(" from=20"), "{warning}");
    let ranges: Vec<_> = rows.iter().filter(|row| number(row, "batches_evicted") > 0).collect();
    let from = ranges.iter().map(|row| time_ms(row, "evicted_from") / 1000).min();
    let until = ranges.iter().map(|row| time_ms(row, "evicted_until") / 1000).max();
    assert_eq!(from, given_up.iter().map(|(start_s, _)| *start_s).min());
    assert_eq!(until, given_up.iter().map(|(start_s, _)| start_s + 1).max());
}

/// Asks `count` of the questions in rotation, at most `per_second` per second.
fn ask(port: u16, questions: &str, count: u32, per_second: u32, folder: &Path) -> Report {
    let file = folder.join("questions");
    fs::write(&file, questions).expect("a test's folder is writable");
    let lines = questions.lines().count() as u32;
    let mut command = Command::new("dnsperf");
    command.args(["-s", "127.0.0.1", "-c", "4", "-q", "200"]).arg("-d").arg(file);
    command.args(["-p", &port.to_string(), "-Q", &per_second.to_string(), "-n", &count.div_ceil(lines).to_string()]);
    Report::parse(&succeed(&mut command, Duration::from_secs(120)))
}

/// A field of proc_pid_status(5) in KiB.
fn resident_kib(process: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field of proc_pid_status(5)");
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The coverage reports, once they satisfy the condition and nothing new arrives.
fn coverage_until(api: &Api, wanted: impl Fn(&[Row]) -> bool) -> Vec<Row> {
    let mut before = None;
    eventually("the coverage is complete", Duration::from_secs(60), || {
        let rows = api.all_rows("dns/coverage", &[ALL_TIME, ("sort", "time")]);
        let is_settled = wanted(&rows) && before == Some(sum(&rows, "messages_seen"));
        before = Some(sum(&rows, "messages_seen"));
        if !is_settled {
            sleep(Duration::from_millis(1500));
        }
        is_settled.then_some(rows)
    })
}

fn sum(rows: &[Row], column: &str) -> u64 {
    rows.iter().map(|row| number(row, column)).sum()
}

/// A counter without its own column.
fn counter(row: &Row, name: &str) -> u64 {
    let losses = text(row, "losses").split(' ').filter_map(|part| part.split_once('='));
    losses.filter(|(known, _)| *known == name).map(|(_, value)| value.parse::<u64>().expect("a number")).sum()
}

/// Start and hits of a batch discarded according to the log.
fn lost_batch(line: &str) -> (u64, u64) {
    let value = |name: &str| {
        let rest = line.split_once(&format!(" {name}=")).unwrap_or_else(|| panic!("no {name} in {line:?}")).1;
        rest.split_whitespace().next().expect("a value")
    };
    (rfc3339_ms(value("start")) / 1000, value("hits").parse().expect("a number"))
}
