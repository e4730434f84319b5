//! Least privilege for the agent's threads.
//!
//! Capturing needs one capability, `CAP_NET_RAW`, and only while a device is being opened
//! (capabilities(7)). A lost device is reopened later, so the capture thread keeps it in the
//! permitted set and raises it to the effective set only while opening. The dnstap thread keeps
//! `CAP_CHOWN`, if it has it, to assign a socket to a group. All other threads drop every
//! capability. This also applies to an agent started by root: it can then no longer read or write
//! files that root does not own. No program it executes can gain privileges
//! (`PR_SET_NO_NEW_PRIVS`).

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};

/// Drops what no thread needs. Call it while there is only one thread, since new threads inherit
/// its privileges.
pub(super) fn restrict() {
    // SAFETY: a system call with plain numbers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        tracing::warn!(error = %std::io::Error::last_os_error(), "cannot set PR_SET_NO_NEW_PRIVS");
    }
    report(keep(&[Capability::CAP_NET_RAW, Capability::CAP_CHOWN]));
}

/// Keeps what capturing needs, in the calling thread.
pub(super) fn keep_for_capture() {
    report(keep(&[Capability::CAP_NET_RAW]));
}

/// Keeps what assigning sockets to groups needs, in the calling thread.
pub(super) fn keep_for_sockets() {
    report(keep(&[Capability::CAP_CHOWN]));
    // Fails if the thread lacks the capability; chown then reports it.
    let _ = caps::raise(None, CapSet::Effective, Capability::CAP_CHOWN);
}

/// Drops all capabilities of the calling thread.
pub(super) fn drop_all() {
    report(keep(&[]));
}

/// Runs `work` with the right to capture, if the thread has it.
pub(super) fn with_right_to_capture<T>(work: impl FnOnce() -> T) -> T {
    // Fails if the thread lacks the capability; `work` then reports it.
    let _ = caps::raise(None, CapSet::Effective, Capability::CAP_NET_RAW);
    let done = work();
    report(caps::clear(None, CapSet::Effective));
    done
}

/// Of these capabilities, keeps those that the thread has: permitted but not effective.
fn keep(wanted: &[Capability]) -> Result<(), CapsError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = wanted.iter().copied().filter(|capability| permitted.contains(capability)).collect();
    caps::clear(None, CapSet::Effective)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Permitted, &kept)
}

fn report(result: Result<(), CapsError>) {
    if let Err(error) = result {
        tracing::warn!(%error, "cannot drop capabilities");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_the_right_to_capture_at_most_and_uses_it_only_while_it_opens() {
        // Capabilities are per thread, and this thread ends with the test.
        let thread = std::thread::spawn(|| {
            let had = caps::has_cap(None, CapSet::Permitted, Capability::CAP_NET_RAW).unwrap();
            restrict();
            keep_for_capture();
            let of = |set| caps::read(None, set).unwrap();
            let right: CapsHashSet = had.then_some(Capability::CAP_NET_RAW).into_iter().collect();
            assert_eq!((of(CapSet::Permitted), of(CapSet::Effective)), (right.clone(), CapsHashSet::new()));
            assert_eq!(with_right_to_capture(|| of(CapSet::Effective)), right);
            assert_eq!(of(CapSet::Effective), CapsHashSet::new());
            drop_all();
            assert_eq!(of(CapSet::Permitted), CapsHashSet::new());
        });
        thread.join().unwrap();
    }
}
