//! The probe next to alternative programs, and on its own.
//!
//! All programs read the same files. Our results are checked against the truth, and the bench fails
//! if they differ; the table shows how many messages the others find.

mod capture;
mod dnstap;
mod flood;
mod live;
mod start;
mod table;
mod tally;

use std::process::Command;

/// Runs everything, or only the named part.
pub fn run(part: Option<&str>) {
    let parts: [(&str, fn()); 4] = [("start", start::run), ("capture", capture::run), ("flood", flood::run), ("live", live::run)];
    for (name, run) in parts {
        if part.is_none_or(|part| part == name) {
            run();
        }
    }
}

/// Reads a capture with libpcap and does nothing else: the lower bound for any program that uses
/// libpcap. This program runs itself for that purpose. Prints the number of packets.
pub fn floor(path: &str) {
    let mut capture = pcap::Capture::from_file(path).expect("libpcap reads the capture");
    let (mut packets, mut octets) = (0u64, 0u64);
    while let Ok(packet) = capture.next_packet() {
        packets += 1;
        octets += u64::from(packet.header.caplen);
    }
    println!("{packets} packets, {octets} octets");
}

fn floor_command(capture: &std::path::Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.arg("floor").arg(capture);
    command
}
