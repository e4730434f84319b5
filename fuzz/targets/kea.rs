//! Answers of Kea: whatever it says, a sample is bounded, and its metrics and values can be sent.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonepulse_fuzz::check_sample;
use zonepulse_probe::services::kea::{self, Family};

fuzz_target!(|answer: &[u8]| {
    for family in [Family::V4, Family::V6] {
        if let Ok(sample) = kea::parse(answer, family) {
            check_sample(&sample);
        }
    }
});
