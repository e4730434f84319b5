//! Enrolment: how a new probe gets its configuration, with a one-time token.
//!
//! Adding a server at the central creates an enrolment token. The probe presents it once, says who
//! it is, and receives everything it needs: its number, a token of its own, and its settings. The
//! enrolment token is then used up.

use crate::settings::ProbeSettings;
use serde::{Deserialize, Serialize};
use zonepulse_private::{Secret, reveal};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollmentRequest {
    /// The host name.
    pub hostname: String,
    /// The operating system.
    pub os: String,
    /// The version of `zonepulse-probe`.
    pub probe_version: String,
}

/// The answer of the central.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrollment {
    /// The number of the server.
    pub server_id: u32,
    /// Its display name.
    pub server: String,
    /// The token with which the probe sends batches and heartbeats.
    #[serde(serialize_with = "reveal")]
    pub token: Secret,
    /// The version of these settings.
    pub settings_version: u64,
    /// What the probe shall do.
    pub settings: ProbeSettings,
    /// The token with which the central shows itself when it pulls; empty where batches take another way.
    #[serde(default, serialize_with = "reveal")]
    pub pull_token: Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_log_shows_a_token() {
        let enrollment = Enrollment {
            server_id: 7,
            server: "ns1".into(),
            token: "hush".into(),
            settings_version: 1,
            settings: ProbeSettings::default(),
            pull_token: "hush".into(),
        };
        assert!(!format!("{enrollment:?}").contains("hush"));
    }
}
