//! A DHCP server for tests.

use super::eventually;
use super::process::Process;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const SERVER: &str = "/usr/sbin/kea-dhcp4";

/// Kea for IPv4 without a network to serve: it only needs to be visible.
pub struct Kea {
    // Declared before the directory, which contains its log: fields are dropped in order.
    process: Process,
    folder: TempDir,
}

impl Kea {
    /// Starts one with a control socket.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("zonepulse-kea").tempdir().expect("a temporary folder can be made");
        let socket = folder.path().join("control.sock");
        let configuration = serde_json::json!({ "Dhcp4": {
            "interfaces-config": { "interfaces": [] },
            "control-socket": { "socket-type": "unix", "socket-name": socket },
            "lease-database": { "type": "memfile", "persist": false },
            "valid-lifetime": 600,
            "subnet4": [],
            "loggers": [{ "name": "kea-dhcp4", "severity": "INFO", "output_options": [{ "output": "stderr" }] }],
        } });
        let path = folder.path().join("kea.json");
        fs::write(&path, configuration.to_string()).expect("a test's folder is writable");
        let mut command = Command::new(SERVER);
        command.arg("-c").arg(path).env("KEA_PIDFILE_DIR", folder.path()).env("KEA_LOCKFILE_DIR", folder.path());
        let process = Process::start("kea-dhcp4", command, folder.path());
        eventually("Kea answers", Duration::from_secs(20), || UnixStream::connect(&socket).ok());
        Kea { process, folder }
    }

    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// Its version, as reported on the command line.
    pub fn version() -> String {
        let output = Command::new(SERVER).arg("-v").output().expect("Kea starts");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}
