//! Server tokens: 256 random bits in base64url; only the SHA-256 is stored.

use super::password;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// A new token. It does not begin with a hyphen, which would make it an option where it is an argument of a command.
pub fn random() -> Result<String, password::Error> {
    loop {
        let token = URL_SAFE_NO_PAD.encode(password::random_key()?);
        if !token.starts_with('-') {
            return Ok(token);
        }
    }
}

/// The stored form of a token: its SHA-256 in hexadecimal. Neither salt nor a slow hash is needed: a token is random,
/// so only brute force could find it.
pub fn hash(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_43_characters_and_is_new() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_eq!(one.len(), 43);
        assert_ne!(one, other);
    }

    #[test]
    fn no_token_looks_like_an_option() {
        assert!((0..1000).all(|_| !random().unwrap().starts_with('-')));
    }

    #[test]
    fn a_hash_is_sha_256_in_hexadecimal() {
        assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
