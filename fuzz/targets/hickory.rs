//! DNS messages, read by us and by hickory-proto.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonepulse_fuzz::differential::{compare, compare_sections};

fuzz_target!(|message: &[u8]| {
    compare(message);
    compare_sections(message);
});
