//! Results of diagnostics as the central reads them: what is read is written and read as the same, and is bounded; and names
//! of files lead nowhere else.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonepulse_doctor::{Bundle, MAX_BUNDLE_BYTES};

fuzz_target!(|input: &[u8]| {
    let compressed = zstd::encode_all(input, 1).expect("memory can be compressed");
    for bytes in [input, &compressed] {
        let Ok(bundle) = Bundle::decode(bytes) else { continue };
        assert!(bundle.files.iter().all(|file| !file.name.contains('/') && !file.name.starts_with('.')));
        if let Ok(again) = bundle.encode() {
            assert!(again.len() <= MAX_BUNDLE_BYTES);
            assert_eq!(Bundle::decode(&again).ok().as_ref(), Some(&bundle));
        }
        bundle.archive("debug", 0).expect("what was read can be packed");
    }
});
