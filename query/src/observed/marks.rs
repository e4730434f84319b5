//! The columns `observed_servers`, `servers` and `open` of an answer's rows.

use super::{Observed, Watched};
use crate::TimeZone;
use std::ops::Range;

/// A day of a time zone has 23 to 25 hours: this long after its start, the next one has begun, milliseconds.
const INTO_NEXT_DAY_MS: u64 = 26 * 3_600_000;

/// What is known about a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The number of servers that observed all of it.
    pub(crate) observed_servers: u32,
    /// The number of servers that count in it.
    pub(crate) servers: u32,
    /// Whether reports about it can still be expected.
    pub(crate) open: bool,
}

/// The length of steps.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Length {
    /// Milliseconds.
    Even(u64),
    /// Days of a time zone.
    Day(TimeZone),
}

/// The marks of any steps.
pub(crate) struct Marks {
    observed: Observed,
    length: Length,
    /// The first and the last step are cut to this range, Unix milliseconds.
    within: Range<u64>,
    /// Whether each row is about one server.
    by_server: bool,
}

impl Marks {
    pub(crate) fn new(observed: Observed, length: Length, within: Range<u64>, by_server: bool) -> Self {
        Marks { observed, length, within, by_server }
    }

    /// The marks of rows, given the starts of their steps and, if they are about one server, its id.
    pub(crate) fn of(&self, starts_ms: &[i64], server_ids: Option<&[u32]>) -> Vec<Mark> {
        let start = |start_ms: &i64| u64::try_from(*start_ms).unwrap_or(0);
        if let (true, Some(server_ids)) = (self.by_server, server_ids) {
            let rows = starts_ms.iter().zip(server_ids);
            return rows.map(|(start_ms, id)| self.observed.mark_of_server(*id, &self.step(start(start_ms)))).collect();
        }
        // Many rows may share a few steps.
        let mut starts: Vec<u64> = starts_ms.iter().map(start).collect();
        starts.sort_unstable();
        starts.dedup();
        let steps: Vec<Range<u64>> = starts.iter().map(|start_ms| self.step(*start_ms)).collect();
        let marks = self.observed.marks(&steps);
        let mark = |start_ms: &i64| starts.binary_search(&start(start_ms)).ok().and_then(|at| marks.get(at)).copied();
        starts_ms.iter().map(|start_ms| mark(start_ms).unwrap_or_default()).collect()
    }

    fn step(&self, start_ms: u64) -> Range<u64> {
        let end_ms = match self.length {
            Length::Even(length_ms) => start_ms.saturating_add(length_ms),
            Length::Day(zone) => zone.start_of_day_ms(start_ms.saturating_add(INTO_NEXT_DAY_MS)),
        };
        start_ms.max(self.within.start)..end_ms.min(self.within.end)
    }
}

impl Observed {
    /// The mark of a step for one server.
    pub(super) fn mark_of_server(&self, server_id: u32, step: &Range<u64>) -> Mark {
        let late = step.end > self.due_ms;
        let Some(watched) = self.watched(server_id) else { return Mark { open: late, ..Mark::default() } };
        let counts = watched.counts_in(step);
        let observed = counts && watched.observed(step, self.due_ms);
        let reached = counts && watched.reach_ms >= step.end;
        Mark { observed_servers: observed.into(), servers: counts.into(), open: late && !reached }
    }

    /// The marks of steps for all servers together. The steps must be in ascending order without overlap. This takes time in
    /// proportion to steps plus spans, because each span contains consecutive steps.
    pub(super) fn marks(&self, steps: &[Range<u64>]) -> Vec<Mark> {
        // Steps from here on may be open.
        let closed = steps.partition_point(|step| step.end <= self.due_ms);
        let (mut counting, mut observing) = (Changes::new(steps.len()), Changes::new(steps.len()));
        let mut reached = vec![0u32; steps.len() - closed];
        for (_, watched) in &self.servers {
            watched.counts(steps, &mut counting);
            for span in watched.clear.iter() {
                let first = steps.partition_point(|step| step.start < span.start);
                let end = steps.partition_point(|step| step.end <= span.end).min(closed);
                observing.add(first..end);
            }
            // Few steps are this recent and reported.
            let late = steps.iter().enumerate().skip(closed);
            for (at, step) in late.take_while(|(_, step)| step.start < watched.reach_ms) {
                if watched.observed(step, self.due_ms) {
                    observing.add(at..at + 1);
                }
                if watched.reach_ms >= step.end
                    && watched.counts_in(step)
                    && let Some(count) = reached.get_mut(at - closed)
                {
                    *count += 1;
                }
            }
        }
        let marks = counting.sums().zip(observing.sums()).enumerate().map(|(at, (servers, observed_servers))| {
            let reached = at.checked_sub(closed).and_then(|at| reached.get(at));
            Mark { observed_servers, servers, open: reached.is_some_and(|reached| servers == 0 || *reached < servers) }
        });
        marks.collect()
    }
}

impl Watched {
    /// Counts the server once in each of its steps, however many of its spans overlap the step.
    fn counts(&self, steps: &[Range<u64>], counting: &mut Changes) {
        let outside = self.covered.iter().filter(|span| span.start < self.exists.start || span.end > self.exists.end);
        let stretches = std::iter::once(self.exists.clone()).chain(outside).filter(|stretch| !stretch.is_empty());
        let mut places: Vec<Range<usize>> = stretches
            .map(|of| {
                let first = steps.partition_point(|step| step.end <= of.start);
                first..steps.partition_point(|step| step.start < of.end)
            })
            .collect();
        places.sort_unstable_by_key(|places| places.start);
        let mut next = 0;
        for Range { start, end } in places {
            counting.add(start.max(next)..end);
            next = next.max(end);
        }
    }
}

/// A sequence of numbers, stored as the differences between neighbours.
struct Changes(Vec<i32>);

impl Changes {
    fn new(count: usize) -> Self {
        Changes(vec![0; count + 1])
    }

    /// Adds one in each of these places.
    fn add(&mut self, places: Range<usize>) {
        if places.start >= places.end {
            return;
        }
        for (place, change) in [(places.start, 1), (places.end, -1)] {
            if let Some(at) = self.0.get_mut(place) {
                *at += change;
            }
        }
    }

    fn sums(&self) -> impl Iterator<Item = u32> {
        let mut sum = 0i32;
        let count = self.0.len().saturating_sub(1);
        self.0.iter().take(count).map(move |change| {
            sum += change;
            u32::try_from(sum).unwrap_or(0)
        })
    }
}
