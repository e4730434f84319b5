//! Who sends a request: credentials in `Authorization`, or else the session that a cookie shows.
//!
//! A browser adds the cookie to whatever request a page causes. `SameSite` and the check of every unsafe method
//! (`browsers`) keep other sites out; and because browsers differ, such a request has to prove as well that a page of this
//! central made it, with a token that only those can read.

use super::{authorization, cookie};
use crate::http::answer::problem::{Case, Problem};
use axum::http::{HeaderMap, Method, header};
use std::net::IpAddr;
use zonepulse_central::Central;
use zonepulse_central::credentials::Principal;
use zonepulse_central::sessions::Session;

/// The header that proves that a page of this central made a request.
pub const CSRF_HEADER: &str = "x-csrf-token";

/// A caller, and the session if that is how it is known.
#[derive(Debug)]
pub struct Known {
    /// The caller.
    pub principal: Principal,
    /// The session.
    pub session: Option<Session>,
}

/// Authenticates the sender of a request with this method and these headers at this address.
pub async fn known(central: &Central, method: &Method, headers: &HeaderMap, address: IpAddr) -> Result<Known, Problem> {
    let token = match headers.contains_key(header::AUTHORIZATION) {
        true => None,
        false => cookie::shown(headers, central.addresses().scheme)?,
    };
    let Some(token) = token else {
        let principal = authorization::who(central.credentials(), headers, address).await?;
        return Ok(Known { principal, session: None });
    };
    let session = central.sessions().check(&token)?;
    if ![Method::GET, Method::HEAD].contains(method) {
        check_proof(&session, headers)?;
    }
    Ok(Known { principal: Principal::User(session.account.clone()), session: Some(session) })
}

fn check_proof(session: &Session, headers: &HeaderMap) -> Result<(), Problem> {
    let mut given = headers.get_all(CSRF_HEADER).iter();
    let refused = |detail| Err(Problem::new(Case::NotProven, detail));
    match (given.next(), given.next()) {
        (Some(token), None) if session.is_proven_by(token.as_bytes()) => Ok(()),
        (None, _) => refused("with the cookie of a session, send X-CSRF-Token with the csrf_token of GET /api/v2/session"),
        _ => refused("X-CSRF-Token is not the csrf_token of this session"),
    }
}
