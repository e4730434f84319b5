//! One tally, however the packets were captured and the file was written.

use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zonepulse_fixtures::{Format, LinkType, Message, Packet, Tap, capture, dnstap_stream, sample, tcp, udp};
use zonepulse_tests::api::{number, text, time_ms};
use zonepulse_tests::needs::{test, test_with};
use zonepulse_tests::probe::{Settings, tally};
use zonepulse_tests::{Central, Probe, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![
        test("every_file_format_and_link_type_gives_the_same_tally", same_tally),
        test("a_damaged_capture_yields_what_stands_before_the_damage", damaged),
        test("several_files_are_one_tally_and_a_missing_one_is_named", several_files),
        test("messages_that_are_no_queries_are_in_counters_of_their_own", counters),
        test("a_link_type_that_is_not_read_is_named_with_its_number", unread_link_type),
        test("a_wrong_port_is_answered_with_those_that_carry_dns", wrong_port),
        test("a_capture_of_another_version_is_not_read_and_its_version_is_named", other_versions),
        test("a_replay_of_another_machines_capture_says_that_nothing_of_it_counts", others),
        test_with("a_replay_that_ends_now_keeps_the_distances_in_time", the_sample, ends_now),
    ]
}

const BEGIN_US: u64 = 1_700_000_000_123_456;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PUSH: u8 = 0x18;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("a test knows its addresses")
}

/// A query and its answer over UDP, IPv4 and IPv6; over TCP two queries in one segment, and an
/// answer in two segments.
fn packets() -> Vec<Packet> {
    let mut packets = Vec::new();
    let mut time_us = BEGIN_US;
    let mut next = || {
        time_us += 1_000;
        time_us
    };
    for (client, server) in [("192.0.2.10:40000", "192.0.2.53:53"), ("[2001:db8::10]:40000", "[2001:db8::53]:53")] {
        let (client, server) = (address(client), address(server));
        packets.push(udp(next(), client, server, &Message::query("WWW.example", 1).bytes()));
        packets.push(udp(next(), server, client, &Message::response("www.example", 1, 0).bytes()));

        let two = [Message::query("one.example", 28).bytes_tcp(), Message::query("two.example", 15).bytes_tcp()].concat();
        packets.push(tcp(next(), client, server, 99, SYN, b""));
        packets.push(tcp(next(), server, client, 999, SYN | 0x10, b""));
        packets.push(tcp(next(), client, server, 100, PUSH, &two));
        let answer = Message::response("two.example", 15, 3).bytes_tcp();
        let (first, second) = answer.split_at(7);
        packets.push(tcp(next(), server, client, 1000, PUSH, first));
        packets.push(tcp(next(), server, client, 1000 + first.len() as u32, PUSH, second));
        packets.push(tcp(next(), client, server, 100 + two.len() as u32, FIN | 0x10, b""));
    }
    packets
}

/// The same as reported with dnstap by two servers: an authoritative one, and a resolver that
/// queries it.
fn told() -> Vec<Tap> {
    let (www, asked, answered) =
        (Message::query("WWW.example", 1), Message::query("two.example", 15), Message::response("two.example", 15, 3));
    let mut told = Vec::new();
    for (query, response) in [(1, 2), (5, 6)] {
        told.extend([
            Tap::new(query, &www.bytes(), BEGIN_US),
            Tap::new(response, &Message::response("www.example", 1, 0).bytes(), BEGIN_US + 1000),
            Tap::new(query, &Message::query("one.example", 28).bytes(), BEGIN_US + 2000),
            Tap::new(query, &asked.bytes(), BEGIN_US + 2000),
            Tap { query: (Some(asked.bytes()), None), ..Tap::new(response, &answered.bytes(), BEGIN_US + 3000) },
        ]);
    }
    told.extend([Tap::new(3, &www.bytes(), BEGIN_US), Tap::new(4, &answered.bytes(), BEGIN_US)]);
    told
}

/// The expected output of `tally`: host, type, action, rcode and hits.
const EXPECTED: [(&str, &str, &str, &str, u64); 5] = [
    ("one.example.", "AAAA", "request", "-", 2),
    ("two.example.", "MX", "request", "-", 2),
    ("two.example.", "MX", "response", "NXDOMAIN", 2),
    ("www.example.", "A", "request", "-", 2),
    ("www.example.", "A", "response", "NOERROR", 2),
];

type Lines = BTreeMap<(String, String, String, String), u64>;

fn lines(out: &str) -> Lines {
    let line = |line: &str| {
        let [host, record_type, action, rcode, hits, _, _] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line:?} has not seven columns");
        };
        let key = (host.to_owned(), record_type.to_owned(), action.to_owned(), rcode.to_owned());
        (key, hits.parse().expect("hits are a number"))
    };
    out.lines().skip(1).map(line).collect()
}

