//! Pages of rows: the total number, and the link to the next page.

use crate::http::question::query_string;
use crate::time;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use std::fmt::Write;
use zonepulse_query::TimeRange;

/// Total number of rows before paging.
pub const TOTAL_HEADER: &str = "x-total-count";

/// Which rows an answer contains.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// Number of rows before them.
    pub offset: u64,
    /// Number of rows.
    pub count: u64,
    /// Total number of rows.
    pub total: u64,
}

/// Sets the headers for rows of this time range: their total, and the link to the next page if there is one.
pub fn tell(headers: &mut HeaderMap, rows: Rows, range: TimeRange, uri: &Uri) {
    let Rows { offset, count, total } = rows;
    headers.insert(TOTAL_HEADER, HeaderValue::from(total));
    let next = offset.saturating_add(count);
    if count > 0
        && next < total
        && let Ok(link) = HeaderValue::try_from(next_link(uri, range, next))
    {
        headers.insert(header::LINK, link);
    }
}

/// `Link` (RFC 8288) to the same question from a later row on. The rest of the query stays as sent, except that times
/// relative to now, and an omitted end that defaults to now, become absolute: only then do offsets count in the same
/// rows.
fn next_link(uri: &Uri, range: TimeRange, offset: u64) -> String {
    let mut link = format!("<{}?", uri.path());
    let (mut from_ms, until_ms) = (None, range.until_ms);
    let (mut from_name, mut until_name) = ("date_from", "date_to");
    for text in uri.query().unwrap_or("").split('&').filter(|text| !text.is_empty()) {
        // Names and values may be escaped unnecessarily.
        let (name, value) = query_string::pair(text).unwrap_or_default();
        match name.as_str() {
            "offset" => continue,
            "date_to" if until_ms.is_some() => continue,
            // Never combined with the others.
            "accessed_to" if until_ms.is_some() => {
                until_name = "accessed_to";
                continue;
            }
            "date_from" | "accessed_from" if range.from_ms.is_some() && time::is_relative(&value) => {
                from_ms = range.from_ms;
                from_name = if name == "date_from" { "date_from" } else { "accessed_from" };
                continue;
            }
            _ => {}
        }
        link.push_str(text);
        link.push('&');
    }
    for (name, ms) in [(from_name, from_ms), (until_name, until_ms)] {
        if let Some(ms) = ms {
            // Writing to a string cannot fail.
            let _ = write!(link, "{name}={}&", time::unix_seconds(ms));
        }
    }
    let _ = write!(link, "offset={offset}>; rel=\"next\"");
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_the_same_question_further_on() {
        let link = |uri: &str| next_link(&uri.parse().unwrap(), TimeRange::default(), 20);
        assert_eq!(link("/a"), "</a?offset=20>; rel=\"next\"");
        assert_eq!(link("/a?host=%2A.x&offset=10&limit=10"), "</a?host=%2A.x&limit=10&offset=20>; rel=\"next\"");
    }

    #[test]
    fn the_next_page_is_of_the_same_time() {
        let range = TimeRange { from_ms: Some(5000), until_ms: Some(9007) };
        let link = |uri: &str| next_link(&uri.parse().unwrap(), range, 20);
        assert_eq!(link("/a?date_from=-24h&date_to=now"), "</a?date_from=5&date_to=9.007&offset=20>; rel=\"next\"");
        assert_eq!(link("/a?date_from=2026-11-26"), "</a?date_from=2026-11-26&date_to=9.007&offset=20>; rel=\"next\"");
        assert_eq!(link("/a?date_to=now&limit=1"), "</a?limit=1&date_to=9.007&offset=20>; rel=\"next\"");
        assert_eq!(link("/a?limit=1"), "</a?limit=1&date_to=9.007&offset=20>; rel=\"next\"");
    }

    #[test]
    fn the_next_page_is_of_the_same_time_however_the_question_was_spelt() {
        let range = TimeRange { from_ms: Some(5000), until_ms: Some(9007) };
        let link = |uri: &str| next_link(&uri.parse().unwrap(), range, 20);
        for uri in ["/a?date_from=%2D24h&date_to=%6Eow", "/a?date%5Ffrom=-24h&date_t%6F=now&%6Fffset=10"] {
            assert_eq!(link(uri), "</a?date_from=5&date_to=9.007&offset=20>; rel=\"next\"", "{uri}");
        }
    }

    #[test]
    fn without_an_end_the_next_page_of_totals_has_none() {
        let range = TimeRange { from_ms: Some(5000), until_ms: None };
        let link = |uri: &str| next_link(&uri.parse().unwrap(), range, 20);
        assert_eq!(link("/a?date_from=-24h&limit=1"), "</a?limit=1&date_from=5&offset=20>; rel=\"next\"");
    }

    #[test]
    fn the_next_page_of_totals_is_of_the_same_last_access() {
        let range = TimeRange { from_ms: Some(5000), until_ms: Some(9007) };
        let link = |uri: &str, range| next_link(&uri.parse().unwrap(), range, 20);
        let both = link("/a?accessed_from=-24h&accessed_to=now&exists=true", range);
        assert_eq!(both, "</a?exists=true&accessed_from=5&accessed_to=9.007&offset=20>; rel=\"next\"");
        let since = link("/a?accessed_to=-1h", TimeRange { from_ms: None, ..range });
        assert_eq!(since, "</a?accessed_to=9.007&offset=20>; rel=\"next\"");
    }
}
