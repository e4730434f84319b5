//! What the next batch has to report, kept across restarts.
//!
//! The note is a small file in the spool. It is written before the files it mentions are touched,
//! and says what is being done to them, so that each loss is reported exactly once whenever a crash
//! occurs:
//!
//! * `pending`: not reported yet;
//! * `carried`: reported by the batch being written. If that batch is in the spool after a crash,
//!   the report was made; if not, it is pending again;
//! * `evicting`, `refusing`: the batches that leave the spool with it. Those still there after a
//!   crash are removed when the spool is opened.

use super::Key;
use super::disk::Disk;
use super::names::NOTE;
use crate::Error;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use zonepulse_model::Evicted;
use zonepulse_wire::{Counter, Message};

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Note {
    pub(super) pending: Report,
    pub(super) carried: Option<Carried>,
    pub(super) evicting: Vec<Key>,
    pub(super) refusing: Vec<Key>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Carried {
    pub(super) by: Key,
    pub(super) report: Report,
}

/// Losses to report to the central.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    #[serde(with = "evicted")]
    pub(super) evicted: Option<Evicted>,
    pub(super) refused: u64,
}

impl Note {
    /// Reads the note of a spool; empty if there is none. An unreadable note is set aside: the
    /// spool's batches matter more.
    pub(super) fn read(disk: &Disk) -> Result<Note, Error> {
        let Some(bytes) = disk.read_file(NOTE)? else {
            return Ok(Note::default());
        };
        match serde_json::from_slice(&bytes) {
            Ok(note) => Ok(note),
            Err(error) => {
                let aside = format!("{NOTE}.damaged");
                tracing::warn!(%error, kept_as = aside, "the spool's note is damaged: evictions before this start may go unreported");
                disk.rename(NOTE, &aside)?;
                Ok(Note::default())
            }
        }
    }

    /// Writes the note to disk.
    pub(super) fn write(&self, disk: &Disk) -> Result<(), Error> {
        if self.is_empty() {
            disk.remove(NOTE)?;
            return disk.sync();
        }
        let text = serde_json::to_vec(self).map_err(|error| Error::disk("encode", NOTE)(error.into()))?;
        disk.write(NOTE, &text)
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Note::default()
    }

    /// Settles the carried report: it was made if the batch that carries it exists.
    pub(super) fn settle_carried(&mut self, is_there: impl Fn(Key) -> bool) {
        if let Some(carried) = self.carried.take()
            && !is_there(carried.by)
        {
            self.pending.merge(carried.report);
        }
    }
}

impl Report {
    pub(super) fn is_empty(&self) -> bool {
        *self == Report::default()
    }

    pub(super) fn merge(&mut self, other: Report) {
        self.evicted = merge_evicted(self.evicted, other.evicted);
        self.refused = self.refused.saturating_add(other.refused);
    }

    /// Splits the report into what this batch can carry and what is left for a later one: system
    /// batches have no counters.
    pub(super) fn split_for(self, batch: &Message) -> (Report, Report) {
        match batch {
            Message::Dns(_) => (self, Report::default()),
            Message::System(_) => (Report { evicted: self.evicted, refused: 0 }, Report { evicted: None, refused: self.refused }),
        }
    }

    /// The batch with this report added.
    pub(super) fn added_to<'a>(&self, batch: &'a Message) -> Cow<'a, Message> {
        if self.is_empty() {
            return Cow::Borrowed(batch);
        }
        let mut batch = batch.clone();
        match &mut batch {
            Message::Dns(batch) => {
                batch.evicted = merge_evicted(batch.evicted, self.evicted);
                batch.counters.add(Counter::BatchesRefused, self.refused);
            }
            Message::System(batch) => batch.evicted = merge_evicted(batch.evicted, self.evicted),
        }
        Cow::Owned(batch)
    }

    /// The report in a batch.
    pub(super) fn in_batch(batch: &Message) -> Report {
        let refused = match batch {
            Message::Dns(batch) => batch.counters.get(Counter::BatchesRefused),
            Message::System(_) => 0,
        };
        Report { evicted: batch.evicted(), refused }
    }

    /// A report of the loss of this batch, including what it would have reported.
    pub(super) fn loss_of(batch: &Message) -> Report {
        let mut report = Report::in_batch(batch);
        let loss = Evicted { batches: 1, from_s: batch.start_s(), until_s: batch.end_s() };
        report.evicted = merge_evicted(report.evicted, Some(loss));
        report
    }

    /// A report of the loss of a file of which only the name is readable.
    pub(super) fn loss_of_unreadable(start_s: u64) -> Report {
        Report { evicted: Some(Evicted { batches: 1, from_s: start_s, until_s: start_s }), refused: 0 }
    }
}

/// A batch without its report; none if it has no report or is unreadable.
pub(super) fn without_report(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut batch = Message::decode(bytes).ok()?;
    if Report::in_batch(&batch).is_empty() {
        return None;
    }
    match &mut batch {
        Message::Dns(batch) => {
            batch.evicted = None;
            batch.counters.take(Counter::BatchesRefused);
        }
        Message::System(batch) => batch.evicted = None,
    }
    batch.encode().ok()
}

/// Merges two losses: the sum, over the time from the earlier start to the later end.
pub fn merge_evicted(one: Option<Evicted>, other: Option<Evicted>) -> Option<Evicted> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Evicted {
            batches: one.batches.saturating_add(other.batches),
            from_s: one.from_s.min(other.from_s),
            until_s: one.until_s.max(other.until_s),
        }),
        (one, other) => one.or(other),
    }
}

/// `[batches, from_s, until_s]`: the wire crate does not use serde.
mod evicted {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use zonepulse_model::Evicted;

    pub(super) fn serialize<S: Serializer>(evicted: &Option<Evicted>, serializer: S) -> Result<S::Ok, S::Error> {
        evicted.map(|evicted| [evicted.batches, evicted.from_s, evicted.until_s]).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Evicted>, D::Error> {
        let numbers = Option::<[u64; 3]>::deserialize(deserializer)?;
        Ok(numbers.map(|[batches, from_s, until_s]| Evicted { batches, from_s, until_s }))
    }
}
