//! What a probe's program says of itself, without being run: the architecture, whether it is static, and its version.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// Before the version in the probe's name for itself in HTTP (`User-Agent: zonepulse-probe/0.1.0 (…)`), which is in the
/// program as one literal.
const BEFORE_VERSION: &[u8] = b"zonepulse-probe/";
/// After it.
const AFTER_VERSION: &[u8] = b" (";
/// Maximum length of a version.
pub const MAX_VERSION_BYTES: usize = 64;
/// Program headers that are read; real programs have about ten.
const MAX_HEADERS: u16 = 64;
const HEADER_BYTES: usize = 64;
const PT_INTERP: u32 = 3;

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The architecture, as `uname -m` names it.
    pub architecture: &'static str,
    /// Whether it needs no library of the machine.
    pub is_static: bool,
}

/// Reads the header of a program, or says why it is none for Linux on an architecture that probes run on.
pub fn header(file: &mut File) -> io::Result<Result<Header, String>> {
    let mut bytes = [0; HEADER_BYTES];
    file.seek(SeekFrom::Start(0))?;
    if let Err(error) = file.read_exact(&mut bytes) {
        return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(Err("it is no program".to_owned())) } else { Err(error) };
    }
    let wrong = |what: &str| Ok(Err(what.to_owned()));
    if !bytes.starts_with(b"\x7fELF") {
        return wrong("it is no program of Linux (ELF)");
    }
    if bytes.get(4..6) != Some(&[2, 1]) {
        return wrong("it is not for a 64-bit little-endian machine");
    }
    if !matches!(u16_at(&bytes, 16), 2 | 3) {
        return wrong("it is part of a program, not a whole one");
    }
    let architecture = match u16_at(&bytes, 18) {
        62 => "x86_64",
        183 => "aarch64",
        other => return Ok(Err(format!("it is for machine {other} (ELF e_machine), and probes are for x86_64 and aarch64"))),
    };
    let (offset, size, count) = (u64_at(&bytes, 32), u16_at(&bytes, 54), u16_at(&bytes, 56));
    if size < 4 || count == 0 || count > MAX_HEADERS {
        return wrong("its program headers are not those of a program");
    }
    let mut headers = vec![0; usize::from(size) * usize::from(count)];
    file.seek(SeekFrom::Start(offset))?;
    if file.read_exact(&mut headers).is_err() {
        return wrong("it is cut off");
    }
    let is_static = !headers.chunks(size.into()).any(|header| u32_at(header, 0) == PT_INTERP);
    Ok(Ok(Header { architecture, is_static }))
}

/// The version that a program was built with; `None` if it is not a probe.
pub fn version(file: &mut File) -> io::Result<Option<semver::Version>> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    // The end of one piece is the beginning of the next: a version may lie across.
    let keep = BEFORE_VERSION.len() + MAX_VERSION_BYTES + AFTER_VERSION.len();
    let mut window = Vec::with_capacity((1 << 16) + keep);
    let mut piece = vec![0; 1 << 16];
    loop {
        let read = reader.read(&mut piece)?;
        if read == 0 {
            return Ok(found(&window));
        }
        window.extend_from_slice(piece.get(..read).unwrap_or_default());
        if let Some(version) = found(&window) {
            return Ok(Some(version));
        }
        window.drain(..window.len().saturating_sub(keep));
    }
}

fn found(bytes: &[u8]) -> Option<semver::Version> {
    let starts = bytes.windows(BEFORE_VERSION.len()).enumerate().filter(|(_, window)| *window == BEFORE_VERSION);
    starts.filter_map(|(at, _)| version_at(bytes.get(at + BEFORE_VERSION.len()..)?)).next()
}

fn version_at(bytes: &[u8]) -> Option<semver::Version> {
    let end = bytes.windows(AFTER_VERSION.len()).take(MAX_VERSION_BYTES + 1).position(|window| window == AFTER_VERSION)?;
    std::str::from_utf8(bytes.get(..end)?).ok()?.parse().ok()
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, at))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write;

    /// The beginning of a program, and what follows its headers.
    pub fn program(machine: u16, interpreter: bool, rest: &str) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[16] = 3;
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        let mut header = [0; 56];
        header[0] = if interpreter { 3 } else { 1 };
        bytes.extend(header);
        bytes.extend(rest.as_bytes());
        bytes
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_header_names_architecture_and_linking() {
        let of = |bytes: &[u8]| header(&mut file(bytes)).unwrap();
        assert_eq!(of(&program(62, true, "")), Ok(Header { architecture: "x86_64", is_static: false }));
        assert_eq!(of(&program(183, false, "")), Ok(Header { architecture: "aarch64", is_static: true }));
        for (bytes, said) in [
            (b"#!/bin/sh\n".to_vec(), "no program"),
            (vec![b'#'; 100], "ELF"),
            (program(40, false, ""), "machine 40"),
            (program(62, false, "")[..80].to_vec(), "cut off"),
        ] {
            let refused = of(&bytes).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }

    #[test]
    fn a_version_is_found_wherever_it_lies() {
        for before in [0, 1, 65_000, (1 << 16) - 120, (1 << 16) - 20, (1 << 17) + 3] {
            let text = format!("{}/etc/zonepulse-probe/probe.toml zonepulse-probe/1.2.3-rc.1 (linux)unknown", "x".repeat(before));
            let found = version(&mut file(text.as_bytes())).unwrap();
            assert_eq!(found.map(|version| version.to_string()).as_deref(), Some("1.2.3-rc.1"), "{before}");
        }
    }

    #[test]
    fn what_is_no_probe_has_no_version() {
        for text in ["", "zonepulse-probe/", "zonepulse-probe/1.2 (", "zonepulse-probe/1.2.3x", "zonepulse/1.2.3 ("] {
            assert_eq!(version(&mut file(text.as_bytes())).unwrap(), None, "{text}");
        }
    }
}
