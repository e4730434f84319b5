//! Tests of reading frames.
