//! Sums of points.

use crate::database::key::{GROUP, group_of, low_of, record_in};
use crate::dns::selection::{Reading, Selection};
use crate::dns::sink::{Of, Sink, Unread};
use crate::dns::value::Columns;
use crate::dns::walk::read;
use crate::{Error, Level, Store};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use zonepulse_codec::Malformed;
use zonepulse_dns::{Action, MessageKind};
use zonepulse_model::{RecordId, ServerId};

/// The sum of the points of one server, record, kind and period, insofar as sums are split by these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Start of the period, in Unix seconds; `None` if sums are not split by time.
    pub start_s: Option<u64>,
    /// The server; `None` if sums are not split by server.
    pub server_id: Option<ServerId>,
    /// The record; `None` if sums are not split by record.
    pub record_id: Option<RecordId>,
    /// The messages counted, insofar as sums are split by kind.
    pub kind: SumKind,
    /// Number of messages.
    pub hits: u64,
    /// Time of the last message, in Unix milliseconds, as precisely as points keep it; `None` if not requested.
    pub last_ms: Option<u64>,
}

/// The messages counted in a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SumKind {
    /// All that was selected.
    Any,
    /// Requests.
    Requests,
    /// Responses with any code.
    Responses,
    /// What was served, in any class.
    Served,
    /// This kind.
    Only(MessageKind),
}

/// The dimensions by which sums are split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// By server.
    pub server: bool,
    /// By record.
    pub record: bool,
    /// By kind.
    pub kind: SplitKind,
    /// By periods of this many seconds, aligned to the clock. A point belongs to the period in which it begins.
    pub length_s: Option<u32>,
    /// Number of seconds by which periods start before multiples of their length; the first one starts in 1970.
    pub shift_s: u32,
}

/// How sums are split by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitKind {
    /// Not at all.
    Together,
    /// Requests, responses, and what was served.
    ByAction,
    /// Each kind.
    Each,
}

impl Split {
    /// By every dimension of a point except time.
    pub const WHOLE: Split = Split { server: true, record: true, kind: SplitKind::Each, length_s: None, shift_s: 0 };

    fn kind(self, kind: MessageKind) -> SumKind {
        match (self.kind, kind.action()) {
            (SplitKind::Together, _) => SumKind::Any,
            (SplitKind::ByAction, Some(Action::Request)) => SumKind::Requests,
            (SplitKind::ByAction, Some(Action::Response)) => SumKind::Responses,
            (SplitKind::ByAction, None) => SumKind::Served,
            (SplitKind::Each, _) => SumKind::Only(kind),
        }
    }

    /// Whether every hour lies within a single period.
    fn has_whole_hours(self) -> bool {
        self.length_s.is_none_or(|length_s| length_s.is_multiple_of(3600) && self.shift_s.is_multiple_of(3600))
    }
}

impl Store {
    /// Calls `each` with the sums over the selected time, by server, kind and record. Whole hours are read from the
    /// hourly roll-up, which yields the same result. Data for an hour is read at a single moment. Blocks the thread.
    ///
    /// Before the points of each group of records, `go_on` receives the number of additional bytes in use and may stop
    /// the operation, in which case `each` is never called.
    pub fn sums(
        &self,
        reading: &Reading,
        selection: &Selection,
        go_on: &mut dyn FnMut(usize) -> ControlFlow<()>,
        each: &mut dyn FnMut(Sum) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.sums_by(&[(*reading, selection.clone())], Split::WHOLE, go_on, each)
    }

    /// Like [`Store::sums`], but combines several selections and splits the sums as requested. Results are ordered by
    /// time, server, kind and record.
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
        sums.give(of.iter().any(|(reading, _)| reading.last_access), each);
        Ok(())
    }

    /// Divides the time range of a sum into its whole hours, provided that none of their data has expired at any level,
    /// and the ranges before and after them.
    fn stretches(&self, reading: &Reading, selection: &Selection) -> Vec<(Level, u64, u64)> {
        let Selection { from_s, until_s, ref servers, .. } = *selection;
        let expiry = self.inner.expiry.read();
        let kept_s = [reading.level, Level::H1].map(|level| expiry.all_kept_from_s(servers.as_ref(), level, reading.now_s));
        let begin_s = kept_s.into_iter().fold(from_s, u64::max).checked_next_multiple_of(3600).unwrap_or(u64::MAX);
        let end_s = until_s - until_s % 3600;
        if begin_s >= end_s {
            return vec![(reading.level, from_s, until_s)];
        }
        let stretches = [(reading.level, from_s, begin_s), (Level::H1, begin_s, end_s), (reading.level, end_s, until_s)];
        // Nothing can start in the last representable hour.
        stretches.into_iter().filter(|(_, from_s, until_s)| from_s < until_s && *from_s < u64::MAX - 3600).collect()
    }
}

