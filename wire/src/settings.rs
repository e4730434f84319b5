//! What the central may set on a probe from afar.
//!
//! A probe gets its settings with the answer to a heartbeat, together with a
//! version that rises with every change; a probe that is pulled is given the same
//! answer by the central. It keeps the last ones on disk, so that it does what it
//! was told also when it starts while the central is away.

use serde::{Deserialize, Serialize};
use zonepulse_private::{Secret, reveal};

/// The DNS interval unless it is set, seconds.
pub const DEFAULT_DNS_INTERVAL_S: u32 = 60;
/// The system interval unless it is set, seconds.
pub const DEFAULT_SYSTEM_INTERVAL_S: u32 = 5;
/// DNS intervals divide it, so that none lies across two buckets of a roll-up, seconds.
pub const DNS_INTERVALS_DIVIDE_S: u32 = 300;
/// The longest system interval, seconds.
pub const MAX_SYSTEM_INTERVAL_S: u32 = 3600;

/// The longest text in a probe's settings, bytes.
pub const MAX_TEXT_BYTES: usize = 4096;

/// The settings of one probe, complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeSettings {
    /// Whether DNS messages are counted.
    pub dns_monitoring: bool,
    /// For how long hits are summed before they are sent, seconds; divides 300.
    pub dns_interval_s: u32,
    /// Whether the machine itself is measured.
    pub system_monitoring: bool,
    /// How often it is measured, seconds; from 1 to 3600.
    pub system_interval_s: u32,
    /// How batches reach the central.
    pub communication: Communication,
    /// Where the central's API is to be found, as in `https://central.example:8053`;
    /// where the probe's own configuration says, when absent.
    #[serde(default)]
    pub api_url: Option<String>,
    /// Whether the certificates of the central and of the broker are verified.
    pub verify_ca: bool,
    /// The broker; needed for [`Communication::Rabbitmq`], and absent where batches take another way.
    #[serde(default)]
    pub rabbitmq: Option<RabbitmqSettings>,
    /// What the central shows when it pulls; absent where batches take another way. Without one the
    /// probe's own configuration says it.
    #[serde(default, serialize_with = "reveal", skip_serializing_if = "Option::is_none")]
    pub pull_token: Option<Secret>,
}

/// How batches come to the central.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Communication {
    /// The probe sends to the central.
    Http,
    /// The probe sends to RabbitMQ, from which the central reads.
    Rabbitmq,
    /// The central fetches from the probe.
    Pull,
}

/// Where the broker is, and as whom to speak to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RabbitmqSettings {
    /// A name or an IP address.
    pub address: String,
    /// Usually 5672, and 5671 with TLS.
    pub port: u16,
    /// Whether the connection is TLS (`amqps`).
    pub tls: bool,
    /// The virtual host, as in `/`.
    pub virtual_host: String,
    /// The user.
    pub user: String,
    /// Its password.
    #[serde(serialize_with = "reveal")]
    pub password: Secret,
}

impl ProbeSettings {
    /// Checks what no probe can do, and names the setting that is at fault.
    pub fn check(&self) -> Result<(), String> {
        if self.dns_interval_s == 0 || !DNS_INTERVALS_DIVIDE_S.is_multiple_of(self.dns_interval_s) {
            return Err(format!("dns_interval_s: must divide {DNS_INTERVALS_DIVIDE_S}, not {}", self.dns_interval_s));
        }
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
            // Not the text itself: it may be the password.
            Some((field, text)) => Err(format!("{field}: {} bytes are more than {MAX_TEXT_BYTES}", text.len())),
            None => Ok(()),
        }
    }
}

impl Default for ProbeSettings {
    fn default() -> Self {
        ProbeSettings {
            dns_monitoring: true,
            dns_interval_s: DEFAULT_DNS_INTERVAL_S,
            system_monitoring: true,
            system_interval_s: DEFAULT_SYSTEM_INTERVAL_S,
            communication: Communication::Http,
            api_url: None,
            verify_ca: true,
            rabbitmq: None,
            pull_token: None,
        }
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
