//! The process's limit on open files: each connection needs one, and the store needs its own.

use crate::config::Limits;

/// Files needed besides connections, by the store and the rest.
const BESIDES: u64 = 512;
/// Maximum requested: some systems allocate a table of this size.
const MOST: u64 = 1 << 20;

/// How many files may have to be open at the same time.
pub fn needed(limits: &Limits) -> u64 {
    u64::from(limits.max_connections) + BESIDES
}

/// Raises the limit as far as allowed, and warns if connections could use up the store's files.
pub fn raise(limits: &Limits) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer refers to a local variable.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return;
    }
    let wanted = limit.rlim_max.min(MOST);
    if wanted > limit.rlim_cur {
        let raised = libc::rlimit { rlim_cur: wanted, ..limit };
        // SAFETY: the pointer refers to a local variable.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            limit = raised;
        }
    }
    let needed = needed(limits);
    if limit.rlim_cur < needed {
        tracing::warn!(
            open_files = limit.rlim_cur,
            "limits.max_connections and the store need {needed} open files: raise the limit (LimitNOFILE, ulimit -n)"
        );
    }
}
