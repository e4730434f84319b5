//! The wire codec: what can be decoded is encoded to the same, and found by its identity.
//!
//! An input that begins with the format's magic number is a batch as it comes. Any
//! other is a batch's body: behind a right checksum and compressed, because no fuzzer
//! guesses a checksum.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonepulse_wire::{Batch, VERSION, peek_identity};

fuzz_target!(|input: &[u8]| {
    let wrapped;
    let bytes = if input.starts_with(b"ZPBT") {
        input
    } else {
        wrapped = wrap(input);
        &wrapped
    };
    let identity = peek_identity(bytes);
    let Ok(batch) = Batch::decode(bytes) else { return };
    assert_eq!(identity.ok(), Some(batch.identity));
    let encoded = batch.encode().expect("what was decoded is within the format's bounds");
    assert_eq!(Batch::decode(&encoded).as_ref(), Ok(&batch));
});

/// The header that `wire/src/codec.rs` describes, and the body.
fn wrap(body: &[u8]) -> Vec<u8> {
    let mut out = [&b"ZPBT"[..], &[VERSION, 7, 0, 0, 0], &[1; 8], &[2; 8], &(body.len() as u32).to_le_bytes()].concat();
    let packed = zstd::bulk::compress(body, 1).expect("it fits into memory");
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&out);
    checksum.update(&packed);
    out.extend(checksum.finalize().to_le_bytes());
    out.extend(packed);
    out
}
