//! Answers are compressed for whoever accepts it (RFC 9110 section 12.5.3), by zstd or gzip.
//!
//! What is compressed is text and Arrow, unless it fits into a packet. Bytes are compressed as they are sent, piece by
//! piece: no answer is held as a whole for it. Whoever sends takes as many pieces as there are without a pause, so after each
//! there is none for the moment, and other tasks have their turn. Where a body has nothing more to give, as a statement of SQL
//! that looks for its next rows, what is there is sent.
//!
//! Only answers to somebody who has proved who they are are compressed for each request; what everybody gets is compressed
//! once (`packed`).
//!
//! Lengths of compressed answers can tell what is in them to whoever can have a chosen text put beside a secret, again and
//! again. Here no secret is in two answers.

use super::negotiate::thousandths;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, VARY,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body::Frame;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use zstd::stream::write::Encoder as ZstdEncoder;

/// What is smaller goes in one packet as it is, bytes.
const LEAST_BYTES: u64 = 1024;
/// So much is compressed before other tasks have their turn, bytes: about a millisecond of gzip.
const PIECE_BYTES: usize = 64 << 10;
/// Rows are alike enough for the fastest level; it looks back 512 KiB, which bounds the memory of an answer.
const ZSTD_LEVEL: i32 = 1;
const ZSTD_WINDOW_LOG: u32 = 19;
const GZIP_LEVEL: u32 = 4;

/// A way to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// The preferred one first.
    const ALL: [Coding; 2] = [Coding::Zstd, Coding::Gzip];

    const fn as_str(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// The one that a request prefers; `None` for none.
    pub fn accepted(headers: &HeaderMap) -> Option<Coding> {
        let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let listed: Vec<(String, u16)> = lines.flat_map(|line| line.split(',')).filter_map(listed).collect();
        let weight = |name: &str| listed.iter().find(|(listed, _)| listed == name).map(|(_, weight)| *weight);
        let any = weight("*");
        let plain = weight("identity").unwrap_or(0);
        let mut best: Option<(u16, Coding)> = None;
        for coding in Coding::ALL {
            let alias = if coding == Coding::Gzip { weight("x-gzip") } else { None };
            let weight = weight(coding.as_str()).or(alias).or(any).unwrap_or(0);
            if weight > best.map_or(0, |(weight, _)| weight) {
                best = Some((weight, coding));
            }
        }
        best.filter(|(weight, _)| *weight >= plain).map(|(_, coding)| coding)
    }
}

/// A coding and its weight in thousandths; `None` for what is none.
fn listed(text: &str) -> Option<(String, u16)> {
    let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
    let weight = match parameters.trim().split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("q") => thousandths(value.trim())?,
        Some(_) => return None,
        None => 1000,
    };
    Some((name.trim().to_ascii_lowercase(), weight))
}

/// The answer, compressed if it is worth it.
pub fn answer(mut response: Response, coding: Option<Coding>) -> Response {
    if !is_compressible(response.headers()) {
        return response;
    }
    let small = response.body().size_hint().exact().is_some_and(|bytes| bytes < LEAST_BYTES);
    let headers = response.headers_mut();
    vary(headers);
    let Some((coding, encoder)) = coding.filter(|_| !small).and_then(|coding| Some((coding, Encoder::new(coding).ok()?))) else {
        return response;
    };
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    headers.remove(CONTENT_LENGTH);
    weaken(headers);
    response.map(|body| Body::new(Compressed { body, encoder: Some(encoder), piece: Bytes::new(), unsent: false, done: 0 }))
}

/// Whether an answer with these headers gets smaller, and may.
fn is_compressible(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let is_left_alone = text(CACHE_CONTROL).contains("no-transform");
    if is_left_alone || headers.contains_key(CONTENT_ENCODING) || headers.contains_key(CONTENT_RANGE) {
        return false;
    }
    let media_type = text(CONTENT_TYPE);
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    let known = ["json", "javascript", "vnd.apache.arrow.stream", "openmetrics-text"];
    let application = media_type.strip_prefix("application/").is_some_and(|sub| known.contains(&sub) || sub.ends_with("+json"));
    application || media_type.starts_with("text/") || media_type == "image/svg+xml"
}

