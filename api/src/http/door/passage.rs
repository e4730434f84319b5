//! What every request passes through, whatever it asks for: checks, a timeout, access logging and conversion of panics
//! to answers.

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

/// Compression costs work, so it is done only for authenticated callers.
pub async fn every_request(State(app): State<App>, request: Request, next: Next) -> Response {
    answered(app, request, next, |response| response.extensions().get::<Principal>().is_some()).await
}

/// Like [`every_request`], for the listener that only the monitoring uses: every answer may be compressed.
pub async fn every_scrape(State(app): State<App>, request: Request, next: Next) -> Response {
    answered(app, request, next, |_| true).await
}

/// Rejects requests that no route should see, limits the time, turns a panic into an answer, compresses the answer if
/// `compresses` says so, and records it.
async fn answered(app: App, request: Request, next: Next, compresses: impl Fn(&Response) -> bool) -> Response {
    let access = Access::begin(&app, &request);
    let (coding, is_of_page) = (Coding::accepted(request.headers()), browsers::is_of_page(request.headers()));
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
    if is_of_page {
        browsers::suppress_dialog(response.headers_mut());
    }
    let coding = coding.filter(|_| compresses(&response));
    access.answered(compress::answer(response, coding))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}
