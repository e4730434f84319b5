//! System metrics: the state of each server, sampled every few seconds.
//!
//! # Concept
//!
//! A *series* is one metric and label ("cpu_percent", core "0"); the store numbers them ([`series`]). A *point* is the
//! value of a series in a slot of a few seconds. A batch contains some slots of many series and is stored as an open
//! block, like DNS points, with the same marker and in the same write. Past hours are sealed by the same maintenance
//! task ([`sealing`]), one column per hour and series. For each bucket, roll-ups keep the minimum, maximum, mean and
//! last value, and the number of values. Retention, horizons and visibility are the same as for DNS points: a result is
//! sealed ∪ open at a single moment.
//!
//! **Slots reported twice.** A restarted probe may report a slot again in another batch. The greater value counts. This
//! rule needs no memory of who reported what, so open and sealed points, raw points and roll-ups, late and in-order
//! data all lead to the same result. Past the raw horizon there is nothing left to compare with, and such a slot counts
//! as another value of its bucket. Open blocks are sealed before the horizon passes them, so that this can only affect
//! data that *arrives* past the horizon.
//!
//! The keys are those of DNS points (`database/key.rs`), in separate families. `value.rs` describes the values, and
//! `column.rs` their compression.

mod bits;
pub(crate) mod bucket;
mod column;
pub(crate) mod points;
mod scan;
pub(crate) mod sealing;
pub(crate) mod series;
pub(crate) mod value;

pub use bucket::Bucket;
pub use scan::{SystemPoints, SystemSelection};
pub use series::SeriesReader;

use crate::database::{Database, key};
use crate::lock::{Mutex, Rank, RwLock};
use crate::share::{Bounds, Shares};
use crate::waiting::Waiting;
use crate::{Error, Options};
use series::SeriesNames;
use std::sync::atomic::AtomicU64;

/// The in-memory state of system metrics.
pub(crate) struct System {
    pub(crate) series: RwLock<SeriesNames>,
    /// Each server's share of series. Rejections are counted in points.
    pub(crate) shares: Mutex<Shares>,
    /// Hours and servers with open blocks.
    pub(crate) waiting: Mutex<Waiting>,
    /// Number of points rejected since startup because there were too many series.
    pub(crate) refused_points: AtomicU64,
}

impl System {
    pub(crate) fn load(database: &Database, options: &Options) -> Result<Self, Error> {
        let series = SeriesNames::load(database)?;
        // A share is enough: machines have few series and rarely add new ones.
        let bounds = Bounds { max: options.max_series.max(1) as u64, per_minute: 0, burst: u64::MAX };
        let shares = Shares::new(bounds, series.len() as u64, series.owned());
        Ok(System {
            series: RwLock::new(Rank::Series, series),
            shares: Mutex::new(Rank::SeriesShares, shares),
            waiting: Mutex::new(Rank::SystemWaiting, Waiting::load(database, key::SYSTEM_OPEN, options.seal_after_quiet_s)?),
            refused_points: AtomicU64::new(0),
        })
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
