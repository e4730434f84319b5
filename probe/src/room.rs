//! The size of a file system.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Sizes of the file system that contains a path, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) total_bytes: u64,
    /// In use.
    pub(crate) used_bytes: u64,
    /// Available to this process; excludes space reserved for root.
    pub(crate) free_bytes: u64,
}

impl Room {
    /// Queries the file system, which may take as long as its disk does.
    pub(crate) fn of(path: &Path) -> io::Result<Room> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: statvfs consists of plain numbers, for which zero is valid.
        let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: the path ends with NUL, and both pointers outlive the call.
        if unsafe { libc::statvfs(path.as_ptr(), &raw mut stat) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let bytes = |pieces: u64| pieces.saturating_mul(stat.f_frsize);
        Ok(Room {
            total_bytes: bytes(stat.f_blocks),
            used_bytes: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
            free_bytes: bytes(stat.f_bavail),
        })
    }
}
