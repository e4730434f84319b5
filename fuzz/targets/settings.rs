//! What a probe is told, as it reads it: the answer to a heartbeat, what enrolment gives, and what was confirmed of a pull.
//!
//! What is read is written and read as the same, and settings that pass the check are within its bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonepulse_model::Interval;
use zonepulse_wire::pull::Confirmations;
use zonepulse_wire::settings::{MAX_SYSTEM_INTERVAL_S, MAX_TEXT_BYTES};
use zonepulse_wire::{Enrollment, HeartbeatAnswer, ProbeSettings};

fuzz_target!(|input: &[u8]| {
    if let Ok(settings) = serde_json::from_slice::<ProbeSettings>(input) {
        check(&settings);
    }
    if let Ok(answer) = serde_json::from_slice::<HeartbeatAnswer>(input) {
        check(&answer.settings);
        let text = serde_json::to_vec(&answer).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<HeartbeatAnswer>(&text).ok(), Some(answer));
    }
    if let Ok(enrollment) = serde_json::from_slice::<Enrollment>(input) {
        check(&enrollment.settings);
        let text = serde_json::to_vec(&enrollment).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<Enrollment>(&text).ok(), Some(enrollment));
    }
    if let Ok(confirmations) = serde_json::from_slice::<Confirmations>(input) {
        let text = serde_json::to_vec(&confirmations).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<Confirmations>(&text).ok(), Some(confirmations));
    }
});

fn check(settings: &ProbeSettings) {
    let text = serde_json::to_vec(settings).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<ProbeSettings>(&text).ok().as_ref(), Some(settings));
    if settings.check().is_ok() {
        assert!(Interval::new(settings.dns_interval_s).is_ok());
        assert!((1..=MAX_SYSTEM_INTERVAL_S).contains(&settings.system_interval_s));
        let texts = settings
            .rabbitmq
            .iter()
            .flat_map(|broker| [broker.address.as_str(), &broker.virtual_host, &broker.user, broker.password.reveal()]);
        assert!(settings.api_url.iter().map(String::as_str).chain(texts).all(|text| text.len() <= MAX_TEXT_BYTES));
    }
}
