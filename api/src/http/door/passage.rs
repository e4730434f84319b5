//! What every request passes through, whatever it asks for: it is checked, timed and kept account of, and a panic is an
//! answer, too.

use super::access::Access;
use super::browsers;
use crate::http::answer::compress::{self, Coding};
use crate::http::answer::problem::{Case, Problem};
use crate::http::state::App;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use zonepulse_central::credentials::Principal;

/// Compression is work, which is done for whoever has proved who they are.
pub async fn every_request(State(app): State<App>, request: Request, next: Next) -> Response {
    answered(app, request, next, |response| response.extensions().get::<Principal>().is_some()).await
}

/// The same where only the monitoring asks.
pub async fn every_scrape(State(app): State<App>, request: Request, next: Next) -> Response {
    answered(app, request, next, |_| true).await
}

/// Refuses what no route should see, bounds the time, turns a panic into an answer, compresses it for those for whom that is
/// done, and keeps account of it.
async fn answered(app: App, request: Request, next: Next, compresses: impl Fn(&Response) -> bool) -> Response {
    let access = Access::begin(&app, &request);
    let coding = Coding::accepted(request.headers());
    let longest = Duration::from_secs(app.limits().request_timeout_s);
    let answering = async {
        let checked = browsers::check(&app.central().addresses().public_urls, &request);
        match checked {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    };
    let answered = tokio::time::timeout(longest, AssertUnwindSafe(answering).catch_unwind()).await;
    let mut response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => Problem::internal(format_args!("a panic: {}", panic_text(panic.as_ref()))).into_response(),
        Err(_) => Problem::new(Case::TooSlow, format!("it took more than {} s", longest.as_secs())).into_response(),
    };
    browsers::tell(response.headers_mut());
    let coding = coding.filter(|_| compresses(&response));
    access.answered(compress::answer(response, coding))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}
