//! Full transfers with a throttled reader, compared with `kdig AXFR` of the same server.

use super::server::{Kind, SECRET, Server, apex, key};
use super::zone::{Sum, line, line_of_kdig, zone};
use super::{run, test_with};
use libtest_mimic::Trial;
use std::io::{BufRead, BufReader};
use std::process::Command;
use std::time::{Duration, Instant};
use zonepulse_catalogue::transfer::{self, Primary};

/// Set to the server's address in the process that only reads a zone, so that its memory can be measured.
const READER: &str = "ZONEPULSE_TESTS_TRANSFER_READER";

pub fn trials() -> Vec<Trial> {
    let kinds = [(Kind::Knot, "knot"), (Kind::Nsd, "nsd"), (Kind::Bind, "bind")];
    let equal = |(kind, name): (Kind, &str)| {
        test_with(
            format!("a_full_zone_of_{name}_is_what_kdig_says"),
            move || kind.need(),
            move |()| equals_kdig(kind, records(), ""),
        )
    };
    let mut trials: Vec<Trial> = kinds.into_iter().map(equal).collect();
    trials.push(test_with(
        "a_full_zone_in_messages_of_one_record_is_complete",
        || Kind::Bind.need(),
        |()| equals_kdig(Kind::Bind, records().min(5_000), "transfer-format one-answer;"),
    ));
    trials
}

/// Size of the large zones.
pub fn records() -> usize {
    std::env::var("ZONEPULSE_TESTS_TRANSFER_RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

fn equals_kdig(kind: Kind, records: usize, options: &str) {
    let zone = zone(records, 2_026_112_701);
    let server = Server::start_with(kind, &zone, options);
    drop(zone);
    let expected = sum_of_kdig(&server);
    assert!(expected.count >= records as u64, "kdig has {expected:?}");
    let output = Command::new(std::env::current_exe().unwrap()).env(READER, server.address.to_string()).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("{kind:?} {options}: {shown}");
    let words: Vec<&str> = shown.split_whitespace().collect();
    let found = Sum { count: words[0].parse().unwrap(), sum: words[1].parse().unwrap() };
    assert_eq!(found, expected);
    // The whole program: a zone of a million records has about 45 MB on the wire alone.
    let peak_kib: u64 = words[2].parse().unwrap();
    assert!(peak_kib < 32 * 1024, "{peak_kib} KiB");
}

/// What `kdig` transfers. It prints the last SOA too.
pub fn sum_of_kdig(server: &Server) -> Sum {
    // Into a file, since a pipe would slow it down.
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = server.kdig(&["+generic", "AXFR", "example."]);
    assert!(command.stdout(file.reopen().unwrap()).status().unwrap().success());
    let mut sum = Sum::default();
    let mut first: Option<String> = None;
    for text in BufReader::new(file).lines() {
        let Some(line) = line_of_kdig(&text.unwrap()) else { continue };
        if first.as_ref() != Some(&line) {
            sum.add(&line);
        }
        first.get_or_insert(line);
    }
    sum
}

/// Whether this process is one that only reads a zone.
pub fn is_reader() -> bool {
    std::env::var_os(READER).is_some()
}

/// Reads a zone with pauses, and prints the number of records, the sum of their hashes, the peak of memory, and times.
pub fn read() {
    let address = std::env::var(READER).unwrap().parse().unwrap();
    let primary = Primary::new(address, Some(key("transfer", SECRET)));
    let start = Instant::now();
    let mut sum = Sum::default();
    run(async {
        let mut full = transfer::axfr(&primary, &apex()).await.unwrap();
        while let Some(record) = full.next().await.unwrap() {
            sum.add(&line(&record));
            if sum.count % 2_000 == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    println!("{} {} {} KiB, {:.1?}, {}", sum.count, sum.sum, peak_kib(), start.elapsed(), cpu());
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// CPU time of this process, from proc(5) with 100 ticks per second.
fn cpu() -> String {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let words: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |at: usize| words[at].parse::<f64>().unwrap() / 100.0;
    format!("{:.2} s user, {:.2} s system", ticks(11), ticks(12))
}
