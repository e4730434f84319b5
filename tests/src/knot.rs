//! A DNS server for tests: Knot on a private port of 127.0.0.1.

use super::network::Namespace;
use super::process::{Process, succeed};
use super::{eventually, ports};
use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use zonepulse_fixtures::Message;

/// The zone that it serves.
pub const ZONE: &str = "\
$ORIGIN example.
$TTL 300
@ SOA ns1 hostmaster 1 7200 900 1209600 300
@ NS ns1
@ MX 10 mail
@ TXT \"v=spf1 -all\"
ns1 A 192.0.2.53
www A 192.0.2.80
www AAAA 2001:db8::80
mail A 192.0.2.25
alias CNAME www
";

/// knotd with one zone, `example.`, and statistics.
pub struct Knot {
    // Declared before the directory, which contains its log: fields are dropped in order.
    server: Process,
    folder: TempDir,
    /// Its port, UDP and TCP.
    pub port: u16,
}

impl Knot {
    /// Starts a server and waits until it answers.
    pub fn start() -> Self {
        Self::start_with(ports::free(), None, None)
    }

    /// Starts a server that reports queries, but no responses, with dnstap to a Unix socket.
    pub fn start_telling_of_queries(socket: &Path) -> Self {
        Self::start_with(ports::free(), Some(Told { socket, responses: "off" }), None)
    }

    /// Starts a server that reports its messages with dnstap to a Unix socket.
    pub fn start_telling(socket: &Path) -> Self {
        Self::start_telling_on(ports::free(), socket)
    }

    /// The same, on a given port.
    pub fn start_telling_on(port: u16, socket: &Path) -> Self {
        Self::start_with(port, Some(Told { socket, responses: "on" }), None)
    }

    /// Starts a server with an identity in a namespace, on its loopback device and the usual port.
    pub fn start_in(namespace: &Namespace, identity: &str) -> Self {
        Self::start_with(53, None, Some((namespace, identity)))
    }

    fn start_with(port: u16, told: Option<Told<'_>>, elsewhere: Option<(&Namespace, &str)>) -> Self {
        let folder = tempfile::Builder::new().prefix("zonepulse-knot").tempdir().expect("a temporary folder can be made");
        let path = folder.path();
        let configuration = format!(
            "server:\n    rundir: \"{0}\"\n    listen: 127.0.0.1@{port}\n{2}    udp-workers: 1\n    tcp-workers: 1\n    \
             background-workers: 1\n    tcp-io-timeout: 60000\n    tcp-idle-timeout: 60\ndatabase:\n    storage: \"{0}\"\nlog:\n  - target: stderr\n    any: info\n\
             mod-stats:\n  - id: all\n    request-protocol: on\n    response-code: on\n    server-operation: on\n\
             {1}\
             zone:\n  - domain: example\n    file: \"{0}/example.zone\"\n",
            path.display(),
            modules(told),
            elsewhere.map(|(_, identity)| format!("    identity: \"{identity}\"\n")).unwrap_or_default(),
        );
        fs::write(path.join("knot.conf"), configuration).expect("a test's folder is writable");
        fs::write(path.join("example.zone"), ZONE).expect("a test's folder is writable");
        const PROGRAM: &str = "/usr/sbin/knotd";
        let mut server = elsewhere.map_or_else(|| Command::new(PROGRAM), |(namespace, _)| namespace.command(PROGRAM));
        server.arg("-c").arg(path.join("knot.conf"));
        let server = Process::start("knotd", server, path);
        let knot = Knot { port, server, folder };
        // It loads its zone before it opens knotc's socket, the last step of its startup.
        eventually("knotd has started", Duration::from_secs(20), || {
            let log = knot.server.log();
            assert!(!log.contains("failed to"), "knotd does not start: {log}");
            log.contains("control, binding to").then_some(())
        });
        knot
    }

    /// SIGSTOP: suspends it until [`Knot::thaw`].
    pub fn freeze(&self) {
        // SAFETY: kill touches no memory; the child has not been waited for, so the ID is still its
        // own.
        unsafe { libc::kill(self.server.pid() as i32, libc::SIGSTOP) };
    }

    /// SIGCONT: resumes it.
    pub fn thaw(&self) {
        // SAFETY: kill touches no memory; the child has not been waited for, so the ID is still its
        // own.
        unsafe { libc::kill(self.server.pid() as i32, libc::SIGCONT) };
    }

    /// Queries a name without escapes, with a type number; returns the RCODE.
    pub fn ask(&self, name: &str, record_type: u16) -> u8 {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout can be set");
        socket.connect(("127.0.0.1", self.port)).expect("it is this machine");
        socket.send(&Message::query(name, record_type).bytes()).expect("it listens");
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).expect("it answers");
        assert!(length >= 12, "{:?}", &answer[..length]);
        answer[3] & 0xf
    }

    /// SIGTERM, after which it has reported everything.
    pub fn stop(mut self) {
        self.server.terminate(Duration::from_secs(20));
    }

    /// Its control socket.
    pub fn control(&self) -> PathBuf {
        self.folder.path().join("knot.sock")
    }

    /// Its own counters: `mod-stats.response-code[NOERROR]` and so on.
    pub fn statistics(&self) -> BTreeMap<String, u64> {
        let mut control = Command::new("/usr/sbin/knotc");
        control.arg("-s").arg(self.control()).arg("stats");
        let text = succeed(&mut control, Duration::from_secs(10));
        text.lines()
            .filter_map(|line| line.split_once(" = "))
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect()
    }

    /// Its nonzero responses by code.
    pub fn responses(&self) -> BTreeMap<String, u64> {
        self.statistics()
            .into_iter()
            .filter_map(|(name, value)| {
                let code = name.strip_prefix("mod-stats.response-code[")?.strip_suffix(']')?.to_owned();
                (value > 0).then_some((code, value))
            })
            .collect()
    }
}

/// What the server reports with dnstap.
struct Told<'a> {
    socket: &'a Path,
    /// `on` or `off`.
    responses: &'static str,
}

/// The module sections of the configuration.
fn modules(told: Option<Told<'_>>) -> String {
    let template = |modules: &str| format!("template:\n  - id: default\n    global-module: [{modules}]\n");
    match told {
        None => template("mod-stats/all"),
        Some(Told { socket, responses }) => format!(
            "mod-dnstap:\n  - id: told\n    sink: \"unix:{}\"\n    log-queries: on\n    log-responses: {responses}\n{}",
            socket.display(),
            template("mod-stats/all, mod-dnstap/told")
        ),
    }
}
