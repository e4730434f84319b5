//! The bytes of a capture: all of a file in memory, or a window on a stream.

use memmap2::{Advice, Mmap};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// How much of a stream is read at once, bytes.
const READ_BYTES: usize = 1 << 20;
/// Zstandard's largest window without special permission, as a power of two: what
/// `zstd` writes at any level below `--ultra`.
const ZSTD_WINDOW_LOG: u32 = 27;
const ZSTD_MAGIC: [u8; 4] = 0xfd2f_b528u32.to_le_bytes();

/// Bytes that are read front to back.
pub(super) enum Bytes {
    /// A file that is mapped into memory, and how far it was read.
    Mapped { map: Mmap, at: usize },
    /// A stream, the part of it that was read ahead, and where in the stream that part begins.
    Stream { reader: Box<dyn Read + Send>, buffer: Vec<u8>, at: usize, end: usize, passed: u64 },
}

impl Bytes {
    /// The bytes of a file, or of standard input for `-`; decompressed when they are a Zstandard frame.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let bytes = if path.as_os_str() == "-" { Bytes::stream(Box::new(io::stdin())) } else { Bytes::file(path)? };
        bytes.decompressed()
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
        // SAFETY: a mapping is sound to read while nobody changes the file. Who
        // changes a capture while it is read gets wrong numbers, or a SIGBUS when
        // it is cut short; packets are read as plain bytes, whatever they are.
        let map = unsafe { Mmap::map(&file)? };
        // Advice only makes reading faster.
        let _ = map.advise(Advice::Sequential);
        Ok(Bytes::Mapped { map, at: 0 })
    }

    fn stream(reader: Box<dyn Read + Send>) -> Self {
        Bytes::Stream { reader, buffer: Vec::new(), at: 0, end: 0, passed: 0 }
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

    /// Makes this many bytes available, unless the end comes first: whether they are.
    #[inline]
    pub(super) fn want(&mut self, count: usize) -> io::Result<bool> {
        match self {
            Bytes::Mapped { map, at } => Ok(map.len() - *at >= count),
            Bytes::Stream { at, end, .. } if *end - *at >= count => Ok(true),
            Bytes::Stream { reader, buffer, at, end, passed } => {
                if *at > 0 {
                    buffer.copy_within(*at..*end, 0);
                    *passed += *at as u64;
                    (*at, *end) = (0, *end - *at);
                }
                let size = count.max(READ_BYTES);
                if buffer.len() < size {
                    buffer.resize(size, 0);
                }
                while *end < count {
                    let Some(room) = buffer.get_mut(*end..) else { return Ok(false) };
                    match reader.read(room) {
                        Ok(0) => return Ok(false),
                        Ok(read) => *end += read,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(true)
            }
        }
    }

    /// What is available.
    #[inline]
    pub(super) fn rest(&self) -> &[u8] {
        let rest = match self {
            Bytes::Mapped { map, at } => map.get(*at..),
            Bytes::Stream { buffer, at, end, .. } => buffer.get(*at..*end),
        };
        rest.unwrap_or_default()
    }

    /// Passes over bytes, at most those that are available, and gives the last `keep` of them.
    #[inline]
    pub(super) fn take(&mut self, count: usize, keep: usize) -> &[u8] {
        let (bytes, at): (&[u8], _) = match self {
            Bytes::Mapped { map, at } => (map, at),
            Bytes::Stream { buffer, at, end, .. } => (buffer.get(..*end).unwrap_or_default(), at),
        };
        *at = at.saturating_add(count).min(bytes.len());
        bytes.get(at.saturating_sub(keep)..*at).unwrap_or_default()
    }

    /// Passes over any number of bytes; `false` when the end comes first.
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

    /// How many bytes were passed.
    pub(super) fn offset(&self) -> u64 {
        match self {
            Bytes::Mapped { at, .. } => *at as u64,
            Bytes::Stream { at, passed, .. } => *passed + *at as u64,
        }
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
