//! Public answers, compressed once.
//!
//! The documentation needs no credentials and is large enough to be compressed; compressing it per request would be
//! work that any stranger could trigger again and again. So each file is compressed on the first request, and kept.

use super::compress::{self, Coding};
use super::problem::Problem;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Maximum number of answers kept, more than there are files and codings. Further ones are sent uncompressed.
const MAX_KEPT: usize = 64;
/// Maximum size of a compressed answer, bytes.
const MAX_BYTES: usize = 4 << 20;

/// Answers by path and coding.
type Kept = HashMap<(String, Coding), (HeaderMap, Bytes)>;

/// The cache. Clones share it.
#[derive(Clone, Default)]
pub struct Packed {
    kept: Arc<Mutex<Kept>>,
}

impl Packed {
    /// Serves the cached answer, or passes the request on and caches its answer. For routes whose answers never change.
    pub async fn once(State(packed): State<Packed>, request: Request, next: Next) -> Response {
        let coding = Coding::accepted(request.headers());
        let path = request.uri().path();
        // Alternative spellings of a path must not add entries.
        let Some(coding) = coding.filter(|_| request.method() == Method::GET && !path.contains('%')) else {
            return next.run(request).await;
        };
        let key = (path.to_owned(), coding);
        // Held during compression: concurrent requests wait instead of repeating the work.
        let mut kept = packed.kept.lock().await;
        if let Some((headers, bytes)) = kept.get(&key) {
            return (headers.clone(), Body::from(bytes.clone())).into_response();
        }
        let response = next.run(request).await;
        if response.status() != StatusCode::OK || kept.len() >= MAX_KEPT {
            return response;
        }
        let response = compress::answer(response, Some(coding));
        if !response.headers().contains_key(CONTENT_ENCODING) {
            return response;
        }
        let (parts, body) = response.into_parts();
        match to_bytes(body, MAX_BYTES).await {
            Ok(bytes) => {
                kept.insert(key, (parts.headers.clone(), bytes.clone()));
                Response::from_parts(parts, Body::from(bytes))
            }
            Err(error) => Problem::internal(error).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tower::ServiceExt;

    /// A route that counts its requests.
    fn routes(packed: &Packed) -> (Router, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let answer = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            std::future::ready("a".repeat(5000))
        };
        let routes = Router::new().route("/{*file}", get(answer)).layer(from_fn_with_state(packed.clone(), Packed::once));
        (routes, asked)
    }

    async fn ask(routes: &Router, path: &str, accept: &str) -> Response {
        let request = Request::builder().uri(path).header("accept-encoding", accept).body(Body::empty()).unwrap();
        routes.clone().oneshot(request).await.unwrap()
    }

    async fn unpacked(response: Response) -> Vec<u8> {
        assert_eq!(response.headers()["vary"], "accept-encoding");
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        let coding = response.headers()["content-encoding"].clone();
        let bytes = to_bytes(response.into_body(), MAX_BYTES).await.unwrap();
        if coding == "zstd" {
            return zstd::stream::decode_all(&bytes[..]).unwrap();
        }
        let mut all = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut all).unwrap();
        all
    }

    #[tokio::test]
    async fn a_file_is_compressed_once_for_each_coding() {
        let (routes, asked) = routes(&Packed::default());
        for _ in 0..3 {
            for accept in ["gzip", "zstd"] {
                assert_eq!(unpacked(ask(&routes, "/a", accept).await).await, [b'a'; 5000], "{accept}");
            }
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn whoever_accepts_nothing_or_spells_a_path_otherwise_gets_it_as_it_is() {
        let (routes, _) = routes(&Packed::default());
        for (path, accept) in [("/a", "identity"), ("/%61", "gzip")] {
            let response = ask(&routes, path, accept).await;
            assert!(!response.headers().contains_key(CONTENT_ENCODING), "{path} {accept}");
            assert_eq!(to_bytes(response.into_body(), MAX_BYTES).await.unwrap().len(), 5000);
        }
    }

    #[tokio::test]
    async fn no_more_is_kept_than_there_is_room_for() {
        let packed = Packed::default();
        let (routes, _) = routes(&packed);
        for number in 0..MAX_KEPT + 3 {
            let response = ask(&routes, &format!("/{number}"), "gzip").await;
            assert_eq!(response.headers().contains_key(CONTENT_ENCODING), number < MAX_KEPT, "{number}");
        }
        assert_eq!(packed.kept.lock().await.len(), MAX_KEPT);
    }
}
