//! Collects the readings of several slots into batches.

use super::Reading;
use std::borrow::Cow;
use std::collections::BTreeMap;
use zonepulse_model::{Identity, ServerId};
use zonepulse_wire::{MAX_LABEL_BYTES, MAX_SERIES, MAX_SLOTS, MAX_SYSTEM_POINTS, MAX_VALUE, Series, SystemBatch};

/// Fills batches one by one. A batch ends at a multiple of its length on the clock, so that the
/// batches of all probes are aligned.
#[derive(Debug)]
pub struct Gather {
    identity: Identity,
    batch_s: u32,
    interval_s: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    start_s: u64,
    slots: u32,
    /// Maximum number of series in a batch.
    max_series: usize,
    series: BTreeMap<(Cow<'static, str>, String), Vec<Option<f64>>>,
}

impl Gather {
    /// Collects batches of about `batch_s` seconds, but at least one slot. Sequence numbers start
    /// at 0.
    pub fn new(server_id: u32, epoch: u64, batch_s: u32, interval_s: u32) -> Self {
        Gather {
            identity: Identity { server_id: ServerId::new(server_id), epoch, seq: 0 },
            batch_s,
            interval_s: interval_s.max(1),
            open: None,
        }
    }

    /// Changes the length of slots. Returns what was collected before.
    pub fn set_interval(&mut self, interval_s: u32) -> Option<SystemBatch> {
        let taken = self.take();
        self.interval_s = interval_s.max(1);
        taken
    }

    /// Adds the slot that began at `start_s`, Unix seconds, a multiple of the interval. Returns a
    /// batch that this slot completes, preceded by one that it does not belong to.
    pub fn add<'a>(&mut self, start_s: u64, readings: impl IntoIterator<Item = &'a Reading>) -> [Option<SystemBatch>; 2] {
        let interval_s = u64::from(self.interval_s);
        let max_slots = (self.batch_s / self.interval_s).clamp(1, MAX_SLOTS);
        let window_s = interval_s * u64::from(max_slots);
        let end_s = start_s - start_s % window_s + window_s;
        let belongs = |open: &Open| {
            // Slots may be missing in between; within a batch, time never goes back.
            (open.start_s + interval_s * u64::from(open.slots)..end_s).contains(&start_s)
                && open.start_s - open.start_s % window_s + window_s == end_s
        };
        let before = if self.open.as_ref().is_some_and(|open| !belongs(open)) { self.take() } else { None };
        let max_series = MAX_SERIES.min(MAX_SYSTEM_POINTS / max_slots as usize);
        let open = self.open.get_or_insert_with(|| Open { start_s, slots: 0, max_series, series: BTreeMap::new() });
        open.add(start_s, interval_s, readings);
        let complete = if start_s + interval_s >= end_s { self.take() } else { None };
        [before, complete]
    }

    /// Takes what was collected so far, if anything.
    pub fn take(&mut self) -> Option<SystemBatch> {
        let Open { start_s, slots, series, .. } = self.open.take()?;
        let identity = self.identity;
        self.identity.seq += 1;
        let series = series.into_iter().map(|((metric, label), mut values)| {
            values.resize(slots as usize, None);
            Series { metric: metric.into_owned(), label, values }
        });
        Some(SystemBatch { identity, start_s, interval_s: self.interval_s, slots, evicted: None, series: series.collect() })
    }
}

