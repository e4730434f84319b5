//! Reading points: what is asked for, and what an answer is made of.

use crate::database::key::GROUP;
use crate::dns::value::Columns;
use crate::dns::walk::{Of, Sink, first_hour, read};
use crate::{Error, Level, Store};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use zonepulse_dns::MessageKind;

/// Which points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Of these servers, or of all.
    pub servers: Option<Vec<u32>>,
    /// Whose interval or bucket starts at this time or later, Unix seconds.
    pub from_s: u64,
    /// Whose interval or bucket starts before this time, Unix seconds.
    pub until_s: u64,
    /// Of these kinds.
    pub kinds: Kinds,
    /// Of these records, rising, or of all.
    pub records: Option<Vec<u32>>,
}

/// Which kinds of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kinds {
    /// Requests and responses.
    All,
    /// Responses with whatever code.
    Responses,
    /// These.
    Only(Vec<MessageKind>),
}

impl Kinds {
    pub(crate) fn includes(&self, kind: MessageKind) -> bool {
        match self {
            Kinds::All => true,
            Kinds::Responses => kind != MessageKind::REQUEST,
            Kinds::Only(kinds) => kinds.contains(&kind),
        }
    }
}

impl Selection {
    /// Every point of every server.
    pub fn all() -> Self {
        Selection { servers: None, from_s: 0, until_s: u64::MAX, kinds: Kinds::All, records: None }
    }

    pub(crate) fn includes_server(&self, server_id: u32) -> bool {
        self.servers.as_ref().is_none_or(|servers| servers.contains(&server_id))
    }

    /// The next server after this one that is asked for.
    pub(crate) fn server_after(&self, server_id: u32) -> Option<u32> {
        match &self.servers {
            None => server_id.checked_add(1),
            Some(servers) => servers.iter().copied().filter(|asked| *asked > server_id).min(),
        }
    }

    pub(crate) fn first_server(&self) -> u32 {
        self.servers.iter().flatten().copied().min().unwrap_or(0)
    }

    /// The group of the first record that is asked for.
    pub(crate) fn first_group(&self) -> u32 {
        self.records.iter().flatten().next().map_or(0, |record_id| record_id / GROUP)
    }
}

/// How to read points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Raw points, or the buckets of a roll-up.
    pub level: Level,
    /// The time, Unix seconds: what has expired by then is not there.
    pub now_s: u64,
    /// Whether last accesses are asked for; without them reading is cheaper,
    /// and the column is empty.
    pub last_access: bool,
}

/// Points of one server and one length of interval, within one hour, each
/// (start, record, kind) once. All columns have the same length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Points {
    /// The server.
    pub server_id: u32,
    /// Length of the interval, or of the roll-up's bucket, seconds.
    pub interval_s: u32,
    /// Start of the interval or bucket of each point, Unix seconds.
    pub starts_s: Vec<u64>,
    /// The record of each point.
    pub record_ids: Vec<u32>,
    /// The kind of each point.
    pub kinds: Vec<MessageKind>,
    /// The hits of each point.
    pub hits: Vec<u64>,
    /// The last access of each point, Unix milliseconds, as precisely as it is kept; empty when not asked for.
    pub last_ms: Vec<u64>,
}

impl Points {
    /// How many points.
    pub fn len(&self) -> usize {
        self.record_ids.len()
    }

    /// Whether there is none.
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

/// Points added up: those of one server, record, kind and stretch of time, as far as sums are split by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// When the stretch begins, Unix seconds; 0 where sums are not split by time.
    pub start_s: u64,
    /// The server; 0 where sums are not split by it.
    pub server_id: u32,
    /// The record; 0 where sums are not split by it.
    pub record_id: u32,
    /// Request, or response with its code, as far as sums are split by it.
    pub kind: MessageKind,
    /// How many messages.
    pub hits: u64,
    /// The last one's time, Unix milliseconds, as precisely as points keep it; 0 when not asked for.
    pub last_ms: u64,
}

/// What sums are split by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// By server.
    pub server: bool,
    /// By record.
    pub record: bool,
    /// By kind.
    pub kind: SplitKind,
    /// By stretches of so many seconds, aligned to the clock. Points lie in the one in which they begin.
    pub length_s: Option<u32>,
    /// So many seconds before multiples of their length stretches begin; the first one in 1970.
    pub shift_s: u32,
}

/// How far sums are split by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitKind {
    /// Not at all: every sum is said to be of requests.
    Together,
    /// Requests and responses, which are all said to have the first code.
    ByAction,
    /// Each kind.
    Each,
}

