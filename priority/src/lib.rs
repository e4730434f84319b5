//! Which threads run first when there are more of them than cores.
//!
//! Batches, heartbeats and health checks take well under a millisecond of CPU time and must never wait for a question, a
//! statement or a password. Threads that do such long work therefore lower their own priority, in two ways:
//!
//! * a **nice value** gives them a smaller share of a busy core (sched(7));
//! * a **longer slice** lets a thread with a shorter one preempt them as soon as it wakes up. Without it the scheduler of
//!   Linux 6.12 and later lets a running thread finish its slice, however nice it is, and a request that passes through
//!   five threads waits five times. Older kernels preempt by nice value alone and ignore the slice.
//!
//! Threads and processes that a thread starts inherit both. Lowering a priority needs no privileges, and cannot be undone
//! without them.

use std::mem::size_of;

/// How far a thread stands back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// The central's own long work: questions, scans, password checks.
    Question,
    /// Statements written by users, in processes of their own.
    Statement,
}

impl Priority {
    const fn nice(self) -> libc::c_int {
        match self {
            Priority::Question => 5,
            Priority::Statement => 15,
        }
    }

    /// The default is about 3 ms; 100 ms is the longest.
    const fn slice_ns(self) -> u64 {
        match self {
            Priority::Question => 8_000_000,
            Priority::Statement => 20_000_000,
        }
    }

    /// Lowers the priority of the calling thread. A kernel that refuses leaves the thread as it was, which costs
    /// promptness and nothing else.
    pub fn take(self) {
        // SAFETY: takes plain numbers. On Linux, 0 is the calling thread.
        let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, self.nice()) };
        if let Some(attributes) = Attributes::of_this_thread() {
            Attributes { slice_ns: self.slice_ns(), ..attributes }.set();
        }
    }
}

/// `struct sched_attr` of sched_setattr(2), in its first version.
#[repr(C)]
#[derive(Debug, Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    /// For ordinary threads, the slice: `sched_runtime` in the kernel.
    slice_ns: u64,
    deadline_ns: u64,
    period_ns: u64,
}

const SIZE: u32 = size_of::<Attributes>() as u32;

impl Attributes {
    /// None where the kernel does not say, or the thread is not an ordinary one: its slice means something else then.
    fn of_this_thread() -> Option<Self> {
        let mut attributes = Attributes::default();
        // SAFETY: the kernel writes at most SIZE bytes to a value of that size; 0 is the calling thread.
        let done = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, SIZE, 0) };
        (done == 0 && attributes.policy == libc::SCHED_OTHER as u32).then_some(Attributes { size: SIZE, ..attributes })
    }

    fn set(&self) {
        // SAFETY: the kernel reads a value of the size that it states; 0 is the calling thread.
        let _ = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, std::ptr::from_ref(self), 0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel says of a thread that takes this priority.
    fn taken(priority: Priority) -> Attributes {
        let thread = std::thread::spawn(move || {
            priority.take();
            // Inherited by what it starts.
            std::thread::spawn(|| Attributes::of_this_thread().unwrap()).join().unwrap()
        });
        thread.join().unwrap()
    }

    #[test]
    fn a_priority_is_inherited_by_what_a_thread_starts() {
        for priority in [Priority::Question, Priority::Statement] {
            let attributes = taken(priority);
            assert_eq!(attributes.nice, priority.nice());
            // Kernels before 6.12 have no slices of their own.
            assert!([0, priority.slice_ns()].contains(&attributes.slice_ns), "{attributes:?}");
        }
    }

    #[test]
    fn another_thread_keeps_its_own() {
        let before = Attributes::of_this_thread().unwrap();
        taken(Priority::Statement);
        let after = Attributes::of_this_thread().unwrap();
        assert_eq!((after.nice, after.slice_ns), (before.nice, before.slice_ns));
    }
}
