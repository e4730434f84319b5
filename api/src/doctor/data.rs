//! The data directory, the store in it, and its disk.

use super::{Known, Subject};
use crate::data::STORE;
use std::ffi::CString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use zonepulse_doctor::{Check, argument};
use zonepulse_store::{Disk, FORMAT};

/// Permissions of others than the owner.
const OTHERS: u32 = 0o077;
/// How much more than the least should be free: factor.
const AMPLE: u64 = 2;
/// Share of inodes below which a warning is given, percent.
const FEW_INODES_PERCENT: u64 = 2;

pub(super) fn check(known: &Known) -> Vec<Check> {
    vec![directory(known), store(known), disk(known)]
}

fn directory(known: &Known) -> Check {
    const SUBJECT: Subject = Subject::Data;
    let data = &known.settings.data;
    let (shown, path, user) = (data.display(), argument(data), user());
    let metadata = match fs::metadata(data) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => return Check::error(SUBJECT, format!("{shown} is not a directory"), format!("correct data in {}", known.file)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let above = data.ancestors().skip(1).find(|path| path.exists()).unwrap_or(Path::new("/"));
            if may_write(above) {
                return Check::ok(SUBJECT, format!("{shown} does not exist yet; the central creates it when it starts"));
            }
            let found = format!("{shown} does not exist, and user {user} may not create it in {}", above.display());
            let advice = format!("create it for the user that the central runs as: install -d -m 700 -o USER {path}");
            return Check::error(SUBJECT, found, advice);
        }
        Err(error) => return Check::skipped(SUBJECT, format!("{shown} cannot be looked at: {error}; {}", as_owner(known))),
    };
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let runs_as = known.process.as_ref().and_then(|process| process.user);
    if let Some(runs_as) = runs_as.filter(|runs_as| *runs_as != owner) {
        let found = format!("{shown} belongs to user {owner}, but the central runs as user {runs_as}");
        return Check::error(SUBJECT, found, format!("give it to that user: chown -R {runs_as} {path}"));
    }
    if mode & OTHERS != 0 {
        let found = format!("{shown} is accessible to others than user {owner} (mode {mode:04o}): it contains secrets");
        return Check::warning(SUBJECT, found, format!("make it private: chmod 700 {path}"));
    }
    if user != owner && user != 0 {
        let found = format!("{shown} belongs to user {owner}; whether it can be written to was not checked as user {user}");
        return Check::skipped(SUBJECT, format!("{found}: {}", as_owner(known)));
    }
    if !may_write(data) {
        let read_only = is_read_only(data);
        let found = format!("{shown} (user {owner}, mode {mode:04o}) cannot be written to");
        let advice = match read_only {
            true => format!("mount its file system writable: findmnt --target {path}"),
            false => format!("let its owner write to it: chmod 700 {path}"),
        };
        return Check::error(SUBJECT, found, advice);
    }
    Check::ok(SUBJECT, format!("{shown} belongs to user {owner}, is private and can be written to"))
}

fn store(known: &Known) -> Check {
    const SUBJECT: Subject = Subject::Store;
    let path = known.settings.data.join(STORE);
    match &known.peek {
        Ok(None) => Check::ok(SUBJECT, "there is no store yet; the central creates it when it starts"),
        Ok(Some(peek)) => match peek.format {
            Some(format) if format > FORMAT => Check::error(
                SUBJECT,
                format!("the store has format {format}, which a later version wrote; this one reads {FORMAT} and earlier ones"),
                "install that version again, or restore a backup that this version wrote",
            ),
            Some(format) if format < FORMAT => {
                Check::ok(SUBJECT, format!("the store has format {format}, which this version brings to {FORMAT} when it starts"))
            }
            Some(format) => Check::ok(SUBJECT, format!("the store has format {format}, and can be read")),
            None => Check::ok(SUBJECT, "the store is new and empty"),
        }
        .with("format", peek.format),
        Err(why) if why.contains("Permission denied") => {
            Check::skipped(SUBJECT, format!("{} cannot be read by user {}: {}", path.display(), user(), as_owner(known)))
        }
        Err(why) => Check::error(
            SUBJECT,
            why.clone(),
            format!("keep a copy, and see what zonepulse check {} says; then restore a backup", argument(&known.settings.data)),
        ),
    }
}

