//! What can be set of a server, for all of them and for each.
//!
//! A setting that a server has for itself wins over the global one, which wins
//! over the default. What is set is a [`SettingsOverride`], in which most is
//! absent; what holds is [`Settings`], in which nothing is.

use crate::registry::address;
use crate::{Error, Retention};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv6Addr;
use zonepulse_model::Interval;

/// How a probe's batches get to the central.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Communication {
    /// The probe sends them over HTTP.
    Http,
    /// The probe sends them through RabbitMQ.
    Rabbitmq,
    /// The central collects them from the probe.
    Pull,
}

/// What becomes of a batch whose time another run of a probe of the same server covers already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverlappingProbes {
    /// It counts, too.
    Count,
    /// It is refused for good.
    Refuse,
}

/// What is not printed.
const PASSWORD: &str = "rabbitmq_password";

/// A value as it is printed.
fn shown<'a>(name: &str, value: &'a dyn fmt::Debug) -> &'a dyn fmt::Debug {
    if name == PASSWORD { &"(secret)" } else { value }
}

/// Declares every setting once: what holds, and what may be set of it.
macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident: $kind:ty = $default:expr;)*) => {
        /// What holds for a server. It prints without the password.
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Settings {
            $($(#[$doc])* pub $name: $kind,)*
        }

        /// What is set for all servers, or for one; what is absent is as it is without it. It prints
        /// without the password.
        #[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct SettingsOverride {
            $($(#[$doc])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $name: Option<$kind>,)*
        }

        impl Settings {
            /// The name of every setting.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            fn overlay(self, over: &SettingsOverride) -> Settings {
                Settings { $($name: over.$name.clone().unwrap_or(self.$name),)* }
            }
        }

        impl fmt::Debug for Settings {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("Settings")$(.field(stringify!($name), shown(stringify!($name), &self.$name)))*.finish()
            }
        }

        impl fmt::Debug for SettingsOverride {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut out = f.debug_struct("SettingsOverride");
                $(if let Some(value) = &self.$name {
                    out.field(stringify!($name), shown(stringify!($name), value));
                })*
                out.finish()
            }
        }

        impl Default for Settings {
            fn default() -> Self {
                Settings { $($name: $default,)* }
            }
        }
    };
}

settings! {
    /// Where probes find the API of the central, `http://…` or `https://…`; empty for wherever they were enrolled.
    api_url: String = String::new();
    /// Whether a probe refuses a central whose certificate it cannot check.
    verify_ca: bool = true;
    /// How batches get to the central.
    communication: Communication = Communication::Http;
    /// How long the central waits for a probe, or a broker, to let it in, milliseconds.
    api_timeout_ms: u32 = 300;
    /// Whether DNS messages are counted.
    dns_monitoring: bool = true;
    /// Over which time they are summed, seconds; divides 300.
    dns_interval_s: u32 = 60;
    /// Whether the system is measured.
    system_monitoring: bool = true;
    /// How often, seconds; divides 300.
    system_interval_s: u32 = 5;
    /// How long raw points are kept, minutes; 4294967295 for ever.
    raw_retention_minutes: u32 = Retention::default().raw_minutes;
    /// How long roll-ups and reports are kept, days; 4294967295 for ever.
    aggregated_retention_days: u32 = Retention::default().aggregated_days;
    /// What becomes of a batch whose time another run of a probe of the same server covers already. With `refuse`, a probe
    /// whose clock was ahead and is set back between two runs has refused what it observes until it is past the time that
    /// it covered falsely: up to as long as batches may be ahead (`[ingest] max_ahead_s`).
    overlapping_probes: OverlappingProbes = OverlappingProbes::Count;
    /// The broker's FQDN or IP address; empty for none.
    rabbitmq_address: String = String::new();
    /// Its port; without one, 5672, or 5671 with TLS.
    rabbitmq_port: u16 = 5672;
    /// Whether it is spoken to with TLS.
    rabbitmq_tls: bool = false;
    /// The virtual host there.
    rabbitmq_virtual_host: String = "/".to_owned();
    /// The user there.
    rabbitmq_user: String = String::new();
    /// The user's password. It is kept as it is, because probes need it.
    rabbitmq_password: String = String::new();
}

/// The longest text of a setting, bytes; AMQP's short strings have no more.
const LONGEST_TEXT: usize = 255;
/// The longest address of an API, bytes.
const LONGEST_URL: usize = 2048;
/// The port of AMQP over TLS.
const AMQPS_PORT: u16 = 5671;

