//! Reading points in columns, and counting them.

use crate::dns::selection::{Reading, Selection};
use crate::dns::sink::{Of, Sink, Unread};
use crate::dns::walk::{first_hour, read};
use crate::{Error, Store};
use std::ops::ControlFlow;
use zonepulse_codec::Malformed;
use zonepulse_dns::MessageKind;
use zonepulse_model::{RecordId, ServerId};

/// Points of one server and one interval length within one hour, with each (start, record, kind) occurring once. All
/// columns have the same length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Points {
    /// The server.
    pub server_id: ServerId,
    /// Length of the interval or roll-up bucket, in seconds.
    pub interval_s: u32,
    /// Start of each point's interval or bucket, in Unix seconds.
    pub starts_s: Vec<u64>,
    /// The record of each point.
    pub record_ids: Vec<RecordId>,
    /// The kind of each point.
    pub kinds: Vec<MessageKind>,
    /// The hits of each point.
    pub hits: Vec<u64>,
    /// Last access of each point, in Unix milliseconds, as precisely as it is kept; empty if not requested.
    pub last_ms: Vec<u64>,
}

impl Points {
    /// Returns the number of points.
    pub fn len(&self) -> usize {
        self.record_ids.len()
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.record_ids.is_empty()
    }

    fn clear(&mut self) {
        self.starts_s.clear();
        self.record_ids.clear();
        self.kinds.clear();
        self.hits.clear();
        self.last_ms.clear();
    }
}

/// Approximate number of points per call.
const CHUNK: usize = 8192;

impl Store {
    /// Calls `each` with the points of one server and hour at a time, ordered by hour, then server. Within an hour and
    /// server, points are in no particular order. Never passes an empty set of points. Sees a consistent snapshot of
    /// the store. Blocks the thread.
    pub fn scan(
        &self,
        reading: &Reading,
        selection: &Selection,
        each: &mut dyn FnMut(&Points) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut chunks = Chunks { points: Points::default(), each };
        if read(&self.inner, reading, selection, &mut chunks)?.is_continue() {
            // This is the last chunk, so the result does not matter.
            let _ = chunks.give();
        }
        Ok(())
    }

    /// Returns the start of the first hour, in Unix seconds, in which [`Store::scan`] may find points.
    pub fn first_hour_s(&self, reading: &Reading, selection: &Selection) -> Result<Option<u64>, Error> {
        first_hour(&self.inner, reading, selection).map(|hour| hour.map(|hour| u64::from(hour) * 3600))
    }

    /// Returns the number of points that [`Store::scan`] yields. Blocks the thread, but only briefly: sealed hours that
    /// are selected as a whole are counted from the headers of their values.
    pub fn count(&self, reading: &Reading, selection: &Selection) -> Result<u64, Error> {
        let mut count = Count(0);
        // Counting never breaks.
        let _ = read(&self.inner, reading, selection, &mut count)?;
        Ok(count.0)
    }
}

/// Counts points without decoding parts that are selected as a whole.
struct Count(u64);

impl Sink for Count {
    const HITS: bool = false;

    fn begin(&mut self, _: &Of) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn sealed(&mut self, _: &Of, part: &mut Unread<'_>) -> Result<ControlFlow<(), bool>, Malformed> {
        let points = part.points()?;
        self.0 += points.unwrap_or(0);
        Ok(ControlFlow::Continue(points.is_some()))
    }

    fn record(&mut self, _: &Of, _: RecordId, slots: &[u16], _: &[u64], _: &[u32]) {
        self.0 += slots.len() as u64;
    }
}

/// Collects points into columns.
struct Chunks<'a> {
    points: Points,
    each: &'a mut dyn FnMut(&Points) -> ControlFlow<()>,
}

impl Chunks<'_> {
    fn give(&mut self) -> ControlFlow<()> {
        if self.points.is_empty() {
            return ControlFlow::Continue(());
        }
        let flow = (self.each)(&self.points);
        self.points.clear();
        flow
    }
}

impl Sink for Chunks<'_> {
    fn begin(&mut self, of: &Of) -> ControlFlow<()> {
        let points = &self.points;
        let same = (points.server_id, points.interval_s) == (of.server_id, of.interval_s);
        let hour = points.starts_s.first().map(|start_s| start_s / 3600 * 3600);
        if points.len() >= CHUNK || !same || hour.is_some_and(|hour_s| hour_s != of.hour_s) {
            self.give()?;
        }
        self.points.server_id = of.server_id;
        self.points.interval_s = of.interval_s;
        ControlFlow::Continue(())
    }

    #[inline]
    fn record(&mut self, of: &Of, record_id: RecordId, slots: &[u16], hits: &[u64], last_ms: &[u32]) {
        let points = &mut self.points;
        let count = points.record_ids.len() + slots.len();
        points.record_ids.resize(count, record_id);
        points.kinds.resize(count, of.kind);
        points.starts_s.extend(slots.iter().map(|slot| of.hour_s + u64::from(*slot) * u64::from(of.interval_s)));
        points.hits.extend_from_slice(hits);
        points.last_ms.extend(last_ms.iter().map(|last_ms| of.hour_s * 1000 + u64::from(*last_ms)));
    }
}
