//! The spool: its directory, what waits there, what was refused, and the space on its disk.

use super::capture::own_user;
use super::configuration::{Known, as_the_probe};
use super::process::Running;
use super::subject::Subject;
use crate::config::Spool;
use crate::deliver;
use crate::room::Room;
use crate::spool::Refused;
use crate::spool::survey::{Survey, try_writing};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use zonepulse_doctor::{Check, argument};
use zonepulse_wire::Utc;

/// A batch leaves the spool within seconds; only a failed delivery, or a central that pulls, takes
/// longer.
const LONG: Duration = Duration::from_secs(300);
/// Shares of the limit from which a spool is nearly full, percent.
const HALF_FULL: u64 = 50;
const NEARLY_FULL: u64 = 90;

/// The spool's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Directory {
    /// Not there yet; this is the nearest directory above it, and whether a new one can be made there.
    Missing { above: PathBuf, may_create: bool },
    /// There, with its owner and mode, and the result of writing to it.
    There { owner: u32, mode: u32, written: Result<(), (ErrorKind, String)> },
    /// Neither.
    Unknown(String),
}

pub(super) fn check(known: &Known, running: Option<Running>) -> Vec<Check> {
    let Spool { dir, max_bytes, .. } = &known.config.spool;
    let file = &known.file();
    let directory = Directory::look(dir);
    let is_there = !matches!(directory, Directory::Missing { .. });
    let mut checks = vec![judge_directory(dir, &directory, own_user(), running, file)];
    if is_there {
        let skipped =
            |subject| move |error: crate::Error| Check::skipped(subject, format!("{error}; {}", as_the_probe(dir, file)));
        let waiting = Survey::read(dir);
        let judge = |survey: Survey| {
            judge_waiting(&survey, *max_bytes, SystemTime::now(), known.delivery == Some(deliver::Settings::Pull))
        };
        checks.push(waiting.map_or_else(skipped(Subject::Waiting), judge));
        checks.push(Refused::read(dir).map_or_else(skipped(Subject::Refused), |refused| judge_refused(&refused, file)));
    } else {
        checks.push(Check::ok(Subject::Waiting, "no batch waits: the spool does not exist yet"));
        checks.push(Check::ok(Subject::Refused, "no batch was refused: the spool does not exist yet"));
    }
    let room = dir.ancestors().find_map(|path| Room::of(path).ok());
    checks.push(match room {
        Some(room) => judge_disk(dir, room, &known.config.spool),
        None => Check::skipped(Subject::Disk, format!("the disk of {} does not say how much is free", dir.display())),
    });
    checks
}

impl Directory {
    fn look(dir: &Path) -> Directory {
        match fs::metadata(dir) {
            Ok(metadata) => {
                let written = try_writing(dir).map_err(|error| (error.kind(), error.to_string()));
                Directory::There { owner: metadata.uid(), mode: metadata.permissions().mode() & 0o7777, written }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let above = dir.ancestors().skip(1).find(|path| path.exists()).unwrap_or(Path::new("/"));
                Directory::Missing { above: above.to_owned(), may_create: may_write(above) }
            }
            Err(error) => Directory::Unknown(error.to_string()),
        }
    }
}

/// Whether this process may create files in a directory (access(2)).
fn may_write(dir: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let Ok(path) = std::ffi::CString::new(dir.as_os_str().as_bytes()) else { return false };
    // SAFETY: the path ends with NUL and outlives the call.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK | libc::X_OK, libc::AT_EACCESS) == 0 }
}

