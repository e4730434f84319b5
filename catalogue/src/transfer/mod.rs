//! Zone transfers: a zone as a **primary** has it, over TCP, signed with TSIG.
//!
//! A full transfer (AXFR, RFC 5936) is the whole zone. An incremental one (IXFR, RFC 1995) is what changed since a serial
//! that the caller has; the primary may answer it with the full zone as well. Either may take thousands of messages.
//!
//! Records are handed out one by one as they arrive, so a million of them need no more memory than one message, and a slow
//! reader slows the primary down. (Knot drops a reader that keeps it from sending a message for its `tcp-io-timeout`, 500 ms
//! unless configured, once the buffers of both sockets are full.) **Records count only once `next` has returned `None`**:
//! until then the primary may still fail, change the zone under way, or turn out not to have the key. An error means that
//! the records received so far must be dropped.
//!
//! [`notify`] reads the hint that a zone has changed (RFC 1996).
//!
//! Parsing of messages and TSIG are the crate `domain`'s. Its client transport is not used: it gives no control over memory,
//! and takes a first message with nothing but a SOA for a whole answer to IXFR, which is wrong for primaries that send one
//! record per message.

mod canonical;
mod connection;
mod error;
mod key;
pub mod notify;
mod sequence;
pub mod serial;
mod signature;
mod stream;

pub use error::{Disorder, Error, Fault, KeyError, TsigFault};
pub use key::{Algorithm, MAX_FILE_BYTES, TsigKey};

use crate::{Name, Record};
use connection::Connection;
use sequence::{Asked, Item};
use std::net::SocketAddr;
use std::time::Duration;
use zonepulse_dns::{RecordType, ResponseCode};

/// A server to transfer zones from.
#[derive(Debug, Clone)]
pub struct Primary {
    /// Address and port, usually 53.
    pub address: SocketAddr,
    /// The key for signing requests. With a key, answers that are not signed with it are rejected.
    pub tsig: Option<TsigKey>,
    /// What a primary may take at most.
    pub bounds: Bounds,
}

impl Primary {
    /// A primary with the usual bounds.
    pub fn new(address: SocketAddr, tsig: Option<TsigKey>) -> Self {
        Primary { address, tsig, bounds: Bounds::default() }
    }
}

/// What a transfer may take at most, in time and in size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Time for connecting and sending the request.
    pub connect_timeout: Duration,
    /// Time without a whole message while one is being waited for; the time that a slow reader takes does not count.
    pub message_timeout: Duration,
    /// Time for the whole transfer, including that of a slow reader.
    pub total_timeout: Duration,
    /// Maximum number of records received, including SOAs.
    pub records: u64,
    /// Maximum size of all messages, octets.
    pub size_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            connect_timeout: Duration::from_secs(10),
            message_timeout: Duration::from_secs(30),
            total_timeout: Duration::from_secs(3600),
            records: 20_000_000,
            size_bytes: 4 << 30,
        }
    }
}

/// The answer to IXFR.
#[derive(Debug)]
pub enum Outcome {
    /// The primary has nothing newer. Its serial may be older than the caller's (RFC 1982) if it was restored from a backup.
    Current {
        /// The primary's serial.
        serial: u32,
    },
    /// The full zone: the primary cannot tell what changed.
    Full(Full),
    /// What changed.
    Incremental(Incremental),
}

/// A full zone being transferred.
#[derive(Debug)]
pub struct Full {
    connection: Connection,
    serial: u32,
}

impl Full {
    /// Serial of the zone being transferred.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// Number of records received so far, for a progress display.
    pub fn records(&self) -> u64 {
        self.connection.records()
    }

    /// The next record: the SOA, then all others in any order, each possibly more than once (RFC 5936 section 2.2). `None`
    /// once the zone is complete and verified. A call can be cancelled without losing a record.
    pub async fn next(&mut self) -> Result<Option<Record>, Error> {
        match self.connection.next().await? {
            Some(Item::Add(record)) => Ok(Some(record)),
            None => Ok(None),
            // Cannot happen: a full zone consists of additions.
            Some(_) => Err(Error::Failed),
        }
    }
}

/// A step of an incremental transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The record is gone. A SOA is the first record of every version's changes.
    Removed(Record),
    /// The record is new. A SOA is the first of those that a version adds.
    Added(Record),
}

/// Changes being transferred.
#[derive(Debug)]
pub struct Incremental {
    connection: Connection,
    from: u32,
    serial: u32,
}

impl Incremental {
    /// Serial of the version that the first change applies to.
    pub fn from(&self) -> u32 {
        self.from
    }

    /// Serial of the version after all changes.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// Number of records received so far.
    pub fn records(&self) -> u64 {
        self.connection.records()
    }

