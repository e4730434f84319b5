//! Decrypting while reading.

use super::header::{self, MAX_HEADER};
use super::keys::Identity;
use super::{CHUNK, NONCE, TAG, chunk_nonce, payload_key};
use ring::aead::{Aad, LessSafeKey};
use std::io::{self, BufRead, BufReader, Read};

/// Why something is not decrypted.
#[derive(Debug, thiserror::Error)]
pub enum Undecryptable {
    /// It is for other identities.
    #[error("it was encrypted for another key")]
    WrongKey,
    /// It does not have the form, or was changed or cut off.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the plain text of what another reader yields. Every byte that it returns was verified; only the end tells whether
/// all of them were there. Errors of [`Read`] carry an [`Undecryptable`].
pub struct Decrypting<R> {
    encrypted: BufReader<R>,
    key: LessSafeKey,
    number: u64,
    ready: Vec<u8>,
    read: usize,
    is_over: bool,
}

impl<R: Read> Decrypting<R> {
    /// Reads the header.
    pub fn new(encrypted: R, identities: &[Identity]) -> Result<Self, Undecryptable> {
        let mut encrypted = BufReader::with_capacity(CHUNK + TAG, encrypted);
        let header = read_header(&mut encrypted)?;
        let damaged = |_| Undecryptable::Damaged("the header is not that of a file of age");
        let file_key = header::open(&header, identities).map_err(damaged)?.ok_or(Undecryptable::WrongKey)?;
        let mut nonce = [0; NONCE];
        encrypted.read_exact(&mut nonce).map_err(|error| cut_off(error, "it ends after the header"))?;
        let key = payload_key(&file_key, &nonce).map_err(damaged)?;
        Ok(Decrypting { encrypted, key, number: 0, ready: Vec::new(), read: 0, is_over: false })
    }

    fn open(&mut self) -> Result<(), Undecryptable> {
        let mut chunk = std::mem::take(&mut self.ready);
        chunk.clear();
        Read::by_ref(&mut self.encrypted).take((CHUNK + TAG) as u64).read_to_end(&mut chunk)?;
        let is_last = self.encrypted.fill_buf()?.is_empty();
        let damaged = Undecryptable::Damaged("a part of it was changed, or its end is missing");
        let Ok(plain) = self.key.open_in_place(chunk_nonce(self.number, is_last), Aad::empty(), &mut chunk) else {
            return Err(damaged);
        };
        let length = plain.len();
        if length == 0 && self.number > 0 {
            return Err(damaged);
        }
        chunk.truncate(length);
        (self.ready, self.read, self.is_over) = (chunk, 0, is_last);
        self.number += 1;
        Ok(())
    }
}

impl<R: Read> Read for Decrypting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.read == self.ready.len() && !self.is_over {
            self.open().map_err(|error| match error {
                Undecryptable::Io(error) => error,
                error => io::Error::new(io::ErrorKind::InvalidData, error),
            })?;
        }
        let mut left = self.ready.get(self.read..).unwrap_or_default();
        let read = left.read(into)?;
        self.read += read;
        Ok(read)
    }
}

/// Everything up to the end of the line with the HMAC.
fn read_header(encrypted: &mut impl BufRead) -> Result<Vec<u8>, Undecryptable> {
    let mut header = Vec::new();
    loop {
        let before = header.len();
        let room = (MAX_HEADER - before) as u64;
        encrypted.by_ref().take(room).read_until(b'\n', &mut header)?;
        let line = header.get(before..).unwrap_or_default();
        if !line.ends_with(b"\n") {
            return Err(Undecryptable::Damaged("the header is cut off or not that of a file of age"));
        }
        if line.starts_with(b"--- ") {
            return Ok(header);
        }
    }
}

fn cut_off(error: io::Error, what: &'static str) -> Undecryptable {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Undecryptable::Damaged(what),
        _ => Undecryptable::Io(error),
    }
}
