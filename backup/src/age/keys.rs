//! Recipients and identities, spelled as age does.

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use curve25519_dalek::montgomery::MontgomeryPoint;
use ring::error::Unspecified;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

const RECIPIENT: Hrp = Hrp::parse_unchecked("age");
const IDENTITY: Hrp = Hrp::parse_unchecked("age-secret-key-");

/// Why a text is not a key: give another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// It is a private key, which the central must not have.
    #[error("this is a private key (AGE-SECRET-KEY-1…): give its public key (age1…), and keep the private one elsewhere")]
    Private,
    /// It is a public key of another kind.
    #[error("only recipients age1… of X25519 are supported, as `age-keygen` and `zonepulse backup keygen` make them")]
    Kind,
    /// It is misspelled.
    #[error("it is not spelled like a key of age: its checksum or length is wrong")]
    Spelling,
    /// An identity file has no key.
    #[error("no private key (AGE-SECRET-KEY-1…) is in it")]
    Missing,
    /// An identity file is itself encrypted.
    #[error("the identity file is encrypted: decrypt it first, as in `age -d -o key.txt {{file}}`")]
    Encrypted,
}

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recipient(pub(super) [u8; 32]);

impl FromStr for Recipient {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("age-secret-key-") {
            return Err(BadKey::Private);
        }
        if lower.starts_with("age1") && lower.len() != "age1".len() + 58 || lower.starts_with("ssh-") {
            return Err(BadKey::Kind);
        }
        if text != lower {
            return Err(BadKey::Spelling);
        }
        Ok(Recipient(*decode(RECIPIENT, text)?))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bech32::encode_lower_to_fmt::<Bech32, _>(f, RECIPIENT, &self.0).map_err(|_| fmt::Error)
    }
}

/// A private key. Its memory is overwritten when it is dropped, and `Debug` prints its public key.
#[derive(Clone)]
pub struct Identity {
    secret: Zeroizing<[u8; 32]>,
    recipient: Recipient,
}

impl Identity {
    /// Makes a new one.
    pub fn random() -> Result<Self, Unspecified> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut()).map_err(|_| Unspecified)?;
        Ok(Self::of(secret))
    }

    fn of(secret: Zeroizing<[u8; 32]>) -> Self {
        let recipient = Recipient(MontgomeryPoint::mul_base_clamped(*secret).to_bytes());
        Identity { secret, recipient }
    }

    /// The public key.
    pub fn recipient(&self) -> Recipient {
        self.recipient
    }

    /// The key as text, for a private file.
    pub fn reveal(&self) -> Result<Zeroizing<String>, BadKey> {
        let text = bech32::encode_upper::<Bech32>(IDENTITY, self.secret.as_ref());
        text.map(Zeroizing::new).map_err(|_| BadKey::Spelling)
    }

    /// The identities in a file: one a line, beside empty lines and comments.
    pub fn read(text: &str) -> Result<Vec<Identity>, BadKey> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut identities = Vec::new();
        for line in lines {
            if line.starts_with("age-encryption.org/") || line.starts_with("-----BEGIN AGE ENCRYPTED") {
                return Err(BadKey::Encrypted);
            }
            if !line.to_ascii_lowercase().starts_with("age-secret-key-1") || line != line.to_ascii_uppercase() {
                return Err(BadKey::Missing);
            }
            identities.push(Self::of(decode(IDENTITY, &Zeroizing::new(line.to_ascii_lowercase()))?));
        }
        if identities.is_empty() { Err(BadKey::Missing) } else { Ok(identities) }
    }

    /// What this identity shares with whoever knows the secret of a point. Fails if anybody would know it.
    pub(super) fn agree(&self, point: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, Unspecified> {
        agree(&self.secret, point)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity of {}", self.recipient)
    }
}

/// X25519 (RFC 7748).
pub(super) fn agree(secret: &[u8; 32], point: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, Unspecified> {
    let shared = Zeroizing::new(MontgomeryPoint(*point).mul_clamped(*secret).to_bytes());
    if shared.iter().all(|byte| *byte == 0) { Err(Unspecified) } else { Ok(shared) }
}

fn decode(hrp: Hrp, text: &str) -> Result<Zeroizing<[u8; 32]>, BadKey> {
    let checked = CheckedHrpstring::new::<Bech32>(text).map_err(|_| BadKey::Spelling)?;
    if checked.hrp() != hrp {
        return Err(BadKey::Kind);
    }
    let mut key = Zeroizing::new([0; 32]);
    let mut bytes = checked.byte_iter();
    if bytes.len() != key.len() {
        return Err(BadKey::Spelling);
    }
    key.iter_mut().zip(&mut bytes).for_each(|(to, from)| *to = from);
    Ok(key)
}
