//! A second pair of eyes: what tcpdump saw on the loopback interface.

use super::eventually;
use super::process::Process;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;
use zonepulse_fixtures::{Seen, messages_in};

/// tcpdump on a port of 127.0.0.1.
pub struct Capture {
    file: PathBuf,
    port: u16,
    tcpdump: Process,
}

impl Capture {
    /// Starts, and waits until it captures.
    pub fn start(port: u16, folder: &Path) -> Self {
        let file = folder.join("tcpdump.pcap");
        let mut command = Command::new("tcpdump");
        // 128 octets of every packet are enough for its header and its response code.
        command.args(["-i", "lo", "-n", "-s", "128", "-B", "65536", "-w"]).arg(&file).arg(format!("udp port {port}"));
        // tcpdump as root becomes another user, who may not write here.
        command.args(["-Z", "root"]);
        let tcpdump = Process::start("tcpdump", command, folder);
        eventually("tcpdump captures", Duration::from_secs(10), || tcpdump.log().contains("listening on").then_some(()));
        Capture { file, port, tcpdump }
    }

    /// Ends it and gives every message that it saw, by time.
    pub fn finish(mut self) -> Vec<Seen> {
        // The kernel hands packets over a block at a time; what is in an unfinished one tcpdump does not wait for.
        thread::sleep(Duration::from_millis(1500));
        self.tcpdump.terminate(Duration::from_secs(10));
        let log = self.tcpdump.log();
        assert!(log.contains("\n0 packets dropped by kernel"), "tcpdump has not seen everything: {log}");
        let bytes = fs::read(&self.file).expect("tcpdump wrote its file");
        messages_in(&bytes, Ipv4Addr::LOCALHOST, self.port).expect("tcpdump writes a pcap file")
    }
}
