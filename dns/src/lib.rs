//! The DNS vocabulary shared by both programs.
//!
//! DNS uses numbers for types, RCODEs and opcodes, and labels of arbitrary octets for names. People
//! read mnemonics and dotted names. This crate is the only one that knows both, so that the probe's
//! `tally`, batches, filters and answers of the API all spell a record the same way:
//!
//! * a name is in presentation format with the escapes of RFC 1035 section 5.1, in lower-case
//!   ASCII, and ends with a dot; names compare as in RFC 4343;
//! * a type is its mnemonic, or `TYPE###` if it has none (RFC 3597);
//! * an RCODE is its IANA mnemonic, or `RCODE###`.
//!
//! Parsing messages is the probe's job, and not done here.

mod code;
mod kind;
pub mod name;
mod rtype;

pub use code::{Opcode, ResponseCode};
pub use kind::{Action, MessageKind, Served};
pub use rtype::RecordType;

/// Why a text is not a valid name, type, RCODE or action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither a known mnemonic, nor a number up to 65535, nor `TYPE` and such a number.
    #[error("unknown record type {0:?}: use a mnemonic such as AAAA, or a number from 0 to 65535")]
    UnknownType(String),
    /// Neither a known mnemonic, nor a number up to 4095, nor `RCODE` and such a number.
    #[error("unknown response code {0:?}: use a mnemonic such as NXDOMAIN, or a number from 0 to 4095")]
    UnknownResponseCode(String),
    /// Neither `request` nor `response`.
    #[error("unknown action {0:?}: use request or response")]
    UnknownAction(String),
    /// Not a domain name in presentation format; the second field says why.
    #[error("{0:?} is not a domain name: {1}")]
    BadName(String, &'static str),
}
