//! A primary for tests: Knot with a zone that it transfers to whoever has the key.

use super::process::{Process, run, run_with_input, succeed};
use super::{eventually, ports};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The apex of its zone.
pub const APEX: &str = "shop.example.";
/// The name of its key, which is for HMAC-SHA256.
pub const KEY: &str = "transfer.";
/// The secret of its key, in base64.
pub const SECRET: &str = "em9uZXB1bHNlLXRlc3RzLW9ubHktem9uZXB1bHNl";

const SERVER: &str = "/usr/sbin/knotd";
const CONTROL: &str = "/usr/sbin/knotc";
const DIG: &str = "/usr/bin/kdig";
const UPDATE: &str = "/usr/bin/nsupdate";
/// The last step of its startup: its zone is loaded by then.
const STARTED: &str = "control, binding to";
/// How long its tools may take.
const WITHIN: Duration = Duration::from_secs(20);

/// Knot and its tools.
pub fn need() -> Result<(), String> {
    let missing = [SERVER, CONTROL, DIG].into_iter().find(|path| !Path::new(path).exists());
    missing.map_or(Ok(()), |path| Err(format!("there is no {path}: install knot and knot-dnsutils")))
}

/// A primary, running or stopped.
pub struct Primary {
    // Declared before the directory, which contains its log: fields are dropped in order.
    server: Option<Process>,
    folder: TempDir,
    port: u16,
    apex: &'static str,
}

impl Primary {
    /// Starts a primary with this zone file. It tells nobody of changes.
    pub fn start(zone: &str) -> Self {
        Self::start_with(APEX, zone, None)
    }

    /// Starts a primary of another zone.
    pub fn start_of(apex: &'static str, zone: &str) -> Self {
        Self::start_with(apex, zone, None)
    }

    /// Starts a primary that sends NOTIFY without a signature to this port of 127.0.0.1.
    pub fn start_notifying(zone: &str, port: u16) -> Self {
        Self::start_with(APEX, zone, Some(port))
    }

    fn start_with(apex: &'static str, zone: &str, notify: Option<u16>) -> Self {
        let folder = tempfile::Builder::new().prefix("zonepulse-primary").tempdir().expect("a temporary folder can be made");
        let port = ports::free();
        let (remote, notify) = match notify {
            Some(port) => (format!("remote:\n  - id: central\n    address: 127.0.0.1@{port}\n"), "    notify: central\n"),
            None => (String::new(), ""),
        };
        // It keeps differences in its journal, so it can answer IXFR.
        let configuration = format!(
            "server:\n    rundir: \"{0}\"\n    listen: 127.0.0.1@{port}\n    udp-workers: 1\n    tcp-workers: 1\n    \
             background-workers: 1\ndatabase:\n    storage: \"{0}\"\nlog:\n  - target: stderr\n    any: info\n\
             key:\n  - id: {KEY}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
             {remote}acl:\n  - id: transfer\n    key: {KEY}\n    action: [transfer, update]\n\
             mod-stats:\n  - id: all\n    request-protocol: on\n\
             template:\n  - id: default\n    global-module: [mod-stats/all]\n\
             zone:\n  - domain: {apex}\n    file: \"{0}/zone\"\n    acl: transfer\n{notify}    \
             zonefile-sync: -1\n    zonefile-load: difference\n    journal-content: changes\n",
            folder.path().display(),
        );
        fs::write(folder.path().join("knot.conf"), configuration).expect("a test's folder is writable");
        let mut primary = Primary { server: None, folder, port, apex };
        primary.write(zone);
        primary.start_again();
        primary
    }

    /// Its address and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its log since the test began.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join("knotd.log")).unwrap_or_default()).into_owned()
    }

    /// Replaces its zone file, which it reads when it starts.
    pub fn write(&self, zone: &str) {
        fs::write(self.folder.path().join("zone"), zone).expect("a test's folder is writable");
    }

    /// Replaces its zone, and returns when it serves the new one.
    pub fn load(&self, zone: &str) {
        self.write(zone);
        self.control(&["-b", "zone-reload", self.apex]);
    }

    /// SIGTERM, after which nobody listens on its port.
    pub fn stop(&mut self) {
        let status = self.server.take().expect("it runs").terminate(WITHIN);
        assert!(status.success(), "knotd ends with {status} after SIGTERM");
    }

    /// Starts it on the same port, with the zone file as it is, and waits until it serves that.
    pub fn start_again(&mut self) {
        let starts = |log: &str| log.matches(STARTED).count();
        let before = starts(&self.log());
        let mut command = Command::new(SERVER);
        command.arg("-c").arg(self.folder.path().join("knot.conf"));
        let mut server = Process::start("knotd", command, self.folder.path());
        eventually("knotd has started", WITHIN, || {
            assert!(server.exited().is_none(), "knotd has ended: {}", server.log());
            (starts(&server.log()) > before).then_some(())
        });
        self.server = Some(server);
    }

    /// How many requests it has received since it started, whatever they asked for.
    pub fn requests(&self) -> u64 {
        let statistics = self.control(&["stats"]);
        let counters = statistics.lines().filter_map(|line| line.strip_prefix("mod-stats.request-protocol["));
        counters.filter_map(|line| line.split_once(" = ")?.1.parse::<u64>().ok()).sum()
    }

    /// The records of its zone as kdig transfers them: owner, TTL, type and data.
    pub fn records(&self) -> BTreeSet<String> {
        let port = self.port.to_string();
        let mut command = Command::new(DIG);
        command.args(["@127.0.0.1", "-p", &port, "-y", &key(KEY, SECRET), "+noall", "+answer", "+timeout=10", "AXFR", self.apex]);
        let text = succeed(&mut command, WITHIN);
        let record = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [owner, ttl, "IN", rtype, ref data @ ..] => Some(format!("{owner} {ttl} {rtype} {}", data.join(" "))),
            _ => None,
        };
        text.lines().filter_map(record).collect()
    }

    /// Changes its zone with a script for nsupdate.
    pub fn update(&self, script: &str) {
        let port = self.port.to_string();
        let script = format!("server 127.0.0.1 {port}\n{script}");
        let mut command = Command::new(UPDATE);
        let output = run_with_input(command.args(["-y", &key(KEY, SECRET)]), &script, WITHIN);
        assert_eq!((output.code, output.err.as_str()), (Some(0), ""), "{script}{}", output.out);
    }

    fn control(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(CONTROL);
        command.arg("-s").arg(self.folder.path().join("knot.sock")).args(arguments);
        succeed(&mut command, WITHIN)
    }
}

/// A key as kdig and nsupdate take it.
fn key(name: &str, secret: &str) -> String {
    format!("hmac-sha256:{name}:{secret}")
}

/// Sends a signed NOTIFY with a far serial from 127.0.0.2, which is no primary's address, to a port of 127.0.0.1. Returns
/// the code of the answer, or of the TSIG record in it: `NOERROR`, `REFUSED`, `BADSIG`.
pub fn notify_signed(port: u16, apex: &str, name: &str, secret: &str) -> String {
    let mut command = Command::new(DIG);
    command.args(["@127.0.0.1", "-p", &port.to_string(), "-b", "127.0.0.2", "-y", &key(name, secret)]);
    command.args(["+timeout=5", "+retry=0", "-t", "NOTIFY=1000", apex]);
    let output = run(&mut command, WITHIN);
    let code = output.out.split_once("status: ").and_then(|(_, rest)| rest.split_once(';'));
    code.unwrap_or_else(|| panic!("no answer to NOTIFY: {}{}", output.out, output.err)).0.to_owned()
}