impl Open {
    fn add<'a>(&mut self, start_s: u64, interval_s: u64, readings: impl IntoIterator<Item = &'a Reading>) {
        let slot = (start_s - self.start_s) / interval_s;
        self.slots = u32::try_from(slot + 1).unwrap_or(MAX_SLOTS);
        for Reading { metric, label, value } in readings {
            // A single value that is not allowed would make the batch invalid.
            if label.len() > MAX_LABEL_BYTES || value.is_nan() || value.abs() > MAX_VALUE {
                continue;
            }
            let key = (metric.clone(), label.clone().into_owned());
            if self.series.len() >= self.max_series && !self.series.contains_key(&key) {
                continue;
            }
            let values = self.series.entry(key).or_default();
            values.resize(self.slots as usize, None);
            if let Some(last) = values.last_mut() {
                *last = Some(*value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(metric: &'static str, label: &'static str, value: f64) -> Reading {
        Reading { metric: Cow::Borrowed(metric), label: Cow::Borrowed(label), value }
    }

    /// Start, slots and the values of `load_1m`.
    fn shown(batch: &SystemBatch) -> (u64, u32, Vec<Option<f64>>) {
        assert_eq!(SystemBatch::decode(&batch.encode().unwrap()).as_ref(), Ok(batch), "the batch does not survive encoding");
        let values = batch.series.iter().find(|series| series.metric == "load_1m").map(|series| series.values.clone());
        (batch.start_s, batch.slots, values.unwrap_or_default())
    }

    fn add(gather: &mut Gather, start_s: u64, value: f64) -> Vec<(u64, u32, Vec<Option<f64>>)> {
        let batches = gather.add(start_s, &[reading("load_1m", "", value), reading("disk_free_bytes", "/", 9.0)]);
        batches.iter().flatten().map(shown).collect()
    }

    #[test]
    fn a_batch_ends_with_its_minute_wherever_it_began() {
        let mut gather = Gather::new(7, 1, 60, 20);
        assert_eq!(add(&mut gather, 620, 0.5), []);
        assert_eq!(add(&mut gather, 640, 0.25), [(620, 2, vec![Some(0.5), Some(0.25)])]);
        assert_eq!(add(&mut gather, 660, 1.0), []);
        assert_eq!(add(&mut gather, 680, 2.0), []);
        let [before, complete] = gather.add(700, &[]);
        assert_eq!((before, complete.as_ref().map(shown)), (None, Some((660, 3, vec![Some(1.0), Some(2.0), None]))));
        assert_eq!(complete.unwrap().identity, Identity { server_id: ServerId::new(7), epoch: 1, seq: 1 });
    }

    #[test]
    fn a_slot_that_was_missed_is_not_measured() {
        let mut gather = Gather::new(7, 1, 60, 10);
        add(&mut gather, 600, 1.0);
        add(&mut gather, 630, 4.0);
        assert_eq!(add(&mut gather, 660, 7.0), [(600, 4, vec![Some(1.0), None, None, Some(4.0)])]);
        assert_eq!(gather.take().as_ref().map(shown), Some((660, 1, vec![Some(7.0)])));
        assert_eq!(gather.take(), None);
    }

    #[test]
    fn a_clock_that_goes_back_begins_another_batch() {
        let mut gather = Gather::new(7, 1, 60, 10);
        add(&mut gather, 630, 1.0);
        assert_eq!(add(&mut gather, 610, 2.0), [(630, 1, vec![Some(1.0)])]);
        assert_eq!(gather.take().as_ref().map(shown), Some((610, 1, vec![Some(2.0)])));
    }

    #[test]
    fn an_interval_longer_than_a_batch_makes_a_batch_of_one_slot() {
        let mut gather = Gather::new(7, 1, 60, 300);
        assert_eq!(add(&mut gather, 600, 1.0), [(600, 1, vec![Some(1.0)])]);
    }

    #[test]
    fn another_interval_begins_another_batch() {
        let mut gather = Gather::new(7, 1, 60, 5);
        add(&mut gather, 600, 1.0);
        assert_eq!(gather.set_interval(10).as_ref().map(shown), Some((600, 1, vec![Some(1.0)])));
        add(&mut gather, 610, 2.0);
        let batch = gather.take().unwrap();
        assert_eq!((batch.interval_s, batch.identity.seq), (10, 1));
    }

    #[test]
    fn values_that_no_batch_may_have_are_left_out() {
        let mut gather = Gather::new(7, 1, 60, 5);
        let values = [("a", f64::NAN), ("b", f64::INFINITY), ("c", 1e31), ("d", -1e31), ("e", 1e30)];
        gather.add(600, &values.map(|(metric, value)| reading(metric, "", value)));
        let batch = gather.take().unwrap();
        assert_eq!(batch.series.iter().map(|series| series.metric.as_str()).collect::<Vec<_>>(), ["e"]);
        assert!(batch.encode().is_ok());
    }

    #[test]
    fn series_are_bounded() {
        let mut gather = Gather::new(7, 1, 60, 5);
        let readings: Vec<_> = (0..MAX_SERIES + 9)
            .map(|label| Reading { metric: Cow::Borrowed("disk_free_bytes"), label: Cow::Owned(format!("/{label}")), value: 1.0 })
            .collect();
        gather.add(600, &readings);
        let batch = gather.take().unwrap();
        assert_eq!((batch.series.len(), batch.encode().is_ok()), (MAX_SERIES, true));
    }
}