fn judge_directory(dir: &Path, directory: &Directory, user: u32, running: Option<Running>, file: &str) -> Check {
    const SUBJECT: Subject = Subject::Spool;
    let shown = dir.display();
    let path = argument(dir);
    // The agent gives up the privileges of root, so ownership decides for root as well.
    let probe_s = running.map_or(user, |running| running.user);
    let check = match directory {
        Directory::Missing { may_create: true, .. } => {
            Check::ok(SUBJECT, format!("{shown} does not exist yet; the probe creates it when it starts"))
        }
        Directory::Missing { above, may_create: false } => Check::error(
            SUBJECT,
            format!("{shown} does not exist, and user {user} may not create it in {}", above.display()),
            format!("create it for the user that the probe runs as: install -d -m 700 -o USER {path}"),
        ),
        Directory::Unknown(error) => {
            Check::skipped(SUBJECT, format!("{shown} cannot be looked at ({error}): {}", as_the_probe(dir, file)))
        }
        Directory::There { owner, .. } if running.is_some() && *owner != probe_s => Check::error(
            SUBJECT,
            format!("{shown} belongs to user {owner}, but the probe runs as user {probe_s}"),
            format!("give it to that user: chown -R {probe_s} {path}"),
        ),
        Directory::There { owner, written: Err((ErrorKind::PermissionDenied, _)), .. } if *owner != user => Check::skipped(
            SUBJECT,
            format!(
                "{shown} belongs to user {owner}; whether it can be written to was not checked as user {user}: {}",
                as_the_probe(dir, file)
            ),
        ),
        Directory::There { owner, mode, written: Err((kind, error)) } => {
            let found = format!("{shown} (user {owner}, mode {mode:04o}) cannot be written to: {error}");
            let advice = match kind {
                ErrorKind::PermissionDenied => format!("let its owner write to it: chmod 700 {path}"),
                ErrorKind::ReadOnlyFilesystem => format!("mount its file system writable: findmnt --target {path}"),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!("free some space: df -h {path}; df -i {path}"),
                _ => format!("check its disk: dmesg | tail; findmnt --target {path}"),
            };
            Check::error(SUBJECT, found, advice)
        }
        Directory::There { owner, written: Ok(()), .. } if *owner == probe_s => {
            Check::ok(SUBJECT, format!("{shown} belongs to user {owner} and can be written to"))
        }
        Directory::There { owner, written: Ok(()), .. } => {
            Check::ok(SUBJECT, format!("{shown} can be written to; it belongs to user {owner}, as which the probe has to run"))
        }
    };
    check.with("dir", dir.to_string_lossy())
}

fn judge_waiting(survey: &Survey, max_bytes: u64, now: SystemTime, is_pulled: bool) -> Check {
    const SUBJECT: Subject = Subject::Waiting;
    let (batches, bytes) = (survey.len(), survey.disk_bytes);
    let percent = bytes.saturating_mul(100).checked_div(max_bytes).unwrap_or_default();
    let age = survey.since.map(|since| now.duration_since(since).unwrap_or_default());
    let oldest = age.map(|age| format!(", the oldest for {}", text(age))).unwrap_or_default();
    let found = format!(
        "{batches} {} ({}, {percent} % of spool.max_bytes{oldest})",
        plural(batches, "batch waits", "batches wait"),
        size(bytes)
    );
    let cause = if is_pulled {
        "find out why the central does not fetch them: see its log, and [pull] in this configuration"
    } else {
        "find out why the central does not take them: see the checks of the central and the broker, and the probe's log"
    };
    let check = if percent >= NEARLY_FULL {
        Check::error(
            SUBJECT,
            format!("{found}: at the limit, the oldest are discarded"),
            format!("{cause}; meanwhile, raise spool.max_bytes"),
        )
    } else if let Some(evicted) = survey.evicted {
        let (from, until) = (Utc(evicted.from_s), Utc(evicted.until_s));
        let (count, were) = (evicted.batches, if evicted.batches == 1 { "batch was" } else { "batches were" });
        let lost = format!("{count} {were} discarded for lack of space ({from} to {until})");
        Check::warning(
            SUBJECT,
            format!("{found}; {lost}"),
            format!("{cause}; meanwhile, raise spool.max_bytes or free disk space"),
        )
    } else if percent >= HALF_FULL || age.is_some_and(|age| age >= LONG) {
        Check::warning(SUBJECT, found, cause)
    } else {
        Check::ok(SUBJECT, if batches == 0 { "no batch waits".to_owned() } else { found })
    };
    let check = check.with("batches", batches).with("size_bytes", bytes).with("max_bytes", max_bytes);
    match age {
        Some(age) => check.with("oldest_s", age.as_secs()),
        None => check,
    }
}

