//! Memory that is fetched before it is needed.
//!
//! Names and totals of busy servers are larger than a core's own cache. Who goes through many of them in any order
//! would wait for each; who says beforehand where the next ones are waits for all together.

/// Has the processor fetch an item, if there is such a one.
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
