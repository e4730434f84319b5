//! Commands on a node, run with OpenSSH's `ssh`.
//!
//! Everything that `ssh` is told is in a configuration in a private directory, because options on the command line would not
//! apply to the jump host. A password reaches `ssh` through its askpass interface: a helper prints it from the environment
//! of `ssh`, which only this user and root can see. It is in no argument and in no file.

use super::steps::shortened;
use super::{HostKey, Identity, Login, Order, Target};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// How much of a command's output is kept: the end.
const MAX_OUTPUT_BYTES: usize = 64 << 10;
/// What `ssh` exits with if it fails itself.
const SSH_FAILED: i32 = 255;
/// Time to connect to a host, seconds.
const CONNECT_TIMEOUT_S: u32 = 10;
/// Prints the password that is asked for, and answers no other question.
const ASKPASS: &str = r#"#!/bin/sh
case $1 in
  *"${ZONEPULSE_SSH_JUMP:-no jump host}"*[Pp]assword*) printf '%s\n' "${ZONEPULSE_SSH_JUMP_PASSWORD:-}" ;;
  *[Pp]assword* | *[Pp]assphrase*) printf '%s\n' "${ZONEPULSE_SSH_PASSWORD:-}" ;;
  *) exit 1 ;;
esac
"#;

/// A way to run commands on a node.
pub(super) struct Ssh {
    directory: Private,
    target: Target,
    jump: Option<Login>,
    password: Option<zonepulse_private::Secret>,
    known_hosts: Option<PathBuf>,
}

