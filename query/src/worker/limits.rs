//! Limits that the kernel enforces on a worker.
//!
//! A worker needs no files, no network and no other programs, so it may have none; its memory and CPU time are those of
//! one statement. When the machine runs out of memory, it is the first to be killed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use zonepulse_priority::Priority;

/// Address space beyond a statement's memory: stacks of threads that start later, and what the allocator rounds up.
const SLACK_BYTES: u64 = 32 << 20;
/// The socket, and the runtime's event queue.
const MAX_FILES: u64 = 64;
/// The score of the process to be killed first when memory runs out.
const FIRST_TO_GO: &[u8] = b"1000";

/// Gives up what a worker does not need. To be called before there are threads.
pub(super) fn harden() -> io::Result<()> {
    set(libc::RLIMIT_CORE, 0, 0)?;
    set(libc::RLIMIT_FSIZE, 0, 0)?;
    set(libc::RLIMIT_NOFILE, MAX_FILES, MAX_FILES)?;
    // Some systems forbid this; the central is then no worse off than with a busy client.
    let _ = fs::write("/proc/self/oom_score_adj", FIRST_TO_GO);
    Priority::Statement.take();
    // SAFETY: these options take plain numbers and touch no memory of ours.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
    Ok(())
}

/// Limits further growth of the address space to this and some slack.
pub(super) fn bound_memory(memory_bytes: usize) -> io::Result<()> {
    let (size_bytes, _) = Memory::open()?.now()?;
    let most = size_bytes.saturating_add(memory_bytes as u64).saturating_add(SLACK_BYTES);
    set(libc::RLIMIT_AS, most, most)
}

/// Gives the process this many more seconds of CPU time, after which the kernel ends it.
pub(super) fn bound_cpu(more_s: u64) -> io::Result<()> {
    // SAFETY: all zeroes is a valid value, which the call overwrites.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a value of the type that the call fills.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut used) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let used_s = used.ru_utime.tv_sec.saturating_add(used.ru_stime.tv_sec);
    set(libc::RLIMIT_CPU, u64::try_from(used_s).unwrap_or(0).saturating_add(more_s), libc::RLIM_INFINITY)
}

/// The file that tells this process's memory, kept open because every statement reads it.
pub(super) struct Memory(File);

impl Memory {
    pub(super) fn open() -> io::Result<Self> {
        File::open("/proc/self/statm").map(Memory)
    }

    /// Address space and resident memory, bytes.
    pub(super) fn now(&self) -> io::Result<(u64, u64)> {
        let mut text = [0; 128];
        let length = self.0.read_at(&mut text, 0)?;
        let text = String::from_utf8_lossy(text.get(..length).unwrap_or_default());
        // SAFETY: takes a plain number.
        let page_bytes = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        let mut pages = text.split(' ').map_while(|word| word.parse::<u64>().ok());
        match (pages.next(), pages.next()) {
            (Some(size), Some(resident)) => Ok((size.saturating_mul(page_bytes), resident.saturating_mul(page_bytes))),
            _ => Err(io::Error::other("/proc/self/statm has an unknown form")),
        }
    }
}

/// Returns the allocator's free memory to the system.
pub(super) fn trim() {
    // SAFETY: only the allocator's own memory is touched.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

fn set(resource: libc::__rlimit_resource_t, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the pointer is to a value that lives until the call returns.
    if unsafe { libc::setrlimit(resource, &limit) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_looked_at_anew_each_time() {
        const MORE: usize = 128 << 20;
        let memory = Memory::open().unwrap();
        let (size, resident) = memory.now().unwrap();
        assert!(resident > 0 && size > resident);
        let more = std::hint::black_box(vec![1u8; MORE]);
        let (_, grown) = memory.now().unwrap();
        drop(more);
        assert!(grown > resident + MORE as u64 / 2, "{resident} {grown}");
    }
}
