use super::*;
use axum::body::to_bytes;
use axum::response::IntoResponse;
use futures::{FutureExt, StreamExt};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

fn accepted(lines: &[&str]) -> Option<Coding> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(ACCEPT_ENCODING, line.parse().unwrap());
    }
    Coding::accepted(&headers)
}

#[test]
fn the_preferred_coding_is_chosen() {
    for (lines, expected) in [
        (&[][..], None),
        (&[""], None),
        (&["gzip"], Some(Coding::Gzip)),
        (&["x-gzip"], Some(Coding::Gzip)),
        (&["GZIP, deflate, br"], Some(Coding::Gzip)),
        (&["gzip, deflate, br, zstd"], Some(Coding::Zstd)),
        (&["gzip", "zstd"], Some(Coding::Zstd)),
        (&["zstd;q=0.5, gzip"], Some(Coding::Gzip)),
        (&["zstd; q=0, gzip;q=0.001"], Some(Coding::Gzip)),
        (&["*"], Some(Coding::Zstd)),
        (&["*;q=0.5, zstd;q=0"], Some(Coding::Gzip)),
        (&["identity, gzip;q=0.5"], None),
        (&["identity;q=0.5, gzip"], Some(Coding::Gzip)),
        (&["gzip;q=0"], None),
        (&["*;q=0"], None),
        (&["br"], None),
        (&["gzip;q=2"], None),
        (&["identity"], None),
    ] {
        assert_eq!(accepted(lines), expected, "{lines:?}");
    }
}

fn of(content_type: &'static str, body: impl Into<Body>) -> Response {
    ([(CONTENT_TYPE, content_type)], body.into()).into_response()
}

fn rows() -> String {
    (0..200_000).map(|row| format!("{{\"host\":\"www{}.example.com.\",\"hits\":{row}}},", row % 977)).collect()
}

fn unpacked(coding: Coding, bytes: &[u8]) -> io::Result<Vec<u8>> {
    match coding {
        Coding::Zstd => zstd::stream::decode_all(bytes),
        Coding::Gzip => {
            let mut all = Vec::new();
            flate2::read::GzDecoder::new(bytes).read_to_end(&mut all).map(|_| all)
        }
    }
}

#[tokio::test]
async fn an_answer_is_what_it_was_and_smaller() {
    let rows = rows();
    for coding in Coding::ALL {
        let response = answer(of("application/json", rows.clone()), Some(coding));
        assert_eq!(response.headers()[CONTENT_ENCODING], coding.as_str());
        assert_eq!(response.headers()[VARY], "accept-encoding");
        assert!(!response.headers().contains_key(CONTENT_LENGTH));
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert!(bytes.len() < rows.len() / 5, "{coding:?}: {} of {} bytes", bytes.len(), rows.len());
        assert_eq!(unpacked(coding, &bytes).unwrap(), rows.as_bytes(), "{coding:?}");
    }
}

#[tokio::test]
async fn an_answer_in_pieces_of_any_length_is_what_it_was() {
    let rows = rows();
    for coding in Coding::ALL {
        let mut pieces: Vec<Result<Bytes, io::Error>> = Vec::new();
        let (mut rest, mut length) = (rows.as_bytes(), 1);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            pieces.push(Ok(Bytes::copy_from_slice(piece)));
            (rest, length) = (after, length * 3 % 150_001);
        }
        let body = Body::from_stream(futures::stream::iter(pieces));
        let bytes = to_bytes(answer(of("text/csv", body), Some(coding)).into_body(), usize::MAX).await.unwrap();
        assert_eq!(unpacked(coding, &bytes).unwrap(), rows.as_bytes(), "{coding:?}");
    }
}

