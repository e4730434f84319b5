//! The DNS vocabulary that both programs share.
//!
//! DNS numbers its types, response codes and opcodes, and writes names as
//! labels of arbitrary octets. People read mnemonics and dotted text. This
//! crate is the one place that knows both sides, so that the probe's `tally`,
//! a batch, a filter of the API and an answer of the API all spell a record
//! the same way:
//!
//! * a name is lower-case ASCII, in presentation format with the escapes of
//!   RFC 1035 section 5.1, and ends with a dot; names compare as RFC 4343 says;
//! * a type is its mnemonic, or `TYPE###` where it has none (RFC 3597);
//! * a response code is its IANA mnemonic, or `RCODE###`.
//!
//! It parses no messages: that is the probe's work, in one place.

mod code;
mod kind;
pub mod name;
mod rtype;

pub use code::{Opcode, ResponseCode};
pub use kind::{Action, MessageKind};
pub use rtype::RecordType;

/// What was wrong with a text that should name something of DNS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither a known mnemonic, nor a number up to 65535, nor `TYPE` and one.
    #[error("unknown record type {0:?}: use a mnemonic such as AAAA, or a number from 0 to 65535")]
    UnknownType(String),
    /// Neither a known mnemonic, nor a number up to 4095, nor `RCODE` and one.
    #[error("unknown response code {0:?}: use a mnemonic such as NXDOMAIN, or a number from 0 to 4095")]
    UnknownResponseCode(String),
    /// Neither `request` nor `response`.
    #[error("unknown action {0:?}: use request or response")]
    UnknownAction(String),
    /// Not a domain name in presentation format; the second field says why.
    #[error("{0:?} is not a domain name: {1}")]
    BadName(String, &'static str),
}
