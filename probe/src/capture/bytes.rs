//! Access to a capture's bytes, as a window on a memory-mapped file or a stream.
//!
//! Only part of the bytes are in memory at a time: the window advances when more are needed than it
//! holds, and memory before it is released.

use memmap2::{Advice, Mmap, UncheckedAdvice};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// How much to read at once, bytes. For a mapped file this must be a multiple of every page size,
/// and it should fit in the processor's caches.
const READ_BYTES: usize = 1 << 20;
/// Zstandard's largest window without special permission, as a power of two: `zstd` exceeds it only
/// with `--ultra`.
const ZSTD_WINDOW_LOG: u32 = 27;
const ZSTD_MAGIC: [u8; 4] = 0xfd2f_b528u32.to_le_bytes();

/// Bytes read from front to back.
pub(super) struct Bytes {
    source: Source,
    /// Offset of the next byte, and of the end of what is in memory.
    at: usize,
    end: usize,
}

enum Source {
    /// A mapped file. Pages before `released` have been given back.
    Mapped { map: Mmap, released: usize },
    /// A stream, the data read ahead, and the number of bytes consumed from it.
    Stream { reader: Box<dyn Read + Send>, buffer: Vec<u8>, passed: u64 },
}

impl Bytes {
    /// Opens a file, or standard input for `-`. Zstandard frames are decompressed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let bytes = if path.as_os_str() == "-" { Bytes::stream(Box::new(io::stdin())) } else { Bytes::file(path)? };
        bytes.decompressed()
    }

    /// Reads a stream. Zstandard frames are decompressed.
    pub(super) fn read(reader: Box<dyn Read + Send>) -> io::Result<Self> {
        Bytes::stream(reader).decompressed()
    }

    fn file(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok(Bytes::stream(Box::new(file)));
        }
        // SAFETY: reading a mapping is sound as long as nobody changes the file. Changing a capture
        // while it is read yields wrong numbers only: packets are plain bytes, and any value is
        // valid.
        let map = unsafe { Mmap::map(&file)? };
        // Only a hint that makes reading faster.
        let _ = map.advise(Advice::Sequential);
        Ok(Bytes { source: Source::Mapped { map, released: 0 }, at: 0, end: 0 })
    }

    fn stream(reader: Box<dyn Read + Send>) -> Self {
        Bytes { source: Source::Stream { reader, buffer: Vec::new(), passed: 0 }, at: 0, end: 0 }
    }

    fn decompressed(mut self) -> io::Result<Self> {
        self.want(ZSTD_MAGIC.len())?;
        if !self.rest().starts_with(&ZSTD_MAGIC) {
            return Ok(self);
        }
        let mut decoder = zstd::stream::read::Decoder::new(self)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG)?;
        Ok(Bytes::stream(Box::new(decoder)))
    }

    /// Makes this many bytes available; returns false if the end comes first.
    #[inline]
    pub(super) fn want(&mut self, count: usize) -> io::Result<bool> {
        if self.end - self.at >= count { Ok(true) } else { self.bring(count) }
    }

    #[cold]
    fn bring(&mut self, count: usize) -> io::Result<bool> {
        match &mut self.source {
            Source::Mapped { map, released } => {
                release(map, released, self.at);
                while self.end - self.at < count && self.end < map.len() {
                    let step = READ_BYTES.min(map.len() - self.end);
                    populate(map, self.end, step)?;
                    self.end += step;
                }
            }
            Source::Stream { reader, buffer, passed } => {
                if self.at > 0 {
                    buffer.copy_within(self.at..self.end, 0);
                    *passed += self.at as u64;
                    (self.at, self.end) = (0, self.end - self.at);
                }
                let size = count.max(READ_BYTES);
                if buffer.len() < size {
                    buffer.resize(size, 0);
                }
                while self.end < count {
                    let Some(room) = buffer.get_mut(self.end..) else { return Ok(false) };
                    match reader.read(room) {
                        Ok(0) => return Ok(false),
                        Ok(read) => self.end += read,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(self.end - self.at >= count)
    }

    /// The available bytes.
    #[inline]
    pub(super) fn rest(&self) -> &[u8] {
        self.source.bytes().get(self.at..self.end).unwrap_or_default()
    }

    /// Consumes bytes, at most those available, and returns the last `keep` of them.
    #[inline]
    pub(super) fn take(&mut self, count: usize, keep: usize) -> &[u8] {
        self.at = self.at.saturating_add(count).min(self.end);
        self.source.bytes().get(self.at.saturating_sub(keep)..self.at).unwrap_or_default()
    }

    /// Skips any number of bytes; returns false if the end comes first.
    pub(super) fn skip(&mut self, mut count: u64) -> io::Result<bool> {
        while count > 0 {
            let step = usize::try_from(count).unwrap_or(READ_BYTES).min(READ_BYTES);
            if !self.want(step)? {
                return Ok(false);
            }
            self.take(step, 0);
            count -= step as u64;
        }
        Ok(true)
    }

    /// Number of bytes consumed.
    pub(super) fn offset(&self) -> u64 {
        let before = match &self.source {
            Source::Mapped { .. } => 0,
            Source::Stream { passed, .. } => *passed,
        };
        before + self.at as u64
    }
}

impl Source {
    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Source::Mapped { map, .. } => map,
            Source::Stream { buffer, .. } => buffer,
        }
    }
}

/// Populates pages of a mapping with one call instead of a page fault every few pages. It also
/// turns an error that would raise SIGBUS into a result.
fn populate(map: &Mmap, start: usize, length: usize) -> io::Result<()> {
    match map.advise_range(Advice::PopulateRead, start, length) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EFAULT | libc::EHWPOISON)) => {
            Err(io::Error::other("the file was truncated while it was read, or the disk is failing"))
        }
        // Linux before 5.14 lacks this call: pages are populated on first access.
        _ => Ok(()),
    }
}

