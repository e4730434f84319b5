//! What a table counts for each record: messages, or what they served.

use super::Table;
use crate::served::{self, Credit};
use zonepulse_dns::{MessageKind, Served};

/// What distinguishes the sums of one record.
pub trait Kind: Copy {
    /// The number that stands for it in a table.
    fn number(self) -> u16;
    /// The kind with this number, if there is one.
    fn from_number(number: u16) -> Option<Self>;
}

impl Kind for MessageKind {
    #[inline]
    fn number(self) -> u16 {
        MessageKind::number(self)
    }

    fn from_number(number: u16) -> Option<Self> {
        MessageKind::from_number(number)
    }
}

impl Kind for served::Kind {
    #[inline]
    fn number(self) -> u16 {
        served::Kind::number(self)
    }

    fn from_number(number: u16) -> Option<Self> {
        served::Kind::from_number(number)
    }
}

impl Table<served::Kind> {
    /// Adds what a response at this time served, Unix milliseconds.
    #[inline]
    pub fn credit(&mut self, credit: &Credit<'_>, time_ms: u64) {
        let kind = credit.kind();
        // A flood that a wildcard answers does not displace names that exist.
        let at = self.queue(credit.owner, credit.record_type, kind, time_ms, !credit.may_be_wildcard);
        if self.is_attentive && credit.class == Served::Denial {
            self.learn(at, credit.owner.len());
        }
    }
}
