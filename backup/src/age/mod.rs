//! The file format of age (<https://c2sp.org/age>), version 1, with X25519 recipients: what `age -r` writes and `age -d`
//! reads.
//!
//! A file begins with a header in text. It contains the *file key*, encrypted for each recipient, and an HMAC made with
//! the file key. The payload follows in chunks of 64 KiB, each with a tag (ChaCha20-Poly1305) and numbered, so that no
//! chunk can be changed, moved or cut off without notice. Whoever knows only recipients can encrypt and not decrypt.
//!
//! The crate `age` would add 63 crates, many of them second versions of crates that are here already. The format is
//! small, and everything cryptographic in it is ring's, but for X25519 with a key that is kept, which ring does not have.

mod decrypt;
mod encrypt;
mod header;
mod keys;
#[cfg(test)]
mod tests;

pub use decrypt::{Decrypting, Undecryptable};
pub use encrypt::{Encrypting, encrypted_bytes};
pub use keys::{BadKey, Identity, Recipient};

use ring::aead::{self, LessSafeKey, UnboundKey};
use ring::error::Unspecified;
use ring::hkdf;
use zeroize::Zeroizing;

/// Length of the plain text of a chunk, bytes.
const CHUNK: usize = 64 << 10;
/// Length of a chunk's tag, bytes.
const TAG: usize = 16;
/// Length of the nonce that the payload begins with, bytes.
const NONCE: usize = 16;

/// The key of one file.
type FileKey = Zeroizing<[u8; 16]>;

/// Derives a key of 32 bytes.
fn derive(salt: &[u8], secret: &[u8], what: &[u8]) -> Result<Zeroizing<[u8; 32]>, Unspecified> {
    let mut key = Zeroizing::new([0; 32]);
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    extracted.expand(&[what], hkdf::HKDF_SHA256)?.fill(key.as_mut())?;
    Ok(key)
}

/// The key of a payload that begins with this nonce.
fn payload_key(file_key: &FileKey, nonce: &[u8; NONCE]) -> Result<LessSafeKey, Unspecified> {
    let key = derive(nonce, file_key.as_ref(), b"payload")?;
    Ok(LessSafeKey::new(UnboundKey::new(&aead::CHACHA20_POLY1305, key.as_ref())?))
}

/// The nonce of a chunk: its number, and whether it is the last one.
fn chunk_nonce(number: u64, is_last: bool) -> aead::Nonce {
    let mut nonce = [0; 12];
    let [.., a, b, c, d, e, f, g, h, last] = &mut nonce;
    [*a, *b, *c, *d, *e, *f, *g, *h] = number.to_be_bytes();
    *last = u8::from(is_last);
    aead::Nonce::assume_unique_for_key(nonce)
}
