//! Leaves no process and no file behind, however the tests end.
//!
//! The program runs itself once more and waits. Whatever a killed test leaves
//! behind becomes a child of the waiting one (`PR_SET_CHILD_SUBREAPER`, prctl(2)),
//! which ends it. Erlang's daemons, for example, survive everything else. All
//! temporary folders lie in one, which is removed at the end.

use std::env;
use std::fs;
use std::process::{Command, ExitCode};

const INNER: &str = "ZONEPULSE_TESTS_INNER";

/// Runs the tests in a process of their own and gives their exit code; `None` in that process.
pub fn supervise() -> Option<ExitCode> {
    if env::var_os(INNER).is_some() {
        return None;
    }
    // SAFETY: prctl and signal with these arguments touch no memory of ours.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
        // Ctrl-C goes to the inner process too: this one stays to clean up after it.
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

/// Kills and reaps the children that are left, and gives their number: theirs come next.
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
