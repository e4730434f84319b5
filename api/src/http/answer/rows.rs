//! Rows from the query engine, in the negotiated format.

use super::negotiate::Output;
use super::paging::{self, Rows};
use super::problem::Problem;
use super::render::{is_small, render};
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use zonepulse_query::{Answer, Engine, Page, TimeRange};

/// The answer in its format, with its total and the link to the next page.
pub async fn respond(
    engine: &Engine,
    output: Output,
    answer: Answer,
    page: &Page,
    range: TimeRange,
    uri: &Uri,
) -> Result<Response, Problem> {
    let Answer { batches, schema, total } = answer;
    let count: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    let body = if batches.len() <= 1 && batches.iter().all(is_small) {
        render(output, &schema, &batches)
    } else {
        // Rendering a hundred thousand rows takes a while: not on a thread that serves others, and only a few answers
        // at a time.
        engine.aside(move || render(output, &schema, &batches)).await?
    };
    let body = body.map_err(Problem::internal)?;
    Ok(paged(body, output, Rows { offset: page.offset, count, total }, range, uri))
}

/// An answer with these rows.
pub fn paged(body: impl IntoResponse, output: Output, rows: Rows, range: TimeRange, uri: &Uri) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(output.format.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    paging::tell(headers, rows, range, uri);
    response
}
