//! The UDP messages of a capture as a dnstap file, as a server would write it.

use super::table::{Contestant, ROUNDS};
use super::tally::{hits, tally};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use zonepulse_fixtures::{Tap, dnstap_stream};

const UDP: u8 = 17;
const AUTH_QUERY: u8 = 1;
const AUTH_RESPONSE: u8 = 2;
/// Number of UDP messages in the capture.
const MESSAGES: u64 = 1_320_000;

/// `tally` of such a file, which is written here.
pub fn contestant(capture: &Path, folder: &Path) -> Contestant {
    let file = folder.join("queries-5533.dnstap");
    let taps = taps(&fs::read(capture).expect("the capture was written before"));
    let mut out = BufWriter::new(File::create(&file).expect("a bench's folder is writable"));
    out.write_all(&dnstap_stream(&taps)).and_then(|()| out.flush()).expect("a bench's folder is writable");
    let command = tally(&file);
    let found = |text: &str, _: &Path| {
        assert_eq!(hits(text), MESSAGES, "messages of the dnstap file");
        Some(hits(text))
    };
    let name = "`tally` of a dnstap file";
    Contestant { name, command: Box::new(move |_| command()), found, messages: MESSAGES, rounds: ROUNDS }
}

/// Reads classic little-endian format with Ethernet frames, in nanoseconds or microseconds.
fn taps(capture: &[u8]) -> Vec<Tap> {
    let mut taps = Vec::new();
    let mut at = 24;
    while let Some(header) = capture.get(at..at + 16) {
        let number = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let frame = &capture[at + 16..at + 16 + number(8) as usize];
        at += 16 + frame.len();
        let time_us = u64::from(number(0)) * 1_000_000 + u64::from(number(4)) % 1_000_000;
        taps.extend(udp_payload(frame).map(|message| {
            let is_response = message[2] & 0x80 != 0;
            Tap::new(if is_response { AUTH_RESPONSE } else { AUTH_QUERY }, message, time_us)
        }));
    }
    taps
}

fn udp_payload(frame: &[u8]) -> Option<&[u8]> {
    let ip = frame.get(14..)?;
    let (protocol, udp) = match ip.first()? >> 4 {
        4 => (ip[9], &ip[usize::from(ip[0] & 15) * 4..]),
        6 => (ip[6], &ip[40..]),
        _ => return None,
    };
    (protocol == UDP).then(|| &udp[8..])
}
