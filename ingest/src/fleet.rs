//! What probe and central tell each other besides batches: the words are the
//! wire's, the facts the store's. Who answers a probe needs nothing else.

use zonepulse_store as store;
pub use zonepulse_wire::heartbeat::{HEARTBEAT_INTERVAL_S, MAX_HEARTBEAT_BYTES};
pub use zonepulse_wire::{
    CaptureState, Communication, Component, Components, Enrollment, EnrollmentRequest, Heartbeat, HeartbeatAnswer, ProbeSettings,
    RabbitmqSettings, SpoolState, State,
};

/// What a probe is told of what holds for its server.
pub fn probe_settings(settings: &store::Settings) -> ProbeSettings {
    let rabbitmq = (!settings.rabbitmq_address.is_empty()).then(|| RabbitmqSettings {
        address: settings.rabbitmq_address.clone(),
        port: settings.rabbitmq_port,
        tls: settings.rabbitmq_tls,
        virtual_host: settings.rabbitmq_virtual_host.clone(),
        user: settings.rabbitmq_user.clone(),
        password: settings.rabbitmq_password.clone(),
    });
    ProbeSettings {
        dns_monitoring: settings.dns_monitoring,
        dns_interval_s: settings.dns_interval_s,
        system_monitoring: settings.system_monitoring,
        system_interval_s: settings.system_interval_s,
        communication: match settings.communication {
            store::Communication::Http => Communication::Http,
            store::Communication::Rabbitmq => Communication::Rabbitmq,
            store::Communication::Pull => Communication::Pull,
        },
        api_url: (!settings.api_url.is_empty()).then(|| settings.api_url.clone()),
        verify_ca: settings.verify_ca,
        rabbitmq,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_defaults_are_those_of_a_probe() {
        assert_eq!(probe_settings(&store::Settings::default()), ProbeSettings::default());
    }

    #[test]
    fn what_the_store_accepts_no_probe_refuses() {
        let settings = store::Settings {
            communication: store::Communication::Rabbitmq,
            rabbitmq_address: "broker.example".to_owned(),
            rabbitmq_user: "probe".to_owned(),
            api_url: "https://central.example".to_owned(),
            ..store::Settings::default()
        };
        settings.check().unwrap();
        let told = probe_settings(&settings);
        assert_eq!(told.check(), Ok(()));
        assert_eq!(told.api_url.as_deref(), Some("https://central.example"));
        assert_eq!(told.rabbitmq.map(|rabbitmq| (rabbitmq.address, rabbitmq.port)), Some(("broker.example".to_owned(), 5672)));
    }
}
