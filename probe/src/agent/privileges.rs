//! What the agent may do: as little as it needs.
//!
//! Capturing needs one capability, `CAP_NET_RAW`, and only while a device is opened
//! (capabilities(7)). A device that was lost is opened again, so the thread that
//! captures keeps it permitted, and in effect only while it opens. The thread that
//! listens for dnstap keeps `CAP_CHOWN`, if it has it: a socket may be given to a group.
//! Every other thread gives up all there are. That holds for an agent that root
//! started, too: it then may no longer read or write what root does not own. Nothing
//! that it would run could have more (`PR_SET_NO_NEW_PRIVS`).

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};

/// Gives up what no thread needs. For the only thread there is; those that it starts have no more.
pub(super) fn restrict() {
    // SAFETY: a system call with plain numbers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        tracing::warn!(error = %std::io::Error::last_os_error(), "the right to new privileges could not be given up");
    }
    report(keep(&[Capability::CAP_NET_RAW, Capability::CAP_CHOWN]));
}

/// Keeps what capturing needs, in the thread that calls.
pub(super) fn keep_for_capture() {
    report(keep(&[Capability::CAP_NET_RAW]));
}

/// Keeps what sockets of other groups need, in the thread that calls.
pub(super) fn keep_for_sockets() {
    report(keep(&[Capability::CAP_CHOWN]));
    // It fails when the thread may not; whoever gives a file away then says so.
    let _ = caps::raise(None, CapSet::Effective, Capability::CAP_CHOWN);
}

/// Gives up everything, in the thread that calls.
pub(super) fn drop_all() {
    report(keep(&[]));
}

/// Does what needs the right to capture, with that right if the thread has it.
pub(super) fn with_right_to_capture<T>(work: impl FnOnce() -> T) -> T {
    // It fails when the thread may not, and then the work says so.
    let _ = caps::raise(None, CapSet::Effective, Capability::CAP_NET_RAW);
    let done = work();
    report(caps::clear(None, CapSet::Effective));
    done
}

/// Keeps of these capabilities those that the thread has, permitted and not in effect.
fn keep(wanted: &[Capability]) -> Result<(), CapsError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = wanted.iter().copied().filter(|capability| permitted.contains(capability)).collect();
    caps::clear(None, CapSet::Effective)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Permitted, &kept)
}

fn report(result: Result<(), CapsError>) {
    if let Err(error) = result {
        tracing::warn!(%error, "capabilities could not be given up");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_the_right_to_capture_at_most_and_uses_it_only_while_it_opens() {
        // Capabilities are a thread's own; this one ends with the test.
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
