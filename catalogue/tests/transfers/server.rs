//! Name servers, each with the zone `example.` on a port of its own in a temporary directory.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use zonepulse_catalogue::Name;
use zonepulse_catalogue::transfer::{Primary, TsigKey};

/// The secret of the key `transfer`.
pub const SECRET: &str = "em9uZXB1bHNlLXRlc3RzLW9ubHktem9uZXB1bHNl";

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Knot,
    Nsd,
    Bind,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Kind::Knot => "/usr/sbin/knotd",
            Kind::Nsd => "/usr/sbin/nsd",
            Kind::Bind => "/usr/sbin/named",
        }
    }

    /// Whether the server and the tools of Knot are installed.
    pub fn need(self) -> Result<(), String> {
        let missing = [self.program(), "/usr/bin/kdig", "/usr/bin/knsupdate"].into_iter().find(|path| !Path::new(path).exists());
        missing.map_or(Ok(()), |path| Err(format!("there is no {path}: install knot, knot-dnsutils, nsd and bind9")))
    }
}

/// A server, stopped when dropped.
pub struct Server {
    child: Child,
    folder: TempDir,
    pub address: SocketAddr,
}

impl Server {
    /// Starts a server with this zone file, and waits until it answers.
    pub fn start(kind: Kind, zone: &str) -> Self {
        Self::start_with(kind, zone, "")
    }

    /// The same with additional options of BIND.
    pub fn start_with(kind: Kind, zone: &str, options: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("zonepulse-transfer-").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = folder.path();
        fs::write(path.join("example.zone"), zone).unwrap();
        // Knot does not create the directory of its journal.
        fs::create_dir(path.join("db")).unwrap();
        let log = fs::File::create(path.join("log")).unwrap();
        let mut command = Command::new(kind.program());
        let file = configure(kind, path, port, options);
        command.arg("-c").arg(file);
        match kind {
            Kind::Knot => {}
            Kind::Nsd => {
                command.arg("-d");
            }
            Kind::Bind => {
                command.args(["-g", "-n", "1"]);
            }
        }
        let errors = log.try_clone().unwrap();
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut server = Server { child, folder, address };
        server.wait();
        server
    }

    fn wait(&mut self) {
        let start = Instant::now();
        loop {
            let output = self.kdig(&["+short", "SOA", "example."]).output().unwrap();
            if String::from_utf8_lossy(&output.stdout).contains("admin.example.") {
                return;
            }
            let ended = self.child.try_wait().unwrap().is_some();
            if ended || start.elapsed() > Duration::from_secs(300) {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("the server did not start: {log}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// `kdig` over TCP with the key.
    pub fn kdig(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/kdig");
        let port = self.address.port().to_string();
        command.args(["@127.0.0.1", "-p", &port, "-y", &format!("hmac-sha256:transfer:{SECRET}"), "+tcp", "+timeout=60"]);
        command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Sends updates, each group of lines as one message and thus as one new version.
    pub fn update(&self, groups: &[Vec<String>]) {
        let mut script = format!("server 127.0.0.1 {}\nzone example.\nkey hmac-sha256:transfer {SECRET}\n", self.address.port());
        for group in groups {
            for line in group {
                writeln!(script, "update {line}").unwrap();
            }
            script.push_str("send\n");
        }
        let file = self.folder.path().join("updates");
        fs::write(&file, script).unwrap();
        let output = Command::new("/usr/bin/knsupdate").arg("-v").arg(&file).output().unwrap();
        let shown = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && !shown.contains("error"), "{shown}");
    }

    /// This server with the right key.
    pub fn primary(&self) -> Primary {
        Primary::new(self.address, Some(key("transfer", SECRET)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // NSD's children end with it only if it is asked to.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A key for HMAC-SHA256.
pub fn key(name: &str, secret: &str) -> TsigKey {
    TsigKey::from_text(&format!("hmac-sha256:{name}:{secret}")).unwrap()
}

/// The apex of the zone that all servers have.
pub fn apex() -> Name {
    Name::from_text("example.").unwrap()
}

fn configure(kind: Kind, path: &Path, port: u16, options: &str) -> PathBuf {
    let folder = path.display();
    let text = match kind {
        Kind::Knot => format!(
            "server:\n  rundir: {folder}\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n  tcp-workers: 2\n  background-workers: 1\n\
             \x20 # On a busy machine a reader may not run for longer than the usual 500 ms.\n\x20 tcp-io-timeout: 60000\n\
             database:\n  storage: {folder}/db\n\
             key:\n  - id: transfer\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
             acl:\n  - id: all\n    key: transfer\n    action: [transfer, update]\n\
             zone:\n  - domain: example.\n    storage: {folder}\n    file: example.zone\n    acl: all\n    zonefile-sync: -1\n\
             \x20   zonefile-load: whole\n    journal-content: changes\n    journal-max-depth: 10000\n"
        ),
        Kind::Nsd => format!(
            "server:\n  ip-address: 127.0.0.1@{port}\n  zonesdir: \"{folder}\"\n  username: \"\"\n  database: \"\"\n\
             \x20 pidfile: \"{folder}/pid\"\n  xfrdfile: \"{folder}/xfrd\"\n  xfrdir: \"{folder}\"\n  zonelistfile: \"{folder}/list\"\n\
             \x20 server-count: 1\n\
             remote-control:\n  control-enable: no\n\
             key:\n  name: transfer\n  algorithm: hmac-sha256\n  secret: \"{SECRET}\"\n\
             zone:\n  name: example\n  zonefile: example.zone\n  provide-xfr: 127.0.0.1 transfer\n"
        ),
        Kind::Bind => format!(
            "key transfer {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n\
             options {{ directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file none;\n\
             session-keyfile none; recursion no; dnssec-validation no; notify no; allow-transfer {{ key transfer; }};\n\
             max-ixfr-ratio unlimited; max-journal-size unlimited; {options} }};\n\
             controls {{ }};\n\
             zone example {{ type primary; file \"example.zone\"; allow-update {{ key transfer; }}; check-names ignore; }};\n"
        ),
    };
    let file = path.join("server.conf");
    fs::write(&file, text).unwrap();
    file
}
