//! Prefetching memory before it is needed.
//!
//! The names and totals of busy servers exceed a core's own cache. Visiting many of them in random order would stall
//! on each; announcing the next few in advance overlaps the waits.

/// Prefetches an item, if it exists.
#[inline]
pub(crate) fn prefetch<T>(items: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(item) = items.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: it changes nothing that the program sees, and cannot fail.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(item).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (items, at);
}