/// Releases the pages before an offset, so that a large file does not count as memory in use.
fn release(map: &Mmap, released: &mut usize, before: usize) {
    let until = before - before % READ_BYTES;
    if until > *released {
        // SAFETY: the mapping is read-only, so its pages read the same again.
        let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, *released, until - *released) };
        *released = until;
    }
}

impl Read for Bytes {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.want(1)?;
        let read = self.rest().len().min(room.len());
        let taken = self.take(read, read);
        if let Some(room) = room.get_mut(..taken.len()) {
            room.copy_from_slice(taken);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(length: usize) -> (tempfile::NamedTempFile, Vec<u8>) {
        let bytes: Vec<u8> = (0..length).map(|at| (at / 7 % 251) as u8).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        (file, bytes)
    }

    /// Reads in steps of this many bytes.
    fn read_all(bytes: &mut Bytes, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while bytes.want(step).unwrap() {
            assert_eq!(bytes.offset(), all.len() as u64);
            all.extend_from_slice(bytes.take(step, step));
        }
        all.extend_from_slice(bytes.rest());
        all
    }

    #[test]
    fn the_window_moves_over_a_file_and_a_stream_without_losing_a_byte() {
        for length in [1, READ_BYTES - 1, READ_BYTES, READ_BYTES + 1, 3 * READ_BYTES + 5000] {
            let (file, expected) = file(length);
            for step in [1021, 4096, READ_BYTES + 17] {
                assert!(
                    read_all(&mut Bytes::open(file.path()).unwrap(), step) == expected,
                    "a file of {length} in steps of {step}"
                );
                let mut stream = Bytes::stream(Box::new(File::open(file.path()).unwrap()));
                assert!(read_all(&mut stream, step) == expected, "a stream of {length} in steps of {step}");
            }
        }
    }

    #[test]
    fn a_file_that_is_cut_short_while_it_is_read_is_an_error() {
        let (file, _) = file(4 * READ_BYTES);
        let mut bytes = Bytes::open(file.path()).unwrap();
        assert!(bytes.want(READ_BYTES).unwrap());
        file.as_file().set_len(READ_BYTES as u64).unwrap();
        assert!(bytes.skip(2 * READ_BYTES as u64).is_err());
    }
}
