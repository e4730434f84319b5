//! Protects browsers: rejects cross-site requests, and sets the security headers of every answer.
//!
//! A browser sends a remembered password with every request to this central, whichever page caused it. So every request
//! that may change something (POST, PUT, PATCH, DELETE) must come from this central's own pages or from no browser at
//! all:
//!
//! * `Sec-Fetch-Site`, which browsers send and pages cannot set, must not name another site;
//! * `Origin`, which older browsers send as well, must be this central's;
//! * the body must not be of a type that a page can send to another site without asking it first (text/plain and the
//!   types of forms; see "CORS-safelisted request-header" in the Fetch standard).
//!
//! Programs send neither header and are not affected. A session's cookie has to be accompanied by a proof as well
//! (`caller`).

use super::listen::MAX_TARGET_BYTES;
use crate::http::answer::problem::{Case, Problem};
use crate::http::paths;
use crate::http::question::body::media_type;
use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use zonepulse_net::Visitor;

/// The page of this central sends it with every request: it asks for a password itself.
const PAGE: HeaderName = HeaderName::from_static("x-zonepulse-page");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Content types that a page may send to another site without a preflight request.
const SIMPLE: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];

/// What a browser may do with an answer unless its route says otherwise: nothing.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Rejects requests that no route should see; `public_urls` are the URLs of this central.
pub fn check(public_urls: &[String], request: &Request) -> Result<(), Problem> {
    let is_cut_off = request.extensions().get::<Visitor>().is_some_and(Visitor::was_cut_off);
    let target_bytes = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if is_cut_off || target_bytes > MAX_TARGET_BYTES {
        let detail = format!("the path with its parameters has at most {MAX_TARGET_BYTES} bytes");
        return Err(Problem::new(Case::TargetTooLong, detail));
    }
    if [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(request.method()) {
        return Ok(());
    }
    same_site(request.headers(), request.uri(), public_urls)?;
    known_type(request)
}

fn same_site(headers: &HeaderMap, uri: &Uri, public_urls: &[String]) -> Result<(), Problem> {
    let refused = |detail: String| Err(Problem::new(Case::CrossSite, detail));
    for site in headers.get_all(SEC_FETCH_SITE) {
        if site != "same-origin" && site != "none" {
            let site = site.to_str().unwrap_or("?");
            return refused(format!("a page of another site caused this request (Sec-Fetch-Site: {site})"));
        }
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(|authority| authority.as_str()));
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or("?");
        let own = host.is_some_and(|host| is_origin_of(origin, host));
        if !own && !public_urls.iter().any(|url| is_same_origin(origin, url)) {
            return refused(format!(
                "a page of another site caused this request (Origin: {origin}); if that is where this central is reached, \
                 name it in public_urls"
            ));
        }
    }
    Ok(())
}

/// Scheme, host and port of an origin or URL.
fn parts(url: &str) -> Option<(&str, String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let default_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let (host, port) = host_and_port(rest.split('/').next()?, default_port)?;
    Some((scheme, host, port))
}

fn host_and_port(authority: &str, default_port: u16) -> Option<(String, u16)> {
    let (host, port) = match authority.rsplit_once(':') {
        // A colon inside an IPv6 address does not separate a port.
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (authority, default_port),
    };
    Some((host.to_ascii_lowercase(), port))
}

/// Whether an origin is on the host that a request names. Behind a proxy the scheme is unknown.
fn is_origin_of(origin: &str, host: &str) -> bool {
    parts(origin)
        .is_some_and(|(scheme, name, port)| host_and_port(host, if scheme == "https" { 443 } else { 80 }) == Some((name, port)))
}

fn is_same_origin(origin: &str, url: &str) -> bool {
    parts(origin).is_some_and(|origin| Some(origin) == parts(url))
}

fn known_type(request: &Request) -> Result<(), Problem> {
    let media_type = media_type(request.headers())?;
    let has_body = !request.body().is_end_stream();
    let is_refused = SIMPLE.contains(&media_type.as_str()) || (media_type.is_empty() && has_body);
    if !is_refused && request.headers().get_all(header::CONTENT_TYPE).iter().count() < 2 {
        return Ok(());
    }
    let right = match request.uri().path() {
        paths::SQL => "application/sql, or application/json for {\"sql\": \"…\"}",
        paths::BATCHES => zonepulse_wire::MEDIA_TYPE,
        _ => "application/json",
    };
    let given = if media_type.is_empty() { "missing".to_owned() } else { format!("{media_type:?}") };
    let detail = format!("Content-Type is {given}: send {right} (with curl: -H 'Content-Type: …')");
    Err(Problem::new(Case::UnknownFormat, detail))
}

/// Whether the page of this central made the request.
pub fn is_of_page(headers: &HeaderMap) -> bool {
    headers.contains_key(PAGE)
}

/// Keeps a browser from asking for a password in a dialog of its own.
pub fn suppress_dialog(headers: &mut HeaderMap) {
    let is_basic = |value: &HeaderValue| value.as_bytes().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic"));
    let others: Vec<_> = headers.get_all(header::WWW_AUTHENTICATE).iter().filter(|value| !is_basic(value)).cloned().collect();
    headers.remove(header::WWW_AUTHENTICATE);
    for value in others {
        headers.append(header::WWW_AUTHENTICATE, value);
    }
}

/// Sets the security headers of every answer.
pub fn tell(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_let_in(lines: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("central.example:8053"));
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let public_urls = ["https://dns.example/".to_owned()];
        same_site(&headers, &Uri::from_static("/api/v2/users"), &public_urls).is_ok()
    }

    #[test]
    fn a_program_and_a_page_of_this_central_are_let_in() {
        for lines in [
            &[][..],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://central.example:8053")],
            &[("origin", "https://Central.Example:8053"), ("sec-fetch-site", "same-origin")],
            &[("origin", "https://dns.example")],
        ] {
            assert!(is_let_in(lines), "{lines:?}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        for lines in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "http://central.example")],
            &[("origin", "http://evil.example:8053")],
            &[("origin", "http://central.example:8053.evil.example")],
            &[("origin", "http://dns.example")],
            &[("origin", "file://central.example:8053")],
            &[("origin", "http://central.example:8053"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-origin"), ("origin", "http://evil.example")],
        ] {
            assert!(!is_let_in(lines), "{lines:?}");
        }
    }

    #[test]
    fn default_ports_and_ipv6_addresses_are_understood() {
        assert!(is_origin_of("http://central.example", "central.example:80") && is_origin_of("https://a", "a:443"));
        assert!(is_origin_of("https://a", "a") && !is_origin_of("https://a", "a:80"));
        assert!(is_origin_of("http://[::1]:8053", "[::1]:8053") && is_origin_of("http://[::1]", "[::1]"));
        assert!(!is_origin_of("http://[::1]:8053", "[::2]:8053"));
    }
}
