//! The page at `/`: its files are part of the program (`build.rs`), and it asks nobody but this program.
//!
//! The files are public and need no login; what they show comes from the API, which does.

use super::answer::compress::Coding;
use super::answer::problem::{Case, Problem};
use super::state::App;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Only what the page itself brings runs, it speaks to its own origin only, and no text becomes markup.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
);
/// For what has a name that depends on its content.
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// For everything else: a browser keeps it, and asks every time whether it is still the same.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
/// The file at `/`.
const INDEX: &str = "index.html";

/// A file of the page.
#[derive(Debug)]
pub struct File {
    /// Its name.
    pub name: &'static str,
    content_type: &'static str,
    /// Its entity tag.
    tag: &'static str,
    /// Whether its name contains a hash of its content.
    pub is_hashed: bool,
    /// Its content.
    pub bytes: &'static [u8],
    gzip: &'static [u8],
}

/// The files of the page, by name.
pub const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// The routes, for everybody.
pub fn routes() -> Router<App> {
    Router::new().route("/", get(|headers: HeaderMap| async move { file(INDEX, &headers) })).route("/assets/{name}", get(asset))
}

async fn asset(name: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Result<Response, Problem> {
    match name {
        // The index has an address of its own.
        Ok(Path(name)) if name != INDEX => file(&name, &headers),
        _ => Err(missing()),
    }
}

fn missing() -> Problem {
    Problem::new(Case::NotFound, "the page has no such file; after an update of the central, load the page again")
}

fn file(name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let file = FILES.iter().find(|file| file.name == name).ok_or_else(missing)?;
    // A 304 replaces the headers that a browser keeps, so it has the same.
    let common = [
        (ETAG, HeaderValue::from_static(file.tag)),
        (CACHE_CONTROL, if file.is_hashed { FOR_GOOD } else { ASK_AGAIN }),
        (CONTENT_SECURITY_POLICY, POLICY),
        (VARY, HeaderValue::from_static("accept-encoding")),
    ];
    if is_known(headers, file.tag) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let content_type = (CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    let is_smaller = file.gzip.len() < file.bytes.len();
    if is_smaller && Coding::preferred(headers, &[Coding::Gzip]).is_some() {
        let coding = (CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return Ok((common, [content_type, coding], Bytes::from_static(file.gzip)).into_response());
    }
    Ok((common, [content_type], Bytes::from_static(file.bytes)).into_response())
}

/// Whether a client has a file with this tag (RFC 9110 section 13.1.2).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let lines = headers.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let weak = |tag: &'_ str| tag.trim().trim_start_matches("W/").to_owned();
    lines.flat_map(|line| line.split(',')).any(|known| known.trim() == "*" || weak(known) == weak(tag))
}
