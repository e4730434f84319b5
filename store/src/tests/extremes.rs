//! Numbers for tests: those where an encoder is likely to be wrong, and any other.

use proptest::prelude::*;

/// From 0 to `most`: often one of the ends or next to it, otherwise of any length in bits.
pub(crate) fn up_to(most: u64) -> impl Strategy<Value = u64> {
    let any_length = (any::<u64>(), 0..64u32).prop_map(move |(value, shift)| (value >> shift).min(most));
    prop_oneof![
        1 => Just(0),
        1 => Just(1.min(most)),
        1 => Just(most),
        1 => Just(most.saturating_sub(1)),
        4 => any_length,
    ]
}

/// From 1 to `most`.
pub(crate) fn from_one_to(most: u64) -> impl Strategy<Value = u64> {
    up_to(most - 1).prop_map(|value| value + 1)
}
