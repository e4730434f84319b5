//! Frames in, batches out.
//!
//! A [`Meter`] observes frames and sums their hits interval by interval; the
//! intervals are aligned to the clock. A hit belongs to the interval of its own
//! time, whenever it is read, so several intervals may be open at once. One of
//! them is the **front**: the earliest whose coverage is not reported yet. It
//! closes a second after its end, by the wall clock when listening live, by the
//! frames' times in a replay, and the next becomes the front. What comes for an
//! interval behind the front is not lost: it makes another batch for that
//! interval, whose coverage is empty because it was reported before.
//!
//! Each open interval has a table of its own. The table of a new interval begins
//! with the records of the one before, without their sums, so that what was
//! counted goes on being counted (see [`crate::tally`]).
//!
//! Coverage is honest: when time jumps so far that the meter cannot have been
//! listening in between (the machine slept, or a capture was put together from
//! several), what lies between is not covered.

use crate::memory::Budget;
use crate::observe::{Frame, Hit, Observer, OwnQuestions, Scope, Sink};
use crate::tally::{Contents, Sum, Table};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use zonepulse_dns::RecordType;
use zonepulse_wire::{Batch, Counter, Counters, Coverage, Identity, Records, Row};

/// How to meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterSettings {
    /// The server that the batches are about.
    pub server_id: u32,
    /// The epoch of the batches.
    pub epoch: u64,
    /// Length of an interval, seconds, 1 to 3600.
    pub interval_s: u32,
    /// The server's endpoints.
    pub scope: Scope,
    /// How much memory it may take: the records of an interval, and the observer.
    pub budget: Budget,
    /// Where the frames' times come from.
    pub source: Source,
}

/// Where the frames come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A device, listened to since this time, Unix milliseconds: time goes on
    /// without frames, and an interval without any still gives a batch.
    Live {
        /// When listening began, Unix milliseconds.
        since_ms: u64,
    },
    /// dnstap: as a device, but it is listened to only while a server is connected.
    /// [`Meter::close_due`] says that one is, [`Meter::finish`] that none is any more,
    /// and so on. An interval without any gives no batch.
    Told,
    /// A capture: the frames are the clock, from the first to the last.
    Replay,
}

/// No batch has more records, whatever the settings say: with
/// [`MAX_NAME_OCTETS`] it stays within the bounds of the format.
pub const MAX_RECORDS: usize = 200_000;
/// No batch has longer names all in all, octets as in wire format.
pub const MAX_NAME_OCTETS: usize = 7 << 20;

/// How long after its end an interval closes: what the ring between kernel and
/// probe may hold back, and by how much frames may be out of order, milliseconds.
const GRACE_MS: u64 = 1000;
/// The same where servers tell: they write what they gathered once a second, or when it is much.
pub const TOLD_GRACE_MS: u64 = 3000;
/// How many intervals are open at once.
/// Each has a table of its own, which is a large part of the memory that the probe takes.
const MAX_OPEN: usize = 2;
/// A live meter that was not called for so long was not running, milliseconds.
const LIVE_PAUSE_MS: u64 = 60_000;
/// A capture without a frame for so many intervals was not going on.
const REPLAY_PAUSE_INTERVALS: u64 = 1440;
/// No clock is right that says it is later than this, Unix milliseconds: every interval that begins before ends
/// within the times of the format.
const LATEST_MS: u64 = (zonepulse_wire::END_OF_TIME_S - 2 * 3600) * 1000;

/// Sums hits interval by interval.
#[derive(Debug)]
pub struct Meter {
    observer: Observer,
    intervals: Intervals,
    live: bool,
}

impl Meter {
    /// A meter whose first batch has sequence number 0 in its epoch.
    pub fn new(settings: MeterSettings) -> Self {
        let observer = Observer::new(&settings.scope).within(settings.budget.observer_bytes);
        let since_ms = match settings.source {
            Source::Live { since_ms } => Some(since_ms),
            Source::Told | Source::Replay => None,
        };
        let live = settings.source != Source::Replay;
        Meter { observer, intervals: Intervals::new(&settings, since_ms), live }
    }

