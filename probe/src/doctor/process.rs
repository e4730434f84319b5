//! The probes that run on this machine, and which of them uses the spool.

use super::configuration::Known;
use super::subject::Subject;
use crate::process::{self, Process};
use crate::spool::survey;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zonepulse_doctor::{Check, argument};

const SUBJECT: Subject = Subject::Process;
const PROGRAM: &str = "zonepulse-probe";

/// A probe that runs with the spool in question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) id: u32,
    pub(super) user: u32,
}

/// What was found out about running probes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    /// The process that has locked the spool.
    holder: Option<Holder>,
    /// Whether this user cannot see whether one has.
    is_hidden: bool,
    /// Probes that have not locked it, and their configurations.
    others: Vec<(u32, Option<PathBuf>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Holder {
    /// In this PID namespace, if it is there.
    id: Option<u32>,
    user: Option<u32>,
    name: String,
    config: Option<PathBuf>,
}

/// Finds the probe that uses the spool, and judges what else runs.
pub(super) fn check(known: &Known) -> (Check, Option<Running>) {
    let found = find(&survey::lock_file(&known.config.spool.dir));
    let config = known.path.canonicalize().unwrap_or_else(|_| known.path.clone());
    let running = match &found.holder {
        Some(holder) => holder.id.zip(holder.user),
        // It may have been started with this configuration.
        None if found.is_hidden => found.with(&config).next().and_then(|id| Some((id, user_of(id)?))),
        None => None,
    };
    (judge(&found, &config, &known.config.spool.dir), running.map(|(id, user)| Running { id, user }))
}

impl Found {
    /// Other probes that were started with this configuration.
    fn with<'a>(&'a self, config: &'a Path) -> impl Iterator<Item = u32> + 'a {
        self.others.iter().filter(move |(_, other)| other.as_deref() == Some(config)).map(|(id, _)| *id)
    }
}

fn judge(found: &Found, config: &Path, spool: &Path) -> Check {
    let file = argument(config);
    match &found.holder {
        Some(Holder { id, config: Some(other), .. }) if other != config => {
            let found = format!(
                "the spool {} is in use by a probe with another configuration, {} ({})",
                spool.display(),
                other.display(),
                number(*id)
            );
            Check::error(
                SUBJECT,
                found,
                format!("give each probe a spool.dir of its own, and each server one probe: check {file}"),
            )
        }
        Some(Holder { id, name, .. }) if name != PROGRAM && id.is_some() => {
            let found = format!("the spool {} is locked by {name} ({}), not by a probe", spool.display(), number(*id));
            Check::error(SUBJECT, found, "stop that program, or give the probe a spool.dir of its own".to_owned())
        }
        Some(Holder { id, user, .. }) => {
            let rest = found.with(config).count();
            let user = user.map(|user| format!(", user {user}")).unwrap_or_default();
            if rest > 0 {
                let found = format!("{} has the spool, and {rest} more started with the same configuration", number(*id));
                return Check::warning(SUBJECT, found, format!("stop all but one: pgrep -af '{PROGRAM} run'"));
            }
            let check = Check::ok(SUBJECT, format!("the probe is running ({}{user})", number(*id)));
            id.map_or_else(|| check.clone(), |id| check.clone().with("pid", id))
        }
        None if found.is_hidden => match found.with(config).next() {
            Some(id) => Check::ok(SUBJECT, format!("a probe with this configuration is running (process {id})")).with("pid", id),
            None => Check::skipped(
                SUBJECT,
                format!(
                    "this user cannot see which process uses the spool {}; running probes: {}",
                    spool.display(),
                    found.others.len()
                ),
            ),
        },
        None => match found.with(config).next() {
            Some(id) => {
                let found = format!(
                    "a probe with this configuration is running (process {id}) but does not use the spool {}",
                    spool.display()
                );
                Check::warning(SUBJECT, found, "restart it: it still uses the spool.dir that it was started with")
            }
            None => Check::warning(
                SUBJECT,
                "no probe is running, so nothing is counted",
                format!("start it: {PROGRAM} run --config {file}"),
            ),
        },
    }
    .with("others", found.others.len())
}

fn number(id: Option<u32>) -> String {
    id.map_or_else(|| "a process of another container".to_owned(), |id| format!("process {id}"))
}

fn find(lock: &Path) -> Found {
    let is_hidden = fs::metadata(lock).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
    let holder = holder(lock);
    let id = holder.as_ref().and_then(|holder| holder.id);
    let is_other = |process: &Process| {
        process::is(process, PROGRAM)
            && Some(process.id) != id
            && process.id != std::process::id()
            && is_running_agent(process.id)
    };
    let others = process::all().into_iter().filter(is_other).map(|process| (process.id, config_of(process.id))).collect();
    Found { holder, is_hidden, others }
}

fn holder(lock: &Path) -> Option<Holder> {
    let file = fs::metadata(lock).ok()?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let (major, minor) = (libc::major(file.dev()), libc::minor(file.dev()));
    let all = locks_on(&locks, file.ino());
    let exact = all.iter().find(|lock| lock.device == (major, minor));
    // Some file systems have other device numbers there.
    let lock = exact.or_else(|| {
        all.iter().find(|lock| lock.id.and_then(process::of).is_some_and(|process| process::is(&process, PROGRAM)))
    })?;
    let process = lock.id.and_then(process::of);
    Some(Holder {
        id: process.as_ref().map(|process| process.id),
        user: process.as_ref().and_then(|process| user_of(process.id)),
        name: process.as_ref().map(|process| process.name.clone()).unwrap_or_default(),
        config: process.as_ref().and_then(|process| config_of(process.id)),
    })
}

/// A lock on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lock {
    /// None for a process of another PID namespace.
    id: Option<u32>,
    device: (u32, u32),
}

