//! Passwords: argon2id hashes in PHC string format, and random ones.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Why a password could not be created.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system provided no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// The password is too short or too long.
    #[error("a password has {0} to {1} bytes")]
    Length(usize, usize),
    /// The password could not be hashed.
    #[error("the password could not be hashed: {0}")]
    Hash(argon2::password_hash::Error),
}

/// The hash to store for a password.
pub fn hash(password: &str) -> Result<String, Error> {
    let hash = Argon2::default().hash_password(password.as_bytes()).map_err(Error::Hash)?;
    Ok(hash.to_string())
}

/// Whether a password matches a hash. Deliberately slow; compares in constant time.
pub fn verify(password: &str, hash: &str) -> bool {
    // The parameters come from the hash, so that hashes remain valid when the defaults change.
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// A random password: 144 bits as 24 letters, digits, `-` and `_`.
pub fn random() -> Result<String, Error> {
    let mut bytes = [0; 18];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// 256 random bits.
pub fn random_key() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_itself_is_right() {
        let hash = hash("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
        assert!(verify("correct horse", &hash));
        for wrong in ["", "correct hors", "correct horse ", "Correct horse"] {
            assert!(!verify(wrong, &hash), "{wrong}");
        }
    }

    #[test]
    fn the_same_password_has_another_hash_each_time() {
        assert_ne!(hash("a").unwrap(), hash("a").unwrap());
    }

    #[test]
    fn a_damaged_hash_lets_nobody_in() {
        for damaged in ["", "a", "$argon2id$", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ"] {
            assert!(!verify("a", damaged) && !verify("", damaged));
        }
    }

    #[test]
    fn a_random_password_has_24_characters_and_is_new() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_eq!(one.len(), 24);
        assert_ne!(one, other);
    }
}
