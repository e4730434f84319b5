//! A meter's open intervals.

use super::drops::Drops;
use super::interval::{Interval, Tables, rows};
use super::{MeterSettings, Source, TOLD_GRACE_MS, UNDATED_MS};
use crate::clock::Step;
use crate::memory::{Budget, MAX_NAME_OCTETS, MAX_RECORDS};
use crate::observe::{Hit, Sink};
use crate::served::{Reader, Zones};
use crate::sight::{NOT_THE_SERVER_S, Totals};
use crate::times::LATEST_MS;
use std::collections::VecDeque;
use zonepulse_dns::MessageKind;
use zonepulse_model::{Identity, ServerId};
use zonepulse_wire::{Batch, Counter, Counters, Coverage};

/// How long after its end an interval closes, milliseconds. Covers frames held back in the ring
/// between kernel and probe, and frames out of order.
const GRACE_MS: u64 = 1000;
/// Maximum number of open intervals. Each has a table, which takes a large part of the probe's
/// memory.
const MAX_OPEN: usize = 2;
/// A live meter that was not called for this long was not running, milliseconds.
const LIVE_PAUSE_MS: u64 = 60_000;
/// A capture without a frame for this many intervals was interrupted.
const REPLAY_PAUSE_INTERVALS: u64 = 1440;

/// The open intervals, and the batches of closed ones.
#[derive(Debug)]
pub(super) struct Intervals {
    identity: Identity,
    interval_s: u32,
    interval_ms: u64,
    budget: Budget,
    /// Reads what responses served, if that is counted.
    served: Option<Reader>,
    pause_ms: u64,
    max_grace_ms: u64,
    /// At most [`MAX_OPEN`], in any order.
    open: Vec<Interval>,
    /// Index of the interval of the last frame.
    current: usize,
    /// Unknown until the first frame of a replay.
    front: Option<Front>,
    pub(super) closed: VecDeque<Batch>,
    /// Tables of closed intervals, with their start. The newest passes on its records to the next
    /// interval.
    rested: Vec<(u64, Tables)>,
    /// Counts from before the first interval.
    pub(super) early: Counters,
    drops: Drops,
    /// The counter for messages of the current frame, if its time is impossible.
    pub(super) refusing: Option<Counter>,
    /// Total messages so far.
    pub(super) totals: Totals,
}

/// How far coverage has been reported.
#[derive(Debug, Clone, Copy)]
struct Front {
    /// Start of the earliest open interval.
    start_ms: u64,
    /// Start of its coverage.
    from_ms: u64,
    /// The latest time at which observation is known to have been running.
    alive_ms: u64,
}

impl Intervals {
    pub(super) fn new(settings: &MeterSettings, since_ms: Option<u64>) -> Self {
        let interval_s = settings.interval_s.clamp(1, 3600);
        let interval_ms = u64::from(interval_s) * 1000;
        let mut intervals = Intervals {
            identity: Identity { server_id: ServerId::new(settings.server_id), epoch: settings.epoch, seq: 0 },
            interval_s,
            interval_ms,
            budget: Budget {
                max_records: settings.budget.max_records.min(MAX_RECORDS),
                max_name_octets: settings.budget.max_name_octets.min(MAX_NAME_OCTETS),
                ..settings.budget
            },
            served: settings.served.then(|| Reader::new(Zones::default())),
            pause_ms: match settings.source {
                Source::Replay(_) => interval_ms * REPLAY_PAUSE_INTERVALS,
                Source::Live { .. } | Source::Told => LIVE_PAUSE_MS,
            },
            max_grace_ms: if settings.source == Source::Told { TOLD_GRACE_MS } else { GRACE_MS },
            open: Vec::with_capacity(MAX_OPEN),
            current: 0,
            front: None,
            closed: VecDeque::new(),
            rested: Vec::new(),
            early: Counters::new(),
            drops: Drops::default(),
            refusing: None,
            totals: Totals::default(),
        };
        if let Some(since_ms) = since_ms {
            intervals.begin_front(since_ms.min(LATEST_MS));
        }
        intervals
    }