impl Split {
    /// By all that a point is of but its time.
    pub const WHOLE: Split = Split { server: true, record: true, kind: SplitKind::Each, length_s: None, shift_s: 0 };

    fn kind(self, kind: MessageKind) -> MessageKind {
        match self.kind {
            SplitKind::Together => MessageKind::REQUEST,
            SplitKind::ByAction if kind == MessageKind::REQUEST => kind,
            SplitKind::ByAction => MessageKind::from_number(1).unwrap_or(kind),
            SplitKind::Each => kind,
        }
    }

    /// Whether an hour lies in one stretch.
    fn has_whole_hours(self) -> bool {
        self.length_s.is_none_or(|length_s| length_s.is_multiple_of(3600) && self.shift_s.is_multiple_of(3600))
    }
}

/// About so many points are given at a time.
const CHUNK: usize = 8192;

impl Store {
    /// Calls `each` with points of one server and hour after another, ordered
    /// by hour, then server; within them in no certain order; never with none.
    /// Sees one consistent state of the store. Blocks the thread.
    pub fn scan(
        &self,
        reading: &Reading,
        selection: &Selection,
        each: &mut dyn FnMut(&Points) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut chunks = Chunks { points: Points::default(), each };
        if read(&self.inner, reading, selection, &mut chunks)?.is_continue() {
            // The last ones; nothing comes after them whatever is answered.
            let _ = chunks.give();
        }
        Ok(())
    }

    /// The start of the first hour, Unix seconds, in which [`Store::scan`] may find points.
    pub fn first_hour_s(&self, reading: &Reading, selection: &Selection) -> Result<Option<u64>, Error> {
        first_hour(&self.inner, reading, selection).map(|hour| hour.map(|hour| u64::from(hour) * 3600))
    }

    /// How many points [`Store::scan`] gives. Blocks the thread, but not for long: sealed hours
    /// that are selected whole are counted by what their values say of themselves.
    pub fn count(&self, reading: &Reading, selection: &Selection) -> Result<u64, Error> {
        let mut count = Count(0);
        // Counting never breaks.
        let _ = read(&self.inner, reading, selection, &mut count)?;
        Ok(count.0)
    }

    /// Calls `each` with the sums over the selected time, by server, kind and record. Whole hours
    /// are read from the roll-up of an hour, which says the same; what is read of an hour is of
    /// one moment. Blocks the thread.
    ///
    /// Before the points of each group of records `go_on` is told how many more bytes are held, and
    /// may end it; then `each` is not called at all.
    pub fn sums(
        &self,
        reading: &Reading,
        selection: &Selection,
        go_on: &mut dyn FnMut(usize) -> ControlFlow<()>,
        each: &mut dyn FnMut(Sum) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.sums_by(&[(*reading, selection.clone())], Split::WHOLE, go_on, each)
    }

    /// The same of several selections together, split by what is said; ordered by time, server, kind and record.
    pub fn sums_by(
        &self,
        of: &[(Reading, Selection)],
        split: Split,
        go_on: &mut dyn FnMut(usize) -> ControlFlow<()>,
        each: &mut dyn FnMut(Sum) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut sums = Sums::new(split, go_on);
        for (reading, selection) in of {
            sums.last_access = reading.last_access;
            let stretches = if split.has_whole_hours() {
                self.stretches(reading, selection)
            } else {
                vec![(reading.level, selection.from_s, selection.until_s)]
            };
            for (level, from_s, until_s) in stretches {
                let stretch = Selection { from_s, until_s, ..selection.clone() };
                if read(&self.inner, &Reading { level, ..*reading }, &stretch, &mut sums)?.is_break() {
                    return Ok(());
                }
            }
        }
        sums.give(each);
        Ok(())
    }

    /// Cuts the time of a sum into its whole hours, as far as nothing of them has expired at any level,
    /// and what lies before and after them.
    fn stretches(&self, reading: &Reading, selection: &Selection) -> Vec<(Level, u64, u64)> {
        let Selection { from_s, until_s, ref servers, .. } = *selection;
        let expiry = self.inner.expiry.read();
        let kept_s = [reading.level, Level::H1].map(|level| expiry.all_kept_from_s(servers.as_deref(), level, reading.now_s));
        let begin_s = kept_s.into_iter().fold(from_s, u64::max).checked_next_multiple_of(3600).unwrap_or(u64::MAX);
        let end_s = until_s - until_s % 3600;
        if begin_s >= end_s {
            return vec![(reading.level, from_s, until_s)];
        }
        let stretches = [(reading.level, from_s, begin_s), (Level::H1, begin_s, end_s), (reading.level, end_s, until_s)];
        // Nothing begins in the last hour that can be counted to.
        stretches.into_iter().filter(|(_, from_s, until_s)| from_s < until_s && *from_s < u64::MAX - 3600).collect()
    }
}

