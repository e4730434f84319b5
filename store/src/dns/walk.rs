//! The walk through sealed values and open blocks together.
//!
//! A result is always sealed ∪ open at a single moment. Both iterators are created while nothing can be sealed, so a
//! point that moves from one to the other is seen in exactly one of them, whatever happens afterwards.
//!
//! The walk proceeds by hour and server. Where there are only sealed values, they are passed on as they are read. Where
//! there are only open blocks and raw points are requested, blocks are passed on in order of their start. Otherwise the
//! open points are collected by groups of 256 records and merged with the sealed ones.

use crate::database::key::{from_group, group_of, low_of, record_in};
use crate::dns::block::{Row, Sections};
use crate::dns::cell::{self, Cell, Groups};
use crate::dns::selection::{Reading, Selection};
use crate::dns::sink::{Of, Sink, Unread};
use crate::dns::value::{self, Columns, Decoder, Part, Wanted};
use crate::engine::DNS;
use crate::engine::course::{Course, Here, Route};
use crate::{Error, Inner, Level, Precision};
use std::ops::{ControlFlow, Range};
use zonepulse_codec::Malformed;
use zonepulse_dns::MessageKind;
use zonepulse_model::{IdSet, RecordId};

/// Walks through all selected points.
pub(crate) fn read<S: Sink>(
    inner: &Inner,
    reading: &Reading,
    selection: &Selection,
    sink: &mut S,
) -> Result<ControlFlow<()>, Error> {
    if selection.from_s >= selection.until_s || selection.servers.as_ref().is_some_and(|servers| servers.is_empty()) {
        return Ok(ControlFlow::Continue(()));
    }
    inner.decoders.with(selection.records.as_deref(), |decoder| {
        let mut course = course(inner, reading, selection);
        let mut walk = Walk::new(inner.precision, reading, selection, decoder);
        while let Some(here) = course.next()? {
            let flow = match (here.sealed, reading.level) {
                (false, Level::Raw) => walk.by_start(&mut course, &here, sink)?,
                _ => walk.by_group(&mut course, &here, sink)?,
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// Returns the first hour that may contain selected points.
pub(crate) fn first_hour(inner: &Inner, reading: &Reading, selection: &Selection) -> Result<Option<u32>, Error> {
    let found = course(inner, reading, selection).next_pair()?;
    Ok(found.map(|((hour, _), ..)| hour))
}

fn course<'a>(inner: &'a Inner, reading: &Reading, selection: &Selection) -> Course<'a> {
    let route = Route {
        level: reading.level,
        now_s: reading.now_s,
        from_s: selection.from_s,
        until_s: selection.until_s,
        servers: selection.servers.as_ref(),
        first_group: selection.first_group(),
        leaps: selection.records.is_some(),
    };
    Course::new(inner, &inner.expiry.read(), &DNS, &route)
}

impl Here {
    /// Returns the slots that start within the time range.
    fn slots(&self, interval_s: u32) -> Range<u16> {
        let slot = |time_s: u64| (time_s.saturating_sub(self.hour_s)).div_ceil(u64::from(interval_s.max(1))) as u16;
        slot(self.times.start)..slot(self.times.end)
    }

    /// Whether the time range contains every slot of the hour.
    fn is_whole(&self, interval_s: u32) -> bool {
        let slots = self.slots(interval_s);
        slots.start == 0 && u32::from(slots.end) * interval_s >= 3600
    }

    fn of(&self, interval_s: u32, kind: MessageKind) -> Of {
        Of { server_id: self.pair.1, hour_s: self.hour_s, interval_s, kind }
    }
}

struct Walk<'a> {
    reading: Reading,
    selection: &'a Selection,
    precision: Precision,
    decoder: &'a mut Decoder,
    rows: Vec<Row>,
    /// The requested records of the group, if not all of them.
    lows: Vec<u8>,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    cells: Vec<Cell>,
    slots: Vec<u16>,
    hits: Vec<u64>,
    last_ms: Vec<u32>,
}

impl<'a> Walk<'a> {
    fn new(precision: Precision, reading: &Reading, selection: &'a Selection, decoder: &'a mut Decoder) -> Self {
        let (rows, lows) = (Vec::new(), Vec::new());
        Walk { reading: *reading, selection, precision, decoder, rows, lows, scratch: Scratch::default() }
    }

    fn wants_record(&self, record_id: RecordId) -> bool {
        self.selection.records.as_ref().is_none_or(|records| records.has(record_id))
    }

    /// Reads raw points from blocks, in order of their start. Blocks with the same start are merged.
    fn by_start<S: Sink>(&mut self, course: &mut Course<'_>, here: &Here, sink: &mut S) -> Result<ControlFlow<()>, Error> {
        let mut gathered: Vec<(u32, MessageKind, Row)> = Vec::new();
        let (mut blocks, mut start_s) = (0, here.times.start);
        course.seek_open(here.pair, here.times.start);
        loop {
            let next = course.open_start_s(here.pair)?.filter(|next| *next < here.times.end);
            if next != Some(start_s) {
                if give_rows(here, start_s, &mut gathered, blocks, self.reading.last_access, sink).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                blocks = 0;
            }
            let Some(next) = next else { return Ok(ControlFlow::Continue(())) };
            start_s = next;
            blocks += 1;
            self.each_section(course, start_s, |series, rows| {
                gathered.extend(rows.iter().map(|row| (series.0, series.1, *row)));
            })?;
            course.next_open();
        }
    }

    /// Reads the selected rows of the current block, by kind.
    fn each_section(
        &mut self,
        course: &Course<'_>,
        start_s: u64,
        mut each: impl FnMut((u32, MessageKind), &[Row]),
    ) -> Result<(), Error> {
        let Some((found, value)) = course.open_block() else { return Ok(()) };
        let damaged = |Malformed(what)| Error::damaged(what, found);
        let mut sections = Sections::new(value, start_s).map_err(damaged)?;
        let interval_s = sections.interval_s;
        while let Some(section) = sections.next().map_err(damaged)? {
            if !self.selection.kinds.includes(section.kind) {
                continue;
            }
            self.rows.clear();
            section.rows(&mut self.rows).map_err(damaged)?;
            if let Some(records) = &self.selection.records {
                self.rows.retain(|row| records.has(row.record_id));
            }
            // Blocks keep milliseconds for the totals; a result must not change when they are sealed.
            self.rows.iter_mut().for_each(|row| row.last_ms = self.precision.kept(row.last_ms));
            each((interval_s, section.kind), &self.rows);
        }
        Ok(())
    }

    /// Reads sealed values merged with open points, group by group.
    fn by_group<S: Sink>(&mut self, course: &mut Course<'_>, here: &Here, sink: &mut S) -> Result<ControlFlow<()>, Error> {
        let mut groups = if here.open { self.gather(course, here)? } else { Groups::new() };
        let selection = self.selection;
        let wanted = |group| selection.group_from(group);
        while let Some(group) = course.group(here.pair, wanted)? {
            let Some((found, value)) = course.value() else { break };
            let flow = self.value(here, group, value, &mut groups, sink);
            if flow.map_err(|Malformed(what)| Error::damaged(what, found))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if !course.leave(here.pair, group, wanted) {
                break;
            }
        }
        for ((group, (interval_s, kind)), mut cells) in groups {
            cell::arrange(&mut cells, &mut self.scratch.cells);
            let Some(kind) = MessageKind::from_number(kind) else { continue };
            if self.give_cells(here, &here.of(interval_s, kind), group, &cells, sink).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads the selected points of a sealed value, merged with any open points of the same series.
    fn value<S: Sink>(
        &mut self,
        here: &Here,
        group: u32,
        value: &[u8],
        groups: &mut Groups,
        sink: &mut S,
    ) -> Result<ControlFlow<()>, Malformed> {
        let lows = match &self.selection.records {
            None => None,
            Some(records) => {
                lows_of(records, group, &mut self.lows);
                Some(self.lows.as_slice())
            }
        };
        for part in value::parts(value)? {
            let part = part?;
            if !self.selection.kinds.includes(part.kind) {
                continue;
            }
            if let Some(cells) = groups.get_mut(&(group, part.series())) {
                self.decoder.read(&part, &Wanted { hits: true, last_access: true, lows })?;
                self.decoder.columns.cells(cells);
                continue;
            }
            let of = here.of(part.interval_s, part.kind);
            let wanted = Wanted { hits: S::HITS, last_access: self.reading.last_access, lows };
            if here.is_whole(part.interval_s) {
                match sink.sealed(&of, &mut Unread::new(group, &part, wanted, self.decoder))? {
                    ControlFlow::Continue(true) => continue,
                    ControlFlow::Continue(false) => {}
                    ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
                }
            }
            self.decoder.read(&part, &wanted)?;
            if give_columns(here, &part, group, &self.decoder.columns, sink).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Collects the open points into slots of the level.
    fn gather(&mut self, course: &mut Course<'_>, here: &Here) -> Result<Groups, Error> {
        let mut groups = Groups::new();
        let bucket_s = self.reading.level.bucket_s();
        // A bucket that begins within the time range is complete, even if some of its blocks begin after the range.
        let until_s = if bucket_s.is_some() { here.hour_s + 3600 } else { here.times.end };
        course.seek_open(here.pair, here.times.start);
        while let Some(start_s) = course.open_start_s(here.pair)?.filter(|start_s| *start_s < until_s) {
            self.each_section(course, start_s, |(interval_s, kind), rows| {
                let interval_s = bucket_s.unwrap_or(interval_s);
                let slot = ((start_s - here.hour_s) / u64::from(interval_s)) as u16;
                cell::gather(&mut groups, (interval_s, kind.number()), slot, here.hour_s * 1000, rows);
            })?;
            course.next_open();
        }
        Ok(groups)
    }

    fn give_cells<S: Sink>(&mut self, here: &Here, of: &Of, group: u32, cells: &[Cell], sink: &mut S) -> ControlFlow<()> {
        sink.begin(of)?;
        let wanted = here.slots(of.interval_s);
        for cells in cells.chunk_by(|a, b| a.low == b.low) {
            let record_id = record_in(group, cells.first().map_or(0, |cell| cell.low));
            if !self.wants_record(record_id) {
                continue;
            }
            let Scratch { slots, hits, last_ms, .. } = &mut self.scratch;
            slots.clear();
            hits.clear();
            last_ms.clear();
            for cell in cells.iter().filter(|cell| wanted.contains(&cell.slot)) {
                slots.push(cell.slot);
                hits.push(cell.hits);
                if self.reading.last_access {
                    last_ms.push(cell.last_ms);
                }
            }
            if !slots.is_empty() {
                sink.record(of, record_id, slots, hits, last_ms);
            }
        }
        ControlFlow::Continue(())
    }
}

/// Passes on the rows of one start, sorted and merged by record, with one [`Sink::begin`] for each interval length and
/// kind.
fn give_rows<S: Sink>(
    here: &Here,
    start_s: u64,
    rows: &mut Vec<(u32, MessageKind, Row)>,
    blocks: usize,
    last_access: bool,
    sink: &mut S,
) -> ControlFlow<()> {
    if blocks > 1 {
        rows.sort_unstable_by_key(|(interval_s, kind, row)| (*interval_s, *kind, row.record_id));
        rows.dedup_by(|later, kept| {
            let same = (later.0, later.1, later.2.record_id) == (kept.0, kept.1, kept.2.record_id);
            if same {
                kept.2.hits = kept.2.hits.saturating_add(later.2.hits);
                kept.2.last_ms = kept.2.last_ms.max(later.2.last_ms);
            }
            same
        });
    }
    for rows in rows.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let Some((interval_s, kind, _)) = rows.first() else { continue };
        let of = here.of(*interval_s, *kind);
        sink.begin(&of)?;
        let slot = ((start_s - here.hour_s) / u64::from((*interval_s).max(1))) as u16;
        for (_, _, row) in rows {
            let last_ms = [row.last_ms.saturating_sub(here.hour_s * 1000) as u32];
            sink.record(&of, row.record_id, &[slot], &[row.hits], if last_access { &last_ms } else { &[] });
        }
    }
    rows.clear();
    ControlFlow::Continue(())
}

/// Collects the low bytes of the records that belong to a group, in ascending order.
fn lows_of(records: &IdSet<RecordId>, group: u32, lows: &mut Vec<u8>) {
    lows.clear();
    let rest = from_group(records, group).iter();
    lows.extend(rest.take_while(|record_id| group_of(**record_id) == group).map(|record_id| low_of(*record_id)));
}

/// Passes on the selected points of a part.
fn give_columns<S: Sink>(here: &Here, part: &Part<'_>, group: u32, columns: &Columns, sink: &mut S) -> ControlFlow<()> {
    let of = here.of(part.interval_s, part.kind);
    sink.begin(&of)?;
    let wanted = here.slots(part.interval_s);
    let whole = here.is_whole(part.interval_s);
    for (low, mut range) in columns.records() {
        if !whole && let Some(slots) = columns.slots.get(range.clone()) {
            let begin = range.start + slots.partition_point(|slot| *slot < wanted.start);
            let end = range.start + slots.partition_point(|slot| *slot < wanted.end);
            range = begin..end.max(begin);
        }
        if let Some((slots, hits, last_ms)) = columns.points(range) {
            sink.record(&of, record_in(group, low), slots, hits, last_ms);
        }
    }
    ControlFlow::Continue(())
}
