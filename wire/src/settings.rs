//! Settings that the central can set on a probe remotely.
//!
//! A probe gets its settings with the answer to a heartbeat, together with a version that increases
//! with every change; a probe that is pulled from gets the same answer posted by the central. It
//! saves the last ones on disk, so that it also applies them when it starts while the central is
//! unreachable.

use serde::{Deserialize, Serialize};
use zonepulse_model::{Communication, Interval, Settings};
use zonepulse_private::{Secret, reveal};

/// The longest system interval, seconds.
pub const MAX_SYSTEM_INTERVAL_S: u32 = 3600;

/// Maximum length of a text in a probe's settings, bytes.
pub const MAX_TEXT_BYTES: usize = 4096;

/// The complete settings of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeSettings {
    /// Whether to count DNS messages.
    pub dns_monitoring: bool,
    /// Length of a DNS interval, seconds; divides 300.
    pub dns_interval_s: u32,
    /// Whether to count which records responses served. A central that cannot store that does not mention it.
    #[serde(default)]
    pub dns_served: bool,
    /// Whether to sample system metrics.
    pub system_monitoring: bool,
    /// Sampling interval, seconds; from 1 to 3600.
    pub system_interval_s: u32,
    /// How batches get to the central.
    pub communication: Communication,
    /// The URL of the central's API, as in `https://central.example:8053`; by default that of the
    /// probe's own configuration.
    #[serde(default)]
    pub api_url: Option<String>,
    /// Whether to verify the certificates of the central and of the broker.
    pub verify_ca: bool,
    /// The broker; required for [`Communication::Rabbitmq`], and absent otherwise.
    #[serde(default)]
    pub rabbitmq: Option<RabbitmqSettings>,
    /// The token that the central presents when it pulls; absent otherwise. Without it, that of the
    /// probe's own configuration is used.
    #[serde(default, serialize_with = "reveal", skip_serializing_if = "Option::is_none")]
    pub pull_token: Option<Secret>,
}

/// Where the broker is, and as whom to speak to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RabbitmqSettings {
    /// A host name or an IP address.
    pub address: String,
    /// Usually 5672, and 5671 with TLS.
    pub port: u16,
    /// Whether to use TLS (`amqps`).
    pub tls: bool,
    /// The virtual host, as in `/`.
    pub virtual_host: String,
    /// The user.
    pub user: String,
    /// The user's password.
    #[serde(serialize_with = "reveal")]
    pub password: Secret,
}

impl ProbeSettings {
    /// What a probe is told of a server's settings, without the broker and the token for pulling: whether it is told
    /// these, the central decides.
    pub fn of(settings: &Settings) -> ProbeSettings {
        ProbeSettings {
            dns_monitoring: settings.dns_monitoring,
            dns_interval_s: settings.dns_interval_s,
            dns_served: settings.dns_served,
            system_monitoring: settings.system_monitoring,
            system_interval_s: settings.system_interval_s,
            communication: settings.communication,
            api_url: (!settings.api_url.is_empty()).then(|| settings.api_url.clone()),
            verify_ca: settings.verify_ca,
            rabbitmq: None,
            pull_token: None,
        }
    }

    /// Checks what no probe can do, and names the setting that is at fault.
    pub fn check(&self) -> Result<(), String> {
        Interval::new(self.dns_interval_s).map_err(|error| format!("dns_interval_s: {error}"))?;
        if !(1..=MAX_SYSTEM_INTERVAL_S).contains(&self.system_interval_s) {
            return Err(format!("system_interval_s: must be from 1 to {MAX_SYSTEM_INTERVAL_S}, not {}", self.system_interval_s));
        }
        if self.communication == Communication::Rabbitmq && self.rabbitmq.is_none() {
            return Err("rabbitmq: is missing, but communication is \"rabbitmq\"".into());
        }
        let broker = self.rabbitmq.iter().flat_map(|broker| {
            let RabbitmqSettings { address, port: _, tls: _, virtual_host, user, password } = broker;
            [
                ("rabbitmq.address", address.as_str()),
                ("rabbitmq.virtual_host", virtual_host),
                ("rabbitmq.user", user),
                ("rabbitmq.password", password.reveal()),
            ]
        });
        let pull_token = self.pull_token.iter().map(|token| ("pull_token", token.reveal()));
        let mut texts = self.api_url.iter().map(|url| ("api_url", url.as_str())).chain(pull_token).chain(broker);
        match texts.find(|(_, text)| text.len() > MAX_TEXT_BYTES) {
            // Not the text itself, which may be the password.
            Some((field, text)) => Err(format!("{field}: {} bytes are more than {MAX_TEXT_BYTES}", text.len())),
            None => Ok(()),
        }
    }
}

impl RabbitmqSettings {
    /// The broker that a server's settings name.
    pub fn of(settings: &Settings) -> RabbitmqSettings {
        RabbitmqSettings {
            address: settings.rabbitmq_address.clone(),
            port: settings.rabbitmq_port,
            tls: settings.rabbitmq_tls,
            virtual_host: settings.rabbitmq_virtual_host.clone(),
            user: settings.rabbitmq_user.clone(),
            password: settings.rabbitmq_password.as_str().into(),
        }
    }
}

impl Default for ProbeSettings {
    fn default() -> Self {
        ProbeSettings::of(&Settings::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_probe_can_do_is_named() {
        assert_eq!(ProbeSettings::default().check(), Ok(()));
        let refused = |change: fn(&mut ProbeSettings), key: &str| {
            let mut settings = ProbeSettings::default();
            change(&mut settings);
            let error = settings.check().unwrap_err();
            assert!(error.starts_with(key), "{error}");
        };
        refused(|settings| settings.dns_interval_s = 0, "dns_interval_s: ");
        refused(|settings| settings.dns_interval_s = 45, "dns_interval_s: ");
        refused(|settings| settings.system_interval_s = 0, "system_interval_s: ");
        refused(|settings| settings.system_interval_s = 3601, "system_interval_s: ");
        refused(|settings| settings.communication = Communication::Rabbitmq, "rabbitmq: ");
        refused(|settings| settings.api_url = Some("x".repeat(MAX_TEXT_BYTES + 1)), "api_url: ");
    }

    #[test]
    fn no_log_shows_a_secret() {
        let rabbitmq = RabbitmqSettings {
            address: "broker.example".into(),
            port: 5671,
            tls: true,
            virtual_host: "/".into(),
            user: "probe-7".into(),
            password: "hush".into(),
        };
        let pull_token = Some("hush".into());
        let shown = format!("{:?}", ProbeSettings { rabbitmq: Some(rabbitmq), pull_token, ..ProbeSettings::default() });
        assert!(shown.contains("probe-7") && !shown.contains("hush"), "{shown}");
    }
}
