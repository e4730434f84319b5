//! The walk through sealed values and open blocks together.
//!
//! An answer is always sealed ∪ open. Both are looked at as of one moment:
//! their iterators are made while nothing can be sealed, so that a point that
//! moves from one to the other is seen in one of them, whatever happens after.
//!
//! The walk goes by hour and server. Where only sealed values are, they are
//! given on as they are read. Where only open blocks are and raw points are
//! asked for, blocks are given on start by start. Otherwise the open points
//! are gathered by groups of 256 records and put together with the sealed ones.

use crate::database::key::{self, GROUP};
use crate::dns::block::{Row, Sections};
use crate::dns::cell::{self, Cell, Groups};
use crate::dns::selection::{Reading, Selection};
use crate::dns::sink::{Of, Sink};
use crate::dns::value::{self, Columns, Decoder, Part, Wanted};
use crate::retention::Expiry;
use crate::{Error, Inner, Level, Precision};
use rocksdb::DBRawIterator;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use zonepulse_codec::Malformed;
use zonepulse_dns::MessageKind;

/// The pair that a walk is at.
type Pair = (u32, u32);

/// Walks through everything that is selected.
pub(crate) fn read<S: Sink>(
    inner: &Inner,
    reading: &Reading,
    selection: &Selection,
    sink: &mut S,
) -> Result<ControlFlow<()>, Error> {
    if selection.from_s >= selection.until_s || selection.servers.as_ref().is_some_and(Vec::is_empty) {
        return Ok(ControlFlow::Continue(()));
    }
    inner.decoders.with(selection.records.as_deref(), |decoder| walk(Walk::new(inner, reading, selection, decoder)?, sink))
}

