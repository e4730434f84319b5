//! Messages between the central and a worker: a kind, the number of a scan, and bytes.

use std::io::{self, IoSlice, Read, Write};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Kind, number and length.
const HEADER_BYTES: usize = 9;
/// Maximum size of a frame, bytes: the names that a filter chose among millions, or a row of maximum size.
const MAX_PAYLOAD_BYTES: u32 = 64 << 20;
/// The number of bytes read at once, however many frames they contain.
pub(super) const READ_BYTES: usize = 64 << 10;

/// The meaning of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// To a worker, first: its limits.
    Begin,
    /// From a worker: ready for a statement.
    Ready,
    /// To a worker: the number of records, the time, and the statement.
    Statement,
    /// From a worker: starts a scan; its number and request.
    Read,
    /// To a worker: a batch of a scan.
    Rows,
    /// To a worker: the last batch of a scan, or nothing if all have been sent.
    RowsEnd,
    /// To a worker: a scan failed, and why.
    RowsFailed,
    /// From a worker: cancels a scan.
    Stop,
    /// From a worker: rows of the statement's answer.
    Answer,
    /// Either way: a batch or a piece was taken, so another may be sent.
    More,
    /// From a worker: the answer is complete, and whether the worker is ready for another statement.
    End,
    /// From a worker: the statement failed, how, and why.
    Failed,
}

const KINDS: [Kind; 12] = [
    Kind::Begin,
    Kind::Ready,
    Kind::Statement,
    Kind::Read,
    Kind::Rows,
    Kind::RowsEnd,
    Kind::RowsFailed,
    Kind::Stop,
    Kind::Answer,
    Kind::More,
    Kind::End,
    Kind::Failed,
];

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// The scan that it is about, or 0.
    pub(super) scan: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    pub(super) fn new(kind: Kind, scan: u32, payload: Vec<u8>) -> Self {
        Frame { kind, scan, payload }
    }

    /// The header. A payload that is too large is an error of its sender.
    fn header(&self) -> io::Result<[u8; HEADER_BYTES]> {
        let length = u32::try_from(self.payload.len()).ok().filter(|length| *length <= MAX_PAYLOAD_BYTES);
        let length = length.ok_or_else(|| io::Error::other("a frame that is too large"))?;
        let number = KINDS.iter().position(|kind| *kind == self.kind).unwrap_or_default() as u8;
        let mut header = [number; HEADER_BYTES];
        for (to, from) in header.iter_mut().skip(1).zip(self.scan.to_le_bytes().into_iter().chain(length.to_le_bytes())) {
            *to = from;
        }
        Ok(header)
    }

    /// The next frame. An end of the stream is an error.
    pub(super) fn read_from(input: &mut impl Read) -> io::Result<Frame> {
        let mut header = [0; HEADER_BYTES];
        input.read_exact(&mut header)?;
        let (kind, scan, length) = parse(header)?;
        let mut payload = vec![0; length];
        input.read_exact(&mut payload)?;
        Ok(Frame { kind, scan, payload })
    }
}

/// Frames being written: with one call, so that the receiver wakes once and not for each header and payload.
pub(super) struct Outgoing<'a> {
    frames: &'a [Frame],
    headers: Vec<[u8; HEADER_BYTES]>,
    written: usize,
}

impl<'a> Outgoing<'a> {
    pub(super) fn new(frames: &'a [Frame]) -> io::Result<Self> {
        Ok(Outgoing { frames, headers: frames.iter().map(Frame::header).collect::<Result<_, _>>()?, written: 0 })
    }

