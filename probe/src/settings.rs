//! The settings in force: the configuration, overridden by the central.
//!
//! The central's settings arrive with the answer to a heartbeat, or are posted by a central that
//! pulls. They are saved in the spool's directory (readable only by its owner, since they may
//! contain a broker's password), so that a probe that starts while the central is unreachable
//! behaves as before. `[central] settings = "ignore"` leaves everything to the configuration.
//!
//! Settings that cannot work are rejected as a whole, such as a broker without a host name, or pull
//! without an address to listen on. The previous settings stay in force, and the heartbeat reports
//! their version and the reason.
//!
//! The configuration sets limits: if it does not let the central redirect this probe
//! ([`crate::pin`]) or turn off verification, that setting is ignored and the heartbeat says so;
//! the others apply. The log names every setting where the central overrides the configuration.

mod words;

use crate::config::{Config, Monitoring, Obedience, pull};
use crate::spool::{Spool, survey};
use crate::{Error, central, deliver};
use serde::{Deserialize, Serialize};
use std::path::Path;
use zonepulse_model::Communication;
use zonepulse_net::Trust;
use zonepulse_net::amqp::Address;
use zonepulse_private::Secret;
use zonepulse_wire::{HeartbeatAnswer, ProbeSettings, RabbitmqSettings};

pub use words::{Overridden, tell};

/// The central's last settings, as saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The server they are for; settings for another server are ignored.
    pub server_id: u32,
    /// The version of the settings.
    pub version: u64,
    /// The settings themselves.
    pub settings: ProbeSettings,
}

/// Everything that may change while the probe runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The version of the central's settings; none if only the configuration applies.
    pub version: Option<u64>,
    /// What is monitored, and how often.
    pub monitoring: Monitoring,
    /// How batches get to the central.
    pub delivery: deliver::Settings,
    /// Where to send heartbeats: the first that answers.
    pub heartbeat: Vec<deliver::http::Settings>,
    /// How to be pulled from, if the central pulls.
    pub pull: Option<pull::Settings>,
    /// Which of the central's settings are not applied, and why.
    pub refused: Option<String>,
    /// Where the central's settings make this probe present its token, if that is not the
    /// configured URL.
    pub moved_to: Option<String>,
    /// Configured values that the central overrides.
    pub overridden: Vec<Overridden>,
}

impl Kept {
    /// Settings from an answer to a heartbeat.
    pub fn of(server_id: u32, answer: HeartbeatAnswer) -> Kept {
        Kept { server_id, version: answer.settings_version, settings: answer.settings }
    }

    /// The saved settings, if they are for this server and apply.
    pub fn read(spool: &Spool, config: &Config) -> Option<Kept> {
        if config.central.settings == Obedience::Ignore {
            return None;
        }
        let read = spool.read_settings().and_then(|bytes| {
            let parse = |bytes: Vec<u8>| serde_json::from_slice::<Kept>(&bytes);
            bytes.map(parse).transpose().map_err(|error| Error::disk("read", spool.dir().join("settings.json"))(error.into()))
        });
        match read {
            Ok(kept) => kept.filter(|kept| kept.server_id == config.server_id),
            Err(error) => {
                tracing::warn!(%error, "cannot read the central's last settings; using the configuration until it sends them again");
                None
            }
        }
    }

    /// The saved settings of any server in a spool that another process may be using, even if they do
    /// not apply.
    pub fn peek(spool: &Path) -> Result<Option<Kept>, Error> {
        let Some(bytes) = survey::saved_settings(spool)? else { return Ok(None) };
        let parsed = serde_json::from_slice(&bytes);
        parsed.map(Some).map_err(|error| Error::disk("read", spool.join("settings.json"))(error.into()))
    }

    /// Saves the settings.
    pub fn write(&self, spool: &Spool) -> Result<(), Error> {
        let text = serde_json::to_vec(self).map_err(|error| Error::disk("encode", "settings.json")(error.into()))?;
        spool.write_settings(&text)
    }
}

impl InForce {
    /// The settings of the configuration alone.
    pub fn of_config(config: &Config) -> Result<InForce, Error> {
        let delivery = config.delivery()?;
        let pull = if delivery == deliver::Settings::Pull { Some(config.pull(None)?) } else { None };
        let heartbeat = config.central()?.into_iter().collect();
        let monitoring = config.monitoring();
        Ok(InForce {
            version: None,
            monitoring,
            delivery,
            heartbeat,
            pull,
            refused: None,
            moved_to: None,
            overridden: Vec::new(),
        })
    }

