//! The envelope of every message of a probe, whatever its kind.
//!
//! ```text
//! header   magic "ZPBT" · version u8 · server_id u32 · epoch u64 · seq u64 ·
//!          body_bytes u32 · checksum u32               (little endian, 33 bytes)
//! body     one zstd frame of body_bytes bytes
//! ```
//!
//! The version also determines the kind of message: 1 is a DNS batch (`codec.rs`), 2 a system batch
//! (`system.rs`). The checksum is the CRC-32 (IEEE) of everything else. The header is readable in
//! every version up to its `seq`, so that a message of an unknown version can still be attributed.

use crate::bounds::{END_OF_TIME_S, MAX_EVICTED, MAX_SEQ};
use std::cell::RefCell;
use std::io::Read;
use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_model::{Evicted, Identity, ServerId};

/// No encoded batch is larger, bytes.
pub const MAX_ENCODED_BYTES: usize = 16 << 20;
/// Maximum size of a batch before compression, bytes.
pub const MAX_BODY_BYTES: usize = 64 << 20;

/// The version of a DNS batch.
pub const VERSION: u8 = 1;
/// The version of a system batch.
pub(crate) const SYSTEM_VERSION: u8 = 2;
/// The latest version of any kind of message.
pub(crate) const LATEST_VERSION: u8 = SYSTEM_VERSION;

pub(crate) const HEADER_BYTES: usize = 33;
thread_local! {
    /// State for decompression, which costs more to create than a small message to read.
    static UNPACKER: RefCell<Option<Unpacker>> = const { RefCell::new(None) };
}

struct Unpacker {
    decompressor: zstd::bulk::Decompressor<'static>,
    /// The last body, whose memory is reused.
    body: Vec<u8>,
}

/// The memory of a larger body is freed.
const KEPT_BODY_BYTES: usize = 1 << 20;

const MAGIC: &[u8; 4] = b"ZPBT";
const VERSION_AT: usize = 4;
const CHECKSUM_AT: usize = 29;
/// Upper bound on everything before the records or series of a body.
const MAX_HEAD_BYTES: u64 = 1 << 20;

/// Begins a message with placeholders for what is known only at the end; the body follows.
pub(crate) fn begin(version: u8, identity: &Identity, likely_body_bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + likely_body_bytes);
    out.extend_from_slice(MAGIC);
    out.push(version);
    out.extend_from_slice(&identity.server_id.get().to_le_bytes());
    out.extend_from_slice(&identity.epoch.to_le_bytes());
    out.extend_from_slice(&identity.seq.to_le_bytes());
    out.resize(HEADER_BYTES, 0);
    out
}

/// Fills in the length of the body, and the checksum.
pub(crate) fn finish(mut out: Vec<u8>, body_bytes: usize) -> Result<Vec<u8>, Error> {
    if body_bytes > MAX_BODY_BYTES {
        return Err(Error::Bound("bytes before compression", MAX_BODY_BYTES));
    }
    if out.len() > MAX_ENCODED_BYTES {
        return Err(Error::Bound("bytes", MAX_ENCODED_BYTES));
    }
    let (header, packed) = out.split_at_mut_checked(HEADER_BYTES).ok_or(Error::Malformed("header"))?;
    let (head, sum) = header.split_at_mut_checked(CHECKSUM_AT).ok_or(Error::Malformed("header"))?;
    if let Some(room) = head.last_chunk_mut() {
        *room = (body_bytes as u32).to_le_bytes();
    }
    sum.copy_from_slice(&checksum(head, packed).to_le_bytes());
    Ok(out)
}

/// A message with a verified header.
pub(crate) struct Envelope<'a> {
    identity: Identity,
    body_bytes: usize,
    packed: &'a [u8],
}

/// Verifies the header of a message of this version.
pub(crate) fn open(bytes: &[u8], version: u8) -> Result<Envelope<'_>, Error> {
    let identity = peek_identity(bytes)?;
    let found = peek_version(bytes);
    if found != version {
        return Err(Error::UnknownVersion { found, known: version });
    }
    if bytes.len() > MAX_ENCODED_BYTES {
        return Err(Error::Bound("bytes", MAX_ENCODED_BYTES));
    }
    let (header, packed) = bytes.split_at_checked(HEADER_BYTES).ok_or(Error::Malformed("header"))?;
    let (head, sum) = header.split_at_checked(CHECKSUM_AT).ok_or(Error::Malformed("header"))?;
    if sum != checksum(head, packed).to_le_bytes() {
        return Err(Error::Checksum);
    }
    if identity.server_id.get() == 0 {
        return Err(Error::Malformed("server id"));
    }
    if identity.seq > MAX_SEQ {
        return Err(Error::Malformed("sequence number"));
    }
    let body_bytes = u32::from_le_bytes(array(head, 25)?) as usize;
    if body_bytes > MAX_BODY_BYTES {
        return Err(Error::Bound("bytes before compression", MAX_BODY_BYTES));
    }
    Ok(Envelope { identity, body_bytes, packed })
}

