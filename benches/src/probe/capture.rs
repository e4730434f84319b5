//! The corpus's large capture: 1,380,000 messages over UDP and TCP, IPv4 and IPv6.

use super::table::{Contestant, FEW_ROUNDS, ROUNDS, compare, installed, print};
use super::tally::{PORT, hits, tally};
use super::{dnstap, floor_command};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use zonepulse_fixtures::Corpus;
use zonepulse_tests::probe::Settings;
use zonepulse_tests::sums::{self, Sums};
use zonepulse_tests::{Central, Probe, needs};

const MESSAGES: u64 = 1_380_000;
/// tshark needs so much time, and memory for every packet, that it only gets this many packets.
const PART: usize = 100_000;

static TRUTH: OnceLock<Sums> = OnceLock::new();

pub fn run() {
    let corpus = match needs::corpus() {
        Ok(corpus) => corpus,
        Err(reason) => return println!("probe: the large capture is left out: {reason}\n"),
    };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let plain = decompressed(&corpus, folder.path());
    TRUTH.get_or_init(|| sums::truth(&corpus));
    let central = Central::start(&["bench"]);
    let probe = Probe::new(&Settings { port: PORT, ..Settings::http(&central, 0) });
    let mut contestants = vec![ours("`zonepulse-probe tally`", tally(&plain)), served(&plain)];
    contestants.push(Contestant {
        name: "`zonepulse-probe replay`, delivered to a central",
        command: {
            let plain = plain.clone();
            Box::new(move |_| probe.replay_command(&plain))
        },
        found: |text, _| text.lines().find_map(|line| line.strip_prefix("hits\t")?.parse().ok()),
        messages: MESSAGES,
        rounds: FEW_ROUNDS,
    });
    contestants.push(Contestant {
        name: "reading with libpcap, no more (the floor)",
        command: {
            let plain = plain.clone();
            Box::new(move |_| floor_command(&plain))
        },
        found: |_, _| None,
        messages: MESSAGES,
        rounds: ROUNDS,
    });
    let others = [
        ("dnstop", dnstop(&plain)),
        ("dnscap", dnscap_rssm(&plain)),
        ("dnscap", dnscap_text(&plain)),
        ("packetq", packetq(&plain)),
    ];
    for (program, contestant) in others {
        match installed(program) {
            true => contestants.push(contestant),
            false => println!("{program} is not on this machine: left out of the table"),
        }
    }
    println!("queries-5533.pcap: {MESSAGES} messages, UDP and TCP, IPv4 and IPv6\n");
    print(&compare(&contestants, folder.path()));

    let compressed = corpus.queries_5533();
    println!("The same compressed with zstd, and as dnstap (UDP messages only)\n");
    let contestants = [
        ours("`zonepulse-probe tally`", tally(&plain)),
        ours("`tally` of the zstd file", tally(&compressed)),
        dnstap::contestant(&plain, folder.path()),
    ];
    print(&compare(&contestants, folder.path()));

    if installed("tshark") {
        let part = folder.path().join("part.pcap");
        cut(&plain, &part, PART);
        println!("The first {PART} packets of it, for tshark\n");
        let part_of_ours = Contestant {
            found: |text, _| Some(hits(text)),
            messages: PART as u64,
            rounds: FEW_ROUNDS,
            ..ours("`zonepulse-probe tally`", tally(&part))
        };
        print(&compare(&[part_of_ours, tshark(&part)], folder.path()));
    } else {
        println!("tshark is not on this machine: left out");
    }
}

fn decompressed(corpus: &Corpus, folder: &Path) -> PathBuf {
    let plain = folder.join("queries-5533.pcap");
    let target = File::create(&plain).expect("a bench's folder is writable");
    let status = Command::new("zstd").arg("-dcq").arg(corpus.queries_5533()).stdout(target).status().expect("zstd runs");
    assert!(status.success(), "zstd ends with {status}");
    plain
}

/// One of our own, whose result is checked against the truth.
fn ours(name: &'static str, command: impl Fn() -> Command + 'static) -> Contestant {
    let found = |text: &str, _: &Path| {
        sums::assert_equal(&sums::of_tally(text), TRUTH.get().expect("it was read before"));
        Some(hits(text))
    };
    Contestant { name, command: Box::new(move |_| command()), found, messages: MESSAGES, rounds: ROUNDS }
}

/// `tally` with what the responses served, in a second table; each of them was made from at least one RRset.
fn served(file: &Path) -> Contestant {
    let tally = tally(file);
    let command = move || {
        let mut command = tally();
        command.arg("--served");
        command
    };
    let found = |text: &str, _: &Path| {
        let (messages, served) = text.split_once("\n\n").expect("two tables");
        sums::assert_equal(&sums::of_tally(messages), TRUTH.get().expect("it was read before"));
        let count = |line: &str| line.split('\t').nth(4).and_then(|count| count.parse::<u64>().ok());
        let responses: u64 = served.lines().filter_map(count).sum();
        assert!(responses >= MESSAGES / 2, "{responses} RRsets served");
        Some(hits(messages))
    };
    Contestant { found, ..ours("`zonepulse-probe tally --served`", command) }
}

