//! A network of the test's own: namespaces, and devices in them.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::Duration;

use super::process::{run, succeed};

/// A network namespace (ip-netns(8)), deleted when dropped, with all that is in it.
pub struct Namespace {
    /// Its name.
    pub name: String,
}

impl Namespace {
    /// Makes one with its loopback device up.
    pub fn new(what: &str) -> Self {
        let name = format!("zonepulse-{what}-{}", std::process::id());
        succeed(Command::new("/usr/sbin/ip").args(["netns", "add", &name]), Duration::from_secs(10));
        let namespace = Namespace { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// `ip` with these arguments, in it.
    pub fn ip(&self, arguments: &str) {
        let mut command = Command::new("/usr/sbin/ip");
        succeed(command.args(["-n", &self.name]).args(arguments.split(' ')), Duration::from_secs(10));
    }

    /// The same, where it may fail: whether it did not.
    pub fn try_ip(&self, arguments: &str) -> bool {
        let mut command = Command::new("/usr/sbin/ip");
        run(command.args(["-n", &self.name]).args(arguments.split(' ')), Duration::from_secs(10)).code == Some(0)
    }

    /// Does something in a thread of its own in it: sockets belong to the namespace in which they were made.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.name)).expect("a namespace has a file");
        let enter = || {
            // SAFETY: setns changes the calling thread, which ends with this.
            let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(entered, 0, "{}", std::io::Error::last_os_error());
            work()
        };
        std::thread::scope(|scope| scope.spawn(enter).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("/usr/sbin/ip").args(["netns", "delete", &self.name]).status();
    }
}
