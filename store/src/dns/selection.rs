//! What is asked for.

use crate::Level;
use crate::database::key::{from_group, group_of};
use zonepulse_dns::MessageKind;
use zonepulse_model::{IdSet, RecordId, ServerId};

/// Which points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Of these servers, or of all.
    pub servers: Option<IdSet<ServerId>>,
    /// Whose interval or bucket starts at this time or later, Unix seconds.
    pub from_s: u64,
    /// Whose interval or bucket starts before this time, Unix seconds.
    pub until_s: u64,
    /// Of these kinds.
    pub kinds: Kinds,
    /// Of these records, or of all.
    pub records: Option<IdSet<RecordId>>,
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

    /// The group of the first record that is asked for.
    pub(crate) fn first_group(&self) -> u32 {
        self.records.iter().flatten().next().map_or(0, |record_id| group_of(*record_id))
    }

    /// The first group from this one on that is asked for.
    pub(crate) fn group_from(&self, group: u32) -> Option<u32> {
        let Some(records) = &self.records else { return Some(group) };
        from_group(records, group).first().map(|record_id| group_of(*record_id))
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
