//! The probe beside the programs that people would use instead, and on its own.
//!
//! Every program reads the same files. What ours says is held against the truth, and
//! the bench fails where it differs; how many messages the others find stands in the
//! table.

mod capture;
mod dnstap;
mod flood;
mod live;
mod start;
mod table;

use std::process::Command;

/// Everything, or the part that is named.
pub fn run(part: Option<&str>) {
    let parts: [(&str, fn()); 4] = [("start", start::run), ("capture", capture::run), ("flood", flood::run), ("live", live::run)];
    for (name, run) in parts {
        if part.is_none_or(|part| part == name) {
            run();
        }
    }
}

/// Reads a capture with libpcap and does nothing else: what no program that uses it can be faster than.
/// This program runs itself for it. Prints how many packets there were.
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
