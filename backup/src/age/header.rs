//! The header of a file: writing it for recipients, and reading the file key with an identity.

use super::keys::{Identity, Recipient, agree};
use super::{FileKey, derive};
use curve25519_dalek::montgomery::MontgomeryPoint;
use ring::aead::{self, LessSafeKey, UnboundKey};
use ring::error::Unspecified;
use ring::hmac;
use zeroize::Zeroizing;

const VERSION: &str = "age-encryption.org/v1\n";
const KIND: &str = "X25519";
/// Maximum length of a header, bytes: several hundred recipients.
pub(super) const MAX_HEADER: usize = 64 << 10;
/// The name of the key that encrypts a file key.
const WRAP: &[u8] = b"age-encryption.org/v1/X25519";
/// Length of an encrypted file key, bytes.
const WRAPPED: usize = 32;

/// A header, and the file key that is in it.
pub(super) fn make(recipients: &[Recipient]) -> Result<(Vec<u8>, FileKey), Unspecified> {
    let mut file_key = FileKey::default();
    getrandom::fill(file_key.as_mut()).map_err(|_| Unspecified)?;
    let mut header = VERSION.to_owned();
    for recipient in recipients {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut()).map_err(|_| Unspecified)?;
        let share = MontgomeryPoint::mul_base_clamped(*secret).to_bytes();
        let shared = agree(&secret, &recipient.0)?;
        let mut wrapped = file_key.to_vec();
        wrapping_key(&share, recipient, &shared)?.seal_in_place_append_tag(zero(), aead::Aad::empty(), &mut wrapped)?;
        header.push_str(&format!("-> {KIND} {}\n{}\n", base64::encode(&share), base64::encode(&wrapped)));
    }
    header.push_str("---");
    let mac = hmac::sign(&mac_key(&file_key)?, header.as_bytes());
    header.push_str(&format!(" {}\n", base64::encode(mac.as_ref())));
    Ok((header.into_bytes(), file_key))
}

/// The file key in a header: `None` if it is for none of the identities.
pub(super) fn open(header: &[u8], identities: &[Identity]) -> Result<Option<FileKey>, Unspecified> {
    let header = std::str::from_utf8(header).map_err(|_| Unspecified)?;
    let (signed, mac) = header.rsplit_once("--- ").ok_or(Unspecified)?;
    let mac = base64::decode(mac.strip_suffix('\n').ok_or(Unspecified)?)?;
    let mut lines = signed.strip_prefix(VERSION).ok_or(Unspecified)?.lines().peekable();
    while let Some(line) = lines.next() {
        let words: Vec<&str> = line.strip_prefix("-> ").ok_or(Unspecified)?.split(' ').collect();
        let mut body = String::new();
        // The last line of a body is shorter than 64 characters.
        loop {
            let line = lines.next().ok_or(Unspecified)?;
            body.push_str(line);
            if line.len() < 64 {
                break;
            }
        }
        let [KIND, share] = words.as_slice() else { continue };
        let share: [u8; 32] = base64::decode(share)?.try_into().map_err(|_| Unspecified)?;
        let wrapped = base64::decode(&body)?;
        if wrapped.len() != WRAPPED {
            return Err(Unspecified);
        }
        for identity in identities {
            let shared = identity.agree(&share)?;
            let key = wrapping_key(&share, &identity.recipient(), &shared)?;
            let mut opened = Zeroizing::new(wrapped.clone());
            let Ok(opened) = key.open_in_place(zero(), aead::Aad::empty(), &mut opened) else { continue };
            let file_key = Zeroizing::new(<[u8; 16]>::try_from(&*opened).map_err(|_| Unspecified)?);
            hmac::verify(&mac_key(&file_key)?, &[signed.as_bytes(), b"---"].concat(), &mac)?;
            return Ok(Some(file_key));
        }
    }
    Ok(None)
}

/// Length of a header, bytes.
pub(super) fn length(recipients: usize) -> u64 {
    let per_recipient = format!("-> {KIND} \n\n").len() + 2 * base64::length(32);
    (VERSION.len() + recipients * per_recipient + "--- \n".len() + base64::length(32)) as u64
}

fn wrapping_key(share: &[u8; 32], recipient: &Recipient, shared: &[u8; 32]) -> Result<LessSafeKey, Unspecified> {
    let salt = [&share[..], &recipient.0[..]].concat();
    let key = derive(&salt, shared, WRAP)?;
    Ok(LessSafeKey::new(UnboundKey::new(&aead::CHACHA20_POLY1305, key.as_ref())?))
}

/// The nonce of a file key: each is encrypted with a key of its own.
fn zero() -> aead::Nonce {
    aead::Nonce::assume_unique_for_key([0; 12])
}

fn mac_key(file_key: &FileKey) -> Result<hmac::Key, Unspecified> {
    Ok(hmac::Key::new(hmac::HMAC_SHA256, derive(&[], file_key.as_ref(), b"header")?.as_ref()))
}

/// Base64 without padding (RFC 4648), in its only spelling.
mod base64 {
    use ::base64::Engine;
    use ::base64::engine::general_purpose::STANDARD_NO_PAD;
    use ring::error::Unspecified;

    pub(super) fn encode(bytes: &[u8]) -> String {
        STANDARD_NO_PAD.encode(bytes)
    }

    pub(super) fn decode(text: &str) -> Result<Vec<u8>, Unspecified> {
        STANDARD_NO_PAD.decode(text).map_err(|_| Unspecified)
    }

    pub(super) fn length(bytes: usize) -> usize {
        (bytes * 4).div_ceil(3)
    }
}
