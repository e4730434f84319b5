//! A directory on another machine, by the system's `ssh`, which verifies host keys and knows this machine's settings.
//!
//! The other machine needs a POSIX shell with `cat`, `mv`, `rm`, `ls`, `df`, `wc` and `sync`. Nothing is ever asked on a
//! terminal: an unknown host key, or a key with a passphrase and no agent, is an error.

use super::{Target, is_name};
use crate::Error;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

const UNFINISHED: &str = ".unfinished";
/// Exit status of our commands where the directory is not there, and where an object is not.
const NO_DIRECTORY: i32 = 43;
const NO_OBJECT: i32 = 44;
/// How much of what the other side says is kept, bytes.
const MOST_SAID: u64 = 4096;
/// Maximum number of names in a command.
const MOST_NAMES: usize = 200;
/// Maximum size of a listing, bytes.
const MOST_LISTED: u64 = 256 << 20;

/// Files that `ssh` uses instead of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshOptions {
    /// The private key; by default those that `ssh` finds.
    pub identity_file: Option<PathBuf>,
    /// The known host keys; by default those of the user and the machine.
    pub known_hosts_file: Option<PathBuf>,
}

/// A directory on another machine.
pub struct Ssh {
    user: String,
    host: String,
    port: u16,
    /// Without quotes and control characters.
    path: String,
    options: SshOptions,
}

impl Ssh {
    /// A directory, which exists, at an absolute path without quotes.
    pub fn new(user: &str, host: &str, port: u16, path: &str, options: SshOptions) -> Self {
        Ssh { user: user.to_owned(), host: host.to_owned(), port, path: path.to_owned(), options }
    }

    /// Runs a command of a shell in the directory.
    fn start(&self, script: &str, stdin: Stdio) -> Result<Running, Error> {
        let mut command = Command::new("ssh");
        let options = [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "ConnectTimeout=15",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=4",
            "ClearAllForwardings=yes",
        ];
        options.iter().for_each(|option| _ = command.args(["-o", option]));
        if let Some(file) = &self.options.identity_file {
            command.args(["-o", "IdentitiesOnly=yes", "-i"]).arg(file);
        }
        if let Some(file) = &self.options.known_hosts_file {
            let mut option = std::ffi::OsString::from("UserKnownHostsFile=");
            option.push(file);
            command.arg("-o").arg(option);
        }
        command.args(["-T", "-p", &self.port.to_string(), "-l", &self.user, "--", &self.host]);
        command.arg(format!("cd '{}' 2>/dev/null || exit {NO_DIRECTORY}; umask 077; {script}", self.path));
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| Error::destination(&self.place(), format!("ssh cannot be run: {error}")))?;
        let said = child.stderr.take().map(|stderr| std::thread::spawn(move || listen(stderr)));
        Ok(Running { child, said })
    }

    /// Runs a command to its end; returns what it printed.
    fn run(&self, what: &str, script: &str) -> Result<String, Error> {
        let mut running = self.start(script, Stdio::null())?;
        let mut printed = String::new();
        let read = running.child.stdout.take().map_or(Ok(0), |stdout| stdout.take(MOST_LISTED).read_to_string(&mut printed));
        let ended = running.end();
        ended.map_err(|ended| self.failed(what, &ended))?;
        read.map_err(|error| Error::destination(&self.place(), format!("{what}: {error}")))?;
        Ok(printed)
    }

    fn failed(&self, what: &str, ended: &Ended) -> Error {
        if ended.code == Some(NO_DIRECTORY) {
            return Error::destination(&self.place(), "the directory is not there: make it, or mount it, first");
        }
        if ended.said.contains("No space left on device") || ended.said.contains("Disk quota exceeded") {
            let free_bytes = self.free_bytes().ok().flatten().unwrap_or(0);
            return Error::Full { place: self.place(), free_bytes, needed_bytes: 0 };
        }
        Error::destination(&self.place(), format!("{what}: {ended}"))
    }

    fn check(&self, name: &str) -> Result<(), Error> {
        if is_name(name) { Ok(()) } else { Err(Error::destination(&self.place(), format!("{name:?} is no name"))) }
    }
}

impl Target for Ssh {
    fn place(&self) -> String {
        format!("ssh://{}@{}:{}{}", self.user, self.host, self.port, self.path)
    }

    fn list(&self, folder: &str) -> Result<BTreeMap<String, u64>, Error> {
        self.check(folder)?;
        let printed = self.run(folder, &format!("[ -d {folder} ] || exit 0; LC_ALL=C ls -ln {folder}"))?;
        let mut found = BTreeMap::new();
        for line in printed.lines().filter(|line| line.starts_with('-')) {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            if let [_, _, _, _, size_bytes, .., name] = words.as_slice()
                && is_name(name)
                && !name.ends_with(UNFINISHED)
                && let Ok(size_bytes) = size_bytes.parse()
            {
                found.insert((*name).to_owned(), size_bytes);
            }
        }
        Ok(found)
    }

