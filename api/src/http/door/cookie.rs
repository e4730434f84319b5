//! The cookie of a session: how it is read, set and removed.
//!
//! It is for this host only, no script can read it, and a browser sends it with no request that another site caused. Over
//! TLS its name begins with `__Host-`: browsers then accept it from this host over TLS only, so that no other host of the
//! domain, and nobody on the way, can plant one.

use crate::http::answer::problem::{Case, Problem};
use axum::http::{HeaderMap, HeaderValue, header};
use zonepulse_central::sessions::LONGEST_MS;
use zonepulse_private::Secret;

/// Its name without TLS.
pub const NAME: &str = "zonepulse_session";
/// Its name over TLS.
const SECURE_NAME: &str = "__Host-zonepulse_session";
/// Length of a token: 256 bits in base64url.
const TOKEN_BYTES: usize = 43;

/// The token of the session that a request shows; `scheme` is that of this central's own address.
///
/// Fails if it shows several, or something that is no token: a part of it was written by somebody else.
pub fn shown(headers: &HeaderMap, scheme: &str) -> Result<Option<Secret>, Problem> {
    let secure = only(headers, SECURE_NAME)?;
    // Behind a proxy with TLS, browsers see TLS where this central does not.
    let any = if secure.is_none() && scheme != "https" { only(headers, NAME)? } else { secure };
    let malformed = || Problem::new(Case::NoCredentials, "the cookie of the session is malformed; log in again");
    any.map(|value| token(value).ok_or_else(malformed)).transpose()
}

/// The value of the only cookie with this name.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h [u8]>, Problem> {
    let lines = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';')).filter_map(pair);
    let mut values = pairs.filter(|(found, _)| *found == name.as_bytes()).map(|(_, value)| value);
    let first = values.next();
    match values.next() {
        Some(_) => Err(Problem::new(Case::NoCredentials, format!("there is more than one cookie {name}"))),
        None => Ok(first),
    }
}

/// Name and value of a cookie (RFC 6265 section 5.4).
fn pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii();
    let at = text.iter().position(|byte| *byte == b'=')?;
    text.split_at_checked(at).and_then(|(name, rest)| Some((name, rest.split_first()?.1)))
}

fn token(value: &[u8]) -> Option<Secret> {
    let is_token = value.len() == TOKEN_BYTES && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
    std::str::from_utf8(value).ok().filter(|_| is_token).map(Secret::from)
}

