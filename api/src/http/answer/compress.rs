//! Compresses answers for clients that accept it (RFC 9110 section 12.5.3), with zstd or gzip.
//!
//! Text and Arrow are compressed, unless the answer fits into a packet. Bytes are compressed in pieces as they are
//! sent: no answer is held in memory as a whole. The sender takes pieces for as long as any are ready, so after each
//! one the body reports itself pending once, to let other tasks run. When a body has nothing to give for the moment,
//! such as a SQL statement looking for its next rows, what has been compressed so far is sent.
//!
//! Only answers to authenticated callers are compressed per request; public answers are compressed once (`packed`).
//!
//! The length of a compressed answer can reveal its content to an attacker who can repeatedly have a chosen text placed
//! beside a secret. No secret here appears in two answers, but for the token of a session against forged requests, whose
//! answers are never compressed (`calls/session`).

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

/// Smaller answers fit into one packet as they are, bytes.
const LEAST_BYTES: u64 = 1024;
/// Amount compressed before other tasks get a turn, bytes: about a millisecond of gzip.
const PIECE_BYTES: usize = 64 << 10;
/// Rows are repetitive enough for the fastest level; its window of 512 KiB bounds the memory per answer.
const ZSTD_LEVEL: i32 = 1;
const ZSTD_WINDOW_LOG: u32 = 19;
const GZIP_LEVEL: u32 = 4;

/// A compression coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// In order of preference.
    const ALL: [Coding; 2] = [Coding::Zstd, Coding::Gzip];

    const fn as_str(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// The coding that a request prefers, if any.
    pub fn accepted(headers: &HeaderMap) -> Option<Coding> {
        Coding::preferred(headers, &Coding::ALL)
    }

    /// The coding among these that a request prefers, if any.
    pub fn preferred(headers: &HeaderMap, codings: &[Coding]) -> Option<Coding> {
        let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let listed: Vec<(String, u16)> = lines.flat_map(|line| line.split(',')).filter_map(listed).collect();
        let weight = |name: &str| listed.iter().find(|(listed, _)| listed == name).map(|(_, weight)| *weight);
        let any = weight("*");
        let plain = weight("identity").unwrap_or(0);
        let mut best: Option<(u16, Coding)> = None;
        for &coding in codings {
            let alias = if coding == Coding::Gzip { weight("x-gzip") } else { None };
            let weight = weight(coding.as_str()).or(alias).or(any).unwrap_or(0);
            if weight > best.map_or(0, |(weight, _)| weight) {
                best = Some((weight, coding));
            }
        }
        best.filter(|(weight, _)| *weight >= plain).map(|(_, coding)| coding)
    }
}

/// A coding and its weight in thousandths; `None` if it is malformed.
fn listed(text: &str) -> Option<(String, u16)> {
    let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
    let weight = match parameters.trim().split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("q") => thousandths(value.trim())?,
        Some(_) => return None,
        None => 1000,
    };
    Some((name.trim().to_ascii_lowercase(), weight))
}

/// Compresses the answer if that is worthwhile.
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

/// Whether an answer with these headers is worth compressing, and may be compressed.
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

/// Tells caches that the answer depends on `Accept-Encoding`.
fn vary(headers: &mut HeaderMap) {
    let before = headers.get(VARY).and_then(|value| value.to_str().ok());
    if before.is_some_and(|before| before.split(',').any(|name| name.trim().eq_ignore_ascii_case(ACCEPT_ENCODING.as_str()))) {
        return;
    }
    let all = before.map_or(ACCEPT_ENCODING.to_string(), |before| format!("{before}, {ACCEPT_ENCODING}"));
    if let Ok(value) = HeaderValue::try_from(all) {
        headers.insert(VARY, value);
    }
}

/// A strong validator identifies exact bytes, which compression changes (RFC 9110 section 8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let strong = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| !tag.starts_with("W/"));
    if let Some(weak) = strong.and_then(|tag| HeaderValue::try_from(format!("W/{tag}")).ok()) {
        headers.insert(ETAG, weak);
    }
}

/// A compressor that writes to memory.
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

/// A body that is compressed as it is sent. If it breaks off, its end marker is missing, so that a decoder notices.
struct Compressed {
    body: Body,
    /// `None` once the end is written.
    encoder: Option<Encoder>,
    /// The next bytes to compress.
    piece: Bytes,
    /// Whether the encoder may hold back data.
    unsent: bool,
    /// Bytes compressed since other tasks last got a turn.
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
