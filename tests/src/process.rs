//! Processes of tests.

use super::eventually;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// A process and its children; killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a process that writes to `NAME.log` in a directory, appending to the output of an
    /// earlier one of that name.
    pub fn start(name: &str, mut command: Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).expect("a test's folder is writable");
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("a file can be cloned")).stderr(file).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} ({command:?}) does not start: {error}"));
        Process { name: name.to_owned(), child, log }
    }

    /// Its process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, for it and its children.
    pub fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        let _ = self.child.wait();
    }

    /// Sends SIGTERM; returns the exit status, or panics if it does not end in time.
    pub fn terminate(&mut self, within: Duration) -> ExitStatus {
        // SAFETY: kill touches no memory; the child has not been waited for, so the ID is still its
        // own.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let name = self.name.clone();
        eventually(&format!("{name} ends after SIGTERM"), within, || self.exited())
    }

    /// Sends SIGINT; returns the exit status, or panics if it does not end in time.
    pub fn interrupt(&mut self, within: Duration) -> ExitStatus {
        // SAFETY: kill touches no memory; the child has not been waited for, so the ID is still its
        // own.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGINT) };
        self.wait(within)
    }

    /// Waits for its exit status; panics if it does not end in time.
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let name = self.name.clone();
        eventually(&format!("{name} ends"), within, || self.exited())
    }

    /// Its exit status, if it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Its process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time used so far, user and system, seconds (proc_pid_stat(5)).
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.pid()).expect("it runs")
    }

    /// Its output.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn signal(&mut self, signal: i32) {
        if let Ok(None) = self.child.try_wait() {
            // SAFETY: kill touches no memory; the child is alive, so the group of its ID is still
            // its own.
            unsafe { libc::kill(-(self.child.id() as i32), signal) };
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            eprintln!("--- the last lines of {}:\n{}\n---", self.name, last.join("\n"));
        }
    }
}

/// CPU time used by a process so far, user and system, seconds (proc_pid_stat(5)); `None` if it has
/// ended.
pub fn cpu_seconds(process: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may contain spaces; utime and stime are the 12th and 13th fields
    // after it.
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields.split(' '))?;
    let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    // SAFETY: sysconf touches no memory.
    Some(ticks as f64 / unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64)
}

/// Resident memory of a process, KiB; 0 if it has ended.
pub fn resident_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// The output and exit status of a command.
pub struct Output {
    /// Its exit status; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs a command to completion; panics if it does not end in time.
pub fn run(command: &mut Command, within: Duration) -> Output {
    run_with_input(command, "", within)
}

/// The same with this standard input.
pub fn run_with_input(command: &mut Command, input: &str, within: Duration) -> Output {
    let name = format!("{command:?}");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let create = |name| File::create(folder.path().join(name)).expect("a test's folder is writable");
    let read = |name| String::from_utf8_lossy(&fs::read(folder.path().join(name)).unwrap_or_default()).into_owned();
    fs::write(folder.path().join("in"), input).expect("a test's folder is writable");
    let input = File::open(folder.path().join("in")).expect("it was just written");
    command.stdin(input).stdout(create("out")).stderr(create("err"));
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
    let until = std::time::Instant::now() + within;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if std::time::Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{name} does not end within {within:?}; it wrote {}", read("err"));
        }
        thread::sleep(Duration::from_millis(5));
    };
    Output { code: status.code(), out: read("out"), err: read("err") }
}

/// Runs a command that must succeed, and returns its standard output.
pub fn succeed(command: &mut Command, within: Duration) -> String {
    let output = run(command, within);
    assert_eq!(output.code, Some(0), "{command:?} failed: {}{}", output.out, output.err);
    output.out
}

/// Writes a file that only its owner may read, as required for a configuration with a token.
pub fn write_private(path: &Path, text: &str) {
    let _ = fs::remove_file(path);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).expect("a test's folder is writable");
    file.write_all(text.as_bytes()).expect("a test's folder is writable");
}

/// A program of this workspace and build, without settings from this process's environment.
pub fn program_command(name: &str) -> Command {
    without_settings(Command::new(program(name)))
}

/// Removes this process's settings of the two programs from a command's environment.
pub fn without_settings(mut command: Command) -> Command {
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("ZONEPULSE_") {
            command.env_remove(variable);
        }
    }
    command
}

/// The file of a program of the workspace.
pub fn program(name: &str) -> PathBuf {
    let here = std::env::current_exe().expect("this program has a path");
    // Benches are next to the programs, tests in a subdirectory.
    let mut paths = here.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    paths.find(|path| path.is_file()).unwrap_or_else(|| panic!("{name} is not built: scripts/test.sh builds it before the tests"))
}
