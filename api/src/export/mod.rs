//! Tables as Parquet files, for other query engines and for ever.
//!
//! # What lies where
//!
//! ```text
//! TABLE/date=2026-11-21/hour-13-server-3.parquet     what is about time: an hour of a server
//! TABLE/TABLE.parquet                                what is not, as it is now
//! ```
//!
//! `requests_raw` to `requests_1h` and `requests_total` have requests only, so a sum of theirs counts no question twice;
//! `dns_raw` to `dns_1h` and `records` have responses, too.
//!
//! A file has exactly the columns of its SQL table. `date=…` is a partition as
//! DataFusion's listing tables, DuckDB, Spark and others read it: it becomes a
//! column `date`, and days that a question does not name are not opened.
//!
//! # When a file is written
//!
//! Only hours that are over are exported. A file notes of how much it was made
//! ([`MADE_OF`]): of DNS how many batches, of metrics how many values. Every
//! committed batch of DNS leaves one report in the table `coverage`, and reports
//! only ever become more, until they expire; every value of a metric is counted
//! in `system_1h`. So an hour with as many as its file notes has not changed and
//! is skipped, and an hour for which a batch came late is written again.
//!
//! Reports also say how many hits there were, requests and responses together; those that a table of requests
//! leaves out are counted beside it. Where fewer come (or fewer values),
//! points have expired: a file that is there then stays as it is. An hour without
//! any hit has a file without rows: it was observed, and there was nothing.
//! A file of an older layout is written again as long as all of its points are there.
//!
//! A file appears whole or not at all.

mod file;
mod source;

pub use source::Source;

use crate::Error;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use file::{Made, There, Unfinished, there};
use futures::StreamExt;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use zonepulse_central::time;

/// The key in a file's metadata that says of how many batches, or values of metrics, it was made.
pub const MADE_OF: &str = "zonepulse.made_of";
/// The key in a file's metadata that says which columns it has.
pub const LAYOUT_KEY: &str = "zonepulse.layout";
/// The columns of today. Files of the first layout, with unsigned measures and without `folded`, do not say theirs; those of
/// the second have `kind`, a number for action and response code.
pub const LAYOUT: u64 = 3;
/// The tables that are exported by the hour, known by reports.
const BY_REPORTS: [&str; 11] = [
    "requests_raw",
    "requests_5m",
    "requests_15m",
    "requests_30m",
    "requests_1h",
    "dns_raw",
    "dns_5m",
    "dns_15m",
    "dns_30m",
    "dns_1h",
    "coverage",
];
/// The tables that are exported by the hour, known by the counts of the coarsest of them.
const BY_COUNTS: [&str; 5] = ["system_raw", "system_5m", "system_15m", "system_30m", "system_1h"];
/// The tables that are one file.
const WHOLE: [&str; 4] = ["requests_total", "records", "servers", "names"];
const HOUR_MS: u64 = 3_600_000;

/// What can be exported.
pub fn tables() -> impl Iterator<Item = &'static str> {
    BY_REPORTS.into_iter().chain(BY_COUNTS).chain(WHOLE)
}

/// What is to be exported, and whereto.
pub struct Export<'a> {
    /// Where rows come from.
    pub source: &'a Source,
    /// The directory below which files are written.
    pub to: &'a Path,
    /// Hours that begin before this are left out, Unix milliseconds.
    pub from_ms: u64,
    /// Hours that end after this are left out, Unix milliseconds.
    pub until_ms: u64,
}

/// What was done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Files that were written.
    pub written: u64,
    /// Rows in them.
    pub rows: u64,
    /// Hours of a server whose files were up to date.
    pub unchanged: u64,
    /// Hours of a server whose files have points that the store has no more.
    pub kept: u64,
    /// Hours of a server that expired before they were exported.
    pub expired: u64,
}

/// An hour of a server, as its reports or the counts of its metrics tell of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hour {
    server_id: u32,
    begin_ms: u64,
    /// Batches, or values of metrics.
    made_of: u64,
    /// Hits, or values of metrics.
    sum: u64,
}

