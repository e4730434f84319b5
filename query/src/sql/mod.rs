//! SQL: which statements are accepted, rules for planning them, and functions that differ from DataFusion's.

mod answer;
mod arithmetic;
mod hosts;
mod parse;
mod plan_cache;
mod saturating;
mod sum_in_scan;

pub(crate) use answer::size_bytes;
pub use answer::{SqlAnswer, SqlLimits};
pub(crate) use arithmetic::WholeNumbers;
pub(crate) use hosts::CanonicalHosts;
pub use parse::{MAX_SQL_BYTES, warning_of};
pub(crate) use parse::{bad, names_kind, parse};
pub(crate) use plan_cache::{PlanCache, lasts};
pub(crate) use saturating::sum as saturating_sum;
pub(crate) use sum_in_scan::SumInScan;
