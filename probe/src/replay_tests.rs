//! What a replay counts, and its identity.

use super::*;
use std::collections::HashSet;
use tempfile::TempDir;
use zonepulse_fixtures::{Format, LinkType, Message, Packet, capture, tcp, udp};
use zonepulse_wire::Message as WireMessage;

const BEGIN_US: u64 = 1_700_000_000_123_456;
const YEAR_US: u64 = 365 * 86_400 * 1_000_000;

fn query(time_us: u64, name: &str, port: u16) -> Packet {
    let client = "192.0.2.10:40000".parse().unwrap();
    udp(time_us, client, format!("192.0.2.53:{port}").parse().unwrap(), &Message::query(name, 1).bytes())
}

/// Some minutes: UDP on two ports, and a message in two segments.
fn packets() -> Vec<Packet> {
    let mut packets: Vec<_> = (0..300).map(|n| query(BEGIN_US + n * 1_000_007, &format!("n{}.Example", n % 40), 53)).collect();
    packets.push(query(BEGIN_US + 300 * 1_000_007, "other.example", 5353));
    let (client, server) = ("192.0.2.10:40001".parse().unwrap(), "192.0.2.53:53".parse().unwrap());
    let octets = Message::query("stream.example", 1).bytes_tcp();
    packets.push(tcp(BEGIN_US + 301 * 1_000_007, client, server, 99, 2, b""));
    packets.push(tcp(BEGIN_US + 302 * 1_000_007, client, server, 100, 0x18, &octets[..9]));
    packets.push(tcp(BEGIN_US + 303 * 1_000_007, client, server, 109, 0x18, &octets[9..]));
    packets
}

struct Replay {
    dir: TempDir,
    keys: String,
}

