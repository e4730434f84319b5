//! DNS points: open blocks, sealed values, and reading both.

pub(crate) mod block;
pub(crate) mod cell;
pub(crate) mod parts;
pub(crate) mod scan;
pub(crate) mod sealing;
pub(crate) mod selection;
mod sink;
pub(crate) mod sums;
pub(crate) mod value;
mod walk;
