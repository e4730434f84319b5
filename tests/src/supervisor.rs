//! Cleans up all processes and files, however the tests end.
//!
//! The program runs itself as a child and waits. Processes left behind by a killed test become
//! children of the waiting process (`PR_SET_CHILD_SUBREAPER`, prctl(2)), which kills them. Erlang's
//! daemons, for example, survive everything else. All temporary directories are inside one, which
//! is removed at the end.

use std::env;
use std::fs;
use std::process::{Command, ExitCode};

const INNER: &str = "ZONEPULSE_TESTS_INNER";

/// Runs the tests in a child process and returns their exit code; `None` in the child.
pub fn supervise() -> Option<ExitCode> {
    if env::var_os(INNER).is_some() {
        return None;
    }
    // SAFETY: prctl and signal with these arguments touch none of our memory.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
        // Ctrl-C is also sent to the child: this process stays to clean up.
        libc::signal(libc::SIGINT, libc::SIG_IGN);
    }
    let mut inner = Command::new(env::current_exe().expect("this program has a path"));
    let folder = tempfile::Builder::new().prefix("zonepulse-tests").tempdir().expect("a temporary folder can be made");
    inner.args(env::args_os().skip(1)).env(INNER, "1").env("TMPDIR", folder.path());
    // SAFETY: signal is async-signal-safe, and nothing else happens between fork and exec.
    unsafe {
        use std::os::unix::process::CommandExt;
        inner.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            Ok(())
        });
    }
    let status = inner.status();
    while end_orphans() > 0 {}
    let code = status.ok().and_then(|status| status.code()).unwrap_or(1);
    Some(ExitCode::from(code.clamp(0, 255) as u8))
}

/// Kills and reaps the remaining children, and returns their number; their own children follow in
/// the next call.
fn end_orphans() -> usize {
    let pid = std::process::id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children: Vec<i32> = children.split_whitespace().filter_map(|child| child.parse().ok()).collect();
    for child in &children {
        // SAFETY: kill and waitpid on a child of ours that nobody else waits for.
        unsafe {
            libc::kill(*child, libc::SIGKILL);
            libc::waitpid(*child, std::ptr::null_mut(), 0);
        }
    }
    children.len()
}