    /// The central's settings, on top of the configuration.
    ///
    /// Fails with [`Error::Config`], which names the invalid setting.
    pub fn of_central(config: &Config, kept: &Kept) -> Result<InForce, Error> {
        let settings = &kept.settings;
        settings.check().map_err(wrong)?;
        let own = config.central()?;
        let Floor { url, trust, refused, moved_to } = Floor::under(config, settings)?;
        let central = own.as_ref().map(|own| deliver::http::Settings { url, token: own.token.clone(), trust: trust.clone() });
        let delivery = match settings.communication {
            Communication::Http => {
                let central = central.clone().ok_or_else(|| wrong("communication: is \"http\", but this probe has no token"))?;
                deliver::Settings::Http(central)
            }
            Communication::Rabbitmq => {
                let no_token = || wrong("communication: is \"rabbitmq\", but this probe has no token to sign batches with");
                let token = own.as_ref().ok_or_else(no_token)?.token.clone();
                let rabbitmq = settings.rabbitmq.as_ref().ok_or_else(|| wrong("rabbitmq: is missing"))?;
                config.pin().and_then(|pin| pin.check_broker(rabbitmq)).map_err(|what| wrong(format!("rabbitmq: {what}")))?;
                let url = broker_url(rabbitmq);
                Address::parse(&url).map_err(|what| wrong(format!("rabbitmq: {what}")))?;
                deliver::Settings::Amqp(deliver::amqp::Settings {
                    url,
                    queue: config.deliver.rabbitmq.queue.clone(),
                    token,
                    trust,
                })
            }
            Communication::Pull => deliver::Settings::Pull,
        };
        let pull = if delivery == deliver::Settings::Pull { Some(config.pull(settings.pull_token.as_ref())?) } else { None };
        // If the central's own URL does not work, the configured one may: a wrong URL can then be
        // corrected remotely.
        let mut heartbeat: Vec<_> = central.into_iter().chain(own).collect();
        heartbeat.dedup();
        let monitoring = Monitoring {
            dns: settings.dns_monitoring,
            dns_interval_s: settings.dns_interval_s,
            dns_served: settings.dns_served,
            system: settings.system_monitoring,
            system_interval_s: settings.system_interval_s,
        };
        let overridden = Overridden::of(config, settings);
        Ok(InForce { version: Some(kept.version), monitoring, delivery, heartbeat, pull, refused, moved_to, overridden })
    }

    /// Logs where the central's settings send the token, and which of them are ignored.
    pub fn warn(&self) {
        if let Some(refused) = &self.refused {
            tracing::warn!(
                refused,
                "a setting of the central is ignored: this probe's configuration does not allow it ([central] pin, [tls] verify_ca)"
            );
        }
        if let Some(url) = &self.moved_to {
            tracing::warn!(url, "the central redirects this probe, and its token, to a URL other than the configured one");
        }
    }
}

/// The central's settings that affect security, after applying the configuration's limits.
struct Floor {
    url: String,
    trust: Trust,
    refused: Option<String>,
    moved_to: Option<String>,
}

impl Floor {
    /// Fails with [`Error::Config`] when a setting is invalid.
    fn under(config: &Config, settings: &ProbeSettings) -> Result<Floor, Error> {
        let mut refused = Vec::new();
        if config.tls.verify_ca && !settings.verify_ca {
            refused.push("verify_ca: this probe's configuration requires certificate verification (tls.verify_ca)".to_owned());
        }
        let trust = config.trust(config.tls.verify_ca || settings.verify_ca)?;
        let (mut url, mut moved_to) = (config.deliver.http.url.clone(), None);
        if let Some(there) = &settings.api_url {
            central::check_url(there).map_err(|what| wrong(format!("api_url: {what}")))?;
            match config.pin().and_then(|pin| pin.check_api(there)) {
                Ok(moved) => {
                    url.clone_from(there);
                    moved_to = moved.then(|| there.clone());
                }
                Err(what) => refused.push(format!("api_url: {what}")),
            }
        }
        Ok(Floor { url, trust, refused: (!refused.is_empty()).then(|| refused.join("; ")), moved_to })
    }
}

fn broker_url(rabbitmq: &RabbitmqSettings) -> Secret {
    let RabbitmqSettings { address, port, tls, virtual_host, user, password } = rabbitmq;
    let scheme = if *tls { "amqps" } else { "amqp" };
    let host = if address.contains(':') && !address.starts_with('[') { format!("[{address}]") } else { address.clone() };
    let [user, password, virtual_host] = [user, password.reveal(), virtual_host].map(escape);
    Secret::new(format!("{scheme}://{user}:{password}@{host}:{port}/{virtual_host}"))
}