    pub(super) fn set_interval(&mut self, interval_s: u32, now_ms: u64) {
        let interval_s = interval_s.clamp(1, 3600);
        if interval_s == self.interval_s {
            return;
        }
        if self.front.is_some() {
            self.advance(now_ms);
        }
        let covered_until_ms = self.front.map(|front| front.alive_ms + 1);
        self.finish();
        self.interval_s = interval_s;
        self.interval_ms = u64::from(interval_s) * 1000;
        if let Some(until_ms) = covered_until_ms {
            self.begin_front(until_ms);
        }
    }

    /// Handles a step of the clock. The front continues if it contains the corrected time,
    /// otherwise a new one begins.
    pub(super) fn step(&mut self, Step { from_ms, to_ms }: Step) {
        if self.front.is_none() {
            return self.finish();
        }
        self.advance(from_ms);
        if self.shift_front(from_ms, to_ms) {
            return;
        }
        // Whatever was over by the old clock is over.
        self.close_fronts_until(self.now_ms());
        if self.shift_front(from_ms, to_ms) {
            return;
        }
        self.finish();
        self.rest_in_order();
        self.begin_front(to_ms.min(LATEST_MS));
    }

    /// Continues the front at another time in it, with coverage shifted accordingly; returns false
    /// if that is impossible.
    fn shift_front(&mut self, from_ms: u64, to_ms: u64) -> bool {
        let interval_ms = self.interval_ms;
        let Some(front) = &mut self.front else { return false };
        if !(front.start_ms..front.start_ms + interval_ms).contains(&to_ms) {
            return false;
        }
        let by_ms = to_ms.cast_signed().saturating_sub(from_ms.cast_signed());
        front.from_ms = front.from_ms.saturating_add_signed(by_ms).clamp(front.start_ms, to_ms);
        front.alive_ms = to_ms;
        true
    }

    /// Tables at rest are in chronological order; from now on, that of the new clock.
    fn rest_in_order(&mut self) {
        self.rested.sort_by_key(|(start_ms, _)| *start_ms);
        for (at, (start_ms, _)) in (0..).zip(&mut self.rested) {
            *start_ms = at;
        }
    }

    pub(super) fn set_served(&mut self, is_on: bool) {
        if is_on != self.served.is_some() {
            self.served = is_on.then(|| Reader::new(Zones::default()));
        }
    }

    pub(super) fn undate(&mut self, reached_ms: u64) {
        if self.front.is_some() {
            self.advance(reached_ms);
        }
        self.finish();
        self.rest_in_order();
    }

    pub(super) fn date(&mut self, now_ms: u64) {
        let start_ms = self.start_of(now_ms.min(LATEST_MS));
        for interval in self.open.iter_mut().filter(|interval| interval.start_ms == UNDATED_MS) {
            interval.start_ms = start_ms;
        }
    }

    pub(super) fn give_up_undated(&mut self) -> u64 {
        let mut hits = 0;
        while let Some(at) = self.earliest(|start_ms| start_ms == UNDATED_MS) {
            let mut interval = self.open.swap_remove(at);
            hits += interval.hits();
        }
        hits
    }

    /// The time reached, Unix milliseconds.
    pub(super) fn now_ms(&self) -> u64 {
        self.front.map_or(UNDATED_MS, |front| front.alive_ms)
    }

    /// Start of the earliest open interval, Unix milliseconds.
    pub(super) fn front_start_ms(&self) -> Option<u64> {
        self.front.map(|front| front.start_ms)
    }

    /// How long after its end an interval closes, at most the length of the next.
    fn grace_ms(&self) -> u64 {
        self.max_grace_ms.min(self.interval_ms)
    }

    fn start_of(&self, time_ms: u64) -> u64 {
        time_ms - time_ms % self.interval_ms
    }

    fn begin_front(&mut self, from_ms: u64) -> Front {
        let front = Front { start_ms: self.start_of(from_ms), from_ms, alive_ms: from_ms };
        self.front = Some(front);
        front
    }

    /// Advances the time, and closes what is due.
    #[inline]
    pub(super) fn advance(&mut self, now_ms: u64) {
        let now_ms = now_ms.min(LATEST_MS);
        let wait_ms = self.interval_ms + self.grace_ms();
        match &mut self.front {
            Some(front) if now_ms < front.start_ms + wait_ms && now_ms <= front.alive_ms + self.pause_ms => {
                front.alive_ms = front.alive_ms.max(now_ms);
            }
            _ => self.close_due(now_ms),
        }
    }

