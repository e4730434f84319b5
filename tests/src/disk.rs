//! A small disk.

use super::process::succeed;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A small in-memory disk.
pub struct Disk {
    /// Its mount point.
    pub path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Disk {
    /// Mounts a disk.
    pub fn mount(size_bytes: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("disk");
        fs::create_dir(&path).expect("a temporary folder is writable");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size_bytes}"), "zonepulse-test"]).arg(&path);
        succeed(&mut mount, Duration::from_secs(10));
        Disk { path, _folder: folder }
    }

    /// Fills it up to this much free space.
    pub fn fill(&self, leave_bytes: u64) {
        let size_bytes = free_bytes(&self.path).saturating_sub(leave_bytes);
        let file = File::create(self.path.join("ballast")).expect("there is room for it");
        // SAFETY: fallocate touches no memory; the descriptor is open.
        let allocated = unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, size_bytes as i64) };
        assert_eq!(allocated, 0, "there is room for it");
    }

    /// Frees the space again.
    pub fn empty(&self) {
        fs::remove_file(self.path.join("ballast")).expect("it is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Processes with open files on it keep it until they end.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn free_bytes(path: &Path) -> u64 {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("a path");
    // SAFETY: statvfs consists of plain numbers, for which zero is valid.
    let mut about: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to valid values of the right types.
    assert_eq!(unsafe { libc::statvfs(path.as_ptr(), &raw mut about) }, 0, "it is mounted");
    about.f_bavail * about.f_frsize
}