impl Envelope<'_> {
    /// Decompresses and reads the whole body.
    pub(crate) fn unpack<T>(self, read: impl FnOnce(Identity, &mut Reader<'_>) -> Result<T, Error>) -> Result<T, Error> {
        UNPACKER.with_borrow_mut(|kept| {
            let Unpacker { decompressor, body } = match kept {
                Some(unpacker) => unpacker,
                None => {
                    let decompressor = zstd::bulk::Decompressor::new().map_err(|_| Error::Malformed("body"))?;
                    kept.insert(Unpacker { decompressor, body: Vec::new() })
                }
            };
            body.clear();
            body.reserve_exact(self.body_bytes);
            // The buffer may be larger than the announced length.
            match decompressor.decompress_to_buffer(self.packed, body) {
                Ok(bytes) if bytes == self.body_bytes => {}
                _ => return Err(Error::Malformed("body")),
            }
            let mut reader = Reader::new(body);
            let message = read(self.identity, &mut reader);
            let message = if reader.is_empty() { message } else { message.and(Err(Error::Malformed("end"))) };
            if body.capacity() > KEPT_BODY_BYTES {
                *body = Vec::new();
            }
            message
        })
    }

    /// The identity, and the beginning of the body.
    pub(crate) fn unpack_head(self) -> Result<(Identity, Vec<u8>), Error> {
        let mut head = Vec::new();
        let unpacker = zstd::stream::read::Decoder::with_buffer(self.packed).map_err(|_| Error::Malformed("body"))?;
        unpacker.take(MAX_HEAD_BYTES).read_to_end(&mut head).map_err(|_| Error::Malformed("body"))?;
        Ok((self.identity, head))
    }
}

/// Reads the identity of a message of any version.
pub fn peek_identity(bytes: &[u8]) -> Result<Identity, Error> {
    if bytes.get(..MAGIC.len()) != Some(MAGIC) {
        return Err(Error::NotABatch);
    }
    Ok(Identity {
        server_id: ServerId::new(u32::from_le_bytes(array(bytes, 5)?)),
        epoch: u64::from_le_bytes(array(bytes, 9)?),
        seq: u64::from_le_bytes(array(bytes, 17)?),
    })
}

/// The version of a message whose identity [`peek_identity`] could read; it determines the kind of
/// message.
pub fn peek_version(bytes: &[u8]) -> u8 {
    bytes.get(VERSION_AT).copied().unwrap_or_default()
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Error> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(Error::Malformed("header"))
}

fn checksum(head: &[u8], packed: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(packed);
    hasher.finalize()
}

/// Appends a loss as in every kind of body: 0, or batches · from_s · until_s - from_s. Values
/// beyond a limit are written as the limit: an approximate loss is better than a batch refused for
/// it.
pub(crate) fn put_evicted(out: &mut Vec<u8>, evicted: Option<Evicted>) {
    match evicted {
        Some(evicted) if evicted.batches > 0 => {
            let (from_s, until_s) = (evicted.from_s.min(END_OF_TIME_S), evicted.until_s.min(END_OF_TIME_S));
            put(out, evicted.batches.min(MAX_EVICTED));
            put(out, from_s);
            put(out, until_s.saturating_sub(from_s));
        }
        // A loss of zero batches is written as no loss, which is how readers would take it.
        _ => put(out, 0),
    }
}

/// Reads what [`put_evicted`] wrote.
pub(crate) fn read_evicted(reader: &mut Reader<'_>) -> Result<Option<Evicted>, Error> {
    let batches = reader.below(MAX_EVICTED + 1, "evicted")?;
    if batches == 0 {
        return Ok(None);
    }
    let from_s = reader.below(END_OF_TIME_S + 1, "evicted")?;
    let until_s = from_s + reader.below(END_OF_TIME_S - from_s + 1, "evicted")?;
    Ok(Some(Evicted { batches, from_s, until_s }))
}

/// Why bytes are not a valid batch, or a batch cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes do not begin like a batch of any version.
    #[error("not a Zonepulse batch")]
    NotABatch,
    /// The batch is from a newer probe, or a much older one. It may be valid: keep it, and update
    /// the older program.
    #[error("batch of format version {found}; this program reads version {known}: update the older of the two")]
    UnknownVersion {
        /// The version of the batch.
        found: u8,
        /// The latest version that this program reads.
        known: u8,
    },
    /// The bytes were changed.
    #[error("the batch's checksum does not match: it was damaged in transit")]
    Checksum,
    /// A part of the batch is invalid.
    #[error("malformed batch: {0}")]
    Malformed(&'static str),
    /// A limit of the format is exceeded.
    #[error("the batch has more than {1} {0}")]
    Bound(&'static str, usize),
}

impl From<Malformed> for Error {
    fn from(Malformed(what): Malformed) -> Self {
        Error::Malformed(what)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A message with this body, valid or not.
    pub(crate) fn with_body(version: u8, identity: &Identity, body: &[u8]) -> Vec<u8> {
        let mut out = begin(version, identity, body.len());
        out.extend(zstd::bulk::compress(body, 1).unwrap());
        finish(out, body.len()).unwrap()
    }

    const IDENTITY: Identity = Identity { server_id: ServerId::new(7), epoch: 8, seq: 9 };

    #[test]
    fn a_header_stays_as_it_is_byte_for_byte() {
        let bytes = with_body(3, &IDENTITY, b"abc");
        assert_eq!(bytes[..29], *b"ZPBT\x03\x07\0\0\0\x08\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x03\0\0\0");
        assert_eq!(bytes[29..33], checksum(&bytes[..29], &bytes[33..]).to_le_bytes());
        let body = |identity, reader: &mut Reader<'_>| Ok((identity, reader.bytes(3, "body")?.to_vec()));
        assert_eq!(open(&bytes, 3).unwrap().unpack(body), Ok((IDENTITY, b"abc".to_vec())));
    }

    #[test]
    fn a_body_that_unpacks_to_more_or_less_than_it_says_is_refused() {
        for says in [10, 1 << 21] {
            let mut out = begin(1, &IDENTITY, 0);
            out.extend(zstd::bulk::compress(&vec![0; 1 << 20], 1).unwrap());
            let bytes = finish(out, says).unwrap();
            assert_eq!(open(&bytes, 1).unwrap().unpack(|_, _| Ok(())), Err(Error::Malformed("body")));
        }
    }
}
