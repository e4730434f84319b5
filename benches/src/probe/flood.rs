//! A flood of random names, as sent by a botnet through resolvers: every name is new, none exists,
//! and every response carries the zone's SOA.

use super::capture::{cut, dnstop_found};
use super::table::{Contestant, FEW_ROUNDS, compare, installed, print};
use super::tally::hits;
use crate::workload::SplitMix;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use zonepulse_fixtures::{Format, LinkType, Message, capture, udp};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::process::program_command;
use zonepulse_tests::{Central, Probe};

const NAMES: usize = 400_000;
const START_US: u64 = 1_767_225_600_000_000;
/// Time between two queries, microseconds: 100,000 a second.
const EVERY_US: u64 = 10;

pub fn run() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let twice = folder.path().join("flood-twice.pcap");
    let once = folder.path().join("flood.pcap");
    write(&twice, 2 * NAMES);
    cut(&twice, &once, 2 * NAMES);
    let central = Central::start(&["once", "twice"]);
    let probes = [0, 1].map(|n| Probe::new(&Settings::http(&central, n)));
    println!(
        "A flood of {NAMES} random names of one zone, each asked for once and answered with NXDOMAIN and the SOA; and of twice as many\n"
    );
    let [probe, probe_twice] = probes;
    let (once_of_replay, twice_of_replay) = (once.clone(), twice.clone());
    let mut contestants = vec![
        tally("`zonepulse-probe tally`", &once, NAMES),
        tally("`zonepulse-probe tally`, twice as many", &twice, 2 * NAMES),
        replay("`zonepulse-probe replay`, delivered to a central", move || probe.replay_command(&once_of_replay), NAMES),
        replay("`zonepulse-probe replay`, twice as many", move || probe_twice.replay_command(&twice_of_replay), 2 * NAMES),
    ];
    if installed("dnstop") {
        contestants.push(dnstop("dnstop", &once, NAMES));
        contestants.push(dnstop("dnstop, twice as many", &twice, 2 * NAMES));
    }
    print(&compare(&contestants, folder.path()));
}

fn tally(name: &'static str, file: &Path, names: usize) -> Contestant {
    let file = file.to_owned();
    let command = move |_: &Path| {
        let mut command = program_command("zonepulse-probe");
        command.arg("tally").arg(&file);
        command
    };
    let found = |text: &str, _: &Path| Some(hits(text));
    Contestant { name, command: Box::new(command), found, messages: 2 * names as u64, rounds: FEW_ROUNDS }
}

fn replay(name: &'static str, command: impl Fn() -> Command + 'static, names: usize) -> Contestant {
    let found = |text: &str, _: &Path| text.lines().find_map(|line| line.strip_prefix("hits\t")?.parse().ok());
    Contestant { name, command: Box::new(move |_| command()), found, messages: 2 * names as u64, rounds: FEW_ROUNDS }
}

fn dnstop(name: &'static str, file: &Path, names: usize) -> Contestant {
    let file = file.to_owned();
    let command = move |_: &Path| {
        let mut command = Command::new("dnstop");
        command.args(["-Q", "-R", "-X", "-l", "3"]).arg(&file);
        command
    };
    Contestant { name, command: Box::new(command), found: dnstop_found, messages: 2 * names as u64, rounds: FEW_ROUNDS }
}

fn write(path: &Path, names: usize) {
    let mut random = SplitMix::new(3);
    let server: SocketAddr = "192.0.2.53:53".parse().expect("an address");
    let mut packets = Vec::with_capacity(2 * names);
    for number in 0..names as u64 {
        let text = format!("{:016x}", random.next());
        let name = format!("{}.flood.example", &text[..8 + (random.next() % 8) as usize]);
        let client = SocketAddr::from(([198, 51, 100, (random.next() % 250) as u8], 1024 + (random.next() % 60_000) as u16));
        let time_us = START_US + number * EVERY_US;
        packets.push(udp(time_us, client, server, &Message::query(&name, 1).bytes()));
        packets.push(udp(time_us + 3, server, client, &negative(&name)));
    }
    fs::write(path, capture(Format::Pcap, LinkType::Ethernet, &packets)).expect("a bench's folder is writable");
}

/// NXDOMAIN with the SOA of `flood.example` in the authority section (RFC 2308).
fn negative(name: &str) -> Vec<u8> {
    let mut message = Message::response(name, 1, 3).bytes();
    message[9] = 1;
    let label = name.find('.').unwrap_or(0) as u8;
    // The owner is a pointer to the second label of the QNAME.
    message.extend([0xc0, 12 + 1 + label]);
    message.extend([0, 6, 0, 1, 0, 0, 1, 44, 0, 26]);
    message.extend([2, b'n', b's', 0xc0, 12 + 1 + label]);
    message.extend([0]);
    message.extend([0; 20]);
    message
}
