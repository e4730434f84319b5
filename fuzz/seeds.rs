//! No target: given a capture, it writes first inputs of the targets into the folder
//! that `FUZZ_SEEDS` names, a folder for each target: the file itself, its frames, its
//! DNS messages, and the batches that a probe makes of them.
//!
//! It is built as a target so that what targets need is built only once.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Cursor;
use std::path::Path;
use zonepulse_fuzz::scope;
use zonepulse_probe::capture::file::CaptureFile;
use zonepulse_probe::meter::{Meter, MeterSettings, Source};

/// Longer inputs would only slow the fuzzer down, bytes.
const MAX_FILE_BYTES: usize = 64 << 10;
const MAX_SEED_BYTES: usize = 4096;
/// What stands before a batch's compressed body (wire/src/codec.rs).
const BATCH_HEADER_BYTES: usize = 33;

fuzz_target!(|capture: &[u8]| {
    let out = std::env::var_os("FUZZ_SEEDS").expect("FUZZ_SEEDS names a folder");
    let mut seeds = Seeds::default();
    if capture.len() <= MAX_FILE_BYTES {
        seeds.add("capture_files", capture.to_vec());
    }
    seeds.frames(capture);
    seeds.write(Path::new(&out)).expect("the folder is writable");
});

/// Inputs by target, each once.
#[derive(Default)]
struct Seeds(BTreeSet<(&'static str, Vec<u8>)>);

impl Seeds {
    fn add(&mut self, target: &'static str, input: Vec<u8>) {
        self.0.insert((target, input));
    }

    fn frames(&mut self, capture: &[u8]) {
        let Ok(mut file) = CaptureFile::from_reader("capture", Cursor::new(capture.to_vec())) else { return };
        let mut meter = Meter::new(MeterSettings {
            server_id: 1,
            epoch: 1,
            interval_s: 60,
            scope: scope(),
            max_records: 1000,
            source: Source::Replay,
        });
        let mut together = Vec::new();
        let mut link_type = None;
        while let Ok(Some(frame)) = file.next_frame() {
            meter.frame(&frame);
            let data = frame.data.get(..1514).unwrap_or(frame.data);
            let header = (frame.link_type as u16).to_be_bytes();
            let one = [&(data.len() as u16).to_be_bytes()[..], &[0, 1], data].concat();
            self.add("frames", [&header[..], &one].concat());
            if link_type != Some(frame.link_type) || together.len() + one.len() > MAX_SEED_BYTES {
                self.add("frames", std::mem::replace(&mut together, header.to_vec()));
                link_type = Some(frame.link_type);
            }
            together.extend(one);
            // Where a UDP datagram on Ethernet carries its message; the fuzzer finds the other places.
            if let Some(message) = data.get(42..).filter(|message| message.len() >= 12) {
                self.add("messages", message.to_vec());
            }
        }
        self.add("frames", together);
        meter.finish(0);
        while let Some(batch) = meter.take_closed() {
            let Some(bytes) = batch.encode().ok().filter(|bytes| bytes.len() <= MAX_SEED_BYTES) else { continue };
            if let Some(body) = bytes.get(BATCH_HEADER_BYTES..).and_then(|packed| zstd::bulk::decompress(packed, 1 << 20).ok()) {
                self.add("batches", body);
            }
            self.add("batches", bytes);
        }
    }

    fn write(self, out: &Path) -> std::io::Result<()> {
        for (target, input) in self.0 {
            let folder = out.join(target);
            fs::create_dir_all(&folder)?;
            let mut hasher = DefaultHasher::new();
            input.hash(&mut hasher);
            fs::write(folder.join(format!("{:016x}", hasher.finish())), input)?;
        }
        Ok(())
    }
}
