//! A sealed value: the points of 256 records of one server and hour, of one
//! [`Level`](crate::Level), record by record; a value of the family `sealed`.
//!
//! ```text
//! version u8 = 2 · unit_ms · parts
//! part     interval_s · kind · bytes of the rest of the part · records · points ·
//!          column of places · bytes of the hits · column of hits · columns of ages
//! column   stored bytes · bytes
//! ```
//!
//! Numbers are LEB128. An hour is cut into slots of `interval_s`. The *places*
//! are the records' low bytes (the first, then differences, a byte each),
//! then for each record a bit for each slot, lowest first, whole bytes. *Hits*
//! are LEB128, *ages* (units between the last access and the slot's last one)
//! planes of bytes, lowest first, as many as the oldest age of a slot needs; both record by
//! record, slot by slot. The unit is a second or a millisecond ([`Precision`]).
//! Version 1 has no `unit_ms`; its unit is the millisecond.
//!
//! A column whose stored bytes are fewer than its own is compressed with zstd.
//! Each is compressed by itself: the lowest plane of ages is noise, which costs
//! nothing that way, and a question that does not ask for last accesses never
//! touches their columns. A question about one record of the 256 takes its numbers
//! out of the columns and passes over the others'.

mod cache;
mod columns;
mod decode;
mod encode;
mod format;
mod pool;

pub(crate) use columns::Columns;
pub(crate) use decode::{Decoder, Wanted};
pub(crate) use encode::Encoder;
pub(crate) use format::{Part, parts, precision};
pub(crate) use pool::Decoders;

#[cfg(test)]
mod tests;