/// What a command said.
#[derive(Debug)]
pub(super) struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ssh {
    /// Prepares connections to a node. Nothing is connected yet.
    pub(super) fn new(order: &Order) -> io::Result<Ssh> {
        let directory = Private::new(&order.work)?;
        let ssh = Ssh {
            target: order.node.target.clone(),
            jump: order.jump.clone(),
            password: order.node.password.clone(),
            known_hosts: order.known_hosts.first().filter(|_| order.accept_new_host_key).cloned(),
            directory,
        };
        ssh.directory.write("askpass", 0o700, ASKPASS)?;
        ssh.directory.write("host-keys", 0o700, &host_keys(order))?;
        if let Some(Identity::Text(key)) = &order.identity {
            // `ssh` refuses a key without an end of line.
            ssh.directory.write("identity", 0o600, &format!("{}\n", key.reveal().trim_end()))?;
        }
        ssh.directory.write("config", 0o600, &ssh.configuration(order))?;
        Ok(ssh)
    }

    fn configuration(&self, order: &Order) -> String {
        let quoted = |path: &Path| format!("\"{}\"", path.display());
        let mut lines = vec!["Host *".to_owned()];
        let mut set = |name: &str, value: &str| lines.push(format!("  {name} {value}"));
        let is_pinned = order.logins().any(|login| login.host_key.is_some());
        set("StrictHostKeyChecking", if order.accept_new_host_key && !is_pinned { "accept-new" } else { "yes" });
        // A key that is accepted goes to the first.
        let new = [self.path("known")];
        let all_pinned = order.logins().all(|login| login.host_key.is_some());
        let files = new.iter().chain(order.known_hosts.iter().filter(|_| !all_pinned)).map(|path| quoted(path));
        set("UserKnownHostsFile", &files.collect::<Vec<_>>().join(" "));
        if is_pinned {
            set("KnownHostsCommand", &format!("{} %H %t %K %f", quoted(&self.path("host-keys"))));
        }
        if order.logins().any(|login| login.password.is_some()) {
            set("NumberOfPasswordPrompts", "1");
        } else {
            set("BatchMode", "yes");
        }
        match &order.identity {
            Some(Identity::File(path)) => set("IdentityFile", &quoted(path)),
            Some(Identity::Text(_)) => set("IdentityFile", &quoted(&self.path("identity"))),
            None => {}
        }
        if order.identity.is_some() {
            set("IdentitiesOnly", "yes");
        }
        for (name, value) in [
            ("ConnectTimeout", CONNECT_TIMEOUT_S.to_string().as_str()),
            ("ConnectionAttempts", "1"),
            ("ServerAliveInterval", "10"),
            ("ServerAliveCountMax", "3"),
            ("LogLevel", "ERROR"),
            ("UpdateHostKeys", "no"),
            ("HashKnownHosts", "no"),
            ("ForwardAgent", "no"),
            ("ForwardX11", "no"),
            ("PermitLocalCommand", "no"),
            ("RequestTTY", "no"),
            ("ControlMaster", "no"),
            ("ControlPath", "none"),
        ] {
            set(name, value);
        }
        match &order.configuration {
            Some(file) => set("Include", &format!("{} /etc/ssh/ssh_config", quoted(file))),
            None => {
                // A central has no agent and no keys of its own.
                set("IdentityAgent", "none");
                set("GlobalKnownHostsFile", "/dev/null");
                if order.identity.is_none() {
                    set("PubkeyAuthentication", "no");
                }
            }
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path.join(name)
    }

    /// A path for the bundle, removed with everything else.
    pub(super) fn bundle(&self) -> PathBuf {
        self.path("setup.tar")
    }

    /// Runs a script with `sh` on the node, for at most this long. Fails if it could not be run.
    pub(super) async fn run(&self, script: &str, input: Option<&Path>, longest: Duration) -> Result<Output, String> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => "ssh is not installed on this machine: install OpenSSH's client".to_owned(),
            _ => format!("ssh cannot be run: {error}"),
        };
        let mut command = Command::new("ssh");
        command.arg("-F").arg(self.path("config")).arg("-p").arg(self.target.port.to_string());
        if let Some(jump) = &self.jump {
            let Target { user, host, port } = &jump.target;
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            command.arg("-J").arg(format!("{user}@{host}:{port}"));
        }
        command.arg("-l").arg(&self.target.user).arg("--").arg(&self.target.host).arg(format!("sh -c {}", quoted(script)));
        command.env("SSH_ASKPASS", self.path("askpass")).env("SSH_ASKPASS_REQUIRE", "force").env_remove("DISPLAY");
        if let Some(password) = &self.password {
            command.env("ZONEPULSE_SSH_PASSWORD", password.reveal());
        }
        if let Some(Login { target, password, .. }) = &self.jump {
            command.env("ZONEPULSE_SSH_JUMP", format!("{}@{}", target.user, target.host));
            command.env("ZONEPULSE_SSH_JUMP_PASSWORD", password.as_ref().map_or("", |password| password.reveal()));
        }
        match input {
            Some(path) => command.stdin(File::open(path).map_err(|error| format!("{}: {error}", path.display()))?),
            None => command.stdin(Stdio::null()),
        };
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(failed)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let whole = async { tokio::join!(end_of(stdout), end_of(stderr), child.wait()) };
        let Ok((stdout, stderr, status)) = tokio::time::timeout(longest, whole).await else {
            return Err(format!("{} took more than {} s", self.target, longest.as_secs()));
        };
        let output = Output { code: status.map_err(failed)?.code(), stdout, stderr };
        if output.code == Some(SSH_FAILED) { Err(self.explain(&output.stderr)) } else { Ok(output) }
    }

    /// What it means that `ssh` failed, and what to do.
    fn explain(&self, said: &str) -> String {
        let names = match &self.jump {
            Some(jump) => format!("{} (or the jump host {})", self.target, jump.target),
            None => self.target.to_string(),
        };
        let has = |text: &str| said.contains(text);
        let advice = if has("IDENTIFICATION HAS CHANGED") {
            format!(
                "the host key of {names} is another one than the known one: if the host was not reinstalled, somebody is in between"
            )
        } else if has("Host key verification failed") || has("host key is known") {
            format!(
                "the host key of {names} is not known, or not the one that was given: compare it on the host (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub)"
            )
        } else if has("Permission denied") || has("Too many authentication failures") {
            format!("{names} refuses the login: the password or key is wrong, or not allowed for this user")
        } else if has("Could not resolve") {
            "the name of the host cannot be resolved".to_owned()
        } else if has("Connection refused") || has("timed out") || has("No route to host") || has("unreachable") {
            format!("{names} cannot be reached: is the port right, does sshd run, does the firewall allow it?")
        } else {
            format!("the connection to {names} failed")
        };
        format!("{advice}\n{}", shortened(said))
    }

    /// Host keys that were accepted for the first time, as `ssh-keygen -l` prints them; they are known from now on.
    pub(super) async fn accepted(&self) -> io::Result<Vec<String>> {
        let known = self.path("known");
        let Some(keep) = &self.known_hosts else { return Ok(Vec::new()) };
        let lines = match fs::read_to_string(&known) {
            Ok(lines) => lines,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let printed = Command::new("ssh-keygen").arg("-lf").arg(&known).stdin(Stdio::null()).output().await?;
        if let Some(directory) = keep.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(keep)?;
        file.write_all(lines.as_bytes())?;
        Ok(String::from_utf8_lossy(&printed.stdout).lines().take(16).map(str::to_owned).collect())
    }
}

impl Order {
    /// The hosts that are logged in to.
    fn logins(&self) -> impl Iterator<Item = &Login> {
        [&self.node].into_iter().chain(&self.jump)
    }
}

/// A program that `ssh` asks for the keys of a host; it knows those that were given.
fn host_keys(order: &Order) -> String {
    let mut script = "#!/bin/sh\nknow() { printf '%s %s %s\\n' \"$1\" \"$2\" \"$3\"; }\ncase \"$1 $2 $3 $4\" in\n".to_owned();
    for login in order.logins() {
        let name = quoted(&login.target.known_name());
        let pattern = match &login.host_key {
            Some(HostKey::Fingerprint(fingerprint)) => format!("{name}' '*' '{}", quoted(fingerprint)),
            Some(HostKey::Key { kind, base64 }) => format!("{name}' '{}' '{}' '*", quoted(kind), quoted(base64)),
            None => continue,
        };
        script.push_str(&format!("  {pattern}) know \"$@\" ;;\n"));
    }
    script.push_str("esac\n");
    script
}