fn judge_refused(refused: &[Refused], file: &str) -> Check {
    const SUBJECT: Subject = Subject::Refused;
    let kept: Vec<&Refused> = refused.iter().filter(|batch| !batch.is_offered).collect();
    let Some(last) = kept.last() else {
        return Check::ok(SUBJECT, "no batch was refused").with("batches", 0);
    };
    let reason = if last.reason.is_empty() { "for an unknown reason".to_owned() } else { format!("because: {}", last.reason) };
    let found = format!(
        "the central refused {} {}; the last one, of {}, {reason}",
        kept.len(),
        plural(kept.len(), "batch", "batches"),
        Utc(last.start_s)
    );
    let advice = format!(
        "list them: zonepulse-probe resend --config {file}; once the cause is removed, send them again: zonepulse-probe resend --config {file} --all"
    );
    Check::warning(SUBJECT, found, advice).with("batches", kept.len())
}

fn judge_disk(dir: &Path, Room { total_bytes, free_bytes, .. }: Room, spool: &Spool) -> Check {
    const SUBJECT: Subject = Subject::Disk;
    let (shown, path, min) = (dir.display(), argument(dir), spool.min_free_bytes);
    let found = format!(
        "{} of {} are free on the disk of {shown}, and spool.min_free_bytes is {}",
        size(free_bytes),
        size(total_bytes),
        size(min)
    );
    let check = if min > total_bytes {
        Check::error(
            SUBJECT,
            format!("{found}: no batch could ever be spooled there"),
            "lower spool.min_free_bytes, or move spool.dir to a larger disk",
        )
    } else if free_bytes < min {
        Check::error(
            SUBJECT,
            format!("{found}: batches are discarded"),
            format!("free some space, or lower spool.min_free_bytes: df -h {path}"),
        )
    } else if free_bytes - min < spool.max_bytes.min(min) {
        Check::warning(
            SUBJECT,
            format!("{found}: little is left until batches are discarded"),
            format!("free some space, or lower spool.min_free_bytes: df -h {path}"),
        )
    } else {
        Check::ok(SUBJECT, found)
    };
    check.with("free_bytes", free_bytes).with("total_bytes", total_bytes).with("min_free_bytes", min)
}

fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// `17.0 KiB`, `1.5 GiB`
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut size = bytes as f64;
    let mut units = UNITS.iter();
    let mut unit = units.next().unwrap_or(&"bytes");
    for larger in units {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    if bytes < 1024 { format!("{bytes} {unit}") } else { format!("{size:.1} {unit}") }
}

