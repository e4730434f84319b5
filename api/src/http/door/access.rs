//! Records every request: a line in the log, and metrics for Prometheus.
//!
//! The line is written when the last byte of the answer has been sent or the client has left, since an answer may be as
//! long as a table. It contains the caller, the address, the route and the outcome; never a parameter, a body or a
//! credential, which may be confidential.

use super::listen::Peer;
use crate::http::state::App;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::http::Method;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use zonepulse_central::credentials::Principal;

/// Routes that machines poll every few seconds: their lines would drown out the others.
const QUIET: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// The label for requests that match no route.
const NONE: &str = "none";

/// A request that is being answered.
pub struct Access {
    app: App,
    method: Method,
    route: String,
    path: String,
    peer: Option<Peer>,
    began: Instant,
    status: u16,
    who: Option<Principal>,
    bytes: u64,
    whole: bool,
}

impl Access {
    /// Starts recording a request.
    pub fn begin(app: &App, request: &Request) -> Self {
        app.metrics().began();
        let route = request.extensions().get::<MatchedPath>().map_or(NONE, MatchedPath::as_str);
        Access {
            app: app.clone(),
            method: request.method().clone(),
            route: route.to_owned(),
            path: request.uri().path().to_owned(),
            peer: request.extensions().get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| *peer),
            began: Instant::now(),
            status: 499,
            who: None,
            bytes: 0,
            whole: false,
        }
    }

    /// Records the answer, whose bytes are counted as they are sent.
    pub fn answered(mut self, response: Response) -> Response {
        self.status = response.status().as_u16();
        self.who = response.extensions().get::<Principal>().cloned();
        response.map(|body| {
            self.whole = body.is_end_stream();
            Body::new(Counted { body, access: self })
        })
    }

    fn line(&self) {
        let Access { method, route, path, status, bytes, whole, .. } = self;
        let (duration_ms, user) = (self.began.elapsed().as_millis() as u64, Who(self.who.as_ref()));
        let peer = self.peer.map(|Peer(address)| address);
        let peer = peer.as_ref().map(tracing::field::display);
        // A 503 is not a fault of the central: its cause has a warning of its own, at most one a minute.
        if *status >= 500 && *status != 503 {
            tracing::warn!(%method, route, path, status, duration_ms, bytes, whole, %user, peer, "request");
        } else if QUIET.contains(&route.as_str()) {
            tracing::debug!(%method, route, path, status, duration_ms, bytes, whole, %user, peer, "request");
        } else {
            tracing::info!(%method, route, path, status, duration_ms, bytes, whole, %user, peer, "request");
        }
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        self.app.metrics().ended(label(&self.method), &self.route, self.status, self.began.elapsed(), self.bytes);
        if self.app.logs_requests() {
            self.line();
        }
    }
}

/// The caller, as shown in the log.
struct Who<'a>(Option<&'a Principal>);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Principal::User(account)) => f.write_str(&account.name),
            Some(Principal::Server(id)) => write!(f, "server {id}"),
            Some(Principal::Enrollee { server_id, .. }) => write!(f, "the probe of server {server_id}"),
            None => f.write_str("-"),
        }
    }
}

/// The method as a label: callers can invent others.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// A body whose bytes are counted as they are sent.
struct Counted {
    body: Body,
    access: Access,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.access.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.access.whole = self.body.is_end_stream();
            }
            Poll::Ready(None) => self.access.whole = true,
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
