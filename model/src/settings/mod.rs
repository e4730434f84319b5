//! A server's settings.
//!
//! Settings come in layers: the setting of a server overrides the one for all servers, which overrides the default. A
//! layer is a [`SettingsOverride`], in which most settings are absent; the result is [`Settings`], in which none are.

pub(crate) mod choice;
pub(crate) mod declaration;

use choice::{Communication, OverlappingProbes};
use declaration::{Allowed, BadSetting, ChangedBy, Declaration, Setting, Value};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Declares every setting once: its description (as lines), name, type, default, allowed values, and who may change it.
macro_rules! settings {
    ($($(#[doc = $line:literal])* $name:ident: $kind:ty = $default:expr, $allowed:expr, $changed_by:ident;)*) => {
        /// The settings in effect for a server. Debug output omits the password.
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Settings {
            $($(#[doc = $line])* pub $name: $kind,)*
        }

        /// One layer of settings, for all servers or for one. Debug output omits the password.
        #[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct SettingsOverride {
            $($(#[doc = $line])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $name: Option<$kind>,)*
        }

        impl Settings {
            /// The declaration of every setting.
            pub const DECLARED: &[Declaration] = &[$(
                Declaration {
                    name: stringify!($name),
                    description: &[$($line.trim_ascii()),*],
                    allowed: $allowed,
                    changed_by: ChangedBy::$changed_by,
                },
            )*];

            /// The name of every setting.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            fn overlay(self, over: &SettingsOverride) -> Settings {
                Settings { $($name: over.$name.clone().unwrap_or(self.$name),)* }
            }
        }

        impl SettingsOverride {
            /// The values in the order of [`Settings::DECLARED`].
            fn values(&self) -> impl Iterator<Item = Option<Value<'_>>> {
                [$(self.$name.as_ref().map(Setting::value)),*].into_iter()
            }
        }

        impl Default for Settings {
            fn default() -> Self {
                Settings { $($name: $default,)* }
            }
        }

        impl fmt::Debug for Settings {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("Settings")$(.field(stringify!($name), shown($allowed, &self.$name)))*.finish()
            }
        }

        impl fmt::Debug for SettingsOverride {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut out = f.debug_struct("SettingsOverride");
                $(if let Some(value) = &self.$name {
                    out.field(stringify!($name), shown($allowed, value));
                })*
                out.finish()
            }
        }
    };
}

/// A value as printed in debug output.
fn shown(allowed: Allowed, value: &dyn fmt::Debug) -> &dyn fmt::Debug {
    if allowed == Allowed::Secret { &"(secret)" } else { value }
}

settings! {
    /// The URL at which probes reach this API, `http://…` or `https://…`; empty for the one they were enrolled with. A probe
    /// follows only to hosts that its own configuration allows. For administrators.
    api_url: String = String::new(), Allowed::Url, Administrators;
    /// Whether a probe refuses a central or a broker whose certificate it cannot verify. For administrators; a probe whose
    /// own configuration requires verification always verifies.
    verify_ca: bool = true, Allowed::Flag, Administrators;
    /// How batches reach the central: the probe sends them over HTTP or through RabbitMQ, or the central pulls them.
    communication: Communication = Communication::Http, Communication::ALLOWED, Anyone;
    /// How long the central waits for a probe or a broker to accept its connection, milliseconds.
    api_timeout_ms: u32 = 300, Allowed::Number { min: 10, max: 60_000 }, Anyone;
    /// Whether to count DNS messages.
    dns_monitoring: bool = true, Allowed::Flag, Anyone;
    /// The length of a DNS interval, seconds; divides 300.
    dns_interval_s: u32 = 60, Allowed::Interval, Anyone;
    /// Whether to count which records responses served as well, by class: in answers, referrals, as glue and so on.
    dns_served: bool = true, Allowed::Flag, Anyone;
    /// Whether to measure the system.
    system_monitoring: bool = true, Allowed::Flag, Anyone;
    /// How often to measure it, seconds; divides 300.
    system_interval_s: u32 = 5, Allowed::Interval, Anyone;
    /// How long raw points are kept, minutes; 4294967295 means forever.
    raw_retention_minutes: u32 = 1440, Allowed::Number { min: 1, max: u32::MAX }, Anyone;
    /// How long roll-ups are kept, days; 4294967295 means forever.
    aggregated_retention_days: u32 = 30, Allowed::Number { min: 1, max: u32::MAX }, Anyone;
    /// What happens to a batch whose time is already covered by another run of a probe of the same server, as when two probes
    /// use the same token: with `count`, both count and the coverage shows the overlap; with `refuse`, each time counts only
    /// once. With `refuse`, a probe whose clock was ahead and is set back between two runs has its batches refused until the
    /// time that it falsely covered is over, at most as long as batches may be ahead (`[ingest] max_ahead_s`).
    overlapping_probes: OverlappingProbes = OverlappingProbes::Count, OverlappingProbes::ALLOWED, Anyone;
    /// The broker's FQDN or IP address; empty if there is none. For administrators, like everything about the broker.
    rabbitmq_address: String = String::new(), Allowed::Host, Administrators;
    /// The broker's port; by default 5672, or 5671 with TLS.
    rabbitmq_port: u16 = 5672, Allowed::Number { min: 1, max: 65_535 }, Administrators;
    /// Whether to connect to the broker with TLS.
    rabbitmq_tls: bool = false, Allowed::Flag, Administrators;
    /// The broker's virtual host.
    rabbitmq_virtual_host: String = "/".to_owned(), Allowed::VirtualHost, Administrators;
    /// The user to log in to the broker as.
    rabbitmq_user: String = String::new(), Allowed::Text, Administrators;
    /// The user's password. It can be set but is never shown.
    rabbitmq_password: String = String::new(), Allowed::Secret, Administrators;
}

/// The port for AMQP over TLS.
const AMQPS_PORT: u16 = 5671;

impl Settings {
    /// Computes the settings in effect: the defaults, overridden by the settings for all servers, overridden by those
    /// of one server.
    ///
    /// A password belongs to the broker that it was set with: if a layer names another broker, or a less secure
    /// connection to it, without a password, the result has none.
    pub fn effective(defaults: Settings, layers: &[&SettingsOverride]) -> Settings {
        let mut settings = defaults;
        let mut holds = settings.clone();
        let mut has_port = false;
        for layer in layers {
            let below = holds;
            settings = settings.overlay(layer);
            has_port |= layer.rabbitmq_port.is_some();
            holds = settings.clone();
            if holds.rabbitmq_tls && !has_port {
                holds.rabbitmq_port = AMQPS_PORT;
            }
            if layer.rabbitmq_password.is_none() && holds.moves_password_of(&below) {
                settings.rabbitmq_password.clear();
                holds.rabbitmq_password.clear();
            }
        }
        holds
    }

    /// Whether, with these settings, a password entered for the broker of `other` would be sent to another broker,
    /// for another user, or less securely.
    pub fn moves_password_of(&self, other: &Settings) -> bool {
        let place = |settings: &Settings| (settings.rabbitmq_address.to_ascii_lowercase(), settings.rabbitmq_port);
        let less_safely = (other.rabbitmq_tls && !self.rabbitmq_tls) || (other.verify_ca && !self.verify_ca);
        let moved = place(self) != place(other) || self.rabbitmq_user != other.rabbitmq_user || less_safely;
        // Without a broker, the password is not sent anywhere.
        moved && !self.rabbitmq_address.is_empty()
    }

    /// Rejects invalid combinations of settings.
    pub fn check(&self) -> Result<(), BadSetting> {
        if self.communication == Communication::Rabbitmq {
            let missing = [("rabbitmq_address", &self.rabbitmq_address), ("rabbitmq_user", &self.rabbitmq_user)]
                .into_iter()
                .find(|(_, value)| value.is_empty());
            if let Some((setting, _)) = missing {
                return Err(BadSetting { setting, reason: "communication over RabbitMQ needs it".to_owned() });
            }
        }
        Ok(())
    }
}

impl SettingsOverride {
    /// Rejects values that their declarations do not allow.
    ///
    /// Earlier releases accepted some hosts that are no longer valid, so a value already in `before` may stay.
    pub fn check(&self, before: &SettingsOverride) -> Result<(), BadSetting> {
        for ((declaration, value), before) in Settings::DECLARED.iter().zip(self.values()).zip(before.values()) {
            if let Some(value) = value.filter(|value| Some(*value) != before)
                && let Some(reason) = declaration.allowed.fault(value)
            {
                return Err(BadSetting { setting: declaration.name, reason });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(over: SettingsOverride) -> &'static str {
        over.check(&SettingsOverride::default()).unwrap_err().setting
    }

    #[test]
    fn a_servers_setting_wins_over_the_global_one_and_that_over_the_default() {
        let global = SettingsOverride { dns_interval_s: Some(30), system_interval_s: Some(10), ..Default::default() };
        let server = SettingsOverride { dns_interval_s: Some(15), ..Default::default() };
        let defaults = Settings { raw_retention_minutes: 7, aggregated_retention_days: 8, ..Settings::default() };
        let settings = Settings::effective(defaults, &[&global, &server]);
        assert_eq!((settings.dns_interval_s, settings.system_interval_s, settings.api_timeout_ms), (15, 10, 300));
        assert_eq!((settings.raw_retention_minutes, settings.aggregated_retention_days), (7, 8));
    }

    #[test]
    fn the_port_follows_tls_unless_it_is_set() {
        let tls = SettingsOverride { rabbitmq_tls: Some(true), ..Default::default() };
        let port = SettingsOverride { rabbitmq_port: Some(5672), ..Default::default() };
        let with = |layers: &[&SettingsOverride]| Settings::effective(Settings::default(), layers).rabbitmq_port;
        assert_eq!((with(&[]), with(&[&tls]), with(&[&port, &tls])), (5672, 5671, 5672));
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        let none = SettingsOverride::default;
        for interval_s in [0, 7, 301, 600] {
            assert_eq!(refused(SettingsOverride { dns_interval_s: Some(interval_s), ..none() }), "dns_interval_s");
            assert_eq!(refused(SettingsOverride { system_interval_s: Some(interval_s), ..none() }), "system_interval_s");
        }
        assert_eq!(refused(SettingsOverride { raw_retention_minutes: Some(0), ..none() }), "raw_retention_minutes");
        assert_eq!(refused(SettingsOverride { aggregated_retention_days: Some(0), ..none() }), "aggregated_retention_days");
        assert_eq!(refused(SettingsOverride { rabbitmq_port: Some(0), ..none() }), "rabbitmq_port");
        for timeout_ms in [0, 9, 60_001] {
            assert_eq!(refused(SettingsOverride { api_timeout_ms: Some(timeout_ms), ..none() }), "api_timeout_ms");
        }
        for url in [
            "central",
            "ftp://a",
            "http://",
            "http://user@a",
            "http://a b",
            "http://a?b",
            "https:///x",
            "http://a:0",
            "http://a:65536",
            "http://[::1]:x",
            "http://:8053",
            "http://2001:db8::1",
            "http://2001:db8::1:8053",
            "http://[::1",
            "http://::1]",
            "http://[x]:1",
            "http://[]",
            "http://[::1]8053",
            "http://[::1]x:1",
            "http://[192.0.2.1]",
            "http://a:+1",
            "http://a:",
            "http://a%b",
            "http://a[b",
            "http://a..b",
            "http://.",
            "http://1.2.3.256",
            "http://1.2.3:8053",
        ] {
            assert_eq!(refused(SettingsOverride { api_url: Some(url.to_owned()), ..none() }), "api_url", "{url}");
        }
        for url in
            ["http://a", "http://192.0.2.1:8053/", "https://[::1]:1/x", "http://[::ffff:192.0.2.1]", "https://müller.example"]
        {
            SettingsOverride { api_url: Some(url.to_owned()), ..none() }.check(&none()).unwrap();
        }
        for host in ["a b", "a/b", "user@a", "x:5672", ":5672", "a:b", "x..y", "1.2.3.256", "[::1]", &"x".repeat(256)] {
            assert_eq!(refused(SettingsOverride { rabbitmq_address: Some(host.to_owned()), ..none() }), "rabbitmq_address");
        }
        assert_eq!(refused(SettingsOverride { rabbitmq_virtual_host: Some(String::new()), ..none() }), "rabbitmq_virtual_host");
        assert_eq!(refused(SettingsOverride { rabbitmq_password: Some("x".repeat(256)), ..none() }), "rabbitmq_password");
    }

    #[test]
    fn hosts_that_were_taken_once_may_stay_and_not_come_anew() {
        let before = SettingsOverride {
            api_url: Some("http://a..b".to_owned()),
            rabbitmq_address: Some("x:5672".to_owned()),
            ..Default::default()
        };
        SettingsOverride { dns_interval_s: Some(30), ..before.clone() }.check(&before).unwrap();
        assert_eq!(refused(SettingsOverride { api_url: None, ..before }), "rabbitmq_address");
    }

    #[test]
    fn values_at_the_ends_of_their_ranges_are_taken() {
        for (interval_s, timeout_ms, url) in
            [(1, 10, ""), (300, 60_000, "https://central.example:8443/zonepulse"), (5, 300, "http://[2001:db8::1]")]
        {
            let over = SettingsOverride {
                dns_interval_s: Some(interval_s),
                system_interval_s: Some(interval_s),
                api_timeout_ms: Some(timeout_ms),
                api_url: Some(url.to_owned()),
                raw_retention_minutes: Some(1),
                aggregated_retention_days: Some(u32::MAX),
                rabbitmq_address: Some("2001:db8::1".to_owned()),
                ..Default::default()
            };
            over.check(&SettingsOverride::default()).unwrap();
        }
    }

    #[test]
    fn rabbitmq_needs_an_address_and_a_user() {
        let mut settings = Settings { communication: Communication::Rabbitmq, ..Settings::default() };
        let fault = |settings: &Settings| settings.check().err().map_or("", |error| error.setting);
        assert_eq!(fault(&settings), "rabbitmq_address");
        settings.rabbitmq_address = "broker.example".to_owned();
        assert_eq!(fault(&settings), "rabbitmq_user");
        settings.rabbitmq_user = "probe".to_owned();
        assert_eq!(fault(&settings), "");
    }

    #[test]
    fn every_setting_is_declared_with_a_description_and_its_default_is_allowed() {
        assert_eq!(Settings::DECLARED.iter().map(|declaration| declaration.name).collect::<Vec<_>>(), Settings::NAMES);
        for declaration in Settings::DECLARED {
            assert!(declaration.description.concat().ends_with('.'), "{}", declaration.name);
        }
        let serde_json::Value::Object(defaults) = serde_json::to_value(Settings::default()).unwrap() else { panic!() };
        let all: SettingsOverride = serde_json::from_value(defaults.into()).unwrap();
        assert!(all.values().all(|value| value.is_some()));
        assert_eq!(all.check(&SettingsOverride::default()), Ok(()));
    }

    #[test]
    fn the_password_is_not_printed() {
        let over = SettingsOverride { rabbitmq_password: Some("hush".to_owned()), ..SettingsOverride::default() };
        let settings = Settings::effective(Settings::default(), &[&over]);
        let printed = format!("{over:?} {settings:?}");
        assert!(!printed.contains("hush") && printed.contains("(secret)"), "{printed}");
    }
}