/// The exclusive locks (flock) on the file with this number, from proc_locks(5).
fn locks_on(text: &str, inode: u64) -> Vec<Lock> {
    let lock = |line: &str| {
        // 1: FLOCK ADVISORY WRITE 1234 fe:01:131075 0 EOF; `->` instead of the type waits for it.
        let mut words = line.split_ascii_whitespace().skip(1);
        if words.next()? != "FLOCK" || words.nth(1)? != "WRITE" {
            return None;
        }
        let id = words.next()?.parse().ok().filter(|id| *id != 0);
        let mut file = words.next()?.split(':');
        let mut part = || u32::from_str_radix(file.next()?, 16).ok();
        let device = (part()?, part()?);
        (file.next()?.parse() == Ok(inode)).then_some(Lock { id, device })
    };
    text.lines().filter_map(lock).collect()
}

/// The user that a process runs as.
fn user_of(id: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn words_of(id: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let word = |word: &[u8]| std::ffi::OsString::from_vec(word.to_vec()).to_string_lossy().into_owned();
    line.split(|byte| *byte == 0).map(word).collect()
}

/// Whether a probe is the agent, and not another command such as this one.
fn is_running_agent(id: u32) -> bool {
    words_of(id).iter().skip(1).any(|word| word == "run")
}

/// The configuration that a probe was started with.
fn config_of(id: u32) -> Option<PathBuf> {
    let path = config_in(&words_of(id))?;
    // Another user's directory is not visible.
    let folder = fs::read_link(format!("/proc/{id}/cwd")).unwrap_or_default();
    let path = folder.join(path);
    path.is_absolute().then(|| path.canonicalize().unwrap_or(path))
}

fn config_in(words: &[String]) -> Option<PathBuf> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--config" {
            return words.next().map(PathBuf::from);
        }
        if let Some(path) = word.strip_prefix("--config=") {
            return Some(path.into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_doctor::Status;

    const LOCKS: &str = "\
1: POSIX  ADVISORY  WRITE 700 fe:01:131075 0 EOF
2: FLOCK  ADVISORY  WRITE 1234 fe:01:131075 0 EOF
2: -> FLOCK  ADVISORY  WRITE 1300 fe:01:131075 0 EOF
3: FLOCK  ADVISORY  READ  800 fe:01:131075 0 EOF
4: FLOCK  ADVISORY  WRITE 0 00:2a:131075 0 EOF
5: FLOCK  ADVISORY  WRITE 900 fe:01:99 0 EOF
";

    #[test]
    fn the_process_that_has_locked_the_spool_is_found() {
        let found = [Lock { id: Some(1234), device: (0xfe, 1) }, Lock { id: None, device: (0, 0x2a) }];
        assert_eq!(locks_on(LOCKS, 131_075), found);
        assert_eq!(locks_on(LOCKS, 1), []);
        assert_eq!(locks_on("rubbish\n1: FLOCK\n", 1), []);
    }

    #[test]
    fn a_lock_of_this_process_is_found() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("lock");
        let file = fs::File::create(&path).unwrap();
        assert_eq!(holder(&path), None);
        file.try_lock().unwrap();
        let found = holder(&path);
        // A file system with other device numbers does not show it.
        assert!(found.is_none_or(|found| found.id == Some(std::process::id()) && found.user.is_some()));
    }

    #[test]
    fn the_configuration_is_found_in_arguments() {
        let config = |line: &str| config_in(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(config("zonepulse-probe run --config /etc/p.toml"), Some("/etc/p.toml".into()));
        assert_eq!(config("zonepulse-probe --log-level debug run --config=p.toml"), Some("p.toml".into()));
        assert_eq!((config("zonepulse-probe run"), config("zonepulse-probe run --config")), (None, None));
    }

    fn holder_with(config: Option<&str>) -> Option<Holder> {
        Some(Holder { id: Some(12), user: Some(998), name: PROGRAM.into(), config: config.map(PathBuf::from) })
    }

    #[test]
    fn one_probe_with_this_configuration_is_as_it_should_be() {
        let found = |holder, others| Found { holder, is_hidden: false, others };
        let judge_found = |found: Found| judge(&found, Path::new("/etc/p.toml"), Path::new("/spool"));
        let judged = |holder, others| judge_found(found(holder, others));
        let other = |config: &str| vec![(13, Some(PathBuf::from(config)))];
        let good = judged(holder_with(Some("/etc/p.toml")), Vec::new());
        assert_eq!((good.status, good.found.as_str()), (Status::Ok, "the probe is running (process 12, user 998)"));
        assert_eq!(judged(holder_with(None), other("/etc/other.toml")).status, Status::Ok);
        for (holder, others, status, said) in [
            (holder_with(Some("/etc/other.toml")), Vec::new(), Status::Error, "another configuration, /etc/other.toml"),
            (holder_with(Some("/etc/p.toml")), other("/etc/p.toml"), Status::Warning, "1 more started"),
            (None, other("/etc/p.toml"), Status::Warning, "does not use the spool /spool"),
            (None, other("/etc/other.toml"), Status::Warning, "no probe is running"),
        ] {
            let check = judged(holder, others);
            assert!(check.status == status && check.found.contains(said), "{check:?}");
        }
        let hidden = |config| judge_found(Found { is_hidden: true, ..found(None, other(config)) });
        assert_eq!((hidden("/etc/p.toml").status, hidden("/etc/other.toml").status), (Status::Ok, Status::Skipped));
        let name = "flock".to_owned();
        let stranger = judged(Some(Holder { id: Some(9), user: None, name, config: None }), Vec::new());
        assert!(stranger.status == Status::Error && stranger.found.contains("locked by flock"), "{stranger:?}");
    }
}
