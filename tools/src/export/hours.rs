//! An hour of a server: its contents, and the path of its file.

use crate::Error;
use crate::source::integers;
use arrow::array::RecordBatch;
use std::path::PathBuf;
use zonepulse_wire::{END_OF_TIME_S, Utc};

pub const HOUR_MS: u64 = 3_600_000;

/// An hour of a server, according to its reports or its metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hour {
    pub server_id: u32,
    pub begin_ms: u64,
    /// Number of batches or metric values.
    pub made_of: u64,
    /// Number of hits or metric values.
    pub sum: u64,
}

impl Hour {
    /// Reads the columns `server_id`, `number` (hours since 1970), `made_of` and `sum`.
    pub fn read(batch: &RecordBatch) -> Result<Vec<Hour>, Error> {
        // A value that does not fit counts as the maximum.
        let column = |name: &str| integers(batch, name, i64::MAX);
        let (servers, numbers, made_of, sums) = (column("server_id")?, column("number")?, column("made_of")?, column("sum")?);
        let rows = servers.into_iter().zip(numbers).zip(made_of.into_iter().zip(sums));
        let hour = |((server_id, number), (made_of, sum)): ((u64, u64), (u64, u64))| {
            let wrong = |what: String| Error::Answer(format!("{what} in the answer about hours"));
            let server_id = u32::try_from(server_id).map_err(|_| wrong(format!("server {server_id}")))?;
            if number >= END_OF_TIME_S / 3600 {
                return Err(wrong(format!("hour {number}")));
            }
            Ok(Hour { server_id, begin_ms: number * HOUR_MS, made_of, sum })
        };
        rows.map(hour).collect()
    }

    /// The first moment.
    pub fn begin(&self) -> Utc {
        time(self.begin_ms)
    }

    /// The first moment after it.
    pub fn end(&self) -> Utc {
        time(self.begin_ms + HOUR_MS)
    }

    /// The path of its file in a table, below the directory of the export.
    pub fn path(&self, table: &str) -> PathBuf {
        let begin = self.begin().to_string();
        let (date, of_day) = (begin.get(..10).unwrap_or("?"), begin.get(11..13).unwrap_or("?"));
        let name = format!("hour-{of_day}-server-{}.parquet", self.server_id);
        [table, &format!("date={date}"), &name].iter().collect()
    }
}

/// A time in whole seconds, as shown in SQL and to people.
pub fn time(ms: u64) -> Utc {
    Utc(ms / 1000)
}
