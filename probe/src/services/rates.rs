//! Turns the totals of two samples into rates.

use super::Sample;
use super::sample::Key;
use crate::system::Reading;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use zonepulse_wire::OTHER;

/// Maximum number of metrics of a service. Further ones are left out.
const MAX_METRICS: usize = 64;
/// Maximum number of labels of a metric. The rates of further ones are summed as `<other>`.
const MAX_LABELS: usize = 64;

/// Remembers the totals of the previous sample.
#[derive(Debug, Default)]
pub(super) struct Rates {
    before: Option<(Instant, BTreeMap<Key, u64>)>,
    /// The labels of each metric that have a series of their own, and keep it.
    labels: BTreeMap<Cow<'static, str>, BTreeSet<String>>,
}

impl Rates {
    /// Omits rates from the next sample.
    pub(super) fn forget(&mut self) {
        self.before = None;
    }

    /// The readings of a sample: its present values, and rates since the previous one.
    pub(super) fn follow(&mut self, at: Instant, sample: Sample) -> Vec<Reading> {
        let Sample { gauges: mut readings, counters } = sample;
        if let Some((then, before)) = self.before.take() {
            let elapsed_s = at.duration_since(then).as_secs_f64();
            if elapsed_s > 0.0 {
                self.add_rates(&before, &counters, elapsed_s, &mut readings);
            }
        }
        self.before = Some((at, counters));
        readings
    }

    fn add_rates(
        &mut self,
        before: &BTreeMap<Key, u64>,
        counters: &BTreeMap<Key, u64>,
        elapsed_s: f64,
        readings: &mut Vec<Reading>,
    ) {
        let now = |key: &Key| counters.get(key).copied().unwrap_or(0);
        let was_reset: BTreeSet<&str> =
            before.iter().filter(|(key, total)| now(key) < **total).map(|((metric, _), _)| metric.as_ref()).collect();
        let mut sums: BTreeMap<(&Cow<'static, str>, &str), u64> = BTreeMap::new();
        for (key, total) in counters {
            let (metric, label) = key;
            if was_reset.contains(metric.as_ref()) || !self.has_room(metric) {
                continue;
            }
            let since = total.saturating_sub(before.get(key).copied().unwrap_or(0));
            let label = if self.has_series(metric, label) { label.as_str() } else { OTHER };
            let sum = sums.entry((metric, label)).or_default();
            *sum = sum.saturating_add(since);
        }
        readings.extend(sums.into_iter().map(|((metric, label), since)| Reading {
            metric: metric.clone(),
            label: Cow::Owned(label.to_owned()),
            value: rounded(since as f64 / elapsed_s),
        }));
    }

    fn has_room(&mut self, metric: &str) -> bool {
        if !self.labels.contains_key(metric) && self.labels.len() < MAX_METRICS {
            self.labels.insert(Cow::Owned(metric.to_owned()), BTreeSet::new());
        }
        self.labels.contains_key(metric)
    }

    /// Whether a label has a series of its own.
    fn has_series(&mut self, metric: &str, label: &str) -> bool {
        let Some(labels) = self.labels.get_mut(metric) else { return false };
        if labels.len() < MAX_LABELS && !labels.contains(label) {
            labels.insert(label.to_owned());
        }
        labels.contains(label)
    }
}

/// Rounds so that a few packets a minute remain visible, and large rates compress.
fn rounded(rate: f64) -> f64 {
    if rate < 100.0 { (rate * 1000.0).round() / 1000.0 } else { rate.round() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sample(counters: &[(&'static str, &str, u64)]) -> Sample {
        let mut sample = Sample::default();
        counters.iter().for_each(|(metric, label, total)| sample.count(*metric, label, *total).unwrap());
        sample
    }

    /// Feeds samples 10 s apart; returns the readings of the last.
    fn follow(samples: &[Sample]) -> Vec<(String, String, f64)> {
        let (mut rates, start) = (Rates::default(), Instant::now());
        let mut readings = Vec::new();
        for (at, sample) in (0..).zip(samples) {
            readings = rates.follow(start + Duration::from_secs(10 * at), sample.clone());
        }
        readings.into_iter().map(|Reading { metric, label, value }| (metric.into_owned(), label.into_owned(), value)).collect()
    }

    fn rate(metric: &str, label: &str, value: f64) -> (String, String, f64) {
        (metric.to_owned(), label.to_owned(), value)
    }

    #[test]
    fn the_first_sample_has_no_rates() {
        assert_eq!(follow(&[sample(&[("a_per_s", "x", 7)])]), []);
    }

    #[test]
    fn a_rate_is_the_difference_over_the_time_between_two_samples() {
        let samples =
            [sample(&[("a_per_s", "x", 7), ("a_per_s", "y", 1)]), sample(&[("a_per_s", "x", 8), ("a_per_s", "y", 20_002)])];
        assert_eq!(follow(&samples), [rate("a_per_s", "x", 0.1), rate("a_per_s", "y", 2000.0)]);
    }

    #[test]
    fn a_counter_that_appears_was_zero() {
        assert_eq!(follow(&[sample(&[]), sample(&[("a_per_s", "x", 5)])]), [rate("a_per_s", "x", 0.5)]);
    }

    #[test]
    fn a_metric_that_was_reset_has_no_rates_once() {
        let before = sample(&[("a_per_s", "x", 9), ("a_per_s", "y", 1), ("b_per_s", "x", 1)]);
        // One counter has even grown since, and another is absent, which means 0.
        let after = sample(&[("a_per_s", "y", 4), ("b_per_s", "x", 2)]);
        assert_eq!(follow(&[before.clone(), after.clone()]), [rate("b_per_s", "x", 0.1)]);
        assert_eq!(follow(&[before, after.clone(), after]), [rate("a_per_s", "y", 0.0), rate("b_per_s", "x", 0.0)]);
    }

    #[test]
    fn labels_beyond_the_limit_are_summed_and_earlier_ones_keep_their_series() {
        let label = |at: usize| format!("label{at:03}");
        let many = |total: u64, labels: std::ops::Range<usize>| {
            let mut sample = Sample::default();
            labels.for_each(|at| sample.count("a_per_s", &label(at), total).unwrap());
            sample
        };
        let readings = follow(&[many(0, 1..MAX_LABELS + 1), many(10, 1..MAX_LABELS + 1), many(20, 0..MAX_LABELS + 6)]);
        assert_eq!(readings.len(), MAX_LABELS + 1);
        // Six labels went from 0 to 20, the others from 10 to 20.
        assert_eq!(readings.first(), Some(&rate("a_per_s", OTHER, 12.0)));
        assert_eq!(readings.get(1), Some(&rate("a_per_s", &label(1), 1.0)));
    }

    #[test]
    fn metrics_are_bounded() {
        let mut many = Sample::default();
        (0..MAX_METRICS + 5).for_each(|at| many.count(format!("m{at}_per_s"), "", 1).unwrap());
        assert_eq!(follow(&[many.clone(), many]).len(), MAX_METRICS);
    }

    #[test]
    fn small_rates_remain_visible() {
        assert_eq!([rounded(1.0 / 60.0), rounded(99.9994), rounded(1234.56)], [0.017, 99.999, 1235.0]);
    }
}
