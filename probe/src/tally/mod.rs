//! The table of an interval.
