//! Removing time from a server's ledger: dropped batches had wrong times, so that time is a gap.

use super::lane::{Lane, Of, key_of};
use super::run::Run;
use crate::Error;
use crate::database::{Database, key};
use rocksdb::WriteBatch;
use std::ops::Range;
use zonepulse_codec::Malformed;
use zonepulse_model::ServerId;

/// The changes that make ranges a gap.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    delete: Vec<Vec<u8>>,
    put: Vec<(Vec<u8>, Vec<u8>)>,
    /// How much covered time is removed, milliseconds.
    pub covered_ms: u64,
}

impl Cut {
    /// Plans the removal of disjoint ranges, Unix milliseconds, in order. Evictions stay: they only say why there is a
    /// gap.
    pub(crate) fn plan(database: &Database, server_id: ServerId, ranges_ms: &[Range<u64>]) -> Result<Cut, Error> {
        let mut cut = Cut::default();
        database.visit(key::LEDGER, &server_id.to_be_bytes(), |found, value| {
            let (lane, from_ms) = Lane::parse(found).ok_or_else(|| Error::damaged("run", found))?;
            if lane.server_id != server_id {
                return Ok(false);
            }
            if lane.of == Of::Evicted {
                return Ok(true);
            }
            let run = Run::decode(from_ms, value).map_err(|Malformed(what)| Error::damaged(what, found))?;
            cut.run(&lane, run, ranges_ms);
            Ok(true)
        })?;
        Ok(cut)
    }

    fn run(&mut self, lane: &Lane, run: Run, ranges_ms: &[Range<u64>]) {
        let mut left = Vec::new();
        let mut at_ms = run.from_ms;
        for range in ranges_ms {
            left.extend(run.within(at_ms, range.start));
            at_ms = at_ms.max(range.end);
        }
        left.extend(run.within(at_ms, u64::MAX));
        if left == [run] {
            return;
        }
        if lane.of == Of::Covered {
            let left_ms: u64 = left.iter().map(|run| run.until_ms - run.from_ms).sum();
            self.covered_ms = self.covered_ms.saturating_add(run.until_ms - run.from_ms - left_ms);
        }
        let prefix = lane.prefix();
        self.delete.push(key_of(&prefix, run.from_ms));
        self.put.extend(left.iter().map(|run| (key_of(&prefix, run.from_ms), run.encode())));
    }

    /// Adds the changes to a write.
    pub(crate) fn put(&self, database: &Database, batch: &mut WriteBatch) {
        let family = database.family(key::LEDGER);
        self.delete.iter().for_each(|key| batch.delete_cf(family, key));
        self.put.iter().for_each(|(key, value)| batch.put_cf(family, key, value));
    }
}
