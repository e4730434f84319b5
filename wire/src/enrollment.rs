//! Enrolment: how a new probe gets its configuration, with a one-time token.
//!
//! Adding a server at the central creates an enrolment token. The probe presents it once, says who
//! it is, and receives everything it needs: its number, a token of its own, and its settings. The
//! enrolment token is then used up.

use crate::settings::ProbeSettings;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zonepulse_model::ServerId;
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
    pub server_id: ServerId,
    /// Its display name.
    pub server: String,
    /// The token with which the probe sends batches and heartbeats.
    #[serde(serialize_with = "reveal")]
    pub token: Secret,
    /// The version of these settings.
    pub settings_version: u64,
    /// What the probe shall do.
    pub settings: ProbeSettings,
    /// The token with which the central shows itself when it pulls; none where batches take another way.
    #[serde(default, serialize_with = "reveal_or_empty", deserialize_with = "none_if_empty")]
    pub pull_token: Option<Secret>,
}

/// No token travels as an empty one.
fn reveal_or_empty<S: Serializer>(token: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.as_ref().map_or("", Secret::reveal))
}

fn none_if_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let token = Secret::deserialize(deserializer)?;
    Ok((!token.is_empty()).then_some(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_log_shows_a_token() {
        let enrollment = Enrollment {
            server_id: ServerId::new(7),
            server: "ns1".into(),
            token: "hush".into(),
            settings_version: 1,
            settings: ProbeSettings::default(),
            pull_token: Some("hush".into()),
        };
        assert!(!format!("{enrollment:?}").contains("hush"));
    }

    #[test]
    fn no_token_for_pulling_travels_as_an_empty_one() {
        let none = Enrollment {
            server_id: ServerId::new(7),
            server: "ns1".into(),
            token: "t".into(),
            settings_version: 1,
            settings: ProbeSettings::default(),
            pull_token: None,
        };
        let text = serde_json::to_string(&none).unwrap();
        assert!(text.ends_with(r#","pull_token":""}"#), "{text}");
        assert_eq!(serde_json::from_str::<Enrollment>(&text).unwrap(), none);
        let one = Enrollment { pull_token: Some("p".into()), ..none };
        let text = serde_json::to_string(&one).unwrap();
        assert!(text.ends_with(r#","pull_token":"p"}"#), "{text}");
        assert_eq!(serde_json::from_str::<Enrollment>(&text).unwrap(), one);
    }
}
