//! Log messages about the central's settings.

use super::Kept;
use crate::config::Config;
use zonepulse_wire::{ProbeSettings, RabbitmqSettings};

/// A configured value that the central overrides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overridden {
    /// Its key in the configuration.
    pub key: &'static str,
    /// The configured value.
    pub configured: String,
    /// Its name at the central.
    pub setting: &'static str,
    /// The central's value.
    pub central: String,
}

impl Overridden {
    /// Only values that differ from the default, and so were set deliberately.
    pub(super) fn of(config: &Config, settings: &ProbeSettings) -> Vec<Overridden> {
        let default = Config::default();
        let mut overridden = Vec::new();
        let mut compare = |key, setting, [configured, default, central]: [String; 3]| {
            if configured != default && configured != central {
                overridden.push(Overridden { key, configured, setting, central });
            }
        };
        let communications = [config.deliver.communication, default.deliver.communication, settings.communication];
        compare("deliver.communication", "communication", communications.map(|way| way.as_str().to_owned()));
        let intervals = [config.interval_s, default.interval_s, settings.dns_interval_s];
        compare("interval_s", "dns_interval_s", intervals.map(|interval_s| interval_s.to_string()));
        let monitored = [config.dns_monitoring, default.dns_monitoring, settings.dns_monitoring];
        compare("dns_monitoring", "dns_monitoring", monitored.map(|is_on| is_on.to_string()));
        let intervals = [config.system.interval_s, default.system.interval_s, settings.system_interval_s];
        compare("system.interval_s", "system_interval_s", intervals.map(|interval_s| interval_s.to_string()));
        let measured = [config.system.enabled, default.system.enabled, settings.system_monitoring];
        compare("system.enabled", "system_monitoring", measured.map(|is_on| is_on.to_string()));
        overridden
    }

    /// Logs the override, and where to change it.
    pub fn warn(&self, server_id: u32) {
        let Overridden { key, configured, setting, central } = self;
        tracing::warn!(
            key,
            configured,
            central,
            "the central's settings override this probe's configuration: set {setting} at the central (PATCH \
             /api/v2/pvservers/{server_id}), or set settings = \"ignore\" in [central]"
        );
    }
}

/// Logs that these settings are in force, without their secrets.
pub fn tell(kept: &Kept) {
    let ProbeSettings {
        dns_monitoring,
        dns_interval_s,
        dns_served,
        system_monitoring,
        system_interval_s,
        communication,
        api_url,
        verify_ca,
        rabbitmq,
        pull_token: _,
    } = &kept.settings;
    tracing::info!(
        version = kept.version,
        dns_monitoring,
        dns_interval_s,
        dns_served,
        system_monitoring,
        system_interval_s,
        communication = communication.as_str(),
        api_url,
        verify_ca,
        rabbitmq = rabbitmq.as_ref().map(broker),
        "the central's settings are in force"
    );
}

/// Where it is, without user and password.
fn broker(RabbitmqSettings { address, port, tls, virtual_host, user: _, password: _ }: &RabbitmqSettings) -> String {
    let scheme = if *tls { "amqps" } else { "amqp" };
    format!("{scheme}://{address}:{port} vhost {virtual_host}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn overridden(text: &str, change: impl FnOnce(&mut ProbeSettings)) -> Vec<(&'static str, String, &'static str, String)> {
        let config = Config::parse(Path::new("probe.toml"), &format!("server_id = 7\n{text}")).unwrap();
        let mut settings = ProbeSettings::default();
        change(&mut settings);
        let overridden = Overridden::of(&config, &settings);
        overridden.into_iter().map(|one| (one.key, one.configured, one.setting, one.central)).collect()
    }

    #[test]
    fn overridden_settings_are_named() {
        let said = overridden("interval_s = 10\ndeliver.communication = \"rabbitmq\"\nsystem.enabled = false", |_| ());
        let expected = [
            ("deliver.communication", "rabbitmq", "communication", "http"),
            ("interval_s", "10", "dns_interval_s", "60"),
            ("system.enabled", "false", "system_monitoring", "true"),
        ];
        assert_eq!(said, expected.map(|(key, own, setting, central)| (key, own.to_owned(), setting, central.to_owned())));
        let said = overridden("dns_monitoring = false\nsystem.interval_s = 10", |_| ());
        assert_eq!(said.iter().map(|(key, ..)| *key).collect::<Vec<_>>(), ["dns_monitoring", "system.interval_s"]);
    }

    #[test]
    fn defaults_and_equal_values_are_not_reported() {
        assert_eq!(overridden("interval_s = 60", |settings| settings.dns_interval_s = 10), []);
        assert_eq!(overridden("interval_s = 10", |settings| settings.dns_interval_s = 10), []);
    }

    #[test]
    fn the_broker_is_logged_without_user_and_password() {
        let rabbitmq = RabbitmqSettings {
            address: "broker.example".into(),
            port: 5671,
            tls: true,
            virtual_host: "/".into(),
            user: "me".into(),
            password: "secret".into(),
        };
        assert_eq!(broker(&rabbitmq), "amqps://broker.example:5671 vhost /");
    }
}
