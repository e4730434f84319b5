//! The concepts that probe and central share, each declared once.
//!
//! * [`Identity`] says which batch a batch is, and [`Evicted`] which batches a probe had to drop.
//! * [`Interval`] is the length of time that is summed into one batch.
//!
//! # What this crate is not
//!
//! It does no I/O, knows no format on disk or on the wire, and depends on nothing: the probe links it.

mod batch;
mod interval;

pub use batch::{Evicted, Identity};
pub use interval::{Interval, NotAnInterval};
