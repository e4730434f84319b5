//! Lists that are not the query engine's: bare arrays, page by page.

use crate::monitoring::{TOTAL_HEADER, next_link};
use crate::parameters::Listed;
use crate::problem::Problem;
use axum::Json;
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use zonepulse_query::TimeRange;

/// A page of rows that are all there.
pub fn page<T: Serialize>(rows: Vec<T>, page: &Listed, uri: &Uri) -> Response {
    let total = rows.len() as u64;
    let rows = rows.into_iter().skip(page.offset as usize).take(page.limit as usize).collect();
    of(rows, total, page, uri)
}

/// Rows that are a page of `total`.
pub fn of<T: Serialize>(rows: Vec<T>, total: u64, page: &Listed, uri: &Uri) -> Response {
    let next = page.offset.saturating_add(rows.len() as u64);
    let some = !rows.is_empty();
    let mut response = Json(rows).into_response();
    let headers = response.headers_mut();
    headers.insert(TOTAL_HEADER, HeaderValue::from(total));
    if some
        && next < total
        && let Ok(link) = HeaderValue::try_from(next_link(uri, TimeRange::default(), next))
    {
        headers.insert(header::LINK, link);
    }
    response
}

/// What a blocking read of the store, or a change, came to.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(Problem::internal)?
}