/// Counts points, without reading those that are selected by the whole part.
struct Count(u64);

impl Sink for Count {
    const HITS: bool = false;

    fn begin(&mut self, _: &Of) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn counted(&mut self, points: u64) -> bool {
        self.0 += points;
        true
    }

    fn record(&mut self, _: &Of, _: u32, slots: &[u16], _: &[u64], _: &[u32]) {
        self.0 += slots.len() as u64;
    }
}

/// Gathers points into columns.
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
    fn record(&mut self, of: &Of, record_id: u32, slots: &[u16], hits: &[u64], last_ms: &[u32]) {
        let points = &mut self.points;
        let count = points.record_ids.len() + slots.len();
        points.record_ids.resize(count, record_id);
        points.kinds.resize(count, of.kind);
        points.starts_s.extend(slots.iter().map(|slot| of.hour_s + u64::from(*slot) * u64::from(of.interval_s)));
        points.hits.extend_from_slice(hits);
        points.last_ms.extend(last_ms.iter().map(|last_ms| of.hour_s * 1000 + u64::from(*last_ms)));
    }
}

/// Adds points up.
struct Sums<'a> {
    split: Split,
    last_access: bool,
    /// Where in `groups` a group is.
    places: BTreeMap<GroupOf, usize>,
    groups: Vec<(GroupOf, Box<[Totalled]>)>,
    /// The group that was looked up last: an hour has mostly the same groups as the one before, in the same order.
    last: usize,
    /// What came last, since points come group by group: whose, and where the groups of its stretches are,
    /// from the one on in which its hour begins.
    at: Option<(u64, u32, MessageKind, u32)>,
    stretches: Vec<Option<usize>>,
    /// Bytes that were taken since `go_on` was told.
    more_bytes: usize,
    go_on: &'a mut dyn FnMut(usize) -> ControlFlow<()>,
}

/// Number of the stretch of time, server, kind, number of the group: 0 where sums are not split by it.
type GroupOf = (u64, u32, MessageKind, u32);

/// Hits and last access.
type Totalled = (u64, u64);

impl<'a> Sums<'a> {
    fn new(split: Split, go_on: &'a mut dyn FnMut(usize) -> ControlFlow<()>) -> Self {
        Sums {
            split,
            last_access: false,
            places: BTreeMap::new(),
            groups: Vec::new(),
            last: 0,
            at: None,
            stretches: Vec::new(),
            more_bytes: 0,
            go_on,
        }
    }

    /// The number of the stretch in which a time lies.
    fn stretch(&self, time_s: u64) -> u64 {
        let Split { length_s, shift_s, .. } = self.split;
        length_s.map_or(0, |length_s| time_s.saturating_add(u64::from(shift_s)) / u64::from(length_s.max(1)))
    }

    /// The sums of a group's records in a stretch.
    fn sums_of(&mut self, of: &Of, group: u32, stretch: u64) -> &mut [Totalled] {
        let whose = (of.hour_s, of.server_id, of.kind, group);
        if self.at != Some(whose) {
            self.at = Some(whose);
            self.stretches.clear();
        }
        let place = stretch.saturating_sub(self.stretch(of.hour_s)) as usize;
        if place >= self.stretches.len() {
            self.stretches.resize(place + 1, None);
        }
        let known = self.stretches.get(place).copied().flatten();
        let at = known.unwrap_or_else(|| {
            let at = self.found(of, group, stretch);
            if let Some(place) = self.stretches.get_mut(place) {
                *place = Some(at);
            }
            at
        });
        self.groups.get_mut(at).map(|(_, sums)| &mut **sums).unwrap_or_default()
    }

    fn found(&mut self, of: &Of, group: u32, stretch: u64) -> usize {
        let Split { server, record, .. } = self.split;
        let (server_id, group) = (if server { of.server_id } else { 0 }, if record { group } else { 0 });
        let whose = (stretch, server_id, self.split.kind(of.kind), group);
        let following = self.last + 1;
        self.last = match self.groups.get(following) {
            Some((known, _)) if *known == whose => following,
            _ => *self.places.entry(whose).or_insert_with(|| {
                let sums = vec![(0, 0); if record { GROUP as usize } else { 1 }].into_boxed_slice();
                self.more_bytes += size_of_val(&*sums) + 2 * size_of::<GroupOf>();
                self.groups.push((whose, sums));
                self.groups.len() - 1
            }),
        };
        self.last
    }