/// Counts how often it is told that there is more to do.
#[derive(Default)]
struct Calls(AtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn other_tasks_have_their_turn_after_each_piece_whether_or_not_it_gave_something_to_send() {
    let (rows, calls) = (rows(), Arc::new(Calls::default()));
    let waker = Waker::from(calls.clone());
    for coding in Coding::ALL {
        for length in [PIECE_BYTES / 16, 3 * PIECE_BYTES / 4, rows.len()] {
            let pieces: Vec<Result<Bytes, io::Error>> =
                rows.as_bytes().chunks(length).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            let body = Body::from_stream(futures::stream::iter(pieces));
            let mut body = answer(of("text/csv", body), Some(coding)).into_body();
            calls.0.store(0, Ordering::Relaxed);
            let (mut bytes, mut pauses) = (Vec::new(), 0);
            loop {
                match Pin::new(&mut body).poll_frame(&mut Context::from_waker(&waker)) {
                    Poll::Ready(Some(frame)) => bytes.extend_from_slice(&frame.unwrap().into_data().unwrap()),
                    Poll::Ready(None) => break,
                    Poll::Pending => pauses += 1,
                }
            }
            assert_eq!(unpacked(coding, &bytes).unwrap(), rows.as_bytes(), "{coding:?}");
            assert_eq!(pauses, rows.len() / PIECE_BYTES, "{coding:?}, {length} bytes at a time");
            assert_eq!(calls.0.load(Ordering::Relaxed), pauses, "{coding:?}: whoever pauses is called again");
        }
    }
}

#[test]
fn what_is_small_or_compressed_or_not_asked_for_stays_as_it_is() {
    let long = || "a".repeat(5000);
    let is_plain = |response: Response| !response.headers().contains_key(CONTENT_ENCODING);
    assert!(is_plain(answer(of("application/json", long()), None)));
    assert!(is_plain(answer(of("application/json", "a".repeat(1023)), Some(Coding::Zstd))));
    assert!(!is_plain(answer(of("application/json", "a".repeat(1024)), Some(Coding::Zstd))));
    for content_type in ["image/png", "font/woff2", "application/octet-stream", "application/zip", ""] {
        let response = answer(of(content_type, long()), Some(Coding::Gzip));
        assert!(!response.headers().contains_key(VARY), "{content_type}");
        assert!(is_plain(response), "{content_type}");
    }
    for (name, value) in [(CONTENT_ENCODING, "br"), (CONTENT_RANGE, "bytes 0-1/5"), (CACHE_CONTROL, "no-transform")] {
        let mut response = of("text/plain", long());
        response.headers_mut().insert(name, HeaderValue::from_static(value));
        let response = answer(response, Some(Coding::Gzip));
        assert_ne!(response.headers().get(CONTENT_ENCODING), Some(&HeaderValue::from_static("gzip")), "{value}");
    }
}

#[test]
fn headers_say_that_bytes_depend_on_what_is_accepted() {
    let mut response = of("text/csv; charset=utf-8", "a".repeat(5000));
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response.headers_mut().insert(ETAG, HeaderValue::from_static("\"1\""));
    let response = answer(response, Some(Coding::Gzip));
    assert_eq!(response.headers()[VARY], "accept, accept-encoding");
    assert_eq!(response.headers()[ETAG], "W/\"1\"");
    // Also where it is not compressed: a cache must not give it to whoever accepts something else.
    assert_eq!(answer(of("text/csv", "a"), None).headers()[VARY], "accept-encoding");
}

#[tokio::test]
async fn what_waits_for_its_next_rows_is_sent_meanwhile() {
    for coding in Coding::ALL {
        let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Bytes, io::Error>>();
        let response = answer(of("application/json", Body::from_stream(receiver)), Some(coding));
        let mut body = response.into_body().into_data_stream();
        sender.unbounded_send(Ok(Bytes::from_static(b"[{\"row\":1}"))).unwrap();
        // All that comes before there are more rows: a header may come by itself.
        let mut first = Vec::new();
        while let Some(Some(piece)) = body.next().now_or_never() {
            first.extend(piece.unwrap());
        }
        let mut shown = vec![0; 10];
        match coding {
            Coding::Zstd => zstd::stream::read::Decoder::new(&first[..]).unwrap().read_exact(&mut shown).unwrap(),
            Coding::Gzip => flate2::read::GzDecoder::new(&first[..]).read_exact(&mut shown).unwrap(),
        }
        assert_eq!(shown, b"[{\"row\":1}", "{coding:?}");
        drop(sender);
        while let Some(piece) = body.next().await {
            piece.unwrap();
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_whole() {
    for coding in Coding::ALL {
        let pieces = [Ok(Bytes::from(rows())), Err(io::Error::other("broken"))];
        let response = answer(of("text/csv", Body::from_stream(futures::stream::iter(pieces))), Some(coding));
        let mut body = response.into_body().into_data_stream();
        let mut bytes = Vec::new();
        let error = loop {
            match body.next().await {
                Some(Ok(piece)) => bytes.extend_from_slice(&piece),
                Some(Err(error)) => break error,
                None => panic!("{coding:?}: it ends as if it were whole"),
            }
        };
        assert!(error.to_string().contains("broken"), "{error}");
        assert!(unpacked(coding, &bytes).is_err(), "{coding:?}");
    }
}
