//! The central that runs with a data directory, if there is one.

use super::{Known, Subject};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::Path;
use zonepulse_doctor::Check;

const PROGRAM: &str = "zonepulse";
/// RocksDB's name for the file that is locked by the process that uses the store.
const LOCK: &str = "LOCK";

/// A process that has the store open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) id: u32,
    /// Its name; empty if it is in another container.
    pub(super) name: String,
    pub(super) user: Option<u32>,
    /// Whether the file of its program was replaced or deleted since it started.
    pub(super) is_replaced: bool,
    /// Where it was told to listen by an argument.
    pub(super) listen: Option<SocketAddr>,
}

/// The process that has locked a store; `Err` if this user may not see it.
pub(super) fn find(store: &Path) -> Result<Option<Process>, NotVisible> {
    match File::open(store.join(LOCK)) {
        Ok(file) => Ok(holder(&file)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(NotVisible),
        Err(_) => Ok(None),
    }
}

/// This user may not look into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotVisible;

fn holder(file: &File) -> Option<Process> {
    // SAFETY: all bytes zero is a valid value of this plain struct.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: the pointer refers to a local variable, and the file is open.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) };
    let id = u32::try_from(lock.l_pid).ok().filter(|_| asked == 0 && lock.l_type != libc::F_UNLCK as libc::c_short)?;
    let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default().trim().to_owned();
    let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let words: Vec<String> = words.split(|octet| *octet == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let program = fs::read_link(format!("/proc/{id}/exe"));
    let is_replaced = program.is_ok_and(|program| program.to_string_lossy().ends_with(" (deleted)"));
    Some(Process { id, name, user: user_of(id), is_replaced, listen: listen_in(&words) })
}

fn user_of(id: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn listen_in(words: &[String]) -> Option<SocketAddr> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--listen" {
            return words.next()?.parse().ok();
        }
        if let Some(address) = word.strip_prefix("--listen=") {
            return address.parse().ok();
        }
    }
    None
}

pub(super) fn judge(known: &Known) -> Check {
    const SUBJECT: Subject = Subject::Process;
    let store = known.settings.data.display();
    match &known.process {
        None if known.is_hidden => {
            Check::skipped(SUBJECT, format!("this user cannot see whether a central is running with {store}"))
        }
        None => {
            let advice = format!("start it: zonepulse serve {}", known.file);
            Check::warning(SUBJECT, format!("no central is running with {store}: nothing is received"), advice)
        }
        Some(Process { id, name, .. }) if !name.is_empty() && name != PROGRAM => Check::error(
            SUBJECT,
            format!("the store in {store} is locked by {name} (process {id}), not by a central"),
            "stop that program, or give the central a data directory of its own",
        )
        .with("pid", *id),
        Some(Process { id, user, is_replaced, .. }) => {
            let user = user.map(|user| format!(", user {user}")).unwrap_or_default();
            let found = format!("a central is running (process {id}{user})");
            let check = if *is_replaced {
                let found = format!("{found}, and the file of its program was replaced since it started");
                Check::warning(SUBJECT, found, "restart it, so that it runs the installed version: systemctl restart zonepulse")
            } else {
                Check::ok(SUBJECT, found)
            };
            check.with("pid", *id)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_arguments() {
        let listen = |line: &str| listen_in(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(listen("zonepulse serve --data d --listen 127.0.0.1:5"), "127.0.0.1:5".parse().ok());
        assert_eq!(listen("zonepulse serve --listen=[::1]:5"), "[::1]:5".parse().ok());
        assert_eq!((listen("zonepulse serve"), listen("zonepulse serve --listen")), (None, None));
    }

    #[test]
    fn a_store_that_nobody_has_open_is_not_locked() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(find(dir.path()), Ok(None));
        let store = zonepulse_store::Store::open(dir.path(), &Default::default()).unwrap();
        // A lock of this process does not conflict with it.
        assert_eq!(find(dir.path()), Ok(None));
        store.close().unwrap();
    }
}