impl Export<'_> {
    /// Exports a table, and tells of each file that it writes.
    pub async fn table(&self, table: &str, told: &mut dyn Write) -> Result<Summary, Error> {
        let mut summary = Summary::default();
        if WHOLE.contains(&table) {
            let path = self.to.join(table).join(format!("{table}.parquet"));
            let mut file = Unfinished::new(path);
            self.fill(&mut file, &format!("SELECT * FROM {table}")).await?;
            tell(&mut summary, told, file.finish(None)?)?;
            return Ok(summary);
        }
        // What is behind an hour that has expired whole has expired, too.
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

    /// Why there was not one hour of a table.
    pub async fn why_none(&self, table: &str) -> Result<String, Error> {
        let running_ms = time::now_ms() / HOUR_MS * HOUR_MS;
        if self.until_ms < running_ms {
            return Ok(match self.from_ms.div_ceil(HOUR_MS) < self.until_ms / HOUR_MS {
                true => "nothing was reported in the hours between --from and --until".to_owned(),
                false => "no whole hour lies between --from and --until".to_owned(),
            });
        }
        let (begin, end) = (time::text(running_ms), time::text(running_ms + HOUR_MS));
        let known_by = known_by(table);
        let statement = format!("SELECT count(*) AS reports FROM {known_by} WHERE time >= '{begin}'");
        let mut rows = self.source.ask(&statement).await?;
        let mut reports = 0_u64;
        while let Some(batch) = rows.batches.next().await {
            reports = read_numbers(&batch?, "reports", 0)?.into_iter().fold(reports, u64::saturating_add);
        }
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
        let path = self.to.join(place(table, hour));
        let there = there(&path);
        // A file of an older layout that was made of more than is left stays.
        let up_to_date =
            |There { made_of, current }: There| if current { made_of >= hour.made_of } else { made_of > hour.made_of };
        if there.is_some_and(up_to_date) {
            summary.unchanged += 1;
            return Ok(());
        }
        let mut file = Unfinished::new(path);
        let (begin, end) = (time::text(hour.begin_ms), time::text(hour.begin_ms + HOUR_MS));
        let server_id = hour.server_id;
        let within = format!("server_id = {server_id} AND time >= '{begin}' AND time < '{end}'");
        self.fill(&mut file, &format!("SELECT * FROM {table} WHERE {within}")).await?;
        let found = file.sum().saturating_add(self.left_out(table, &within).await?);
        if found < hour.sum && there.is_some() {
            summary.kept += 1;
            writeln!(told, "{} is kept: some of its points have expired in the store", file.path().display())?;
            return Ok(());
        }
        if found == 0 && hour.sum > 0 {
            expired.insert(server_id);
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

    /// How many hits a table of requests leaves out that reports count: those of responses.
    async fn left_out(&self, table: &str, within: &str) -> Result<u64, Error> {
        let Some(level) = table.strip_prefix("requests_") else { return Ok(0) };
        let statement =
            format!("SELECT CAST(sum(hits) AS BIGINT) AS hits FROM dns_{level} WHERE action = 'response' AND {within}");
        let mut rows = self.source.ask(&statement).await?;
        let mut sum = 0_u64;
        while let Some(batch) = rows.batches.next().await {
            // Of no rows the sum is null, which is 0 here.
            sum = read_numbers(&batch?, "hits", 0)?.into_iter().fold(sum, u64::saturating_add);
        }
        Ok(sum)
    }

    async fn fill(&self, file: &mut Unfinished, statement: &str) -> Result<(), Error> {
        let mut rows = self.source.ask(statement).await?;
        file.begin(&rows.schema)?;
        while let Some(batch) = rows.batches.next().await {
            file.write(&batch?)?;
        }
        Ok(())
    }

    /// The hours that are over and of which there is something, the newest first.
    async fn hours(&self, table: &str) -> Result<Vec<Hour>, Error> {
        let from_ms = self.from_ms.div_ceil(HOUR_MS).saturating_mul(HOUR_MS);
        let until_ms = self.until_ms.min(time::now_ms()) / HOUR_MS * HOUR_MS;
        if from_ms >= until_ms {
            return Ok(Vec::new());
        }
        let (from, until) = (time::text(from_ms), time::text(until_ms));
        let sums = if BY_COUNTS.contains(&table) {
            r#"CAST(sum("count") AS BIGINT) AS made_of, sum("count") AS sum"#
        } else {
            "count(*) AS made_of, sum(hits) AS sum"
        };
        let known_by = known_by(table);
        let statement = format!(
            "SELECT server_id, CAST(time AS BIGINT) / {HOUR_MS} AS number, {sums} FROM {known_by} WHERE time >= '{from}' AND time < '{until}' \
             GROUP BY 1, 2 ORDER BY 2 DESC, 1"
        );
        let mut rows = self.source.ask(&statement).await?;
        let mut hours = Vec::new();
        while let Some(batch) = rows.batches.next().await {
            hours.extend(read_hours(&batch?)?);
        }
        Ok(hours)
    }
}

/// The table that tells of which hours there is something in another.
fn known_by(table: &str) -> &'static str {
    if BY_COUNTS.contains(&table) { "system_1h" } else { "coverage" }
}

fn read_hours(batch: &RecordBatch) -> Result<Vec<Hour>, Error> {
    // One that does not fit is the largest one.
    let column = |name: &str| read_numbers(batch, name, i64::MAX);
    let (servers, numbers, made_of, sums) = (column("server_id")?, column("number")?, column("made_of")?, column("sum")?);
    let rows = servers.into_iter().zip(numbers).zip(made_of.into_iter().zip(sums));
    let hour = |((server_id, number), (made_of, sum))| {
        let server_id =
            u32::try_from(server_id).map_err(|_| Error::Remote(format!("server {server_id} in the answer about hours")))?;
        Ok(Hour { server_id, begin_ms: u64::saturating_mul(number, HOUR_MS), made_of, sum })
    };
    rows.map(hour).collect()
}

/// A column of whole numbers, with another number for those that are null or do not fit.
fn read_numbers(batch: &RecordBatch, name: &str, otherwise: i64) -> Result<Vec<u64>, Error> {
    // An older central that is asked has other whole numbers.
    let unlike = || Error::Remote(format!("no column {name} of whole numbers in the answer about hours"));
    let column = batch.column_by_name(name).filter(|column| column.data_type().is_integer()).ok_or_else(unlike)?;
    let numbers = cast(column, &DataType::Int64).map_err(|error| Error::Remote(error.to_string()))?;
    let numbers = numbers.as_primitive::<Int64Type>().iter().map(|number| number.unwrap_or(otherwise));
    Ok(numbers.map(|number| u64::try_from(number).unwrap_or(0)).collect())
}

/// Where the file of an hour lies.
fn place(table: &str, hour: Hour) -> PathBuf {
    let begin = time::text(hour.begin_ms);
    let (date, of_day) = (begin.get(..10).unwrap_or("?"), begin.get(11..13).unwrap_or("?"));
    let name = format!("hour-{of_day}-server-{}.parquet", hour.server_id);
    [table, &format!("date={date}"), &name].iter().collect()
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

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
