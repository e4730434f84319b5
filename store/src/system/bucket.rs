//! Roll-up buckets: a summary of the values in a time range.

use zonepulse_codec::decimal;

/// A summary of the values of a series in a time range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// The minimum.
    pub min: f64,
    /// The maximum.
    pub max: f64,
    /// The most recent value.
    pub last: f64,
    /// Number of values; never 0.
    pub count: u32,
    /// End of the last value's slot, in seconds after the start of the hour.
    pub(crate) last_end_s: u32,
    pub(crate) sum: Sum,
}

/// A sum that does not depend on the order of addition.
///
/// Values either have at most three decimal places or are not rounded at all. For the former, the sum is exact, as an
/// integer number of thousandths, so a coarse bucket agrees with its finer ones. A sum of doubles saturates at the
/// largest double, which only values from before the bound on values was introduced can reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sum {
    Thousandths(i128),
    Double(f64),
}

const THOUSANDTHS: f64 = 1000.0;

impl Bucket {
    /// Creates a bucket of one value.
    pub(crate) fn of(value: f64, end_s: u32) -> Self {
        Bucket { min: value, max: value, last: value, count: 1, last_end_s: end_s, sum: Sum::of(value) }
    }

    /// The mean of the values.
    pub fn avg(&self) -> f64 {
        self.sum.value() / f64::from(self.count.max(1))
    }

    /// Whether two buckets agree, apart from rounding errors in a sum of doubles.
    pub(crate) fn agrees(&self, other: &Bucket) -> bool {
        let near = match (self.sum, other.sum) {
            // Which values were added before a sum saturated depends on their order.
            (Sum::Double(a), Sum::Double(b)) if a.abs() >= f64::MAX || b.abs() >= f64::MAX => true,
            (Sum::Double(a), Sum::Double(b)) => {
                let most = self.max.abs().max(self.min.abs()) * f64::from(self.count);
                (a - b).abs() <= most * 1e-9 || a.to_bits() == b.to_bits()
            }
            (a, b) => a == b,
        };
        near && Bucket { sum: self.sum, ..*other } == *self
    }

    /// Adds a later bucket, of the same hour or another.
    pub fn then(&mut self, later: &Bucket) {
        self.merge(later);
        (self.last, self.last_end_s) = (later.last, later.last_end_s);
    }

    /// Merges another bucket of the same hour.
    pub(crate) fn merge(&mut self, other: &Bucket) {
        self.min = least(self.min, other.min);
        self.max = greatest(self.max, other.max);
        self.last = match self.last_end_s.cmp(&other.last_end_s) {
            std::cmp::Ordering::Less => other.last,
            std::cmp::Ordering::Equal => greatest(self.last, other.last),
            std::cmp::Ordering::Greater => self.last,
        };
        self.last_end_s = self.last_end_s.max(other.last_end_s);
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.plus(other.sum);
    }
}

impl Sum {
    fn of(value: f64) -> Self {
        match decimal::scale_of(std::iter::once(value)) {
            Some(scale) => {
                let integer = decimal::to_integer(value, scale).unwrap_or_default();
                Sum::Thousandths(i128::from(integer) * thousandths_at(scale))
            }
            None => Sum::of_double(value),
        }
    }

    /// Clamps a value to the range of finite doubles; NaN becomes 0.
    pub(crate) fn of_double(value: f64) -> Self {
        Sum::Double(if value.is_nan() { 0.0 } else { value.clamp(f64::MIN, f64::MAX) })
    }

    fn plus(self, other: Sum) -> Sum {
        match (self, other) {
            // Each is the sum of up to 2³² values of at most 2⁶³ at scale 3.
            (Sum::Thousandths(a), Sum::Thousandths(b)) => Sum::Thousandths(a.saturating_add(b)),
            _ => Sum::of_double(self.value() + other.value()),
        }
    }

    pub(crate) fn value(self) -> f64 {
        match self {
            Sum::Thousandths(sum) => sum as f64 / THOUSANDTHS,
            Sum::Double(sum) => sum,
        }
    }

    /// Returns the sum as an integer at a scale, if it is one.
    pub(crate) fn integer(self, scale: u8) -> Option<i64> {
        match self {
            Sum::Thousandths(sum) if sum % thousandths_at(scale) == 0 => i64::try_from(sum / thousandths_at(scale)).ok(),
            _ => None,
        }
    }

    pub(crate) fn of_integer(integer: i64, scale: u8) -> Self {
        Sum::Thousandths(i128::from(integer) * thousandths_at(scale))
    }
}

fn thousandths_at(scale: u8) -> i128 {
    10i128.pow(u32::from(decimal::MAX_SCALE.saturating_sub(scale)))
}

fn least(a: f64, b: f64) -> f64 {
    if a.total_cmp(&b).is_le() { a } else { b }
}

/// Returns the greater of two values. This is also the value that counts when two batches report the same slot.
pub(crate) fn greatest(a: f64, b: f64) -> f64 {
    if a.total_cmp(&b).is_ge() { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_the_same_in_whatever_order_it_was_made() {
        let values = [0.1, 0.7, 12.345, 99.9, 0.2, 3e12, -7.0];
        let of = |order: &[usize]| {
            let all = order.iter().map(|at| Bucket::of(values[*at], *at as u32));
            all.reduce(|mut a, b| {
                a.merge(&b);
                a
            })
            .unwrap()
        };
        let forwards = of(&[0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(forwards, of(&[6, 2, 0, 5, 1, 3, 4]));
        let mut halves = of(&[5, 6]);
        halves.merge(&of(&[0, 1, 2, 3, 4]));
        assert_eq!(forwards, halves);
        assert_eq!((forwards.min, forwards.max, forwards.last, forwards.count), (-7.0, 3e12, -7.0, 7));
        assert_eq!(forwards.avg(), 3_000_000_000_106.245 / 7.0);
    }

    #[test]
    fn tenths_sum_up_exactly() {
        let bucket = (0..720)
            .map(|at| Bucket::of(0.1, at))
            .reduce(|mut a, b| {
                a.merge(&b);
                a
            })
            .unwrap();
        assert_eq!(bucket.sum.value(), 72.0);
        assert_eq!(bucket.sum.integer(1), Some(720));
    }

    #[test]
    fn a_sum_of_the_largest_values_is_finite() {
        let mut bucket = Bucket::of(1e30, 1);
        for _ in 0..32 {
            let other = bucket;
            bucket.merge(&other);
        }
        assert_eq!(bucket.count, u32::MAX);
        assert!((bucket.avg() / 1e30 - 1.0).abs() < 1e-9, "{}", bucket.avg());
    }

    /// Before the bound was introduced, values up to the largest double were accepted.
    #[test]
    fn a_sum_past_the_largest_double_stops_there() {
        for value in [f64::MAX, f64::MIN, 1.7e308] {
            let mut bucket = Bucket::of(value, 1);
            bucket.merge(&Bucket::of(value, 2));
            assert_eq!(bucket.sum, Sum::Double(f64::MAX.copysign(value)));
            assert!(bucket.avg().is_finite() && bucket.agrees(&bucket));
        }
        assert_eq!(Sum::of_double(f64::NAN), Sum::Double(0.0));
    }

    #[test]
    fn what_is_not_rounded_is_summed_as_doubles() {
        let mut bucket = Bucket::of(0.25, 1);
        bucket.merge(&Bucket::of(1e-7, 2));
        assert_eq!(bucket.sum, Sum::Double(0.25 + 1e-7));
        assert_eq!(bucket.sum.integer(0), None);
    }
}
