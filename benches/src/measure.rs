//! CPU time and memory of programs that run to completion.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often to sample memory.
const LOOK: Duration = Duration::from_millis(1);

/// The cost of one run.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// User and system time, seconds.
    pub cpu_s: f64,
    /// Wall clock time, seconds.
    pub wall_s: f64,
}

/// Peak memory of a program.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// Total resident memory, including mapped files, KiB.
    pub resident_kib: u64,
    /// Resident memory not backed by files, KiB.
    pub anonymous_kib: u64,
}

impl Memory {
    /// The memory of a running process; zero if it has ended (proc_pid_status(5)).
    pub fn of(pid: u32) -> Memory {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        Memory { resident_kib: field("VmHWM:"), anonymous_kib: field("RssAnon:") }
    }

    fn max(self, other: Memory) -> Memory {
        Memory {
            resident_kib: self.resident_kib.max(other.resident_kib),
            anonymous_kib: self.anonymous_kib.max(other.anonymous_kib),
        }
    }
}

/// Makes the peak of a process's resident memory what is resident now, and returns that, KiB
/// (proc_pid_clear_refs(5)).
pub fn forget_peak(pid: u32) -> u64 {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the process is ours");
    Memory::of(pid).resident_kib
}

/// CPU time of another process so far, seconds: precise, where `/proc` counts in hundredths.
pub fn cpu_seconds(pid: u32) -> f64 {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: timespec consists of plain numbers, for which zero is valid.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to valid values of the right types.
    let failed = unsafe {
        libc::clock_getcpuclockid(pid as libc::pid_t, &raw mut clock) != 0 || libc::clock_gettime(clock, &raw mut time) != 0
    };
    assert!(!failed, "process {pid} has a clock");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Runs a command to completion, discarding its output; panics if it fails.
#[expect(clippy::zombie_processes, reason = "wait4 waits for it")]
pub fn run(mut command: Command) -> Run {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let (cpu_s, status) = wait(&child, 0).expect("a child can be waited for").expect("it was waited for");
    assert!(status == 0, "{command:?} fails: status {status:#x}");
    Run { cpu_s, wall_s: began.elapsed().as_secs_f64() }
}

/// Runs a command to completion while sampling its memory, which slows it down somewhat; its output
/// goes into a file. (The maximum resident set in rusage would be no less than the parent's.)
#[expect(clippy::zombie_processes, reason = "wait4 waits for it")]
pub fn run_and_look(mut command: Command, output: &Path) -> Memory {
    let file = File::create(output).expect("a bench's folder is writable");
    command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null());
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let mut memory = Memory::default();
    loop {
        memory = memory.max(Memory::of(child.id()));
        if let Some((_, status)) = wait(&child, libc::WNOHANG).expect("a child can be waited for") {
            assert!(status == 0, "{command:?} fails: status {status:#x}");
            return memory;
        }
        thread::sleep(LOOK);
    }
}

/// CPU seconds and status of a child that has ended; `None` if it has not, and `options` say not to
/// wait.
fn wait(child: &Child, options: i32) -> io::Result<Option<(f64, i32)>> {
    // SAFETY: rusage consists of plain numbers, for which zero is valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let mut status = 0;
    // SAFETY: both pointers are to valid values of the right types; the child is waited for only
    // here.
    let pid = unsafe { libc::wait4(child.id() as i32, &raw mut status, options, &raw mut usage) };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    match pid {
        0 => Ok(None),
        pid if pid < 0 => Err(io::Error::last_os_error()),
        _ => Ok(Some((seconds(usage.ru_utime) + seconds(usage.ru_stime), status))),
    }
}