/// `45 s`, `12 min`, `5 h`, `3 days`
fn text(time: Duration) -> String {
    match time.as_secs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use zonepulse_doctor::Status;
    use zonepulse_model::Evicted;

    const DIR: &str = "/var/lib/probe/spool";
    const ME: u32 = 998;

    fn directory(directory: Directory, running: Option<Running>) -> Check {
        judge_directory(Path::new(DIR), &directory, ME, running, "p.toml")
    }

    fn there(owner: u32, written: Result<(), (ErrorKind, String)>) -> Directory {
        Directory::There { owner, mode: 0o700, written }
    }

    fn failed(kind: ErrorKind) -> Result<(), (ErrorKind, String)> {
        Err((kind, io::Error::from(kind).to_string()))
    }

    #[test]
    fn the_spool_is_its_owners_and_can_be_written_to() {
        let running = |user| Some(Running { id: 1, user });
        for (found, running, status, said) in [
            (there(ME, Ok(())), None, Status::Ok, "belongs to user 998 and can be written to"),
            (there(ME, Ok(())), running(ME), Status::Ok, "can be written to"),
            (there(5, Ok(())), None, Status::Ok, "belongs to user 5, as which the probe has to run"),
            (there(5, Ok(())), running(ME), Status::Error, "belongs to user 5, but the probe runs as user 998"),
            (there(ME, failed(ErrorKind::PermissionDenied)), None, Status::Error, "mode 0700"),
            (there(5, failed(ErrorKind::PermissionDenied)), None, Status::Skipped, "sudo"),
            (there(5, failed(ErrorKind::StorageFull)), None, Status::Error, "cannot be written to"),
            (Directory::Missing { above: "/var/lib".into(), may_create: true }, None, Status::Ok, "creates it"),
            (
                Directory::Missing { above: "/var/lib".into(), may_create: false },
                None,
                Status::Error,
                "may not create it in /var/lib",
            ),
            (Directory::Unknown("odd".into()), None, Status::Skipped, "odd"),
        ] {
            let check = directory(found, running);
            assert!(check.status == status && check.found.contains(said), "{check:?}");
        }
    }

    #[test]
    fn looking_at_a_spool_leaves_nothing_there() {
        let dir = tempfile::TempDir::new().unwrap();
        let spool = dir.path().join("a/b");
        assert!(matches!(Directory::look(&spool), Directory::Missing { above, may_create: true } if above == dir.path()));
        assert!(matches!(Directory::look(dir.path()), Directory::There { written: Ok(()), .. }));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    fn waiting(disk_bytes: u64, age_s: u64, evicted: Option<Evicted>) -> Check {
        let now = SystemTime::now();
        let mut survey = Survey::default();
        (survey.disk_bytes, survey.since, survey.evicted) = (disk_bytes, Some(now - Duration::from_secs(age_s)), evicted);
        judge_waiting(&survey, 1000, now, false)
    }

    #[test]
    fn batches_that_pile_up_are_reported() {
        let evicted = Some(Evicted { batches: 2, from_s: 60, until_s: 180 });
        for (check, status, said) in [
            (waiting(0, 10, None), Status::Ok, "no batch waits"),
            (waiting(100, 300, None), Status::Warning, "the oldest for 5 min"),
            (waiting(500, 10, None), Status::Warning, "50 % of spool.max_bytes"),
            (
                waiting(100, 10, evicted),
                Status::Warning,
                "2 batches were discarded for lack of space (1970-01-01T00:01:00Z to 1970-01-01T00:03:00Z)",
            ),
            (waiting(900, 10, evicted), Status::Error, "the oldest are discarded"),
        ] {
            assert!(check.status == status && check.found.contains(said), "{check:?}");
        }
    }

    #[test]
    fn refused_batches_are_reported_until_they_are_sent_again() {
        let refused = |is_offered| Refused {
            spool: DIR.into(),
            name: "a".into(),
            start_s: 60,
            size_bytes: 1,
            reason: "400: too late".into(),
            is_offered,
        };
        assert_eq!(judge_refused(&[refused(true)], "p.toml").status, Status::Ok);
        let check = judge_refused(&[refused(false), refused(false)], "p.toml");
        assert_eq!(check.found, "the central refused 2 batches; the last one, of 1970-01-01T00:01:00Z, because: 400: too late");
        assert!(check.status == Status::Warning && check.advice.unwrap().contains("resend --config p.toml --all"));
    }

    #[test]
    fn a_disk_needs_room_for_batches() {
        let spool = Spool { min_free_bytes: 100, max_bytes: 1000, ..Spool::default() };
        let judged = |total_bytes, free_bytes| {
            judge_disk(Path::new(DIR), Room { total_bytes, used_bytes: total_bytes - free_bytes, free_bytes }, &spool).status
        };
        assert_eq!(
            [judged(5000, 200), judged(5000, 199), judged(5000, 99), judged(99, 99)],
            [Status::Ok, Status::Warning, Status::Error, Status::Error]
        );
    }

    #[test]
    fn sizes_have_units() {
        let sizes = [0, 1023, 1024, 32_505_856, 1 << 30, 1 << 50].map(size);
        assert_eq!(sizes, ["0 bytes", "1023 bytes", "1.0 KiB", "31.0 MiB", "1.0 GiB", "1024.0 TiB"]);
    }

    #[test]
    fn times_are_rounded_down() {
        let texts = [59, 119, 120, 7199, 7200, 172_799, 172_800].map(|s| text(Duration::from_secs(s)));
        assert_eq!(texts, ["59 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days"]);
    }
}
