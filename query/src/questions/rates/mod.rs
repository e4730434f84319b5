//! Rates: hits on a grid of steps, divided by the time in which they were observed.

mod grid;
mod reported;
mod rows;
mod rps;