fn disk(known: &Known) -> Check {
    const SUBJECT: Subject = Subject::Disk;
    let path = known.settings.data.join(STORE);
    let Some(Disk { total_bytes, free_bytes }) = Disk::of(&path) else {
        return Check::skipped(SUBJECT, format!("the disk of {} does not say how much is free", path.display()));
    };
    judge_disk(&path, total_bytes, free_bytes, known.settings.store.min_free_bytes, inodes(&path))
}

fn judge_disk(path: &Path, total_bytes: u64, free_bytes: u64, min_free_bytes: u64, inodes: Option<(u64, u64)>) -> Check {
    const SUBJECT: Subject = Subject::Disk;
    let (shown, quoted) = (path.display(), argument(path));
    let found = format!("{} of {} are free on the disk of {shown}", size(free_bytes), size(total_bytes));
    let few = inodes.filter(|(free, total)| *total > 0 && free.saturating_mul(100) / total < FEW_INODES_PERCENT);
    let check = if free_bytes < min_free_bytes {
        let advice = format!("free some space, or lower store.min_free_bytes: df -h {quoted}; du -xh --max-depth 2 {quoted}");
        let found = format!("{found}, less than store.min_free_bytes ({}): no batch is accepted", size(min_free_bytes));
        Check::error(SUBJECT, found, advice)
    } else if let Some((free, total)) = few {
        let found = format!("only {free} of {total} inodes are free on the disk of {shown}: soon no file can be created");
        Check::warning(SUBJECT, found, format!("remove files that nobody needs: df -i {quoted}"))
    } else if free_bytes < min_free_bytes.saturating_mul(AMPLE) {
        let found = format!("{found}; below {} (store.min_free_bytes) no batch is accepted", size(min_free_bytes));
        Check::warning(SUBJECT, found, format!("free some space, or keep points for a shorter time: df -h {quoted}"))
    } else {
        Check::ok(SUBJECT, found)
    };
    check.with("free_bytes", free_bytes).with("total_bytes", total_bytes).with("min_free_bytes", min_free_bytes)
}

/// Free inodes, and all; file systems without a fixed number have none.
fn inodes(path: &Path) -> Option<(u64, u64)> {
    let there = path.ancestors().find(|path| path.exists())?;
    let path = CString::new(there.as_os_str().as_bytes()).ok()?;
    // SAFETY: all bytes zero is a valid value of this plain struct.
    let mut about: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with NUL and outlives the call, as does the variable.
    let asked = unsafe { libc::statvfs(path.as_ptr(), &raw mut about) };
    (asked == 0).then_some((about.f_favail, about.f_files))
}

fn is_read_only(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: all bytes zero is a valid value of this plain struct.
    let mut about: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with NUL and outlives the call, as does the variable.
    let asked = unsafe { libc::statvfs(path.as_ptr(), &raw mut about) };
    asked == 0 && about.f_flag & libc::ST_RDONLY != 0
}

/// Whether this process may create files in a directory (access(2)).
fn may_write(dir: &Path) -> bool {
    let Ok(path) = CString::new(dir.as_os_str().as_bytes()) else { return false };
    // SAFETY: the path ends with NUL and outlives the call.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK | libc::X_OK, libc::AT_EACCESS) == 0 }
}

fn user() -> u32 {
    // SAFETY: geteuid touches no memory.
    unsafe { libc::geteuid() }
}

fn as_owner(known: &Known) -> String {
    format!("run this as the user that the central runs as, or as root: sudo zonepulse doctor {}", known.file)
}

/// `512 bytes`, `1.5 MiB`
pub(super) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = "bytes";
    for next in units {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_doctor::Status;

    #[test]
    fn a_disk_needs_space_and_inodes() {
        let judged = |free_bytes, inodes| judge_disk(Path::new("/data"), 100 << 30, free_bytes, 1 << 30, inodes);
        for (free_bytes, inodes, status) in [
            (50 << 30, Some((50, 100)), Status::Ok),
            (50 << 30, None, Status::Ok),
            (50 << 30, Some((0, 0)), Status::Ok),
            (3 << 29, Some((50, 100)), Status::Warning),
            (50 << 30, Some((1, 100)), Status::Warning),
            (1 << 29, Some((1, 100)), Status::Error),
        ] {
            assert_eq!(judged(free_bytes, inodes).status, status, "{free_bytes} {inodes:?}");
        }
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!((size(512), size(1536), size(3 << 30)), ("512 bytes".into(), "1.5 KiB".into(), "3.0 GiB".into()));
    }
}