/// Tells caches that the answer depends on what is accepted.
fn vary(headers: &mut HeaderMap) {
    let before = headers.get(VARY).and_then(|value| value.to_str().ok());
    let all = before.map_or(ACCEPT_ENCODING.to_string(), |before| format!("{before}, {ACCEPT_ENCODING}"));
    if let Ok(value) = HeaderValue::try_from(all) {
        headers.insert(VARY, value);
    }
}

/// A strong validator is of certain bytes, which these are not (RFC 9110 section 8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let strong = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| !tag.starts_with("W/"));
    if let Some(weak) = strong.and_then(|tag| HeaderValue::try_from(format!("W/{tag}")).ok()) {
        headers.insert(ETAG, weak);
    }
}

/// What compresses into memory.
enum Encoder {
    Zstd(ZstdEncoder<'static, Vec<u8>>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Encoder {
    fn new(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Zstd => {
                let mut encoder = ZstdEncoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(ZSTD_WINDOW_LOG)?;
                Encoder::Zstd(encoder)
            }
            Coding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<Bytes> {
        match self {
            Encoder::Zstd(encoder) => encoder.write_all(bytes)?,
            Encoder::Gzip(encoder) => encoder.write_all(bytes)?,
        }
        Ok(self.take())
    }

    fn flush(&mut self) -> io::Result<Bytes> {
        match self {
            Encoder::Zstd(encoder) => encoder.flush()?,
            Encoder::Gzip(encoder) => encoder.flush()?,
        }
        Ok(self.take())
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(match self {
            Encoder::Zstd(encoder) => encoder.get_mut(),
            Encoder::Gzip(encoder) => encoder.get_mut(),
        })
        .into()
    }

    fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Encoder::Zstd(encoder) => encoder.finish()?,
            Encoder::Gzip(encoder) => encoder.finish()?,
        }
        .into())
    }
}

/// A body that is compressed as it goes. One that breaks off has no end that a decoder would take for one.
struct Compressed {
    body: Body,
    /// None when the end is written.
    encoder: Option<Encoder>,
    /// What is to be compressed next.
    piece: Bytes,
    /// Whether the encoder may hold something back.
    unsent: bool,
    /// What was compressed since other tasks had their turn, bytes.
    done: usize,
}

impl HttpBody for Compressed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let data = |bytes: Bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        let failed = |error: io::Error| Poll::Ready(Some(Err(axum::Error::new(error))));
        loop {
            let Some(encoder) = &mut this.encoder else { return Poll::Ready(None) };
            if this.done >= PIECE_BYTES {
                this.done = 0;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !this.piece.is_empty() {
                let now = this.piece.split_to(this.piece.len().min(PIECE_BYTES - this.done));
                this.unsent = true;
                this.done += now.len();
                match encoder.write(&now) {
                    Ok(bytes) if bytes.is_empty() => continue,
                    Ok(bytes) => return data(bytes),
                    Err(error) => return failed(error),
                }
            }
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) => this.piece = piece,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Poll::Ready(Some(Err(error))) => {
                    this.encoder = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => {
                    let Some(encoder) = this.encoder.take() else { return Poll::Ready(None) };
                    return encoder.finish().map_or_else(failed, data);
                }
                Poll::Pending if this.unsent => {
                    this.unsent = false;
                    match encoder.flush() {
                        Ok(bytes) if bytes.is_empty() => return Poll::Pending,
                        Ok(bytes) => return data(bytes),
                        Err(error) => return failed(error),
                    }
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none()
    }
}

#[cfg(test)]
#[path = "compress_tests.rs"]
mod tests;
