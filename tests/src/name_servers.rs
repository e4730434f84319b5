//! Knot DNS, NSD and BIND with the same zones, on private ports of 127.0.0.1.

use super::process::Process;
use super::{eventually, ports};
use std::fmt::Write;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use zonepulse_fixtures::Message;

/// A program that serves zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `knotd`.
    Knot,
    /// `nsd`.
    Nsd,
    /// `named`.
    Bind,
}

impl Program {
    const fn path(self) -> &'static str {
        match self {
            Program::Knot => "/usr/sbin/knotd",
            Program::Nsd => "/usr/sbin/nsd",
            Program::Bind => "/usr/sbin/named",
        }
    }

    /// Fails with what to install.
    pub fn need(self) -> Result<(), String> {
        if Path::new(self.path()).exists() {
            return Ok(());
        }
        let package = match self {
            Program::Knot => "knot",
            Program::Nsd => "nsd",
            Program::Bind => "bind9",
        };
        Err(format!("there is no {}: install {package}", self.path()))
    }
}

/// A running server.
pub struct NameServer {
    /// Its port, UDP and TCP.
    pub port: u16,
    _server: Process,
}

impl NameServer {
    /// Starts a server with these zones, each an apex and a file, in a directory of its own, and waits until it answers
    /// for all of them.
    pub fn start(program: Program, zones: &[(&str, PathBuf)], folder: &Path) -> Self {
        let port = ports::free();
        fs::create_dir_all(folder).expect("a test's folder is writable");
        let file = folder.join("server.conf");
        let mut command = Command::new(program.path());
        let configuration = match program {
            Program::Knot => knot(port, zones, folder),
            Program::Nsd => {
                command.arg("-d");
                nsd(port, zones, folder)
            }
            Program::Bind => {
                command.args(["-g", "-n", "1"]);
                bind(port, zones, folder)
            }
        };
        fs::write(&file, configuration).expect("a test's folder is writable");
        command.arg("-c").arg(&file);
        let server = NameServer { port, _server: Process::start("server", command, folder) };
        for (apex, _) in zones {
            let what = format!("{program:?} serves {apex}");
            eventually(&what, Duration::from_secs(20), || server.serves(apex).then_some(()));
        }
        server
    }

    /// Whether it answers for the SOA of a zone.
    fn serves(&self, apex: &str) -> bool {
        const SOA: u16 = 6;
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout can be set");
        socket.connect(("127.0.0.1", self.port)).expect("it is this machine");
        let mut answer = [0; 512];
        let sent = socket.send(&Message::query(apex, SOA).bytes());
        // NOERROR, and an answer.
        sent.is_ok() && socket.recv(&mut answer).is_ok_and(|length| length > 12 && answer[3] & 0xf == 0 && answer[7] > 0)
    }
}

/// Adds a text for each zone.
fn with_zones(mut text: String, zones: &[(&str, PathBuf)], each: impl Fn(&str, &Path) -> String) -> String {
    for (apex, file) in zones {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", each(apex, file));
    }
    text
}

fn knot(port: u16, zones: &[(&str, PathBuf)], folder: &Path) -> String {
    let folder = folder.display();
    let text = format!(
        "server:\n    rundir: \"{folder}\"\n    listen: 127.0.0.1@{port}\n    udp-workers: 1\n    tcp-workers: 1\n    \
         background-workers: 1\nlog:\n  - target: stderr\n    any: notice\ndatabase:\n    storage: \"{folder}\"\nzone:\n"
    );
    with_zones(text, zones, |apex, file| format!("  - domain: {apex}\n    file: \"{}\"\n", file.display()))
}

fn nsd(port: u16, zones: &[(&str, PathBuf)], folder: &Path) -> String {
    let folder = folder.display();
    let text = format!(
        "server:\n ip-address: 127.0.0.1@{port}\n username: \"\"\n zonesdir: \"{folder}\"\n zonelistfile: \"{folder}/zone.list\"\n \
         database: \"\"\n pidfile: \"{folder}/nsd.pid\"\n xfrdfile: \"{folder}/xfrd.state\"\n xfrdir: \"{folder}\"\n \
         server-count: 1\nremote-control:\n control-enable: no\n"
    );
    with_zones(text, zones, |apex, file| format!("zone:\n name: {apex}\n zonefile: \"{}\"\n", file.display()))
}

fn bind(port: u16, zones: &[(&str, PathBuf)], folder: &Path) -> String {
    let folder = folder.display();
    let text = format!(
        "options {{\n directory \"{folder}\";\n listen-on port {port} {{ 127.0.0.1; }};\n listen-on-v6 {{ none; }};\n \
         recursion no;\n pid-file \"{folder}/named.pid\";\n session-keyfile \"{folder}/session.key\";\n lock-file none;\n \
         dnssec-validation no;\n}};\ncontrols {{ }};\n"
    );
    with_zones(text, zones, |apex, file| format!("zone \"{apex}\" {{ type master; file \"{}\"; }};\n", file.display()))
}
