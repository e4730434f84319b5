//! What `tally` finds of the messages in the public captures, compared with tshark and other tools:
//! `docs/RECALL.md`, which `make recall` writes and a test keeps up to date.
//!
//! tshark is a reference, not the truth. Each of tshark's messages is looked for by direction, type
//! and name, and each counted message is looked for among tshark's. Wherever the two differ, a
//! reason must be listed in [`REASONS`].

use super::probe::tally;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;
use zonepulse_dns::RecordType;
use zonepulse_fixtures::Corpus;
use zonepulse_wire::Counter;

/// Why the result differs from tshark's, by file.
const REASONS: [(&str, &str); 3] = [
    (
        "dnscap__src_test_do1t-nosyn-1nolen.pcap",
        "the capture begins mid-connection; the two octets of a length are in a segment of their own, and the query after them \
         is read, which tshark does not do",
    ),
    ("tcpdump__dns-zlip-3.pcap", "a datagram to port 53 without a header, which tshark does not recognize as DNS"),
    ("zeek__ipv6-hbh-routing0.pcap", "a datagram to port 53 with a truncated header, which tshark does not count"),
];

/// A file of the corpus.
#[derive(Debug)]
pub struct Row {
    file: String,
    /// DNS messages in it according to tshark, or golang-dnstap for files that tshark cannot read.
    pub expected: u64,
    /// Messages quoted in ICMP errors, multicast DNS and LLMNR, which do not count.
    set_aside: u64,
    /// Messages in the tally.
    pub counted: u64,
    /// Messages seen that are not queries, by reason.
    apart: BTreeMap<&'static str, u64>,
    /// What else could not be read, by reason.
    lost: BTreeMap<&'static str, u64>,
    /// Messages in the tally that tshark does not have, by direction, type and name.
    pub strangers: Vec<String>,
    /// What other tools find.
    peers: Option<Peers>,
    /// Why a file could not be read completely.
    damage: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Peers {
    dnscap: u64,
    packetq: u64,
    dnstop: u64,
}

impl Row {
    /// Number of messages seen.
    pub fn found(&self) -> u64 {
        self.counted + self.apart.values().sum::<u64>()
    }

    /// Why it differs; `None` if no reason is known.
    pub fn reason(&self) -> Option<&'static str> {
        REASONS.iter().find(|(file, _)| *file == self.file).map(|(_, reason)| *reason)
    }

    /// Whether exactly the expected messages are found, or there is a reason for a difference.
    pub fn is_explained(&self) -> bool {
        (self.found() == self.expected && self.strangers.is_empty()) || self.reason().is_some()
    }

    fn remarks(&self) -> String {
        let list = |of: &BTreeMap<&str, u64>| of.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>();
        let mut remarks = list(&self.apart);
        remarks.extend(list(&self.lost).into_iter().map(|lost| format!("also: {lost}")));
        remarks.extend(self.damage.clone());
        remarks.extend(self.reason().map(str::to_owned));
        remarks.join("; ")
    }
}

/// The key for comparing messages: whether it is a response, its type, and its name. The two tools
/// spell names differently if they contain anything but letters, digits, `-`, `_` and `*`.
type Key = (bool, u16, Option<String>);

fn key(response: bool, record_type: u16, name: &str) -> Key {
    let name = if name == "<Root>" { "" } else { name.strip_suffix('.').unwrap_or(name) };
    let plain = name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_*.".contains(&octet));
    (response, record_type, plain.then(|| name.to_ascii_lowercase()))
}

/// Reads each public capture separately.
pub fn rows(corpus: &Corpus) -> Vec<Row> {
    let (expected, peers, dnstap) = (by_tshark(corpus), by_peers(corpus), dnstap_messages(corpus));
    let paths = corpus.public_captures().expect("the corpus is readable");
    let row = |path: &std::path::PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let seen = expected.get(&file);
        let known = dnstap.get(&file).copied();
        let (expected, set_aside) = seen.map_or((known.unwrap_or(0), 0), |seen| (seen.messages, seen.set_aside));
        let keys = seen.map(|seen| seen.keys.clone()).unwrap_or_default();
        let mut row = read(path, file.clone(), keys);
        (row.expected, row.set_aside, row.peers) = (expected, set_aside, peers.get(&file).copied());
        if known.is_some() {
            // golang-dnstap counted the messages, but did not list them.
            row.strangers.clear();
        }
        row
    };
    paths.iter().map(row).collect()
}

/// Reads a file with `tally`.
fn read(path: &Path, file: String, mut keys: BTreeMap<Key, u64>) -> Row {
    let output = tally(&[path.as_os_str()], Duration::from_secs(60));
    assert!(!output.err.contains("panicked"), "{file}: {}", output.err);
    let (mut counted, mut strangers) = (0, Vec::new());
    for line in output.out.lines().skip(1) {
        let [host, record_type, action, _, hits, _, _] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{file}: {line:?} has not seven columns");
        };
        let hits: u64 = hits.parse().expect("hits are a number");
        let record_type: RecordType = record_type.parse().expect("a type");
        counted += hits;
        let left = keys.entry(key(action == "response", record_type.value(), host)).or_default();
        if *left < hits {
            strangers.push(format!("{action} {host} {record_type}"));
        }
        *left = left.saturating_sub(hits);
    }
    let count = |counter: &Counter| {
        let name = counter.as_str();
        let value = |line: &str| {
            line.rsplit_once(' ').filter(|(before, _)| before.ends_with(&format!(" {name}"))).map(|(_, value)| value.to_owned())
        };
        let value = output.err.lines().find_map(value)?;
        Some((name, value.parse().expect("a count")))
    };
    let (apart, lost) = Counter::ALL.iter().partition::<Vec<&Counter>, _>(|counter| Counter::NOT_COUNTED.contains(counter));
    let damage = output.err.lines().find(|line| output.code != Some(0) && !line.contains(" packets, "));
    let damage = damage.and_then(|line| line.split_once(": ")).map(|(_, what)| what.to_owned());
    Row {
        file,
        expected: 0,
        set_aside: 0,
        counted,
        apart: apart.into_iter().filter_map(count).collect(),
        lost: lost.into_iter().filter(|counter| !Counter::NO_LOSS.contains(counter)).filter_map(count).collect(),
        strangers,
        peers: None,
        damage,
    }
}

