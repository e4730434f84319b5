//! The catalogue: the zones that servers serve, and what can be said about their records without any traffic.
//!
//! DNS answers with **RRsets**: all records of one owner and type. A reader cannot tell which value of an RRset was
//! useful to a client, so the RRset is the unit of everything here, and is called a *resource* once it has an id.
//!
//! * [`file`] reads zone files (RFC 1035 section 5), [`transfer`] fetches zones from a primary (AXFR, IXFR).
//! * [`rdata`] converts RDATA between wire and presentation format.
//! * [`Zone`] is one version of a zone: immutable, compact, in canonical order (RFC 4034 section 6.1); [`set`] has all of
//!   them.
//! * [`lookup`] answers a query as an authoritative server does, [`usage`] credits the RRsets that take part.
//! * [`references`] says what refers to what, [`protection`] what works by its presence alone.
//! * [`verdict`] turns usage and observation into an answer to "can this be deleted?".
//! * [`removal`] predicts what deleting a set of RRsets changes, [`retirement`] writes the commands for it.
//!
//! This crate has no store, no configuration, and no network but DNS. Time is passed in.

mod error;
pub mod file;
pub mod lookup;
pub mod name;
pub mod protection;
pub mod rdata;
mod record;
pub mod references;
pub mod removal;
pub mod retirement;
pub mod set;
#[cfg(test)]
mod testing;
pub mod transfer;
pub mod usage;
pub mod verdict;
pub mod zone;

pub use error::Error;
pub use name::Name;
pub use record::Record;
pub use set::{Slot, ZoneIndex, ZoneSet};
pub use zone::{Builder, RrsetIndex, RrsetRef, Zone};