    #[cold]
    fn close_due(&mut self, now_ms: u64) {
        let mut front = self.front.unwrap_or_else(|| self.begin_front(now_ms));
        if now_ms > front.alive_ms.saturating_add(self.pause_ms) {
            // Nothing is covered between the last sign of activity and now.
            self.close_fronts_until(front.alive_ms + 1);
            if let Some(front) = self.front {
                self.close_front(front.alive_ms + 1);
            }
            front = self.begin_front(now_ms);
        }
        self.front = Some(Front { alive_ms: front.alive_ms.max(now_ms), ..front });
        self.close_fronts_until(now_ms.saturating_sub(self.grace_ms()));
    }

    /// Closes every front that ends by this time.
    fn close_fronts_until(&mut self, time_ms: u64) {
        while let Some(front) = self.front
            && front.start_ms + self.interval_ms <= time_ms
        {
            self.close_front(front.start_ms + self.interval_ms);
        }
    }

    /// Closes the front, covered until then, and everything behind it.
    fn close_front(&mut self, until_ms: u64) {
        let Some(front) = self.front else { return };
        let end_ms = front.start_ms + self.interval_ms;
        while let Some(at) = self.earliest(|start_ms| start_ms < front.start_ms) {
            self.close(at);
        }
        let table = match self.open.iter().position(|interval| interval.start_ms == front.start_ms) {
            Some(at) => self.open.swap_remove(at),
            // Time jumps back and forth, and this interval has no hits.
            None if self.open.len() >= MAX_OPEN => self.begin(front.start_ms, Tables::none()),
            None => self.fresh(front.start_ms),
        };
        let from_ms = front.from_ms.min(end_ms);
        let coverage = Coverage { from_ms, until_ms: until_ms.clamp(from_ms, end_ms) };
        self.push_batch(table, coverage);
        self.front = Some(Front { start_ms: end_ms, from_ms: end_ms, ..front });
    }

    /// Closes everything; no more frames will follow.
    pub(super) fn finish(&mut self) {
        if let Some(front) = self.front {
            self.drops.end_at(front.alive_ms);
            let until_ms = front.alive_ms + 1;
            self.close_fronts_until(until_ms);
            if self.front.is_some_and(|front| front.from_ms < until_ms) {
                self.close_front(until_ms);
            }
        }
        while let Some(at) = self.earliest(|_| true) {
            self.close(at);
        }
        for (counter, count) in self.drops.take_rest() {
            self.early.add(counter, count);
        }
        self.front = None;
    }

    /// The earliest open interval whose start satisfies the condition.
    fn earliest(&self, wanted: impl Fn(u64) -> bool) -> Option<usize> {
        let wanted = self.open.iter().enumerate().filter(|(_, interval)| wanted(interval.start_ms));
        wanted.min_by_key(|(_, interval)| interval.start_ms).map(|(at, _)| at)
    }

    /// Closes an interval whose coverage was already reported, or is unknown.
    fn close(&mut self, at: usize) {
        let interval = self.open.swap_remove(at);
        let nothing = Coverage { from_ms: interval.start_ms, until_ms: interval.start_ms };
        self.push_batch(interval, nothing);
    }

    /// Makes the interval of this time the current one, opening it if necessary.
    #[inline]
    pub(super) fn turn_to(&mut self, time_ms: u64) {
        let is_current = self.open.get(self.current).is_some_and(|interval| self.contains(interval, time_ms));
        if !is_current {
            self.open(time_ms);
        }
    }

    /// Notes packets that were dropped between these times, Unix milliseconds.
    pub(super) fn dropped(&mut self, counter: Counter, count: u64, from_ms: u64, until_ms: u64) {
        self.drops.note(counter, count, from_ms, until_ms, self.interval_ms);
    }

    pub(super) fn turn_to_now(&mut self) {
        if let Some(front) = self.front {
            self.turn_to(front.alive_ms);
        }
    }

    #[inline]
    fn contains(&self, interval: &Interval, time_ms: u64) -> bool {
        time_ms.wrapping_sub(interval.start_ms) < self.interval_ms
    }

