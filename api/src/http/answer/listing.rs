//! Lists that do not come from the query engine: bare arrays, in pages.

use super::paging::{self, Rows};
use crate::http::question::groups::Slice;
use axum::Json;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use zonepulse_query::TimeRange;

/// A page of a complete list of rows.
pub fn page<T: Serialize>(rows: Vec<T>, page: &Slice, uri: &Uri) -> Response {
    let total = rows.len() as u64;
    let rows = rows.into_iter().skip(page.offset as usize).take(page.limit as usize).collect();
    of(rows, total, page, uri)
}

/// Rows that are already one page of `total`.
pub fn of<T: Serialize>(rows: Vec<T>, total: u64, page: &Slice, uri: &Uri) -> Response {
    let count = rows.len() as u64;
    let mut response = Json(rows).into_response();
    paging::tell(response.headers_mut(), Rows { offset: page.offset, count, total }, TimeRange::default(), uri);
    response
}
