//! What a probe is told, as it reads it: the answer to a heartbeat, what enrolment gives, and what was confirmed of a pull.
//!
//! What is read is written and read as the same. Settings that pass the check are such that a probe
//! can do, and the reason against others never shows a password.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonepulse_wire::pull::Confirmations;
use zonepulse_wire::settings::{DNS_INTERVALS_DIVIDE_S, MAX_SYSTEM_INTERVAL_S};
use zonepulse_wire::{Enrollment, HeartbeatAnswer, ProbeSettings};

/// A shorter password may be a part of any sentence, bytes.
const TELLING_BYTES: usize = 12;

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
    match settings.check() {
        Ok(()) => {
            assert!(settings.dns_interval_s > 0 && DNS_INTERVALS_DIVIDE_S.is_multiple_of(settings.dns_interval_s));
            assert!((1..=MAX_SYSTEM_INTERVAL_S).contains(&settings.system_interval_s));
        }
        Err(reason) => {
            let password = settings.rabbitmq.as_ref().map(|rabbitmq| rabbitmq.password.as_str()).unwrap_or_default();
            assert!(password.len() < TELLING_BYTES || !reason.contains(password), "{reason}");
        }
    }
}
