//! Building the ledger of a store that has none, from its reports.
//!
//! Stores of format 3 and older have only reports. When such a store is opened, their coverage and losses become its
//! ledger, so everything before the oldest report is a gap. The format is written last: if the process ends before
//! that, the next one begins again ([`crate::migration`]).

use super::adding::{Known, News};
use crate::Error;
use crate::database::{Database, key};
use crate::reports::report::{Report, SystemReport};
use rocksdb::WriteBatch;

/// Number of reports per write.
const REPORTS: usize = if cfg!(test) { 40 } else { 8192 };

/// Builds the ledger. The caller then writes the format.
pub(crate) fn build(database: &Database) -> Result<(), Error> {
    let mut empty = WriteBatch::default();
    empty.delete_range_cf(database.family(key::LEDGER), b"".as_slice(), [u8::MAX; 8].as_slice());
    database.write(empty, false)?;
    let (mut news, mut known, mut count, mut total) = (News::default(), Known::default(), 0, 0u64);
    database.visit(key::REPORTS, &[], |found, value| {
        // `check` reports what cannot be read; it must not keep a store from being opened.
        if let Some(report) = read(found, value) {
            news.report(&report);
        }
        (count, total) = (count + 1, total + 1);
        if count == REPORTS {
            write(database, std::mem::take(&mut news), &mut known)?;
            count = 0;
        }
        Ok(true)
    })?;
    write(database, news, &mut known)?;
    tracing::info!(reports = total, "built the observation ledger from the reports");
    Ok(())
}

fn write(database: &Database, news: News, known: &mut Known) -> Result<(), Error> {
    let mut batch = WriteBatch::default();
    let learnt = news.put(database, &mut batch, known)?;
    // The write of the format syncs this one, too.
    database.write(batch, false)?;
    known.adopt(learnt);
    Ok(())
}

fn read(found: &[u8], value: &[u8]) -> Option<Report> {
    let (identity, start_s) = key::parse_report(found)?;
    match SystemReport::is(value) {
        true => SystemReport::decode(value).ok()?.of_loss(&identity, start_s),
        false => Report::decode(&identity, start_s, value).ok(),
    }
}

impl News {
    /// Adds what a report says.
    pub(crate) fn report(&mut self, report: &Report) {
        if !report.of_metrics {
            self.covered(report.server_id, report.covered_from_ms, report.covered_until_ms, &report.loss);
        }
        if let Some(evicted) = &report.evicted {
            self.evicted(report.server_id, evicted);
        }
    }
}
