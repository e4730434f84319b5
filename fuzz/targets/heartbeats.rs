//! Heartbeats as the central reads them: what is read and passes the check is written and read as the same, and is bounded.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonepulse_wire::heartbeat::MAX_HEARTBEAT_BYTES;
use zonepulse_wire::{EnrollmentRequest, Heartbeat};

/// JSON writes a control character as six bytes, and field names and numbers take about so much.
const MOST_BYTES: usize = 6 * MAX_HEARTBEAT_BYTES + 4096;

fuzz_target!(|input: &[u8]| {
    // The central reads no more.
    let input = input.get(..MAX_HEARTBEAT_BYTES).unwrap_or(input);
    if let Ok(heartbeat) = serde_json::from_slice::<Heartbeat>(input) {
        let text = serde_json::to_vec(&heartbeat).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<Heartbeat>(&text).ok().as_ref(), Some(&heartbeat));
        if heartbeat.check().is_ok() {
            assert!(text.len() <= MOST_BYTES, "{} bytes", text.len());
            assert!(i64::try_from(heartbeat.sent_at_ms).is_ok(), "a time has a calendar's date");
        }
    }
    if let Ok(request) = serde_json::from_slice::<EnrollmentRequest>(input) {
        let text = serde_json::to_vec(&request).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<EnrollmentRequest>(&text).ok(), Some(request));
    }
});
