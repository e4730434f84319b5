//! Tables as Parquet files, for other query engines and for permanent storage.
//!
//! # Layout
//!
//! ```text
//! TABLE/date=2026-11-21/hour-13-server-3.parquet     tables with a time: an hour of a server
//! TABLE/TABLE.parquet                                all others, in their current state
//! ```
//!
//! A file has exactly the columns of its SQL table. `date=…` is a partition as read by DataFusion's listing tables,
//! DuckDB, Spark and others: it becomes a column `date`, and days outside a query are not opened.
//!
//! `requests_raw` to `requests_1h` and `requests_total` contain requests only, so that a sum over them does not count
//! a DNS query twice. `dns_raw` to `dns_1h` and `records` contain responses as well.
//!
//! # When a file is written
//!
//! Only hours that have ended are exported. A file's metadata state what it was made from ([`MADE_OF`]): the number
//! of batches for DNS, the number of values for metrics. Every committed DNS batch leaves one report in the table
//! `coverage`, and every value is counted in `system_1h`. These numbers only grow until the data expires, so if an
//! hour still has the number that its file states, it has not changed and is skipped. If a batch arrived late, the
//! hour is written again.
//!
//! Reports also state the number of hits, requests and responses together. For a table of requests, the responses are
//! counted separately. If a file would contain fewer hits (or values) than reported, points have expired, and an
//! existing file is kept as it is. An hour without hits has a file without rows: it was observed, and nothing
//! happened. A file with an older layout is rewritten as long as all of its points exist.
//!
//! A file appears either complete or not at all.

mod file;
mod hours;
mod tables;
#[cfg(test)]
mod tests;

pub use file::{LAYOUT, LAYOUT_KEY, MADE_OF};
pub use tables::tables;

use crate::source::integers;
use crate::{Error, Source};
use file::{Made, There, Unfinished, there};
use futures::StreamExt;
use hours::{HOUR_MS, Hour, time};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use tables::{WHOLE, known_by};

/// What to export, and where.
pub struct Export<'a> {
    /// The source of the rows.
    pub source: &'a Source,
    /// The directory below which files are written.
    pub to: &'a Path,
    /// Hours that begin earlier are excluded, in Unix milliseconds.
    pub from_ms: u64,
    /// Hours that end later are excluded, in Unix milliseconds.
    pub until_ms: u64,
    /// The current time, in Unix milliseconds. Hours that end later have not ended yet.
    pub now_ms: u64,
}

/// The result of an export.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Files written.
    pub written: u64,
    /// Rows in them.
    pub rows: u64,
    /// Hours of a server whose files were already up to date.
    pub unchanged: u64,
    /// Hours of a server whose files have points that have expired in the store.
    pub kept: u64,
    /// Hours of a server that expired before they were exported.
    pub expired: u64,
}

