//! A server for SSH, on this machine only.

use super::eventually;
use super::ports;
use super::process::{Process, succeed, write_private};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// A server into which this user can log in with a key of its own.
pub struct Sshd {
    // Declared before the directory, which contains its log: fields are dropped in order.
    _process: Process,
    folder: TempDir,
    /// Its port.
    pub port: u16,
}

impl Sshd {
    /// Starts one.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("zonepulse-sshd").tempdir().expect("a temporary folder can be made");
        let at = |name: &str| folder.path().join(name);
        for name in ["host", "user"] {
            make_key(&at(name));
        }
        let port = ports::free();
        let text = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nPermitRootLogin prohibit-password\nMaxStartups 100\n",
            at("host").display(),
            at("user.pub").display()
        );
        write_private(&at("sshd.conf"), &text);
        let public = fs::read_to_string(at("host.pub")).expect("ssh-keygen has made it");
        fs::write(at("known_hosts"), format!("[127.0.0.1]:{port} {public}")).expect("a test's folder is writable");
        // Where root runs it, it insists on this directory.
        let _ = fs::create_dir("/run/sshd");
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(at("sshd.conf"));
        let process = Process::start("sshd", command, folder.path());
        eventually("the server for SSH listens", Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", port)).ok());
        Sshd { _process: process, folder, port }
    }

    /// The private key of the user.
    pub fn identity(&self) -> PathBuf {
        self.folder.path().join("user")
    }

    /// A file with its host key.
    pub fn known_hosts(&self) -> PathBuf {
        self.folder.path().join("known_hosts")
    }

    /// A directory there, as a destination.
    pub fn destination(&self, path: &Path) -> String {
        let id = succeed(Command::new("id").arg("-un"), Duration::from_secs(10));
        format!("ssh://{}@127.0.0.1:{}{}", id.trim(), self.port, path.display())
    }
}

/// Makes a key without a passphrase.
pub fn make_key(path: &Path) {
    succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path), Duration::from_secs(20));
}