    fn give(&self, each: &mut dyn FnMut(Sum) -> ControlFlow<()>) {
        let (length_s, shift_s) = (self.split.length_s.map_or(0, u64::from), u64::from(self.split.shift_s));
        for ((stretch, server_id, kind, group), at) in &self.places {
            let sums = self.groups.get(*at).into_iter().flat_map(|(_, sums)| sums.iter());
            for (low, (hits, last_ms)) in (0u32..).zip(sums).filter(|(_, (hits, _))| *hits > 0) {
                let sum = Sum {
                    start_s: (stretch * length_s).saturating_sub(shift_s),
                    server_id: *server_id,
                    record_id: group * GROUP + low,
                    kind: *kind,
                    hits: *hits,
                    last_ms: *last_ms,
                };
                if each(sum).is_break() {
                    return;
                }
            }
        }
    }
}

impl Sink for Sums<'_> {
    fn begin(&mut self, _: &Of) -> ControlFlow<()> {
        (self.go_on)(std::mem::take(&mut self.more_bytes))
    }

    fn single(&mut self, of: &Of, group: u32) -> ControlFlow<(), Option<&mut [Totalled]>> {
        if self.last_access || !self.split.record || !self.split.has_whole_hours() {
            return ControlFlow::Continue(None);
        }
        self.begin(of)?;
        let stretch = self.stretch(of.hour_s);
        ControlFlow::Continue(Some(self.sums_of(of, group, stretch)))
    }

    /// Of the hours' roll-up every record has one point.
    fn part(&mut self, of: &Of, group: u32, columns: &Columns) -> bool {
        if columns.slots.len() != columns.lows.len() || !self.split.has_whole_hours() {
            return false;
        }
        let (record, last_access) = (self.split.record, self.last_access);
        let stretch = self.stretch(of.hour_s);
        let sums = self.sums_of(of, group, stretch);
        let hour_ms = of.hour_s * 1000;
        if record {
            for (low, hits) in columns.lows.iter().zip(&columns.hits) {
                if let Some((sum, _)) = sums.get_mut(usize::from(*low)) {
                    *sum = sum.saturating_add(*hits);
                }
            }
            if last_access {
                for (low, last_ms) in columns.lows.iter().zip(&columns.last_ms) {
                    if let Some((_, last)) = sums.get_mut(usize::from(*low)) {
                        *last = (*last).max(hour_ms + u64::from(*last_ms));
                    }
                }
            }
        } else if let Some((sum, last)) = sums.first_mut() {
            *sum = columns.hits.iter().fold(*sum, |sum, hits| sum.saturating_add(*hits));
            if let Some(last_ms) = columns.last_ms.iter().max().filter(|_| last_access) {
                *last = (*last).max(hour_ms + u64::from(*last_ms));
            }
        }
        true
    }

    #[inline]
    fn record(&mut self, of: &Of, record_id: u32, slots: &[u16], hits: &[u64], last_ms: &[u32]) {
        let (group, low) = (record_id / GROUP, if self.split.record { record_id % GROUP } else { 0 });
        let stretch_of = |slot: &u16| of.hour_s + u64::from(*slot) * u64::from(of.interval_s);
        let mut at = 0;
        while let Some(slot) = slots.get(at) {
            let stretch = self.stretch(stretch_of(slot));
            let end = if self.split.has_whole_hours() {
                slots.len()
            } else {
                let rest = slots.get(at..).unwrap_or_default();
                at + rest.iter().take_while(|slot| self.stretch(stretch_of(slot)) == stretch).count()
            };
            let last_access = self.last_access;
            if let Some((sum, last)) = self.sums_of(of, group, stretch).get_mut(low as usize) {
                *sum = hits.get(at..end).into_iter().flatten().fold(*sum, |sum, hits| sum.saturating_add(*hits));
                if last_access {
                    // Slots rise, and a last access lies in its slot.
                    let last_ms = last_ms.get(at..end).and_then(<[u32]>::last).copied().unwrap_or(0);
                    *last = (*last).max(of.hour_s * 1000 + u64::from(last_ms));
                }
            }
            at = end;
        }
    }
}
