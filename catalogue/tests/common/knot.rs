//! A knotd of the test's own.

use super::message::{self, Response};
use std::cell::Cell;
use std::fmt::Write;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};
use tempfile::TempDir;
use zonepulse_catalogue::Name;
use zonepulse_dns::RecordType;

/// Maximum number of queries without a response: fewer than fit into a socket's buffer.
const WINDOW: usize = 64;

/// A running knotd, which ends with this.
pub struct Knot {
    child: Child,
    socket: UdpSocket,
    next_id: Cell<u16>,
    /// Zones, configuration, and what knotd writes.
    _folder: TempDir,
}

/// Where knotd is, or why it cannot be used.
pub fn program() -> Result<&'static str, String> {
    let path = "/usr/sbin/knotd";
    if fs::exists(path).unwrap_or(false) { Ok(path) } else { Err(format!("no {path}: install the package knot")) }
}

impl Knot {
    /// Serves zones, given as apex and text.
    pub fn serve(program: &str, zones: &[(String, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // Free now, and nothing else is likely to take it before knotd does.
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut configuration = format!(
            "server:\n    listen: 127.0.0.1@{port}\n    rundir: {path}\n    udp-workers: 1\n    tcp-workers: 1\n    \
             background-workers: 1\n    udp-max-payload: 4096\ndatabase:\n    storage: {path}\n\
             template:\n  - id: default\n    semantic-checks: soft\n    zonefile-sync: -1\n    journal-content: none\nzone:\n"
        );
        for (apex, text) in zones {
            let file = folder.path().join(format!("{apex}zone"));
            fs::write(&file, text).unwrap();
            write!(configuration, "  - domain: {apex}\n    file: {}\n", file.display()).unwrap();
        }
        let file = folder.path().join("knot.conf");
        fs::write(&file, configuration).unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let knot = Knot { child: command.spawn().unwrap(), socket, next_id: Cell::new(1), _folder: folder };
        knot.socket.connect(("127.0.0.1", port)).unwrap();
        zones.iter().for_each(|(apex, _)| knot.wait_for(&Name::from_text(apex).unwrap()));
        knot
    }

    /// The responses to queries, in their order.
    pub fn ask(&self, queries: &[(Name, RecordType)]) -> Vec<Response> {
        queries.chunks(WINDOW).flat_map(|window| self.ask_window(window)).collect()
    }

    fn ask_window(&self, queries: &[(Name, RecordType)]) -> Vec<Response> {
        self.socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        // A late response to an earlier query must not pass for one of these.
        let first = self.next_id.replace(self.next_id.get().wrapping_add(queries.len() as u16));
        let mut responses: Vec<Option<Response>> = queries.iter().map(|_| None).collect();
        for _ in 0..5 {
            for (at, (name, rtype)) in queries.iter().enumerate().filter(|(at, _)| responses[*at].is_none()) {
                let id = first.wrapping_add(at as u16);
                self.socket.send(&message::query(id, name, rtype.value())).unwrap();
            }
            while responses.iter().any(Option::is_none) {
                let Ok(response) = self.receive() else { break };
                if let Some(place) = responses.get_mut(usize::from(response.id.wrapping_sub(first))) {
                    *place = Some(response);
                }
            }
        }
        responses.into_iter().map(|response| response.expect("knotd responds")).collect()
    }

    /// Waits until a zone is loaded: until then, knotd says SERVFAIL.
    fn wait_for(&self, apex: &Name) {
        self.socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) {
            let sent = self.socket.send(&message::query(0, apex, RecordType::SOA.value()));
            match sent.and_then(|_| self.receive()) {
                Ok(response) if response.rcode == 0 => return,
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        panic!("knotd does not serve {apex} within a minute");
    }

    fn receive(&self) -> io::Result<Response> {
        let mut octets = [0; 4096];
        let length = self.socket.recv(&mut octets)?;
        Ok(message::parse(&octets[..length]))
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
