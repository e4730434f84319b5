//! The secret handed over with a server, and how to use it.
//!
//! Usually this is a one-time token that the probe exchanges for a token of its own, which nobody else ever sees. Users
//! who prefer to copy a configuration to the machine ask for the token itself. Either way the secret is shown once, and
//! all other secrets of the server stop working.

use crate::credentials::{password, token};
use zonepulse_net::tls::Authority;
use zonepulse_private::Secret;
use zonepulse_store::{EnrollmentToken, Server};

/// Lifetime of an enrolment token, milliseconds: a day.
const ENROLLMENT_MS: u64 = 24 * 60 * 60 * 1000;

/// Where a probe's machine keeps the certificate authority it trusts, as in the probe's example configuration.
pub const CA_FILE: &str = "/etc/zonepulse-probe/ca.pem";

/// The kind of secret to hand over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Credential {
    /// A one-time enrolment token.
    #[default]
    EnrollmentToken,
    /// The token itself.
    Token,
}

/// The secret of a new server, or of one whose secret is renewed.
pub struct ServerSecret {
    credential: Credential,
    text: Secret,
    /// Placeholder until the probe has fetched its own token: nobody ever learns it.
    nobodys: Secret,
    expires_ms: u64,
}

impl ServerSecret {
    /// Generates a secret.
    pub fn make(credential: Credential, now_ms: u64) -> Result<Self, password::Error> {
        Ok(ServerSecret {
            credential,
            text: token::random()?.into(),
            nobodys: token::random()?.into(),
            expires_ms: now_ms + ENROLLMENT_MS,
        })
    }

    /// Makes it the server's only secret. The probe is trusted as far as the user who receives the secret.
    pub fn give(&self, server: &mut Server, trusted: bool) {
        server.trusted = trusted;
        let hash = token::hash(self.text.reveal());
        (server.token_hash, server.enrollment) = match self.credential {
            Credential::Token => (Some(hash), None),
            Credential::EnrollmentToken => {
                let nobodys = token::hash(self.nobodys.reveal());
                (Some(nobodys), Some(EnrollmentToken { hash, expires_ms: self.expires_ms }))
            }
        };
    }

    /// The kind of secret.
    pub fn credential(&self) -> Credential {
        self.credential
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        self.text.reveal()
    }

    /// When an enrolment token expires, Unix milliseconds.
    pub fn expires_ms(&self) -> u64 {
        self.expires_ms
    }
}

/// Why a secret is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// The server is new.
    Made,
    /// Its secret was renewed. Its probe may or may not be enrolled yet.
    Renewed,
}

/// The command that enrols a probe on its machine. It prompts for the token: as an argument, every user could see it.
///
/// Credentials of another server on the machine are not replaced by those of a new one.
pub fn enroll_command(url: &str, authority: Option<&Authority>, occasion: Occasion) -> String {
    let force = if occasion == Occasion::Renewed { " --force" } else { "" };
    let fingerprint = authority.map(|authority| format!(" --ca-sha256 {}", authority.fingerprint())).unwrap_or_default();
    format!("zonepulse-probe enroll {url}{fingerprint}{force} -")
}
