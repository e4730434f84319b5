//! Authentication of batches sent through a broker.
//!
//! Over HTTP, the server's token is sent with the request. A broker does not know servers: it
//! admits whoever has its password. So a probe adds a message authentication code (RFC 2104) to
//! every batch:
//!
//! ```text
//! key   SHA-256(token), which is what the central keeps of a token
//! mac   HMAC-SHA256(key, "zonepulse batch v1" · 0 · server_id u32 · epoch u64 · seq u64 · batch)
//! ```
//!
//! Numbers are little-endian, as in the batch, whose header also contains them. The code is sent in
//! the AMQP header [`MAC_HEADER`], in hexadecimal. The central verifies it with the key of the
//! server that the batch names, so a batch signed with another server's token, or with a replaced
//! one, is refused. A copy of a message is as good as the original: its identity counts once.

use crate::{Error, peek_identity};
use ring::{digest, hmac};
use std::fmt;
use subtle::ConstantTimeEq;
use zonepulse_model::Identity;

/// The AMQP header with the code.
pub const MAC_HEADER: &str = "x-zonepulse-mac";
/// Prefix of the signed data, so that a code for any other purpose is worthless here.
const DOMAIN: &[u8] = b"zonepulse batch v1\0";
const KEY_BYTES: usize = digest::SHA256_OUTPUT_LEN;

/// Signs the batches of one server. Prints without the key.
#[derive(Clone)]
pub struct MacKey(hmac::Key);

impl MacKey {
    /// The key derived from a server's token, for the sender.
    pub fn of_token(token: &str) -> MacKey {
        MacKey(hmac::Key::new(hmac::HMAC_SHA256, digest::digest(&digest::SHA256, token.as_bytes()).as_ref()))
    }

    /// The key from the SHA-256 of a token in hexadecimal, for the verifier; `None` if it is not
    /// such a hash.
    pub fn of_token_hash(hash: &str) -> Option<MacKey> {
        Some(MacKey(hmac::Key::new(hmac::HMAC_SHA256, &from_hex(hash)?)))
    }

    /// The code of an encoded batch, in hexadecimal.
    ///
    /// Fails with [`Error::NotABatch`] or [`Error::Malformed`] if the bytes do not name a server.
    pub fn sign(&self, batch: &[u8]) -> Result<String, Error> {
        Ok(self.tag(batch)?.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Whether a code matches an encoded batch. Takes constant time.
    pub fn verifies(&self, batch: &[u8], mac: &str) -> bool {
        let (Ok(tag), Some(mac)) = (self.tag(batch), from_hex(mac)) else { return false };
        tag.as_ref().ct_eq(&mac).into()
    }

    fn tag(&self, batch: &[u8]) -> Result<hmac::Tag, Error> {
        let Identity { server_id, epoch, seq } = peek_identity(batch)?;
        let mut context = hmac::Context::with_key(&self.0);
        context.update(DOMAIN);
        context.update(&server_id.get().to_le_bytes());
        context.update(&epoch.to_le_bytes());
        context.update(&seq.to_le_bytes());
        context.update(batch);
        Ok(context.sign())
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey")
    }
}

fn from_hex(text: &str) -> Option<[u8; KEY_BYTES]> {
    let digit = |letter: &u8| char::from(*letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; KEY_BYTES];
    let pairs = text.as_bytes().chunks_exact(2);
    if text.len() != 2 * KEY_BYTES {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let [high, low] = pair else { return None };
        *byte = (digit(high)? << 4) | digit(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::tests::with_body;
    use zonepulse_model::ServerId;

    const IDENTITY: Identity = Identity { server_id: ServerId::new(7), epoch: 8, seq: 9 };
    /// SHA-256 of `token`.
    const HASH: &str = "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0";

    #[test]
    fn a_code_stays_as_it_is_byte_for_byte() {
        // printf 'zonepulse batch v1\0…' | openssl dgst -sha256 -mac HMAC -macopt hexkey:3c46…
        let batch = b"ZPBT\x01\x07\0\0\0\x08\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0";
        let expected = "999fd406a316d6258de306c2dec3dc26f7ff84878afaf703e07c2189cfa0d214";
        assert_eq!(MacKey::of_token("token").sign(batch).unwrap(), expected);
    }

    #[test]
    fn whoever_has_the_hash_of_the_token_verifies_what_was_signed_with_it() {
        let batch = with_body(1, &IDENTITY, b"abc");
        let mac = MacKey::of_token("token").sign(&batch).unwrap();
        let key = MacKey::of_token_hash(HASH).unwrap();
        assert!(key.verifies(&batch, &mac));
        assert!(!MacKey::of_token("another").verifies(&batch, &mac));
    }

    #[test]
    fn a_code_is_for_one_batch_and_every_octet_of_it() {
        let batch = with_body(1, &IDENTITY, b"abc");
        let key = MacKey::of_token("token");
        let mac = key.sign(&batch).unwrap();
        for at in 0..batch.len() {
            let mut changed = batch.clone();
            changed[at] ^= 1;
            assert!(!key.verifies(&changed, &mac), "octet {at}");
        }
        for wrong in ["", "00", &mac[1..], &format!("{mac}00"), &mac.replace(|_: char| true, "g"), &"0".repeat(64)] {
            assert!(!key.verifies(&batch, wrong), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_batch_has_no_code() {
        assert_eq!(MacKey::of_token("token").sign(b"rubbish"), Err(Error::NotABatch));
        assert!(!MacKey::of_token("token").verifies(b"rubbish", &"0".repeat(64)));
    }

    #[test]
    fn a_hash_is_32_octets_in_hexadecimal() {
        for wrong in ["", "abc", &HASH[2..], &HASH.replace('c', "x"), &format!("{HASH}00"), &"é".repeat(32)] {
            assert!(MacKey::of_token_hash(wrong).is_none(), "{wrong}");
        }
        assert!(!format!("{:?}", MacKey::of_token("hush")).contains("hush"));
    }
}
