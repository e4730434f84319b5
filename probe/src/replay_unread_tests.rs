//! Replays of files that cannot be read.

use super::*;
use crate::config::{Capture, ServerAddresses};
use zonepulse_fixtures::{Format, LinkType, Message, capture, udp};

/// Reads these files as a replay does.
fn replayed(files: &[Vec<u8>]) -> Totals {
    let folder = tempfile::tempdir().unwrap();
    let path = |at: usize| folder.path().join(format!("{at}.pcap"));
    for (at, bytes) in files.iter().enumerate() {
        std::fs::write(path(at), bytes).unwrap();
    }
    let capture = Capture { addresses: ServerAddresses::Any, ..Capture::default() };
    let config = Config { server_id: 1, capture, ..Config::default() };
    let settings = Settings { files: (0..files.len()).map(path).collect(), end_now: false, served: false, timeout: None };
    let plan = Plan::new(&config, &settings).unwrap();
    let settings = spool::Settings { dir: folder.path().join("spool"), min_free_bytes: 0, ..config.spool() };
    plan.read(&Spool::open(settings).unwrap(), &AtomicBool::new(false)).unwrap()
}

/// A query in a file with this link type.
fn file(link_type: u8) -> Vec<u8> {
    let query = Message::query("www.example", 1).bytes();
    let packet = udp(1_700_000_000_000_000, "192.0.2.10:40000".parse().unwrap(), "192.0.2.53:53".parse().unwrap(), &query);
    let mut bytes = capture(Format::Pcap, LinkType::Ethernet, &[packet]);
    bytes[20] = link_type;
    bytes
}

#[test]
fn a_file_all_of_whose_link_types_are_not_read_was_not_read() {
    let read = replayed(&[file(1), file(147), file(148)]);
    assert_eq!((read.frames, read.hits), (3, 1));
    let ends: Vec<_> = read.damages.iter().filter_map(|damage| damage.split_once(".pcap: ")).map(|(_, end)| end).collect();
    let expected = [147, 148].map(|number| format!("none of its frames could be read: not read: link type {number}"));
    assert_eq!(ends, expected);
}

#[test]
fn a_file_that_was_read_is_whole() {
    let read = replayed(&[file(1), file(1)]);
    assert_eq!((read.hits, read.damages), (2, Vec::new()));
}
