//! A sealed value: the points of 256 records of one server and hour at one [`Level`](crate::Level), stored record by
//! record in the family `sealed`.
//!
//! ```text
//! version u8 = 2 · unit_ms · parts
//! part     interval_s · kind · bytes of the rest of the part · records · points ·
//!          column of places · bytes of the hits · column of hits · columns of ages
//! column   stored bytes · bytes
//! ```
//!
//! Numbers are LEB128. An hour is divided into slots of `interval_s`. The *places* column holds the records' low bytes
//! (the first one, then differences, one byte each), followed by a bitmap for each record with one bit per slot, lowest
//! first, padded to whole bytes. *Hits* are LEB128. *Ages* (units between the last access and the slot's last unit) are
//! stored as byte planes, lowest first, as many as the greatest possible age in a slot needs. Both are ordered by
//! record, then slot. The unit is a second or a millisecond ([`Precision`]). Version 1 has no `unit_ms`; its unit is
//! the millisecond.
//!
//! A column with fewer stored bytes than its actual size is compressed with zstd. Columns are compressed individually:
//! the lowest plane of ages is noise, which costs nothing this way, and a query that does not need last accesses never
//! touches their columns. A query about one of the 256 records picks its numbers from the columns and skips the rest.

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