/// What tshark sees in a file.
#[derive(Default)]
struct Seen {
    messages: u64,
    set_aside: u64,
    keys: BTreeMap<Key, u64>,
}

fn by_tshark(corpus: &Corpus) -> BTreeMap<String, Seen> {
    let mut files: BTreeMap<String, Seen> = BTreeMap::new();
    for line in fs::read_to_string(corpus.public_captures_expected()).expect("the corpus is readable").lines().skip(1) {
        let [file, _, protocol, _, directions, _, names, types] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
        let seen = files.entry(file.to_owned()).or_default();
        let (directions, names, types): (Vec<_>, Vec<_>, Vec<_>) =
            (directions.split('|').collect(), names.split('|').collect(), types.split('|').collect());
        if protocol != "dns" {
            seen.set_aside += directions.len() as u64;
            continue;
        }
        seen.messages += directions.len() as u64;
        if directions.len() == names.len() && names.len() == types.len() {
            for ((direction, name), record_type) in directions.iter().zip(names).zip(types) {
                let Ok(record_type) = record_type.parse() else { continue };
                *seen.keys.entry(key(*direction == "1", record_type, name)).or_default() += 1;
            }
        }
    }
    files
}

fn by_peers(corpus: &Corpus) -> BTreeMap<String, Peers> {
    let line = |line: &str| {
        let fields: Vec<_> = line.split('\t').collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let peers = Peers { dnscap: number(2)?.max(number(3)?), packetq: number(4)?, dnstop: number(5)? };
        Some(((*fields.first()?).to_owned(), peers))
    };
    let text = fs::read_to_string(corpus.public_captures_peers()).expect("the corpus is readable");
    text.lines().skip(1).filter_map(line).collect()
}

/// The number of messages in each dnstap file.
fn dnstap_messages(corpus: &Corpus) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let fields: Vec<_> = line.split('\t').collect();
        let file = fields.first().filter(|file| file.ends_with(".dnstap"))?;
        Some(((*file).to_owned(), fields.get(5)?.parse().ok()?))
    };
    let text = fs::read_to_string(corpus.public_captures_index()).expect("the corpus is readable");
    text.lines().skip(1).filter_map(line).collect()
}

/// The complete document.
pub fn document(rows: &[Row]) -> String {
    let sum = |of: &dyn Fn(&Row) -> u64| rows.iter().map(of).sum::<u64>();
    let expected = sum(&|row| row.expected);
    let by_packet = sum(&|row| row.peers.map_or(0, |_| row.expected));
    let found = sum(&|row| row.found().min(row.expected));
    let peer = |of: fn(Peers) -> u64| sum(&move |row| row.peers.map_or(0, |peers| of(peers).min(row.expected)));
    let share = |count: u64, of: u64| 100.0 * count as f64 / of.max(1) as f64;
    let (dnscap, packetq, dnstop) = (peer(|p| p.dnscap), peer(|p| p.packetq), peer(|p| p.dnstop));
    let mut text = format!(
        "# Recall on public captures\n\n\
         Generated by `make recall`, which runs `zonepulse-probe tally` on {files} captures from public repositories, many of\n\
         them made to be hard to read.\n\n\
         * *Expected* is the number of DNS messages that tshark 4.0 finds (golang-dnstap 0.4 in dnstap files).\n\
         * *Counted* are queries and their responses.\n\
         * *Not counted* are messages that are recognized but not counted as queries or responses; the remarks name the counter.\n\
         * *Missing* and *extra* are the differences from what is expected.\n\
         * *Not DNS* are messages quoted in ICMP errors, multicast DNS and LLMNR, which are not a server's messages.\n\
         * dnscap (with or without its options, whichever finds more), PacketQ and dnstop (queries only) were run on the same\n  \
           files; they do not read dnstap.\n\n\
         Found: {found} of {expected} messages, {:.2} %. Of the {by_packet} messages in packets, dnscap finds {dnscap} ({:.1} %), \
         PacketQ {packetq} ({:.1} %), dnstop {dnstop} ({:.1} %).\n\n\
         | file | expected | counted | not counted | missing | extra | not DNS | dnscap | PacketQ | dnstop | remarks |\n\
         | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --- |\n",
        share(found, expected),
        share(dnscap, by_packet),
        share(packetq, by_packet),
        share(dnstop, by_packet),
        files = rows.len(),
    );
    for row in rows {
        let peer = |of: fn(Peers) -> u64| row.peers.map_or_else(|| "–".to_owned(), |peers| of(peers).to_string());
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            row.file,
            row.expected,
            row.counted,
            row.found() - row.counted,
            row.expected.saturating_sub(row.found()),
            row.found().saturating_sub(row.expected),
            row.set_aside,
            peer(|p| p.dnscap),
            peer(|p| p.packetq),
            peer(|p| p.dnstop),
            row.remarks(),
        );
    }
    text
}