    /// The same, knowing what the probe itself asks: that is no hit.
    pub fn knowing(mut self, own: Arc<OwnQuestions>) -> Self {
        self.observer = self.observer.knowing(own);
        self
    }

    /// Reads a frame into the interval of its own time. In a replay this may close
    /// intervals: call [`Self::take_closed`] until it gives nothing.
    #[inline]
    pub fn frame(&mut self, frame: &Frame<'_>) {
        let time_ms = frame.time_ns / 1_000_000;
        if !self.live {
            self.intervals.advance(time_ms);
        }
        self.intervals.turn_to(time_ms);
        self.observer.frame(frame, &mut self.intervals);
    }

    /// Observes other endpoints from the next frame on.
    pub fn set_scope(&mut self, scope: &Scope) {
        self.observer.set_scope(scope);
    }

    /// Sums in intervals of another length from now on, Unix milliseconds. What is open is
    /// closed, covered until now; the next interval is the one that now is in, covered
    /// from now. Streams and fragments are kept, so no message is lost or counted twice.
    pub fn set_interval(&mut self, interval_s: u32, now_ms: u64) {
        self.intervals.set_interval(interval_s, now_ms);
    }

    /// The link types that are not read, and how many frames had them.
    pub fn unread_link_types(&self) -> &[(u32, u64)] {
        self.observer.unread_link_types()
    }

    /// How many frames had a link type that is not read.
    pub fn unread_frames(&self) -> u64 {
        self.observer.unread_frames()
    }

    /// The ports that are not watched with most of what looks like messages, and how many; the first few.
    pub fn other_ports(&self) -> Vec<(u16, u32)> {
        self.observer.other_ports()
    }

    /// The start of the earliest interval that was not closed, Unix milliseconds; unknown before the first.
    pub fn open_since_ms(&self) -> Option<u64> {
        self.intervals.front.map(|front| front.start_ms)
    }

    /// Adds to a counter of the newest interval.
    pub fn add(&mut self, counter: Counter, count: u64) {
        self.intervals.turn_to_now();
        self.intervals.add(counter, count);
    }

    /// Closes the intervals that ended a second before this time, Unix
    /// milliseconds. A live meter wants it several times a second; a replay has
    /// no use for it.
    pub fn close_due(&mut self, now_ms: u64) {
        if self.live {
            self.intervals.turn_to_now();
            self.observer.expire(now_ms.saturating_mul(1_000_000), &mut self.intervals);
            self.intervals.advance(now_ms);
        }
    }

    /// Closes everything: listening ended at this time, Unix milliseconds
    /// (a replay ends with its last frame, whatever is given).
    pub fn finish(&mut self, now_ms: u64) {
        if self.live && self.intervals.front.is_some() {
            self.intervals.advance(now_ms);
        }
        self.intervals.turn_to_now();
        self.observer.finish(&mut self.intervals);
        self.intervals.finish();
    }

    /// The next batch that is complete, oldest first.
    pub fn take_closed(&mut self) -> Option<Batch> {
        self.intervals.closed.pop_front()
    }
}

/// The open intervals, and the batches of the closed ones.
#[derive(Debug)]
struct Intervals {
    identity: Identity,
    interval_s: u32,
    interval_ms: u64,
    max_records: usize,
    max_name_octets: usize,
    pause_ms: u64,
    max_grace_ms: u64,
    /// At most [`MAX_OPEN`], in no order.
    open: Vec<Interval>,
    /// Which of them the last frame belonged to.
    current: usize,
    /// Unknown until the first frame of a replay.
    front: Option<Front>,
    closed: VecDeque<Batch>,
    /// The tables of closed intervals, and when those began: the newest remembers its
    /// records for the next interval.
    rested: Vec<(u64, Table)>,
    /// What was counted before there was any interval.
    early: Counters,
}

#[derive(Debug)]
struct Interval {
    start_ms: u64,
    table: Table,
    counts: [u64; Counter::NUMBERS],
}

