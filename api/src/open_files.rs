//! How many files the process may have open: a connection is one, and the store needs its own.

use crate::config::Limits;

/// What the store and the rest need besides connections.
const BESIDES: u64 = 512;
/// No more is asked for: some systems keep a table of this size.
const MOST: u64 = 1 << 20;

/// Raises the limit as far as may be, and warns when connections could take the store's files.
pub fn raise(limits: &Limits) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a value of this function.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return;
    }
    let wanted = limit.rlim_max.min(MOST);
    if wanted > limit.rlim_cur {
        let raised = libc::rlimit { rlim_cur: wanted, ..limit };
        // SAFETY: the pointer is to a value of this function.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            limit = raised;
        }
    }
    let needed = u64::from(limits.max_connections) + BESIDES;
    if limit.rlim_cur < needed {
        tracing::warn!(
            open_files = limit.rlim_cur,
            "limits.max_connections and the store need {needed} open files: raise the limit (LimitNOFILE, ulimit -n)"
        );
    }
}
