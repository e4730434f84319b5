//! Authorizes requests.
//!
//! The router declares what each group of calls needs (`router`); [`zonepulse_central::rights`] decides who has it.

use super::listen::Peer;
use super::{caller, unread};
use crate::http::answer::problem::Problem;
use crate::http::paths;
use crate::http::state::App;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use std::net::IpAddr;
use zonepulse_central::credentials::Principal;
use zonepulse_central::fleet::refusals::RefusedRequest;
use zonepulse_central::rights::{Caller, Need};
use zonepulse_central::time::now_ms;
use zonepulse_net::Visitor;
use zonepulse_wire::SERVER_HEADER;

/// Passes on a request whose sender may make this call, and attaches the caller to it.
pub async fn guard(State((app, need)): State<(App, Need)>, mut request: Request, next: Next) -> Result<Response, Problem> {
    let peer = request.extensions().get::<ConnectInfo<Peer>>();
    let address = peer.map(|ConnectInfo(Peer(address))| address.ip());
    let address = address.ok_or_else(|| Problem::internal("a request without an address"))?;
    let known = caller::known(app.central(), request.method(), request.headers(), address).await;
    let has_some = request.headers().contains_key(AUTHORIZATION);
    let known = known.inspect_err(|problem| note(&app, request.uri().path(), has_some, address, problem))?;
    let principal = known.principal;
    if let Some(visitor) = request.extensions().get::<Visitor>() {
        visitor.prove(principal.number());
    }
    need.check(&principal)?;
    request.extensions_mut().insert(principal.clone());
    if let Some(session) = known.session {
        request.extensions_mut().insert(session);
    }
    request.extensions_mut().insert(Caller { principal: principal.clone(), address });
    let mut response = unread::hold(app.unread(), principal.number(), next.run(request).await);
    if let Principal::Server(id) = principal {
        // A probe with the token of another server finds out (`zonepulse-probe doctor`).
        response.headers_mut().insert(SERVER_HEADER, HeaderValue::from(id));
    }
    // The access log takes the caller from the answer.
    response.extensions_mut().insert(principal);
    Ok(response)
}

/// Records refused credentials, but not those that could not be checked. `has_some` says whether there were any; those of
/// a session do not count: a page that is left open sends them after the session has ended.
pub fn note(app: &App, path: &str, has_some: bool, peer: IpAddr, problem: &Problem) {
    if !matches!(problem.status(), StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS) {
        return;
    }
    let by_probe = [paths::BATCHES, paths::HEARTBEAT].contains(&path);
    let refused = RefusedRequest { peer, path, by_probe, has_some, cause: problem.detail() };
    let central = app.central();
    central.refusals().credentials(&refused, now_ms(), |address| central.fleet().places().only_at(address));
}
