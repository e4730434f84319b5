//! Limits on the numbers in a message.
//!
//! A reader rejects a message with a number beyond its limit, so that subsequent code need not
//! check whether a sum of such numbers overflows. The arithmetic:
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
//! Sums (in the store, and `sum` in SQL) additionally saturate at 2⁶⁴ - 1: whoever sends 2²⁴ such
//! batches, or filled a store before the limits existed, does not affect another server's sum.

/// The exclusive limit on times: the beginning of the year 10000, which RFC 3339 cannot express.
pub const END_OF_TIME_S: u64 = 253_402_300_800;
/// Maximum length of an interval, seconds.
pub(crate) const MAX_INTERVAL_S: u64 = 3600;
/// Maximum sequence number in an epoch.
pub const MAX_SEQ: u64 = (1 << 53) - 1;
/// Maximum total hits of all rows in a batch.
pub const MAX_HITS: u64 = 1 << 40;
/// Maximum value of a counter in a batch. A probe that counted more reports this value.
pub const MAX_COUNTER: u64 = 1 << 45;
/// Maximum number of counters in a batch: this version knows [`Counter::ALL`](crate::Counter::ALL),
/// later ones may know more.
pub const MAX_COUNTERS: usize = 256;
/// Maximum number of lost batches reported by a batch. A probe that lost more reports this value.
pub const MAX_EVICTED: u64 = 1 << 40;
/// Maximum absolute value of a measurement.
pub const MAX_VALUE: f64 = 1e30;

/// Whether a range of time ends before the year 10000.
pub(crate) fn is_in_time(start_s: u64, length_s: u64) -> bool {
    start_s.checked_add(length_s).is_some_and(|end_s| end_s <= END_OF_TIME_S)
}

/// Whether a value is a valid measurement: finite, and within [`MAX_VALUE`].
pub(crate) fn is_value(value: f64) -> bool {
    // Comparisons with NaN are false.
    value.abs() <= MAX_VALUE
}
