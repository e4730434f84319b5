//! Whole files of any format that is read, with whatever is in them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use zonepulse_fuzz::{Checked, scope};
use zonepulse_probe::capture::file::CaptureFile;
use zonepulse_probe::observe::Observer;

fuzz_target!(|input: &[u8]| {
    let Ok(mut file) = CaptureFile::from_reader("fuzz", Cursor::new(input.to_vec())) else { return };
    let (mut observer, mut sink) = (Observer::new(&scope()), Checked::default());
    while let Ok(Some(frame)) = file.next_frame() {
        observer.frame(&frame, &mut sink);
    }
    observer.finish(&mut sink);
    assert!(file.next_frame().is_ok_and(|frame| frame.is_none()), "nothing follows the end");
});
