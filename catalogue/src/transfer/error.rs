//! Why a transfer, a key file or a NOTIFY was not accepted.

use crate::Name;
use std::net::SocketAddr;
use std::time::Duration;
use zonepulse_dns::{RecordType, ResponseCode};

/// Why a transfer failed. No variant contains a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No TCP connection.
    #[error("cannot connect to the primary {0}: {1}; check its address and that it allows TCP")]
    Connect(SocketAddr, #[source] std::io::Error),
    /// The connection broke.
    #[error("the connection to the primary {0} failed: {2} (messages received: {1})")]
    Connection(SocketAddr, u64, #[source] std::io::Error),
    /// The primary closed the connection before the answer was complete.
    #[error("the primary {0} closed the connection before the transfer was complete (messages received: {1})")]
    Closed(SocketAddr, u64),
    /// A captured answer ends before the transfer does.
    #[error("the answer ends before the transfer is complete (messages read: {0})")]
    Truncated(u64),
    /// No connection or no whole message in time.
    #[error("the primary {0} sent no whole message within {1:?}")]
    Stalled(SocketAddr, Duration),
    /// The transfer as a whole took too long.
    #[error("the transfer took longer than {0:?}; raise the bound if the zone is that large")]
    TooLong(Duration),
    /// More records than allowed.
    #[error("the primary sent more than {0} records; raise the bound if the zone is that large")]
    TooManyRecords(u64),
    /// More octets than allowed.
    #[error("the primary sent more than {0} octets; raise the bound if the zone is that large")]
    TooLarge(u64),
    /// The primary answered with an error.
    #[error("the primary answered {0}{hint}", hint = refusal_hint(*.0))]
    Refused(ResponseCode),
    /// A message that is not part of an answer to our request.
    #[error("message {0} of the answer is wrong: {1}")]
    Message(u64, Fault),
    /// Records in an order that no transfer has.
    #[error("record {0} of the answer is wrong: {1}")]
    Sequence(u64, Disorder),
    /// A signature that is missing or wrong.
    #[error("TSIG: {0}")]
    Tsig(#[from] TsigFault),
    /// What was transferred cannot be a zone.
    #[error("the primary's zone cannot be used: {0}")]
    Unusable(String),
    /// [`next`](super::Full::next) was called again after an error.
    #[error("this transfer has failed before")]
    Failed,
}

impl Error {
    /// Whether an incremental transfer failed in a way that a full one may not: the primary's changes do not connect.
    pub fn calls_for_full_transfer(&self) -> bool {
        matches!(self, Error::Sequence(_, Disorder::Gap { .. }))
    }
}

/// What the operator can do about an RCODE.
fn refusal_hint(code: ResponseCode) -> &'static str {
    match code.value() {
        2 => ": it may not have loaded the zone",
        5 => ": allow transfers of this zone to this address or key",
        9 => ": it is not authoritative for the zone, or rejects the key",
        _ => "",
    }
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Not a DNS message.
    #[error("it cannot be parsed as a DNS message")]
    Malformed,
    /// Another ID than the request's.
    #[error("its ID is not that of the request")]
    Id,
    /// The QR flag is clear.
    #[error("it is a request, not a response")]
    NotResponse,
    /// Another opcode than expected.
    #[error("its opcode is {0}")]
    Opcode(u8),
    /// The TC flag, over TCP.
    #[error("it is truncated")]
    Truncated,
    /// The question section differs from the request's.
    #[error("its question is not that of the request")]
    Question,
    /// No record in the answer section.
    #[error("its answer section is empty")]
    Empty,
    /// Records in the authority section.
    #[error("its authority section is not empty")]
    Authority,
    /// A class other than IN.
    #[error("it contains a record of class {0}, not IN")]
    Class(u16),
    /// A type that no zone contains.
    #[error("it contains a record of type {0}, which no zone can contain")]
    Type(RecordType),
    /// A record of another zone.
    #[error("it contains {0}, which is not in the zone")]
    OutOfZone(Name),
    /// Octets after the last record or after the last message.
    #[error("octets follow the last record")]
    Trailing,
    /// The answer to the SOA query has no SOA of the zone.
    #[error("it contains no SOA record of the zone: the primary may not serve it")]
    NoSoa,
    /// The AA flag is clear.
    #[error("it is not authoritative: the primary does not serve the zone")]
    NotAuthoritative,
}

/// What is wrong with the order of records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Disorder {
    /// The first record is not the zone's SOA.
    #[error("the first record must be the SOA of the zone, not {0} {1}")]
    NoFirstSoa(Name, RecordType),
    /// A SOA that does not end the zone within a full zone.
    #[error("this SOA with serial {found} differs from the first one, with serial {first}: the zone changed during the transfer")]
    OtherSoa {
        /// Serial of the first SOA.
        first: u32,
        /// Serial of this one.
        found: u32,
    },
    /// A SOA whose owner is not the apex.
    #[error("{0} has a SOA but is not the apex of the zone")]
    ForeignSoa(Name),
    /// A record after the last SOA.
    #[error("it follows the last SOA record")]
    AfterEnd,
    /// Incremental changes that do not connect.
    #[error("the changes continue at serial {found}, not at {expected}; transfer the full zone instead")]
    Gap {
        /// The serial that the next change must begin with.
        expected: u32,
        /// The serial that it begins with.
        found: u32,
    },
    /// The SOA's RDATA is too short.
    #[error("the SOA record is malformed")]
    BadSoa,
}

