//! An independent observer: tcpdump on the loopback interface.

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
        // 128 octets of every packet are enough for its headers and response code.
        Self::start_with(port, folder, &["-s", "128"], &format!("udp port {port}"))
    }

    /// The same with whole packets, UDP and TCP.
    pub fn start_whole(port: u16, folder: &Path) -> Self {
        Self::start_with(port, folder, &[], &format!("port {port}"))
    }

    fn start_with(port: u16, folder: &Path, options: &[&str], filter: &str) -> Self {
        let file = folder.join("tcpdump.pcap");
        let mut command = Command::new("tcpdump");
        command.args(["-i", "lo", "-n", "-B", "65536"]).args(options).arg("-w").arg(&file).arg(filter);
        // As root, tcpdump would switch to a user who may not write here.
        command.args(["-Z", "root"]);
        let tcpdump = Process::start("tcpdump", command, folder);
        eventually("tcpdump captures", Duration::from_secs(10), || tcpdump.log().contains("listening on").then_some(()));
        Capture { file, port, tcpdump }
    }

    /// Stops it and returns all messages that it saw, in chronological order.
    pub fn finish(self) -> Vec<Seen> {
        let port = self.port;
        let bytes = fs::read(self.finish_file()).expect("tcpdump wrote its file");
        messages_in(&bytes, Ipv4Addr::LOCALHOST, port).expect("tcpdump writes a pcap file")
    }

    /// Stops it and returns its file.
    pub fn finish_file(mut self) -> PathBuf {
        // The kernel hands over packets in blocks, and tcpdump does not wait for an incomplete one.
        thread::sleep(Duration::from_millis(1500));
        self.tcpdump.terminate(Duration::from_secs(10));
        let log = self.tcpdump.log();
        assert!(log.contains("\n0 packets dropped by kernel"), "tcpdump has not seen everything: {log}");
        self.file
    }
}
