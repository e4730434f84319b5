//! What is handed over with a server: one secret, and how to use it.
//!
//! As a rule that is a one-time token with which the probe comes for a token of its own, which nobody else ever sees.
//! Whoever would rather copy a configuration to the machine asks for the token itself. Either way the secret is shown
//! once, and every other one of the server is refused from then on.

use crate::credentials::{password, token};
use zonepulse_net::tls::Authority;
use zonepulse_private::Secret;
use zonepulse_store::{EnrollmentToken, Server};

/// How long an enrolment token can be used, milliseconds: a day.
const ENROLLMENT_MS: u64 = 24 * 60 * 60 * 1000;

/// Where a probe's machine keeps the authority that it trusts, as the probe's example configuration has it.
pub const CA_FILE: &str = "/etc/zonepulse-probe/ca.pem";

/// Which secret is handed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Credential {
    /// A one-time token to enrol with.
    #[default]
    EnrollmentToken,
    /// The token itself.
    Token,
}

/// The secret of a server that is made, or that gets another one.
pub struct ServerSecret {
    credential: Credential,
    text: Secret,
    /// For the server to have while its probe has not come for one: nobody ever learns it.
    nobodys: Secret,
    expires_ms: u64,
}

impl ServerSecret {
    /// A new one.
    pub fn make(credential: Credential, now_ms: u64) -> Result<Self, password::Error> {
        Ok(ServerSecret {
            credential,
            text: token::random()?.into(),
            nobodys: token::random()?.into(),
            expires_ms: now_ms + ENROLLMENT_MS,
        })
    }

    /// Makes it the one secret of a server, whose probe is trusted as far as whoever is given it.
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

    /// Which it is.
    pub fn credential(&self) -> Credential {
        self.credential
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        self.text.reveal()
    }

    /// Until when an enrolment token can be used, Unix milliseconds.
    pub fn expires_ms(&self) -> u64 {
        self.expires_ms
    }
}

/// What a secret is handed over for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// The server is new.
    Made,
    /// Its secret was replaced. Its probe may be enrolled already, or not yet.
    Renewed,
}

/// What to type on a machine to enrol its probe. The token is asked for: among the arguments every user could see it.
///
/// The credentials of another server that may be on the machine are not replaced by those of a new one.
pub fn enroll_command(url: &str, authority: Option<&Authority>, occasion: Occasion) -> String {
    let force = if occasion == Occasion::Renewed { " --force" } else { "" };
    let fingerprint = authority.map(|authority| format!(" --ca-sha256 {}", authority.fingerprint())).unwrap_or_default();
    format!("zonepulse-probe enroll {url}{fingerprint}{force} -")
}