    /// The next step, to be applied in this order; a record may be removed and added again. `None` once all changes are
    /// complete and verified. A call can be cancelled without losing a step.
    pub async fn next(&mut self) -> Result<Option<Change>, Error> {
        match self.connection.next().await? {
            Some(Item::Add(record)) => Ok(Some(Change::Added(record))),
            Some(Item::Remove(record)) => Ok(Some(Change::Removed(record))),
            None => Ok(None),
            // Cannot happen: what kind of answer it is comes first.
            Some(_) => Err(Error::Failed),
        }
    }

    /// All versions at once. Their number of records is bounded by [`Bounds::records`] only.
    pub async fn versions(mut self) -> Result<Vec<Version>, Error> {
        let mut versions: Vec<Version> = Vec::new();
        while let Some(change) = self.next().await? {
            match change {
                Change::Removed(record) if record.rtype == RecordType::SOA => {
                    let from = sequence::serial_in(&record.rdata).unwrap_or_default();
                    versions.push(Version { from, removed: vec![record], to: from, added: Vec::new() });
                }
                Change::Removed(record) => versions.last_mut().into_iter().for_each(|last| last.removed.push(record.clone())),
                Change::Added(record) => {
                    let Some(last) = versions.last_mut() else { continue };
                    if record.rtype == RecordType::SOA {
                        last.to = sequence::serial_in(&record.rdata).unwrap_or_default();
                    }
                    last.added.push(record);
                }
            }
        }
        Ok(versions)
    }
}

/// What changed from one version of a zone to a newer one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The older serial.
    pub from: u32,
    /// Records of the older version that the newer one does not have, its SOA first.
    pub removed: Vec<Record>,
    /// The newer serial.
    pub to: u32,
    /// Records that only the newer version has, its SOA first.
    pub added: Vec<Record>,
}

/// The serial of a zone at its primary.
pub async fn soa(primary: &Primary, apex: &Name) -> Result<u32, Error> {
    let mut connection = Connection::open(primary, apex, Asked::Soa).await?;
    match connection.next().await? {
        Some(Item::Full(serial)) => Ok(serial),
        _ => Err(Error::Message(1, Fault::NoSoa)),
    }
}

/// Transfers a full zone.
pub async fn axfr(primary: &Primary, apex: &Name) -> Result<Full, Error> {
    let mut connection = Connection::open(primary, apex, Asked::Full).await?;
    match connection.next().await? {
        Some(Item::Full(serial)) => Ok(Full { connection, serial }),
        _ => Err(Error::Message(1, Fault::Empty)),
    }
}

/// Transfers what changed since `serial`, or the full zone from a primary that does not support it (RFC 1995 section 4).
pub async fn ixfr(primary: &Primary, apex: &Name, serial: u32) -> Result<Outcome, Error> {
    let mut connection = Connection::open(primary, apex, Asked::Since(serial)).await?;
    match connection.next().await {
        Ok(Some(Item::Current(serial))) => Ok(Outcome::Current { serial }),
        Ok(Some(Item::Full(serial))) => Ok(Outcome::Full(Full { connection, serial })),
        Ok(Some(Item::Incremental(to))) => Ok(Outcome::Incremental(Incremental { connection, from: serial, serial: to })),
        Ok(_) => Err(Error::Message(1, Fault::Empty)),
        Err(Error::Refused(code)) if lacks_ixfr(code) => Ok(Outcome::Full(axfr(primary, apex).await?)),
        // A newer SOA alone means "use TCP", from a primary that takes this for UDP.
        Err(Error::Closed(..) | Error::Stalled(..)) if connection.is_lone_soa() => Ok(Outcome::Full(axfr(primary, apex).await?)),
        Err(error) => Err(error),
    }
}

/// Whether a primary that answers IXFR so may still answer AXFR: FORMERR, SERVFAIL, NOTIMP.
fn lacks_ixfr(code: ResponseCode) -> bool {
    matches!(code.value(), 1 | 2 | 4)
}

/// The records in a captured answer: its messages, each with the two octets of its length before it as TCP carries them.
/// `since` is the serial that IXFR asked for; without it the answer is to AXFR. Records that an incremental answer removes
/// are included. With a key, only an answer without signatures to check, an error, can be read.
pub fn read_answer(octets: &[u8], apex: &Name, since: Option<u32>, key: Option<&TsigKey>) -> Result<Vec<Record>, Error> {
    let asked = since.map_or(Asked::Full, Asked::Since);
    let (_, mut stream) = stream::Stream::request(apex, asked, key, u64::MAX, 0)?;
    if let Some(id) = octets.get(2..).and_then(|message| message.first_chunk()) {
        stream.set_id(u16::from_be_bytes(*id));
    }
    let mut received = bytes::BytesMut::from(octets);
    let mut records = Vec::new();
    while !stream.is_complete() {
        let message = connection::split_frame(&mut received).ok_or(Error::Truncated(stream.messages()))?;
        stream.message(message, 0)?;
        while let Some(item) = stream.next() {
            if let Item::Add(record) | Item::Remove(record) = item {
                records.push(record);
            }
        }
    }
    if received.is_empty() { Ok(records) } else { Err(stream.trailing()) }
}
