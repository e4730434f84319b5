//! Numbers of the store as values of columns.

use arrow::array::{ArrayRef, TimestampMillisecondArray};
use datafusion::common::DataFusionError;
use std::sync::Arc;

/// The last millisecond of the year 9999, the last that RFC 3339 can write, since 1970.
const LAST_MS: i64 = 253_402_300_799_999;

/// Unix milliseconds as Arrow counts them. What lies past the year 9999, which earlier versions took, is its last millisecond.
pub(crate) fn ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX).min(LAST_MS)
}

/// A measure as tables and answers have it. What is past the largest one, which earlier versions took, is the largest one.
pub(crate) fn measure(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn instants(ms: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from(ms).with_timezone("UTC"))
}

/// The starts of the hours in which these lie.
pub(crate) fn hours(ms: &[i64]) -> ArrayRef {
    instants(ms.iter().map(|ms| ms - ms.rem_euclid(3_600_000)).collect())
}

/// An error of the store on its way through DataFusion.
pub(crate) fn external(error: zonepulse_store::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