/// How far coverage was reported.
#[derive(Debug, Clone, Copy)]
struct Front {
    /// The start of the earliest interval that was not closed.
    start_ms: u64,
    /// Since when it is covered.
    from_ms: u64,
    /// Until when listening is known to have gone on.
    alive_ms: u64,
}

impl Intervals {
    fn new(settings: &MeterSettings, since_ms: Option<u64>) -> Self {
        let interval_s = settings.interval_s.clamp(1, 3600);
        let interval_ms = u64::from(interval_s) * 1000;
        let mut intervals = Intervals {
            identity: Identity { server_id: settings.server_id, epoch: settings.epoch, seq: 0 },
            interval_s,
            interval_ms,
            max_records: settings.budget.max_records.min(MAX_RECORDS),
            max_name_octets: settings.budget.max_name_octets.min(MAX_NAME_OCTETS),
            pause_ms: if settings.source == Source::Replay { interval_ms * REPLAY_PAUSE_INTERVALS } else { LIVE_PAUSE_MS },
            max_grace_ms: if settings.source == Source::Told { TOLD_GRACE_MS } else { GRACE_MS },
            open: Vec::with_capacity(MAX_OPEN),
            current: 0,
            front: None,
            closed: VecDeque::new(),
            rested: Vec::new(),
            early: Counters::new(),
        };
        if let Some(since_ms) = since_ms {
            intervals.begin_front(since_ms.min(LATEST_MS));
        }
        intervals
    }

