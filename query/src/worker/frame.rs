//! What travels between the central and a worker: a kind, a scan's number, and bytes.

use std::io::{self, Read, Write};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Kind, number and length.
const HEADER_BYTES: usize = 9;
/// The largest frame, bytes: the names that a filter chose among millions, or a row as large as one may be.
const MAX_PAYLOAD_BYTES: u32 = 64 << 20;

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// To a worker, first: its limits.
    Begin,
    /// From a worker: it can take a statement.
    Ready,
    /// To a worker: how many records there are, and the statement.
    Statement,
    /// From a worker: a scan begins; its number and request.
    Read,
    /// To a worker: a batch of a scan.
    Rows,
    /// To a worker: the last batch of a scan has been sent.
    RowsEnd,
    /// To a worker: a scan failed; why.
    RowsFailed,
    /// From a worker: it wants no more of a scan.
    Stop,
    /// From a worker: rows of the statement's answer.
    Answer,
    /// To either: a batch or a piece was taken, so another may come.
    More,
    /// From a worker: the answer is complete.
    End,
    /// From a worker: the statement failed; how, and why.
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
    /// The scan that it is about; 0 where it is about none.
    pub(super) scan: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    pub(super) fn new(kind: Kind, scan: u32, payload: Vec<u8>) -> Self {
        Frame { kind, scan, payload }
    }

    /// What comes before the payload. A payload that is too large is an error of whoever made it.
    pub(super) fn header(&self) -> io::Result<[u8; HEADER_BYTES]> {
        let length = u32::try_from(self.payload.len()).ok().filter(|length| *length <= MAX_PAYLOAD_BYTES);
        let length = length.ok_or_else(|| io::Error::other("a frame that is too large"))?;
        let number = KINDS.iter().position(|kind| *kind == self.kind).unwrap_or_default() as u8;
        let mut header = [number; HEADER_BYTES];
        for (to, from) in header.iter_mut().skip(1).zip(self.scan.to_le_bytes().into_iter().chain(length.to_le_bytes())) {
            *to = from;
        }
        Ok(header)
    }

    pub(super) fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.header()?)?;
        out.write_all(&self.payload)
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

fn parse(header: [u8; HEADER_BYTES]) -> io::Result<(Kind, u32, usize)> {
    let bad = || io::Error::other("a frame of no known kind or length");
    let [number, a, b, c, d, e, f, g, h] = header;
    let kind = KINDS.get(usize::from(number)).ok_or_else(bad)?;
    let length = u32::from_le_bytes([e, f, g, h]);
    if length > MAX_PAYLOAD_BYTES { Err(bad()) } else { Ok((*kind, u32::from_le_bytes([a, b, c, d]), length as usize)) }
}

/// Reads frames. A read that is dropped halfway goes on with the next call.
pub(super) struct FrameReader<R> {
    input: R,
    header: Vec<u8>,
    payload: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(input: R) -> Self {
        FrameReader { input, header: Vec::with_capacity(HEADER_BYTES), payload: Vec::new() }
    }

    /// The next frame. An end of the stream is an error.
    pub(super) async fn next(&mut self) -> io::Result<Frame> {
        fill(&mut self.input, &mut self.header, HEADER_BYTES).await?;
        let header = self.header.first_chunk().copied().ok_or(io::ErrorKind::UnexpectedEof)?;
        let (kind, scan, length) = parse(header)?;
        fill(&mut self.input, &mut self.payload, length).await?;
        self.header.clear();
        Ok(Frame { kind, scan, payload: std::mem::take(&mut self.payload) })
    }
}

/// Reads until there are so many bytes, and takes memory as they come.
async fn fill(input: &mut (impl AsyncRead + Unpin), into: &mut Vec<u8>, length: usize) -> io::Result<()> {
    while into.len() < length {
        into.reserve((length - into.len()).min(1 << 20));
        if (&mut *input).take((length - into.len()) as u64).read_buf(into).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_frame_survives_both_readers(kind in 0usize..KINDS.len(), scan: u32, payload in proptest::collection::vec(any::<u8>(), 0..500)) {
            let frame = || Frame::new(KINDS[kind], scan, payload.clone());
            let mut bytes = Vec::new();
            frame().write_to(&mut bytes).unwrap();
            prop_assert_eq!(Frame::read_from(&mut bytes.as_slice()).unwrap(), frame());
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            prop_assert_eq!(runtime.block_on(FrameReader::new(bytes.as_slice()).next()).unwrap(), frame());
        }
    }

    #[tokio::test]
    async fn a_length_beyond_the_bound_is_refused_before_memory_is_taken() {
        let mut bytes = vec![1, 0, 0, 0, 0];
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        assert!(FrameReader::new(bytes.as_slice()).next().await.is_err());
        assert!(Frame::read_from(&mut bytes.as_slice()).is_err());
    }
}