/// Debian's `dnstop` prints its tables if its input is not a terminal. It supports only UDP.
fn dnstop(file: &Path) -> Contestant {
    let file = file.to_owned();
    let command = move |_: &Path| {
        let mut command = Command::new("dnstop");
        command.args(["-Q", "-R", "-X", "-l", "3", "-b", &format!("port {PORT}")]).arg(&file);
        command
    };
    Contestant {
        name: "dnstop, names of three labels",
        command: Box::new(command),
        found: dnstop_found,
        messages: MESSAGES,
        rounds: ROUNDS,
    }
}

/// The sum of queries by type and responses by code.
pub fn dnstop_found(text: &str, _: &Path) -> Option<u64> {
    let sum = |title: &str| -> u64 {
        let lines = text.lines().skip_while(|line| !line.starts_with(title)).skip(2).take_while(|line| !line.is_empty());
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
    };
    Some(sum("Query Type") + sum("Rcode"))
}

fn dnscap(file: &Path, plugin: &'static str, arguments: &'static [&'static str]) -> impl Fn(&Path) -> Command + 'static {
    let file = file.to_owned();
    move |folder| {
        let mut command = Command::new("dnscap");
        command.current_dir(folder).args(["-N", "-T", "-u", &PORT.to_string(), "-r"]).arg(&file);
        for layer in ["use_layers", "defrag_ipv4", "defrag_ipv6", "parse_ongoing_tcp", "reassemble_tcp"] {
            command.args(["-o", &format!("{layer}=yes")]);
        }
        let folder = format!("/usr/lib/{}-linux-gnu/dnscap", std::env::consts::ARCH);
        command.arg("-P").arg(format!("{folder}/{plugin}")).args(arguments);
        command
    }
}

/// Counts by kind and size, not by name.
fn dnscap_rssm(file: &Path) -> Contestant {
    let found = |_: &str, folder: &Path| {
        let written =
            fs::read_dir(folder).ok()?.flatten().find(|entry| entry.file_name().to_string_lossy().starts_with("rssm."))?;
        let text = fs::read_to_string(written.path()).ok()?;
        let lines = text.lines().filter(|line| line.contains("-queries-received-ipv") || line.contains("-responses-sent-ipv"));
        Some(lines.filter_map(|line| line.split(' ').nth(1)?.parse::<u64>().ok()).sum())
    };
    let command = Box::new(dnscap(file, "rssm.so", &["-D", "-w", "rssm"]));
    Contestant {
        name: "dnscap, rssm plugin, TCP reassembly (not by name)",
        command,
        found,
        messages: MESSAGES,
        rounds: FEW_ROUNDS,
    }
}

/// Prints type and name of each message, which would still have to be counted.
fn dnscap_text(file: &Path) -> Contestant {
    let command = Box::new(dnscap(file, "txtout.so", &["-s"]));
    let found = |text: &str, _: &Path| Some(text.lines().count() as u64);
    Contestant {
        name: "dnscap, text output, TCP reassembly (not counted)",
        command,
        found,
        messages: MESSAGES,
        rounds: FEW_ROUNDS,
    }
}

fn packetq(file: &Path) -> Contestant {
    let file = file.to_owned();
    let command = move |_: &Path| {
        let mut command = Command::new("packetq");
        command.args(["--csv", "-s", "select qname, qtype, count(*) as messages from dns group by qname, qtype"]).arg(&file);
        command
    };
    let found = |text: &str, _: &Path| {
        Some(text.lines().filter_map(|line| line.rsplit(',').next()?.trim_matches('"').parse::<u64>().ok()).sum())
    };
    Contestant { name: "packetq, by name and type", command: Box::new(command), found, messages: MESSAGES, rounds: FEW_ROUNDS }
}

fn tshark(file: &Path) -> Contestant {
    let file = file.to_owned();
    let command = move |_: &Path| {
        let mut command = Command::new("tshark");
        command.args(["-n", "-Y", "dns", "-T", "fields", "-e", "dns.qry.name", "-e", "dns.qry.type", "-e", "dns.flags.rcode"]);
        command.args(["-d", &format!("udp.port=={PORT},dns"), "-d", &format!("tcp.port=={PORT},dns"), "-r"]).arg(&file);
        command
    };
    let found = |text: &str, _: &Path| {
        Some(text.lines().map(|line| line.split('\t').next().unwrap_or_default().split(',').count() as u64).sum())
    };
    Contestant {
        name: "tshark, a line for each message (not counted)",
        command: Box::new(command),
        found,
        messages: PART as u64,
        rounds: FEW_ROUNDS,
    }
}

/// Writes the first packets of a capture in classic little-endian format.
pub fn cut(from: &Path, to: &Path, packets: usize) {
    let bytes = fs::read(from).expect("the capture was written before");
    let mut end = 24;
    for _ in 0..packets {
        let length = bytes[end + 8..].first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
        end += 16 + length as usize;
    }
    fs::write(to, &bytes[..end]).expect("a bench's folder is writable");
}
