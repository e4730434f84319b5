//! Lists that are not the query engine's: bare arrays, page by page.

use super::paging::{self, Rows};
use crate::http::question::parameters::Listed;
use axum::Json;
use axum::http::Uri;
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
    let count = rows.len() as u64;
    let mut response = Json(rows).into_response();
    paging::tell(response.headers_mut(), Rows { offset: page.offset, count, total }, TimeRange::default(), uri);
    response
}
