//! Serial number arithmetic (RFC 1982): serials wrap around, so `5` is newer than `4294967290`.

use std::cmp::Ordering;

/// Compares two SOA serials. `None` if they are exactly 2^31 apart, for which the order is undefined.
pub fn compare(a: u32, b: u32) -> Option<Ordering> {
    match a.wrapping_sub(b) {
        0 => Some(Ordering::Equal),
        0x8000_0000 => None,
        ahead if ahead < 0x8000_0000 => Some(Ordering::Greater),
        _ => Some(Ordering::Less),
    }
}

/// Whether a primary's serial calls for a transfer: it is newer than ours, or the order is undefined.
pub fn is_newer(primary: u32, ours: u32) -> bool {
    !matches!(compare(primary, ours), Some(Ordering::Equal | Ordering::Less))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn serials_wrap_around() {
        assert_eq!(compare(5, 4_294_967_290), Some(Ordering::Greater));
        assert_eq!(compare(4_294_967_290, 5), Some(Ordering::Less));
        assert_eq!(compare(0x7fff_ffff, 0), Some(Ordering::Greater));
        assert_eq!(compare(7, 7), Some(Ordering::Equal));
    }

    #[test]
    fn serials_half_the_circle_apart_have_no_order_but_call_for_a_transfer() {
        assert_eq!(compare(0, 0x8000_0000), None);
        assert_eq!(compare(0x8000_0001, 1), None);
        assert!(is_newer(0x8000_0000, 0) && is_newer(0, 0x8000_0000));
    }

    proptest! {
        #[test]
        fn adding_up_to_half_the_circle_makes_a_serial_newer(serial in any::<u32>(), ahead in 1..0x8000_0000_u32) {
            let later = serial.wrapping_add(ahead);
            prop_assert!(is_newer(later, serial));
            prop_assert!(!is_newer(serial, later));
        }
    }
}
