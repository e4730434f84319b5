//! Credentials in a header: `Authorization: Basic` with a user's name and password, or `Bearer` with a token.

use crate::http::answer::problem::{Case, Problem};
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::net::IpAddr;
use zonepulse_central::credentials::{Credentials, MAX_LOGIN_BYTES, Principal, Shown};

/// Authenticates the sender of these headers at this address.
pub async fn who(credentials: &Credentials, headers: &HeaderMap, address: IpAddr) -> Result<Principal, Problem> {
    Ok(credentials.check(shown(headers)?, address).await?)
}

/// The credentials in these headers.
fn shown(headers: &HeaderMap) -> Result<Shown, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let missing = || {
        let detail = "send a user's name and password (Basic), or a token (Bearer)";
        Problem::new(Case::NoCredentials, detail)
    };
    let value = values.next().ok_or_else(missing)?;
    if values.next().is_some() {
        return Err(Problem::new(Case::NoCredentials, "there is more than one Authorization"));
    }
    let (scheme, rest) = value.to_str().ok().and_then(|value| value.trim().split_once(' ')).ok_or_else(missing)?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Shown::Token(rest.into()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(missing());
    }
    basic(rest).ok_or_else(|| {
        Problem::new(Case::NoCredentials, "Basic credentials are a name, a colon and a password in base64 (RFC 7617)")
    })
}

/// The name and password of Basic authentication (RFC 7617).
fn basic(encoded: &str) -> Option<Shown> {
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    let whole = !name.is_empty() && decoded.len() <= MAX_LOGIN_BYTES;
    whole.then(|| Shown::Password { name: name.to_owned(), password: password.into() })
}

#[cfg(test)]
#[path = "authorization_tests.rs"]
mod tests;
