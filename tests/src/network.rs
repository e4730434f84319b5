//! Test networks: namespaces with devices.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::process::{run, succeed};

/// A network namespace (ip-netns(8)), deleted with everything in it when dropped.
pub struct Namespace {
    /// Its name.
    pub name: String,
}

impl Namespace {
    /// Creates a namespace with its loopback device up.
    pub fn new(what: &str) -> Self {
        let name = format!("zonepulse-{what}-{}", std::process::id());
        succeed(Command::new("/usr/sbin/ip").args(["netns", "add", &name]), Duration::from_secs(10));
        let namespace = Namespace { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// Runs `ip` with these arguments in it.
    pub fn ip(&self, arguments: &str) {
        let mut command = Command::new("/usr/sbin/ip");
        succeed(command.args(["-n", &self.name]).args(arguments.split(' ')), Duration::from_secs(10));
    }

    /// The same, but may fail; returns whether it succeeded.
    pub fn try_ip(&self, arguments: &str) -> bool {
        let mut command = Command::new("/usr/sbin/ip");
        run(command.args(["-n", &self.name]).args(arguments.split(' ')), Duration::from_secs(10)).code == Some(0)
    }

    /// A command that runs in it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("/usr/sbin/ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Makes an address in it reachable from outside: returns a port of 127.0.0.1 whose connections
    /// are forwarded there.
    pub fn forward(&self, to: SocketAddr) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has one").port();
        let namespace = file(&self.name);
        thread::spawn(move || {
            // The listener stays where it was created; sockets created from here on are in the
            // namespace.
            enter(&namespace);
            for here in listener.incoming().flatten() {
                if let Ok(there) = TcpStream::connect(to) {
                    couple(here, there);
                }
            }
        });
        port
    }

    /// Runs `work` on a separate thread in it: sockets belong to the namespace in which they are
    /// created.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.name, work)
    }
}

/// Runs `work` on a separate thread in the namespace of this name.
pub(crate) fn inside<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> T {
    let namespace = file(name);
    let inside = || {
        enter(&namespace);
        work()
    };
    thread::scope(|scope| scope.spawn(inside).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

fn file(name: &str) -> File {
    File::open(format!("/run/netns/{name}")).expect("a namespace has a file")
}

/// Moves the calling thread, which must belong to the caller, into a namespace.
fn enter(namespace: &File) {
    // SAFETY: setns affects only the calling thread.
    let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(entered, 0, "{}", std::io::Error::last_os_error());
}

/// Forwards bytes in both directions until both sides have ended.
fn couple(here: TcpStream, there: TcpStream) {
    for (from, to) in [(&here, &there), (&there, &here)] {
        let clone = |stream: &TcpStream| stream.try_clone().expect("a socket can be cloned");
        let (mut from, mut to) = (clone(from), clone(to));
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("/usr/sbin/ip").args(["netns", "delete", &self.name]).status();
    }
}
