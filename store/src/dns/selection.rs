//! Query parameters.

use crate::Level;
use crate::database::key::{from_group, group_of};
use zonepulse_dns::{Action, MessageKind};
use zonepulse_model::{IdSet, RecordId, ServerId};

/// Selects points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The servers, or `None` for all.
    pub servers: Option<IdSet<ServerId>>,
    /// Only intervals or buckets that start at or after this time, in Unix seconds.
    pub from_s: u64,
    /// Only intervals or buckets that start before this time, in Unix seconds.
    pub until_s: u64,
    /// What is counted.
    pub kinds: Kinds,
    /// The records, or `None` for all.
    pub records: Option<IdSet<RecordId>>,
}

/// Selects what is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kinds {
    /// Messages: requests and responses.
    Messages,
    /// Responses with any code.
    Responses,
    /// What was served, in any class.
    Served,
    /// Only these kinds.
    Only(Vec<MessageKind>),
}

impl Kinds {
    /// Whether it includes this kind.
    pub fn includes(&self, kind: MessageKind) -> bool {
        match self {
            Kinds::Messages => kind.is_message(),
            Kinds::Responses => kind.action() == Some(Action::Response),
            Kinds::Served => !kind.is_message(),
            Kinds::Only(kinds) => kinds.contains(&kind),
        }
    }
}

impl Selection {
    /// Selects the messages of every server.
    pub fn all() -> Self {
        Selection { servers: None, from_s: 0, until_s: u64::MAX, kinds: Kinds::Messages, records: None }
    }

    /// Returns the group of the first requested record.
    pub(crate) fn first_group(&self) -> u32 {
        self.records.iter().flatten().next().map_or(0, |record_id| group_of(*record_id))
    }

    /// Returns the first requested group at or after this one.
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
    /// The current time, in Unix seconds. Data that has expired by then is skipped.
    pub now_s: u64,
    /// Whether last accesses are requested. If not, reading is cheaper and the column is empty.
    pub last_access: bool,
}
