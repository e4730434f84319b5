//! The wire codec: what can be decoded is encoded to the same, and found by its identity.
//!
//! An input that begins with the format's magic number is a message as it comes. Any
//! other is the bodies of two, one of each kind: behind a right checksum and compressed,
//! because no fuzzer guesses a checksum.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonepulse_wire::{Message, peek_identity};

/// What tells the kinds apart (`wire/src/envelope.rs`).
const VERSIONS: [u8; 2] = [1, 2];

fuzz_target!(|input: &[u8]| {
    if input.starts_with(b"ZPBT") {
        check(input);
    } else {
        VERSIONS.iter().for_each(|version| check(&wrap(*version, input)));
    }
});

fn check(bytes: &[u8]) {
    let identity = peek_identity(bytes);
    let _ = Message::decode_head(bytes);
    let Ok(message) = Message::decode(bytes) else { return };
    assert_eq!(identity.ok(), Some(message.identity()));
    let encoded = message.encode().expect("what was decoded is within the format's bounds");
    assert_eq!(Message::decode(&encoded).as_ref(), Ok(&message));
}

/// The header that `wire/src/envelope.rs` describes, and the body.
fn wrap(version: u8, body: &[u8]) -> Vec<u8> {
    let mut out = [&b"ZPBT"[..], &[version, 7, 0, 0, 0], &[1; 8], &[2; 8], &(body.len() as u32).to_le_bytes()].concat();
    let packed = zstd::bulk::compress(body, 1).expect("it fits into memory");
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&out);
    checksum.update(&packed);
    out.extend(checksum.finalize().to_le_bytes());
    out.extend(packed);
    out
}
