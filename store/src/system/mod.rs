//! Metrics of the machines: how a server is doing, every few seconds.
//!
//! # The concept
//!
//! A *series* is one metric and label ("cpu_percent", core "0"); the store numbers them ([`series`]). A value
//! of a series in a slot of a few seconds is a *point*. A batch brings some slots of many series and lands as an
//! open block, as points of DNS do; it is found by the same marker, in the same write. Hours that have passed
//! are sealed by the same upkeep ([`sealing`]), column by column, a column being an hour of one series; roll-ups
//! say of each bucket the least, greatest, mean and last value, and how many there were. Retention, horizons
//! and what a reader sees are those of DNS points: an answer is sealed ∪ open, of one moment.
//!
//! **One slot, told twice.** A probe that was started again may tell of a slot for the second time, in another
//! batch. The greater value counts: a rule that needs no memory of who told what, so that open and sealed
//! points, raw ones and roll-ups, late or in order, all come to the same. Behind the raw horizon there
//! is nothing left to compare with, and such a slot counts as another value of its bucket. So that only
//! what *arrives* there can be counted so, open blocks are sealed before the horizon passes them.
//!
//! The keys are those of DNS (`database/key.rs`), in families of their own; `value.rs` describes the values, and
//! `column.rs` how little they take.

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

/// What is in memory of it.
pub(crate) struct System {
    pub(crate) series: RwLock<SeriesNames>,
    /// Whose they are. What is refused is points.
    pub(crate) shares: Mutex<Shares>,
    /// Hours and servers with open blocks.
    pub(crate) waiting: Mutex<Waiting>,
    /// Points that were not taken since the start, because there were too many series.
    pub(crate) refused_points: AtomicU64,
}

impl System {
    pub(crate) fn load(database: &Database, options: &Options) -> Result<Self, Error> {
        let series = SeriesNames::load(database)?;
        // A share is enough: machines have few series, and new ones seldom.
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
