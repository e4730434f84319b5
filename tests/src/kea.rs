//! DHCP servers for tests.

use super::eventually;
use super::network::Namespace;
use super::process::Process;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// DHCPv4 or DHCPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// DHCPv4.
    V4,
    /// DHCPv6.
    V6,
}

impl Family {
    fn server(self) -> &'static str {
        match self {
            Family::V4 => "kea-dhcp4",
            Family::V6 => "kea-dhcp6",
        }
    }

    fn program(self) -> PathBuf {
        PathBuf::from("/usr/sbin").join(self.server())
    }
}

/// Kea with a control socket.
pub struct Kea {
    // Declared before the directory, which contains its log: fields are dropped in order.
    process: Process,
    folder: TempDir,
}

impl Kea {
    /// Starts one without a network to serve: it only needs to be visible.
    pub fn start() -> Self {
        Self::start_with(Family::V4, None, &json!([]))
    }

    /// Starts one with these subnets, still without a network.
    pub fn start_of(family: Family, subnets: &Value) -> Self {
        Self::start_with(family, None, subnets)
    }

    /// Starts one that serves relays on a device of a namespace.
    pub fn start_in(namespace: &Namespace, device: &str, subnets: &Value) -> Self {
        Self::start_with(Family::V4, Some((namespace, device)), subnets)
    }

    fn start_with(family: Family, serves: Option<(&Namespace, &str)>, subnets: &Value) -> Self {
        let folder = tempfile::Builder::new().prefix("zonepulse-kea").tempdir().expect("a temporary folder can be made");
        let socket = folder.path().join("control.sock");
        let devices: Vec<&str> = serves.iter().map(|(_, device)| *device).collect();
        let mut settings = json!({
            "interfaces-config": { "interfaces": devices },
            "control-socket": { "socket-type": "unix", "socket-name": socket },
            "lease-database": { "type": "memfile", "persist": false },
            "valid-lifetime": 600,
            "loggers": [{ "name": family.server(), "severity": "INFO", "output_options": [{ "output": "stderr" }] }],
        });
        let configuration = match family {
            Family::V4 => {
                // Relays send unicast, so Kea needs no packet socket.
                settings["interfaces-config"]["dhcp-socket-type"] = json!("udp");
                settings["subnet4"] = subnets.clone();
                json!({ "Dhcp4": settings })
            }
            Family::V6 => {
                settings["preferred-lifetime"] = json!(300);
                // By default it would be a file of the system's.
                settings["server-id"] = json!({ "type": "EN", "enterprise-id": 2495, "identifier": "0102", "persist": false });
                settings["subnet6"] = subnets.clone();
                json!({ "Dhcp6": settings })
            }
        };
        let path = folder.path().join("kea.json");
        fs::write(&path, configuration.to_string()).expect("a test's folder is writable");
        let program = family.program();
        let mut command = serves.map_or_else(|| Command::new(&program), |(namespace, _)| namespace.command(&program));
        command.arg("-c").arg(path).env("KEA_PIDFILE_DIR", folder.path()).env("KEA_LOCKFILE_DIR", folder.path());
        let process = Process::start(family.server(), command, folder.path());
        eventually("Kea answers", Duration::from_secs(20), || UnixStream::connect(&socket).ok());
        Kea { process, folder }
    }

    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// Its own statistics: the latest value of each that is a number.
    pub fn statistics(&self) -> BTreeMap<String, f64> {
        let mut stream = UnixStream::connect(self.socket()).expect("Kea listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
        stream.write_all(br#"{"command":"statistic-get-all"}"#).expect("Kea listens");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("Kea answers");
        let answer: Value = serde_json::from_str(&text).expect("an answer is JSON");
        let statistics = answer["arguments"].as_object().expect("there are statistics");
        statistics.iter().filter_map(|(name, values)| Some((name.clone(), values[0][0].as_f64()?))).collect()
    }

    /// The version of the server for IPv4, as reported on the command line.
    pub fn version() -> String {
        let output = Command::new(Family::V4.program()).arg("-v").output().expect("Kea starts");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}