    #[cold]
    fn open(&mut self, time_ms: u64) {
        if let Some(at) = self.open.iter().position(|interval| self.contains(interval, time_ms)) {
            self.current = at;
            return;
        }
        if self.open.len() >= MAX_OPEN
            && let Some(at) = self.earliest(|_| true)
        {
            self.close(at);
        }
        let interval = self.fresh(self.start_of(time_ms));
        self.current = self.open.len();
        self.open.push(interval);
    }

    fn fresh(&mut self, start_ms: u64) -> Interval {
        let tables = self.next_tables();
        self.begin(start_ms, tables)
    }

    /// Tables without counts, with the records of the newest interval so far.
    fn next_tables(&mut self) -> Tables {
        let rested = self.rested.iter().enumerate().max_by_key(|(_, (start_ms, _))| *start_ms);
        let rested = rested.map(|(at, (start_ms, _))| (at, *start_ms));
        let open = self.open.iter_mut().max_by_key(|interval| interval.start_ms);
        match (rested, open) {
            (Some((at, start_ms)), open) if open.as_ref().is_none_or(|open| open.start_ms < start_ms) => {
                let (_, mut tables) = self.rested.swap_remove(at);
                tables.close_interval();
                tables
            }
            (_, open) => {
                let unused = self.rested.pop().map(|(_, tables)| tables);
                let mut tables = unused.unwrap_or_else(|| Tables::new(&self.budget));
                if let Some(open) = open {
                    tables.follow(&mut open.tables);
                }
                tables
            }
        }
    }

    fn begin(&mut self, start_ms: u64, tables: Tables) -> Interval {
        let mut interval = Interval { start_ms, tables, counts: [0; Counter::NUMBERS] };
        for (number, count) in std::mem::take(&mut self.early).iter() {
            interval.add(number, count);
        }
        interval
    }

    fn push_batch(&mut self, interval: Interval, coverage: Coverage) {
        let Interval { start_ms, mut tables, counts } = interval;
        let (hits, served) = (tables.hits.contents(), tables.served.contents());
        let (records, rows) = rows(hits, served, start_ms);
        let mut counters = Counters::new();
        counters.add(Counter::MessagesFolded, hits.folded());
        counters.add(Counter::RecordsForgotten, hits.forgotten());
        counters.add(Counter::ServedFolded, served.folded());
        for (number, count) in (0..).zip(counts) {
            counters.add_number(number, count);
        }
        for (counter, count) in self.drops.take(start_ms, self.interval_ms) {
            counters.add(counter, count);
        }
        let interval_s = self.interval_s;
        let start_s = start_ms / 1000;
        self.closed.push_back(Batch {
            identity: self.identity,
            start_s,
            interval_s,
            coverage,
            counters,
            evicted: None,
            records,
            rows,
        });
        self.identity.seq += 1;
        if self.open.len() + self.rested.len() < MAX_OPEN {
            self.rested.push((start_ms, tables));
        }
    }
}

impl Intervals {
    /// Counts a message without a possible time in the current interval, or as early if there is
    /// none.
    #[cold]
    fn count_refused(&mut self, reason: Counter) {
        self.add(Counter::MessagesSeen, 1);
        self.add(reason, 1);
    }
}

impl Sink for Intervals {
    #[inline]
    fn hit(&mut self, hit: &Hit<'_>) {
        if let Some(reason) = self.refusing {
            return self.count_refused(reason);
        }
        let direction = if hit.kind == MessageKind::REQUEST { &mut self.totals.requests } else { &mut self.totals.responses };
        *direction += 1;
        // A message held back in a stream has the time when it arrived, not the frame's.
        self.turn_to(hit.time_ms);
        if let Some(interval) = self.open.get_mut(self.current) {
            interval.hit(hit);
            if let Some(reader) = &mut self.served {
                interval.served(hit, reader);
            }
        }
    }

    fn uncounted(&mut self, reason: Counter, time_ms: u64) {
        if self.refusing.is_some() {
            return self.count_refused(reason);
        }
        self.totals.others += u64::from(!NOT_THE_SERVER_S.contains(&reason));
        self.turn_to(time_ms);
        self.add(Counter::MessagesSeen, 1);
        self.add(reason, 1);
    }

    #[inline]
    fn add(&mut self, counter: Counter, count: u64) {
        match self.open.get_mut(self.current) {
            Some(interval) => interval.add(counter.number(), count),
            None => self.early.add(counter, count),
        }
    }
}
