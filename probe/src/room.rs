//! How much room a file system has.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Sizes of the file system that a path is on, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// All of it.
    pub(crate) total_bytes: u64,
    /// What holds something.
    pub(crate) used_bytes: u64,
    /// What this process could use; less than the rest, where some is kept for root.
    pub(crate) free_bytes: u64,
}

impl Room {
    /// Asks the file system, which may take as long as its disk does.
    pub(crate) fn of(path: &Path) -> io::Result<Room> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: statvfs is plain numbers, for which all zero is a value.
        let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: the path ends with NUL, and both pointers live through the call.
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