impl Settings {
    /// What holds: the defaults, overlaid by what is set for all, overlaid by what is set for one server.
    ///
    /// A password is for the broker that it was set with: a layer that names another one, or a less safe way to
    /// it, and no password has none.
    pub fn effective(retention: Retention, layers: &[&SettingsOverride]) -> Settings {
        let mut settings = Settings {
            raw_retention_minutes: retention.raw_minutes,
            aggregated_retention_days: retention.aggregated_days,
            ..Settings::default()
        };
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

    /// Whether a password that was entered for the broker of other settings would with these be sent to another one, as
    /// another user's, or less safely.
    pub(crate) fn moves_password_of(&self, other: &Settings) -> bool {
        let place = |settings: &Settings| (settings.rabbitmq_address.to_ascii_lowercase(), settings.rabbitmq_port);
        let less_safely = (other.rabbitmq_tls && !self.rabbitmq_tls) || (other.verify_ca && !self.verify_ca);
        let moved = place(self) != place(other) || self.rabbitmq_user != other.rabbitmq_user || less_safely;
        // Without a broker it is sent nowhere.
        moved && !self.rabbitmq_address.is_empty()
    }

    /// For how long points are kept.
    pub fn retention(&self) -> Retention {
        Retention { raw_minutes: self.raw_retention_minutes, aggregated_days: self.aggregated_retention_days }
    }

    /// Refuses settings that cannot hold together.
    pub fn check(&self) -> Result<(), Error> {
        if self.communication == Communication::Rabbitmq {
            let missing = [("rabbitmq_address", &self.rabbitmq_address), ("rabbitmq_user", &self.rabbitmq_user)]
                .into_iter()
                .find(|(_, value)| value.is_empty());
            if let Some((name, _)) = missing {
                return Err(Error::bad_setting(name, "communication over RabbitMQ needs it"));
            }
        }
        Ok(())
    }
}

impl SettingsOverride {
    /// Refuses values out of range.
    ///
    /// Hosts were once taken that are not any more: one that was there before may stay.
    pub fn check(&self, before: &SettingsOverride) -> Result<(), Error> {
        for (name, interval_s) in [("dns_interval_s", self.dns_interval_s), ("system_interval_s", self.system_interval_s)] {
            if let Some(Err(error)) = interval_s.map(Interval::new) {
                return Err(Error::bad_setting(name, error.to_string()));
            }
        }
        let kept = [
            ("raw_retention_minutes", self.raw_retention_minutes),
            ("aggregated_retention_days", self.aggregated_retention_days),
        ];
        if let Some((name, _)) = kept.into_iter().find(|(_, value)| *value == Some(0)) {
            return Err(Error::bad_setting(name, "it has to be from 1 to 4294967295, not 0"));
        }
        if let Some(timeout_ms) = self.api_timeout_ms.filter(|timeout_ms| !(10..=60_000).contains(timeout_ms)) {
            return Err(Error::bad_setting("api_timeout_ms", format!("it has to be from 10 to 60000, not {timeout_ms}")));
        }
        if self.rabbitmq_port == Some(0) {
            return Err(Error::bad_setting("rabbitmq_port", "it has to be from 1 to 65535, not 0"));
        }
        self.check_hosts(before)?;
        self.check_texts()
    }

    fn check_hosts(&self, before: &SettingsOverride) -> Result<(), Error> {
        let is_new = |text: &&str, before: &Option<String>| !text.is_empty() && before.as_deref() != Some(*text);
        let url = self.api_url.as_deref().filter(|url| is_new(url, &before.api_url));
        if let Some(what) = url.and_then(bad_url) {
            return Err(Error::bad_setting("api_url", format!("it {what}")));
        }
        let address = self.rabbitmq_address.as_deref().filter(|address| is_new(address, &before.rabbitmq_address));
        match address.and_then(address::fault) {
            Some(fault) => Err(Error::bad_setting("rabbitmq_address", fault)),
            None => Ok(()),
        }
    }