/// Percent-encodes everything but letters and digits (RFC 3986 section 2.1).
fn escape(text: &str) -> String {
    let octet = |octet: u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(octet).to_string(),
        _ => format!("%{octet:02X}"),
    };
    text.bytes().map(octet).collect()
}

fn wrong(detail: impl Into<String>) -> Error {
    Error::Config { place: "the central's settings".into(), detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &str) -> Config {
        let text = format!("server_id = 7\n[deliver.http]\nurl = \"https://one\"\ntoken = \"t\"\n{more}");
        Config::parse(Path::new("probe.toml"), &text).unwrap()
    }

    fn kept(change: impl FnOnce(&mut ProbeSettings)) -> Kept {
        let mut settings = ProbeSettings::default();
        change(&mut settings);
        Kept { server_id: 7, version: 3, settings }
    }

    fn rabbitmq(settings: &mut ProbeSettings) {
        settings.communication = Communication::Rabbitmq;
        settings.rabbitmq = Some(RabbitmqSettings {
            address: "::1".into(),
            port: 5671,
            tls: true,
            virtual_host: "/".into(),
            user: "me@x".into(),
            password: "p/:w".into(),
        });
    }

    #[test]
    fn the_central_s_settings_override_the_configuration() {
        let said = kept(|settings| {
            settings.dns_monitoring = false;
            settings.system_interval_s = 30;
            settings.verify_ca = false;
            settings.api_url = Some("https://two".into());
        });
        let own = config("[tls]\nverify_ca = false\n[central]\npin = [\"two\"]");
        let in_force = InForce::of_central(&own, &said).unwrap();
        assert_eq!(in_force.version, Some(3));
        assert_eq!(
            in_force.monitoring,
            Monitoring { dns: false, dns_interval_s: 60, dns_served: true, system: true, system_interval_s: 30 }
        );
        let deliver::Settings::Http(central) = &in_force.delivery else { panic!("{in_force:?}") };
        assert_eq!((central.url.as_str(), central.trust.verifies(), central.token.reveal()), ("https://two", false, "t"));
        let heartbeat: Vec<_> = in_force.heartbeat.iter().map(|way| (way.url.as_str(), way.trust.verifies())).collect();
        assert_eq!(heartbeat, [("https://two", false), ("https://one", false)]);
        assert_eq!((in_force.refused, in_force.moved_to.as_deref()), (None, Some("https://two")));
    }

    #[test]
    fn the_token_goes_only_where_the_configuration_allows() {
        for evil in ["https://evil", "http://one", "https://one.evil"] {
            let said = kept(|settings| {
                settings.dns_interval_s = 30;
                settings.api_url = Some(evil.into());
            });
            let in_force = InForce::of_central(&config(""), &said).unwrap();
            let ways: Vec<_> = in_force.heartbeat.iter().map(|way| way.url.as_str()).collect();
            assert_eq!((ways, in_force.moved_to), (vec!["https://one"], None), "{evil}");
            let deliver::Settings::Http(central) = &in_force.delivery else { panic!("{evil}") };
            assert_eq!(central.url, "https://one", "{evil}");
            assert!(in_force.refused.is_some_and(|why| why.starts_with("api_url: ") && why.contains(evil)), "{evil}");
            assert_eq!((in_force.version, in_force.monitoring.dns_interval_s), (Some(3), 30), "the other settings apply");
        }
    }

    #[test]
    fn another_port_of_the_configured_host_is_allowed_and_reported() {
        let said = kept(|settings| settings.api_url = Some("https://one:9000".into()));
        let in_force = InForce::of_central(&config(""), &said).unwrap();
        assert_eq!((in_force.refused, in_force.moved_to.as_deref()), (None, Some("https://one:9000")));
        let same = kept(|settings| settings.api_url = Some("https://one".into()));
        assert_eq!(InForce::of_central(&config(""), &same).unwrap().moved_to, None);
    }

    #[test]
    fn certificates_are_verified_if_either_side_requires_it() {
        for (own, told, expected) in [(true, true, true), (true, false, true), (false, true, true), (false, false, false)] {
            let said = kept(|settings| settings.verify_ca = told);
            let in_force = InForce::of_central(&config(&format!("[tls]\nverify_ca = {own}")), &said).unwrap();
            let deliver::Settings::Http(central) = &in_force.delivery else { panic!("{in_force:?}") };
            assert_eq!(central.trust.verifies(), expected, "{own} {told}");
            assert_eq!(in_force.refused.is_some(), own && !told, "{own} {told}");
        }
    }

    #[test]
    fn a_broker_that_the_configuration_does_not_allow_is_not_taken() {
        let refused = |more: &str, change: fn(&mut RabbitmqSettings)| {
            let said = kept(|settings| {
                rabbitmq(settings);
                let broker = settings.rabbitmq.as_mut().unwrap();
                broker.address = "broker.example".into();
                change(broker);
            });
            InForce::of_central(&config(more), &said).map(|_| ()).unwrap_err().to_string()
        };
        assert!(refused("", |broker| broker.tls = false).contains("rabbitmq: broker.example is used without TLS"));
        assert!(refused("[central]\npin = [\"one\"]", |_| ()).contains("[central] pin does not allow"));
    }

    #[test]
    fn a_probe_without_a_token_sends_nothing_through_a_broker() {
        let text = "server_id = 7\n[deliver]\ncommunication = \"rabbitmq\"";
        let error = Config::parse(Path::new("probe.toml"), text).unwrap().delivery().unwrap_err().to_string();
        assert!(error.contains("deliver.http.token: is missing") && error.contains("signed"), "{error}");
    }

    #[test]
    fn a_broker_is_used_with_the_central_s_settings() {
        let in_force = InForce::of_central(&config(""), &kept(rabbitmq)).unwrap();
        let deliver::Settings::Amqp(settings) = &in_force.delivery else { panic!("{in_force:?}") };
        assert_eq!(settings.url.reveal(), "amqps://me%40x:p%2F%3Aw@[::1]:5671/%2F");
        assert_eq!(in_force.heartbeat.len(), 1);
        assert!(!format!("{in_force:?}").contains("p%2F"));
    }

    #[test]
    fn invalid_settings_are_named() {
        let refused = |change: fn(&mut ProbeSettings), expected: &str| {
            let error = InForce::of_central(&config(""), &kept(change)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused(|settings| settings.communication = Communication::Pull, "pull.listen: is missing");
        refused(|settings| settings.communication = Communication::Rabbitmq, "the central's settings: rabbitmq: is missing");
        refused(|settings| settings.dns_interval_s = 7, "the central's settings: dns_interval_s: must divide 300");
        refused(|settings| settings.api_url = Some("pigeon".into()), "the central's settings: api_url: is not a valid URL");
    }

    #[test]
    fn a_pull_needs_an_address_and_a_token() {
        let pull = kept(|settings| settings.communication = Communication::Pull);
        let error = InForce::of_central(&config("[pull]\nlisten = \"127.0.0.1:8054\""), &pull).unwrap_err().to_string();
        assert!(error.contains("pull.token: is missing"), "{error}");
        let in_force = InForce::of_central(&config("[pull]\nlisten = \"127.0.0.1:8054\"\ntoken = \"p\""), &pull).unwrap();
        assert_eq!((in_force.delivery, in_force.pull.is_some()), (deliver::Settings::Pull, true));
    }

    #[test]
    fn a_pull_token_that_the_central_gives_counts() {
        let pull = kept(|settings| {
            settings.communication = Communication::Pull;
            settings.pull_token = Some("given".into());
        });
        for own in ["", "token = \"own\"\n"] {
            let config = config(&format!("[pull]\nlisten = \"127.0.0.1:8054\"\n{own}"));
            let in_force = InForce::of_central(&config, &pull).unwrap();
            assert_eq!(in_force.pull.as_ref().unwrap().token.reveal(), "given");
            assert!(!format!("{in_force:?} {pull:?}").contains("given"));
        }
    }

    #[test]
    fn saved_settings_are_used_by_the_same_server_only() {
        let dir = tempfile::TempDir::new().unwrap();
        let more = format!("[spool]\ndir = {:?}", dir.path());
        let config = config(&more);
        let kept = kept(rabbitmq);
        let spool = Spool::open(config.spool()).unwrap();
        assert_eq!(Kept::read(&spool, &config), None);
        kept.write(&spool).unwrap();
        drop(spool);
        let spool = Spool::open(config.spool()).unwrap();
        assert_eq!(Kept::read(&spool, &config), Some(kept));
        assert_eq!(Kept::read(&spool, &Config { server_id: 8, ..config.clone() }), None);
        let mode = std::os::unix::fs::PermissionsExt::mode(&dir.path().join("settings.json").metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let mut stubborn = config;
        stubborn.central.settings = Obedience::Ignore;
        assert_eq!(Kept::read(&spool, &stubborn), None);
        spool.write_settings(b"rubbish").unwrap();
        stubborn.central.settings = Obedience::Apply;
        assert_eq!(Kept::read(&spool, &stubborn), None);
    }
}