fn expected(times: u64) -> Lines {
    let line = |(host, record_type, action, rcode, hits): (&str, &str, &str, &str, u64)| {
        ((host.to_owned(), record_type.to_owned(), action.to_owned(), rcode.to_owned()), hits * times)
    };
    EXPECTED.into_iter().map(line).collect()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a test's folder is writable");
    path
}

fn same_tally() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for format in [Format::Pcap, Format::PcapNanoseconds, Format::PcapNg] {
        for link_type in LinkType::ALL {
            let path = write(folder.path(), "all.pcap", &capture(format, link_type, &packets()));
            let output = tally(&[path.as_os_str()], Duration::from_secs(10));
            assert_eq!(output.code, Some(0), "{format:?} {link_type:?}: {}", output.err);
            assert_eq!(lines(&output.out), expected(1), "{format:?} {link_type:?}: {}", output.err);
        }
    }
    let path = write(folder.path(), "all.dnstap", &dnstap_stream(&told()));
    let output = tally(&[path.as_os_str()], Duration::from_secs(10));
    assert_eq!((output.code, lines(&output.out)), (Some(0), expected(1)), "{}", output.err);
}

fn damaged() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let whole = capture(Format::Pcap, LinkType::Ethernet, &packets());
    // In the middle of the last packet, which contains no message.
    let path = write(folder.path(), "cut.pcap", &whole[..whole.len() - 10]);
    let output = tally(&[path.as_os_str()], Duration::from_secs(10));
    assert_eq!((output.code, lines(&output.out)), (Some(1), expected(1)), "{}", output.err);
    assert!(output.err.contains("cut.pcap"), "the file is named: {}", output.err);
}

fn several_files() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let one = write(folder.path(), "one.pcap", &capture(Format::Pcap, LinkType::Ethernet, &packets()));
    let other = write(folder.path(), "other.pcapng", &capture(Format::PcapNg, LinkType::CookedV2, &packets()));
    let missing = folder.path().join("missing.pcap");
    let output = tally(&[one.as_os_str(), other.as_os_str()], Duration::from_secs(10));
    assert_eq!((output.code, lines(&output.out)), (Some(0), expected(2)), "{}", output.err);
    let output = tally(&[one.as_os_str(), missing.as_os_str(), other.as_os_str()], Duration::from_secs(10));
    assert_eq!((output.code, lines(&output.out)), (Some(1), expected(2)), "{}", output.err);
    assert!(output.err.contains("missing.pcap"), "the file is named: {}", output.err);
}

fn counters() {
    let (client, server) = (address("192.0.2.10:40000"), address("192.0.2.53:53"));
    let query = Message::query("www.example", 1);
    let two_questions = Message { questions: [query.questions.clone(), query.questions.clone()].concat(), ..query.clone() };
    let of_class = |class: u16| {
        let mut octets = query.bytes();
        let at = octets.len() - 2;
        octets[at..].copy_from_slice(&class.to_be_bytes());
        octets
    };
    let messages = [
        query.bytes(),
        of_class(3),
        of_class(4),
        of_class(254),
        of_class(255),
        of_class(2),
        Message { opcode: 4, ..query.clone() }.bytes(),
        Message { opcode: 5, ..query.clone() }.bytes(),
        Message { questions: Vec::new(), ..query.clone() }.bytes(),
        two_questions.bytes(),
        query.bytes()[..20].to_vec(),
        query.bytes()[..5].to_vec(),
    ];
    let central = Central::start(&["counters"]);
    let probe = Probe::new(&Settings::http(&central, 0));
    let begin_us = unix_ms() * 1000 - 60_000_000;
    let mut packets: Vec<Packet> = messages.iter().map(|message| udp(begin_us, client, server, message)).collect();
    // A query that leaves the server's port is not the server's own.
    packets.push(udp(begin_us, server, client, &query.bytes()));
    let path = write(probe.folder(), "mixed.pcap", &capture(Format::Pcap, LinkType::Ethernet, &packets));
    probe.replay(&path);
    let rows = central.api().rows("dns/coverage", &[]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        (number(&rows[0], "hits"), number(&rows[0], "not_counted"), number(&rows[0], "messages_seen")),
        (1, 12, 13),
        "{rows:?}"
    );
    for counter in [
        "class_ch",
        "class_hs",
        "class_none",
        "class_any",
        "class_other",
        "opcode_notify",
        "opcode_update",
        "no_question",
        "several_questions",
        "short_question",
        "short_header",
        "wrong_direction",
    ] {
        let losses = text(&rows[0], "losses");
        assert!(losses.split(' ').any(|loss| loss == format!("{counter}=1")), "{counter} in {losses}");
    }
}

