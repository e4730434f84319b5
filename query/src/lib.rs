//! Questions about the store, answered by DataFusion.
//!
//! (The module's text follows.)

mod error;
mod pattern;
mod types;

pub use error::Error;
pub use pattern::HostPattern;
pub use types::{Answer, Bucket, By, Filter, MAX_LIMIT, Options, Page, SortKey, TimeRange};