impl Export<'_> {
    /// Exports a table. Writes a line to `told` for each file.
    pub async fn table(&self, table: &str, told: &mut dyn Write) -> Result<Summary, Error> {
        let mut summary = Summary::default();
        if WHOLE.contains(&table) {
            let path = self.to.join(table).join(format!("{table}.parquet"));
            let mut file = Unfinished::new(path);
            self.fill(&mut file, &format!("SELECT * FROM {table}")).await?;
            tell(&mut summary, told, file.finish(None)?)?;
            return Ok(summary);
        }
        // Servers for which a whole hour has expired. Hours come newest first, so all that follow have expired, too.
        let mut expired: BTreeSet<u32> = BTreeSet::new();
        for hour in self.hours(table).await? {
            if expired.contains(&hour.server_id) {
                summary.expired += 1;
                continue;
            }
            self.hour(table, hour, &mut summary, &mut expired, told).await?;
        }
        Ok(summary)
    }

    /// Why there was no hour of a table to export.
    pub async fn why_none(&self, table: &str) -> Result<String, Error> {
        let running_ms = self.now_ms / HOUR_MS * HOUR_MS;
        if self.until_ms < running_ms {
            return Ok(match self.from_ms.div_ceil(HOUR_MS) < self.until_ms / HOUR_MS {
                true => "nothing was reported in the hours between --from and --until".to_owned(),
                false => "no whole hour lies between --from and --until".to_owned(),
            });
        }
        let (begin, end) = (time(running_ms), time(running_ms + HOUR_MS));
        let (known_by, _) = known_by(table);
        let reports =
            self.total(&format!("SELECT count(*) AS reports FROM {known_by} WHERE time >= '{begin}'"), "reports").await?;
        Ok(match reports {
            0 => format!("nothing was reported in that time; the hour that runs ends at {end}"),
            _ => format!(
                "no hour of which there is something has ended yet, and only whole hours are written: the next ends at {end}; run this again then"
            ),
        })
    }

    async fn hour(
        &self,
        table: &str,
        hour: Hour,
        summary: &mut Summary,
        expired: &mut BTreeSet<u32>,
        told: &mut dyn Write,
    ) -> Result<(), Error> {
        let path = self.to.join(hour.path(table));
        let there = there(&path);
        // A file with an older layout is kept only if it was made from more than still exists.
        let up_to_date =
            |There { made_of, current }: There| if current { made_of >= hour.made_of } else { made_of > hour.made_of };
        if there.is_some_and(up_to_date) {
            summary.unchanged += 1;
            return Ok(());
        }
        let mut file = Unfinished::new(path);
        let within = format!("server_id = {} AND time >= '{}' AND time < '{}'", hour.server_id, hour.begin(), hour.end());
        self.fill(&mut file, &format!("SELECT * FROM {table} WHERE {within}")).await?;
        let found = file.sum().saturating_add(self.left_out(table, &within).await?);
        if found < hour.sum && there.is_some() {
            summary.kept += 1;
            writeln!(told, "{} is kept: some of its points have expired in the store", file.path().display())?;
            return Ok(());
        }
        if found == 0 && hour.sum > 0 {
            expired.insert(hour.server_id);
            summary.expired += 1;
            return Ok(());
        }
        let partly = found < hour.sum;
        tell(summary, told, file.finish(Some(hour.made_of))?)?;
        if partly {
            writeln!(told, "    and more points of that hour had expired")?;
        }
        Ok(())
    }

    /// The hits of responses, which reports count but tables of requests exclude.
    async fn left_out(&self, table: &str, within: &str) -> Result<u64, Error> {
        let Some(level) = table.strip_prefix("requests_") else { return Ok(0) };
        let statement =
            format!("SELECT CAST(sum(hits) AS BIGINT) AS hits FROM dns_{level} WHERE action = 'response' AND {within}");
        self.total(&statement, "hits").await
    }

    /// The sum of a column of an answer. Null counts as 0: SQL's sum of no rows.
    async fn total(&self, statement: &str, column: &str) -> Result<u64, Error> {
        let mut rows = self.source.ask(statement).await?;
        let mut total = 0_u64;
        while let Some(batch) = rows.batches.next().await {
            total = integers(&batch?, column, 0)?.into_iter().fold(total, u64::saturating_add);
        }
        Ok(total)
    }

    async fn fill(&self, file: &mut Unfinished, statement: &str) -> Result<(), Error> {
        let mut rows = self.source.ask(statement).await?;
        file.begin(&rows.schema)?;
        while let Some(batch) = rows.batches.next().await {
            file.write(&batch?)?;
        }
        Ok(())
    }

    /// The hours that have ended and have data, newest first.
    async fn hours(&self, table: &str) -> Result<Vec<Hour>, Error> {
        let from_ms = self.from_ms.div_ceil(HOUR_MS).saturating_mul(HOUR_MS);
        let until_ms = self.until_ms.min(self.now_ms) / HOUR_MS * HOUR_MS;
        if from_ms >= until_ms {
            return Ok(Vec::new());
        }
        let (from, until) = (time(from_ms), time(until_ms));
        let (known_by, sums) = known_by(table);
        let statement = format!(
            "SELECT server_id, CAST(time AS BIGINT) / {HOUR_MS} AS number, {sums} FROM {known_by} WHERE time >= '{from}' AND time < '{until}' \
             GROUP BY 1, 2 ORDER BY 2 DESC, 1"
        );
        let mut rows = self.source.ask(&statement).await?;
        let mut hours = Vec::new();
        while let Some(batch) = rows.batches.next().await {
            hours.extend(Hour::read(&batch?)?);
        }
        Ok(hours)
    }
}

fn tell(summary: &mut Summary, told: &mut dyn Write, made: Made) -> Result<(), Error> {
    summary.written += 1;
    summary.rows += made.rows;
    Ok(writeln!(told, "{} {} rows", made.path.display(), made.rows)?)
}

impl std::ops::AddAssign for Summary {
    fn add_assign(&mut self, other: Summary) {
        self.written += other.written;
        self.rows += other.rows;
        self.unchanged += other.unchanged;
        self.kept += other.kept;
        self.expired += other.expired;
    }
}
