//! The files of the page, whichever they are.

use super::*;
use crate::http::page::{FILES, File};
use std::io::Read;

fn path(file: &File) -> String {
    if file.name == "index.html" { "/".to_owned() } else { format!("/assets/{}", file.name) }
}

async fn get(headers: &[(&str, &str)], path: &str) -> (Answered, Vec<u8>) {
    raw("GET", headers, path).await
}

/// With the octets as they are sent, which may be compressed.
async fn raw(method: &str, headers: &[(&str, &str)], path: &str) -> (Answered, Vec<u8>) {
    let setup = setup();
    let mut request = axum::http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router(setup.app.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 64 << 20).await.unwrap().to_vec();
    (Answered { status: parts.status.as_u16(), headers: parts.headers, body: String::new() }, bytes)
}

#[tokio::test]
async fn every_file_is_served_without_a_login() {
    for file in FILES {
        let (answered, bytes) = get(&[], &path(file)).await;
        assert_eq!((answered.status, answered.header("content-encoding")), (200, ""), "{}", file.name);
        assert!(bytes == file.bytes, "{}", file.name);
        assert_eq!(answered.header("vary"), "accept-encoding", "{}", file.name);
    }
}

#[tokio::test]
async fn the_index_and_what_it_refers_to_are_there() {
    let (index, bytes) = get(&[], "/").await;
    assert_eq!(index.header("content-type"), "text/html; charset=utf-8");
    let text = String::from_utf8(bytes).unwrap();
    let links: Vec<&str> = text.split(['"', '\'']).filter(|part| part.starts_with("/assets/")).collect();
    assert!(links.len() > 1, "{text}");
    for link in links {
        assert!(FILES.iter().any(|file| path(file) == link), "{link} is not among the files");
    }
}

#[tokio::test]
async fn the_index_names_no_other_host_and_has_nothing_inline() {
    let (_, bytes) = get(&[], "/").await;
    let text = String::from_utf8(bytes).unwrap();
    assert!(!text.contains("://") && !text.contains("<style") && !text.contains("style="), "{text}");
    assert!(text.split("<script").skip(1).all(|rest| rest.split('>').next().unwrap().contains(" src=")), "{text}");
}

#[tokio::test]
async fn browsers_run_what_the_page_brings_and_nothing_else() {
    let (index, _) = get(&[], "/").await;
    assert_eq!(
        index.header("content-security-policy"),
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    );
    assert_eq!((index.header("x-content-type-options"), index.header("x-frame-options")), ("nosniff", "DENY"));
}

#[tokio::test]
async fn a_file_comes_compressed_once_to_whoever_accepts_gzip() {
    for file in FILES {
        for accept in ["gzip", "zstd, gzip;q=0.1", "gzip, deflate, br, zstd", "*"] {
            let (answered, bytes) = get(&[("accept-encoding", accept)], &path(file)).await;
            if answered.header("content-encoding").is_empty() {
                assert!(bytes == file.bytes, "{} {accept}", file.name);
                continue;
            }
            assert_eq!((answered.header("content-encoding"), answered.header("vary")), ("gzip", "accept-encoding"));
            assert!(bytes.len() < file.bytes.len(), "{}", file.name);
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == file.bytes, "{} {accept}", file.name);
        }
    }
    let (index, _) = get(&[("accept-encoding", "gzip")], "/").await;
    assert_eq!(index.header("content-encoding"), "gzip");
}

#[tokio::test]
async fn whoever_does_not_accept_gzip_gets_a_file_as_it_is() {
    for accept in ["br", "gzip;q=0", "identity, gzip;q=0.5", "zstd"] {
        let (answered, bytes) = get(&[("accept-encoding", accept)], "/").await;
        assert_eq!(answered.header("content-encoding"), "", "{accept}");
        assert!(FILES.iter().any(|file| file.bytes == bytes), "{accept}");
    }
}

#[tokio::test]
async fn a_login_that_comes_along_changes_nothing() {
    let setup = setup();
    for authorization in [&setup.basic, &setup.bearer, "Bearer nonsense"] {
        let accept = ("accept-encoding", "zstd, gzip");
        let answered = setup.send("GET", "/", &[("authorization", authorization), accept], "").await;
        assert_eq!((answered.status, answered.header("content-encoding")), (200, "gzip"));
    }
    assert_eq!(setup.send("GET", "/", &[("cookie", "zonepulse_session=nonsense")], "").await.status, 200);
}

#[tokio::test]
async fn what_a_browser_has_is_not_sent_again() {
    for file in FILES {
        let (first, _) = get(&[], &path(file)).await;
        let tag = first.header("etag").to_owned();
        let strong = tag.trim_start_matches("W/").to_owned();
        for known in [tag.clone(), strong.clone(), format!("\"other\", {tag}"), "*".to_owned()] {
            let (again, bytes) = get(&[("if-none-match", &known), ("accept-encoding", "gzip")], &path(file)).await;
            assert_eq!((again.status, bytes.len()), (304, 0), "{} {known}", file.name);
            // A browser takes them over into what it keeps.
            for name in ["etag", "cache-control", "content-security-policy", "vary"] {
                assert_eq!(again.header(name), first.header(name), "{} {name}", file.name);
            }
        }
        let (other, _) = get(&[("if-none-match", "\"other\"")], &path(file)).await;
        assert_eq!(other.status, 200, "{}", file.name);
    }
}

#[tokio::test]
async fn files_with_a_hash_in_their_name_are_kept_for_good_and_others_asked_for_again() {
    assert!(FILES.iter().any(|file| !file.is_hashed));
    for file in FILES {
        let (answered, _) = get(&[], &path(file)).await;
        let expected = if file.is_hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
        assert_eq!(answered.header("cache-control"), expected, "{}", file.name);
    }
    let index = FILES.iter().find(|file| file.name == "index.html").unwrap();
    assert!(!index.is_hashed);
}

#[tokio::test]
async fn head_tells_the_same_without_the_content() {
    for file in FILES {
        let (got, bytes) = get(&[], &path(file)).await;
        let (head, none) = raw("HEAD", &[], &path(file)).await;
        assert_eq!((head.status, none.len()), (200, 0), "{}", file.name);
        assert_eq!(head.header("content-length"), bytes.len().to_string(), "{}", file.name);
        for name in ["etag", "cache-control", "content-type", "content-security-policy"] {
            assert_eq!(head.header(name), got.header(name), "{} {name}", file.name);
        }
    }
}

#[tokio::test]
async fn other_names_and_methods_are_problems() {
    let setup = setup();
    for path in [
        "/assets/none.js",
        "/assets/index.html",
        "/assets/..%2f..%2fetc%2fpasswd",
        "/assets/%ff",
        "/assets/",
        "/page.js",
        "/index.html",
    ] {
        let answered = setup.send("GET", path, &[], "").await;
        assert_eq!((answered.status, answered.problem()["status"].as_u64()), (404, Some(404)), "{path}");
    }
    assert_eq!(setup.send("POST", "/", &[("content-type", "application/json")], "").await.status, 405);
}

#[tokio::test]
async fn what_the_page_asks_needs_a_login_all_the_same() {
    let setup = setup();
    for path in READING {
        assert_eq!(setup.send("GET", path, &[("x-zonepulse-page", "1")], "").await.status, 401, "{path}");
    }
}
