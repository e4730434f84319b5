//! Lets requests through to calls whose need their senders have.
//!
//! What a group of calls needs is said where routes are put together (`router`), and who has it in
//! [`zonepulse_central::rights`].

use super::listen::Peer;
use super::{authorization, unread};
use crate::http::answer::problem::Problem;
use crate::http::paths;
use crate::http::state::App;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use std::net::IpAddr;
use zonepulse_central::fleet::refusals::RefusedRequest;
use zonepulse_central::rights::{Caller, Need};
use zonepulse_central::time::now_ms;
use zonepulse_net::Visitor;

/// Lets a request through that may do what its call needs, and says who sent it.
pub async fn guard(State((app, need)): State<(App, Need)>, mut request: Request, next: Next) -> Result<Response, Problem> {
    let peer = request.extensions().get::<ConnectInfo<Peer>>();
    let address = peer.map(|ConnectInfo(Peer(address))| address.ip());
    let address = address.ok_or_else(|| Problem::internal("a request without an address"))?;
    let principal = authorization::who(app.central().credentials(), request.headers(), address).await;
    let principal = principal.inspect_err(|problem| note(&app, &request, address, problem))?;
    if let Some(visitor) = request.extensions().get::<Visitor>() {
        visitor.prove(principal.number());
    }
    need.check(&principal)?;
    request.extensions_mut().insert(principal.clone());
    request.extensions_mut().insert(Caller { principal: principal.clone(), address });
    let mut response = unread::hold(app.unread(), principal.number(), next.run(request).await);
    // Whoever keeps account of requests learns it from the answer.
    response.extensions_mut().insert(principal);
    Ok(response)
}

/// Keeps account of credentials that were refused, and not of those that could not be checked.
fn note(app: &App, request: &Request, peer: IpAddr, problem: &Problem) {
    if !matches!(problem.status(), StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS) {
        return;
    }
    let path = request.uri().path();
    let refused = RefusedRequest {
        peer,
        path,
        by_probe: [paths::BATCHES, paths::HEARTBEAT].contains(&path),
        has_some: request.headers().contains_key(AUTHORIZATION),
        cause: problem.detail(),
    };
    let central = app.central();
    central.refusals().credentials(&refused, now_ms(), |address| central.fleet().places().only_at(address));
}
