//! Measured values as integers.
//!
//! Gauges are rounded before they are reported (percentages to tenths, loads to hundredths), so a
//! column of them consists of integers at some decimal *scale*: 12.5 is 125 at scale 1. Integers
//! have small differences, and small differences take few bits. Values without such a scale are
//! stored as the bits of the double.

/// Maximum number of decimal places considered.
pub const MAX_SCALE: u8 = 3;
/// Up to this value, every integer is exactly representable as a double.
pub const MAX_INTEGER: i64 = 1 << 53;

/// The value as an integer at a scale, if that is exact.
#[inline]
pub fn to_integer(value: f64, scale: u8) -> Option<i64> {
    let scaled = (value * power(scale)).round();
    if scaled.abs() > MAX_INTEGER as f64 {
        return None;
    }
    // NaN is converted to 0, which then differs from the value.
    let integer = scaled as i64;
    (from_integer(integer, scale).to_bits() == value.to_bits()).then_some(integer)
}

/// The value of an integer at a scale.
#[inline]
pub fn from_integer(integer: i64, scale: u8) -> f64 {
    integer as f64 / power(scale)
}

/// The smallest scale at which all values are integers; `None` if there is none.
pub fn scale_of(values: impl Iterator<Item = f64> + Clone) -> Option<u8> {
    (0..=MAX_SCALE).find(|scale| values.clone().all(|value| to_integer(value, *scale).is_some()))
}

/// Maps signed to unsigned integers: 0, -1, 1, -2, … become 0, 1, 2, 3, …
#[inline]
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
#[inline]
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[inline]
fn power(scale: u8) -> f64 {
    match scale {
        0 => 1.0,
        1 => 10.0,
        2 => 100.0,
        _ => 1000.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_column_has_the_smallest_scale_that_says_it_exactly() {
        let scale = |values: &[f64]| scale_of(values.iter().copied());
        assert_eq!(scale(&[]), Some(0));
        assert_eq!(scale(&[1.0, -7.0, 1e15]), Some(0));
        assert_eq!(scale(&[1.0, 0.1]), Some(1));
        assert_eq!(scale(&[99.9, 0.25]), Some(2));
        assert_eq!(scale(&[0.001]), Some(3));
        assert_eq!(scale(&[0.0001]), None);
        assert_eq!(scale(&[-0.0]), None);
        assert_eq!(scale(&[f64::NAN]), None);
        assert_eq!(scale(&[f64::INFINITY]), None);
        assert_eq!(scale(&[1e18]), None);
    }

    proptest! {
        #[test]
        fn integers_at_a_scale_survive_a_round_trip(integer in -MAX_INTEGER..=MAX_INTEGER, scale in 0..=MAX_SCALE) {
            let value = from_integer(integer, scale);
            let again = to_integer(value, scale).map(|integer| from_integer(integer, scale).to_bits());
            prop_assert!(again.is_none_or(|bits| bits == value.to_bits()));
            prop_assert!(scale > 0 || again.is_some());
        }

        #[test]
        fn tenths_and_hundredths_have_a_scale(integer in -1_000_000_000i64..1_000_000_000, scale in 0..=MAX_SCALE) {
            let text = format!("{}e-{scale}", integer);
            let value: f64 = text.parse().unwrap();
            prop_assert!(integer == 0 || to_integer(value, scale) == Some(integer), "{text}");
        }

        #[test]
        fn signs_come_back(value in any::<i64>()) {
            prop_assert_eq!(unzigzag(zigzag(value)), value);
        }
    }
}