    fn put(&self, name: &str, content: &mut dyn Read) -> Result<(), Error> {
        self.check(name)?;
        let folder = name.split_once('/').map_or(".", |(folder, _)| folder);
        let unfinished = format!("{name}{UNFINISHED}");
        let script = format!("mkdir -p {folder} && cat > {unfinished}");
        let mut running = self.start(&script, Stdio::piped())?;
        let sent = running.child.stdin.take().map_or(Ok(0), |mut stdin| copy(content, &mut stdin));
        let ended = running.end();
        ended.map_err(|ended| self.failed(name, &ended))?;
        let sent_bytes = sent.map_err(|error| Error::destination(&self.place(), format!("{name}: {error}")))?;
        // A connection that breaks looks like the end over there, so this is a step of its own.
        let script = format!(
            "[ \"$(wc -c < {unfinished})\" -eq {sent_bytes} ] || {{ echo 'it did not arrive as a whole' >&2; exit 1; }}; \
             {{ sync {unfinished} 2>/dev/null || sync; }} && mv {unfinished} {name} && {{ sync {folder} 2>/dev/null || sync; }}"
        );
        self.run(name, &script).map(|_| ())
    }

    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>, Error> {
        self.check(name)?;
        let mut running = self.start(&format!("[ -f {name} ] || exit {NO_OBJECT}; cat {name}"), Stdio::null())?;
        let Some(mut stdout) = running.child.stdout.take() else { return Ok(None) };
        let mut first = [0];
        let read = stdout.read(&mut first).map_err(|error| Error::destination(&self.place(), format!("{name}: {error}")))?;
        if read > 0 {
            return Ok(Some(Box::new(io::Cursor::new(first).chain(Reading { running, stdout }))));
        }
        match running.end() {
            Ok(()) => Ok(Some(Box::new(io::empty()))),
            Err(ended) if ended.code == Some(NO_OBJECT) => Ok(None),
            Err(ended) => Err(self.failed(name, &ended)),
        }
    }

    fn remove(&self, names: &[String]) -> Result<(), Error> {
        names.iter().try_for_each(|name| self.check(name))?;
        for names in names.chunks(MOST_NAMES) {
            self.run("removing", &format!("rm -f {}", names.join(" ")))?;
        }
        Ok(())
    }

    fn remove_unfinished(&self) -> Result<(), Error> {
        self.run("removing", &format!("rm -f objects/*{UNFINISHED} backups/*{UNFINISHED}")).map(|_| ())
    }

    fn free_bytes(&self) -> Result<Option<u64>, Error> {
        let printed = self.run("free space", "LC_ALL=C df -Pk .")?;
        let kibibytes = printed.lines().last().and_then(|line| line.split_ascii_whitespace().nth(3)?.parse::<u64>().ok());
        Ok(kibibytes.map(|kibibytes| kibibytes.saturating_mul(1024)))
    }
}

/// Copies in larger pieces than the standard library does.
fn copy(from: &mut dyn Read, to: &mut impl Write) -> io::Result<u64> {
    let (mut buffer, mut copied) = (vec![0; 256 << 10], 0);
    loop {
        let read = from.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(copied) };
        to.write_all(bytes)?;
        copied += read as u64;
    }
}

fn listen(mut stderr: ChildStderr) -> String {
    let mut said = Vec::new();
    // What is beyond the bound must be read too, or the other side waits.
    let _ = Read::by_ref(&mut stderr).take(MOST_SAID).read_to_end(&mut said);
    let _ = io::copy(&mut stderr, &mut io::sink());
    String::from_utf8_lossy(&said).trim().replace(['\n', '\r'], "; ")
}

/// A process, which is ended when it is dropped.
struct Running {
    child: Child,
    said: Option<JoinHandle<String>>,
}

/// How a process failed.
struct Ended {
    code: Option<i32>,
    said: String,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.code, self.said.as_str()) {
            (Some(code), "") => write!(f, "ssh ended with status {code}"),
            (None, "") => f.write_str("ssh was ended"),
            (_, said) => f.write_str(said),
        }
    }
}

impl Running {
    /// Waits for its end.
    fn end(&mut self) -> Result<(), Ended> {
        let status = self.child.wait();
        let said = self.said.take().and_then(|said| said.join().ok()).unwrap_or_default();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Ended { code: status.code(), said }),
            Err(error) => Err(Ended { code: None, said: error.to_string() }),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.said.is_some() {
            // It was not waited for.
            let _ = self.child.kill();
            let _ = self.end();
        }
    }
}

/// What a process prints; that it ends badly is an error at the end.
struct Reading {
    running: Running,
    stdout: ChildStdout,
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.stdout.read(into)?;
        if read == 0 && !into.is_empty() && self.running.said.is_some() {
            self.running.end().map_err(|ended| io::Error::other(ended.to_string()))?;
        }
        Ok(read)
    }
}
