//! Encrypting while reading.

use super::keys::Recipient;
use super::{CHUNK, NONCE, TAG, chunk_nonce, header, payload_key};
use ring::aead::{Aad, LessSafeKey};
use ring::error::Unspecified;
use std::io::{self, Read};

/// Reads the encrypted form of what another reader yields. Holds one chunk.
pub struct Encrypting<R> {
    plain: R,
    key: LessSafeKey,
    /// The number of the next chunk.
    number: u64,
    /// The plain text of the next chunk, which may be the last one.
    next: Vec<u8>,
    /// What is ready, and how much of it was read.
    ready: Vec<u8>,
    read: usize,
    is_over: bool,
}

impl<R: Read> Encrypting<R> {
    /// For these recipients, of whom there is at least one.
    pub fn new(mut plain: R, recipients: &[Recipient]) -> io::Result<Self> {
        let (mut ready, file_key) = header::make(recipients).map_err(failed)?;
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(io::Error::other)?;
        ready.extend_from_slice(&nonce);
        let key = payload_key(&file_key, &nonce).map_err(failed)?;
        let next = chunk(&mut plain)?;
        Ok(Encrypting { plain, key, number: 0, next, ready, read: 0, is_over: false })
    }

    fn seal(&mut self) -> io::Result<()> {
        let after = if self.next.len() < CHUNK { Vec::new() } else { chunk(&mut self.plain)? };
        // Only the chunk of an empty file is empty.
        self.is_over = after.is_empty();
        self.ready = std::mem::replace(&mut self.next, after);
        let nonce = chunk_nonce(self.number, self.is_over);
        self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut self.ready).map_err(failed)?;
        self.number += 1;
        self.read = 0;
        Ok(())
    }
}

impl<R: Read> Read for Encrypting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.read == self.ready.len() && !self.is_over {
            self.seal()?;
        }
        let mut left = self.ready.get(self.read..).unwrap_or_default();
        let read = left.read(into)?;
        self.read += read;
        Ok(read)
    }
}

/// The next bytes, as many as a chunk holds unless they end before.
fn chunk(plain: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(CHUNK + TAG);
    plain.take(CHUNK as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The length of what a number of bytes becomes, bytes.
pub fn encrypted_bytes(plain_bytes: u64, recipients: usize) -> u64 {
    let chunks = plain_bytes.div_ceil(CHUNK as u64).max(1);
    header::length(recipients) + NONCE as u64 + plain_bytes + chunks * TAG as u64
}

fn failed(_: Unspecified) -> io::Error {
    io::Error::other("encryption failed: the system yields no random numbers, or a recipient's key is invalid")
}