    fn check_texts(&self) -> Result<(), Error> {
        if self.rabbitmq_virtual_host.as_deref() == Some("") {
            return Err(Error::bad_setting("rabbitmq_virtual_host", "it is empty; the one that every broker has is /"));
        }
        let texts = [
            ("rabbitmq_virtual_host", &self.rabbitmq_virtual_host),
            ("rabbitmq_user", &self.rabbitmq_user),
            ("rabbitmq_password", &self.rabbitmq_password),
        ];
        for (name, text) in texts {
            if text.as_deref().is_some_and(|text| text.len() > LONGEST_TEXT || text.chars().any(char::is_control)) {
                return Err(Error::bad_setting(name, "it has at most 255 bytes and no control characters"));
            }
        }
        Ok(())
    }
}

/// What is wrong with the address of an API, if anything, as what is said of it.
pub fn bad_url(url: &str) -> Option<&'static str> {
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
        return Some("does not begin with http:// or https://; write https://host:port");
    };
    if url.len() > LONGEST_URL {
        return Some("has more than 2048 bytes; write https://host:port");
    }
    if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Some("has spaces or control characters; write https://host:port");
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') || rest.contains(['?', '#']) {
        return Some("has more than a host, a port and a path; write https://host:port");
    }
    let (port, host) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').unwrap_or_default();
            (port, address.parse::<Ipv6Addr>().map_or("", |_| address))
        }
        None => {
            let (name, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            (port, if name.chars().all(|c| c.is_alphanumeric() || "-._".contains(c)) { name } else { "" })
        }
    };
    if host.is_empty() {
        return Some(
            "has no host; write https://host:port, and an address of IPv6 in brackets, as in https://[2001:db8::1]:8053",
        );
    }
    if port.strip_prefix(':').is_some_and(|port| port.contains(':')) {
        return Some("has an address of IPv6 without brackets; write https://[2001:db8::1]:8053");
    }
    // A name in other letters than those of ASCII is sent as one of ASCII (RFC 5891), which is as long or longer.
    let in_ascii: String = host.chars().map(|c| if c.is_ascii() { c } else { 'x' }).collect();
    if address::fault(&in_ascii).is_some() {
        return Some("has a host that is neither an FQDN nor an IP address; write https://host:port");
    }
    let is_port = |port: &str| port.bytes().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    match port.strip_prefix(':') {
        Some(port) if !is_port(port) => Some("has a port that is none; give one from 1 to 65535"),
        None if !port.is_empty() => Some("has more than a port after the brackets; write https://[2001:db8::1]:8053"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(over: SettingsOverride) -> String {
        match over.check(&SettingsOverride::default()) {
            Err(Error::BadSetting { setting, .. }) => setting,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_servers_setting_wins_over_the_global_one_and_that_over_the_default() {
        let global = SettingsOverride { dns_interval_s: Some(30), system_interval_s: Some(10), ..Default::default() };
        let server = SettingsOverride { dns_interval_s: Some(15), ..Default::default() };
        let settings = Settings::effective(Retention { raw_minutes: 7, aggregated_days: 8 }, &[&global, &server]);
        assert_eq!((settings.dns_interval_s, settings.system_interval_s, settings.api_timeout_ms), (15, 10, 300));
        assert_eq!((settings.raw_retention_minutes, settings.aggregated_retention_days), (7, 8));
    }

    #[test]
    fn the_port_follows_tls_unless_it_is_set() {
        let tls = SettingsOverride { rabbitmq_tls: Some(true), ..Default::default() };
        let port = SettingsOverride { rabbitmq_port: Some(5672), ..Default::default() };
        let with = |layers: &[&SettingsOverride]| Settings::effective(Retention::default(), layers).rabbitmq_port;
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
    fn what_is_wrong_with_a_url_is_said_of_it() {
        for (url, said) in [
            ("central", "begin with"),
            ("http://:8053", "has no host"),
            ("http://[::1", "has no host"),
            ("http://[x]:1", "has no host"),
            ("http://a..b", "neither an FQDN nor an IP address"),
            ("http://2001:db8::1", "without brackets"),
            ("http://[::1]8053", "after the brackets"),
            ("http://me@a", "more than a host"),
            ("http://a:0", "from 1 to 65535"),
        ] {
            assert!(bad_url(url).is_some_and(|what| what.contains(said)), "{url}: {:?}", bad_url(url));
        }
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
        let fault = |settings: &Settings| match settings.check() {
            Err(Error::BadSetting { setting, .. }) => setting,
            _ => String::new(),
        };
        assert_eq!(fault(&settings), "rabbitmq_address");
        settings.rabbitmq_address = "broker.example".to_owned();
        assert_eq!(fault(&settings), "rabbitmq_user");
        settings.rabbitmq_user = "probe".to_owned();
        assert_eq!(fault(&settings), "");
    }
}
