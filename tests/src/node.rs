//! Nodes: a real sshd on loopback with host keys of its own, and users to log in as.

use super::ports;
use super::process::{Output, Process, run, succeed, write_private};
use super::wait::eventually;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const SSHD: &str = "/usr/sbin/sshd";
const WITHIN: Duration = Duration::from_secs(20);

/// What tests of nodes need.
pub fn sshd() -> Result<(), String> {
    // SAFETY: geteuid touches no memory.
    if unsafe { libc::geteuid() } != 0 {
        return Err("users for a test need root".to_owned());
    }
    if !Path::new(SSHD).exists() {
        return Err("there is no sshd: install openssh-server".to_owned());
    }
    Ok(())
}

/// A user of this machine without privileges, removed with its processes when dropped.
pub struct NodeUser {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
    /// The home directory.
    pub home: PathBuf,
    // Kept until the user is gone.
    _folder: TempDir,
}

impl NodeUser {
    /// Makes a user.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("zpnode{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = open_folder();
        let home = folder.path().join("home");
        succeed(Command::new("useradd").args(["-m", "-s", "/bin/sh", "-d"]).arg(&home).arg(&name), WITHIN);
        let password = format!("secret-{name}");
        let given = super::process::run_with_input(&mut Command::new("chpasswd"), &format!("{name}:{password}\n"), WITHIN);
        assert_eq!(given.code, Some(0), "{}", given.err);
        NodeUser { name, password, home, _folder: folder }
    }

    /// Runs a script as the user, in its home directory.
    pub fn run(&self, script: &str) -> Output {
        let script = format!("cd && {script}");
        run(Command::new("su").args(["-", &self.name, "-c", &script]), Duration::from_secs(60))
    }
}

impl Default for NodeUser {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for NodeUser {
    fn drop(&mut self) {
        let _ = Command::new("pkill").args(["-KILL", "-u", &self.name]).status();
        // Fails while a process still ends.
        for _ in 0..20 {
            if Command::new("userdel").arg(&self.name).output().is_ok_and(|output| output.status.success()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A directory that other users can enter.
pub fn open_folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("zonepulse-node").tempdir().expect("a temporary folder can be made");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
    folder
}

/// An sshd.
pub struct Sshd {
    // Declared before the directory, which contains its log: fields are dropped in order.
    process: Process,
    folder: TempDir,
    /// Its port.
    pub port: u16,
}

impl Sshd {
    /// Starts one that lets everybody in who has the password or the key of [`Sshd::identity`].
    pub fn start() -> Self {
        let folder = open_folder();
        let keys = ["host", "other", "client"].map(|name| folder.path().join(name));
        for key in &keys {
            succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(key), WITHIN);
        }
        fs::copy(keys[2].with_extension("pub"), folder.path().join("authorized")).expect("the key was made");
        // Of the package, whose service makes it.
        fs::create_dir_all("/run/sshd").expect("root may make it");
        let port = ports::free();
        let at = folder.path().display();
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nPidFile none\nAuthorizedKeysFile {at}/authorized\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication yes\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
             PrintMotd no\nMaxStartups 100\n"
        );
        write_private(&folder.path().join("config"), &text);
        let mut command = Command::new(SSHD);
        command.args(["-D", "-e", "-f"]).arg(folder.path().join("config"));
        let process = Process::start("sshd", command, folder.path());
        let sshd = Sshd { process, folder, port };
        eventually("sshd listens", WITHIN, || TcpStream::connect(("127.0.0.1", port)).ok().map(|_| ()));
        sshd
    }

    /// A user there, as `ssh` is told.
    pub fn target(&self, user: &str) -> String {
        format!("{user}@127.0.0.1:{}", self.port)
    }

    /// A private key that opens it.
    pub fn identity(&self) -> PathBuf {
        self.folder.path().join("client")
    }

    /// Its line for a file of known hosts.
    pub fn known(&self) -> String {
        format!("[127.0.0.1]:{} {}", self.port, self.public("host"))
    }

    /// The fingerprint of its host key.
    pub fn fingerprint(&self) -> String {
        self.fingerprint_of("host")
    }

    /// The fingerprint of another key.
    pub fn other_fingerprint(&self) -> String {
        self.fingerprint_of("other")
    }

    fn fingerprint_of(&self, key: &str) -> String {
        let printed = succeed(Command::new("ssh-keygen").arg("-lf").arg(self.folder.path().join(key)), WITHIN);
        printed.split(' ').nth(1).expect("a fingerprint").to_owned()
    }

    fn public(&self, key: &str) -> String {
        fs::read_to_string(self.folder.path().join(key).with_extension("pub")).expect("the key was made")
    }

    /// Its log.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
