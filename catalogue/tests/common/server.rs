//! A Knot DNS server with a zone that may be transferred and updated.

use super::message::{self, Response};
use std::fmt::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use zonepulse_catalogue::{Name, Record};
use zonepulse_dns::RecordType;

/// `hmac:name:secret` as `nsupdate -y` and `knsupdate -y` take it.
pub const KEY: &str = "hmac-sha256:update:c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI=";

/// A server with the zone "example.", which takes updates with the key and transfers to this machine.
pub struct Knotd {
    process: Child,
    folder: TempDir,
    pub address: SocketAddr,
}

impl Knotd {
    /// Starts a server, or says why that is impossible.
    pub fn start(records: &[Record]) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let address = free_address();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("db")).map_err(|error| error.to_string())?;
        std::fs::write(path("zone"), zone_file(records)).map_err(|error| error.to_string())?;
        std::fs::write(path("knot.conf"), configuration(folder.path(), address)).map_err(|error| error.to_string())?;
        let output = std::fs::File::create(path("log")).map_err(|error| error.to_string())?;
        let process = Command::new("knotd")
            .arg("-c")
            .arg(path("knot.conf"))
            .stdout(output)
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("knotd does not start: {error}"))?;
        let server = Knotd { process, folder, address };
        let until = Instant::now() + Duration::from_secs(20);
        while server.transfer().is_empty() {
            if Instant::now() > until {
                let log = std::fs::read_to_string(server.path("log")).unwrap_or_default();
                return Err(format!("knotd does not serve the zone: {log}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The `knotc` command that reaches this server.
    pub fn knotc(&self) -> String {
        format!("knotc -s {}", self.path("knot.sock").display())
    }

    /// The zone by AXFR, as sorted lines without the SOA. Empty if it is not served.
    pub fn transfer(&self) -> Vec<String> {
        let output = Command::new("kdig")
            .args([&format!("@{}", self.address.ip()), "-p", &self.address.port().to_string()])
            .args(["example.", "AXFR", "+noall", "+answer", "+nocrypto", "+timeout=5"])
            .output()
            .expect("kdig");
        let text = String::from_utf8(output.stdout).unwrap();
        let records = text.lines().filter(|line| !line.is_empty() && !line.starts_with(';'));
        let fields = records.map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
        let mut lines: Vec<String> = fields.filter(|fields| fields[3] != "SOA").map(|fields| fields.join(" ")).collect();
        lines.sort();
        lines
    }

    /// Runs `nsupdate` or `knsupdate` with a script.
    pub fn update(&self, program: &str, script: &str) -> Output {
        let path = self.path("script");
        std::fs::write(&path, script).unwrap();
        Command::new(program).args(["-v", "-y", KEY]).arg(path).output().unwrap()
    }

    /// Runs a shell script with `KNOTC` set, in the server's folder.
    pub fn shell(&self, script: &str) -> Output {
        let path = self.path("script");
        std::fs::write(&path, script).unwrap();
        Command::new("sh").arg(path).env("KNOTC", self.knotc()).current_dir(self.folder.path()).output().unwrap()
    }

    /// Asks by UDP.
    pub fn ask(&self, name: &Name, rtype: RecordType) -> Response {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.connect(self.address).unwrap();
        socket.send(&message::query(7, name, rtype.value())).unwrap();
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        message::parse(&buffer[..length])
    }
}

impl Drop for Knotd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A free port of both protocols, not one that another server of this process is about to take: knotd shares its ports.
fn free_address() -> SocketAddr {
    static STARTED: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + (std::process::id() % 400) as u16 * 30 + STARTED.fetch_add(1, Ordering::Relaxed) % 30;
    let ports = (start..start + 5000).step_by(30).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let mut free = ports.filter(|address| TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok());
    free.next().expect("a free port")
}

/// A zone file that depends on no text format but RFC 3597's.
fn zone_file(records: &[Record]) -> String {
    let mut text = String::new();
    for Record { owner, rtype, ttl, rdata } in records {
        let owner = escaped(owner);
        let _ = write!(text, "{owner} {ttl} IN TYPE{} \\# {} ", rtype.value(), rdata.len());
        rdata.iter().for_each(|octet| write!(text, "{octet:02x}").unwrap());
        text.push('\n');
    }
    text
}

/// A name with every octet escaped that might be special.
fn escaped(name: &Name) -> String {
    let octet = |octet: &u8| match octet {
        b'a'..=b'z' | b'0'..=b'9' => char::from(*octet).to_string(),
        octet => format!("\\{octet:03}"),
    };
    name.labels().map(|label| label.iter().map(octet).collect::<String>() + ".").collect()
}

fn configuration(folder: &Path, address: SocketAddr) -> String {
    let folder = folder.display();
    let (algorithm, secret) = (KEY.split(':').next().unwrap(), KEY.split(':').nth(2).unwrap());
    format!(
        "server:
    rundir: {folder}
    listen: {}@{}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stdout
    any: notice
database:
    storage: {folder}/db
    journal-db-max-size: 200M
key:
  - id: update
    algorithm: {algorithm}
    secret: {secret}
acl:
  - id: update
    address: 127.0.0.1
    key: update
    action: update
  - id: transfer
    address: 127.0.0.1
    action: transfer
zone:
  - domain: example.
    file: {folder}/zone
    acl: [update, transfer]
    zonefile-sync: -1
    journal-content: changes
",
        address.ip(),
        address.port()
    )
}