/// The end of what a program says.
async fn end_of(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut kept: Vec<u8> = Vec::new();
    let mut piece = [0; 8192];
    while let Ok(read) = stream.read(&mut piece).await {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(piece.get(..read).unwrap_or_default());
        kept.drain(..kept.len().saturating_sub(MAX_OUTPUT_BYTES));
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// A text as one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A directory for this user only, removed when dropped.
struct Private {
    path: PathBuf,
}

impl Private {
    fn new(parent: &Path) -> io::Result<Private> {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        let name = crate::credentials::token::random().map_err(io::Error::other)?;
        let path = parent.join(format!("ssh-{}", name.get(..16).unwrap_or("0")));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Private { path })
    }

    fn write(&self, name: &str, mode: u32, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(self.path.join(name))?;
        file.write_all(text.as_bytes())
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "private files of an SSH connection cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::{DEFAULT_WAIT, Kind};

    fn login(target: &str, host_key: Option<&str>) -> Login {
        let host_key = host_key.map(|key| key.parse().unwrap());
        Login { target: target.parse().unwrap(), password: None, host_key }
    }

    fn order(work: &Path, node: Login, jump: Option<Login>) -> Order {
        Order {
            server_id: 1,
            kind: Kind::Install,
            node,
            jump,
            identity: None,
            known_hosts: vec![work.join("known_hosts")],
            accept_new_host_key: false,
            configuration: None,
            enroll: false,
            sudo: false,
            prefix: None,
            wait: DEFAULT_WAIT,
            work: work.to_owned(),
        }
    }

    fn said(script: &Path, arguments: &[&str]) -> String {
        let output = std::process::Command::new("sh").arg(script).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn only_the_host_key_that_was_given_is_known() {
        let work = tempfile::tempdir().unwrap();
        let node = login("a@127.0.0.1:2222", Some("SHA256:right"));
        let ssh = Ssh::new(&order(work.path(), node, Some(login("b@jump", Some("ssh-rsa AAAA"))))).unwrap();
        let script = ssh.path("host-keys");
        let known = |host: &str, kind, key, fingerprint| said(&script, &[host, kind, key, fingerprint]);
        assert_eq!(known("[127.0.0.1]:2222", "ssh-ed25519", "KEY", "SHA256:right"), "[127.0.0.1]:2222 ssh-ed25519 KEY\n");
        assert_eq!(known("jump", "ssh-rsa", "AAAA", "SHA256:x"), "jump ssh-rsa AAAA\n");
        assert_eq!(known("[127.0.0.1]:2222", "ssh-ed25519", "KEY", "SHA256:wrong"), "");
        assert_eq!(known("jump", "ssh-ed25519", "KEY", "SHA256:right"), "", "that is the key of the other");
    }

    #[test]
    fn a_new_host_key_is_accepted_only_on_request_and_if_none_was_given() {
        let work = tempfile::tempdir().unwrap();
        let strict = |accept, key: Option<&str>| {
            let order = Order { accept_new_host_key: accept, ..order(work.path(), login("a@b", key), None) };
            let text = fs::read_to_string(Ssh::new(&order).unwrap().path("config")).unwrap();
            text.contains("StrictHostKeyChecking yes")
        };
        assert_eq!((strict(false, None), strict(true, None), strict(true, Some("SHA256:a"))), (true, false, true));
    }

    #[test]
    fn private_files_are_private_and_removed() {
        use std::os::unix::fs::PermissionsExt;
        let work = tempfile::tempdir().unwrap();
        let order = Order { identity: Some(Identity::Text("a key".into())), ..order(work.path(), login("a@b", None), None) };
        let ssh = Ssh::new(&order).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&ssh.directory.path), mode(&ssh.path("identity"))), (0o700, 0o600));
        drop(ssh);
        assert_eq!(fs::read_dir(work.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_question_that_is_not_for_a_password_gets_no_answer() {
        let work = tempfile::tempdir().unwrap();
        let script = work.path().join("askpass");
        fs::write(&script, ASKPASS).unwrap();
        let asked = |question: &str| {
            let mut command = std::process::Command::new("sh");
            command.arg(&script).arg(question).env("ZONEPULSE_SSH_PASSWORD", "node's");
            command.env("ZONEPULSE_SSH_JUMP", "b@jump").env("ZONEPULSE_SSH_JUMP_PASSWORD", "jump's");
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        assert_eq!(asked("a@node's password: "), "node's\n");
        assert_eq!(asked("(b@jump) Password: "), "jump's\n");
        assert_eq!(asked("Are you sure you want to continue connecting (yes/no/[fingerprint])? "), "");
    }

    #[test]
    fn a_script_is_one_word_for_the_shell() {
        let text = "a 'b' $(id) \"c\" \\";
        let output = std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(text))).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
    }
}
