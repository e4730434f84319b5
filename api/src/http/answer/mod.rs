//! How answers are written: rows in the format that a request accepts, lists, problems, and all of them compressed.

pub mod compress;
mod failures;
mod json;
pub mod listing;
pub mod negotiate;
pub mod packed;
pub mod paging;
pub mod problem;
pub mod render;
pub mod rows;
mod spreadsheet;
