//! The distribution of requests over a server's records.
//!
//! The n-th most popular record is requested 1/n as often as the most popular one (Zipf). Requests arrive
//! independently, so their number in an interval follows a Poisson distribution. The total follows from the number of
//! active records, that is, those requested at least once in an interval.

/// From this rank on, sums are computed over groups of neighbouring ranks.
const EXACT: u64 = 4096;
/// Approximate number of groups for each doubling of the rank.
const GROUPS: u64 = 256;

/// The distribution of requests over the records of a server.
#[derive(Debug, Clone, Copy)]
pub struct Popularity {
    records: u32,
    /// Mean requests per interval for the most popular record.
    most: f64,
}

impl Popularity {
    /// The distribution in which about `active` of the records are active in an interval.
    pub fn new(records: u32, active: u32) -> Self {
        // All records are active only with infinite traffic. This is indistinguishable from it.
        let wanted = f64::from(active.min(records)).min(f64::from(records) - 0.01);
        let (mut low, mut high) = (0.0, 1.0);
        let active = |most: f64| Popularity { records, most }.active_in(1.0);
        while active(high) < wanted {
            high *= 2.0;
        }
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if active(middle) < wanted { low = middle } else { high = middle }
        }
        Popularity { records, most: high }
    }

    /// The distribution with this total of requests per interval.
    pub fn of_requests(records: u32, requests: f64) -> Self {
        let each: f64 = (1..=records).map(|rank| 1.0 / f64::from(rank)).sum();
        Popularity { records, most: requests / each }
    }

    /// Mean total requests per interval.
    pub fn requests(&self) -> f64 {
        self.expected().sum()
    }

    /// Mean requests per interval, by rank.
    pub fn expected(&self) -> impl Iterator<Item = f64> + use<> {
        let Popularity { records, most } = *self;
        (1..=records).map(move |rank| most / f64::from(rank))
    }

    /// Mean number of records requested at least once in this number of intervals.
    pub fn active_in(&self, intervals: f64) -> f64 {
        let records = u64::from(self.records);
        let (mut first, mut sum) = (1, 0.0);
        while first <= records {
            let count = if first < EXACT { 1 } else { (first / GROUPS).min(records + 1 - first) };
            let rank = first as f64 + (count - 1) as f64 / 2.0;
            sum += count as f64 * -(-self.most * intervals / rank).exp_m1();
            first += count;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_active_as_were_asked_for() {
        for (records, active) in [(10, 1), (10, 10), (2_500, 970), (100_000_000, 20_000_000)] {
            let found = Popularity::new(records, active).active_in(1.0);
            assert!((found - f64::from(active)).abs() < 0.02 + f64::from(active) * 1e-6, "{found} of {records}, wanted {active}");
        }
    }

    #[test]
    fn as_many_requests_have_as_many_records_active() {
        let popularity = Popularity::new(2_500, 970);
        let again = Popularity::of_requests(2_500, popularity.requests());
        assert!((again.active_in(1.0) - 970.0).abs() < 0.01);
    }

    #[test]
    fn what_is_taken_together_comes_to_the_same() {
        let popularity = Popularity::new(200_000, 30_000);
        for intervals in [1.0, 5.0, 60.0] {
            let exact: f64 = popularity.expected().map(|expected| 1.0 - (-expected * intervals).exp()).sum();
            let found = popularity.active_in(intervals);
            assert!((found / exact - 1.0).abs() < 1e-5, "{found}, exactly {exact}");
        }
    }

    #[test]
    fn more_are_active_in_a_longer_time_and_never_more_than_there_are() {
        let popularity = Popularity::new(2_500, 970);
        let active = [1.0, 5.0, 15.0, 60.0, 1e6].map(|intervals| popularity.active_in(intervals).round() as u32);
        assert_eq!(active, [970, 2037, 2454, 2500, 2500]);
    }
}