fn unread_link_type() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut bytes = capture(Format::Pcap, LinkType::Ethernet, &packets());
    bytes[20] = 147;
    let path = write(folder.path(), "private.pcap", &bytes);
    let output = tally(&[path.as_os_str()], Duration::from_secs(10));
    assert_eq!((output.code, output.out.lines().count()), (Some(1), 1), "nothing could be read: {}", output.err);
    let named = format!("not read: link type 147: {} frames", packets().len());
    assert!(output.err.contains(&named) && output.err.contains("unknown_link_type"), "{}", output.err);
}

fn wrong_port() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = write(folder.path(), "all.pcap", &capture(Format::Pcap, LinkType::Ethernet, &packets()));
    let output = tally(&["--port".as_ref(), "5353".as_ref(), path.as_os_str()], Duration::from_secs(10));
    assert_eq!((output.code, output.out.lines().count()), (Some(0), 1), "{}", output.err);
    // Four over UDP; over TCP, one for each segment that begins with a whole message.
    assert!(output.err.contains("messages like DNS on other ports: 53 (6)"), "{}", output.err);
}

fn other_versions() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (format, at, version, named) in [
        (Format::Pcap, 4, [2, 0, 5, 0], "pcap version 2.5 is not supported"),
        (Format::PcapNg, 12, [2, 0, 0, 0], "pcapng version 2.0 is not supported"),
        (Format::PcapNg, 12, [0, 0, 1, 0], "pcapng version 0.1 is not supported"),
    ] {
        let mut bytes = capture(format, LinkType::Ethernet, &packets());
        bytes[at..at + 4].copy_from_slice(&version);
        let path = write(folder.path(), "other.pcap", &bytes);
        let output = tally(&[path.as_os_str()], Duration::from_secs(10));
        assert_eq!((output.code, output.out.lines().count()), (Some(1), 1), "{named}: {}", output.err);
        assert!(output.err.contains(named), "{named}: {}", output.err);
    }
}

fn others() {
    let central = Central::start(&["others"]);
    let probe = Probe::new(&Settings { addresses: "local", ..Settings::http(&central, 0) });
    let path = write(probe.folder(), "others.pcap", &capture(Format::Pcap, LinkType::Ethernet, &packets()));
    let output = probe.replay(&path);
    assert!(output.out.contains("hits\t0\n"), "{}", output.out);
    assert!(output.out.contains(&format!("other_addresses\t{}\n", packets().len())), "{}", output.out);
    assert!(output.err.contains("belong to other addresses") && output.err.contains("capture.addresses"), "{}", output.err);
}

fn the_sample() -> Result<PathBuf, String> {
    sample().ok_or_else(|| "no sample capture: fixtures/make-sample.sh makes it".to_owned())
}

fn ends_now(sample: PathBuf) {
    let central = Central::start(&["sample"]);
    let probe = Probe::new(&Settings::http(&central, 0));
    let output = probe.try_replay(&["--end-now".as_ref(), sample.as_os_str()], Duration::from_secs(60));
    assert_eq!(output.code, Some(0), "{}", output.err);
    let rows = central.api().all_rows("dns/coverage", &[]);
    let from_ms = rows.iter().map(|row| time_ms(row, "covered_from")).min().expect("there are batches");
    let until_ms = rows.iter().map(|row| time_ms(row, "covered_until")).max().expect("there are batches");
    let age_ms = unix_ms() - until_ms;
    assert!(age_ms < 30_000, "it ended {age_ms} ms ago");

    let output = tally(&[sample.as_os_str()], Duration::from_secs(60));
    let times = |column: usize| {
        let times: Vec<u64> = output
            .out
            .lines()
            .skip(1)
            .filter_map(|line| line.split('\t').nth(column))
            .map(zonepulse_tests::api::rfc3339_ms)
            .collect();
        (times.iter().min().copied().unwrap_or_default(), times.iter().max().copied().unwrap_or_default())
    };
    let (first_ms, last_ms) = (times(5).0, times(6).1);
    let (length_ms, replayed_ms) = (last_ms - first_ms, until_ms - from_ms);
    assert!(replayed_ms.abs_diff(length_ms) < 1_000, "{length_ms} ms of traffic became {replayed_ms} ms");
    let hits: u64 = rows.iter().map(|row| number(row, "hits")).sum();
    assert_eq!(hits, lines(&output.out).values().sum::<u64>());
}
