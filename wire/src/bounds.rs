//! How large the numbers of a message may be.
//!
//! A reader refuses a message with a number past its bound, so that nothing behind it has to
//! ask whether a sum of such numbers still fits. The arithmetic:
//!
//! | number | bound | and therefore |
//! | --- | --- | --- |
//! | times | before the year 10000 | milliseconds fit into 48 bits, and RFC 3339 can write every time |
//! | sequence number | 2⁵³ - 1 | the number after it exists, and JSON readers hold it exactly |
//! | hits of a batch | 2⁴⁰ | 2²⁴ batches at the bound fit into 64 bits. 2⁴⁰ in 5 minutes are 3.6 billion messages a second |
//! | a counter | 2⁴⁵ | octets are counted, too: 5 minutes at 900 Gbit/s |
//! | batches given up | 2⁴⁰ | |
//! | a measured value | ±10³⁰ | a sum of 2³² values is a finite double, and its mean is exact to 15 digits |
//!
//! What adds up (the store, and `sum` in SQL) stops at 2⁶⁴ - 1 besides: whoever sends 2²⁴
//! such batches, or filled a store before there were bounds, changes no other server's sum.

/// The first second that no time reaches: the year 10000 begins, which RFC 3339 cannot write.
pub const END_OF_TIME_S: u64 = 253_402_300_800;
/// No batch has a higher number in its epoch.
pub const MAX_SEQ: u64 = (1 << 53) - 1;
/// All rows of a batch together have no more hits.
pub const MAX_HITS: u64 = 1 << 40;
/// No counter of a batch is higher. A probe that counted more says this.
pub const MAX_COUNTER: u64 = 1 << 45;
/// No batch has more counters: this version knows [`Counter::ALL`](crate::Counter::ALL), later ones may know more.
pub const MAX_COUNTERS: usize = 256;
/// No batch reports the loss of more. A probe that lost more says this.
pub const MAX_EVICTED: u64 = 1 << 40;
/// No measured value is further from zero.
pub const MAX_VALUE: f64 = 1e30;

/// Whether a stretch of time ends before the year 10000 begins.
pub(crate) fn is_in_time(start_s: u64, length_s: u64) -> bool {
    start_s.checked_add(length_s).is_some_and(|end_s| end_s <= END_OF_TIME_S)
}

/// Whether a value was measured: finite, and not past [`MAX_VALUE`].
pub(crate) fn is_value(value: f64) -> bool {
    // What is no number compares to nothing.
    value.abs() <= MAX_VALUE
}
