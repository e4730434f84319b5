//! What a probe is told besides the outcome of its batches: the vocabulary is the wire format's, the facts are the
//! store's.

use zonepulse_model::{Communication, Settings};
use zonepulse_private::Secret;
use zonepulse_store::Server;
use zonepulse_wire::{ProbeSettings, RabbitmqSettings};

/// The settings that apply to the probe of a server.
///
/// They contain a secret only if the probe's transport needs it: the broker's password, or the token for pulling.
/// They never contain one for an untrusted server, whose token may be in other hands: instead of through the broker,
/// such a probe sends over HTTP, where its token is enough.
pub fn probe_settings(settings: &Settings, server: &Server) -> ProbeSettings {
    let communication = match settings.communication {
        Communication::Rabbitmq if !server.trusted => Communication::Http,
        communication => communication,
    };
    let rabbitmq = (communication == Communication::Rabbitmq).then(|| RabbitmqSettings::of(settings));
    let is_told = server.trusted && communication == Communication::Pull;
    let pull_token = server.pull.token.as_deref().filter(|_| is_told).map(Secret::from);
    ProbeSettings { communication, rabbitmq, pull_token, ..ProbeSettings::of(settings) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn server(trusted: bool) -> Server {
        let server = json!({"id": 1, "name": "ns1", "sample": false, "token_hash": "", "created_ms": 0, "trusted": trusted,
            "pull": {"url": "https://ns1.example:8054", "token": "hush-pull"}});
        serde_json::from_value(server).unwrap()
    }

    fn settings(communication: Communication) -> Settings {
        Settings {
            communication,
            rabbitmq_address: "broker.example".to_owned(),
            rabbitmq_user: "probe".to_owned(),
            rabbitmq_password: "hush-broker".to_owned(),
            api_url: "https://central.example".to_owned(),
            ..Settings::default()
        }
    }

    /// What a probe is told, as it travels.
    fn told(communication: Communication, trusted: bool) -> (Communication, String) {
        let told = probe_settings(&settings(communication), &server(trusted));
        assert_eq!(told.check(), Ok(()));
        (told.communication, serde_json::to_string(&told).unwrap())
    }

    #[test]
    fn the_stores_defaults_are_those_of_a_probe() {
        assert_eq!(probe_settings(&Settings::default(), &server(true)), ProbeSettings::default());
    }

    #[test]
    fn what_the_store_accepts_no_probe_refuses() {
        let settings = settings(Communication::Rabbitmq);
        settings.check().unwrap();
        let told = probe_settings(&settings, &server(true));
        assert_eq!(told.check(), Ok(()));
        assert_eq!(told.api_url.as_deref(), Some("https://central.example"));
        assert_eq!(told.rabbitmq.map(|rabbitmq| (rabbitmq.address, rabbitmq.port)), Some(("broker.example".to_owned(), 5672)));
    }

    #[test]
    fn a_probe_is_given_the_secret_of_its_way_and_no_other() {
        for (communication, secrets) in [
            (Communication::Http, [false, false]),
            (Communication::Rabbitmq, [true, false]),
            (Communication::Pull, [false, true]),
        ] {
            let (_, text) = told(communication, true);
            assert_eq!(["hush-broker", "hush-pull"].map(|secret| text.contains(secret)), secrets, "{communication:?}: {text}");
        }
    }

    #[test]
    fn a_probe_that_is_not_trusted_is_given_no_secret_and_has_a_way_all_the_same() {
        for (communication, expected) in [
            (Communication::Http, Communication::Http),
            (Communication::Rabbitmq, Communication::Http),
            (Communication::Pull, Communication::Pull),
        ] {
            let (way, text) = told(communication, false);
            assert_eq!((way, text.contains("hush")), (expected, false), "{communication:?}: {text}");
        }
    }
}
