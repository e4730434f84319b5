//! How answers are written: rows in the negotiated format, lists, problems, and compression for all of them.

pub mod compress;
mod failures;
mod json;
pub mod listing;
pub mod negotiate;
pub mod packed;
pub mod paging;
pub mod problem;
pub mod render;
pub mod room;
pub mod rows;
mod spreadsheet;
pub mod stream;
