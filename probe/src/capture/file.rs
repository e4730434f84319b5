//! Capture files.
//!
//! A [`CaptureFile`] recognises pcap, pcapng and dnstap by their first bytes, also inside Zstandard
//! frames. It reads from front to back, so it works on pipes, and needs memory for one packet, not
//! for the file. Damage ends the file: everything before it has been returned, and the error says
//! where the damage is and what it is.

use super::bytes::Bytes;
use super::dnstap_file::Dnstap;
use super::found::{Found, Stop};
use super::pcap_file::Pcap;
use super::pcapng_file::Pcapng;
use crate::observe::Frame;
use crate::{Error, dnstap};
use std::io;
use std::path::Path;

/// An open capture file.
pub struct CaptureFile {
    name: String,
    bytes: Bytes,
    format: Format,
    ended: bool,
}

enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
    Dnstap(Dnstap),
}

impl CaptureFile {
    /// Opens a file; `-` is standard input.
    ///
    /// Fails with [`Error::Disk`] when it cannot be read, [`Error::NotACapture`] when it has
    /// another format, and [`Error::Damaged`] when its header is damaged.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let name = if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
        Self::begin(name, Bytes::open(path))
    }

    /// Reads a capture from any reader; `name` is used in messages. Fails like
    /// [`CaptureFile::open`].
    pub fn from_reader(name: impl Into<String>, reader: impl io::Read + Send + 'static) -> Result<Self, Error> {
        Self::begin(name.into(), Bytes::read(Box::new(reader)))
    }

    fn begin(name: String, bytes: io::Result<Bytes>) -> Result<Self, Error> {
        let mut bytes = bytes.map_err(Error::disk("read", name.clone()))?;
        let known = open_format(&mut bytes);
        match known {
            Ok(Ok(format)) => Ok(CaptureFile { name, bytes, format, ended: false }),
            Ok(Err(what)) => Err(Error::NotACapture { file: name, what }),
            Err(stop) => Err(stop.error(&name, bytes.offset())),
        }
    }

    /// Returns the next frame; `None` at the end of the file and after an error.
    ///
    /// Fails with [`Error::Damaged`] where the file is damaged or ends inside a packet, and with
    /// [`Error::Disk`] when reading fails.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Error> {
        if self.ended {
            return Ok(None);
        }
        let found = match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.bytes),
            Format::Pcapng(pcapng) => pcapng.next(&mut self.bytes),
            Format::Dnstap(dnstap) => match dnstap.next(&mut self.bytes) {
                Ok(Some((length, passed))) => return Ok(Some(dnstap.frame(self.bytes.take(passed, length)))),
                Ok(None) => Ok(None),
                Err(stop) => Err(stop),
            },
        };
        match found {
            Ok(Some(found)) => {
                let Found { time_ns, link_type, length_on_wire, passed, captured, trailer } = found;
                let taken = self.bytes.take(passed + trailer, captured + trailer);
                let data = taken.get(..captured).unwrap_or_default();
                Ok(Some(Frame { time_ns, link_type, data, length_on_wire }))
            }
            Ok(None) => {
                self.ended = true;
                Ok(None)
            }
            Err(stop) => {
                self.ended = true;
                Err(stop.error(&self.name, self.bytes.offset()))
            }
        }
    }

    /// The name used in messages.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Picks the reader for the format, or says what the bytes are instead.
fn open_format(bytes: &mut Bytes) -> Result<Result<Format, String>, Stop> {
    bytes.want(12)?;
    let start = bytes.rest();
    let Some(magic) = start.first_chunk::<4>() else {
        return Ok(Err(if start.is_empty() { "the file is empty".to_owned() } else { not_known() }));
    };
    if Pcapng::is_magic(*magic) {
        return Ok(Pcapng::open(bytes)?.map(Format::Pcapng));
    }
    if let Some(pcap) = Pcap::open(*magic, bytes)? {
        return Ok(pcap.map(Format::Pcap));
    }
    if dnstap::is_stream(bytes.rest()) {
        return Ok(Dnstap::open(bytes)?.map(Format::Dnstap));
    }
    Ok(Err(other_format(bytes.rest())))
}

/// Recognises formats that users may mistake for supported captures.
fn other_format(start: &[u8]) -> String {
    match start {
        [0x1f, 0x8b, ..] => "compressed with gzip: use a pipe, as in gzip -dc FILE | … -".to_owned(),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "compressed with xz: use a pipe, as in xz -dc FILE | … -".to_owned(),
        [b'B', b'Z', b'h', ..] => "compressed with bzip2: use a pipe, as in bzip2 -dc FILE | … -".to_owned(),
        _ => not_known(),
    }
}

fn not_known() -> String {
    "its first bytes are not those of pcap, pcapng or dnstap".to_owned()
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