    fn set_interval(&mut self, interval_s: u32, now_ms: u64) {
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

    /// How long after its end an interval closes; not longer than the next one is.
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

    /// Time has come this far: closes what is due.
    #[inline]
    fn advance(&mut self, now_ms: u64) {
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
            // Past the last sign of life nothing is covered until now.
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

    /// Closes the front, which is covered until then, and everything behind it.
    fn close_front(&mut self, until_ms: u64) {
        let Some(front) = self.front else { return };
        let end_ms = front.start_ms + self.interval_ms;
        while let Some(at) = self.earliest(|start_ms| start_ms < front.start_ms) {
            self.close(at);
        }
        let table = match self.open.iter().position(|interval| interval.start_ms == front.start_ms) {
            Some(at) => self.open.swap_remove(at),
            // Time jumps to and fro, and no hit is in this interval.
            None if self.open.len() >= MAX_OPEN => self.begin(front.start_ms, Table::new(0, 0)),
            None => self.fresh(front.start_ms),
        };
        let from_ms = front.from_ms.min(end_ms);
        let coverage = Coverage { from_ms, until_ms: until_ms.clamp(from_ms, end_ms) };
        self.push_batch(table, coverage);
        self.front = Some(Front { start_ms: end_ms, from_ms: end_ms, ..front });
    }

    /// No frame will follow: closes all.
    fn finish(&mut self) {
        if let Some(front) = self.front {
            let until_ms = front.alive_ms + 1;
            self.close_fronts_until(until_ms);
            if self.front.is_some_and(|front| front.from_ms < until_ms) {
                self.close_front(until_ms);
            }
        }
        while let Some(at) = self.earliest(|_| true) {
            self.close(at);
        }
        self.front = None;
    }

    /// Which open interval starts first, of those whose start is asked for.
    fn earliest(&self, wanted: impl Fn(u64) -> bool) -> Option<usize> {
        let wanted = self.open.iter().enumerate().filter(|(_, interval)| wanted(interval.start_ms));
        wanted.min_by_key(|(_, interval)| interval.start_ms).map(|(at, _)| at)
    }

    /// Closes an interval whose coverage was reported before, or is unknown.
    fn close(&mut self, at: usize) {
        let interval = self.open.swap_remove(at);
        let nothing = Coverage { from_ms: interval.start_ms, until_ms: interval.start_ms };
        self.push_batch(interval, nothing);
    }

    /// Makes the interval of a time the current one, and opens it if need be.
    #[inline]
    fn turn_to(&mut self, time_ms: u64) {
        let is_current = self.open.get(self.current).is_some_and(|interval| self.contains(interval, time_ms));
        if !is_current {
            self.open(time_ms);
        }
    }

    fn turn_to_now(&mut self) {
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
        let table = self.next_table();
        self.begin(start_ms, table)
    }

    /// A table without sums that knows the records of the newest interval there was.
    fn next_table(&mut self) -> Table {
        let rested = self.rested.iter().enumerate().max_by_key(|(_, (start_ms, _))| *start_ms);
        let rested = rested.map(|(at, (start_ms, _))| (at, *start_ms));
        let open = self.open.iter_mut().max_by_key(|interval| interval.start_ms);
        match (rested, open) {
            (Some((at, start_ms)), open) if open.as_ref().is_none_or(|open| open.start_ms < start_ms) => {
                let (_, mut table) = self.rested.swap_remove(at);
                table.close_interval();
                table
            }
            (_, open) => {
                let unused = self.rested.pop().map(|(_, table)| table);
                let mut table = unused.unwrap_or_else(|| Table::new(self.max_records, self.max_name_octets));
                if let Some(open) = open {
                    table.follow(&mut open.table);
                }
                table
            }
        }
    }

    fn begin(&mut self, start_ms: u64, table: Table) -> Interval {
        let mut interval = Interval { start_ms, table, counts: [0; Counter::NUMBERS] };
        for (number, count) in std::mem::take(&mut self.early).iter() {
            interval.add(number, count);
        }
        interval
    }

    fn push_batch(&mut self, interval: Interval, coverage: Coverage) {
        let Interval { start_ms, mut table, counts } = interval;
        let contents = table.contents();
        let (records, rows) = rows(contents, start_ms);
        let mut counters = Counters::new();
        counters.add(Counter::MessagesFolded, contents.folded());
        counters.add(Counter::RecordsForgotten, contents.forgotten());
        for (number, count) in (0..).zip(counts) {
            counters.add_number(number, count);
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
            self.rested.push((start_ms, table));
        }
    }
}

impl Interval {
    #[inline]
    fn add(&mut self, number: u16, count: u64) {
        if let Some(sum) = self.counts.get_mut(usize::from(number)) {
            *sum = sum.saturating_add(count);
        }
    }

    #[inline]
    fn hit(&mut self, hit: &Hit<'_>) {
        self.add(Counter::MessagesSeen.number(), 1);
        self.table.add(hit);
    }
}

impl Sink for Intervals {
    #[inline]
    fn hit(&mut self, hit: &Hit<'_>) {
        // What a stream held back has the time when it came, not the frame's.
        self.turn_to(hit.time_ms);
        if let Some(interval) = self.open.get_mut(self.current) {
            interval.hit(hit);
        }
    }

    fn uncounted(&mut self, reason: Counter, time_ms: u64) {
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

/// A table as the records and rows of a batch.
fn rows(table: Contents<'_>, start_ms: u64) -> (Records, Vec<Row>) {
    let offset = |time_ms: u64| u32::try_from(time_ms.saturating_sub(start_ms)).unwrap_or(u32::MAX);
    let row = |record, (kind, sum): (_, Sum)| Row {
        record,
        kind,
        hits: sum.hits,
        first_ms: offset(sum.first_ms),
        last_ms: offset(sum.last_ms),
    };
    let mut records = Records::new();
    let mut rows = Vec::with_capacity(table.entries().count() * 2);
    let mut sums = BTreeMap::new();
    let mut name = String::new();
    for entry in table.entries() {
        name.clear();
        entry.push_name(&mut name);
        let record = records.push(&name, entry.record_type());
        sums.clear();
        sums.extend(entry.sums());
        rows.extend(sums.iter().map(|(kind, sum)| row(record, (*kind, *sum))));
    }
    for sums in table.other().chunk_by(|(one, ..), (other, ..)| one == other) {
        let Some((other, ..)) = sums.first() else { continue };
        name.clear();
        other.push_name(&mut name);
        let record = records.push(&name, RecordType::new(0));
        rows.extend(sums.iter().map(|(_, kind, sum)| row(record, (*kind, *sum))));
    }
    (records, rows)
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
