//! Answers of Knot over its control socket: whatever it says, a sample is bounded, and its metrics and values can be sent.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonepulse_fuzz::check_sample;
use zonepulse_probe::services::knot;

fuzz_target!(|answer: &[u8]| {
    if let Ok(sample) = knot::parse(answer) {
        check_sample(&sample);
    }
});