/// What is wrong with a signature (RFC 8945).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TsigFault {
    /// No signature where one is required.
    #[error("the answer is not signed; the primary may not know the key or may not require it")]
    Unsigned,
    /// BADKEY.
    #[error(
        "the primary does not know the key, or has another algorithm for it (BADKEY): compare name and algorithm on both sides"
    )]
    UnknownToPrimary,
    /// BADSIG.
    #[error("the primary has another secret for this key (BADSIG): compare the secrets on both sides")]
    RejectedByPrimary,
    /// BADTIME.
    #[error("the primary's clock differs from this machine's by {0} s (BADTIME): synchronise both clocks")]
    ClockOfPrimary(u64),
    /// BADTRUNC, or another TSIG error of the primary.
    #[error("the primary reported the TSIG error {0}")]
    Other(ResponseCode),
    /// The signature was made with another key.
    #[error("signed with another key or algorithm")]
    OtherKey,
    /// The signature does not match.
    #[error("the signature does not match the message: the secrets differ, or the message was changed on its way")]
    BadSignature,
    /// The signature is shorter than allowed.
    #[error("the signature is truncated")]
    Short,
    /// The time signed is not now.
    #[error("signed {0} s away from the time of this machine: synchronise both clocks")]
    Clock(u64),
    /// The TSIG record is malformed or not the last one.
    #[error("the TSIG record is malformed, or not the last record of the message")]
    Malformed,
    /// More than 99 unsigned messages in a row (RFC 8945 section 5.3.1).
    #[error("more than 99 unsigned messages in a row")]
    TooManyUnsigned,
    /// The last message is not signed.
    #[error("the last message is not signed, so its records cannot be trusted")]
    LastUnsigned,
}

/// Why a text is not a TSIG key. The text itself is never part of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// None of the known forms.
    #[error(
        "not a TSIG key: use algorithm:name:secret, or BIND's key \"name\" {{ algorithm ...; secret \"...\"; }};, or Knot's key: list"
    )]
    UnknownForm,
    /// A part is missing.
    #[error("the TSIG key has no {0}")]
    Missing(&'static str),
    /// A part is there twice.
    #[error("the TSIG key has two values for {0}")]
    Twice(&'static str),
    /// More than one key.
    #[error("the file has more than one TSIG key: keep only the one to use")]
    Several,
    /// The name is no domain name.
    #[error("the name of the TSIG key is not a domain name")]
    Name,
    /// An algorithm that is not supported.
    #[error("the TSIG algorithm is not supported: use hmac-sha256, hmac-sha384, hmac-sha512 or hmac-sha1")]
    Algorithm,
    /// The secret is not Base64.
    #[error("the secret of the TSIG key is not valid Base64")]
    Secret,
    /// The text is too long.
    #[error("the text is too long for a TSIG key: {0} octets at most")]
    TooLong(usize),
}