/// Accumulates points into sums.
struct Sums<'a> {
    split: Split,
    last_access: bool,
    /// Index of each group in `groups`.
    places: BTreeMap<GroupOf, usize>,
    groups: Vec<(GroupOf, Box<[Totalled]>)>,
    /// The last group looked up: consecutive hours mostly have the same groups in the same order.
    last: usize,
    /// The most recent points, since points arrive group by group: their origin, and the indexes of the groups of their
    /// periods, starting with the period that contains the start of the hour.
    at: Option<(u64, ServerId, MessageKind, u32)>,
    stretches: Vec<Option<usize>>,
    /// Bytes allocated since the last call to `go_on`.
    more_bytes: usize,
    go_on: &'a mut dyn FnMut(usize) -> ControlFlow<()>,
}

/// Number of the period (the first if sums are not split by time), server, kind and number of the group, insofar
/// as sums are split by these.
type GroupOf = (u64, Option<ServerId>, SumKind, Option<u32>);

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

    /// Returns the number of the period that contains a time.
    fn stretch(&self, time_s: u64) -> u64 {
        let Split { length_s, shift_s, .. } = self.split;
        length_s.map_or(0, |length_s| time_s.saturating_add(u64::from(shift_s)) / u64::from(length_s.max(1)))
    }

    /// Returns the sums of a group's records in a period.
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
        let (server_id, group) = (server.then_some(of.server_id), record.then_some(group));
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

    /// Adds columns with one point per record, as in the hourly roll-up.
    fn add_columns(&mut self, of: &Of, group: u32, columns: &Columns) {
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
    }

    fn give(&self, last_access: bool, each: &mut dyn FnMut(Sum) -> ControlFlow<()>) {
        let shift_s = u64::from(self.split.shift_s);
        for ((stretch, server_id, kind, group), at) in &self.places {
            let sums = self.groups.get(*at).into_iter().flat_map(|(_, sums)| sums.iter());
            for (low, (hits, last_ms)) in (0u8..=u8::MAX).zip(sums).filter(|(_, (hits, _))| *hits > 0) {
                let sum = Sum {
                    start_s: self.split.length_s.map(|length_s| (stretch * u64::from(length_s)).saturating_sub(shift_s)),
                    server_id: *server_id,
                    record_id: group.map(|group| record_in(group, low)),
                    kind: *kind,
                    hits: *hits,
                    last_ms: last_access.then_some(*last_ms),
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

    fn sealed(&mut self, of: &Of, part: &mut Unread<'_>) -> Result<ControlFlow<(), bool>, Malformed> {
        if self.begin(of).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let whole_hours = self.split.has_whole_hours();
        if part.is_single() && whole_hours && self.split.record && !self.last_access {
            let stretch = self.stretch(of.hour_s);
            part.add_single(self.sums_of(of, part.group, stretch))?;
            return Ok(ControlFlow::Continue(true));
        }
        let group = part.group;
        let columns = part.read()?;
        if whole_hours && columns.slots.len() == columns.lows.len() {
            self.add_columns(of, group, columns);
        } else {
            for (low, range) in columns.records() {
                if let Some((slots, hits, last_ms)) = columns.points(range) {
                    self.record(of, record_in(group, low), slots, hits, last_ms);
                }
            }
        }
        Ok(ControlFlow::Continue(true))
    }

    #[inline]
    fn record(&mut self, of: &Of, record_id: RecordId, slots: &[u16], hits: &[u64], last_ms: &[u32]) {
        let (group, low) = (group_of(record_id), if self.split.record { low_of(record_id) } else { 0 });
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
            if let Some((sum, last)) = self.sums_of(of, group, stretch).get_mut(usize::from(low)) {
                *sum = hits.get(at..end).into_iter().flatten().fold(*sum, |sum, hits| sum.saturating_add(*hits));
                if last_access {
                    // Slots are in ascending order, and a last access lies in its slot.
                    let last_ms = last_ms.get(at..end).and_then(<[u32]>::last).copied().unwrap_or(0);
                    *last = (*last).max(of.hour_s * 1000 + u64::from(last_ms));
                }
            }
            at = end;
        }
    }
}
