//! Reading points: the blocks of a time range and of servers, as they are asked for.

use crate::block::{Row, Sections};
use crate::{Error, Store, key};
use std::ops::ControlFlow;
use zonepulse_codec::Malformed;
use zonepulse_dns::MessageKind;

/// Which points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Of these servers, or of all.
    pub servers: Option<Vec<u32>>,
    /// Whose interval starts at this time or later, Unix seconds.
    pub from_s: u64,
    /// Whose interval starts before this time, Unix seconds.
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
    fn includes(&self, kind: MessageKind) -> bool {
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

    fn includes_server(&self, server_id: u32) -> bool {
        self.servers.as_ref().is_none_or(|servers| servers.contains(&server_id))
    }
}

/// The points of one server and one interval, sorted by (kind, record), each
/// pair once. All columns have the same length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Points {
    /// The server.
    pub server_id: u32,
    /// Start of the interval, Unix seconds.
    pub start_s: u64,
    /// Length of the interval, seconds.
    pub interval_s: u32,
    /// The record of each point.
    pub record_ids: Vec<u32>,
    /// The kind of each point.
    pub kinds: Vec<MessageKind>,
    /// The hits of each point.
    pub hits: Vec<u64>,
    /// The last access of each point, Unix milliseconds.
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
        self.record_ids.clear();
        self.kinds.clear();
        self.hits.clear();
        self.last_ms.clear();
    }

    fn push(&mut self, kind: MessageKind, row: &Row) {
        self.record_ids.push(row.record_id);
        self.kinds.push(kind);
        self.hits.push(row.hits);
        self.last_ms.push(row.last_ms);
    }
}

impl Store {
    /// Calls `each` with the points of one server and interval after another,
    /// ordered by hour, then server, then start, then length of the interval;
    /// never with none. Sees one consistent state of the store. Blocks the thread.
    pub fn scan(&self, selection: &Selection, each: &mut dyn FnMut(&Points) -> ControlFlow<()>) -> Result<(), Error> {
        if selection.from_s >= selection.until_s || selection.servers.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        let mut scan = Scan { selection, gathered: Gathered::default(), points: Points::default(), each };
        let mut iterator = self.inner.database.iterator(key::OPEN);
        let first_server = selection.servers.iter().flatten().copied().min().unwrap_or(0);
        iterator.seek(key::open_prefix(key::hour(selection.from_s), first_server, 0));
        while let Some((key, value)) = iterator.item() {
            let (hour, identity, start_s) = key::parse_open(key).ok_or_else(|| Error::damaged("block", key))?;
            if u64::from(hour) * 3600 >= selection.until_s {
                break;
            }
            if !selection.includes_server(identity.server_id) {
                match scan.server_after(identity.server_id) {
                    Some(next) => iterator.seek(key::open_prefix(hour, next, 0)),
                    None => iterator.seek(key::open_prefix(hour.saturating_add(1), first_server, 0)),
                }
                continue;
            }
            if start_s < selection.from_s {
                iterator.seek(key::open_prefix(hour, identity.server_id, selection.from_s));
                continue;
            }
            if start_s < selection.until_s {
                let flow = scan.take(identity.server_id, start_s, value).map_err(|Malformed(what)| Error::damaged(what, key))?;
                if flow.is_break() {
                    return Ok(());
                }
            }
            iterator.next();
        }
        iterator.status()?;
        // The last ones; nothing comes after them whatever is answered.
        let _ = scan.give();
        Ok(())
    }
}

/// Blocks of one server and start are neighbours; they are gathered, merged
/// where several batches told of one interval, and given on.
struct Scan<'a> {
    selection: &'a Selection,
    gathered: Gathered,
    points: Points,
    each: &'a mut dyn FnMut(&Points) -> ControlFlow<()>,
}

#[derive(Default)]
struct Gathered {
    server_id: u32,
    start_s: u64,
    rows: Vec<(u32, MessageKind, Row)>,
    /// Where the rows of one block end and the next block's begin: at most one
    /// block in the ordinary case, and then there is nothing to merge.
    blocks: usize,
    section: Vec<Row>,
}

impl Scan<'_> {
    fn server_after(&self, server_id: u32) -> Option<u32> {
        self.selection.servers.iter().flatten().copied().filter(|asked| *asked > server_id).min()
    }

    fn take(&mut self, server_id: u32, start_s: u64, value: &[u8]) -> Result<ControlFlow<()>, Malformed> {
        let mut flow = ControlFlow::Continue(());
        if (self.gathered.server_id, self.gathered.start_s) != (server_id, start_s) {
            flow = self.give();
            self.gathered.server_id = server_id;
            self.gathered.start_s = start_s;
        }
        let mut sections = Sections::new(value, start_s)?;
        let interval_s = sections.interval_s;
        self.gathered.blocks += 1;
        while let Some(section) = sections.next()? {
            if !self.selection.kinds.includes(section.kind) {
                continue;
            }
            self.gathered.section.clear();
            section.rows(&mut self.gathered.section)?;
            let wanted = |row: &&Row| match &self.selection.records {
                None => true,
                Some(records) => records.binary_search(&row.record_id).is_ok(),
            };
            let rows = self.gathered.section.iter().filter(wanted).map(|row| (interval_s, section.kind, *row));
            self.gathered.rows.extend(rows);
        }
        Ok(flow)
    }

    /// Gives on what was gathered, one call for each length of interval.
    fn give(&mut self) -> ControlFlow<()> {
        let Gathered { server_id, start_s, rows, blocks, .. } = &mut self.gathered;
        if *blocks > 1 {
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
        let mut flow = ControlFlow::Continue(());
        for rows in rows.chunk_by(|a, b| a.0 == b.0) {
            self.points.clear();
            self.points.server_id = *server_id;
            self.points.start_s = *start_s;
            self.points.interval_s = rows.first().map_or(0, |(interval_s, _, _)| *interval_s);
            rows.iter().for_each(|(_, kind, row)| self.points.push(*kind, row));
            if flow.is_continue() {
                flow = (self.each)(&self.points);
            }
        }
        rows.clear();
        *blocks = 0;
        flow
    }
}