/// Whether a browser reached this central over TLS, be it that of a proxy.
pub fn is_secure(headers: &HeaderMap, scheme: &str) -> bool {
    scheme == "https" || headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

/// Makes a browser keep a token. It may keep it longer than the session lasts: the central knows when that ends.
pub fn set(token: &Secret, is_secure: bool) -> Result<HeaderValue, Problem> {
    written(token.reveal(), LONGEST_MS / 1000, is_secure)
}

/// Makes a browser forget whatever token it has.
pub fn removed() -> Result<[HeaderValue; 2], Problem> {
    Ok([written("", 0, false)?, written("", 0, true)?])
}

fn written(value: &str, max_age_s: u64, is_secure: bool) -> Result<HeaderValue, Problem> {
    let (name, secure) = if is_secure { (SECURE_NAME, "; Secure") } else { (NAME, "") };
    let text = format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={max_age_s}{secure}");
    let mut header = HeaderValue::try_from(text).map_err(|_| Problem::internal("a token is no text for a header"))?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKEN: &str = "abcdefghijklmnopqrstuvwxyz-_0123456789ABCDE";

    fn of(lines: &[&[u8]], scheme: &str) -> Result<Option<String>, String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        match shown(&headers, scheme) {
            Ok(token) => Ok(token.map(|token| token.reveal().to_owned())),
            Err(problem) => {
                assert_eq!(problem.status(), 401);
                Err(problem.detail().to_owned())
            }
        }
    }

    #[test]
    fn a_token_is_found_among_other_cookies() {
        for line in [
            format!("{NAME}={TOKEN}"),
            format!("a=b; {NAME}={TOKEN}"),
            format!("a=b;{NAME}={TOKEN} ;c"),
            format!("=; ;x\u{fe}=\u{ff}; {NAME}={TOKEN}; {NAME}s=1; X{NAME}=2"),
            format!("{SECURE_NAME}={TOKEN}; {NAME}=other"),
        ] {
            assert_eq!(of(&[line.as_bytes()], "http"), Ok(Some(TOKEN.to_owned())), "{line}");
        }
        let lines = [b"a=b".as_slice(), &[NAME.as_bytes(), b"=", TOKEN.as_bytes()].concat()];
        assert_eq!(of(&lines, "http"), Ok(Some(TOKEN.to_owned())));
    }

    #[test]
    fn without_a_cookie_of_that_name_there_is_none() {
        let upper = format!("{}={TOKEN}", NAME.to_uppercase());
        for line in ["", "a=b", NAME, "zonepulse_session2=a", &upper] {
            assert_eq!(of(&[line.as_bytes()], "http"), Ok(None), "{line}");
        }
        assert_eq!(of(&[], "http"), Ok(None));
    }

    #[test]
    fn over_tls_only_a_cookie_that_came_over_tls_counts() {
        let plain = format!("{NAME}={TOKEN}");
        assert_eq!(of(&[plain.as_bytes()], "https"), Ok(None));
        let secure = format!("{SECURE_NAME}={TOKEN}");
        assert_eq!(of(&[secure.as_bytes()], "https"), Ok(Some(TOKEN.to_owned())));
    }

    #[test]
    fn several_of_that_name_are_refused_even_if_they_are_the_same() {
        let one = format!("{NAME}={TOKEN}");
        let twice = format!("{one}; {one}");
        for lines in [&[twice.as_bytes()][..], &[one.as_bytes(), one.as_bytes()]] {
            assert!(of(lines, "http").unwrap_err().contains("more than one cookie zonepulse_session"));
        }
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_repeated() {
        let long = "x".repeat(20_000);
        for value in ["", "secret", &TOKEN[1..], &format!("{TOKEN}x"), &format!("\"{TOKEN}\""), &TOKEN.replace('a', "="), &long] {
            let said = of(&[format!("{NAME}={value}").as_bytes()], "http").unwrap_err();
            assert_eq!(said, "the cookie of the session is malformed; log in again");
        }
        let octets = [NAME.as_bytes(), b"=", &[0xff; TOKEN_BYTES]].concat();
        assert!(of(&[&octets], "http").is_err());
    }

    #[test]
    fn it_is_written_for_this_host_and_no_script() {
        let text = |header: &HeaderValue| header.to_str().unwrap().to_owned();
        let set = |is_secure| text(&set(&TOKEN.into(), is_secure).unwrap());
        let rest = "HttpOnly; SameSite=Strict; Path=/; Max-Age=86400";
        assert_eq!(set(false), format!("{NAME}={TOKEN}; {rest}"));
        assert_eq!(set(true), format!("{SECURE_NAME}={TOKEN}; {rest}; Secure"));
        let removed = removed().unwrap();
        let forget = "HttpOnly; SameSite=Strict; Path=/; Max-Age=0";
        assert_eq!(
            removed.map(|header| text(&header)),
            [format!("{NAME}=; {forget}"), format!("{SECURE_NAME}=; {forget}; Secure")]
        );
    }

    proptest! {
        #[test]
        fn any_octets_are_read_as_a_token_none_or_a_refusal(lines in proptest::collection::vec("[\\x20-\\x7e\u{80}-\u{ff}]{0,60}", 0..4)) {
            let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
            if let Ok(Some(token)) = of(&lines, "http") {
                prop_assert_eq!(token.len(), TOKEN_BYTES);
            }
        }

        #[test]
        fn a_token_is_found_wherever_it_stands(
            before in proptest::collection::vec("[a-y]{1,5}=[!-:<-~]{0,9}", 0..4),
            after in proptest::collection::vec("[a-y]{1,5}=[!-:<-~]{0,9}", 0..4),
            token in "[A-Za-z0-9_-]{43}",
            gap in " {0,2}",
        ) {
            let own = format!("{NAME}={token}");
            let all: Vec<String> = before.into_iter().chain([own]).chain(after).collect();
            prop_assert_eq!(of(&[all.join(&format!(";{gap}")).as_bytes()], "http"), Ok(Some(token)));
        }
    }
}
