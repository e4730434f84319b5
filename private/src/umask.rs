//! The umask: new files are private to their owner.

use crate::Error;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

const PRIVATE: libc::mode_t = 0o077;
/// Stands for a umask that was never changed.
const UNCHANGED: u32 = u32::MAX;

/// The umask inherited from the parent process.
static FORMER: AtomicU32 = AtomicU32::new(UNCHANGED);

/// Makes everything that this process creates private. Call first in `main`.
pub fn set_umask() {
    // SAFETY: a system call with a plain number, which cannot fail.
    let former = unsafe { libc::umask(PRIVATE) };
    FORMER.store(former, Ordering::Relaxed);
}

/// Gives a file meant for others the mode requested by the inherited umask.
pub fn share(file: &File) -> std::io::Result<()> {
    match FORMER.load(Ordering::Relaxed) {
        UNCHANGED => Ok(()),
        former => file.set_permissions(Permissions::from_mode(0o666 & !former)),
    }
}

/// Creates a directory for non-secret files, and its parents, with the mode requested by the
/// inherited umask.
pub fn shared_directory(path: &Path) -> Result<(), Error> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        shared_directory(parent)?;
    }
    match fs::create_dir(path) {
        // Another process was faster.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        made => made.map_err(Error::file(path))?,
    }
    match FORMER.load(Ordering::Relaxed) {
        UNCHANGED => Ok(()),
        // Whatever the umask, only the owner may add files.
        former => fs::set_permissions(path, Permissions::from_mode(0o755 & !former)).map_err(Error::file(path)),
    }
}
