//! Checkpoints of the totals, and their recovery from the journal when a store is opened.

use super::epochs::Epochs;
use super::writer::Writer;
use crate::database::Database;
use crate::database::key;
use crate::dns::block::{self, Sections};
use crate::retention::Expiry;
use crate::totals::{self, Group, Totals};
use crate::{Error, Inner};
use rocksdb::WriteBatch;
use zonepulse_codec::Malformed;

const LAST_COMMIT: &[u8] = b"last_commit";

/// Writes out all totals that are only in memory and clears the journal.
pub(crate) fn checkpoint(inner: &Inner) -> Result<(), Error> {
    write_totals(inner, &mut inner.writer.lock())
}

pub(crate) fn write_totals(inner: &Inner, writer: &mut Writer) -> Result<(), Error> {
    let commit = writer.last_commit;
    if commit == writer.last_checkpoint {
        return Ok(());
    }
    let database = &inner.database;
    let mut batch = WriteBatch::default();
    let written = totals::disk::put_all(inner, &mut batch, commit);
    batch.put(LAST_COMMIT, commit.to_be_bytes());
    batch.delete_range_cf(database.family(key::JOURNAL), 0u64.to_be_bytes(), (commit + 1).to_be_bytes());
    database.write(batch, true)?;
    totals::disk::are_written(inner, &written, commit);
    writer.last_checkpoint = commit;
    Ok(())
}

/// Reads the totals and replays the blocks listed in the journal.
pub(crate) fn recover(database: &Database, expiry: &Expiry) -> Result<(Totals, Writer), Error> {
    let mut totals = Totals::default();
    database.visit(key::TOTALS, &[], |key, value| {
        let of_group = key::parse_total(key).ok_or_else(|| Error::damaged("totals", key))?;
        let group = Group::decode(value).map_err(|Malformed(what)| Error::damaged(what, key))?;
        totals.groups.insert(of_group, group);
        Ok(true)
    })?;
    let last_checkpoint = match database.get("default", LAST_COMMIT)? {
        None => 0,
        Some(value) => key::u64_at(&value, 0).ok_or_else(|| Error::damaged("last commit", LAST_COMMIT))?,
    };
    let mut last_commit = last_checkpoint;
    database.visit(key::JOURNAL, &(last_checkpoint + 1).to_be_bytes(), |key, blocks| {
        let commit = key::u64_at(key, 0).ok_or_else(|| Error::damaged("journal", key))?;
        for block in blocks.chunks(key::OPEN_BYTES) {
            replay(database, expiry, &mut totals, commit, block)?;
        }
        last_commit = commit;
        Ok(true)
    })?;
    if last_commit > last_checkpoint {
        tracing::info!(commits = last_commit - last_checkpoint, "brought the totals up to date from the journal");
    }
    let epochs = Epochs::load(database)?;
    Ok((totals, Writer { last_commit, last_checkpoint, epochs, ..Writer::default() }))
}

fn replay(database: &Database, expiry: &Expiry, totals: &mut Totals, commit: u64, block: &[u8]) -> Result<(), Error> {
    let damaged = |what: &'static str| Error::damaged(what, block);
    let (_, identity, start_s) = key::parse_open(block).ok_or_else(|| damaged("journal"))?;
    let Some(value) = database.get(key::OPEN, block)? else {
        // The block was sealed, and its totals written in the same write.
        let sealed = commit <= expiry.horizon(identity.server_id).as_of;
        return if sealed { Ok(()) } else { Err(damaged("missing block")) };
    };
    let mut sections = Sections::new(&value, start_s).map_err(|Malformed(what)| damaged(what))?;
    let mut rows = Vec::new();
    while let Some(section) = sections.next().map_err(|Malformed(what)| damaged(what))? {
        rows.clear();
        section.rows(&mut rows).map_err(|Malformed(what)| damaged(what))?;
        for (number, rows) in by_number(&rows) {
            let of_group = (identity.server_id, section.kind.number(), number);
            let group = totals.groups.get_mut(&of_group).ok_or_else(|| damaged("totals of a block"))?;
            if commit > group.as_of && !group.replay(rows) {
                return Err(damaged("totals of a block"));
            }
        }
    }
    Ok(())
}

/// The rows of a block's section, by group number.
#[inline]
pub(super) fn by_number(rows: &[block::Row]) -> impl Iterator<Item = (u32, &[block::Row])> {
    let of = |row: &block::Row| key::group_of(row.record_id);
    rows.chunk_by(move |a, b| of(a) == of(b)).filter_map(move |rows| Some((of(rows.first()?), rows)))
}