fn walk<S: Sink>(mut walk: Walk<'_>, sink: &mut S) -> Result<ControlFlow<()>, Error> {
    let (reading, selection) = (walk.reading, walk.selection);
    let mut begun = false;
    while let Some((pair, sealed, open)) = walk.next_pair(begun)? {
        begun = true;
        let (hour, server_id) = pair;
        let hour_s = u64::from(hour) * 3600;
        let from_s = selection.from_s.max(walk.expiry.kept_from_s(server_id, reading.level, reading.now_s)).max(hour_s);
        let until_s = selection.until_s.min(hour_s + 3600);
        if from_s < until_s {
            let here = Here { pair, hour_s, times: from_s..until_s };
            let flow = match (sealed, open, reading.level) {
                (false, true, Level::Raw) => walk.by_start(&here, sink)?,
                (_, open, _) => walk.by_group(&here, open, sink)?,
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
    }
    walk.sealed.status()?;
    Ok(ControlFlow::Continue(()))
}

/// The first hour in which there may be something that is selected.
pub(crate) fn first_hour(inner: &Inner, reading: &Reading, selection: &Selection) -> Result<Option<u32>, Error> {
    let found = inner.decoders.with(None, |decoder| Walk::new(inner, reading, selection, decoder)?.next_pair(false))?;
    Ok(found.map(|((hour, _), ..)| hour))
}

/// An hour and server, and which part of it.
struct Here {
    pair: Pair,
    hour_s: u64,
    times: Range<u64>,
}

impl Here {
    /// The slots whose start lies in the times.
    fn slots(&self, interval_s: u32) -> Range<u16> {
        let slot = |time_s: u64| (time_s.saturating_sub(self.hour_s)).div_ceil(u64::from(interval_s.max(1))) as u16;
        slot(self.times.start)..slot(self.times.end)
    }

    /// Whether the times have every slot of the hour.
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
    until_hour: u32,
    expiry: Arc<Expiry>,
    sealed: DBRawIterator<'a>,
    /// None where nothing that is selected can be open.
    open: Option<DBRawIterator<'a>>,
    /// Hours and servers with open blocks, the next one last.
    waiting: Vec<Pair>,
    last: Option<Pair>,
    precision: Precision,
    decoder: &'a mut Decoder,
    rows: Vec<Row>,
    /// Which records of the group are wanted, where not all are.
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
    fn new(inner: &'a Inner, reading: &Reading, selection: &'a Selection, decoder: &'a mut Decoder) -> Result<Self, Error> {
        // Nothing is sealed or dropped while this is held.
        let expiry = inner.expiry.read();
        let mut sealed = match &selection.records {
            Some(_) => inner.database.leaping_iterator(key::SEALED),
            None => inner.database.iterator(key::SEALED),
        };
        let from_s = selection.from_s.max(expiry.earliest_s(reading.level, reading.now_s));
        let until_hour = key::hour(selection.until_s.saturating_sub(1)).saturating_add(1);
        let wanted = inner
            .waiting
            .lock()
            .within(key::hour(from_s)..until_hour)
            .filter(|pair| selection.includes_server(pair.1))
            .collect::<Vec<_>>();
        let open = (!wanted.is_empty()).then(|| inner.database.iterator(key::OPEN));
        let expiry = expiry.clone();
        sealed.seek(key::sealed(reading.level, key::hour(from_s), selection.first_server(), selection.first_group()));
        Ok(Walk {
            reading: *reading,
            selection,
            until_hour,
            expiry,
            sealed,
            open,
            waiting: wanted.into_iter().rev().collect(),
            last: None,
            precision: inner.precision,
            decoder,
            rows: Vec::new(),
            lows: Vec::new(),
            scratch: Scratch::default(),
        })
    }

    /// The next hour and server with points, and whether sealed and open ones are there.
    fn next_pair(&mut self, begun: bool) -> Result<Option<(Pair, bool, bool)>, Error> {
        if begun && let Some((hour, server_id)) = self.last {
            // What the last pair left unread.
            if self.sealed_pair()?.is_some_and(|pair| pair <= (hour, server_id)) {
                self.seek_after(hour, server_id);
            }
        }
        let sealed = loop {
            match self.sealed_pair()? {
                Some((hour, server_id)) if !self.selection.includes_server(server_id) => self.seek_after(hour, server_id),
                found => break found,
            }
        };
        let open = self.waiting.last().copied();
        let next = match (sealed, open) {
            (None, None) => return Ok(None),
            (Some(sealed), Some(open)) => sealed.min(open),
            (found, None) | (None, found) => found.unwrap_or_default(),
        };
        if open == Some(next) {
            self.waiting.pop();
        }
        self.last = Some(next);
        Ok(Some((next, sealed == Some(next), open == Some(next))))
    }

    /// The hour and server that the sealed iterator is at.
    fn sealed_pair(&self) -> Result<Option<Pair>, Error> {
        let Some(found) = self.sealed.key() else { return Ok(None) };
        let (level, hour, server_id, _) = key::parse_sealed(found).ok_or_else(|| Error::damaged("sealed value", found))?;
        Ok((level == self.reading.level && hour < self.until_hour).then_some((hour, server_id)))
    }

    /// Goes on at the next server that is asked for.
    fn seek_after(&mut self, hour: u32, server_id: u32) {
        let (hour, server_id) = match self.selection.server_after(server_id) {
            Some(next) => (hour, next),
            None => (hour.saturating_add(1), self.selection.first_server()),
        };
        self.sealed.seek(key::sealed(self.reading.level, hour, server_id, self.selection.first_group()));
    }

    fn wants_record(&self, record_id: u32) -> bool {
        self.selection.records.as_ref().is_none_or(|records| records.binary_search(&record_id).is_ok())
    }

    /// Raw points of blocks, start by start; several blocks of one start are merged.
    fn by_start<S: Sink>(&mut self, here: &Here, sink: &mut S) -> Result<ControlFlow<()>, Error> {
        let (hour, server_id) = here.pair;
        let mut gathered: Vec<(u32, MessageKind, Row)> = Vec::new();
        let (mut blocks, mut start_s) = (0, here.times.start);
        self.seek_open(&key::open_prefix(hour, server_id, here.times.start));
        loop {
            let next = self.open_block(here, here.times.end)?;
            if next != Some(start_s) {
                if give_rows(here, start_s, &mut gathered, blocks, self.reading.last_access, sink).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                blocks = 0;
            }
            let Some(next) = next else { return Ok(ControlFlow::Continue(())) };
            start_s = next;
            blocks += 1;
            self.each_section(start_s, |series, rows| {
                gathered.extend(rows.iter().map(|row| (series.0, series.1, *row)));
            })?;
            self.next_open();
        }
    }

    fn seek_open(&mut self, from: &[u8]) {
        if let Some(open) = &mut self.open {
            open.seek(from);
        }
    }

    fn next_open(&mut self) {
        if let Some(open) = &mut self.open {
            open.next();
        }
    }

    /// The start of the block that the open iterator is at, while it belongs here and begins before `until_s`.
    fn open_block(&self, here: &Here, until_s: u64) -> Result<Option<u64>, Error> {
        let Some(open) = &self.open else { return Ok(None) };
        let Some(found) = open.key() else {
            open.status()?;
            return Ok(None);
        };
        let (hour, identity, start_s) = key::parse_open(found).ok_or_else(|| Error::damaged("block", found))?;
        Ok(((hour, identity.server_id) == here.pair && start_s < until_s).then_some(start_s))
    }

    /// The selected rows of the block that the open iterator is at, kind by kind.
    fn each_section(&mut self, start_s: u64, mut each: impl FnMut((u32, MessageKind), &[Row])) -> Result<(), Error> {
        let Some((found, value)) = self.open.as_ref().and_then(DBRawIterator::item) else { return Ok(()) };
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
                self.rows.retain(|row| records.binary_search(&row.record_id).is_ok());
            }
            // Blocks have the millisecond, for the totals; an answer must not change when they are sealed.
            self.rows.iter_mut().for_each(|row| row.last_ms = self.precision.kept(row.last_ms));
            each((interval_s, section.kind), &self.rows);
        }
        Ok(())
    }

    /// Sealed values, together with what is open, group by group.
    fn by_group<S: Sink>(&mut self, here: &Here, open: bool, sink: &mut S) -> Result<ControlFlow<()>, Error> {
        let mut groups = if open { self.gather(here)? } else { Groups::new() };
        let (hour, server_id) = here.pair;
        while self.sealed_pair()? == Some(here.pair) {
            let Some((found, value)) = self.sealed.item() else { break };
            let group = key::parse_sealed(found).map_or(0, |(.., group)| group);
            match self.wanted_group(group) {
                Some(next) if next == group => {}
                Some(next) => {
                    self.sealed.seek(key::sealed(self.reading.level, hour, server_id, next));
                    continue;
                }
                None => break,
            }
            let lows = match &self.selection.records {
                None => None,
                Some(records) => {
                    lows_of(records, group, &mut self.lows);
                    Some(self.lows.as_slice())
                }
            };
            let damaged = |Malformed(what)| Error::damaged(what, found);
            for part in value::parts(value).map_err(damaged)? {
                let part = part.map_err(damaged)?;
                if !self.selection.kinds.includes(part.kind) {
                    continue;
                }
                let opened = groups.get_mut(&(group, part.series()));
                let whole = opened.is_none() && self.selection.records.is_none() && here.is_whole(part.interval_s);
                if whole && sink.counted(part.points().map_err(damaged)?) {
                    continue;
                }
                if whole && part.interval_s == 3600 {
                    match sink.single(&here.of(part.interval_s, part.kind), group) {
                        ControlFlow::Continue(Some(sums)) => {
                            self.decoder.add_single(&part, sums).map_err(damaged)?;
                            continue;
                        }
                        ControlFlow::Continue(None) => {}
                        ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
                    }
                }
                let merged = opened.is_some();
                let wanted = Wanted { hits: S::HITS || merged, last_access: self.reading.last_access || merged, lows };
                self.decoder.read(&part, &wanted).map_err(damaged)?;
                if let Some(cells) = opened {
                    self.decoder.columns.cells(cells);
                } else if give_columns(here, &part, group, &self.decoder.columns, sink).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            // Values are large: what follows is often in another block, so it is only read when it is asked for.
            match group.checked_add(1).and_then(|after| self.wanted_group(after)) {
                Some(next) if next == group + 1 => self.sealed.next(),
                Some(next) => self.sealed.seek(key::sealed(self.reading.level, hour, server_id, next)),
                None => break,
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

    /// The first group from this one on that is asked for.
    fn wanted_group(&self, from: u32) -> Option<u32> {
        let Some(records) = &self.selection.records else { return Some(from) };
        let at = records.partition_point(|record| record / GROUP < from);
        records.get(at).map(|record| record / GROUP)
    }

    /// The open points, in slots of the level.
    fn gather(&mut self, here: &Here) -> Result<Groups, Error> {
        let mut groups = Groups::new();
        let (hour, server_id) = here.pair;
        let bucket_s = self.reading.level.bucket_s();
        // A bucket that begins in the times is whole, though some of its blocks begin after them.
        let until_s = if bucket_s.is_some() { here.hour_s + 3600 } else { here.times.end };
        self.seek_open(&key::open_prefix(hour, server_id, here.times.start));
        while let Some(start_s) = self.open_block(here, until_s)? {
            self.each_section(start_s, |(interval_s, kind), rows| {
                let interval_s = bucket_s.unwrap_or(interval_s);
                let slot = ((start_s - here.hour_s) / u64::from(interval_s)) as u16;
                cell::gather(&mut groups, (interval_s, kind.number()), slot, here.hour_s * 1000, rows);
            })?;
            self.next_open();
        }
        Ok(groups)
    }

    fn give_cells<S: Sink>(&mut self, here: &Here, of: &Of, group: u32, cells: &[Cell], sink: &mut S) -> ControlFlow<()> {
        sink.begin(of)?;
        let wanted = here.slots(of.interval_s);
        for cells in cells.chunk_by(|a, b| a.low == b.low) {
            let record_id = group * GROUP + cells.first().map_or(0, |cell| u32::from(cell.low));
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

/// Gives on the rows of one start, sorted and each once, one call for each length of interval and kind.
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

/// The low bytes of those records, rising, that are of a group.
fn lows_of(records: &[u32], group: u32, lows: &mut Vec<u8>) {
    lows.clear();
    let rest = records.get(records.partition_point(|record| record / GROUP < group)..).unwrap_or_default();
    lows.extend(rest.iter().take_while(|record| **record / GROUP == group).map(|record| (record % GROUP) as u8));
}

/// Gives on what is selected of a part.
fn give_columns<S: Sink>(here: &Here, part: &Part<'_>, group: u32, columns: &Columns, sink: &mut S) -> ControlFlow<()> {
    let of = here.of(part.interval_s, part.kind);
    sink.begin(&of)?;
    let wanted = here.slots(part.interval_s);
    let whole = here.is_whole(part.interval_s);
    if whole && sink.part(&of, group, columns) {
        return ControlFlow::Continue(());
    }
    for (low, mut range) in columns.records() {
        let record_id = group * GROUP + u32::from(low);
        if !whole && let Some(slots) = columns.slots.get(range.clone()) {
            let begin = range.start + slots.partition_point(|slot| *slot < wanted.start);
            let end = range.start + slots.partition_point(|slot| *slot < wanted.end);
            range = begin..end.max(begin);
        }
        if let Some(slots) = columns.slots.get(range.clone()).filter(|slots| !slots.is_empty()) {
            let hits = columns.hits.get(range.clone()).unwrap_or_default();
            sink.record(&of, record_id, slots, hits, columns.last_ms.get(range).unwrap_or_default());
        }
    }
    ControlFlow::Continue(())
}