impl Replay {
    /// A replay with more top-level configuration keys.
    fn new(keys: &str) -> Replay {
        Replay { dir: TempDir::new().unwrap(), keys: keys.into() }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn plan_of(&self, files: &[PathBuf], end_now: bool) -> Plan {
        let ports = if self.keys.contains("ports") { "" } else { "capture.ports = [53]\n" };
        let text = format!("server_id = 7\ncapture.addresses = \"any\"\n{ports}{}", self.keys);
        let text = if self.keys.contains("server_id") { text.replacen("server_id = 7\n", "", 1) } else { text };
        let config = Config::parse(Path::new("probe.toml"), &text).unwrap();
        Plan::new(&config, &Settings { files: files.to_vec(), end_now, served: false, timeout: None }).unwrap()
    }

    fn plan(&self, name: &str, bytes: &[u8]) -> Plan {
        self.plan_of(&[self.write(name, bytes)], false)
    }

    /// Reads a plan; returns totals and batches: number, start, hits.
    fn read(&self, plan: &Plan) -> (Totals, Vec<(u64, u64, u64)>) {
        let dir = self.dir.path().join("spool");
        let settings =
            spool::Settings { dir, max_bytes: spool::MIN_BYTES, min_free_bytes: 0, max_refused_bytes: 0, max_delivered_bytes: 0 };
        let spool = Spool::open(settings).unwrap();
        let totals = plan.read(&spool, &AtomicBool::new(false)).unwrap();
        let batches = std::iter::from_fn(|| spool.claim()).map(|entry| {
            let message = WireMessage::decode(&spool.read(entry.key).unwrap().unwrap()).unwrap();
            let WireMessage::Dns(batch) = message else { panic!("not a batch of DNS") };
            assert_eq!(batch.identity.epoch, plan.epoch);
            (batch.identity.seq, batch.start_s, batch.hits())
        });
        let mut batches: Vec<_> = batches.collect();
        batches.sort_unstable();
        (totals, batches)
    }
}

fn pcap(packets: &[Packet]) -> Vec<u8> {
    capture(Format::Pcap, LinkType::Ethernet, packets)
}

#[test]
fn the_same_messages_are_the_same_replay_whatever_file_they_are_in() {
    let (replay, packets) = (Replay::new(""), packets());
    let epoch = replay.plan("plain.pcap", &pcap(&packets)).epoch;
    let compressed = zstd::encode_all(&pcap(&packets)[..], 3).unwrap();
    assert_eq!(replay.plan("compressed.zst", &compressed).epoch, epoch);
    for format in [Format::PcapNanoseconds, Format::PcapNg] {
        assert_eq!(replay.plan("other.pcap", &capture(format, LinkType::Ethernet, &packets)).epoch, epoch, "{format:?}");
    }
    assert_eq!(replay.plan("other.pcap", &capture(Format::Pcap, LinkType::CookedV2, &packets)).epoch, epoch);
    let (one, other) = packets.split_at(100);
    let files = [replay.write("one.pcap", &pcap(one)), replay.write("other.pcap", &pcap(other))];
    assert_eq!(replay.plan_of(&files, false).epoch, epoch, "in two files");
}

#[test]
fn memory_changes_neither_a_replay_s_identity_nor_its_batches() {
    let bytes = pcap(&packets());
    let (normal, other) = (Replay::new(""), Replay::new("memory.max_bytes = 40000000\n"));
    let (one, small) = (normal.plan("a.pcap", &bytes), other.plan("a.pcap", &bytes));
    assert!(small.budget.max_records < one.budget.max_records);
    assert_eq!(small.epoch, one.epoch);
    let (totals, batches) = normal.read(&one);
    assert_eq!((totals.hits, batches.len()), (301, 6));
    // These tables hold hardly any records.
    let tiny = Plan { budget: Budget { max_records: 3, ..small.budget }, ..small };
    let (totals_of_tiny, batches_of_tiny) = other.read(&tiny);
    assert_eq!((totals_of_tiny.hits, batches_of_tiny), (totals.hits, batches));
}

#[test]
fn a_change_of_the_hits_makes_another_replay() {
    let bytes = pcap(&packets());
    let epoch_with = |keys: &str| Replay::new(keys).plan("a.pcap", &bytes).epoch;
    let mut changed = packets();
    changed.pop();
    let epochs = [
        epoch_with(""),
        epoch_with("interval_s = 10\n"),
        epoch_with("server_id = 8\n"),
        epoch_with("capture.ports = [53, 5353]\n"),
        Replay::new("").plan("a.pcap", &pcap(&changed)).epoch,
    ];
    assert_eq!(epochs.iter().collect::<HashSet<_>>().len(), epochs.len(), "{epochs:?}");
    assert_eq!(epoch_with("capture.ports = [53, 9999]\n"), epochs[0], "there is no traffic on that port");
}

#[test]
fn a_replay_that_ends_now_is_another_one_each_time() {
    let replay = Replay::new("");
    let files = [replay.write("a.pcap", &pcap(&packets()))];
    let [plain, one, other] = [false, true, true].map(|end_now| replay.plan_of(&files, end_now).epoch);
    assert_eq!(HashSet::from([plain, one, other]).len(), 3);
}

#[test]
fn impossible_times_are_counted_by_reason_and_close_nothing() {
    let mut packets = packets();
    packets.insert(2, query(BEGIN_US + 40 * YEAR_US, "late.example", 53));
    packets.insert(4, query(1_000_000, "early.example", 53));
    packets.insert(0, query(0, "early.example", 53));
    let replay = Replay::new("");
    let plan = replay.plan("a.pcap", &pcap(&packets));
    let (totals, batches) = replay.read(&plan);
    assert_eq!((totals.hits, batches.len()), (301, 6));
    let of = |counter| totals.counters.get(counter);
    assert_eq!((of(Counter::TimeInFuture), of(Counter::TimeTooEarly)), (1, 2));
    assert_eq!(of(Counter::MessagesSeen), totals.hits + totals.counters.not_counted());
}

#[test]
fn a_capture_without_any_possible_time_is_counted_by_reason() {
    let replay = Replay::new("");
    let plan = replay.plan("a.pcap", &pcap(&[query(0, "a.example", 53), query(5, "a.example", 53)]));
    let (totals, batches) = replay.read(&plan);
    assert_eq!((totals.hits, totals.counters.get(Counter::TimeTooEarly), batches), (0, 2, vec![]));
    let allowed = Replay::new("times.earliest = \"1970-01-01\"\n");
    let plan = allowed.plan("a.pcap", &pcap(&[query(0, "a.example", 53), query(5, "a.example", 53)]));
    assert_eq!(allowed.read(&plan).0.hits, 2);
}

#[test]
fn a_capture_of_1970_can_end_now() {
    let replay = Replay::new("");
    let packets = [query(0, "a.example", 53), query(90_000_000, "b.example", 53), query(90 * YEAR_US, "late.example", 53)];
    let plan = replay.plan_of(&[replay.write("a.pcap", &pcap(&packets))], true);
    let (totals, batches) = replay.read(&plan);
    assert_eq!((totals.hits, totals.counters.get(Counter::TimeInFuture)), (2, 1));
    assert!(batches.iter().all(|(_, start_s, _)| start_s * 1000 + 300_000 > Reading::now().wall_ms));
}

#[test]
fn a_time_beyond_all_stays_there() {
    assert_eq!(shifted(BEYOND_NS, -1_000_000), BEYOND_NS);
    assert_eq!(shifted(5_000_000_000, -2000), 3_000_000_000);
}

#[test]
fn other_bounds_make_another_replay_only_if_they_change_the_hits() {
    let mut packets = packets();
    packets.insert(4, query(1_000_000, "early.example", 53));
    let (few, all) = (Replay::new(""), Replay::new("times.earliest = \"1970-01-01\"\n"));
    let bytes = pcap(&packets);
    let [few, all] = [few, all].map(|replay| replay.read(&replay.plan("a.pcap", &bytes)).0.hits);
    assert_eq!((few, all), (301, 302));
    let epoch_with = |keys: &str| Replay::new(keys).plan("a.pcap", &bytes).epoch;
    assert_ne!(epoch_with(""), epoch_with("times.earliest = \"1970-01-01\"\n"));
    assert_eq!(epoch_with(""), epoch_with("times.earliest = \"1990-01-01\"\n"), "nothing else is counted");
}

#[test]
fn a_frame_that_counts_nothing_and_opens_an_interval_makes_another_replay() {
    // Between two existing times, so that the first and last frame stay the same.
    let mut packets = packets();
    packets.insert(4, query(1_000_000, "elsewhere.example", 5353));
    let bytes = pcap(&packets);
    let epoch_with = |keys: &str| Replay::new(keys).plan("a.pcap", &bytes).epoch;
    assert_ne!(epoch_with(""), epoch_with("times.earliest = \"1970-01-01\"\n"));
}

#[test]
fn messages_with_impossible_times_do_not_affect_a_replay_s_identity() {
    let with = |extra: &[(usize, Packet)]| {
        let mut packets = packets();
        extra.iter().for_each(|(at, packet)| packets.insert(*at, packet.clone()));
        Replay::new("").plan("a.pcap", &pcap(&packets)).epoch
    };
    let epoch = with(&[]);
    assert_eq!(with(&[(0, query(0, "early.example", 53))]), epoch);
    assert_eq!(with(&[(9, query(BEGIN_US + 40 * YEAR_US, "late.example", 53))]), epoch);
    assert_eq!(with(&[(304, query(BEGIN_US + 41 * YEAR_US, "later.example", 53))]), epoch);
}

#[test]
fn a_frame_beyond_all_times_expires_nothing() {
    use crate::observe::testing::{fragments, frame, query, scope, udp, udp_to_server};
    const NOW_MS: u64 = BEGIN_US / 1000;
    let parts = fragments(&udp(40000, 53, &query("a.example.")), 7, &[16]);
    let noise = udp_to_server(&query("noise.example."));
    let beyond = Frame { time_ns: BEYOND_NS, ..frame(&noise, 0) };
    let [first, second] = [&parts[0], &parts[1]].map(|part| frame(part, NOW_MS));
    let epoch_of = |frames: &[Frame<'_>]| {
        let mut content = Content::new(&scope(), &Budget::of_replay(64 << 20), Possible { from_ms: 1, until_ms: NOW_MS });
        frames.iter().for_each(|frame| content.frame(frame));
        content.epoch(1, 60, None)
    };
    assert_eq!(epoch_of(&[first, beyond, second]), epoch_of(&[first, second]));
}

#[test]
fn a_file_that_is_named_twice_is_refused_by_its_name() {
    let replay = Replay::new("");
    let file = replay.write("a.pcap", b"");
    let link = replay.dir.path().join("link.pcap");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let detour = replay.dir.path().join(".").join("a.pcap");
    for again in [&file, &detour, &link] {
        let error = check_files(&[file.clone(), again.clone()]).unwrap_err().to_string();
        assert!(error.contains(&again.display().to_string()) && error.contains("named twice"), "{error}");
    }
    let copy = replay.write("b.pcap", b"");
    check_files(&[file, copy]).unwrap();
}
