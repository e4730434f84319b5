//! dnstap: a file that begins as one should, and goes on with any frames.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use zonepulse_fuzz::{Checked, scope};
use zonepulse_probe::capture::file::CaptureFile;
use zonepulse_probe::observe::Observer;

/// START with the content type, as a control frame of Frame Streams.
const START: &[u8] = b"\0\0\0\0\0\0\0\x22\0\0\0\x02\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap";

fuzz_target!(|frames: &[u8]| {
    let input = Cursor::new([START, frames].concat());
    let mut file = CaptureFile::from_reader("fuzz", input).expect("it begins as it should");
    let (mut observer, mut sink) = (Observer::new(&scope()), Checked::default());
    while let Ok(Some(frame)) = file.next_frame() {
        observer.frame(&frame, &mut sink);
    }
    observer.finish(&mut sink);
});
