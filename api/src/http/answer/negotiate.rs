//! Content negotiation: `Accept`, as in RFC 9110 section 12.5.1.
//!
//! A caller lists media ranges with weights (`text/csv, */*;q=0.1`). For each supported format, the most specific
//! matching range sets its weight; the heaviest wins, and among equals the one listed first in [`Format::ALL`]. Without
//! `Accept` any format is acceptable.

use super::problem::{Case, Problem};
use crate::http::question::groups::Escaping;
use crate::http::question::query_string::Pairs;
use crate::http::question::values::Escape;
use axum::http::{HeaderMap, Uri, header};

/// A format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A bare array of objects.
    Json,
    /// Comma separated with a header line (RFC 4180).
    Csv,
    /// Arrow IPC, streaming.
    Arrow,
}

impl Format {
    /// Every format, in order of preference.
    pub const ALL: [Format; 3] = [Format::Json, Format::Csv, Format::Arrow];

    /// Its media type, without parameters.
    pub const fn media_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Csv => "text/csv",
            Format::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// Its `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8; header=present",
            _ => self.media_type(),
        }
    }

    /// The format that a request asks for.
    pub fn accepted(headers: &HeaderMap) -> Result<Format, Problem> {
        let mut ranges = Vec::new();
        for value in headers.get_all(header::ACCEPT) {
            // A range that is not text cannot match any of ours.
            ranges.extend(value.to_str().unwrap_or("").split(',').filter_map(Range::read));
        }
        if ranges.is_empty() && !headers.contains_key(header::ACCEPT) {
            return Ok(Format::Json);
        }
        let mut best: Option<(u16, Format)> = None;
        for format in Format::ALL {
            let weight = ranges.iter().filter_map(|range| range.names(format)).max().map_or(0, |(_, weight)| weight);
            if weight > best.map_or(0, |(weight, _)| weight) {
                best = Some((weight, format));
            }
        }
        best.map(|(_, format)| format).ok_or_else(|| {
            let known = Format::ALL.map(Format::media_type).join(", ");
            Problem::new(Case::NotAcceptable, format!("Accept names none of {known}"))
        })
    }
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// The format.
    pub format: Format,
    /// How its texts are escaped.
    pub escape: Escape,
}

impl Output {
    /// The output that a request asks for, from its headers and its parameter `escape`.
    pub fn asked(headers: &HeaderMap, uri: &Uri) -> Result<Output, Problem> {
        let format = Format::accepted(headers)?;
        // The other parameters are checked elsewhere.
        let Escaping { escape } = Escaping::read(&Pairs::decoded(uri)?)?;
        let output = Output { format, escape };
        if output.escape == Escape::Spreadsheet && output.format != Format::Csv {
            let media_type = output.format.media_type();
            let reason =
                format!("it is about text/csv, and the answer would be {media_type}: send Accept: text/csv, or leave it out");
            return Err(Problem::parameter("escape", reason));
        }
        Ok(output)
    }
}

impl From<Format> for Output {
    fn from(format: Format) -> Self {
        Output { format, escape: Escape::None }
    }
}

/// A media range with its weight in thousandths.
struct Range {
    main: String,
    sub: String,
    weight: u16,
}

impl Range {
    /// `None` for a malformed media range, which matches nothing.
    fn read(text: &str) -> Option<Range> {
        let mut parts = text.split(';').map(str::trim);
        let (main, sub) = parts.next()?.split_once('/')?;
        let mut weight = 1000;
        for parameter in parts {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            if name.trim().eq_ignore_ascii_case("q") {
                weight = thousandths(value.trim())?;
            }
        }
        Some(Range { main: main.trim().to_ascii_lowercase(), sub: sub.trim().to_ascii_lowercase(), weight })
    }

    /// How specifically it matches a format, and with which weight. More specific matches compare as greater.
    fn names(&self, format: Format) -> Option<(u8, u16)> {
        let (main, sub) = format.media_type().split_once('/')?;
        let specific = match (self.main.as_str(), self.sub.as_str()) {
            ("*", "*") => 0,
            (m, "*") if m == main => 1,
            (m, s) if m == main && s == sub => 2,
            _ => return None,
        };
        Some((specific, self.weight))
    }
}

/// A weight, `0` to `1` with at most three decimals (RFC 9110 section 12.4.2).
pub fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(decimals),
        "1" if decimals == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn accepted(accept: &str) -> Option<Format> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        Format::accepted(&headers).ok()
    }

    #[test]
    fn without_accept_it_is_json() {
        assert_eq!(Format::accepted(&HeaderMap::new()), Ok(Format::Json));
    }

    #[test]
    fn each_format_is_given_when_it_is_asked_for() {
        for format in Format::ALL {
            assert_eq!(accepted(format.media_type()), Some(format));
            assert_eq!(accepted(&format.media_type().to_uppercase()), Some(format));
        }
    }

    #[test]
    fn a_wildcard_means_the_preferred_format() {
        for accept in ["*/*", "application/*", "text/html, */*;q=0.8", "*/*, text/csv;q=0.9"] {
            assert_eq!(accepted(accept), Some(Format::Json), "{accept}");
        }
        assert_eq!(accepted("text/*"), Some(Format::Csv));
    }

    #[test]
    fn escaping_is_for_csv() {
        let asked = |accept: &'static str, uri: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            Output::asked(&headers, &uri.parse().unwrap())
        };
        let csv = |escape| Ok(Output { format: Format::Csv, escape });
        assert_eq!(asked("text/csv", "/a?limit=1"), csv(Escape::None));
        assert_eq!(asked("text/csv", "/a?limit=1&escape=none"), csv(Escape::None));
        assert_eq!(asked("text/csv", "/a?escape=spreadsheet&limit=1"), csv(Escape::Spreadsheet));
        assert_eq!(asked("application/json", "/a?escape=none"), Ok(Format::Json.into()));
        for (accept, uri) in
            [("application/json", "/a?escape=spreadsheet"), ("text/csv", "/a?escape=excel"), ("text/csv", "/a?escape=")]
        {
            assert!(asked(accept, uri).unwrap_err().detail().starts_with("escape: "), "{accept} {uri}");
        }
    }

    #[test]
    fn the_heavier_weight_wins() {
        assert_eq!(accepted("application/json;q=0.5, text/csv;q=0.51"), Some(Format::Csv));
        assert_eq!(accepted("application/json; q=0.1, application/vnd.apache.arrow.stream"), Some(Format::Arrow));
    }

    #[test]
    fn the_more_specific_range_sets_the_weight() {
        assert_eq!(accepted("application/json;q=0, */*"), Some(Format::Csv));
        assert_eq!(accepted("application/*;q=0.2, application/json;q=0.9, text/csv;q=0.5"), Some(Format::Json));
    }

    #[test]
    fn what_cannot_be_given_is_refused() {
        for accept in ["text/html", "application/json;q=0", "image/*", "json", "", "text/csv;q=2", "text/csv;q=0.0001"] {
            assert_eq!(accepted(accept), None, "{accept}");
        }
    }
}