    /// Writes as much as there is room for, in one call; true once all is written.
    pub(super) fn write_some(&mut self, out: &mut impl Write) -> io::Result<bool> {
        let mut parts: Vec<IoSlice<'_>> = Vec::with_capacity(2 * self.frames.len());
        let mut skip = self.written;
        for (header, frame) in self.headers.iter().zip(self.frames) {
            for part in [&header[..], &frame.payload] {
                let rest = part.get(skip.min(part.len())..).unwrap_or_default();
                skip = skip.saturating_sub(part.len());
                if !rest.is_empty() {
                    parts.push(IoSlice::new(rest));
                }
            }
        }
        if parts.is_empty() {
            return Ok(true);
        }
        let left: usize = parts.iter().map(|part| part.len()).sum();
        match out.write_vectored(&parts) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                self.written += written;
                Ok(written >= left)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Writes frames to a blocking writer.
pub(super) fn write_all(frames: &[Frame], out: &mut impl Write) -> io::Result<()> {
    let mut outgoing = Outgoing::new(frames)?;
    while !outgoing.write_some(out)? {}
    Ok(())
}

fn parse(header: [u8; HEADER_BYTES]) -> io::Result<(Kind, u32, usize)> {
    let bad = || io::Error::other("a frame of no known kind or length");
    let [number, a, b, c, d, e, f, g, h] = header;
    let kind = KINDS.get(usize::from(number)).ok_or_else(bad)?;
    let length = u32::from_le_bytes([e, f, g, h]);
    if length > MAX_PAYLOAD_BYTES { Err(bad()) } else { Ok((*kind, u32::from_le_bytes([a, b, c, d]), length as usize)) }
}

/// Reads frames. A read that is dropped halfway is resumed by the next call.
pub(super) struct FrameReader<R> {
    input: R,
    /// The bytes from `taken` to `come` have arrived and not been taken.
    buffer: Box<[u8]>,
    taken: usize,
    come: usize,
    /// The header of the frame being read, and the payload so far.
    header: Option<(Kind, u32, usize)>,
    payload: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(input: R) -> Self {
        let buffer = vec![0; READ_BYTES].into_boxed_slice();
        FrameReader { input, buffer, taken: 0, come: 0, header: None, payload: Vec::new() }
    }

    /// The next frame. An end of the stream is an error.
    pub(super) async fn next(&mut self) -> io::Result<Frame> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(frame);
            }
            if self.read().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The next frame, if it has arrived completely.
    fn take(&mut self) -> io::Result<Option<Frame>> {
        let come = self.buffer.get(self.taken..self.come).unwrap_or_default();
        let (kind, scan, length) = match (self.header, come.first_chunk()) {
            (Some(header), _) => header,
            (None, Some(header)) => {
                self.taken += HEADER_BYTES;
                *self.header.insert(parse(*header)?)
            }
            (None, None) => return Ok(None),
        };
        let come = self.buffer.get(self.taken..self.come).unwrap_or_default();
        let more = come.get(..come.len().min(length - self.payload.len())).unwrap_or_default();
        self.payload.extend_from_slice(more);
        self.taken += more.len();
        if self.payload.len() < length {
            return Ok(None);
        }
        self.header = None;
        Ok(Some(Frame { kind, scan, payload: std::mem::take(&mut self.payload) }))
    }

    /// Reads once. Memory for a large payload is taken as it arrives.
    async fn read(&mut self) -> io::Result<usize> {
        // Less than a header remains.
        self.buffer.copy_within(self.taken..self.come, 0);
        (self.taken, self.come) = (0, self.come - self.taken);
        match self.header.map(|(_, _, length)| length - self.payload.len()) {
            Some(rest) if rest >= READ_BYTES => {
                self.payload.reserve(rest.min(1 << 20));
                (&mut self.input).take(rest as u64).read_buf(&mut self.payload).await
            }
            _ => {
                let read = self.input.read(self.buffer.get_mut(self.come..).unwrap_or_default()).await?;
                self.come += read;
                Ok(read)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use tokio::io::ReadBuf;

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        let payload = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..500),
            (READ_BYTES - 50..3 * READ_BYTES).prop_map(|length| (0..length).map(|at| at as u8).collect()),
        ];
        let frame = (0usize..KINDS.len(), any::<u32>(), payload);
        proptest::collection::vec(frame.prop_map(|(kind, scan, payload)| Frame::new(KINDS[kind], scan, payload)), 1..6)
    }

    /// Takes and gives so many bytes at a time.
    struct Slow<T>(T, usize);

    impl Write for Slow<Vec<u8>> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(&bytes[..bytes.len().min(self.1)])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl AsyncRead for Slow<&[u8]> {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let (now, rest) = self.0.split_at(self.0.len().min(self.1).min(to.remaining()));
            to.put_slice(now);
            self.0 = rest;
            Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #[test]
        fn every_frame_survives_both_readers_in_pieces_of_any_length(frames in frames(), piece in 1usize..(2 * READ_BYTES)) {
            let mut out = Slow(Vec::new(), piece.max(100));
            write_all(&frames, &mut out).unwrap();
            let mut input = out.0.as_slice();
            for frame in &frames {
                prop_assert_eq!(&Frame::read_from(&mut input).unwrap(), frame);
            }
            prop_assert!(input.is_empty());
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut reader = FrameReader::new(Slow(out.0.as_slice(), piece));
            for frame in &frames {
                prop_assert_eq!(&runtime.block_on(reader.next()).unwrap(), frame);
            }
            prop_assert!(runtime.block_on(reader.next()).is_err());
        }
    }

    #[test]
    fn frames_that_are_sent_together_are_written_with_one_call() {
        struct Calls(usize);
        impl Write for Calls {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += 1;
                Ok(bytes.len())
            }
            fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
                self.0 += 1;
                Ok(parts.iter().map(|part| part.len()).sum())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut calls = Calls(0);
        let frames = [Frame::new(Kind::Answer, 0, vec![7; 100_000]), Frame::new(Kind::End, 0, Vec::new())];
        write_all(&frames, &mut calls).unwrap();
        assert_eq!(calls.0, 1);
    }

    #[tokio::test]
    async fn a_length_beyond_the_bound_is_refused_before_memory_is_taken() {
        let mut bytes = vec![1, 0, 0, 0, 0];
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        assert!(FrameReader::new(bytes.as_slice()).next().await.is_err());
        assert!(Frame::read_from(&mut bytes.as_slice()).is_err());
    }
}
